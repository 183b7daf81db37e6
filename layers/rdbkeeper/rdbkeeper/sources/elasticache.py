"""Node-based ElastiCache, cluster mode on and off, for Redis and Valkey.

Facts that this rests on, none of which could be tried on AWS here: the ElastiCache API reference (DescribeSnapshots,
CopySnapshot and their errors, as in botocore 1.44.5) and "Exporting a backup" in the ElastiCache user guide: an
export is a CopySnapshot with a TargetBucket, writes one object a shard named `{target}-0001.rdb` at the bucket's root,
refuses to overwrite, and leaves no record and no event. Where they are silent, this module is safe either way:

- An export counts as ready when every shard's object is there AND the backup is `available` again. An S3 object
  appears whole or not at all.
- With cluster mode off a backup is filed under a node, with cluster mode on under the group: both are matched.
- Any status but `available` and `failed` counts as in progress.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import Family, code_of, translated
from rdbkeeper.aws.streams import BodyStream
from rdbkeeper.domain.backup import Backup, BackupState, EngineFacts, Instance, Shard, StagedFile
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
    StagedFileChanged,
)
from rdbkeeper.ports import ByteStream

PROVIDER = "elasticache"
_ENGINES = ("redis", "valkey")
_FAMILY = Family(
    SourceDenied,
    SourceUnavailable,
    SourceRefused,
    special={
        "InvalidSnapshotState": (
            BackupBusy,
            "The provider is working on this backup; the next run asks again.",
        ),
        "SnapshotQuotaExceededFault": (
            BackupBusy,
            "The account's quota is used up for now; the next run asks again.",
        ),
        "SnapshotNotFoundFault": (
            BackupGone,
            "It was deleted or has expired at the source before it could be copied.",
        ),
        "PreconditionFailed": (
            StagedFileChanged,
            "Something else writes to the staging bucket. The next run asks anew.",
        ),
        "NoSuchKey": (
            BackupGone,
            "The staging bucket's lifecycle rule or a person removed it. The next run asks anew.",
        ),
    },
)
_ALREADY_EXPORTED = "already contains an object"


class ElastiCacheSource:
    """The source over an ElastiCache client and an S3 client that sees the staging bucket."""

    def __init__(self, elasticache: Any, s3: Callable[[], Any], staging_bucket: str) -> None:
        self._elasticache = elasticache
        self._s3 = s3
        self._bucket = staging_bucket

    # ------------------------------------------------------------- instances

    def instances(self) -> Iterator[Instance]:
        clusters = self._pages("describe_cache_clusters", "CacheClusters")
        engines = {cluster["CacheClusterId"]: cluster.get("Engine", "") for cluster in clusters}
        for group in self._pages("describe_replication_groups", "ReplicationGroups"):
            yield _instance_of_group(group, engines)
        for cluster in clusters:
            if cluster.get("Engine") in _ENGINES and not cluster.get("ReplicationGroupId"):
                yield _instance_of_node(cluster)

    def find_instance(self, name: str) -> Instance | None:
        group = self._find("describe_replication_groups", "ReplicationGroups", ReplicationGroupId=name)
        if group is not None:
            return _instance_of_group(group, {})
        node = self._find("describe_cache_clusters", "CacheClusters", CacheClusterId=name)
        if node is None or node.get("Engine") not in _ENGINES or node.get("ReplicationGroupId"):
            return None
        return _instance_of_node(node)

    # --------------------------------------------------------------- backups

    def backups(self, instance: Instance) -> list[Backup]:
        # Unfiltered, because the two kinds of instances want different filters and a node may have been replaced.
        snapshots = self._pages("describe_snapshots", "Snapshots", ShowNodeGroupConfig=True)
        nodes = {cluster["CacheClusterId"] for cluster in self._pages("describe_cache_clusters", "CacheClusters")}
        return [_backup(snapshot, instance) for snapshot in snapshots if _belongs(snapshot, instance, nodes)]

    def request_export(self, backup: Backup, attempt: str) -> None:
        target = _target(backup, attempt)
        with translated(_FAMILY, f"Exporting the backup {backup.backup_id}"):
            try:
                self._elasticache.copy_snapshot(
                    SourceSnapshotName=backup.backup_id, TargetSnapshotName=target, TargetBucket=self._bucket
                )
            except ClientError as error:
                if not self._was_asked_already(backup, attempt, error):
                    raise

    def _was_asked_already(self, backup: Backup, attempt: str, error: ClientError) -> bool:
        """True when an earlier call, whose answer was lost, has begun or finished this very export.

        The target's name is this attempt's alone, so whatever exists under it was asked for by this attempt.
        """
        message = error.response.get("Error", {}).get("Message", "")
        if code_of(error) == "SnapshotAlreadyExistsFault" or _ALREADY_EXPORTED in message:
            return True
        return code_of(error) == "InvalidSnapshotState" and bool(self._staged_objects(backup, attempt))

    def find_staged_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...] | None:
        objects = self._staged_objects(backup, attempt)
        files = []
        for position, shard in enumerate(backup.shards, start=1):
            found = objects.get(_object_name(backup, attempt, shard, position))
            if found is None:
                return None
            files.append(StagedFile(shard, found["Key"], int(found["Size"]), found["ETag"]))
        snapshot = self._find("describe_snapshots", "Snapshots", SnapshotName=backup.backup_id)
        # The backup may vanish from the list meanwhile; its files are whole all the same, as each is one S3 object.
        if snapshot is not None and snapshot.get("SnapshotStatus") != "available":
            return None
        return tuple(files)

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
        with translated(_FAMILY, f"Reading the staged file of shard {file.shard.name}"):
            answer = self._s3().get_object(
                Bucket=self._bucket,
                Key=file.key,
                Range=f"bytes={first_byte}-{first_byte + length_bytes - 1}",
                IfMatch=file.etag,
            )

        return BodyStream(answer["Body"], _FAMILY, f"Reading the staged file of shard {file.shard.name}")

    def discard_export(self, backup: Backup, attempt: str) -> None:
        keys = [_object_name(backup, attempt, shard, at) for at, shard in enumerate(backup.shards, start=1)]
        for key in keys:
            with translated(_FAMILY, f"Removing the staged file {key}"):
                self._s3().delete_object(Bucket=self._bucket, Key=key)

    # --------------------------------------------------------------- private

    def _staged_objects(self, backup: Backup, attempt: str) -> dict[str, Any]:
        with translated(_FAMILY, f"Looking for the staged files of {backup.backup_id}"):
            pages = (
                self._s3()
                .get_paginator("list_objects_v2")
                .paginate(Bucket=self._bucket, Prefix=f"{_target(backup, attempt)}-")
            )
            return {found["Key"]: found for page in pages for found in page.get("Contents", ())}

    def _pages(self, operation: str, member: str, **filters: Any) -> list[dict[str, Any]]:
        with translated(_FAMILY, f"ElastiCache's {operation}"):
            pages = self._elasticache.get_paginator(operation).paginate(**filters)
            return [item for page in pages for item in page[member]]

    def _find(self, operation: str, member: str, **filters: Any) -> dict[str, Any] | None:
        with translated(_FAMILY, f"ElastiCache's {operation}"):
            try:
                found = getattr(self._elasticache, operation)(**filters)[member]
            except ClientError as error:
                if "NotFound" in code_of(error):
                    return None
                raise
        return found[0] if found else None


def _target(backup: Backup, attempt: str) -> str:
    """The export's name, unique to the attempt. ElastiCache stores it in lower case."""
    return f"rdbkeeper-{backup.instance}-{attempt}".lower()


