"""CopySnapshot to a bucket: what it refuses at once, and what it writes later."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.local_cloud.elasticache.records import Snapshot, describe_snapshot
from tests.local_cloud.elasticache.state import State
from tests.local_cloud.managed.buckets import BucketError, ExportBuckets
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.exporting import DamageMode, ExportedFile, ExportWriter

Parameters = Mapping[str, Any]


class ExportOperations:
    """Exports snapshots to a bucket: one object a shard, none overwritten, no record left behind."""

    def __init__(self, state: State, buckets: ExportBuckets, writer: ExportWriter) -> None:
        self._state = state
        self._buckets = buckets
        self._writer = writer
        self._asking = threading.Lock()

    def damage(self, snapshot_name: str, node_group_id: str, mode: DamageMode, at: int | None) -> None:
        """Export one shard of a snapshot with a changed byte, or cut short; see ElastiCacheGuard."""
        snapshot = self._state.get_snapshot(snapshot_name)
        if node_group_id not in {node.node_group_id for node in snapshot.nodes}:
            raise ValueError(f"{snapshot_name} has no node group {node_group_id}")
        self._writer.damage(snapshot.arn, node_group_id, mode, at)

    def repair(self, snapshot_name: str) -> None:
        """Export a damaged snapshot whole again."""
        self._writer.repair(self._state.get_snapshot(snapshot_name).arn)

    def copy_to_bucket(self, parameters: Parameters) -> dict[str, Any]:
        """Check everything that the service checks, start the export and answer at once."""
        bucket, target = parameters["TargetBucket"], parameters["TargetSnapshotName"].lower()
        # Held instead of the state's lock: the checks ask S3, and other requests must not wait for that.
        with self._asking:
            snapshot = self._get_exportable(parameters)
            keys = {node.node_group_id: f"{target}-{node.node_group_id}.rdb" for node in snapshot.nodes}
            self._check_bucket(bucket, list(keys.values()))
            with self._state.lock:
                snapshot = self._get_exportable(parameters)
                exporting = replace(snapshot, status="exporting")
                self._state.snapshots[snapshot.name] = exporting
        self._state.run_in_background(
            lambda: self._export(exporting, bucket, keys), f"export of {snapshot.name} to {bucket}/{target}"
        )
        described = describe_snapshot(exporting, self._state.region, with_configuration=True)
        return {"Snapshot": described}

    def _get_exportable(self, parameters: Parameters) -> Snapshot:
        target = parameters["TargetSnapshotName"]
        with self._state.lock:
            snapshot = self._state.get_snapshot(parameters["SourceSnapshotName"])
        if snapshot.status != "available":
            raise ServiceError("InvalidSnapshotState", f"Snapshot {snapshot.name} is {snapshot.status}, not available.")
        if "KmsKeyId" in parameters:
            raise ServiceError("InvalidParameterCombination", "An export cannot use a customer managed key.")
        # Whether the service takes a slash is not documented; refusing it is the safe answer here.
        if not 1 <= len(target) <= 1000 or "/" in target or not target.isprintable():
            raise ServiceError("InvalidParameterValue", f"TargetSnapshotName {target!r} is not valid.")
        # How the service words these two is not documented; that it refuses them is ("Exporting a backup").
        if snapshot.instance.data_tiering:
            raise ServiceError("InvalidParameterValue", "Exporting is not supported for clusters with data tiering.")
        if snapshot.kms_key_id in self._state.disabled_keys:
            raise ServiceError("InvalidParameterValue", f"The KMS key {snapshot.kms_key_id} is disabled.")
        return snapshot

    def _check_bucket(self, bucket: str, keys: list[str]) -> None:
        try:
            self._buckets.check_place(bucket)
            principal = f"{self._state.region}.elasticache-snapshot.amazonaws.com"
            self._buckets.check_grants(bucket, keys[0], principal)
            self._buckets.check_free(bucket, keys)
        except BucketError as error:
            raise ServiceError("InvalidParameterValue", _refusal(error)) from error

    def _export(self, snapshot: Snapshot, bucket: str, keys: Mapping[str, str]) -> None:
        files: dict[str, ExportedFile] = {}
        for node in snapshot.nodes:
            if node.rdb is None:
                raise RuntimeError(f"{snapshot.name} is available but node group {node.node_group_id} has no file")
            files[keys[node.node_group_id]] = ExportedFile(node.node_group_id, node.rdb)
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
    """Return the service's words ("CopySnapshot", "Exporting a backup")."""
    return {
        "missing": f"The S3 bucket {error.bucket} does not exist.",
        "foreign": f"The S3 bucket {error.bucket} is not owned by the authenticated user.",
        "elsewhere": f"The S3 bucket {error.bucket} is outside of the region.",
        "ungranted": f"ElastiCache has not been granted {error.detail} on the S3 Bucket.",
        "taken": f"The S3 bucket {error.bucket} already contains an object with key {error.detail}.",
    }[error.problem]
