"""A denial names the permission that is lacking, and a clock that is off is told from one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import Family, action_of, translated
from rdbkeeper.domain.errors import RdbkeeperError, SourceDenied, SourceRefused, SourceUnavailable
from rdbkeeper.sources.aws.service import service_family

S3 = Family(SourceDenied, SourceUnavailable, SourceRefused, service="s3")
MEMORYDB = service_family("memorydb")


def told(code: str, words: str, operation: str, family: Family = S3, status: int = 403) -> RdbkeeperError:
    answer = {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(RdbkeeperError) as caught, translated(family, "Trying"):
        raise ClientError(answer, operation)  # type: ignore[arg-type]  # botocore's answers hold more
    return caught.value


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("ListObjectsV2", "s3:ListBucket"),
        ("GetObject", "s3:GetObject"),
        ("DeleteObject", "s3:DeleteObject"),
        ("PutObject", "s3:PutObject"),
        ("ListMultipartUploads", "s3:ListBucketMultipartUploads"),
        ("HeadObject", "s3:GetObject"),
    ],
)
def test_a_permission_is_named_as_iam_calls_it(operation: str, action: str) -> None:
    assert action_of("s3", operation) == action
    error = told("AccessDenied", "Access Denied", operation)
    assert type(error) is SourceDenied
    assert f"Allow {action} to this function's role" in error.hint


def test_the_permission_that_the_service_names_comes_first() -> None:
    words = "User: arn:aws:sts::123456789012:assumed-role/run is not authorized to perform: kms:Decrypt on resource: *"
    error = told("AccessDenied", words, "GetObject")
    assert "Allow kms:Decrypt" in error.hint
    assert "123456789012" not in str(error)


def test_an_explicit_deny_is_not_answered_with_allow_it() -> None:
    words = "is not authorized to perform: s3:GetObject with an explicit deny in a service control policy"
    hint = told("AccessDenied", words, "GetObject").hint
    assert "s3:GetObject" in hint and "explicitly" in hint and "Allow" not in hint


@pytest.mark.parametrize("code", ["InvalidClientTokenId", "UnrecognizedClientException", "OptInRequired"])
def test_credentials_and_regions_are_no_missing_permission(code: str) -> None:
    error = told(code, "The security token is invalid.", "CopySnapshot", MEMORYDB)
    assert type(error) is SourceDenied
    assert "region" in error.hint and "Allow" not in error.hint


def test_without_a_service_the_hint_names_no_permission() -> None:
    assert "memorydb:" not in told("AccessDenied", "no", "CopySnapshot", replace(MEMORYDB, service="")).hint


LATE = "Signature expired: 20261121T020000Z is now earlier than 20261121T021000Z (20261121T021500Z - 5 min.)"
EARLY = "Signature not yet current: 20261121T023000Z is still later than 20261121T022000Z"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ("RequestExpired", "Request has expired."),
        ("SignatureDoesNotMatch", LATE),
        ("InvalidSignatureException", EARLY),
        ("AuthFailure", LATE),
    ],
)
def test_a_clock_that_is_off_is_told_and_another_attempt_may_help(code: str, words: str) -> None:
    error = told(code, words, "DescribeSnapshots", MEMORYDB)
    assert type(error) is SourceUnavailable
    assert "clock" in error.hint
    assert error.retryable


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidSignatureException"])
def test_a_signature_that_is_wrong_otherwise_is_a_denial(code: str) -> None:
    words = "The request signature we calculated does not match the signature you provided."
    error = told(code, words, "DescribeSnapshots", MEMORYDB)
    assert type(error) is SourceDenied
    assert "clock" not in error.hint


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("The S3 bucket b is outside of the region.", "SourceRefused", "own region"),
        ("The S3 bucket b does not exist.", "SourceRefused", "Deploy the stack again"),
        ("The S3 bucket b is not owned by the authenticated user.", "SourceRefused", "own account"),
        ("ElastiCache has not been granted READ permissions x on the S3 Bucket.", "SourceRefused", "policy"),
        (
            "The authenticated user does not have sufficient permissions to perform the desired activity.",
            "SourceDenied",
            "s3:ListAllMyBuckets",
        ),
        (
            "Elasticache was unable to validate the authenticated user has access on the S3 bucket b",
            "SourceDenied",
            "s3:ListAllMyBuckets",
        ),
        ("Customer managed keys cannot be used when exporting.", "NotExportable", "key"),
        ("KmsKeyId is not supported.", "NotExportable", "key"),
        ("Something else.", "SourceRefused", "its own words"),
    ],
)
@pytest.mark.parametrize("code", ["InvalidParameterValue", "InvalidParameterValueException"])
def test_refusals_of_one_code_are_told_apart_by_their_words(code: str, words: str, error: str, hint: str) -> None:
    refused = told(code, words, "CopySnapshot", MEMORYDB, status=400)
    assert type(refused).__name__ == error
    assert hint in refused.hint
