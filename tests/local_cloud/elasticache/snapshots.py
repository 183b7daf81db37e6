"""Taking, listing, copying and deleting snapshots; the data comes from a BGSAVE of each shard."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from tests.local_cloud.elasticache.records import Instance, NodeSnapshot, Shard, Snapshot, describe_snapshot
from tests.local_cloud.elasticache.state import State, check_identifier
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.making import Making
from tests.local_cloud.managed.quota import DailyQuota

MANUAL_PER_DAY = 20
_SOURCES = {"system": "automated", "user": "manual"}
Parameters = Mapping[str, Any]


class SnapshotOperations:
    """The operations on snapshots, apart from the export."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._quota = DailyQuota(MANUAL_PER_DAY)
        self.making = Making(state)

    def create_snapshot(self, parameters: Parameters) -> dict[str, Any]:
        """Answer a snapshot that is `creating`; it becomes `available` when every shard has saved."""
        state = self._state
        name = check_identifier(parameters["SnapshotName"], "SnapshotName", 40)
        with state.lock:
            instance, owner_id = self._owner(parameters)
            self._check_free(name)
            if (status := state.status_of(instance)) != "available":
                code = "InvalidReplicationGroupState" if instance.cluster_mode else "InvalidCacheClusterState"
                raise ServiceError(code, f"{owner_id} is {status}, not available.")
            present = [
                (each.name, each.requested_at)
                for each in state.snapshots.values()
                if (each.instance.arn, each.owner_id, each.source) == (instance.arn, owner_id, "manual")
            ]
            if self._quota.is_used_up(f"{instance.arn}/{owner_id}", present, state.clock()):
                raise ServiceError(
                    "SnapshotQuotaExceededFault",
                    f"{owner_id} has {self._quota.most} manual snapshots of the last 24 hours already.",
                )
            snapshot = self._draft(name, "manual", instance, owner_id, state.clock())
            self._quota.note(f"{instance.arn}/{owner_id}", name, snapshot.requested_at)
            snapshot = replace(snapshot, kms_key_id=parameters.get("KmsKeyId", ""))
            state.tags.add(snapshot.arn, parameters.get("Tags", ()))
            state.snapshots[name] = snapshot
        state.run_in_background(lambda: self._finish(snapshot), f"snapshot {name}")
        return {"Snapshot": describe_snapshot(snapshot, state.region, with_configuration=True)}

    def take_automatic_backup(self, instance_id: str, taken_at: datetime | None = None) -> str:
        """Take what the service takes daily and return its name; see ElastiCacheGuard."""
        with self._state.lock:
            instance = self._instance(instance_id)
            if not instance.retention_days:
                raise ValueError(f"{instance_id} has SnapshotRetentionLimit 0: it gets no automatic backups")
            owner_id = instance.snapshotting_node_id or instance.instance_id
        at = taken_at or self._state.clock()
        name = f"automatic.{owner_id}-{at:%Y-%m-%d-%H-%M}"
        return self._take_now(name, "automated", instance, owner_id, taken_at)

    def take_manual_backup(self, name: str, instance_id: str, taken_at: datetime | None = None) -> str:
        """Take a manual snapshot that is complete on return; see ElastiCacheGuard."""
        with self._state.lock:
            instance = self._instance(instance_id)
            in_cluster_mode = instance.cluster_mode or instance.kind == "cache-cluster"
            owner_id = instance.instance_id if in_cluster_mode else instance.shards[0].node_ids[-1]
        name = check_identifier(name, "SnapshotName", 40)
        return self._take_now(name, "manual", instance, owner_id, taken_at)

    def describe_snapshots(self, parameters: Parameters) -> dict[str, Any]:
        """List snapshots by name. Raises SnapshotNotFoundFault, CacheClusterNotFound for unknown ones."""
        state = self._state
        source = parameters.get("SnapshotSource")
        if source is not None and source not in _SOURCES:
            raise ServiceError("InvalidParameterValue", f"SnapshotSource must be system or user: {source}")
        if {"ReplicationGroupId", "CacheClusterId"} <= set(parameters):
            raise ServiceError(
                "InvalidParameterCombination", "ReplicationGroupId and CacheClusterId exclude each other."
            )
        with state.lock:
            found = self._matching(parameters)
            names = [each.name for each in found if source is None or each.source == _SOURCES[source]]
            page, marker = state.page(names, parameters, largest=50)
            described = [
                describe_snapshot(
                    state.snapshots[name],
                    state.region,
                    with_configuration=parameters.get("ShowNodeGroupConfig", False),
                )
                for name in page
            ]
        return {"Marker": marker, "Snapshots": described}

    def delete_snapshot(self, parameters: Parameters) -> dict[str, Any]:
        """Delete a snapshot that is not busy. Raises SnapshotNotFoundFault, InvalidSnapshotState."""
        state = self._state
        with state.lock:
            snapshot = state.get_snapshot(parameters["SnapshotName"])
            if snapshot.status not in ("available", "failed"):
                raise ServiceError(
                    "InvalidSnapshotState", f"Snapshot {snapshot.name} is {snapshot.status}: it is busy."
                )
            self._remove(snapshot)
        gone = replace(snapshot, status="deleting")
        return {"Snapshot": describe_snapshot(gone, state.region, with_configuration=True)}

    def expire(self, name: str) -> None:
        """Remove a snapshot as its retention does, whatever it is busy with."""
        with self._state.lock:
            self._remove(self._state.get_snapshot(name))

    def _remove(self, snapshot: Snapshot) -> None:
        del self._state.snapshots[snapshot.name]
        self._state.tags.forget(snapshot.arn)
        for node in snapshot.nodes:
            if node.rdb is not None:
                node.rdb.unlink(missing_ok=True)

    def copy_within_service(self, parameters: Parameters) -> dict[str, Any]:
        """Make a second snapshot with the same data; its source is `manual`."""
        state = self._state
        name = check_identifier(parameters["TargetSnapshotName"], "TargetSnapshotName", 40)
        with state.lock:
            source = state.get_snapshot(parameters["SourceSnapshotName"])
            if source.status != "available":
                raise ServiceError("InvalidSnapshotState", f"Snapshot {source.name} is {source.status}.")
            self._check_free(name)
            nodes = tuple(replace(node, rdb=self._link(node.rdb)) for node in source.nodes)
            copied = replace(
                source,
                name=name,
                arn=state.arn("snapshot", name),
                source="manual",
                status="copying",
                nodes=nodes,
                requested_at=state.clock(),
            )
            state.tags.add(copied.arn, parameters.get("Tags", ()))
            state.snapshots[name] = copied

        def finish() -> None:
            if self.making.wait():
                self._replace(replace(copied, status="available"))

        state.run_in_background(finish, f"copy {name}")
        return {"Snapshot": describe_snapshot(copied, state.region, with_configuration=True)}

    def _matching(self, parameters: Parameters) -> list[Snapshot]:
        state = self._state
        found = list(state.snapshots.values())
        if name := parameters.get("SnapshotName"):
            found = [state.get_snapshot(name)]
        if group_id := parameters.get("ReplicationGroupId"):
            found = [each for each in found if each.instance.cluster_mode and each.owner_id == group_id.lower()]
        if node_id := parameters.get("CacheClusterId"):
            wanted = node_id.lower()
            found = [each for each in found if not each.instance.cluster_mode and each.owner_id == wanted]
            if not found:
                # A deleted cluster's manual snapshots are still listed by its id.
                state.get_node(node_id)
        return found

    def _owner(self, parameters: Parameters) -> tuple[Instance, str]:
        group_id, node_id = parameters.get("ReplicationGroupId"), parameters.get("CacheClusterId")
        if bool(group_id) == bool(node_id):
            raise ServiceError("InvalidParameterCombination", "Give either ReplicationGroupId or CacheClusterId.")
        if group_id:
            group = self._state.get_group(group_id)
            if not group.cluster_mode:
                raise ServiceError(
                    "InvalidParameterValue",
                    f"{group_id} is not in cluster mode: snapshot one of its nodes by CacheClusterId.",
                )
            return group, group.instance_id
        instance, _ = self._state.get_node(str(node_id))
        if instance.engine == "memcached" or instance.node_type == "cache.t1.micro":
            raise ServiceError("SnapshotFeatureNotSupportedFault", f"{node_id} cannot be snapshotted.")
        if instance.cluster_mode:
            raise ServiceError(
                "InvalidParameterValue",
                f"{node_id} is a member of {instance.instance_id}, which is in cluster mode: "
                "snapshot the whole group by ReplicationGroupId.",
            )
        return instance, str(node_id).lower()

    def _instance(self, instance_id: str) -> Instance:
        known = self._state.groups | self._state.clusters
        if instance_id not in known or not known[instance_id].shards:
            raise ValueError(f"{instance_id} is no Redis instance here; there are: {sorted(known)}")
        return known[instance_id]

    def _check_free(self, name: str) -> None:
        if name in self._state.snapshots:
            raise ServiceError("SnapshotAlreadyExistsFault", f"Snapshot {name} already exists.")

    def _draft(
        self,
        name: str,
        source: Literal["automated", "manual"],
        instance: Instance,
        owner_id: str,
        requested_at: datetime,
    ) -> Snapshot:
        nodes = tuple(
            NodeSnapshot(
                node_group_id=shard.node_group_id,
                node_id=shard.node_ids[-1] if instance.cluster_mode else owner_id,
                slots=shard.slots,
                replica_count=len(shard.node_ids) - 1,
                node_created_at=instance.created_at,
            )
            for shard in instance.shards
        )
        return Snapshot(
            name=name,
            arn=self._state.arn("snapshot", name),
            status="creating",
            source=source,
            owner_id=owner_id,
            instance=instance,
            retention_days=instance.retention_days,
            requested_at=requested_at,
            nodes=nodes,
        )

    def _take_now(
        self,
        name: str,
        source: Literal["automated", "manual"],
        instance: Instance,
        owner_id: str,
        taken_at: datetime | None,
    ) -> str:
        if taken_at is not None and taken_at.tzinfo is None:
            raise ValueError("taken_at must say its time zone")
        with self._state.lock:
            self._check_free(name)
            snapshot = self._draft(name, source, instance, owner_id, taken_at or self._state.clock())
            self._state.snapshots[name] = snapshot
        self._save(snapshot, taken_at)
        return name

    def _finish(self, snapshot: Snapshot) -> None:
        if not self.making.wait():
            return
        if self.making.fails():
            self._replace(replace(snapshot, status="failed"))
        else:
            self._save(snapshot, None)

    def _save(self, snapshot: Snapshot, taken_at: datetime | None) -> None:
        nodes: list[NodeSnapshot] = []
        try:
            for number, (node, shard) in enumerate(zip(snapshot.nodes, snapshot.instance.shards, strict=True)):
                # The shards of a real backup are not taken at one instant either.
                at = taken_at + timedelta(seconds=number) if taken_at else self._state.clock()
                nodes.append(self._save_shard(node, shard, at))
        except BaseException:
            self._replace(replace(snapshot, status="failed"))
            raise
        self._replace(replace(snapshot, status="available", nodes=tuple(nodes)))

    def _save_shard(self, node: NodeSnapshot, shard: Shard, at: datetime) -> NodeSnapshot:
        used_megabytes = max(1, round(shard.engine.used_memory_bytes() / 1024**2))
        rdb = shard.engine.bgsave(self._state.new_file())
        # The service states whole seconds.
        return replace(node, taken_at=at.replace(microsecond=0), cache_size=f"{used_megabytes} MB", rdb=rdb)

    def _replace(self, snapshot: Snapshot) -> None:
        with self._state.lock:
            if snapshot.name in self._state.snapshots:
                self._state.snapshots[snapshot.name] = snapshot

    def _link(self, rdb: Path | None) -> Path | None:
        if rdb is None:
            return None
        os.link(rdb, target := self._state.new_file())
        return target
