"""ExportServerlessCacheSnapshot: it answers at once, and says what went wrong in an event only.

Neither the names of the objects nor their number are documented, nor what the snapshot's status is meanwhile: a
test says which of the possible forms it wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.local_cloud.elasticache.serverless_records import ServerlessSnapshot, describe_serverless_snapshot
from tests.local_cloud.elasticache.serverless_snapshots import ServerlessSnapshotOperations, busy
from tests.local_cloud.elasticache.state import State
from tests.local_cloud.managed.buckets import BucketError, ExportBuckets
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.exporting import ExportedFile, ExportWriter

NUMBERED = "{name}-{number:04d}.rdb"
IN_A_FOLDER = "{name}/{number:04d}.rdb"

# Why an export fails, in the words of "Serverless cache events"; only the first names the bucket without quotes.
REASONS = {
    "ungranted": "to bucket {bucket} because ElastiCache does not have permissions to the bucket.",
    "taken": "to bucket '{bucket}' because there is already an object with the same name in the bucket.",
    "owner-changed": "to bucket '{bucket}' because bucket owner account Id has changed.",
    "foreign": "to bucket '{bucket}' because the bucket is not accessible.",
    "missing": "to bucket '{bucket}' because bucket does not exist.",
    "key": "to bucket '{bucket}' with source snapshot Customer Managed Key {key} "
    "because Customer Managed Key is disabled.",
    "unknown": "to bucket '{bucket}'.",
}


class ServerlessExportOperations:
    """Exports snapshots of serverless caches to a bucket, one object a hidden shard.

    key_pattern: what an object's key is made of. shows_status: whether the snapshot is `exporting` meanwhile, or
    stays `available`. failure: why every export fails, empty if none does.
    """

    def __init__(
        self, state: State, snapshots: ServerlessSnapshotOperations, buckets: ExportBuckets, writer: ExportWriter
    ) -> None:
        self._state = state
        self._snapshots = snapshots
        self._buckets = buckets
        self._writer = writer
        self._running: set[str] = set()
        self.key_pattern = NUMBERED
        self.shows_status = True
        self.failure = ""

    def export_serverless_cache_snapshot(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Start an export that nobody named, and answer at once."""
        bucket = parameters["S3BucketName"]
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
            raise ServiceError("InvalidParameterValue", f"{bucket!r} is not the name of an S3 bucket.")
        self._check_region(bucket)
        with self._state.lock:
            snapshot = self._snapshots.get(parameters["ServerlessCacheSnapshotName"])
            if snapshot.cache.engine == "memcached":
                raise ServiceError("InvalidParameterValue", "Exports are available for Valkey and Redis OSS only.")
            if snapshot.status != "available" or snapshot.arn in self._running:
                raise busy(replace(snapshot, status="exporting") if snapshot.arn in self._running else snapshot)
            exporting = replace(snapshot, status="exporting" if self.shows_status else "available")
            self._state.serverless_snapshots[snapshot.name] = exporting
            self._running.add(snapshot.arn)
        what = f"export of {snapshot.name} to {bucket}"
        self._state.run_in_background(lambda: self._export(exporting, bucket), what)
        return {"ServerlessCacheSnapshot": describe_serverless_snapshot(exporting)}

    def _check_region(self, bucket: str) -> None:
        try:
            self._buckets.check_place(bucket)
        except BucketError as error:
            # That the region is looked at before anything else is a guess; the other problems have events.
            if error.problem == "elsewhere":
                message = f"The S3 bucket {bucket} is outside of the region."
                raise ServiceError("InvalidParameterValue", message) from error

    def _export(self, snapshot: ServerlessSnapshot, bucket: str) -> None:
        files = {
            self.key_pattern.format(name=snapshot.name, number=number): ExportedFile(f"{number:04d}", rdb)
            for number, rdb in enumerate(snapshot.files, start=1)
        }
        try:
            failure = self._find_failure(snapshot, bucket, list(files))
            if not failure and not self._writer.write(snapshot.arn, bucket, files, lambda: self._is_there(snapshot)):
                failure = "" if self._state.closing.is_set() else "unknown"
            if failure:
                self._note_failure(snapshot, bucket, failure)
        finally:
            with self._state.lock:
                self._running.discard(snapshot.arn)
                if self._is_there(snapshot):
                    self._state.serverless_snapshots[snapshot.name] = replace(snapshot, status="available")

    def _find_failure(self, snapshot: ServerlessSnapshot, bucket: str, keys: list[str]) -> str:
        if self.failure:
            return self.failure
        if snapshot.kms_key_id in self._state.disabled_keys:
            return "key"
        principal = f"{self._state.region}.elasticache-snapshot.amazonaws.com"
        try:
            self._buckets.check_place(bucket)
            self._buckets.check_grants(bucket, keys[0], principal)
            self._buckets.check_free(bucket, keys)
        except BucketError as error:
            return error.problem
        return ""

    def _note_failure(self, snapshot: ServerlessSnapshot, bucket: str, failure: str) -> None:
        reason = REASONS[failure].format(bucket=bucket, key=snapshot.kms_key_id)
        self._state.note(
            snapshot,
            f"Failed to export snapshot for cache {snapshot.cache.name}. Could not export snapshot {reason}",
        )

    def _is_there(self, snapshot: ServerlessSnapshot) -> bool:
        # A snapshot of that name may be another one by now.
        return self._state.serverless_snapshots.get(snapshot.name) is snapshot
