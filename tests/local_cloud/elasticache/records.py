"""What the stand-in knows of its instances and snapshots, and how that looks in an answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from tests.local_cloud.engines import Engine

Kind = Literal["replication-group", "cache-cluster"]
ZONE_SUFFIX = "a"
MAINTENANCE_WINDOW = "sun:23:00-mon:01:30"
ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Shard:
    """One node group: its nodes, its slots if in cluster mode, and the server that is its primary."""

    node_group_id: str
    slots: str | None
    node_ids: tuple[str, ...]
    engine: Engine


@dataclass(frozen=True)
class Instance:
    """A replication group or a stand-alone cluster; a Memcached cluster has no shards and runs nothing."""

    kind: Kind
    instance_id: str
    arn: str
    description: str
    engine: str
    engine_version: str
    node_type: str
    parameter_group: str
    subnet_group: str
    cluster_mode: bool
    automatic_failover: bool
    shards: tuple[Shard, ...]
    node_count: int
    created_at: datetime
    retention_days: int
    snapshot_window: str
    security_group_ids: tuple[str, ...]
    data_tiering: bool = False

    @property
    def node_ids(self) -> tuple[str, ...]:
        """Return the ids of all its cache clusters, primaries first within each shard."""
        if self.kind == "cache-cluster":
            return (self.instance_id,)
        return tuple(node_id for shard in self.shards for node_id in shard.node_ids)

    @property
    def snapshotting_node_id(self) -> str | None:
        """Return the node whose data automatic snapshots read; a replica if there is one, none if off."""
        if self.cluster_mode or self.kind == "cache-cluster" or not self.retention_days:
            return None
        return self.shards[0].node_ids[-1]

    @property
    def port(self) -> int:
        """Return the port of the first shard's primary; Memcached has only its usual number."""
        return self.shards[0].engine.port if self.shards else 11211


@dataclass(frozen=True)
class NodeSnapshot:
    """The part of a snapshot that one shard gave; without a time, a size and a file while it is creating."""

    node_group_id: str
    node_id: str
    slots: str | None
    replica_count: int
    node_created_at: datetime
    taken_at: datetime | None = None
    cache_size: str = ""
    rdb: Path | None = None


@dataclass(frozen=True)
class Snapshot:
    """One snapshot; `owner_id` is a replication group in cluster mode, otherwise a node."""

    name: str
    arn: str
    status: str
    source: Literal["automated", "manual"]
    owner_id: str
    instance: Instance
    retention_days: int
    requested_at: datetime
    nodes: tuple[NodeSnapshot, ...]
    kms_key_id: str = ""


def describe_group(instance: Instance, status: str, region: str) -> dict[str, Any]:
    """Return a ReplicationGroup structure."""
    return {
        "ReplicationGroupId": instance.instance_id,
        "Description": instance.description,
        "GlobalReplicationGroupInfo": {},
        "Status": status,
        "PendingModifiedValues": {},
        "MemberClusters": list(instance.node_ids),
        "NodeGroups": [_describe_node_group(instance, shard, region) for shard in instance.shards],
        "SnapshottingClusterId": instance.snapshotting_node_id,
        "AutomaticFailover": _failover(instance),
        "MultiAZ": "disabled",
        "ConfigurationEndpoint": _endpoint(instance.port) if instance.cluster_mode else None,
        "SnapshotRetentionLimit": instance.retention_days,
        "SnapshotWindow": instance.snapshot_window,
        "ClusterEnabled": instance.cluster_mode,
        "CacheNodeType": instance.node_type,
        "AuthTokenEnabled": False,
        "TransitEncryptionEnabled": False,
        "AtRestEncryptionEnabled": False,
        "StorageEncryptionType": "none",
        "ARN": instance.arn,
        "ReplicationGroupCreateTime": instance.created_at,
        "DataTiering": _data_tiering(instance),
        "AutoMinorVersionUpgrade": True,
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
        "ClusterMode": "enabled" if instance.cluster_mode else "disabled",
        "Engine": instance.engine,
    }


def _describe_node_group(instance: Instance, shard: Shard, region: str) -> dict[str, Any]:
    members: list[dict[str, Any]] = []
    for number, node_id in enumerate(shard.node_ids):
        member: dict[str, Any] = {
            "CacheClusterId": node_id,
            "CacheNodeId": "0001",
            "PreferredAvailabilityZone": region + ZONE_SUFFIX,
        }
        if not instance.cluster_mode:
            member["ReadEndpoint"] = _endpoint(shard.engine.port)
            member["CurrentRole"] = "replica" if number else "primary"
        members.append(member)
    group: dict[str, Any] = {"NodeGroupId": shard.node_group_id, "Status": "available"}
    if instance.cluster_mode:
        group["Slots"] = shard.slots
    else:
        group["PrimaryEndpoint"] = _endpoint(shard.engine.port)
        group["ReaderEndpoint"] = _endpoint(shard.engine.port)
    return group | {"NodeGroupMembers": members}


