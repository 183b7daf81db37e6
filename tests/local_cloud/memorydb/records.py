"""What the stand-in knows of its clusters and snapshots, and how that looks in an answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from tests.local_cloud.engines import Engine

ZONE_SUFFIX = "a"
MAINTENANCE_WINDOW = "sun:23:00-mon:01:30"
ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Shard:
    """One shard: its slots, how many replicas it claims to have, and the server that is its primary."""

    name: str
    slots: str
    replica_count: int
    engine: Engine


@dataclass(frozen=True)
class Cluster:
    """A cluster; every one of MemoryDB is in cluster mode."""

    name: str
    arn: str
    description: str
    node_type: str
    engine: str
    engine_version: str
    parameter_group: str
    subnet_group: str
    acl_name: str
    tls: bool
    kms_key_id: str
    data_tiering: bool
    retention_days: int
    snapshot_window: str
    security_group_ids: tuple[str, ...]
    created_at: datetime
    shards: tuple[Shard, ...]

    @property
    def port(self) -> int:
        """Return the port of its endpoint, the first shard's."""
        return self.shards[0].engine.port


@dataclass(frozen=True)
class ShardSnapshot:
    """The part of a snapshot that one shard gave; without a time, a size and a file while it is creating."""

    name: str
    slots: str
    replica_count: int
    taken_at: datetime | None = None
    size: str | None = None
    rdb: Path | None = None


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of a whole cluster, as the cluster was then."""

    name: str
    arn: str
    status: str
    source: Literal["automated", "manual"]
    cluster: Cluster
    kms_key_id: str
    shards: tuple[ShardSnapshot, ...]


def describe_cluster(cluster: Cluster, status: str, region: str, *, with_shards: bool) -> dict[str, Any]:
    """Return a Cluster structure."""
    described: dict[str, Any] = {
        "Name": cluster.name,
        "Description": cluster.description,
        "Status": status,
        "NumberOfShards": len(cluster.shards),
        "AvailabilityMode": "multiaz" if cluster.shards[0].replica_count else "singleaz",
        "ClusterEndpoint": _endpoint(cluster.port),
        "NodeType": cluster.node_type,
        "Engine": cluster.engine,
        "EngineVersion": cluster.engine_version,
        "EnginePatchVersion": cluster.engine_version,
        "ParameterGroupName": cluster.parameter_group,
        "ParameterGroupStatus": "in-sync",
        "SecurityGroups": [
            {"SecurityGroupId": group_id, "Status": "active"} for group_id in cluster.security_group_ids
        ],
        "SubnetGroupName": cluster.subnet_group,
        "TLSEnabled": cluster.tls,
        "KmsKeyId": cluster.kms_key_id or None,
        "ARN": cluster.arn,
        "SnapshotRetentionLimit": cluster.retention_days,
        "MaintenanceWindow": MAINTENANCE_WINDOW,
        "SnapshotWindow": cluster.snapshot_window,
        "ACLName": cluster.acl_name,
        "AutoMinorVersionUpgrade": True,
        "DataTiering": _data_tiering(cluster),
    }
    if with_shards:
        described["Shards"] = [_describe_shard(cluster, shard, region) for shard in cluster.shards]
    return described


def _describe_shard(cluster: Cluster, shard: Shard, region: str) -> dict[str, Any]:
    nodes = [
        {
            "Name": f"{cluster.name}-{shard.name}-{number:03d}",
            "Status": "available",
            "AvailabilityZone": region + ZONE_SUFFIX,
            "CreateTime": cluster.created_at,
            "Endpoint": _endpoint(shard.engine.port),
        }
        for number in range(1, shard.replica_count + 2)
    ]
    return {
        "Name": shard.name,
        "Status": "available",
        "Slots": shard.slots,
        "Nodes": nodes,
        "NumberOfNodes": len(nodes),
    }


def describe_snapshot(snapshot: Snapshot, *, with_shards: bool) -> dict[str, Any]:
    """Return a Snapshot structure; nothing but its shards says when it was taken."""
    cluster = snapshot.cluster
    configuration: dict[str, Any] = {
        "Name": cluster.name,
        "Description": cluster.description,
        "NodeType": cluster.node_type,
        "Engine": cluster.engine,
        "EngineVersion": cluster.engine_version,
        "MaintenanceWindow": MAINTENANCE_WINDOW,
        "Port": cluster.port,
        "ParameterGroupName": cluster.parameter_group,
        "SubnetGroupName": cluster.subnet_group,
        "VpcId": "vpc-00000000",
        "SnapshotRetentionLimit": cluster.retention_days,
        "SnapshotWindow": cluster.snapshot_window,
        "NumShards": len(snapshot.shards),
    }
    if with_shards:
        configuration["Shards"] = [_describe_shard_snapshot(shard) for shard in snapshot.shards]
    return {
        "Name": snapshot.name,
        "Status": snapshot.status,
        "Source": snapshot.source,
        "KmsKeyId": snapshot.kms_key_id or None,
        "ARN": snapshot.arn,
        "ClusterConfiguration": configuration,
        "DataTiering": _data_tiering(cluster),
    }


def _describe_shard_snapshot(shard: ShardSnapshot) -> dict[str, Any]:
    return {
        "Name": shard.name,
        "Configuration": {"Slots": shard.slots, "ReplicaCount": shard.replica_count},
        "Size": shard.size,
        "SnapshotCreationTime": shard.taken_at,
    }


def _data_tiering(cluster: Cluster) -> str:
    # The model has a text here, though CreateCluster takes a boolean.
    return "true" if cluster.data_tiering else "false"


def _endpoint(port: int) -> dict[str, Any]:
    return {"Address": ADDRESS, "Port": port}
