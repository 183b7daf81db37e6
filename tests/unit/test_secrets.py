"""What secrets of sources hold, and that it is never shown."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rdbkeeper.aws.secrets import ApiKey, Login, read_api_key, read_login
from rdbkeeper.domain.errors import SourceDenied, SourceRefused, SourceUnavailable

NAME = "rdbkeeper/orders"


class Secrets:
    """Stands in for the client of Secrets Manager."""

    def __init__(self, value: Any = None, code: str = "") -> None:
        self._value = value
        self._code = code

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - the service's name
        assert SecretId == NAME
        if self._code:
            answer = {"Error": {"Code": self._code, "Message": "words"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(answer, "GetSecretValue")  # type: ignore[arg-type]  # a part of an answer
        return {"SecretString": self._value if isinstance(self._value, str) else json.dumps(self._value)}


def test_an_api_key_is_read_without_white_space_around_it() -> None:
    assert read_api_key(Secrets({"secret_id": " AKIDx\n", "secret_key": "k3y "}), NAME) == ApiKey("AKIDx", "k3y")
    temporary = {"secret_id": "AKIDx", "secret_key": "k3y", "token": "t" * 1000}
    assert read_api_key(Secrets(temporary), NAME).token == "t" * 1000


@pytest.mark.parametrize(
    "value",
    [
        "s3cret",
        "[]",
        "",
        {},
        {"secret_id": "AKIDs3cret"},
        {"secret_id": "AKIDs3cret", "secret_key": ""},
        {"secret_id": "AKIDs3cret", "secret_key": 5},
        {"secret_id": "AKIDs3cret", "secret_key": "a\nb s3cret"},
        {"secret_id": "AKIDs3cret", "secret_key": "s3cret", "token": "a b"},
    ],
)
def test_a_secret_of_another_shape_is_refused_without_showing_it(value: Any) -> None:
    with pytest.raises(SourceRefused) as refused:
        read_api_key(Secrets(value), NAME)
    shown = "".join(traceback.format_exception(refused.value))
    assert "s3cret" not in shown
    assert NAME in refused.value.message
    assert "secret_id" in refused.value.hint


def test_a_login_may_lack_either_part_but_not_both() -> None:
    assert read_login(Secrets({"username": "reader", "password": "p w"}), NAME) == Login("reader", "p w")
    assert read_login(Secrets({"password": "pw"}), NAME) == Login("", "pw")
    assert read_login(Secrets({"username": "reader"}), NAME) == Login("reader", "")
    for value in ({}, {"username": "", "password": ""}, {"password": 5}, {"user": "s3cret"}, "s3cret"):
        with pytest.raises(SourceRefused) as refused:
            read_login(Secrets(value), NAME)
        assert "s3cret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "code, error, hint",
    [
        ("ResourceNotFoundException", SourceRefused, "Make the secret"),
        ("AccessDeniedException", SourceDenied, "secretsmanager:GetSecretValue"),
        ("DecryptionFailure", SourceDenied, "kms:Decrypt"),
        ("InvalidRequestException", SourceRefused, "being deleted"),
        ("InternalServiceError", SourceRefused, ""),
        ("ThrottlingException", SourceUnavailable, "by itself"),
    ],
)
def test_a_secret_that_cannot_be_read_says_why(code: str, error: type[Exception], hint: str) -> None:
    for read in (read_api_key, read_login):
        with pytest.raises(error) as caught:
            read(Secrets(code=code), NAME)
        assert NAME in str(caught.value)
        assert hint in str(caught.value)
        assert caught.value.field == ("" if error is SourceUnavailable else "secret")


def test_what_was_read_shows_nothing_of_itself() -> None:
    assert "s3cret" not in repr(ApiKey("s3cret", "s3cret", "s3cret")) + str(Login("s3cret", "s3cret"))
