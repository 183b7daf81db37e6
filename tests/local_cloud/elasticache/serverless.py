"""ElastiCache Serverless: its operations, and the switches that tests use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.local_cloud.elasticache.serverless_caches import ServerlessCacheOperations
from tests.local_cloud.elasticache.serverless_exports import (
    IN_A_FOLDER,
    NUMBERED,
    REASONS,
    ServerlessExportOperations,
)
from tests.local_cloud.elasticache.serverless_snapshots import ServerlessSnapshotOperations
from tests.local_cloud.elasticache.state import State, check_identifier
from tests.local_cloud.engines import Engine
from tests.local_cloud.managed.buckets import ExportBuckets
from tests.local_cloud.managed.exporting import DamageMode, ExportWriter

__all__ = ["IN_A_FOLDER", "NUMBERED", "TAKEN", "Serverless"]

Operation = Callable[[Mapping[str, Any]], dict[str, Any]]

_PAGING = ("MaxResults", "NextToken")
# What each operation takes here; see the guard.
TAKEN = {
    "CreateServerlessCache": (
        "ServerlessCacheName",
        "Description",
        "Engine",
        "MajorEngineVersion",
        "KmsKeyId",
        "Tags",
        "SnapshotRetentionLimit",
        "DailySnapshotTime",
    ),
    "DeleteServerlessCache": ("ServerlessCacheName",),
    "DescribeServerlessCaches": ("ServerlessCacheName", *_PAGING),
    "CreateServerlessCacheSnapshot": ("ServerlessCacheSnapshotName", "ServerlessCacheName", "KmsKeyId", "Tags"),
    "DescribeServerlessCacheSnapshots": (
        "ServerlessCacheName",
        "ServerlessCacheSnapshotName",
        "SnapshotType",
        *_PAGING,
    ),
    "DeleteServerlessCacheSnapshot": ("ServerlessCacheSnapshotName",),
    "ExportServerlessCacheSnapshot": ("ServerlessCacheSnapshotName", "S3BucketName"),
}


class Serverless:
    """The serverless half of the local ElastiCache; everything goes by the names of caches and snapshots."""

    def __init__(self, state: State, buckets: ExportBuckets, writer: ExportWriter) -> None:
        self._state = state
        self._writer = writer
        self._caches = ServerlessCacheOperations(state)
        self._snapshots = ServerlessSnapshotOperations(state, self._caches)
        self._exports = ServerlessExportOperations(state, self._snapshots, buckets, writer)
        self.operations: dict[str, Operation] = {
            "CreateServerlessCache": self._caches.create_serverless_cache,
            "DeleteServerlessCache": self._caches.delete_serverless_cache,
            "DescribeServerlessCaches": self._caches.describe_serverless_caches,
            "CreateServerlessCacheSnapshot": self._snapshots.create_serverless_cache_snapshot,
            "DescribeServerlessCacheSnapshots": self._snapshots.describe_serverless_cache_snapshots,
            "DeleteServerlessCacheSnapshot": self._snapshots.delete_serverless_cache_snapshot,
            "ExportServerlessCacheSnapshot": self._exports.export_serverless_cache_snapshot,
        }

    def set_servers(self, servers: int) -> None:
        """Give each cache that is created from now on so many hidden shards, 1 if nobody says otherwise."""
        self._caches.servers = servers

    def engines(self, cache_name: str) -> tuple[Engine, ...]:
        """Return the running servers of a cache, in the order of its exported files."""
        return self._caches.get(cache_name).engines

    def ports(self, cache_name: str) -> tuple[int, ...]:
        """Return the ports of a cache's servers."""
        return tuple(engine.port for engine in self.engines(cache_name))

    def take_automatic_backup(self, cache_name: str, taken_at: datetime | None = None) -> str:
        """Take the daily backup now, complete on return, and return its name."""
        if not self._caches.get(cache_name).retention_days:
            raise ValueError(f"{cache_name} has SnapshotRetentionLimit 0: it gets no automatic backups")
        at = taken_at or self._state.clock()
        name = f"automatic.{cache_name}-{at:%Y-%m-%d-%H-%M}"
        return self._snapshots.take_now(name, "automated", cache_name, taken_at)

    def take_manual_backup(self, name: str, cache_name: str, taken_at: datetime | None = None) -> str:
        """Take a manual backup without a `creating` phase, and return its name."""
        name = check_identifier(name, "ServerlessCacheSnapshotName", 255)
        return self._snapshots.take_now(name, "manual", cache_name, taken_at)

    def backup_files(self, snapshot_name: str) -> tuple[Path, ...]:
        """Return the RDB files of an available backup, one a hidden shard; only read them."""
        return self._snapshots.get(snapshot_name).files

    def set_status(self, cache_name: str, status: str | None) -> None:
        """Answer that status of a cache, for example "modifying"; None for the true one."""
        arn = self._caches.get(cache_name).arn
        if status is None:
            self._state.forced_statuses.pop(arn, None)
        else:
            self._state.forced_statuses[arn] = status

    def hold_snapshots(self, held: bool) -> None:
        """Keep snapshots `creating` while held."""
        self._snapshots.making.hold(held)

    def fail_snapshots(self, times: int = 1) -> None:
        """Let the next so many snapshots that are asked for fail, with an event."""
        self._snapshots.making.fail_next(times)

    def name_exports(self, key_pattern: str = NUMBERED) -> None:
        """Give exported objects other keys: IN_A_FOLDER, or any pattern with {name} and {number}."""
        self._exports.key_pattern = key_pattern

    def show_exports(self, shown: bool) -> None:
        """Say whether a snapshot is `exporting` while it is exported, as at first, or `available` all the time."""
        self._exports.shows_status = shown

    def name_in_events(self, *, by_arn: bool) -> None:
        """Name a snapshot in its events by its ARN, or by its name as at first; which of both is not documented."""
        self._state.names_snapshots_by_arn = by_arn

    def fail_exports(self, reason: str = "") -> None:
        """Let every export fail for one of REASONS, for example "unknown"; empty ends that."""
        if reason and reason not in REASONS:
            raise ValueError(f"{reason} is none of {sorted(REASONS)}")
        self._exports.failure = reason

    def damage(self, snapshot_name: str, file_id: str, mode: DamageMode, at: int | None = None) -> None:
        """Export one file, "0001" being the first, damaged from now on; see ElastiCacheGuard.damage."""
        snapshot = self._snapshots.get(snapshot_name)
        if not 1 <= int(file_id) <= len(snapshot.files):
            raise ValueError(f"{snapshot_name} has no file {file_id}")
        self._writer.damage(snapshot.arn, file_id, mode, at)

    def repair(self, snapshot_name: str) -> None:
        """Export a damaged snapshot whole again."""
        self._writer.repair(self._snapshots.get(snapshot_name).arn)

    def expire(self, snapshot_name: str) -> None:
        """Remove a snapshot as its retention does, also in the middle of its export."""
        self._snapshots.expire(snapshot_name)
