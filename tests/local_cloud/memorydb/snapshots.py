"""Taking, listing and deleting snapshots; the data comes from a BGSAVE of each shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.making import Making
from tests.local_cloud.managed.quota import DailyQuota
from tests.local_cloud.memorydb.records import Cluster, Shard, ShardSnapshot, Snapshot, describe_snapshot
from tests.local_cloud.memorydb.state import State, check_name, page_of
from tests.local_cloud.memorydb.wire import INVALID

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
        name = check_name(parameters["SnapshotName"], "SnapshotName")
        with state.lock:
            cluster = state.get_available_cluster(parameters["ClusterName"])
            self._check_free(name)
            present = [
                (each.name, each.shards[0].taken_at)
                for each in state.snapshots.values()
                if (each.cluster.arn, each.source) == (cluster.arn, "manual") and each.shards[0].taken_at
            ]
            if self._quota.is_used_up(cluster.arn, present, state.clock()):
                raise ServiceError(
                    "SnapshotQuotaExceededFault",
                    f"{cluster.name} has {MANUAL_PER_DAY} manual snapshots of the last 24 hours already.",
                )
            snapshot = self._draft(name, "manual", cluster, parameters.get("KmsKeyId") or cluster.kms_key_id)
            state.tags.add(snapshot.arn, parameters.get("Tags", ()))
            state.snapshots[name] = snapshot
            self._quota.note(cluster.arn, name, state.clock())
        state.run_in_background(lambda: self._finish(snapshot), f"snapshot {name}")
        return {"Snapshot": describe_snapshot(snapshot, with_shards=True)}

    def describe_snapshots(self, parameters: Parameters) -> dict[str, Any]:
        """List snapshots by name; when each shard was taken only with ShowDetail."""
        state = self._state
        source = parameters.get("Source")
        if source is not None and source not in _SOURCES:
            raise ServiceError(INVALID, f"Source must be system or user: {source}")
        with state.lock:
            found = [state.snapshots[name] for name in sorted(state.snapshots)]
            if name := parameters.get("SnapshotName"):
                found = [state.get_snapshot(name)]
            # A deleted cluster's manual snapshots are still listed by its name; that it is unknown is no error.
            if cluster_name := parameters.get("ClusterName"):
                found = [each for each in found if each.cluster.name == cluster_name.lower()]
            page = page_of([each for each in found if source is None or each.source == _SOURCES[source]], parameters)
        described = [describe_snapshot(each, with_shards=parameters.get("ShowDetail", False)) for each in page.items]
        return {"NextToken": page.next_token, "Snapshots": described}

    def delete_snapshot(self, parameters: Parameters) -> dict[str, Any]:
        """Delete a snapshot that is not busy, whether automatic or manual ("Deleting a snapshot")."""
        with self._state.lock:
            snapshot = self._state.get_snapshot(parameters["SnapshotName"])
            if snapshot.status not in ("available", "failed"):
                raise ServiceError("InvalidSnapshotStateFault", f"Snapshot {snapshot.name} is {snapshot.status}.")
            self._remove(snapshot)
        return {"Snapshot": describe_snapshot(replace(snapshot, status="deleting"), with_shards=True)}

    def take_now(
        self, name: str, source: Literal["automated", "manual"], cluster_name: str, taken_at: datetime | None
    ) -> str:
        """Take a snapshot that is complete on return, and return its name; see MemoryDbGuard."""
        if taken_at is not None and taken_at.tzinfo is None:
            raise ValueError("taken_at must say its time zone")
        with self._state.lock:
            cluster = self._state.get_cluster(cluster_name)
            self._check_free(name)
            snapshot = self._draft(name, source, cluster, cluster.kms_key_id)
            self._state.snapshots[name] = snapshot
        self._save(snapshot, taken_at)
        return name

    def expire(self, name: str) -> None:
        """Remove a snapshot as its retention does, whatever it is busy with."""
        with self._state.lock:
            self._remove(self._state.get_snapshot(name))

    def _remove(self, snapshot: Snapshot) -> None:
        del self._state.snapshots[snapshot.name]
        self._state.tags.forget(snapshot.arn)
        for shard in snapshot.shards:
            if shard.rdb is not None:
                shard.rdb.unlink(missing_ok=True)

    def _check_free(self, name: str) -> None:
        if name in self._state.snapshots:
            raise ServiceError("SnapshotAlreadyExistsFault", f"Snapshot {name} already exists.")

    def _draft(self, name: str, source: Literal["automated", "manual"], cluster: Cluster, kms_key_id: str) -> Snapshot:
        return Snapshot(
            name=name,
            arn=self._state.arn("snapshot", name),
            status="creating",
            source=source,
            cluster=cluster,
            kms_key_id=kms_key_id,
            shards=tuple(ShardSnapshot(shard.name, shard.slots, shard.replica_count) for shard in cluster.shards),
        )

    def _finish(self, snapshot: Snapshot) -> None:
        if not self.making.wait():
            return
        if self.making.fails():
            # Not among the states that the model lists; the events of the other services of the kind have it.
            self._replace(replace(snapshot, status="failed"))
        else:
            self._save(snapshot, None)

    def _save(self, snapshot: Snapshot, taken_at: datetime | None) -> None:
        saved: list[ShardSnapshot] = []
        try:
            for number, (part, shard) in enumerate(zip(snapshot.shards, snapshot.cluster.shards, strict=True)):
                # The shards of a real snapshot are not taken at one instant either.
                at = taken_at + timedelta(seconds=number) if taken_at else self._state.clock()
                saved.append(self._save_shard(part, shard, at))
        except BaseException:
            self._replace(replace(snapshot, status="failed"))
            raise
        self._replace(replace(snapshot, status="available", shards=tuple(saved)))

    def _save_shard(self, part: ShardSnapshot, shard: Shard, at: datetime) -> ShardSnapshot:
        used_megabytes = max(1, round(shard.engine.used_memory_bytes() / 1024**2))
        rdb = shard.engine.bgsave(self._state.new_file())
        # The service states whole seconds.
        return replace(part, taken_at=at.replace(microsecond=0), size=f"{used_megabytes} MB", rdb=rdb)

    def _replace(self, snapshot: Snapshot) -> None:
        with self._state.lock:
            if snapshot.name in self._state.snapshots:
                self._state.snapshots[snapshot.name] = snapshot
