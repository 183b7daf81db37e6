"""What requests to the managed Redis services need to be allowed, and how tags of their resources decide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.contract.lambda_lab import trust
from tests.contract.managed_place import refusal
from tests.contract.sent_requests import call_of
from tests.local_cloud.managed.instances import make_memorydb_cluster, make_serverless_cache
from tests.local_cloud.permissions.calls import UnknownCallError
from tests.local_cloud.permissions.needs import Place
from tests.local_cloud.permissions.roles import access_key_of
from tests.local_cloud.permissions.table import needs_of
from tests.local_cloud.server import LocalCloud

HERE = Place("000000000000", "us-east-1")
TAGS = [{"Key": "rdbkeeper:stack", "Value": "one"}]
TAG_CONTEXT = {"aws:requesttag/rdbkeeper:stack": ("one",), "aws:tagkeys": ("rdbkeeper:stack",)}
CACHE = HERE.arn("elasticache", "serverlesscache:carts")
SERVERLESS = HERE.arn("elasticache", "serverlesscachesnapshot:night")
NODE_BASED = HERE.arn("elasticache", "snapshot:night")
CLUSTER = HERE.arn("memorydb", "cluster/ledger")
SNAPSHOT = HERE.arn("memorydb", "snapshot/night")
FILE = "arn:aws:s3:::staging/night-0001.rdb"

NEEDS = [
    ("elasticache", "create_snapshot", {"SnapshotName": "night", "ReplicationGroupId": "orders", "Tags": TAGS},
     [("CreateSnapshot", HERE.arn("elasticache", "replicationgroup:orders")), ("CreateSnapshot", NODE_BASED),
      ("AddTagsToResource", NODE_BASED)]),
    ("elasticache", "create_snapshot", {"SnapshotName": "night", "CacheClusterId": "orders-001"},
     [("CreateSnapshot", HERE.arn("elasticache", "cluster:orders-001")), ("CreateSnapshot", NODE_BASED)]),
    ("elasticache", "delete_snapshot", {"SnapshotName": "night"}, [("DeleteSnapshot", NODE_BASED)]),
    ("elasticache", "describe_events", {"SourceType": "serverless-cache-snapshot"}, [("DescribeEvents", "*")]),
    ("elasticache", "list_tags_for_resource", {"ResourceName": SERVERLESS}, [("ListTagsForResource", SERVERLESS)]),
    ("elasticache", "add_tags_to_resource", {"ResourceName": SERVERLESS, "Tags": TAGS},
     [("AddTagsToResource", SERVERLESS)]),
    ("elasticache", "describe_serverless_caches", {},
     [("DescribeServerlessCaches", HERE.arn("elasticache", "serverlesscache:*"))]),
    ("elasticache", "describe_serverless_cache_snapshots", {"ServerlessCacheName": "carts"},
     [("DescribeServerlessCacheSnapshots", HERE.arn("elasticache", "serverlesscachesnapshot:*")),
      ("DescribeServerlessCacheSnapshots", CACHE)]),
    ("elasticache", "describe_serverless_cache_snapshots", {"ServerlessCacheSnapshotName": "night"},
     [("DescribeServerlessCacheSnapshots", SERVERLESS)]),
    ("elasticache", "create_serverless_cache_snapshot",
     {"ServerlessCacheSnapshotName": "night", "ServerlessCacheName": "carts", "Tags": TAGS},
     [("CreateServerlessCacheSnapshot", CACHE), ("CreateServerlessCacheSnapshot", SERVERLESS),
      ("AddTagsToResource", SERVERLESS)]),
    ("elasticache", "delete_serverless_cache_snapshot", {"ServerlessCacheSnapshotName": "night"},
     [("DeleteServerlessCacheSnapshot", SERVERLESS)]),
    ("elasticache", "export_serverless_cache_snapshot",
     {"ServerlessCacheSnapshotName": "night", "S3BucketName": "staging"},
     [("ExportServerlessCacheSnapshot", SERVERLESS), ("s3:ListAllMyBuckets", "*"),
      ("s3:GetBucketLocation", "arn:aws:s3:::staging"), ("s3:GetBucketAcl", "arn:aws:s3:::staging"),
      ("s3:PutObject", FILE), ("s3:DeleteObject", FILE)]),
    ("memorydb", "describe_clusters", {}, [("DescribeClusters", HERE.arn("memorydb", "cluster/*"))]),
    ("memorydb", "describe_clusters", {"ClusterName": "ledger"}, [("DescribeClusters", CLUSTER)]),
    ("memorydb", "describe_snapshots", {"ClusterName": "ledger"},
     [("DescribeSnapshots", HERE.arn("memorydb", "snapshot/*"))]),
    ("memorydb", "create_snapshot", {"ClusterName": "ledger", "SnapshotName": "night", "Tags": TAGS},
     [("CreateSnapshot", CLUSTER), ("CreateSnapshot", SNAPSHOT), ("TagResource", SNAPSHOT)]),
    ("memorydb", "delete_snapshot", {"SnapshotName": "night"}, [("DeleteSnapshot", SNAPSHOT)]),
    ("memorydb", "list_tags", {"ResourceArn": SNAPSHOT}, [("ListTags", SNAPSHOT)]),
    ("memorydb", "tag_resource", {"ResourceArn": SNAPSHOT, "Tags": TAGS}, [("TagResource", SNAPSHOT)]),
    ("memorydb", "copy_snapshot",
     {"SourceSnapshotName": "other", "TargetSnapshotName": "night", "TargetBucket": "staging"},
     [("CopySnapshot", HERE.arn("memorydb", "snapshot/other")), ("CopySnapshot", SNAPSHOT),
      ("s3:ListAllMyBuckets", "*"), ("s3:GetBucketLocation", "arn:aws:s3:::staging"),
      ("s3:ListBucket", "arn:aws:s3:::staging"), ("s3:PutObject", FILE), ("s3:GetObject", FILE),
      ("s3:DeleteObject", FILE)]),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "parameters", "expected"), NEEDS)
def test_a_request_needs_its_actions_on_its_resources(
    service: str, operation: str, parameters: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    found = needs_of(call_of(service, operation, **parameters), HERE)
    whole = [(action if ":" in action else f"{service}:{action}", resource) for action, resource in expected]
    assert [(need.action, need.resource) for need in found] == whole
    own = [need.context for need in found if not need.action.startswith("s3:")]
    assert own == [TAG_CONTEXT if "Tags" in parameters else {}] * len(own)


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("elasticache", "create_snapshot", {"SnapshotName": "a", "CacheClusterId": "b", "KmsKeyId": "k"}),
        ("elasticache", "create_serverless_cache",
         {"ServerlessCacheName": "a", "Engine": "redis"}),
        ("memorydb", "copy_snapshot",
         {"SourceSnapshotName": "a", "TargetSnapshotName": "b", "TargetBucket": "c", "KmsKeyId": "k"}),
        ("memorydb", "create_cluster", {"ClusterName": "a", "NodeType": "b", "ACLName": "c"}),
    ],
)  # fmt: skip
def test_a_call_that_nobody_wrote_down_is_an_error(service: str, operation: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(UnknownCallError):
        needs_of(call_of(service, operation, **parameters), HERE)


@pytest.fixture
def keeper(cloud: LocalCloud) -> Iterator[Any]:
    """A session of a role that may delete only what carries its stack's tag."""
    statement = {
        "Effect": "Allow",
        "Action": ["elasticache:DeleteServerlessCacheSnapshot", "memorydb:DeleteSnapshot"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/rdbkeeper:stack": "one"}},
    }
    iam = cloud.client("iam")
    role = iam.create_role(RoleName="keeper", AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))["Role"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="keeper", PolicyName="may", PolicyDocument=policy)
    yield boto3.Session(access_key_of(role["Arn"]), "secret", region_name=cloud.region)
    iam.delete_role_policy(RoleName="keeper", PolicyName="may")
    iam.delete_role(RoleName="keeper")


