"""Clusters and snapshots of the local MemoryDB, as an unchanged boto3 sees them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from tests.contract.elasticache_place import wait_for
from tests.contract.managed_place import refusal
from tests.contract.memorydb_place import Place, place

__all__ = ["place"]

LONG_AGO = datetime(2026, 3, 1, 2, 15, tzinfo=UTC)
TAGS = [{"Key": "rdbkeeper:stack", "Value": "one"}, {"Key": "rdbkeeper:rule", "Value": "nightly"}]


def test_clusters_are_listed_and_their_shards_only_when_asked_for(place: Place) -> None:
    (cluster,) = place.memorydb.describe_clusters(ClusterName="LEDGER")["Clusters"]
    assert (cluster["Name"], cluster["Status"], cluster["NumberOfShards"]) == ("ledger", "available", 2)
    assert cluster["ARN"] == "arn:aws:memorydb:us-east-1:000000000000:cluster/ledger"
    assert (cluster["SnapshotRetentionLimit"], cluster["DataTiering"]) == (3, "false")
    assert cluster["ClusterEndpoint"]["Port"] == place.guard.ports("ledger")[0]
    assert "Shards" not in cluster
    (shown,) = place.memorydb.describe_clusters(ClusterName="ledger", ShowShardDetails=True)["Clusters"]
    assert [shard["Slots"] for shard in shown["Shards"]] == ["0-8191", "8192-16383"]
    assert [node["Name"] for node in shown["Shards"][1]["Nodes"]] == ["ledger-0002-001", "ledger-0002-002"]


def test_a_snapshot_is_creating_at_first_and_its_shards_say_when_they_were_taken(place: Place) -> None:
    place.guard.hold_snapshots(True)
    try:
        created = place.create("Ledger-Now", Tags=TAGS)
        assert (created["Name"], created["Status"], created["Source"]) == ("ledger-now", "creating", "manual")
        assert all("SnapshotCreationTime" not in shard for shard in created["ClusterConfiguration"]["Shards"])
        (cluster,) = place.memorydb.describe_clusters(ClusterName="ledger")["Clusters"]
        assert cluster["Status"] == "snapshotting"
        assert refusal(place.create, name="ledger-again")[0] == "InvalidClusterStateFault"
        assert refusal(place.memorydb.delete_cluster, ClusterName="ledger")[0] == "InvalidClusterStateFault"
        assert refusal(place.export, source="ledger-now", target="early")[0] == "InvalidSnapshotStateFault"
        assert refusal(place.memorydb.delete_snapshot, SnapshotName="ledger-now")[0] == "InvalidSnapshotStateFault"
    finally:
        place.guard.hold_snapshots(False)
    place.wait_until_available("ledger-now")
    shards = place.snapshot("ledger-now")["ClusterConfiguration"]["Shards"]
    assert [(shard["Name"], shard["Configuration"]["ReplicaCount"]) for shard in shards] == [("0001", 1), ("0002", 1)]
    for shard in shards:
        assert abs(datetime.now(UTC) - shard["SnapshotCreationTime"]) < timedelta(seconds=30)
        assert shard["Size"].endswith(" MB")


def test_without_show_detail_nothing_says_when_a_snapshot_was_taken(place: Place) -> None:
    name = place.guard.take_manual_backup("ledger-brief", "ledger", LONG_AGO)
    brief = place.snapshot(name, detail=False)
    assert brief["ClusterConfiguration"]["NumShards"] == 2
    assert "Shards" not in brief["ClusterConfiguration"]
    assert "2026" not in str(brief)
    shards = place.snapshot(name)["ClusterConfiguration"]["Shards"]
    assert [shard["SnapshotCreationTime"] for shard in shards] == [LONG_AGO, LONG_AGO + timedelta(seconds=1)]


def test_tags_are_kept_until_the_snapshot_goes(place: Place) -> None:
    arn = place.create("ledger-tagged", Tags=TAGS)["ARN"]
    assert arn == "arn:aws:memorydb:us-east-1:000000000000:snapshot/ledger-tagged"
    place.wait_until_available("ledger-tagged")
    assert place.memorydb.list_tags(ResourceArn=arn)["TagList"] == TAGS
    place.memorydb.tag_resource(ResourceArn=arn, Tags=[{"Key": "more", "Value": "yes"}])
    place.memorydb.untag_resource(ResourceArn=arn, TagKeys=["rdbkeeper:rule"])
    assert refusal(place.memorydb.untag_resource, ResourceArn=arn, TagKeys=["never"])[0] == "TagNotFoundFault"
    assert {tag["Key"] for tag in place.memorydb.list_tags(ResourceArn=arn)["TagList"]} == {"rdbkeeper:stack", "more"}
    place.memorydb.delete_snapshot(SnapshotName="ledger-tagged")
    assert refusal(place.memorydb.list_tags, ResourceArn=arn)[0] == "SnapshotNotFoundFault"
    place.guard.take_manual_backup("ledger-tagged", "ledger")
    assert place.memorydb.list_tags(ResourceArn=arn)["TagList"] == []


def test_snapshots_are_paged_and_filtered_by_source(place: Place) -> None:
    names = {place.guard.take_automatic_backup("ledger", LONG_AGO + timedelta(days=day)) for day in range(7)}
    assert "automatic.ledger-2026-03-01-02-15" in names
    asked = {"ClusterName": "ledger", "Source": "system"}
    first = place.memorydb.describe_snapshots(**asked, MaxResults=3)
    assert (len(first["Snapshots"]), bool(first["NextToken"])) == (3, True)
    pages = place.memorydb.get_paginator("describe_snapshots").paginate(**asked, PaginationConfig={"PageSize": 3})
    listed = [snapshot["Name"] for page in pages for snapshot in page["Snapshots"]]
    assert (set(listed), len(listed)) == (names, 7)
    manual = place.memorydb.describe_snapshots(ClusterName="ledger", Source="user")["Snapshots"]
    assert {snapshot["Source"] for snapshot in manual} <= {"manual"}
    assert place.memorydb.describe_snapshots(ClusterName="no-such")["Snapshots"] == []


def test_a_snapshot_that_fails_or_is_held_says_so(place: Place) -> None:
    place.guard.fail_snapshots()
    place.create("ledger-failed")
    wait_for(lambda: place.snapshot("ledger-failed")["Status"] == "failed")
    place.guard.hold_snapshots(True)
    try:
        place.create("ledger-held")
        with pytest.raises(AssertionError, match="waited in vain"):
            wait_for(lambda: place.snapshot("ledger-held")["Status"] != "creating", timeout_s=0.6)
    finally:
        place.guard.hold_snapshots(False)
    place.wait_until_available("ledger-held")


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("describe_clusters", {"ClusterName": "no"}, "ClusterNotFoundFault"),
        ("describe_clusters", {"MaxResults": 0}, "InvalidParameterValueException"),
        ("describe_clusters", {"NextToken": "!"}, "InvalidParameterValueException"),
        ("describe_snapshots", {"SnapshotName": "no"}, "SnapshotNotFoundFault"),
        ("describe_snapshots", {"Source": "manual"}, "InvalidParameterValueException"),
        ("create_snapshot", {"ClusterName": "no", "SnapshotName": "x"}, "ClusterNotFoundFault"),
        ("create_snapshot", {"ClusterName": "ledger", "SnapshotName": "a.b"}, "InvalidParameterValueException"),
        ("create_snapshot", {"ClusterName": "ledger", "SnapshotName": "x" * 41}, "InvalidParameterValueException"),
        ("create_snapshot", {"ClusterName": "ledger", "SnapshotName": ""}, "InvalidParameterValueException"),
        ("delete_snapshot", {"SnapshotName": "no"}, "SnapshotNotFoundFault"),
        ("copy_snapshot", {"SourceSnapshotName": "a", "TargetSnapshotName": "b"}, "InvalidParameterValueException"),
        ("list_tags", {"ResourceArn": "arn:aws:s3:::x"}, "InvalidARNFault"),
        ("list_tags", {"ResourceArn": "arn:aws:memorydb:us-east-1:000000000000:cluster/no"}, "ClusterNotFoundFault"),
        ("describe_events", {}, "UnknownOperationException"),
        (
            "create_cluster",
            {"ClusterName": "x", "ACLName": "a", "NodeType": "db.r6gd.xlarge"},
            "InvalidParameterCombinationException",
        ),
    ],
)
def test_errors_carry_the_services_own_codes(
    place: Place, operation: str, parameters: dict[str, Any], code: str
) -> None:
    assert refusal(getattr(place.memorydb, operation), **parameters)[0] == code


def test_errors_are_raised_as_the_models_exceptions(place: Place) -> None:
    with pytest.raises(place.memorydb.exceptions.SnapshotNotFoundFault) as caught:
        place.memorydb.describe_snapshots(SnapshotName="no-such")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        ("AmazonMemoryDB.Nothing", b"{}", "UnknownOperationException"),
        ("AmazonElastiCache.CreateSnapshot", b"{}", "UnknownOperationException"),
        ("AmazonMemoryDB.CreateSnapshot", b"no json", "SerializationException"),
        ("AmazonMemoryDB.CreateSnapshot", b'{"ClusterName": "a"}', "InvalidParameterValueException"),
        ("AmazonMemoryDB.DescribeClusters", b'{"MaxResults": true}', "SerializationException"),
        ("AmazonMemoryDB.DescribeClusters", b'{"MaxRecords": 20}', "SerializationException"),
    ],
)
def test_what_the_model_does_not_know_is_refused(place: Place, target: str, body: bytes, code: str) -> None:
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    request = Request(EnvironBuilder(method="POST", data=body, headers=headers).get_environ())
    answer = place.guard.handle(request, lambda _: Response())
    assert (answer.status_code, json.loads(answer.get_data())["__type"]) == (400, code)


def test_a_call_is_denied_or_throttled_as_a_test_says(place: Place) -> None:
    place.guard.deny("DescribeClusters")
    code, message = refusal(place.memorydb.describe_clusters)
    assert (code, "memorydb:DescribeClusters" in message) == ("AccessDeniedException", True)
    place.guard.allow("DescribeClusters")
    place.guard.throttle("DescribeClusters", times=1)
    assert refusal(place.memorydb.describe_clusters)[0] == "ThrottlingException"
    assert place.memorydb.describe_clusters()["Clusters"]


def test_another_region_is_refused(place: Place) -> None:
    elsewhere = {"X-Amz-Target": "AmazonMemoryDB.DescribeClusters", "Content-Type": "application/x-amz-json-1.1"}
    elsewhere["Authorization"] = "AWS4-HMAC-SHA256 Credential=test/20261121/eu-west-1/memorydb/aws4_request"
    request = Request(EnvironBuilder(method="POST", data=b"{}", headers=elsewhere).get_environ())
    answer = place.guard.handle(request, lambda _: Response())
    assert json.loads(answer.get_data())["__type"] == "OptInRequired"


def test_the_quota_of_manual_snapshots_is_kept(place: Place) -> None:
    place.memorydb.create_cluster(
        ClusterName="counted", NodeType="db.t4g.small", ACLName="open-access", SnapshotRetentionLimit=1
    )
    for number in range(19):
        place.guard.take_manual_backup(f"counted-{number}", "counted")
    place.guard.take_manual_backup("counted-long-ago", "counted", LONG_AGO)
    place.memorydb.create_snapshot(SnapshotName="counted-20", ClusterName="counted")
    place.wait_until_available("counted-20")
    place.memorydb.delete_snapshot(SnapshotName="counted-20")
    over = {"SnapshotName": "counted-over", "ClusterName": "counted"}
    assert refusal(place.memorydb.create_snapshot, **over)[0] == "SnapshotQuotaExceededFault"
    place.guard.take_automatic_backup("counted", LONG_AGO)
    place.memorydb.delete_cluster(ClusterName="counted")
    assert place.memorydb.describe_snapshots(ClusterName="counted", Source="system")["Snapshots"] == []
    assert len(place.memorydb.describe_snapshots(ClusterName="counted")["Snapshots"]) == 20
    with pytest.raises(ClientError):
        place.memorydb.describe_clusters(ClusterName="counted")
