"""The stand-in's front door: one request in, one answer out, and the switches that tests use."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from werkzeug.wrappers import Request, Response

from tests.local_cloud.elasticache import serverless
from tests.local_cloud.elasticache.exports import ExportOperations
from tests.local_cloud.elasticache.instances import InstanceOperations
from tests.local_cloud.elasticache.snapshots import SnapshotOperations
from tests.local_cloud.elasticache.state import Clock, State
from tests.local_cloud.elasticache.wire import QueryService
from tests.local_cloud.engines import Engine
from tests.local_cloud.managed.buckets import ExportBuckets
from tests.local_cloud.managed.errors import Call, ServiceError
from tests.local_cloud.managed.exporting import DamageMode, ExportWriter
from tests.local_cloud.managed.faults import CallFaults

Forward = Callable[[Request], Response]
Operation = Callable[[Mapping[str, Any]], dict[str, Any]]

# What each operation takes here. The model knows more; those parameters are refused, not ignored.
_PAGING = ("MaxRecords", "Marker")
_BACKUPS = ("SnapshotRetentionLimit", "SnapshotWindow")
_MAKING = (
    "CacheNodeType",
    "Engine",
    "EngineVersion",
    "CacheParameterGroupName",
    "CacheSubnetGroupName",
    "SecurityGroupIds",
    "Tags",
    *_BACKUPS,
)
_GROUP = ("ReplicationGroupId", "ReplicationGroupDescription")
_SHAPE = ("AutomaticFailoverEnabled", "NumCacheClusters", "NumNodeGroups", "ReplicasPerNodeGroup", "ClusterMode")
_TAKEN = {
    "CreateReplicationGroup": (*_GROUP, *_SHAPE, *_MAKING, "DataTieringEnabled"),
    "ModifyReplicationGroup": (*_GROUP, "ApplyImmediately", *_BACKUPS),
    "DeleteReplicationGroup": ("ReplicationGroupId",),
    "DescribeReplicationGroups": ("ReplicationGroupId", *_PAGING),
    "CreateCacheCluster": ("CacheClusterId", "NumCacheNodes", *_MAKING),
    "DeleteCacheCluster": ("CacheClusterId",),
    "DescribeCacheClusters": (
        "CacheClusterId",
        "ShowCacheNodeInfo",
        "ShowCacheClustersNotInReplicationGroups",
        *_PAGING,
    ),
    "CreateSnapshot": ("SnapshotName", "ReplicationGroupId", "CacheClusterId", "KmsKeyId", "Tags"),
    "DescribeSnapshots": (
        "SnapshotName",
        "ReplicationGroupId",
        "CacheClusterId",
        "SnapshotSource",
        "ShowNodeGroupConfig",
        *_PAGING,
    ),
    "DeleteSnapshot": ("SnapshotName",),
    "CopySnapshot": ("SourceSnapshotName", "TargetSnapshotName", "TargetBucket", "KmsKeyId", "Tags"),
    "AddTagsToResource": ("ResourceName", "Tags"),
    "ListTagsForResource": ("ResourceName",),
    "RemoveTagsFromResource": ("ResourceName", "TagKeys"),
    "DescribeEvents": ("SourceIdentifier", "SourceType", "StartTime", "EndTime", "Duration", *_PAGING),
    **serverless.TAKEN,
}


def _now() -> datetime:
    return datetime.now(UTC)


class ElastiCacheGuard:
    """Answers ElastiCache's own wire format for one account and region; nothing is passed on.

    region, account: whose instances these are. s3: gives a client of the cloud that the exports go to.
    export_delay_s: how long an export takes. clock: what the time is (aware), for the times in the answers.
    `serverless` is the half for serverless caches; all other switches are for replication groups and cache clusters,
    unless they say that they are for both.
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
        self._wire = QueryService("elasticache")
        self._state = State(region, account, clock)
        self._snapshots = SnapshotOperations(self._state)
        self._buckets = ExportBuckets(s3, region)
        self._writer = ExportWriter(self._state, s3, export_delay_s)
        self._exports = ExportOperations(self._state, self._buckets, self._writer)
        self.serverless = serverless.Serverless(self._state, self._buckets, self._writer)
        self._faults = CallFaults("elasticache", account, access_denied="AccessDenied", throttled="Throttling")
        instances, snapshots = InstanceOperations(self._state), self._snapshots
        self._operations: dict[str, Operation] = {
            "CreateReplicationGroup": instances.create_replication_group,
            "ModifyReplicationGroup": instances.modify_replication_group,
            "DeleteReplicationGroup": instances.delete_replication_group,
            "DescribeReplicationGroups": instances.describe_replication_groups,
            "CreateCacheCluster": instances.create_cache_cluster,
            "DeleteCacheCluster": instances.delete_cache_cluster,
            "DescribeCacheClusters": instances.describe_cache_clusters,
            "CreateSnapshot": snapshots.create_snapshot,
            "DescribeSnapshots": snapshots.describe_snapshots,
            "DeleteSnapshot": snapshots.delete_snapshot,
            "CopySnapshot": self._copy_snapshot,
            "AddTagsToResource": self._add_tags,
            "ListTagsForResource": self._list_tags,
            "RemoveTagsFromResource": self._remove_tags,
            "DescribeEvents": self._state.events.describe_events,
            **self.serverless.operations,
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
        request_id = str(uuid.uuid4())
        try:
            self._check_region(request)
            call = self._wire.read(request.get_data(cache=True))
            result = self._choose(call)(call.parameters)
        except ServiceError as error:
            status, body = self._wire.write_error(error, request_id)
        else:
            status, body = 200, self._wire.write(call.operation, result, request_id)
        headers = {"x-amzn-RequestId": request_id}
        return Response(body, status=status, headers=headers, content_type="text/xml")

    def engines(self, instance_id: str) -> tuple[Engine, ...]:
        """Return the running servers of a replication group or cache cluster, in the order of its shards."""
        with self._state.lock:
            known = self._state.groups | self._state.clusters
            return tuple(shard.engine for shard in known[instance_id].shards)

    def ports(self, instance_id: str) -> tuple[int, ...]:
        """Return the ports of the instance's servers, in the order of its shards."""
        return tuple(engine.port for engine in self.engines(instance_id))

    def take_automatic_backup(self, instance_id: str, taken_at: datetime | None = None) -> str:
        """Take the daily backup now, complete on return, and return its name.

        taken_at: the time that the first shard states, each later shard a second more; the data is today's.
        The name is `automatic.<owner>-YYYY-MM-DD-HH-MM`; without cluster mode the owner is a node.
        """
        return self._snapshots.take_automatic_backup(instance_id, taken_at)

    def take_manual_backup(self, name: str, instance_id: str, taken_at: datetime | None = None) -> str:
        """Take a manual backup without a `creating` phase or a quota, and return its name."""
        return self._snapshots.take_manual_backup(name, instance_id, taken_at)

    def backup_files(self, snapshot_name: str) -> dict[str, Path]:
        """Return the RDB file of each shard of an available backup, by the shard's number; only read them."""
        with self._state.lock:
            nodes = self._state.get_snapshot(snapshot_name).nodes
        return {node.node_group_id: node.rdb for node in nodes if node.rdb is not None}

    def set_status(self, instance_id: str, status: str | None) -> None:
        """Answer that status of a replication group or cache cluster, for example "modifying"; None for the true one.

        While it is not `available`, the instance is not changed, deleted or snapshotted either.
        """
        with self._state.lock:
            known = self._state.groups | self._state.clusters
            if status is None:
                self._state.forced_statuses.pop(known[instance_id].arn, None)
            else:
                self._state.forced_statuses[known[instance_id].arn] = status

    def hold_exports(self, held: bool, after_files: int = 0) -> None:
        """Keep every export from finishing while held, serverless ones as well; releasing lets them go on.

        after_files: how many files of each are written all the same.
        """
        self._writer.hold(held, after_files)

    def slow_exports(self, delay_s: float) -> None:
        """Let exports take so long from now on, serverless ones as well."""
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
        """Take a bucket for another account's in exports of both kinds, or no longer."""
        self._buckets.disown(bucket, disowned)

    def disable_key(self, kms_key_id: str, disabled: bool = True) -> None:
        """Let what uses a customer managed key fail, for both kinds, or no longer."""
        (self._state.disabled_keys.add if disabled else self._state.disabled_keys.discard)(kms_key_id)

    def tags_of(self, arn: str) -> dict[str, str]:
        """Return a resource's tags, for conditions of policies."""
        return self._state.tags.of(arn)

    def damage(self, snapshot_name: str, node_group_id: str, mode: DamageMode, at: int | None = None) -> None:
        """Export one shard damaged from now on: `flip` changes the byte at `at`, `truncate` cuts there.

        `at` is an offset in bytes, the middle of the file if not given.
        """
        self._exports.damage(snapshot_name, node_group_id, mode, at)

    def repair(self, snapshot_name: str) -> None:
        """Export a damaged snapshot whole again."""
        self._exports.repair(snapshot_name)

    def deny(self, operation: str) -> None:
        """Answer AccessDenied to an operation, for example "CopySnapshot", until it is allowed again."""
        self._faults.deny(operation, self._operations)

    def throttle(self, operation: str, times: int = 1) -> None:
        """Answer an operation's next so many calls with Throttling."""
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
            raise ServiceError("InvalidAction", f"This local ElastiCache does not do {call.operation}.")
        self._faults.check(call.operation)
        beyond = sorted(set(call.parameters) - set(_TAKEN[call.operation]))
        if beyond:
            raise ServiceError(
                "InvalidParameterValue",
                f"This local ElastiCache does not do {call.operation} with {', '.join(beyond)}.",
            )
        return operation

    def _check_region(self, request: Request) -> None:
        scope = re.search(r"Credential=[^,]*/[0-9]{8}/([^/,]+)/", request.headers.get("Authorization", ""))
        if scope and scope.group(1) != self._state.region:
            raise ServiceError(
                "OptInRequired",
                f"This local ElastiCache is in {self._state.region}; the request is for {scope.group(1)}.",
            )

    def _copy_snapshot(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if "TargetBucket" in parameters:
            return self._exports.copy_to_bucket(parameters)
        if "KmsKeyId" in parameters:
            raise ServiceError("InvalidParameterValue", "This local ElastiCache has no customer managed keys.")
        return self._snapshots.copy_within_service(parameters)

    def _add_tags(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        with self._state.lock:
            self._state.check_arn(parameters["ResourceName"])
            self._state.tags.add(parameters["ResourceName"], parameters["Tags"])
        return self._list_tags(parameters)

    def _list_tags(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        with self._state.lock:
            self._state.check_arn(parameters["ResourceName"])
            return {"TagList": self._state.tags.listed(parameters["ResourceName"])}

    def _remove_tags(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        with self._state.lock:
            self._state.check_arn(parameters["ResourceName"])
            self._state.tags.remove(parameters["ResourceName"], parameters["TagKeys"])
        return self._list_tags(parameters)
