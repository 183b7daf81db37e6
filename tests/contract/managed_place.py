"""Buckets, waiting and refusals, as the tests of every local managed service need them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.dataset import Digest, digest
from tests.local_cloud.engines import load
from tests.local_cloud.managed.bucket_policy import REQUIRED

REQUIRED_ACTIONS = [action for _, action, _ in REQUIRED]


def make_export_bucket(
    s3: Any, bucket: str, principal: str, actions: Sequence[str] = REQUIRED_ACTIONS, ownership: str = ""
) -> None:
    """Make a bucket that a service may export to; ownership: its Object Ownership, if it states one."""
    s3.create_bucket(Bucket=bucket)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": principal},
        "Action": list(actions),
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    if ownership:
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]})


def refusal(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    """Return the code and the sentence with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def keys_in(s3: Any, bucket: str, prefix: str = "") -> list[str]:
    """Return the keys in a bucket."""
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())]


def digest_of(s3: Any, bucket: str, key: str) -> Digest:
    """Return what a second server holds that has loaded an exported object."""
    with tempfile.TemporaryDirectory() as directory:
        rdb = Path(directory) / "exported.rdb"
        rdb.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        with load(rdb) as copy:
            return digest(copy.port)
