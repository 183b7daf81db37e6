"""The local ElastiCache and its instances, asked by an unchanged boto3; its servers are real."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.elasticache_place import LONG_AGO, Place, place, refused
from tests.local_cloud.engines import find_server

__all__ = ["place"]


def test_a_cluster_mode_group_is_listed_with_its_shards_slots_and_members(place: Place) -> None:
    group = place.cache.describe_replication_groups(ReplicationGroupId="ORDERS")["ReplicationGroups"][0]
    assert (group["ClusterEnabled"], group["ClusterMode"], group["Status"]) == (True, "enabled", "available")
    assert [(each["NodeGroupId"], each["Slots"]) for each in group["NodeGroups"]] == [
        ("0001", "0-8191"),
        ("0002", "8192-16383"),
    ]
    assert group["MemberClusters"] == [
        "orders-0001-001",
        "orders-0001-002",
        "orders-0002-001",
        "orders-0002-002",
    ]
    assert (group["SnapshotRetentionLimit"], group["SnapshotWindow"]) == (3, "02:00-03:00")
    assert "EngineVersion" not in group
    assert "SnapshottingClusterId" not in group
    assert group["ConfigurationEndpoint"] == {"Address": "127.0.0.1", "Port": place.guard.ports("orders")[0]}
    assert place.guard.engines("orders")[1].command("CLUSTER INFO")["cluster_state"] == "ok"


def test_a_group_without_cluster_mode_has_one_node_group_without_slots(place: Place) -> None:
    group = place.cache.describe_replication_groups(ReplicationGroupId="sessions")["ReplicationGroups"][0]
    assert (group["ClusterEnabled"], group["SnapshottingClusterId"]) == (False, "sessions-002")
    (node_group,) = group["NodeGroups"]
    assert "Slots" not in node_group
    assert [member["CurrentRole"] for member in node_group["NodeGroupMembers"]] == ["primary", "replica"]


def test_members_tell_the_engine_version_and_stand_alone_clusters_can_be_asked_for(place: Place) -> None:
    everything = {each["CacheClusterId"]: each for each in place.cache.describe_cache_clusters()["CacheClusters"]}
    assert everything["orders-0002-001"]["EngineVersion"] == "7.1"
    assert everything["orders-0002-001"]["ReplicationGroupId"] == "orders"
    assert everything["orders-0001-001"]["CacheParameterGroup"]["CacheParameterGroupName"] == (
        "default.redis7.cluster.on"
    )
    assert everything["sessions-001"]["EngineVersion"] == find_server().version_text
    assert "CacheNodes" not in everything["pages"]
    alone = place.cache.describe_cache_clusters(ShowCacheClustersNotInReplicationGroups=True, ShowCacheNodeInfo=True)[
        "CacheClusters"
    ]
    assert [(each["CacheClusterId"], each["Engine"]) for each in alone] == [
        ("pages", "memcached"),
        ("scratch", "redis"),
    ]
    assert [len(each["CacheNodes"]) for each in alone] == [2, 1]


def test_retention_can_be_modified_and_tags_are_kept(place: Place) -> None:
    place.cache.modify_replication_group(ReplicationGroupId="sessions", SnapshotRetentionLimit=0, ApplyImmediately=True)
    group = place.cache.describe_replication_groups(ReplicationGroupId="sessions")["ReplicationGroups"][0]
    assert group["SnapshotRetentionLimit"] == 0
    with pytest.raises(ValueError, match="no automatic backups"):
        place.guard.take_automatic_backup("sessions")
    place.cache.modify_replication_group(ReplicationGroupId="sessions", SnapshotRetentionLimit=7)
    arn = "arn:aws:elasticache:us-east-1:000000000000:replicationgroup:orders"
    place.cache.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "stage", "Value": "test"}])
    tags = place.cache.list_tags_for_resource(ResourceName=arn)["TagList"]
    assert tags == [{"Key": "team", "Value": "shop"}, {"Key": "stage", "Value": "test"}]


def test_a_status_that_is_set_is_answered_and_keeps_the_instance_as_it_is(place: Place) -> None:
    place.guard.set_status("orders", "modifying")
    place.guard.set_status("scratch", "deleting")
    (group,) = place.cache.describe_replication_groups(ReplicationGroupId="orders")["ReplicationGroups"]
    statuses = {
        each["CacheClusterId"]: each["CacheClusterStatus"]
        for each in place.cache.describe_cache_clusters()["CacheClusters"]
    }
    assert group["Status"] == statuses["orders-0001-001"] == "modifying"
    assert (statuses["scratch"], statuses["sessions-001"]) == ("deleting", "available")
    for call, code in (
        (lambda: place.cache.delete_replication_group(ReplicationGroupId="orders"), "InvalidReplicationGroupState"),
        (lambda: place.cache.delete_cache_cluster(CacheClusterId="scratch"), "InvalidCacheClusterState"),
    ):
        assert refused(call)[0] == code
    for instance in ("orders", "scratch"):
        place.guard.set_status(instance, None)
    (group,) = place.cache.describe_replication_groups(ReplicationGroupId="orders")["ReplicationGroups"]
    assert group["Status"] == "available"


def test_a_deleted_group_stops_its_servers_and_loses_only_its_automatic_backups(place: Place) -> None:
    place.cache.create_replication_group(
        ReplicationGroupId="brief",
        ReplicationGroupDescription="soon gone",
        CacheNodeType="cache.t4g.micro",
        SnapshotRetentionLimit=1,
    )
    (engine,) = place.guard.engines("brief")
    automatic = place.guard.take_automatic_backup("brief", LONG_AGO)
    assert automatic == "automatic.brief-001-2026-03-01-02-15"
    place.guard.take_manual_backup("brief-kept", "brief")
    answer = place.cache.delete_replication_group(ReplicationGroupId="brief")
    assert answer["ReplicationGroup"]["Status"] == "deleting"
    assert engine.process_id is None
    left = place.cache.describe_snapshots(CacheClusterId="brief-001")["Snapshots"]
    assert [each["SnapshotName"] for each in left] == ["brief-kept"]
    assert refused(place.cache.describe_replication_groups, ReplicationGroupId="brief")[0] == (
        "ReplicationGroupNotFoundFault"
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ReplicationGroupId": "orders"}, "ReplicationGroupAlreadyExists"),
        ({"ReplicationGroupId": "a--b"}, "InvalidParameterValue"),
        ({"Engine": "memcached"}, "InvalidParameterValue"),
        ({"CacheNodeType": "large"}, "InvalidParameterValue"),
        ({"SnapshotRetentionLimit": 36}, "InvalidParameterValue"),
        ({"SnapshotWindow": "daily"}, "InvalidParameterValue"),
        ({"NumNodeGroups": 2}, "InvalidParameterValue"),
        ({"NumNodeGroups": 2, "ClusterMode": "disabled"}, "InvalidParameterCombination"),
        ({"NumNodeGroups": 90, "AutomaticFailoverEnabled": True}, "NodeGroupsPerReplicationGroupQuotaExceeded"),
        ({"NumCacheClusters": 7}, "InvalidParameterValue"),
        ({"AutomaticFailoverEnabled": True}, "InvalidParameterCombination"),
        ({"SnapshotName": "restore-is-not-done-here"}, "InvalidParameterValue"),
    ],
)
def test_a_group_that_the_service_would_not_make_is_refused(place: Place, changes: dict[str, Any], code: str) -> None:
    whole = {
        "ReplicationGroupId": "other",
        "ReplicationGroupDescription": "-",
        "CacheNodeType": "cache.t4g.micro",
    } | changes
    assert refused(place.cache.create_replication_group, **whole)[0] == code
