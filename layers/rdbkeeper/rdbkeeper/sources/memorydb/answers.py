"""What MemoryDB's answers say: clusters, and their backups.

Where the API reference is silent, this is safe either way: any status of a backup but `available` and one that says
that it failed counts as in progress; any status of a cluster that is not known to rule it out counts as available.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from rdbkeeper.domain.backup import Backup, EngineFacts, Instance, Shard
from rdbkeeper.sources.backup_answers import join_sizes, state_of

PROVIDER = "memorydb"
# Cluster.Status: the reference names some in capitals, the guide in small letters.
_UNAVAILABLE = frozenset({"creating", "create-failed", "deleting", "deleted", "restore-failed"})


def read_cluster(cluster: dict[str, Any]) -> Instance:
    """A cluster; it has cluster mode on in any case."""
    status = _status_of(cluster)
    return Instance(
        provider=PROVIDER,
        name=cluster["Name"],
        engine=str(cluster.get("Engine") or "redis").lower(),
        status=status,
        available=status not in _UNAVAILABLE,
        backup_retention_days=int(cluster.get("SnapshotRetentionLimit") or 0),
        backup_window=cluster.get("SnapshotWindow", ""),
        data_tiering=str(cluster.get("DataTiering", "")),
    )


def owner_of(snapshot: dict[str, Any]) -> str:
    """The name of the cluster that a backup is of; "" where it does not say."""
    return str(snapshot.get("ClusterConfiguration", {}).get("Name", ""))


def is_available(snapshot: dict[str, Any]) -> bool:
    """Whether nothing is being done with a backup."""
    return _status_of(snapshot) == "available"


def read_backup(snapshot: dict[str, Any]) -> Backup:
    """A backup, as it is described with all details: without them nothing says when its shards were taken."""
    configuration = snapshot.get("ClusterConfiguration", {})
    shards = sorted(configuration.get("Shards", ()), key=lambda shard: shard.get("Name", ""))
    times = [shard["SnapshotCreationTime"].astimezone(UTC) for shard in shards if shard.get("SnapshotCreationTime")]
    complete = is_available(snapshot) and len(times) == len(shards) > 0
    return Backup(
        provider=PROVIDER,
        instance=owner_of(snapshot),
        backup_id=snapshot["Name"],
        state=state_of(is_complete=complete, has_failed="fail" in _status_of(snapshot)),
        automatic=snapshot.get("Source") == "automated",
        taken_at=min(times) if times else None,
        shards=_shards(shards),
        engine=_engine_facts(snapshot, configuration, shards),
        source_size=join_sizes([shard.get("Size") or "" for shard in shards]),
    )


def _status_of(thing: dict[str, Any]) -> str:
    """The status of a cluster or a backup, in small letters."""
    return str(thing.get("Status", "")).lower()


def _shards(shards: Sequence[dict[str, Any]]) -> tuple[Shard, ...]:
    return tuple(
        Shard(shard.get("Name") or f"{at:04d}", shard.get("Configuration", {}).get("Slots", ""))
        for at, shard in enumerate(shards, start=1)
    )


def _engine_facts(
    snapshot: dict[str, Any], configuration: dict[str, Any], shards: Sequence[dict[str, Any]]
) -> EngineFacts:
    first = shards[0].get("Configuration", {}) if shards else {}
    return EngineFacts(
        engine=str(configuration.get("Engine") or "redis").lower(),
        engine_version=configuration.get("EngineVersion", ""),
        node_type=configuration.get("NodeType", ""),
        parameter_group=configuration.get("ParameterGroupName", ""),
        shard_count=int(configuration.get("NumShards") or len(shards) or 1),
        cluster_mode=True,
        replicas_per_shard=int(first.get("ReplicaCount") or 0),
        port=int(configuration.get("Port") or 0),
        subnet_group=configuration.get("SubnetGroupName", ""),
        data_tiering=str(snapshot.get("DataTiering", "")),
    )