def test_a_role_may_remove_only_the_backups_that_its_condition_names(cloud: LocalCloud, keeper: Any) -> None:
    make_serverless_cache(cloud, "carts", servers=1)
    make_memorydb_cluster(cloud, "ledger", shards=1)
    mine = cloud.elasticache.serverless.take_manual_backup("mine", "carts")
    others = cloud.elasticache.serverless.take_manual_backup("others", "carts")
    arn = HERE.arn("elasticache", f"serverlesscachesnapshot:{mine}")
    cloud.client("elasticache").add_tags_to_resource(ResourceName=arn, Tags=TAGS)
    kept, gone = (cloud.memorydb.take_manual_backup(name, "ledger") for name in ("kept", "gone"))
    cloud.client("memorydb").tag_resource(ResourceArn=HERE.arn("memorydb", f"snapshot/{gone}"), Tags=TAGS)
    once = {"endpoint_url": cloud.endpoint_url, "config": Config(retries={"total_max_attempts": 1})}
    elasticache, memorydb = keeper.client("elasticache", **once), keeper.client("memorydb", **once)
    delete = elasticache.delete_serverless_cache_snapshot
    assert refusal(delete, ServerlessCacheSnapshotName=others)[0] == "AccessDenied"
    assert delete(ServerlessCacheSnapshotName=mine)["ServerlessCacheSnapshot"]["Status"] == "deleting"
    assert refusal(memorydb.delete_snapshot, SnapshotName=kept)[0] == "AccessDeniedException"
    assert memorydb.delete_snapshot(SnapshotName=gone)["Snapshot"]["Status"] == "deleting"
    assert [each["Name"] for each in cloud.client("memorydb").describe_snapshots()["Snapshots"]] == [kept]
    elasticache.close()
    memorydb.close()
