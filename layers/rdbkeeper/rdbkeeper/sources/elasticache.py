"""Node-based ElastiCache, cluster mode on and off, for Redis and Valkey.

Facts that this rests on, none of which could be tried on AWS here: the ElastiCache API reference (DescribeSnapshots,
CopySnapshot and their errors, as in botocore 1.44.5) and "Exporting a backup" in the ElastiCache user guide: an
export is a CopySnapshot with a TargetBucket, writes one object a shard named `{target}-0001.rdb` at the bucket's root,
refuses to overwrite, and leaves no record and no event. Where they are silent on when it is over, this is safe either
way: an export counts as ready when every shard's object is there AND the backup is `available` again. An S3 object
appears whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import Family, code_of, translated
from rdbkeeper.aws.streams import BodyStream
from rdbkeeper.domain.backup import Backup, Instance, Shard, StagedFile
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
    StagedFileChanged,
)
from rdbkeeper.ports import ByteStream
from rdbkeeper.sources.elasticache_answers import PROVIDER, Owners, read_backup, read_group, read_node

__all__ = ["PROVIDER", "ElastiCacheSource"]

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
            yield read_group(group, engines)
        for cluster in clusters:
            if cluster.get("Engine") in _ENGINES and not cluster.get("ReplicationGroupId"):
                yield read_node(cluster)

    def find_instance(self, name: str) -> Instance | None:
        group = self._find("describe_replication_groups", "ReplicationGroups", ReplicationGroupId=name)
        if group is not None:
            return read_group(group, {})
        node = self._find("describe_cache_clusters", "CacheClusters", CacheClusterId=name)
        if node is None or node.get("Engine") not in _ENGINES or node.get("ReplicationGroupId"):
            return None
        return read_node(node)

    # --------------------------------------------------------------- backups

    def backups(self, instance: Instance) -> list[Backup]:
        # Unfiltered, because the two kinds of instances want different filters and a node may have been replaced.
        snapshots = self._pages("describe_snapshots", "Snapshots", ShowNodeGroupConfig=True)
        owners = self._owners([instance])
        return [read_backup(snapshot, instance.name) for snapshot in snapshots if owners.find_owner(snapshot)]

    def count_backups(self, instances: Sequence[Instance]) -> dict[str, int]:
        return self._owners(instances).count(self._pages("describe_snapshots", "Snapshots"))

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

    def discard_leftovers(
        self, instance: Instance, rule_tag: str, keep_chain_tag: str, older_than: datetime
    ) -> list[str]:
        begin = f"{_exports_of(instance.name)}{rule_tag}"
        # Nothing but our own names: 8 digits of the chain, 12 of the copy, and what ElastiCache adds for each shard.
        ours = re.compile(rf"{re.escape(begin)}(?P<chain>[0-9a-f]{{8}})[0-9a-f]{{12}}-[0-9]{{4}}\.rdb")
        with translated(_FAMILY, "Looking for staged files that were left"):
            pages = self._s3().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=begin)
            listed = [found for page in pages for found in page.get("Contents", ())]
        removed = []
        for found in listed:
            name = ours.fullmatch(found["Key"])
            if name is None or name["chain"] == keep_chain_tag or found["LastModified"] >= older_than:
                continue
            with translated(_FAMILY, f"Removing the staged file {found['Key']}"):
                self._s3().delete_object(Bucket=self._bucket, Key=found["Key"])
            removed.append(found["Key"])
        return removed

    # --------------------------------------------------------------- private

    def _owners(self, instances: Sequence[Instance]) -> Owners:
        clusters = self._pages("describe_cache_clusters", "CacheClusters")
        return Owners(instances, (cluster["CacheClusterId"] for cluster in clusters))

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
    return f"{_exports_of(backup.instance)}{attempt}".lower()


def _exports_of(instance: str) -> str:
    return f"rdbkeeper-{instance}-".lower()


def _object_name(backup: Backup, attempt: str, shard: Shard, position: int) -> str:
    number = shard.name if re.fullmatch(r"[0-9]{4}", shard.name) else f"{position:04d}"
    return f"{_target(backup, attempt)}-{number}.rdb"
