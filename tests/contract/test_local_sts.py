"""The stand-in for STS gives credentials to those alone whom a role trusts, and they are worth its policies."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.permissions.roles import access_key_of
from tests.local_cloud.server import ACCOUNT_ID, LocalCloud

CALLER = f"arn:aws:iam::{ACCOUNT_ID}:role/caller"
WORD = "said-beforehand"


def allow(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def vault_role(cloud: LocalCloud) -> str:
    """A role that the caller may assume with a word, and that may list one bucket."""
    iam = cloud.client("iam")
    trust: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": CALLER}, "Action": "sts:AssumeRole"}
    trust["Condition"] = {"StringEquals": {"sts:ExternalId": WORD}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role: str = iam.create_role(RoleName="of-a-vault", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.put_role_policy(
        RoleName="of-a-vault", PolicyName="list", PolicyDocument=allow("s3:ListBucket", "arn:aws:s3:::theirs")
    )
    iam.create_role(RoleName="caller", AssumeRolePolicyDocument=document)
    iam.put_role_policy(RoleName="caller", PolicyName="assume", PolicyDocument=allow("sts:AssumeRole", role))
    for bucket in ("theirs", "not-theirs"):
        cloud.client("s3").create_bucket(Bucket=bucket)
    return role


def assume(cloud: LocalCloud, role: str, **more: str) -> Any:
    caller = boto3.Session(access_key_of(CALLER), "test", region_name=cloud.region)
    client = caller.client("sts", endpoint_url=cloud.endpoint_url)
    return client.assume_role(RoleArn=role, RoleSessionName="rdbkeeper", **more)["Credentials"]


def test_a_role_is_assumed_by_who_says_the_word_and_nobody_else(cloud: LocalCloud, vault_role: str) -> None:
    assert assume(cloud, vault_role, ExternalId=WORD)["AccessKeyId"]
    for wrong in ({}, {"ExternalId": "another"}):
        with pytest.raises(ClientError, match="AccessDenied"):
            assume(cloud, vault_role, **wrong)
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.client("sts").assume_role(RoleArn=f"{vault_role}-2", RoleSessionName="rdbkeeper")


def test_what_is_signed_with_the_credentials_is_held_against_the_role(cloud: LocalCloud, vault_role: str) -> None:
    found = assume(cloud, vault_role, ExternalId=WORD)
    session = boto3.Session(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    s3 = session.client("s3", region_name=cloud.region, endpoint_url=cloud.endpoint_url)
    assert s3.list_objects_v2(Bucket="theirs")["KeyCount"] == 0
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket="not-theirs")
