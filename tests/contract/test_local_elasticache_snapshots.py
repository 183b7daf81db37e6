"""Snapshots of the local ElastiCache, and its errors, as an unchanged boto3 sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.elasticache_place import LONG_AGO, Place, export, place, refused, status_of, wait_for

__all__ = ["place"]


def test_a_snapshot_is_creating_at_first_and_then_says_when_each_shard_was_taken(place: Place) -> None:
    place.guard.hold_snapshots(True)
    try:
        created = place.cache.create_snapshot(SnapshotName="Orders-Now", ReplicationGroupId="orders")["Snapshot"]
        assert (created["SnapshotName"], created["SnapshotStatus"]) == ("orders-now", "creating")
        assert all("SnapshotCreateTime" not in node for node in created["NodeSnapshots"])
        group = place.cache.describe_replication_groups(ReplicationGroupId="orders")["ReplicationGroups"][0]
        assert group["Status"] == "snapshotting"
        second = {"SnapshotName": "orders-again", "ReplicationGroupId": "orders"}
        assert refused(place.cache.create_snapshot, **second)[0] == "InvalidReplicationGroupState"
        assert refused(export, place=place, source="orders-now", target="early")[0] == "InvalidSnapshotState"
    finally:
        place.guard.hold_snapshots(False)
    wait_for(lambda: status_of(place, "orders-now") == "available")
    (snapshot,) = place.cache.describe_snapshots(ReplicationGroupId="orders", SnapshotSource="user")["Snapshots"]
    assert (snapshot["SnapshotSource"], snapshot["NumNodeGroups"]) == ("manual", 2)
    assert [node["NodeGroupId"] for node in snapshot["NodeSnapshots"]] == ["0001", "0002"]
    for node in snapshot["NodeSnapshots"]:
        assert abs(datetime.now(UTC) - node["SnapshotCreateTime"]) < timedelta(seconds=30)
        assert node["CacheSize"].endswith(" MB")
        assert "NodeGroupConfiguration" not in node
    assert "CacheClusterId" not in snapshot
    (shown,) = place.cache.describe_snapshots(SnapshotName="orders-now", ShowNodeGroupConfig=True)["Snapshots"]
    assert [node["NodeGroupConfiguration"]["Slots"] for node in shown["NodeSnapshots"]] == [
        "0-8191",
        "8192-16383",
    ]


def test_without_cluster_mode_a_snapshot_belongs_to_a_node(place: Place) -> None:
    code, message = refused(place.cache.create_snapshot, SnapshotName="s1", ReplicationGroupId="sessions")
    assert (code, "CacheClusterId" in message) == ("InvalidParameterValue", True)
    place.cache.create_snapshot(SnapshotName="sessions-now", CacheClusterId="sessions-002")
    wait_for(lambda: status_of(place, "sessions-now") == "available")
    (snapshot,) = place.cache.describe_snapshots(SnapshotName="sessions-now")["Snapshots"]
    assert snapshot["CacheClusterId"] == "sessions-002"
    assert "ReplicationGroupId" not in snapshot
    assert "NumNodeGroups" not in snapshot
    assert set(snapshot["NodeSnapshots"][0]) == {
        "CacheNodeId",
        "CacheSize",
        "CacheNodeCreateTime",
        "SnapshotCreateTime",
    }
    assert place.cache.describe_snapshots(ReplicationGroupId="sessions")["Snapshots"] == []


def test_snapshots_are_paged_and_filtered_by_source(place: Place) -> None:
    names = [place.guard.take_automatic_backup("sessions", LONG_AGO + timedelta(days=day)) for day in range(45)]
    names += [place.guard.take_manual_backup("sessions-old", "sessions", LONG_AGO - timedelta(days=9))]
    own = {"CacheClusterId": "sessions-002"}
    first = place.cache.describe_snapshots(**own, SnapshotSource="system", MaxRecords=20)
    assert (len(first["Snapshots"]), "Marker" in first) == (20, True)
    pages = place.cache.get_paginator("describe_snapshots").paginate(**own, PaginationConfig={"PageSize": 20})
    listed = [snapshot for page in pages for snapshot in page["Snapshots"]]
    assert set(names) <= {snapshot["SnapshotName"] for snapshot in listed}
    assert len(listed) == len({snapshot["SnapshotName"] for snapshot in listed})
    manual = place.cache.describe_snapshots(**own, SnapshotSource="user")["Snapshots"]
    assert {snapshot["SnapshotSource"] for snapshot in manual} == {"manual"}
    taken = {each["SnapshotName"]: each["NodeSnapshots"][0]["SnapshotCreateTime"] for each in listed}
    assert taken["automatic.sessions-002-2026-03-01-02-15"] == LONG_AGO


def test_shards_of_a_backup_with_a_stated_time_follow_each_other(place: Place) -> None:
    name = place.guard.take_automatic_backup("orders", LONG_AGO)
    (snapshot,) = place.cache.describe_snapshots(SnapshotName=name)["Snapshots"]
    assert (name, snapshot["SnapshotSource"]) == ("automatic.orders-2026-03-01-02-15", "automated")
    assert [node["SnapshotCreateTime"] for node in snapshot["NodeSnapshots"]] == [
        LONG_AGO,
        LONG_AGO + timedelta(seconds=1),
    ]


def test_copying_a_snapshot_within_the_service_makes_a_manual_one(place: Place) -> None:
    name = place.guard.take_automatic_backup("orders", LONG_AGO - timedelta(days=1))
    parameters = {"SourceSnapshotName": name, "TargetSnapshotName": "orders-copied"}
    assert place.cache.copy_snapshot(**parameters)["Snapshot"]["SnapshotStatus"] == "copying"
    assert refused(place.cache.copy_snapshot, **parameters)[0] == "SnapshotAlreadyExistsFault"
    wait_for(lambda: status_of(place, "orders-copied") == "available")
    place.cache.delete_snapshot(SnapshotName=name)
    (copied,) = place.cache.describe_snapshots(SnapshotName="orders-copied")["Snapshots"]
    assert copied["SnapshotSource"] == "manual"
    assert refused(place.cache.delete_snapshot, SnapshotName=name)[0] == "SnapshotNotFoundFault"
    export(place, "orders-copied", "from-copied")
    wait_for(lambda: status_of(place, "orders-copied") == "available")


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("describe_snapshots", {"SnapshotName": "no-such"}, "SnapshotNotFoundFault"),
        ("describe_snapshots", {"CacheClusterId": "no-such"}, "CacheClusterNotFound"),
        ("describe_snapshots", {"MaxRecords": 19}, "InvalidParameterValue"),
        ("describe_snapshots", {"MaxRecords": 51}, "InvalidParameterValue"),
        ("describe_snapshots", {"Marker": "!"}, "InvalidParameterValue"),
        ("describe_snapshots", {"SnapshotSource": "automated"}, "InvalidParameterValue"),
        ("describe_replication_groups", {"MaxRecords": 101}, "InvalidParameterValue"),
        ("describe_cache_clusters", {"CacheClusterId": "no-such"}, "CacheClusterNotFound"),
        ("create_snapshot", {"SnapshotName": "x"}, "InvalidParameterCombination"),
        ("create_snapshot", {"SnapshotName": "x-", "CacheClusterId": "scratch"}, "InvalidParameterValue"),
        ("create_snapshot", {"SnapshotName": "1x", "CacheClusterId": "scratch"}, "InvalidParameterValue"),
        ("create_snapshot", {"SnapshotName": "a.b", "CacheClusterId": "scratch"}, "InvalidParameterValue"),
        ("create_snapshot", {"SnapshotName": "x" * 41, "CacheClusterId": "scratch"}, "InvalidParameterValue"),
        ("create_snapshot", {"SnapshotName": "x", "CacheClusterId": "pages"}, "SnapshotFeatureNotSupportedFault"),
        ("create_snapshot", {"SnapshotName": "x", "CacheClusterId": "orders-0001-001"}, "InvalidParameterValue"),
        ("create_snapshot", {"SnapshotName": "x", "CacheClusterId": "no-such"}, "CacheClusterNotFound"),
        ("create_snapshot", {"SnapshotName": "x", "ReplicationGroupId": "no"}, "ReplicationGroupNotFoundFault"),
        ("describe_users", {}, "InvalidAction"),
        ("list_tags_for_resource", {"ResourceName": "arn:aws:s3:::x"}, "InvalidARN"),
    ],
)
def test_errors_carry_the_services_own_codes(
    place: Place, operation: str, parameters: dict[str, Any], code: str
) -> None:
    assert refused(getattr(place.cache, operation), **parameters)[0] == code


def test_errors_are_raised_as_the_models_exceptions(place: Place) -> None:
    with pytest.raises(place.cache.exceptions.SnapshotNotFoundFault) as caught:
        place.cache.describe_snapshots(SnapshotName="no-such")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_the_quota_of_manual_snapshots_is_kept(place: Place) -> None:
    for number in range(20):
        place.guard.take_manual_backup(f"scratch-{number}", "scratch")
    over = {"SnapshotName": "scratch-over", "CacheClusterId": "scratch"}
    assert refused(place.cache.create_snapshot, **over)[0] == "SnapshotQuotaExceededFault"


def test_another_region_is_refused(place: Place) -> None:
    elsewhere = place.client("eu-west-1")
    assert refused(elsewhere.describe_snapshots)[0] == "OptInRequired"
