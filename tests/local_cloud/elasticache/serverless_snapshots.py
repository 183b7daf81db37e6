"""Taking, listing and deleting snapshots of serverless caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from tests.local_cloud.elasticache.serverless_caches import ServerlessCacheOperations, page_of
from tests.local_cloud.elasticache.serverless_records import (
    ServerlessCache,
    ServerlessSnapshot,
    describe_serverless_snapshot,
)
from tests.local_cloud.elasticache.state import State, check_identifier
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.making import Making
from tests.local_cloud.managed.quota import DailyQuota

MANUAL_PER_DAY = 24
Kind = Literal["automated", "manual"]
Parameters = Mapping[str, Any]


class ServerlessSnapshotOperations:
    """The operations on snapshots of serverless caches, apart from the export."""

    def __init__(self, state: State, caches: ServerlessCacheOperations) -> None:
        self._state = state
        self._caches = caches
        self._quota = DailyQuota(MANUAL_PER_DAY)
        self.making = Making(state)

    def create_serverless_cache_snapshot(self, parameters: Parameters) -> dict[str, Any]:
        """Answer a snapshot that is `creating`; an event says when it is made, or why it is not."""
        state = self._state
        name = check_identifier(parameters["ServerlessCacheSnapshotName"], "ServerlessCacheSnapshotName", 255)
        with state.lock:
            cache = self._caches.get_available(parameters["ServerlessCacheName"])
            self._check_free(name)
            present = [
                (each.name, each.taken_at)
                for each in state.serverless_snapshots.values()
                if (each.cache.arn, each.kind) == (cache.arn, "manual") and each.taken_at
            ]
            if self._quota.is_used_up(cache.arn, present, state.clock()):
                raise ServiceError(
                    "ServerlessCacheSnapshotQuotaExceededFault",
                    f"{cache.name} has {MANUAL_PER_DAY} manual snapshots of the last 24 hours already.",
                )
            snapshot = self._draft(name, "manual", cache, parameters.get("KmsKeyId") or cache.kms_key_id)
            state.tags.add(snapshot.arn, parameters.get("Tags", ()))
            state.serverless_snapshots[name] = snapshot
            self._quota.note(cache.arn, name, state.clock())
        state.run_in_background(lambda: self._finish(snapshot), f"snapshot {name}")
        return {"ServerlessCacheSnapshot": describe_serverless_snapshot(snapshot)}

    def describe_serverless_cache_snapshots(self, parameters: Parameters) -> dict[str, Any]:
        """List snapshots by name: all, one, or a cache's. Raises NotFound faults for unknown names."""
        state = self._state
        kind = parameters.get("SnapshotType")
        if kind is not None and kind not in ("automated", "manual"):
            raise ServiceError("InvalidParameterValue", f"SnapshotType must be automated or manual: {kind}")
        with state.lock:
            found = [state.serverless_snapshots[name] for name in sorted(state.serverless_snapshots)]
            if name := parameters.get("ServerlessCacheSnapshotName"):
                found = [self.get(name)]
            if cache_name := parameters.get("ServerlessCacheName"):
                found = [each for each in found if each.cache.name == cache_name.lower()]
                if not found:
                    # A deleted cache's manual snapshots are still listed by its name.
                    self._caches.get(cache_name)
            page = page_of([each for each in found if kind in (None, each.kind)], parameters)
        described = [describe_serverless_snapshot(snapshot) for snapshot in page.items]
        return {"NextToken": page.next_token, "ServerlessCacheSnapshots": described}

    def delete_serverless_cache_snapshot(self, parameters: Parameters) -> dict[str, Any]:
        """Delete a snapshot that is not busy, whether automatic or manual ("Deleting a backup")."""
        with self._state.lock:
            snapshot = self.get(parameters["ServerlessCacheSnapshotName"])
            if snapshot.status not in ("available", "failed"):
                raise busy(snapshot)
            self._remove(snapshot)
        return {"ServerlessCacheSnapshot": describe_serverless_snapshot(replace(snapshot, status="deleting"))}

    def take_now(self, name: str, kind: Kind, cache_name: str, taken_at: datetime | None) -> str:
        """Take a snapshot that is complete on return, and return its name; see ServerlessControls."""
        if taken_at is not None and taken_at.tzinfo is None:
            raise ValueError("taken_at must say its time zone")
        with self._state.lock:
            cache = self._caches.get(cache_name)
            self._check_free(name)
            snapshot = self._draft(name, kind, cache, cache.kms_key_id)
            self._state.serverless_snapshots[name] = snapshot
        self._save(snapshot, taken_at)
        return name

    def get(self, name: str) -> ServerlessSnapshot:
        """Return a snapshot; names are stored in lower case. Raises ServerlessCacheSnapshotNotFoundFault."""
        snapshot = self._state.serverless_snapshots.get(name.lower())
        if snapshot is None:
            raise ServiceError("ServerlessCacheSnapshotNotFoundFault", f"Serverless cache snapshot {name} not found.")
        return snapshot

    def expire(self, name: str) -> None:
        """Remove a snapshot as its retention does, whatever it is busy with."""
        with self._state.lock:
            self._remove(self.get(name))

    def _remove(self, snapshot: ServerlessSnapshot) -> None:
        del self._state.serverless_snapshots[snapshot.name]
        self._state.tags.forget(snapshot.arn)
        for rdb in snapshot.files:
            rdb.unlink(missing_ok=True)

    def _check_free(self, name: str) -> None:
        if name in self._state.serverless_snapshots:
            raise ServiceError(
                "ServerlessCacheSnapshotAlreadyExistsFault", f"Serverless cache snapshot {name} already exists."
            )

    def _draft(self, name: str, kind: Kind, cache: ServerlessCache, kms_key_id: str) -> ServerlessSnapshot:
        return ServerlessSnapshot(
            name=name,
            arn=self._state.arn("serverlesscachesnapshot", name),
            status="creating",
            kind=kind,
            cache=cache,
            kms_key_id=kms_key_id,
        )

    def _finish(self, snapshot: ServerlessSnapshot) -> None:
        if not self.making.wait():
            return
        reason = ""
        if snapshot.kms_key_id in self._state.disabled_keys:
            reason = f"with Customer Managed Key {snapshot.kms_key_id} because Customer Managed Key is disabled"
        elif self.making.fails():
            reason = "because of an internal error"
        if not reason:
            self._save(snapshot, None)
            return
        self._replace(replace(snapshot, status="failed"))
        self._state.note(
            snapshot,
            f"Failed to create snapshot for cache {snapshot.cache.name}. "
            f"Snapshot {snapshot.name} creation failed {reason}.",
        )

    def _save(self, snapshot: ServerlessSnapshot, taken_at: datetime | None) -> None:
        at = (taken_at or self._state.clock()).replace(microsecond=0)
        cache = snapshot.cache
        try:
            used = sum(engine.used_memory_bytes() for engine in cache.engines)
            files = tuple(engine.bgsave(self._state.new_file()) for engine in cache.engines)
        except BaseException:
            self._replace(replace(snapshot, status="failed"))
            raise
        is_kept = snapshot.kind == "manual"
        self._replace(
            replace(
                snapshot,
                status="available",
                taken_at=at,
                expires_at=None if is_kept else at + timedelta(days=cache.retention_days),
                used_bytes=used,
                files=files,
            )
        )
        self._state.note(snapshot, f"Snapshot {snapshot.name} created for cache {cache.name}.")

    def _replace(self, snapshot: ServerlessSnapshot) -> None:
        with self._state.lock:
            if snapshot.name in self._state.serverless_snapshots:
                self._state.serverless_snapshots[snapshot.name] = snapshot


def busy(snapshot: ServerlessSnapshot) -> ServiceError:
    """Return the error for what cannot be done with a snapshot now."""
    return ServiceError(
        "InvalidServerlessCacheSnapshotStateFault", f"Serverless cache snapshot {snapshot.name} is {snapshot.status}."
    )
