"""MemoryDB, for Redis and Valkey.

Facts that this rests on, none of which could be tried on AWS here: the MemoryDB API reference (DescribeClusters,
DescribeSnapshots, CreateSnapshot, CopySnapshot and their errors, as in botocore 1.44.5), "Making manual snapshots" and
"Exporting a snapshot" in the MemoryDB developer guide: an export is as ElastiCache's, and its bucket must besides have
ACLs enabled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from rdbkeeper.domain.backup import Backup, Instance, StagedFile
from rdbkeeper.ports import ByteStream
from rdbkeeper.sources.aws.manual_backups import ManualBackups
from rdbkeeper.sources.aws.named_exports import NamedExports
from rdbkeeper.sources.aws.service import AwsService, service_family
from rdbkeeper.sources.aws.staging import StagingBucket
from rdbkeeper.sources.backup_answers import count_by_owner
from rdbkeeper.sources.memorydb.answers import is_available, owner_of, read_backup, read_cluster

# "Constraints" in "Snapshot and restore": of a cluster, within 24 hours.
BACKUPS_A_DAY = 20
_FAMILY = service_family("memorydb")


class MemoryDbSource:
    """The source over a MemoryDB client and an S3 client that sees the staging bucket."""

    def __init__(self, memorydb: Any, s3: Callable[[], Any], staging_bucket: str) -> None:
        self._memorydb = memorydb
        self._service = AwsService(memorydb, "MemoryDB", _FAMILY)
        self._staging = StagingBucket(s3, staging_bucket)
        self._exports = NamedExports(self._service, self._staging, self._find_snapshot, is_available)
        self._manual = ManualBackups(
            self._service,
            find=self._find_snapshot,
            is_of=lambda snapshot, instance: owner_of(snapshot) == instance.name,
            list_tags=lambda arn: memorydb.list_tags(ResourceArn=arn)["TagList"],
            delete=lambda name: memorydb.delete_snapshot(SnapshotName=name),
            kind="Source",
            exists="SnapshotAlreadyExistsFault",
            quota="SnapshotQuotaExceededFault",
        )

    # ------------------------------------------------------------- instances

    def instances(self) -> Iterator[Instance]:
        yield from map(read_cluster, self._service.pages("describe_clusters", "Clusters"))

    def find_instance(self, name: str) -> Instance | None:
        cluster = self._service.find("describe_clusters", "Clusters", ClusterName=name)
        return read_cluster(cluster) if cluster is not None else None

    # --------------------------------------------------------------- backups

    def backups(self, instance: Instance) -> list[Backup]:
        listed = self._service.pages("describe_snapshots", "Snapshots", ClusterName=instance.name, ShowDetail=True)
        return [read_backup(snapshot) for snapshot in listed]

    def count_backups(self, instances: Sequence[Instance]) -> dict[str, int]:
        listed = self._service.pages("describe_snapshots", "Snapshots")
        return count_by_owner(map(owner_of, listed), instances)

    def request_export(self, backup: Backup, attempt: str) -> None:
        self._exports.request(backup, attempt)

    def find_staged_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...] | None:
        return self._exports.find_files(backup, attempt)

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
        return self._staging.open_range(file, first_byte, length_bytes)

    def discard_export(self, backup: Backup, attempt: str) -> None:
        self._exports.discard(backup, attempt)

    def discard_leftovers(
        self, instance: Instance, rule_tag: str, keep_chain_tag: str, older_than: datetime
    ) -> list[str]:
        return self._exports.discard_leftovers(instance.name, rule_tag, keep_chain_tag, older_than)

    # ------------------------------------------------------ backups on demand

    @property
    def backups_a_day(self) -> int | None:
        return BACKUPS_A_DAY

    def request_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> None:
        create = partial(self._memorydb.create_snapshot, ClusterName=instance.name, SnapshotName=name)
        self._manual.request(instance, name, tags, create)

    def find_requested_backup(self, instance: Instance, name: str) -> Backup | None:
        snapshot = self._manual.find_of(instance, name)
        return read_backup(snapshot) if snapshot is not None else None

    def remove_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> bool:
        return self._manual.remove(instance, name, tags)

    # --------------------------------------------------------------- private

    def _find_snapshot(self, name: str) -> dict[str, Any] | None:
        return self._service.find("describe_snapshots", "Snapshots", SnapshotName=name, ShowDetail=True)