def _object_name(backup: Backup, attempt: str, shard: Shard, position: int) -> str:
    number = shard.name if re.fullmatch(r"[0-9]{4}", shard.name) else f"{position:04d}"
    return f"{_target(backup, attempt)}-{number}.rdb"


def _instance_of_group(group: dict[str, Any], engines: dict[str, str]) -> Instance:
    members = tuple(group.get("MemberClusters", ()))
    engine = group.get("Engine") or next((engines[member] for member in members if member in engines), "redis")
    return Instance(
        provider=PROVIDER,
        name=group["ReplicationGroupId"],
        engine=engine,
        available=group.get("Status") == "available",
        backup_retention_days=int(group.get("SnapshotRetentionLimit") or 0),
        backup_window=group.get("SnapshotWindow", ""),
        members=members,
    )


def _instance_of_node(node: dict[str, Any]) -> Instance:
    return Instance(
        provider=PROVIDER,
        name=node["CacheClusterId"],
        engine=node["Engine"],
        available=node.get("CacheClusterStatus") == "available",
        backup_retention_days=int(node.get("SnapshotRetentionLimit") or 0),
        backup_window=node.get("SnapshotWindow", ""),
        members=(node["CacheClusterId"],),
    )


def _belongs(snapshot: dict[str, Any], instance: Instance, nodes: set[str]) -> bool:
    """True for a backup of the group itself, of one of its nodes, or of a node that it no longer has.

    `nodes` are all that exist: one that exists and is no member is another instance, whatever its name looks like.
    """
    if snapshot.get("ReplicationGroupId"):
        return bool(snapshot["ReplicationGroupId"] == instance.name)
    node = snapshot.get("CacheClusterId", "")
    if node in instance.members:
        return True
    is_a_group = instance.name not in instance.members
    named_like_a_member = re.fullmatch(rf"{re.escape(instance.name)}-[0-9]{{3}}", node) is not None
    return is_a_group and named_like_a_member and node not in nodes


