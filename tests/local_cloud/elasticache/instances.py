"""Creating, changing, describing and deleting instances."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.local_cloud.elasticache.records import Instance, Kind, Shard, describe_cluster, describe_group
from tests.local_cloud.elasticache.state import State, check_identifier, stop_servers
from tests.local_cloud.engines import Engine, find_server, slot_ranges
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.servers import start_engines

MOST_SHARDS = 8
_REDIS_ENGINES = ("redis", "valkey")
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class _Layout:
    """How many servers to start and how many nodes to claim for each."""

    cluster_mode: bool
    shard_count: int
    nodes_per_shard: int


class InstanceOperations:
    """The operations on replication groups and cache clusters."""

    def __init__(self, state: State) -> None:
        self._state = state

    def create_replication_group(self, parameters: Parameters) -> dict[str, Any]:
        """Start a replication group's primaries; it is available at once."""
        state = self._state
        group_id = check_identifier(parameters["ReplicationGroupId"], "ReplicationGroupId", 40)
        engine, version = _engine(parameters, default="redis")
        if engine == "memcached":
            raise ServiceError("InvalidParameterValue", "A replication group's engine is redis or valkey.")
        layout = _layout(parameters)
        failover = _failover(parameters, layout)
        with state.lock:
            if group_id in state.groups:
                raise ServiceError("ReplicationGroupAlreadyExists", f"Replication group {group_id} already exists.")
            draft = replace(
                self._draft("replication-group", group_id, engine, version, parameters),
                cluster_mode=layout.cluster_mode,
                automatic_failover=failover,
                description=parameters["ReplicationGroupDescription"],
                data_tiering=_data_tiering(parameters),
                parameter_group=_parameter_group(parameters, engine, version, layout.cluster_mode),
            )
            group = replace(draft, shards=_start_shards(group_id, layout))
            state.groups[group_id] = group
            return {"ReplicationGroup": describe_group(group, "available", state.region)}

    def modify_replication_group(self, parameters: Parameters) -> dict[str, Any]:
        """Change the retention limit, the snapshot window or the description, at once."""
        state = self._state
        with state.lock:
            group = self._get_available_group(parameters["ReplicationGroupId"])
            group = replace(
                group,
                retention_days=_retention(parameters, group.retention_days),
                snapshot_window=_window(parameters, group.snapshot_window),
                description=parameters.get("ReplicationGroupDescription", group.description),
            )
            state.groups[group.instance_id] = group
            return {"ReplicationGroup": describe_group(group, "available", state.region)}

    def delete_replication_group(self, parameters: Parameters) -> dict[str, Any]:
        """Stop a replication group's servers; its automatic snapshots go with it, manual ones stay."""
        state = self._state
        with state.lock:
            group = self._get_available_group(parameters["ReplicationGroupId"])
            self._remove_automatic_snapshots(group, "InvalidReplicationGroupState")
            del state.groups[group.instance_id]
            state.tags.forget(group.arn)
            answer = describe_group(group, "deleting", state.region)
        stop_servers(group)
        return {"ReplicationGroup": answer}

    def create_cache_cluster(self, parameters: Parameters) -> dict[str, Any]:
        """Start a stand-alone node, or note a Memcached cluster, which runs nothing."""
        state = self._state
        cluster_id = check_identifier(parameters["CacheClusterId"], "CacheClusterId", 50)
        if "Engine" not in parameters:
            raise ServiceError("InvalidParameterValue", "The parameter Engine must be provided.")
        engine, version = _engine(parameters, default="")
        node_count = parameters.get("NumCacheNodes", 1)
        if not 1 <= node_count <= (40 if engine == "memcached" else 1):
            raise ServiceError("InvalidParameterValue", f"NumCacheNodes cannot be {node_count} for {engine}.")
        if engine == "memcached" and {"SnapshotRetentionLimit", "SnapshotWindow"} & set(parameters):
            raise ServiceError("InvalidParameterCombination", "Memcached clusters have no snapshots.")
        with state.lock:
            known = {node_id for instance in state.instances() for node_id in instance.node_ids}
            if cluster_id in known:
                raise ServiceError("CacheClusterAlreadyExists", f"Cache cluster {cluster_id} already exists.")
            cluster = replace(
                self._draft("cache-cluster", cluster_id, engine, version, parameters),
                node_count=node_count,
                parameter_group=_parameter_group(parameters, engine, version, False),
            )
            if engine != "memcached":
                cluster = replace(cluster, shards=(Shard("0001", None, (cluster_id,), Engine().start()),))
            state.clusters[cluster_id] = cluster
            return {"CacheCluster": self._describe_node(cluster, cluster_id, with_nodes=True)}

    def delete_cache_cluster(self, parameters: Parameters) -> dict[str, Any]:
        """Stop a stand-alone cluster; its automatic snapshots go with it."""
        state = self._state
        with state.lock:
            cluster, _ = state.get_node(parameters["CacheClusterId"])
            if cluster.kind != "cache-cluster" or state.status_of(cluster) != "available":
                raise ServiceError(
                    "InvalidCacheClusterState",
                    f"Cache cluster {parameters['CacheClusterId']} is a group's member or is not available.",
                )
            self._remove_automatic_snapshots(cluster, "InvalidCacheClusterState")
            del state.clusters[cluster.instance_id]
            state.tags.forget(cluster.arn)
            answer = self._describe_node(cluster, cluster.instance_id, with_nodes=False)
        stop_servers(cluster)
        return {"CacheCluster": answer | {"CacheClusterStatus": "deleting"}}

    def describe_replication_groups(self, parameters: Parameters) -> dict[str, Any]:
        """List replication groups, or the one that is named."""
        state = self._state
        with state.lock:
            wanted = parameters.get("ReplicationGroupId")
            names = [state.get_group(wanted).instance_id] if wanted else list(state.groups)
            page, marker = state.page(names, parameters, largest=100)
            groups = [state.groups[name] for name in page]
            described = [describe_group(group, state.status_of(group), state.region) for group in groups]
        return {"Marker": marker, "ReplicationGroups": described}

    def describe_cache_clusters(self, parameters: Parameters) -> dict[str, Any]:
        """List cache clusters: the members of replication groups and the stand-alone ones."""
        state = self._state
        with state.lock:
            wanted = parameters.get("CacheClusterId")
            alone = parameters.get("ShowCacheClustersNotInReplicationGroups", False)
            instances = [instance for instance in state.instances() if not alone or instance.kind == "cache-cluster"]
            names = [node_id for instance in instances for node_id in instance.node_ids]
            if wanted:
                state.get_node(wanted)
                names = [name for name in names if name == wanted.lower()]
            page, marker = state.page(names, parameters, largest=100)
            with_nodes = parameters.get("ShowCacheNodeInfo", False)
            described = [self._describe_node(state.get_node(name)[0], name, with_nodes=with_nodes) for name in page]
        return {"Marker": marker, "CacheClusters": described}

    def _get_available_group(self, group_id: str) -> Instance:
        group = self._state.get_group(group_id)
        status = self._state.status_of(group)
        if status != "available":
            raise ServiceError("InvalidReplicationGroupState", f"Replication group {group_id} is {status}.")
        return group

    def _remove_automatic_snapshots(self, instance: Instance, code: str) -> None:
        state = self._state
        own = [snapshot for snapshot in state.snapshots.values() if snapshot.instance.arn == instance.arn]
        busy = [snapshot.name for snapshot in own if snapshot.status not in ("available", "failed")]
        if busy:
            raise ServiceError(code, f"{instance.instance_id} has busy snapshots: {', '.join(busy)}.")
        for snapshot in own:
            if snapshot.source == "automated":
                del state.snapshots[snapshot.name]

    def _describe_node(self, instance: Instance, node_id: str, *, with_nodes: bool) -> dict[str, Any]:
        status = self._state.status_of(instance)
        return describe_cluster(instance, node_id, status, self._state.region, with_nodes=with_nodes)

    def _draft(self, kind: Kind, instance_id: str, engine: str, version: str, parameters: Parameters) -> Instance:
        arn_kind = "replicationgroup" if kind == "replication-group" else "cluster"
        instance = Instance(
            kind=kind,
            instance_id=instance_id,
            arn=self._state.arn(arn_kind, instance_id),
            description="",
            engine=engine,
            engine_version=version,
            node_type=_node_type(parameters),
            parameter_group="",
            subnet_group=parameters.get("CacheSubnetGroupName", "default"),
            cluster_mode=False,
            automatic_failover=False,
            shards=(),
            node_count=1,
            created_at=self._state.clock(),
            retention_days=_retention(parameters, 0),
            snapshot_window=_window(parameters, "05:00-06:00"),
            security_group_ids=tuple(parameters.get("SecurityGroupIds", ())),
        )
        self._state.tags.add(instance.arn, parameters.get("Tags", ()))
        return instance


