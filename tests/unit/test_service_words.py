"""What services and stores say of an error is told short, and without what signs a request."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError, SSLError

from rdbkeeper.aws.errors import Family, translated
from rdbkeeper.domain.errors import RdbkeeperError, VaultDenied, VaultRefused, VaultUnavailable
from rdbkeeper.vaults.store_errors import store_errors

FAMILY = Family(VaultDenied, VaultUnavailable, VaultRefused)


def told(message: object, code: object = "Odd", status: int = 400, operation: str = "Op") -> RdbkeeperError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(RdbkeeperError) as caught, store_errors("bucket-1", "Looking", FAMILY):
        raise ClientError(answer, operation)  # type: ignore[arg-type]  # a store may leave out what AWS sends
    return caught.value


@pytest.mark.parametrize(("code", "status"), [("Odd", 400), ("AccessDenied", 403), ("KMS.Odd", 400)])
def test_an_error_of_half_a_megabyte_is_told_in_a_few_hundred_characters(code: str, status: int) -> None:
    assert 300 < len(str(told("x" * 500_000, code, status))) < 800
    assert len(str(told("words", code + "x" * 500_000, status))) < 800


def test_what_is_not_printable_is_left_out() -> None:
    assert told("a\nb\x1b\u202ec").message.isprintable()


ECHOES = [
    "got AWS4-HMAC-SHA256 Credential=KEYID/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=SIGNED",
    "Authorization: AWS4-HMAC-SHA256 Credential=KEYID/2026/x, SignedHeaders=host;x-amz-date, Signature=SIGNED",
    "/bucket-1?X-Amz-Credential=KEYID%2F2026&X-Amz-Security-Token=TOKEN&X-Amz-Signature=SIGNED",
    "x-amz-security-token: TOKEN and signature: SIGNED",
    "AWSAccessKeyId=KEYID&Signature=SIGNED",
    '{"Credential": "KEYID/2026", "Signature":"SIGNED"}',
]


@pytest.mark.parametrize("echo", ECHOES)
def test_a_store_that_echoes_the_request_betrays_nothing(echo: str) -> None:
    for code, status in (("Odd", 400), ("SignatureDoesNotMatch", 403), ("AccessDenied", 403)):
        said = str(told(echo, code, status))
        assert not any(secret in said for secret in ("KEYID", "SIGNED", "TOKEN")), said


@pytest.mark.parametrize("message", [None, ""])
def test_no_message_is_no_message(message: str | None) -> None:
    error = told(message)
    assert error.message == "Looking failed: Odd."
    assert "own words" not in error.hint
    assert "own words" in told("words").hint
    assert told(message, None, 418).message == "Looking failed: 418."


UNREACHED = [
    SSLError(endpoint_url="https://store.example.com", error="certificate"),
    EndpointConnectionError(endpoint_url="https://store.example.com"),
    ConnectTimeoutError(endpoint_url="https://store.example.com"),
]


@pytest.mark.parametrize("error", UNREACHED, ids=lambda error: type(error).__name__)
def test_a_connection_that_is_not_made_says_where_to_look(error: Exception) -> None:
    with pytest.raises(VaultUnavailable) as caught, store_errors("bucket-1", "Looking"):
        raise error
    for word in ("https or http", "port", "certificate", "network"):
        assert word in caught.value.hint
    with pytest.raises(VaultUnavailable, match="passes by itself"), translated(FAMILY, "Asking an own service"):
        raise error


def test_a_connection_that_breaks_passes_by_itself() -> None:
    with pytest.raises(VaultUnavailable, match="passes by itself"), store_errors("bucket-1", "Looking"):
        raise ReadTimeoutError(endpoint_url="https://store.example.com")
