"""Whose a backup is, how an instance is, and how large a backup is, from ElastiCache's answers."""

from __future__ import annotations

from typing import Any

import pytest

from rdbkeeper.domain.backup import Instance
from rdbkeeper.sources.elasticache.answers import Owners, read_group, read_node


def make_instance(name: str, *members: str) -> Instance:
    return Instance("elasticache", name, "redis", "available", True, 7, "02:00-03:00", members)


PAIR = make_instance("pair", "pair-0001-001", "pair-0001-002")
SINGLE = make_instance("single", "single-001")
ALONE = make_instance("alone", "alone")
IDLE = make_instance("idle", "idle-001")
NODES = [*PAIR.members, *SINGLE.members, *ALONE.members, *IDLE.members, "single-003"]


@pytest.mark.parametrize(
    "filed_under, owner",
    [
        ({"ReplicationGroupId": "pair"}, "pair"),
        ({"ReplicationGroupId": "gone"}, None),
        ({"CacheClusterId": "single-001"}, "single"),
        ({"CacheClusterId": "single-002"}, "single"),  # a node that was replaced
        ({"CacheClusterId": "single-003"}, None),  # another instance that is named so
        ({"CacheClusterId": "single-01"}, None),
        ({"CacheClusterId": "alone"}, "alone"),
        ({"CacheClusterId": "alone-001"}, None),  # no group, so it never had such a node
        ({}, None),
    ],
)
def test_a_backup_is_of_the_instance_or_node_that_it_is_filed_under(
    filed_under: dict[str, Any], owner: str | None
) -> None:
    assert Owners([PAIR, SINGLE, ALONE, IDLE], NODES).find_owner(filed_under) == owner


def test_backups_are_counted_by_owner_in_any_state_and_strangers_are_not() -> None:
    snapshots = [
        {"CacheClusterId": "alone", "SnapshotStatus": "available"},
        {"CacheClusterId": "alone", "SnapshotStatus": "creating"},
        {"ReplicationGroupId": "pair", "SnapshotStatus": "failed"},
        {"ReplicationGroupId": "stranger", "SnapshotStatus": "available"},
    ]
    assert Owners([PAIR, ALONE, IDLE], NODES).count(snapshots) == {"alone": 2, "idle": 0, "pair": 1}


@pytest.mark.parametrize(
    "status, available",
    [
        ("available", True),
        ("modifying", True),
        ("snapshotting", True),
        ("rebooting cluster nodes", True),
        ("a word of next year", True),
        ("creating", False),
        ("create-failed", False),
        ("deleting", False),
        ("deleted", False),
        ("incompatible-network", False),
        ("restore-failed", False),
    ],
)
def test_an_instance_is_available_unless_its_status_rules_it_out(status: str, available: bool) -> None:
    group = read_group({"ReplicationGroupId": "pair", "Engine": "valkey", "Status": status}, {})
    node = read_node({"CacheClusterId": "alone", "Engine": "redis", "CacheClusterStatus": status})
    assert (group.status, group.available) == (node.status, node.available) == (status, available)


@pytest.mark.parametrize("said", ["enabled", "disabled"])
def test_a_group_says_whether_it_tiers_its_data_and_a_node_does_not(said: str) -> None:
    assert read_group({"ReplicationGroupId": "pair", "DataTiering": said}, {}).data_tiering == said
    assert read_node({"CacheClusterId": "alone", "Engine": "redis"}).data_tiering == ""
