"""CopySnapshot to a bucket: what it refuses at once, and what it writes later."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.local_cloud.managed.buckets import BucketError, ExportBuckets
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.exporting import ExportedFile, ExportWriter
from tests.local_cloud.memorydb.records import Snapshot, describe_snapshot
from tests.local_cloud.memorydb.state import State
from tests.local_cloud.memorydb.wire import INVALID

Parameters = Mapping[str, Any]


class ExportOperations:
    """Exports snapshots to a bucket: one object a shard, none overwritten, no record left behind."""

    def __init__(self, state: State, buckets: ExportBuckets, writer: ExportWriter) -> None:
        self._state = state
        self._buckets = buckets
        self._writer = writer
        self._asking = threading.Lock()

    def copy_snapshot(self, parameters: Parameters) -> dict[str, Any]:
        """Check everything that the service checks, start the export and answer at once."""
        if "TargetBucket" not in parameters:
            raise ServiceError(INVALID, "This local MemoryDB copies snapshots to buckets only.")
        bucket, target = parameters["TargetBucket"], parameters["TargetSnapshotName"].lower()
        # Held instead of the state's lock: the checks ask S3, and other requests must not wait for that.
        with self._asking:
            snapshot = self._get_exportable(parameters)
            keys = {shard.name: f"{target}-{shard.name}.rdb" for shard in snapshot.shards}
            self._check_bucket(bucket, list(keys.values()))
            with self._state.lock:
                snapshot = self._get_exportable(parameters)
                # Of the states that the model lists, this is the one for it.
                copying = replace(snapshot, status="copying")
                self._state.snapshots[snapshot.name] = copying
        self._state.run_in_background(
            lambda: self._export(copying, bucket, keys), f"export of {snapshot.name} to {bucket}/{target}"
        )
        return {"Snapshot": describe_snapshot(copying, with_shards=True)}

    def _get_exportable(self, parameters: Parameters) -> Snapshot:
        target = parameters["TargetSnapshotName"]
        with self._state.lock:
            snapshot = self._state.get_snapshot(parameters["SourceSnapshotName"])
        if snapshot.status != "available":
            raise ServiceError(
                "InvalidSnapshotStateFault", f"Snapshot {snapshot.name} is {snapshot.status}, not available."
            )
        if {"KmsKeyId", "Tags"} & set(parameters):
            raise ServiceError(
                "InvalidParameterCombinationException", "An export has neither a customer managed key nor tags."
            )
        # Whether the service takes a slash is not documented; refusing it is the safe answer here.
        if not 1 <= len(target) <= 1000 or "/" in target or not target.isprintable():
            raise ServiceError(INVALID, f"TargetSnapshotName {target!r} is not valid.")
        # How the service words these two is not documented; that it refuses them is ("Exporting a snapshot").
        if snapshot.cluster.data_tiering:
            raise ServiceError(INVALID, "Exporting is not supported for clusters with data tiering.")
        if snapshot.kms_key_id in self._state.disabled_keys:
            raise ServiceError(INVALID, f"The KMS key {snapshot.kms_key_id} is disabled.")
        return snapshot

    def _check_bucket(self, bucket: str, keys: list[str]) -> None:
        try:
            self._buckets.check_place(bucket)
            self._buckets.check_grants(bucket, keys[0], f"{self._state.region}.memorydb-snapshot.amazonaws.com")
            self._buckets.check_acls(bucket)
            self._buckets.check_free(bucket, keys)
        except BucketError as error:
            raise ServiceError(INVALID, _refusal(error)) from error

    def _export(self, snapshot: Snapshot, bucket: str, keys: Mapping[str, str]) -> None:
        files: dict[str, ExportedFile] = {}
        for shard in snapshot.shards:
            if shard.rdb is None:
                raise RuntimeError(f"{snapshot.name} is available but shard {shard.name} has no file")
            files[keys[shard.name]] = ExportedFile(shard.name, shard.rdb)
        try:
            self._writer.write(snapshot.arn, bucket, files, lambda: self._is_there(snapshot))
        finally:
            with self._state.lock:
                if self._is_there(snapshot):
                    self._state.snapshots[snapshot.name] = replace(snapshot, status="available")

    def _is_there(self, snapshot: Snapshot) -> bool:
        # A snapshot of that name may be another one by now.
        return self._state.snapshots.get(snapshot.name) is snapshot


def _refusal(error: BucketError) -> str:
    """Return the service's words ("Exporting a snapshot"); it has none for a bucket without ACLs.

    That page asks for "ACLs enabled - Bucket owner preferred" without saying what happens otherwise.
    """
    return {
        "missing": f"The S3 bucket {error.bucket} does not exist.",
        "foreign": f"The S3 bucket {error.bucket} is not owned by the authenticated user.",
        "elsewhere": f"The S3 bucket {error.bucket} is outside of the region.",
        "ungranted": f"MemoryDB has not been granted {error.detail} on the S3 Bucket.",
        "without-acls": "The bucket does not allow ACLs: its Object Ownership must be BucketOwnerPreferred.",
        "taken": f"The S3 bucket {error.bucket} already contains an object with key {error.detail}.",
    }[error.problem]
