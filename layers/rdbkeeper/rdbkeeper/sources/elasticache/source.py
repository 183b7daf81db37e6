"""Node-based ElastiCache, cluster mode on and off, for Redis and Valkey.

Facts that this rests on, none of which could be tried on AWS here: the ElastiCache API reference (DescribeSnapshots,
CreateSnapshot, CopySnapshot and their errors, as in botocore 1.44.5), "Taking manual backups" and "Exporting a backup"
in the ElastiCache user guide: an export is a CopySnapshot with a TargetBucket, writes one object a shard named
`{target}-0001.rdb` at the bucket's root, refuses to overwrite, and leaves no record and no event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from rdbkeeper.domain.backup import Backup, Instance, StagedFile
from rdbkeeper.domain.errors import SourceRefused
from rdbkeeper.ports import ByteStream
from rdbkeeper.sources.aws.manual_backups import ManualBackups
from rdbkeeper.sources.aws.named_exports import NamedExports
from rdbkeeper.sources.aws.service import AwsService, service_family
from rdbkeeper.sources.aws.staging import StagingBucket
from rdbkeeper.sources.elasticache.answers import (
    ENGINES,
    Owners,
    find_what_to_back_up,
    is_available,
    read_backup,
    read_group,
    read_node,
)

# "Constraints when taking backups": of a node, within 24 hours.
BACKUPS_A_DAY = 20
_FAMILY = service_family("elasticache")


class ElastiCacheSource:
    """The source over an ElastiCache client and an S3 client that sees the staging bucket."""

    def __init__(self, elasticache: Any, s3: Callable[[], Any], staging_bucket: str) -> None:
        self._elasticache = elasticache
        self._service = AwsService(elasticache, "ElastiCache", _FAMILY)
        self._staging = StagingBucket(s3, staging_bucket)
        self._exports = NamedExports(self._service, self._staging, self._find_snapshot, is_available)
        self._manual = ManualBackups(
            self._service,
            find=self._find_snapshot,
            is_of=lambda snapshot, instance: Owners([instance], ()).find_owner(snapshot) is not None,
            list_tags=lambda arn: elasticache.list_tags_for_resource(ResourceName=arn)["TagList"],
            delete=lambda name: elasticache.delete_snapshot(SnapshotName=name),
            kind="SnapshotSource",
            exists="SnapshotAlreadyExistsFault",
            quota="SnapshotQuotaExceededFault",
        )

    # ------------------------------------------------------------- instances

    def instances(self) -> Iterator[Instance]:
        clusters = self._service.pages("describe_cache_clusters", "CacheClusters")
        engines = {cluster["CacheClusterId"]: cluster.get("Engine", "") for cluster in clusters}
        for group in self._service.pages("describe_replication_groups", "ReplicationGroups"):
            yield read_group(group, engines)
        for cluster in clusters:
            if cluster.get("Engine") in ENGINES and not cluster.get("ReplicationGroupId"):
                yield read_node(cluster)

    def find_instance(self, name: str) -> Instance | None:
        group = self._find_group(name)
        if group is not None:
            return read_group(group, {})
        node = self._service.find("describe_cache_clusters", "CacheClusters", CacheClusterId=name)
        if node is None or node.get("ReplicationGroupId"):
            return None
        if node.get("Engine") not in ENGINES:
            raise SourceRefused(
                f"The cluster {name} runs {node.get('Engine') or 'another engine'}, which is neither Redis nor Valkey.",
                hint="ElastiCache backs up neither its nodes nor their data: name an instance of Redis or Valkey.",
            )
        return read_node(node)

    # --------------------------------------------------------------- backups

    def backups(self, instance: Instance) -> list[Backup]:
        # Unfiltered, because the two kinds of instances want different filters and a node may have been replaced.
        snapshots = self._service.pages("describe_snapshots", "Snapshots", ShowNodeGroupConfig=True)
        owners = self._owners([instance])
        return [read_backup(snapshot, instance.name) for snapshot in snapshots if owners.find_owner(snapshot)]

    def count_backups(self, instances: Sequence[Instance]) -> dict[str, int]:
        return self._owners(instances).count(self._service.pages("describe_snapshots", "Snapshots"))

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
        what = find_what_to_back_up(instance.name, self._find_group(instance.name))
        create = partial(self._elasticache.create_snapshot, SnapshotName=name, **what)
        self._manual.request(instance, name, tags, create)

    def find_requested_backup(self, instance: Instance, name: str) -> Backup | None:
        snapshot = self._manual.find_of(instance, name)
        return read_backup(snapshot, instance.name) if snapshot is not None else None

    def remove_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> bool:
        return self._manual.remove(instance, name, tags)

    # --------------------------------------------------------------- private

    def _owners(self, instances: Sequence[Instance]) -> Owners:
        clusters = self._service.pages("describe_cache_clusters", "CacheClusters")
        return Owners(instances, (cluster["CacheClusterId"] for cluster in clusters))

    def _find_group(self, name: str) -> dict[str, Any] | None:
        return self._service.find("describe_replication_groups", "ReplicationGroups", ReplicationGroupId=name)

    def _find_snapshot(self, name: str) -> dict[str, Any] | None:
        return self._service.find("describe_snapshots", "Snapshots", SnapshotName=name, ShowNodeGroupConfig=True)
