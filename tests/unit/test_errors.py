"""Every error has a stable code, and its tree is the one that is drawn."""

from __future__ import annotations

import re

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from rdbkeeper.aws.errors import Family, translated
from rdbkeeper.domain import errors
from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import RdbkeeperError, UnexpectedError

FAMILY = Family(errors.VaultDenied, errors.VaultUnavailable, errors.VaultRefused)


def all_errors() -> list[type[RdbkeeperError]]:
    found: list[type[RdbkeeperError]] = []
    queue = [RdbkeeperError]
    while queue:
        queue += queue[0].__subclasses__()
        found.append(queue.pop(0))
    return [error for error in found if error.__module__.startswith(errors.__name__)]


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "words"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Op"
    )


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted(error.__name__ for error in all_errors() if error is not RdbkeeperError)


def test_the_tree_says_what_a_retry_can_help() -> None:
    drawn = set(re.findall(r"── (\w+)\s+\(a retry can help\)", errors.__doc__ or ""))
    assert drawn == {error.__name__ for error in all_errors() if error.retryable}


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_an_error_survives_being_written_down(error: type[RdbkeeperError]) -> None:
    written = error("A sentence.", hint="What to do.", field="name").as_record()
    read = from_record(written)
    assert type(read) is error
    assert read.as_record() == written


def test_an_unknown_code_becomes_an_unexpected_error() -> None:
    assert type(from_record({"code": "FromTheFuture", "message": "m"})) is UnexpectedError


@pytest.mark.parametrize(
    "foreign, ours",
    [
        (client_error("AccessDenied"), errors.VaultDenied),
        (client_error("SomethingNew", 403), errors.VaultDenied),
        (client_error("SlowDown", 503), errors.VaultUnavailable),
        (client_error("ThrottlingException"), errors.VaultUnavailable),
        (client_error("SomethingNew", 500), errors.VaultUnavailable),
        (client_error("NoSuchBucket", 404), errors.VaultRefused),
        (EndpointConnectionError(endpoint_url="http://x"), errors.VaultUnavailable),
    ],
)
def test_foreign_errors_are_translated_in_one_place(foreign: Exception, ours: type[RdbkeeperError]) -> None:
    with pytest.raises(ours, match="Putting a part") as raised, translated(FAMILY, "Putting a part"):
        raise foreign
    assert raised.value.__cause__ is foreign
    assert raised.value.hint


def test_a_services_own_code_comes_before_the_general_classes() -> None:
    family = Family(
        errors.VaultDenied,
        errors.VaultUnavailable,
        errors.VaultRefused,
        {"SlowDown": (errors.ObjectExists, "h")},
    )
    with pytest.raises(errors.ObjectExists), translated(family, "Creating"):
        raise client_error("SlowDown", 503)
