"""The stand-in's front door: one request in, one answer out, and the switches that tests use."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from werkzeug.wrappers import Request, Response

from tests.local_cloud.engines import Engine
from tests.local_cloud.managed.buckets import ExportBuckets
from tests.local_cloud.managed.errors import Call, ServiceError
from tests.local_cloud.managed.exporting import DamageMode, ExportWriter
from tests.local_cloud.managed.faults import CallFaults
from tests.local_cloud.memorydb.clusters import ClusterOperations
from tests.local_cloud.memorydb.exports import ExportOperations
from tests.local_cloud.memorydb.snapshots import SnapshotOperations
from tests.local_cloud.memorydb.state import Clock, State, check_name
from tests.local_cloud.memorydb.wire import INVALID, JsonService

Forward = Callable[[Request], Response]
Operation = Callable[[Mapping[str, Any]], dict[str, Any]]

# What each operation takes here. The model knows more; those parameters are refused, not ignored.
_PAGING = ("MaxResults", "NextToken")
_TAKEN = {
    "CreateCluster": (
        "ClusterName",
        "NodeType",
        "ACLName",
        "Description",
        "NumShards",
        "NumReplicasPerShard",
        "SubnetGroupName",
        "SecurityGroupIds",
        "TLSEnabled",
        "KmsKeyId",
        "SnapshotRetentionLimit",
        "SnapshotWindow",
        "Engine",
        "EngineVersion",
        "DataTiering",
        "Tags",
    ),
    "DeleteCluster": ("ClusterName",),
    "DescribeClusters": ("ClusterName", "ShowShardDetails", *_PAGING),
    "CreateSnapshot": ("ClusterName", "SnapshotName", "KmsKeyId", "Tags"),
    "DescribeSnapshots": ("ClusterName", "SnapshotName", "Source", "ShowDetail", *_PAGING),
    "DeleteSnapshot": ("SnapshotName",),
    "CopySnapshot": ("SourceSnapshotName", "TargetSnapshotName", "TargetBucket", "KmsKeyId", "Tags"),
    "ListTags": ("ResourceArn",),
    "TagResource": ("ResourceArn", "Tags"),
    "UntagResource": ("ResourceArn", "TagKeys"),
}


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryDbGuard:
    """Answers MemoryDB's own wire format for one account and region; nothing is passed on.

    region, account: whose clusters these are. s3: gives a client of the cloud that the exports go to.
    export_delay_s: how long an export takes. clock: what the time is (aware), for the times in the answers.
    Every Redis server that it starts ends with close(), or with this process.
    """

    def __init__(
        self,
        region: str,
        s3: Callable[[], Any],
        export_delay_s: float,
        account: str = "000000000000",
        clock: Clock = _now,
    ) -> None:
        self._wire = JsonService("memorydb")
        self._state = State(region, account, clock)
        self._buckets = ExportBuckets(s3, region)
        self._writer = ExportWriter(self._state, s3, export_delay_s)
        self._snapshots = SnapshotOperations(self._state)
        self._faults = CallFaults(
            "memorydb", account, access_denied="AccessDeniedException", throttled="ThrottlingException"
        )
        clusters, snapshots = ClusterOperations(self._state), self._snapshots
        exports = ExportOperations(self._state, self._buckets, self._writer)
        self._operations: dict[str, Operation] = {
            "CreateCluster": clusters.create_cluster,
            "DeleteCluster": clusters.delete_cluster,
            "DescribeClusters": clusters.describe_clusters,
            "CreateSnapshot": snapshots.create_snapshot,
            "DescribeSnapshots": snapshots.describe_snapshots,
            "DeleteSnapshot": snapshots.delete_snapshot,
            "CopySnapshot": exports.copy_snapshot,
            "ListTags": self._list_tags,
            "TagResource": self._tag,
            "UntagResource": self._untag,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def problems(self) -> list[str]:
        """Return what went wrong in the background so far: exports and snapshots that failed."""
        return list(self._state.problems)

    def handle(self, request: Request, forward: Forward) -> Response:
        """Answer one request; `forward` is never used."""
        try:
            self._check_region(request)
            call = self._wire.read(request)
            body, status = self._wire.write(call.operation, self._choose(call)(call.parameters)), 200
        except ServiceError as error:
            body, status = self._wire.write_error(error), 400
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        return Response(body, status=status, headers=headers, content_type=self._wire.content_type)

    def engines(self, cluster_name: str) -> tuple[Engine, ...]:
        """Return the running servers of a cluster, in the order of its shards."""
        return tuple(shard.engine for shard in self._state.get_cluster(cluster_name).shards)

    def ports(self, cluster_name: str) -> tuple[int, ...]:
        """Return the ports of a cluster's servers, in the order of its shards."""
        return tuple(engine.port for engine in self.engines(cluster_name))

    def take_automatic_backup(self, cluster_name: str, taken_at: datetime | None = None) -> str:
        """Take the daily backup now, complete on return, and return its name.

        taken_at: the time that the first shard states, each later shard a second more; the data is today's.
        The name is `automatic.<cluster>-YYYY-MM-DD-HH-MM`.
        """
        if not self._state.get_cluster(cluster_name).retention_days:
            raise ValueError(f"{cluster_name} has SnapshotRetentionLimit 0: it gets no automatic backups")
        name = f"automatic.{cluster_name}-{taken_at or self._state.clock():%Y-%m-%d-%H-%M}"
        return self._snapshots.take_now(name, "automated", cluster_name, taken_at)

    def take_manual_backup(self, name: str, cluster_name: str, taken_at: datetime | None = None) -> str:
        """Take a manual backup without a `creating` phase, and return its name."""
        return self._snapshots.take_now(check_name(name, "SnapshotName"), "manual", cluster_name, taken_at)

    def backup_files(self, snapshot_name: str) -> dict[str, Path]:
        """Return the RDB file of each shard of an available backup, by the shard's name; only read them."""
        shards = self._state.get_snapshot(snapshot_name).shards
        return {shard.name: shard.rdb for shard in shards if shard.rdb is not None}

    def set_status(self, cluster_name: str, status: str | None) -> None:
        """Answer that status of a cluster, for example "updating"; None for the true one.

        While it is not `available`, the cluster is not deleted or snapshotted either.
        """
        arn = self._state.get_cluster(cluster_name).arn
        if status is None:
            self._state.forced_statuses.pop(arn, None)
        else:
            self._state.forced_statuses[arn] = status

    def hold_exports(self, held: bool, after_files: int = 0) -> None:
        """Keep every export from finishing while held; `after_files` of each are written all the same."""
        self._writer.hold(held, after_files)

    def slow_exports(self, delay_s: float) -> None:
        """Let exports take so long from now on."""
        self._writer.delay_s = delay_s

    def hold_snapshots(self, held: bool) -> None:
        """Keep snapshots that are asked for `creating` while held."""
        self._snapshots.making.hold(held)

    def fail_snapshots(self, times: int = 1) -> None:
        """Let the next so many snapshots that are asked for fail."""
        self._snapshots.making.fail_next(times)

    def expire(self, snapshot_name: str) -> None:
        """Remove a snapshot as its retention does, also in the middle of its export."""
        self._snapshots.expire(snapshot_name)

    def disown(self, bucket: str, disowned: bool = True) -> None:
        """Take a bucket for another account's, or no longer."""
        self._buckets.disown(bucket, disowned)

    def disable_key(self, kms_key_id: str, disabled: bool = True) -> None:
        """Refuse exports of what is encrypted with a customer managed key, or no longer."""
        (self._state.disabled_keys.add if disabled else self._state.disabled_keys.discard)(kms_key_id)

    def tags_of(self, arn: str) -> dict[str, str]:
        """Return a resource's tags, for conditions of policies."""
        return self._state.tags.of(arn)

    def damage(self, snapshot_name: str, shard_name: str, mode: DamageMode, at: int | None = None) -> None:
        """Export one shard damaged from now on: `flip` changes the byte at `at`, `truncate` cuts there.

        `at` is an offset in bytes, the middle of the file if not given.
        """
        snapshot = self._state.get_snapshot(snapshot_name)
        if shard_name not in {shard.name for shard in snapshot.shards}:
            raise ValueError(f"{snapshot_name} has no shard {shard_name}")
        self._writer.damage(snapshot.arn, shard_name, mode, at)

    def repair(self, snapshot_name: str) -> None:
        """Export a damaged snapshot whole again."""
        self._writer.repair(self._state.get_snapshot(snapshot_name).arn)

    def deny(self, operation: str) -> None:
        """Answer AccessDeniedException to an operation, for example "CopySnapshot", until it is allowed again."""
        self._faults.deny(operation, self._operations)

    def throttle(self, operation: str, times: int = 1) -> None:
        """Answer an operation's next so many calls with ThrottlingException."""
        self._faults.throttle(operation, times, self._operations)

    def allow(self, operation: str) -> None:
        """End what deny() or throttle() began."""
        self._faults.allow(operation)

    def close(self) -> None:
        """Stop every server and all background work and remove every file; repeating it is harmless."""
        self._state.close()

    def _choose(self, call: Call) -> Operation:
        operation = self._operations.get(call.operation)
        if operation is None:
            raise ServiceError("UnknownOperationException", f"This local MemoryDB does not do {call.operation}.")
        self._faults.check(call.operation)
        beyond = sorted(set(call.parameters) - set(_TAKEN[call.operation]))
        if beyond:
            raise ServiceError(INVALID, f"This local MemoryDB does not do {call.operation} with {', '.join(beyond)}.")
        return operation

    def _check_region(self, request: Request) -> None:
        scope = re.search(r"Credential=[^,]*/[0-9]{8}/([^/,]+)/", request.headers.get("Authorization", ""))
        if scope and scope.group(1) != self._state.region:
            raise ServiceError(
                "OptInRequired",
                f"This local MemoryDB is in {self._state.region}; the request is for {scope.group(1)}.",
            )

    def _list_tags(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        with self._state.lock:
            self._state.check_arn(parameters["ResourceArn"])
            return {"TagList": self._state.tags.listed(parameters["ResourceArn"])}

    def _tag(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        with self._state.lock:
            self._state.check_arn(parameters["ResourceArn"])
            self._state.tags.add(parameters["ResourceArn"], parameters["Tags"])
        return self._list_tags(parameters)

    def _untag(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        with self._state.lock:
            self._state.check_arn(parameters["ResourceArn"])
            missing = sorted(set(parameters["TagKeys"]) - set(self._state.tags.of(parameters["ResourceArn"])))
            if missing:
                raise ServiceError("TagNotFoundFault", f"There is no tag {missing[0]}.")
            self._state.tags.remove(parameters["ResourceArn"], parameters["TagKeys"])
        return self._list_tags(parameters)
