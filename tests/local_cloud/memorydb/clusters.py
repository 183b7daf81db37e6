"""Creating, listing and deleting clusters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.local_cloud.engines import find_server, slot_ranges
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.servers import start_engines
from tests.local_cloud.memorydb.records import Cluster, Shard, describe_cluster
from tests.local_cloud.memorydb.state import State, check_name, page_of, stop_cluster
from tests.local_cloud.memorydb.wire import INVALID

MOST_SHARDS = 8
Parameters = Mapping[str, Any]


class ClusterOperations:
    """The operations on clusters."""

    def __init__(self, state: State) -> None:
        self._state = state

    def create_cluster(self, parameters: Parameters) -> dict[str, Any]:
        """Start a cluster's primaries; it is available at once."""
        state = self._state
        name = check_name(parameters["ClusterName"], "ClusterName")
        engine = parameters.get("Engine", "redis")
        if engine not in ("redis", "valkey"):
            raise ServiceError(INVALID, f"The engine {engine} does not exist.")
        shard_count, replica_count = _shape(parameters)
        version = parameters.get("EngineVersion", ".".join(find_server().version_text.split(".")[:2]))
        with state.lock:
            if name in state.clusters:
                raise ServiceError("ClusterAlreadyExistsFault", f"Cluster {name} already exists.")
            arn = state.arn("cluster", name)
            state.tags.add(arn, parameters.get("Tags", ()))
            cluster = Cluster(
                name=name,
                arn=arn,
                description=parameters.get("Description", ""),
                node_type=_node_type(parameters),
                engine=engine,
                engine_version=version,
                parameter_group=f"default.memorydb-{engine}{version.split('.')[0]}",
                subnet_group=parameters.get("SubnetGroupName", "default"),
                acl_name=parameters["ACLName"],
                tls=parameters.get("TLSEnabled", True),
                kms_key_id=parameters.get("KmsKeyId", ""),
                data_tiering=parameters.get("DataTiering", False),
                retention_days=_retention(parameters),
                snapshot_window=_window(parameters),
                security_group_ids=tuple(parameters.get("SecurityGroupIds", ())),
                created_at=state.clock(),
                shards=_start_shards(shard_count, replica_count),
            )
            state.clusters[name] = cluster
            return {"Cluster": describe_cluster(cluster, "available", state.region, with_shards=True)}

    def describe_clusters(self, parameters: Parameters) -> dict[str, Any]:
        """List clusters by name, or the one that is named; their shards only where they are asked for."""
        state = self._state
        with_shards = parameters.get("ShowShardDetails", False)
        with state.lock:
            wanted = parameters.get("ClusterName")
            found = [state.get_cluster(wanted)] if wanted else [state.clusters[name] for name in sorted(state.clusters)]
            page = page_of(found, parameters)
            described = [
                describe_cluster(cluster, state.status_of(cluster), state.region, with_shards=with_shards)
                for cluster in page.items
            ]
        return {"NextToken": page.next_token, "Clusters": described}

    def delete_cluster(self, parameters: Parameters) -> dict[str, Any]:
        """Stop a cluster's servers; its automatic snapshots go with it, manual ones stay."""
        state = self._state
        with state.lock:
            cluster = state.get_available_cluster(parameters["ClusterName"])
            del state.clusters[cluster.name]
            state.tags.forget(cluster.arn)
            for name, snapshot in list(state.snapshots.items()):
                if snapshot.cluster.arn == cluster.arn and snapshot.source == "automated":
                    del state.snapshots[name]
            described = describe_cluster(cluster, "deleting", state.region, with_shards=False)
        stop_cluster(cluster)
        return {"Cluster": described}


def _start_shards(shard_count: int, replica_count: int) -> tuple[Shard, ...]:
    engines = start_engines(shard_count, cluster_mode=True)
    return tuple(
        Shard(f"{number:04d}", f"{first}-{last}", replica_count, engine)
        for number, (engine, (first, last)) in enumerate(zip(engines, slot_ranges(shard_count), strict=True), start=1)
    )


def _shape(parameters: Parameters) -> tuple[int, int]:
    shard_count, replica_count = parameters.get("NumShards", 1), parameters.get("NumReplicasPerShard", 1)
    if not 1 <= shard_count <= 500 or not 0 <= replica_count <= 5:
        raise ServiceError(INVALID, "A cluster has 1 to 500 shards, each with 0 to 5 replicas.")
    if shard_count > MOST_SHARDS:
        raise ServiceError(
            "ShardsPerClusterQuotaExceededFault",
            f"{shard_count} shards asked for; this machine runs at most {MOST_SHARDS} servers for a cluster.",
        )
    return shard_count, replica_count


def _node_type(parameters: Parameters) -> str:
    node_type = str(parameters["NodeType"])
    if not re.fullmatch(r"db\.[a-z0-9]+\.[a-z0-9]+", node_type):
        raise ServiceError(INVALID, f"Invalid node type {node_type!r}.")
    # "Data tiering": it comes with the r6gd node family, and only with it.
    if parameters.get("DataTiering", False) != node_type.startswith("db.r6gd."):
        raise ServiceError(
            "InvalidParameterCombinationException",
            "Data tiering must be enabled for nodes of the r6gd family, and only there.",
        )
    return node_type


def _retention(parameters: Parameters) -> int:
    days = int(parameters.get("SnapshotRetentionLimit", 0))
    if not 0 <= days <= 35:
        raise ServiceError(INVALID, f"SnapshotRetentionLimit must be 0 to 35 days: {days}")
    return days


def _window(parameters: Parameters) -> str:
    window = str(parameters.get("SnapshotWindow", "05:00-06:00"))
    clock = "([01][0-9]|2[0-3]):[0-5][0-9]"
    if not re.fullmatch(f"{clock}-{clock}", window):
        raise ServiceError(INVALID, f"SnapshotWindow must be hh24:mi-hh24:mi, not {window!r}.")
    return window
