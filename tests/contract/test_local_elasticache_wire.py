"""What the local ElastiCache makes of odd requests and of bucket policies; no server is needed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.elasticache_place import PRINCIPAL, REQUIRED_ACTIONS
from tests.local_cloud.elasticache.wire import QueryService, ServiceError
from tests.local_cloud.managed.bucket_policy import find_missing_grants

QUERY = QueryService("elasticache")
EVERY_ACTION = sorted(REQUIRED_ACTIONS)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MissingAction"),
        (b"Action=DescribeSnapshots&Version=2010-01-01", "InvalidAction"),
        (b"Action=Nonsense&Version=2015-02-02", "InvalidAction"),
        (b"Action=DescribeSnapshots&Version=2015-02-02&Colour=red", "InvalidQueryParameter"),
        (b"Action=DeleteSnapshot&Version=2015-02-02", "MissingParameter"),
        (b"Action=DeleteSnapshot&Version=2015-02-02&SnapshotName=a&SnapshotName=b", "MalformedQueryString"),
        (b"Action=DescribeSnapshots&Version=2015-02-02&MaxRecords=many", "InvalidParameterValue"),
        (b"Action=DescribeSnapshots&Version=2015-02-02&ShowNodeGroupConfig=1", "InvalidParameterValue"),
        (b"Action=DeleteSnapshot&Version=2015-02-02&SnapshotName=%00", "InvalidParameterValue"),
    ],
)
def test_a_request_that_the_model_does_not_know_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        QUERY.read(body)
    assert caught.value.code == code


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


ALLOW = {
    "Effect": "Allow",
    "Principal": {"Service": [PRINCIPAL]},
    "Action": REQUIRED_ACTIONS,
    "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
}
ONLY_TLS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (policy(ALLOW), []),
        (policy(ALLOW, ONLY_TLS), []),
        (policy(ALLOW | {"Action": "s3:*", "Principal": "*"}), []),
        ("", EVERY_ACTION),
        (
            policy(ALLOW | {"Principal": {"Service": "eu-west-1.elasticache-snapshot.amazonaws.com"}}),
            EVERY_ACTION,
        ),
        (
            policy(ALLOW | {"Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}}}),
            EVERY_ACTION,
        ),
        (
            policy(ALLOW | {"Resource": "arn:aws:s3:::b"}),
            ["s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
        ),
        (
            policy(ALLOW, ONLY_TLS | {"Action": "s3:PutObject", "Condition": {"Null": {"s3:if-none-match": "true"}}}),
            ["s3:PutObject"],
        ),
    ],
)
def test_the_buckets_policy_is_read_as_the_service_would(text: str, missing: list[str]) -> None:
    found = find_missing_grants(text, "b", "x-0001.rdb", PRINCIPAL)
    assert sorted(action for actions in found.values() for action in actions) == missing
