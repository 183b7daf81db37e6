"""What a store refuses, said so that a person knows what to do."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from rdbkeeper.domain import errors
from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.vaults.store_errors import PUTTING, READING, store_errors


def refusal(code: str, operation: str = "PutObject", status: int = 400, message: str = "words") -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


def told(error: ClientError) -> RdbkeeperError:
    with pytest.raises(RdbkeeperError) as caught, store_errors("orders-copies", "Creating k"):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize(
    ("code", "status", "expected", "hint"),
    [
        ("NoSuchBucket", 404, "VaultRefused", "no such bucket"),
        ("PermanentRedirect", 301, "VaultRefused", "another region"),
        ("301", 301, "VaultRefused", "another region"),
        ("AuthorizationHeaderMalformed", 400, "VaultRefused", "another region"),
        ("RequestTimeTooSkewed", 403, "VaultDenied", "clock"),
        ("InvalidAccessKeyId", 403, "VaultDenied", "access keys"),
        ("SignatureDoesNotMatch", 403, "VaultDenied", "access keys"),
        ("ExpiredToken", 400, "VaultDenied", "role"),
        ("KMS.DisabledException", 400, "VaultRefused", "KMS key"),
        ("QuotaExceeded", 403, "VaultRefused", "quota"),
        ("NotImplemented", 501, "VaultRefused", "does not know"),
        ("SlowDown", 503, "VaultUnavailable", "passes by itself"),
        ("InternalError", 500, "VaultUnavailable", "passes by itself"),
        ("BadDigest", 400, "StoreMismatch", "bytes changed"),
        ("NoSuchUpload", 404, "UploadGone", ""),
    ],
)
def test_each_refusal_has_its_error_and_its_hint(code: str, status: int, expected: str, hint: str) -> None:
    error = told(refusal(code, status=status))
    assert error.code == expected
    assert hint in error.hint
    assert code in error.message


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("HeadObject", "s3:GetObject"),
        ("UploadPart", "s3:PutObject"),
        ("ListObjectsV2", "s3:ListBucket"),
        ("ListMultipartUploads", "s3:ListBucketMultipartUploads"),
        ("PutObjectRetention", "s3:PutObjectRetention"),
        ("SomethingNew", "s3:SomethingNew"),
    ],
)
def test_a_denial_names_the_permission_and_the_bucket(operation: str, action: str) -> None:
    error = told(refusal("AccessDenied", operation, 403))
    assert isinstance(error, errors.VaultDenied)
    assert f"{action} on the bucket orders-copies" in error.message
    assert action in error.hint


def test_a_denied_head_without_a_body_is_a_denial_too() -> None:
    assert "s3:GetObject" in told(refusal("403", "HeadObject", 403, "Forbidden")).hint


def test_where_aws_names_the_permission_itself_it_is_the_one_named() -> None:
    words = "User: arn:aws:sts::000000000000:assumed-role/r/s is not authorized to perform: kms:GenerateDataKey on it"
    error = told(refusal("AccessDenied", "PutObject", 403, words))
    assert "kms:GenerateDataKey" in error.message
    assert "KMS key" in error.hint
    assert "000000000000" not in str(error)


def test_a_role_that_must_not_be_assumed_is_said_to_be_that() -> None:
    error = told(refusal("AccessDenied", "AssumeRole", 403))
    assert isinstance(error, errors.VaultDenied)
    assert "role could not be assumed" in error.message
    assert "external id" in error.hint


@pytest.mark.parametrize(
    ("code", "status"), [("Throttling", 400), ("RequestLimitExceeded", 503), ("TooMany", 429), ("InternalFailure", 500)]
)
def test_a_role_that_cannot_be_assumed_just_now_is_tried_again(code: str, status: int) -> None:
    error = told(refusal(code, "AssumeRole", status))
    assert isinstance(error, errors.VaultUnavailable)
    assert "role could not be assumed just now" in error.message
    assert "next attempt" in error.hint


def test_a_bucket_elsewhere_is_not_said_to_be_put_right_by_an_edit_which_is_refused() -> None:
    hint = told(refusal("PermanentRedirect", status=301)).hint
    assert "unbound first" in hint and "update" not in hint


def test_what_was_put_wrongly_is_put_again_and_what_is_read_wrongly_is_not() -> None:
    with pytest.raises(errors.VaultUnavailable), store_errors("b", "Putting", PUTTING):
        raise refusal("BadDigest")
    for code in ("PreconditionFailed", "NoSuchKey"):
        with pytest.raises(errors.StoreMismatch), store_errors("b", "Reading", READING):
            raise refusal(code, status=412)