def _start_shards(group_id: str, layout: _Layout) -> tuple[Shard, ...]:
    engines = start_engines(layout.shard_count, cluster_mode=layout.cluster_mode)
    return tuple(_shard(group_id, number, layout, engine) for number, engine in enumerate(engines))


def _shard(group_id: str, number: int, layout: _Layout, engine: Engine) -> Shard:
    node_group_id = f"{number + 1:04d}"
    stem = f"{group_id}-{node_group_id}" if layout.cluster_mode else group_id
    node_ids = tuple(f"{stem}-{node + 1:03d}" for node in range(layout.nodes_per_shard))
    first, last = slot_ranges(layout.shard_count)[number]
    return Shard(node_group_id, f"{first}-{last}" if layout.cluster_mode else None, node_ids, engine)


def _layout(parameters: Parameters) -> _Layout:
    shard_count = parameters.get("NumNodeGroups", 1)
    mode = parameters.get("ClusterMode")
    by_parameters = parameters.get("CacheParameterGroupName", "").endswith(".cluster.on")
    if mode == "compatible":
        raise ServiceError("InvalidParameterValue", "A new group's cluster mode is enabled or disabled.")
    if mode == "disabled" and (shard_count > 1 or by_parameters):
        raise ServiceError(
            "InvalidParameterCombination", "With cluster mode disabled there is one node group, not in cluster mode."
        )
    cluster_mode = mode == "enabled" or by_parameters or shard_count > 1
    if not 1 <= shard_count <= 500:
        raise ServiceError("InvalidParameterValue", f"NumNodeGroups cannot be {shard_count}.")
    if shard_count > MOST_SHARDS:
        raise ServiceError(
            "NodeGroupsPerReplicationGroupQuotaExceeded",
            f"{shard_count} shards asked for; this machine runs at most {MOST_SHARDS} servers for a group.",
        )
    replicas = parameters.get("ReplicasPerNodeGroup")
    members = parameters.get("NumCacheClusters")
    if members is not None and (cluster_mode or replicas is not None):
        raise ServiceError(
            "InvalidParameterCombination",
            "NumCacheClusters is for cluster mode disabled; use ReplicasPerNodeGroup, and not both.",
        )
    if not 0 <= (replicas or 0) <= 5 or not 1 <= (1 if members is None else members) <= 6:
        raise ServiceError("InvalidParameterValue", "A shard has one primary and 0 to 5 replicas.")
    return _Layout(cluster_mode, shard_count, members or 1 + (replicas or 0))


