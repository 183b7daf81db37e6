"""CopySnapshot to a bucket: what it refuses at once, and what it writes later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import ClientError

from tests.local_cloud.elasticache.bucket_policy import find_missing_grants
from tests.local_cloud.elasticache.records import NodeSnapshot, Snapshot, describe_snapshot
from tests.local_cloud.elasticache.state import State
from tests.local_cloud.elasticache.wire import ServiceError

DamageMode = Literal["flip", "truncate"]
Parameters = Mapping[str, Any]


class ExportOperations:
    """Exports snapshots to a bucket: one object a shard, none overwritten, no record left behind."""

    def __init__(self, state: State, s3: Callable[[], Any], export_delay_s: float) -> None:
        self._state = state
        self._s3 = s3
        self._delay_s = export_delay_s
        self._asking = threading.Lock()
        self._released = threading.Event()
        self._released.set()
        self._damages: dict[tuple[str, str], tuple[DamageMode, int | None]] = {}

    def hold(self, held: bool) -> None:
        """Keep every export from finishing while held, those that run included."""
        if held:
            self._released.clear()
        else:
            self._released.set()

    def damage(self, snapshot_name: str, node_group_id: str, mode: DamageMode, at: int | None) -> None:
        """Export one shard of a snapshot with a changed byte, or cut short; see ElastiCacheGuard."""
        snapshot = self._state.get_snapshot(snapshot_name)
        if node_group_id not in {node.node_group_id for node in snapshot.nodes}:
            raise ValueError(f"{snapshot_name} has no node group {node_group_id}")
        self._damages[snapshot.name, node_group_id] = (mode, at)

    def repair(self, snapshot_name: str) -> None:
        """Export a damaged snapshot whole again."""
        name = self._state.get_snapshot(snapshot_name).name
        self._damages = {key: value for key, value in self._damages.items() if key[0] != name}

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
        return snapshot

    def _check_bucket(self, bucket: str, keys: list[str]) -> None:
        s3, state = self._s3(), self._state
        try:
            location = s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
        except ClientError as error:
            raise _refusal(f"The S3 bucket {bucket} {_reason(error)}.") from error
        if {"EU": "eu-west-1"}.get(location, location) != state.region:
            raise _refusal(f"The S3 bucket {bucket} is outside of the region.")
        principal = f"{state.region}.elasticache-snapshot.amazonaws.com"
        for kind, actions in find_missing_grants(_policy(s3, bucket), bucket, keys[0], principal).items():
            raise _refusal(
                f"ElastiCache has not been granted {kind} permissions {', '.join(actions)} on the S3 Bucket."
            )
        for key in keys:
            if _exists(s3, bucket, key):
                raise _refusal(f"The S3 bucket {bucket} already contains an object with key {key}.")

    def _export(self, snapshot: Snapshot, bucket: str, keys: Mapping[str, str]) -> None:
        s3 = self._s3()
        pause_s = self._delay_s / len(snapshot.nodes)
        try:
            for node in snapshot.nodes:
                if self._state.closing.wait(pause_s) or not self._wait_for_release():
                    return
                self._write(s3, snapshot, node, bucket, keys[node.node_group_id])
        finally:
            with self._state.lock:
                if snapshot.name in self._state.snapshots:
                    self._state.snapshots[snapshot.name] = replace(snapshot, status="available")

    def _wait_for_release(self) -> bool:
        while not self._released.wait(0.05):
            if self._state.closing.is_set():
                return False
        return not self._state.closing.is_set()

    def _write(self, s3: Any, snapshot: Snapshot, node: NodeSnapshot, bucket: str, key: str) -> None:
        if node.rdb is None:
            raise RuntimeError(f"{snapshot.name} is available but node group {node.node_group_id} has no file")
        damage = self._damages.get((snapshot.name, node.node_group_id))
        if damage is None:
            with node.rdb.open("rb") as body:
                s3.put_object(Bucket=bucket, Key=key, Body=body)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=_damaged(node.rdb, *damage))


def _damaged(rdb: Path, mode: DamageMode, at: int | None) -> bytes:
    content = bytearray(rdb.read_bytes())
    offset = len(content) // 2 if at is None else at
    if mode == "flip":
        content[offset] ^= 0x01
    else:
        del content[offset:]
    return bytes(content)


def _refusal(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValue", message)


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _reason(error: ClientError) -> str:
    if _code(error) in ("NoSuchBucket", "404"):
        return "does not exist"
    if _code(error) in ("AccessDenied", "403", "Forbidden"):
        return "is not owned by the authenticated user"
    raise error


def _policy(s3: Any, bucket: str) -> str:
    try:
        return str(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if _code(error) == "NoSuchBucketPolicy":
            return ""
        raise


def _exists(s3: Any, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if _code(error) in ("404", "NoSuchKey"):
            return False
        raise
    return True