def describe_cluster(instance: Instance, node_id: str, status: str, region: str, *, with_nodes: bool) -> dict[str, Any]:
    """Return a CacheCluster structure of one node, or of a whole Memcached cluster."""
    described: dict[str, Any] = {
        "CacheClusterId": node_id,
        "ClientDownloadLandingPage": f"https://console.aws.amazon.com/elasticache/home?region={region}",
        "CacheNodeType": instance.node_type,
        "Engine": instance.engine,
        "EngineVersion": instance.engine_version,
        "CacheClusterStatus": status,
        "NumCacheNodes": instance.node_count,
        "PreferredAvailabilityZone": region + ZONE_SUFFIX,
        "CacheClusterCreateTime": instance.created_at,
        "PreferredMaintenanceWindow": MAINTENANCE_WINDOW,
        "PendingModifiedValues": {},
        "CacheSecurityGroups": [],
        "CacheParameterGroup": {
            "CacheParameterGroupName": instance.parameter_group,
            "ParameterApplyStatus": "in-sync",
            "CacheNodeIdsToReboot": [],
        },
        "CacheSubnetGroupName": instance.subnet_group,
        "AutoMinorVersionUpgrade": True,
        "SecurityGroups": [
            {"SecurityGroupId": group_id, "Status": "active"} for group_id in instance.security_group_ids
        ],
        "ReplicationGroupId": instance.instance_id if instance.kind == "replication-group" else None,
        "AuthTokenEnabled": False,
        "TransitEncryptionEnabled": False,
        "AtRestEncryptionEnabled": False,
        "ARN": f"{instance.arn.rsplit(':', 2)[0]}:cluster:{node_id}",
        "ReplicationGroupLogDeliveryEnabled": False,
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
    }
    if instance.engine != "memcached":
        described["SnapshotRetentionLimit"] = instance.retention_days
        described["SnapshotWindow"] = instance.snapshot_window
    if with_nodes:
        described["CacheNodes"] = _describe_nodes(instance, node_id, region)
    return described


def _describe_nodes(instance: Instance, node_id: str, region: str) -> list[dict[str, Any]]:
    port = next((shard.engine.port for shard in instance.shards if node_id in shard.node_ids), instance.port)
    return [
        {
            "CacheNodeId": f"{number + 1:04d}",
            "CacheNodeStatus": "available",
            "CacheNodeCreateTime": instance.created_at,
            "Endpoint": _endpoint(port),
            "ParameterGroupStatus": "in-sync",
            "CustomerAvailabilityZone": region + ZONE_SUFFIX,
        }
        for number in range(instance.node_count)
    ]


def describe_snapshot(snapshot: Snapshot, region: str, *, with_configuration: bool) -> dict[str, Any]:
    """Return a Snapshot structure: a node's own fields, or a replication group's in cluster mode."""
    instance = snapshot.instance
    described: dict[str, Any] = {
        "SnapshotName": snapshot.name,
        "SnapshotStatus": snapshot.status,
        "SnapshotSource": snapshot.source,
        "CacheNodeType": instance.node_type,
        "Engine": instance.engine,
        "EngineVersion": instance.engine_version,
        "PreferredMaintenanceWindow": MAINTENANCE_WINDOW,
        "Port": instance.port,
        "CacheParameterGroupName": instance.parameter_group,
        "CacheSubnetGroupName": instance.subnet_group,
        "VpcId": "vpc-00000000",
        "AutoMinorVersionUpgrade": True,
        "SnapshotRetentionLimit": snapshot.retention_days,
        "SnapshotWindow": instance.snapshot_window,
        "NodeSnapshots": list(_describe_node_snapshots(snapshot, region, with_configuration)),
        "ARN": snapshot.arn,
        "KmsKeyId": snapshot.kms_key_id or None,
        "DataTiering": _data_tiering(instance),
    }
    if instance.cluster_mode:
        return described | {
            "ReplicationGroupId": instance.instance_id,
            "ReplicationGroupDescription": instance.description,
            "NumNodeGroups": len(instance.shards),
            "AutomaticFailover": _failover(instance),
        }
    return described | {
        "CacheClusterId": snapshot.owner_id,
        "NumCacheNodes": 1,
        "PreferredAvailabilityZone": region + ZONE_SUFFIX,
        "CacheClusterCreateTime": instance.created_at,
    }


def _describe_node_snapshots(snapshot: Snapshot, region: str, with_configuration: bool) -> Iterable[dict[str, Any]]:
    for node in snapshot.nodes:
        described: dict[str, Any] = {
            "CacheNodeId": "0001",
            "CacheSize": node.cache_size,
            "CacheNodeCreateTime": node.node_created_at,
            "SnapshotCreateTime": node.taken_at,
        }
        if snapshot.instance.cluster_mode:
            described |= {"CacheClusterId": node.node_id, "NodeGroupId": node.node_group_id}
            if with_configuration:
                described["NodeGroupConfiguration"] = {
                    "NodeGroupId": node.node_group_id,
                    "Slots": node.slots,
                    "ReplicaCount": node.replica_count,
                    "PrimaryAvailabilityZone": region + ZONE_SUFFIX,
                    "ReplicaAvailabilityZones": [region + ZONE_SUFFIX] * node.replica_count,
                }
        yield described


def _data_tiering(instance: Instance) -> str:
    return "enabled" if instance.data_tiering else "disabled"


def _failover(instance: Instance) -> str:
    return "enabled" if instance.automatic_failover else "disabled"


def _endpoint(port: int) -> dict[str, Any]:
    return {"Address": ADDRESS, "Port": port}