def _failover(parameters: Parameters, layout: _Layout) -> bool:
    failover = bool(parameters.get("AutomaticFailoverEnabled", False))
    if layout.cluster_mode and not failover:
        raise ServiceError(
            "InvalidParameterValue",
            "Redis with cluster mode enabled cannot be created with auto failover turned off.",
        )
    if failover and not layout.cluster_mode and layout.nodes_per_shard < 2:
        raise ServiceError("InvalidParameterCombination", "Automatic failover needs NumCacheClusters of at least 2.")
    return failover


def _engine(parameters: Parameters, *, default: str) -> tuple[str, str]:
    engine = parameters.get("Engine", default)
    if engine not in (*_REDIS_ENGINES, "memcached"):
        raise ServiceError("InvalidParameterValue", f"Invalid cache engine {engine}.")
    running = "1.6.22" if engine == "memcached" else find_server().version_text
    version = parameters.get("EngineVersion", running)
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", version):
        raise ServiceError("InvalidParameterValue", f"{version} is not a version of {engine}.")
    return engine, version


def _parameter_group(parameters: Parameters, engine: str, version: str, cluster_mode: bool) -> str:
    major, minor = version.split(".")[:2]
    if engine == "memcached":
        default = f"default.memcached{major}.{minor}"
    elif (engine, major) == ("redis", "6"):
        default = "default.redis6.x"
    else:
        default = f"default.{engine}{major}"
    return str(parameters.get("CacheParameterGroupName", default + (".cluster.on" if cluster_mode else "")))


def _node_type(parameters: Parameters) -> str:
    node_type = parameters.get("CacheNodeType", "")
    if not re.fullmatch(r"cache\.[a-z0-9]+\.[a-z0-9]+", node_type):
        raise ServiceError("InvalidParameterValue", f"Invalid cache node type {node_type!r}.")
    return str(node_type)


def _data_tiering(parameters: Parameters) -> bool:
    # "Data tiering": it comes with the r6gd node family, and only with it.
    tiered = bool(parameters.get("DataTieringEnabled", False))
    if tiered != parameters.get("CacheNodeType", "").startswith("cache.r6gd."):
        raise ServiceError(
            "InvalidParameterCombination", "Data tiering must be enabled for nodes of the r6gd family, and only there."
        )
    return tiered


def _retention(parameters: Parameters, default: int) -> int:
    days = int(parameters.get("SnapshotRetentionLimit", default))
    if not 0 <= days <= 35:
        raise ServiceError("InvalidParameterValue", f"SnapshotRetentionLimit must be 0 to 35 days: {days}")
    return days


def _window(parameters: Parameters, default: str) -> str:
    window = str(parameters.get("SnapshotWindow", default))
    clock = "([01][0-9]|2[0-3]):[0-5][0-9]"
    if not re.fullmatch(f"{clock}-{clock}", window):
        raise ServiceError("InvalidParameterValue", f"SnapshotWindow must be hh24:mi-hh24:mi, not {window!r}.")
    return window