def _backup(snapshot: dict[str, Any], instance: Instance) -> Backup:
    nodes = sorted(snapshot.get("NodeSnapshots", ()), key=lambda node: node.get("NodeGroupId", ""))
    times = [node["SnapshotCreateTime"].astimezone(UTC) for node in nodes if node.get("SnapshotCreateTime")]
    complete = snapshot.get("SnapshotStatus") == "available" and len(times) == len(nodes) > 0
    failed = snapshot.get("SnapshotStatus") == "failed"
    return Backup(
        provider=PROVIDER,
        instance=instance.name,
        backup_id=snapshot["SnapshotName"],
        state=BackupState.FAILED if failed else BackupState.COMPLETE if complete else BackupState.IN_PROGRESS,
        automatic=snapshot.get("SnapshotSource") == "automated",
        taken_at=min(times) if times else None,
        shards=_shards(nodes),
        engine=_engine_facts(snapshot, nodes),
    )


def _shards(nodes: Sequence[dict[str, Any]]) -> tuple[Shard, ...]:
    return tuple(
        Shard(node.get("NodeGroupId") or f"{at:04d}", node.get("NodeGroupConfiguration", {}).get("Slots", ""))
        for at, node in enumerate(nodes, start=1)
    )


def _engine_facts(snapshot: dict[str, Any], nodes: Sequence[dict[str, Any]]) -> EngineFacts:
    configuration = nodes[0].get("NodeGroupConfiguration", {}) if nodes else {}
    return EngineFacts(
        engine=snapshot.get("Engine", ""),
        engine_version=snapshot.get("EngineVersion", ""),
        node_type=snapshot.get("CacheNodeType", ""),
        parameter_group=snapshot.get("CacheParameterGroupName", ""),
        shard_count=int(snapshot.get("NumNodeGroups") or len(nodes) or 1),
        cluster_mode=bool(snapshot.get("ReplicationGroupId")) and not snapshot.get("CacheClusterId"),
        replicas_per_shard=int(configuration.get("ReplicaCount") or 0),
        port=int(snapshot.get("Port") or 0),
        subnet_group=snapshot.get("CacheSubnetGroupName", ""),
        automatic_failover=snapshot.get("AutomaticFailover", ""),
        data_tiering=snapshot.get("DataTiering", ""),
    )
