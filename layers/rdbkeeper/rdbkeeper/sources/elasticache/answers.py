"""What ElastiCache's answers say: instances, backups, and which backup is whose.

Where the API reference is silent, this is safe either way:

- With cluster mode off a backup is filed under a node, with cluster mode on under the group: both are matched.
- Any status of a backup but `available` and `failed` counts as in progress.
- Any status of an instance that is not known to rule it out counts as available: the service itself says no.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

from rdbkeeper.domain.backup import Backup, EngineFacts, Instance, Shard
from rdbkeeper.sources.backup_answers import join_sizes, state_of

PROVIDER = "elasticache"
ENGINES = ("redis", "valkey")
# ReplicationGroup.Status and CacheCluster.CacheClusterStatus, and what the service's waiters take for a failure. In
# `modifying`, `snapshotting` and `rebooting cluster nodes` backups can be listed and exported as ever.
UNAVAILABLE = frozenset(
    {
        "creating",
        "create-failed",
        "deleting",
        "deleted",
        "incompatible-network",
        "incompatible-parameters",
        "restore-failed",
    }
)
_MEMBER = re.compile(r"(.+)-[0-9]{3}")


def read_group(group: dict[str, Any], engines: dict[str, str]) -> Instance:
    """A replication group; `engines` are the nodes' by their ids, for where the group itself says none."""
    members = tuple(group.get("MemberClusters", ()))
    engine = group.get("Engine") or next((engines[member] for member in members if member in engines), "redis")
    return _instance(group, group["ReplicationGroupId"], engine, group.get("Status", ""), members)


def read_node(node: dict[str, Any]) -> Instance:
    """A node that belongs to no replication group."""
    name = node["CacheClusterId"]
    return _instance(node, name, node["Engine"], node.get("CacheClusterStatus", ""), (name,))


def _instance(answer: dict[str, Any], name: str, engine: str, status: str, members: tuple[str, ...]) -> Instance:
    return Instance(
        provider=PROVIDER,
        name=name,
        engine=engine,
        status=status,
        available=status not in UNAVAILABLE,
        backup_retention_days=int(answer.get("SnapshotRetentionLimit") or 0),
        backup_window=answer.get("SnapshotWindow", ""),
        members=members,
        data_tiering=answer.get("DataTiering", ""),
    )


def find_what_to_back_up(name: str, group: dict[str, Any] | None) -> dict[str, str]:
    """What CreateSnapshot is to back up: a whole group in cluster mode, or else one node ("Taking manual backups").

    That is the node that the daily backups are taken of, or a replica, so that the primary is spared.
    """
    if group is None:
        return {"CacheClusterId": name}
    if group.get("ClusterEnabled"):
        return {"ReplicationGroupId": name}
    if node := group.get("SnapshottingClusterId"):
        return {"CacheClusterId": node}
    members = [member for nodes in group.get("NodeGroups", ()) for member in nodes.get("NodeGroupMembers", ())]
    replicas = [member["CacheClusterId"] for member in members if member.get("CurrentRole") == "replica"]
    nodes = [*replicas, *group.get("MemberClusters", ())]
    return {"CacheClusterId": nodes[0]} if nodes else {"ReplicationGroupId": name}


class Owners:
    """Tells whose a backup is: the instance that it, one of its nodes, or a node that it no longer has was backed up.

    `nodes` are all that exist: one that exists and is no member is another instance, whatever its name looks like.
    """

    def __init__(self, instances: Iterable[Instance], nodes: Iterable[str]) -> None:
        listed = list(instances)
        self._names = {instance.name for instance in listed}
        self._groups = {instance.name for instance in listed if instance.name not in instance.members}
        self._by_member = {member: instance.name for instance in listed for member in instance.members}
        self._nodes = frozenset(nodes)

    def find_owner(self, snapshot: dict[str, Any]) -> str | None:
        """The name of the instance that a backup is of, or None when it is of none of these."""
        if group := snapshot.get("ReplicationGroupId"):
            return group if group in self._names else None
        node = snapshot.get("CacheClusterId", "")
        if node in self._by_member:
            return self._by_member[node]
        named_like = _MEMBER.fullmatch(node)
        if named_like and named_like[1] in self._groups and node not in self._nodes:
            return named_like[1]
        return None

    def count(self, snapshots: Iterable[dict[str, Any]]) -> dict[str, int]:
        """How many backups each instance has, by name; 0 where it has none."""
        counted = Counter(self.find_owner(snapshot) for snapshot in snapshots)
        return {name: counted[name] for name in sorted(self._names)}


def is_available(snapshot: dict[str, Any]) -> bool:
    """Whether nothing is being done with a backup."""
    return bool(snapshot.get("SnapshotStatus") == "available")


def read_backup(snapshot: dict[str, Any], instance: str) -> Backup:
    """A backup of that instance."""
    nodes = sorted(snapshot.get("NodeSnapshots", ()), key=lambda node: node.get("NodeGroupId", ""))
    times = [node["SnapshotCreateTime"].astimezone(UTC) for node in nodes if node.get("SnapshotCreateTime")]
    complete = is_available(snapshot) and len(times) == len(nodes) > 0
    failed = snapshot.get("SnapshotStatus") == "failed"
    return Backup(
        provider=PROVIDER,
        instance=instance,
        backup_id=snapshot["SnapshotName"],
        state=state_of(is_complete=complete, has_failed=failed),
        automatic=snapshot.get("SnapshotSource") == "automated",
        taken_at=min(times) if times else None,
        shards=_shards(nodes),
        engine=_engine_facts(snapshot, nodes),
        source_size=join_sizes([node.get("CacheSize") or "" for node in nodes]),
    )


def _shards(nodes: Sequence[dict[str, Any]]) -> tuple[Shard, ...]:
    return tuple(
        Shard(node.get("NodeGroupId") or f"{at:04d}", node.get("NodeGroupConfiguration", {}).get("Slots", ""))
        for at, node in enumerate(nodes, start=1)
    )


def _engine_facts(snapshot: dict[str, Any], nodes: Sequence[dict[str, Any]]) -> EngineFacts:
    configuration = nodes[0].get("NodeGroupConfiguration", {}) if nodes else {}
    return EngineFacts(
        engine=snapshot.get("Engine", ""),
        engine_version=snapshot.get("EngineVersion", ""),
        node_type=snapshot.get("CacheNodeType", ""),
        parameter_group=snapshot.get("CacheParameterGroupName", ""),
        shard_count=int(snapshot.get("NumNodeGroups") or len(nodes) or 1),
        cluster_mode=bool(snapshot.get("ReplicationGroupId")) and not snapshot.get("CacheClusterId"),
        replicas_per_shard=int(configuration.get("ReplicaCount") or 0),
        port=int(snapshot.get("Port") or 0),
        subnet_group=snapshot.get("CacheSubnetGroupName", ""),
        automatic_failover=snapshot.get("AutomaticFailover", ""),
        data_tiering=snapshot.get("DataTiering", ""),
    )
