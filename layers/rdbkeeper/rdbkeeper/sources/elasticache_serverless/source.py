"""ElastiCache Serverless, for Redis and Valkey.

Facts that this rests on, none of which could be tried on AWS here: the ElastiCache API reference
(DescribeServerlessCacheSnapshots, CreateServerlessCacheSnapshot, ExportServerlessCacheSnapshot, DescribeEvents, as in
botocore 1.44.5), and "Serverless cache events" in the user guide: that an export failed is told by an event alone, for
one because objects of its name were in the bucket. An export takes a bucket and no name; see exports.py for when
one is done, and claims.py for whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import as_words, code_of, translated
from rdbkeeper.domain.backup import Backup, Instance, StagedFile
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    RdbkeeperError,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from rdbkeeper.ports import ByteStream
from rdbkeeper.sources.aws.manual_backups import ManualBackups
from rdbkeeper.sources.aws.service import KEY_REFUSAL, AwsService, service_family
from rdbkeeper.sources.aws.staging import BUCKET_REFUSALS, Listing, StagedObject, StagingBucket
from rdbkeeper.sources.backup_answers import count_by_owner
from rdbkeeper.sources.elasticache_serverless.answers import (
    ENGINES,
    engine_of,
    find_export_failure,
    is_in_the_way,
    owner_of,
    read_backup,
    read_cache,
    status_of,
    taken_at_of,
)
from rdbkeeper.sources.elasticache_serverless.claims import Claim, Claims, check_free
from rdbkeeper.sources.elasticache_serverless.exports import Quiet, UnnamedExports, as_files, check_no_gap

__all__ = ["Quiet", "ServerlessSource"]

# "Constraints when taking backups": of a serverless cache, within 24 hours.
BACKUPS_A_DAY = 24
_FAMILY = service_family("elasticache")
_NO_CACHE = "ServerlessCacheNotFoundFault"
_BUSY = "InvalidServerlessCacheSnapshotStateFault"
_SNAPSHOTS = "describe_serverless_cache_snapshots", "ServerlessCacheSnapshots"


class ServerlessSource:
    """The source over an ElastiCache client and an S3 client that sees the staging bucket."""

    def __init__(
        self, elasticache: Any, s3: Callable[[], Any], staging_bucket: str, quiet: Quiet | None = None
    ) -> None:
        self._elasticache = elasticache
        self._service = AwsService(elasticache, "ElastiCache", _FAMILY)
        self._staging = StagingBucket(s3, staging_bucket)
        self._claims = Claims(self._staging)
        self._exports = UnnamedExports(self._staging)
        self._quiet = quiet or Quiet()
        self._manual = ManualBackups(
            self._service,
            find=self._find_snapshot,
            is_of=lambda snapshot, instance: owner_of(snapshot) == instance.name,
            list_tags=lambda arn: elasticache.list_tags_for_resource(ResourceName=arn)["TagList"],
            delete=lambda name: elasticache.delete_serverless_cache_snapshot(ServerlessCacheSnapshotName=name),
            kind="SnapshotType",
            exists="ServerlessCacheSnapshotAlreadyExistsFault",
            quota="ServerlessCacheSnapshotQuotaExceededFault",
        )

    # ------------------------------------------------------------- instances

    def instances(self) -> Iterator[Instance]:
        for cache in self._service.pages("describe_serverless_caches", "ServerlessCaches"):
            if engine_of(cache) in ENGINES:
                yield read_cache(cache)

    def find_instance(self, name: str) -> Instance | None:
        cache = self._service.find("describe_serverless_caches", "ServerlessCaches", ServerlessCacheName=name)
        if cache is None:
            return None
        if engine_of(cache) not in ENGINES:
            raise SourceRefused(
                f"The serverless cache {name} runs {engine_of(cache) or 'another engine'}, which is neither Redis nor "
                "Valkey.",
                hint="ElastiCache exports backups of Redis and Valkey alone: name such a cache.",
            )
        return read_cache(cache)

    # --------------------------------------------------------------- backups

    def backups(self, instance: Instance) -> list[Backup]:
        return [read_backup(snapshot) for snapshot in self._snapshots_of(instance)]

    def count_backups(self, instances: Sequence[Instance]) -> dict[str, int]:
        return count_by_owner(map(owner_of, self._service.pages(*_SNAPSHOTS)), instances)

    def request_export(self, backup: Backup, attempt: str) -> None:
        snapshot = self._get_snapshot(backup)
        claim = self._claims.find(backup.backup_id)
        is_repeated = claim is not None and claim.is_of(backup, attempt)
        left: tuple[StagedObject, ...] = ()
        if claim is None or not is_repeated:
            check_free(backup, claim, attempt)
            left = self._check_idle(backup, snapshot, claim)
            claim = self._claims.take(backup, attempt, claim, follows=bool(left) or claim is not None)
        try:
            self._begin(backup, claim, left, may_be_going=is_repeated and not claim.follows)
        except SourceUnavailable:
            raise  # it may have been begun
        except SourceError:
            # Nothing was: a repeat must not take for this export whatever is going on, and nobody need wait for it.
            with suppress(SourceError):
                self._claims.release(claim)
            raise

    def find_staged_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...] | None:
        claim = self._claims.find(backup.backup_id)
        if claim is None or not claim.is_of(backup, attempt):
            return None
        # How many files an export makes is not known: of a backup that vanished meanwhile, nobody can say if all came.
        snapshot = self._get_snapshot(backup)
        # What is going on is looked at first: whatever ends after that is in the listing.
        is_idle = status_of(snapshot) == "available" and not self._exports.is_being_written(backup.backup_id)
        listing = self._exports.find(backup.backup_id)
        are_ours = bool(listing.objects) and all(_is_since(one, claim) for one in listing.objects)
        words = self._find_failure(claim)
        # With nothing there before, objects in the way are those of an earlier wish of this very attempt.
        if words is not None and not (are_ours and not claim.follows and is_in_the_way(words)):
            raise _failure(backup, words)
        if not (are_ours and is_idle and self._is_quiet(claim, listing)):
            return None
        files = as_files(listing.objects)
        check_no_gap(files, backup.backup_id)
        return files

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
        return self._staging.open_range(file, first_byte, length_bytes)

    def discard_export(self, backup: Backup, attempt: str) -> None:
        """Remove what the export staged. While it may go on its claim stays, or the next would take its last files."""
        claim = self._claims.find(backup.backup_id)
        if claim is None or not claim.is_of(backup, attempt):
            return
        is_over = self._is_over(claim)
        self._exports.remove(self._exports.find(claim.snapshot).objects)
        if is_over:
            self._claims.release(claim)

    def discard_leftovers(
        self, instance: Instance, rule_tag: str, keep_chain_tag: str, older_than: datetime
    ) -> list[str]:
        removed = []
        for claim in self._claims.all():
            is_of_rule = (claim.instance, claim.rule_tag) == (instance.name, rule_tag)
            if not is_of_rule or claim.chain_tag == keep_chain_tag or claim.written_at >= older_than:
                continue
            found = self._exports.find(claim.snapshot).objects
            if all(one.written_at < older_than for one in found):
                removed += self._discard(claim, found)
        return removed

    # ------------------------------------------------------ backups on demand

    @property
    def backups_a_day(self) -> int | None:
        return BACKUPS_A_DAY

    def request_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> None:
        create = partial(
            self._elasticache.create_serverless_cache_snapshot,
            ServerlessCacheSnapshotName=name,
            ServerlessCacheName=instance.name,
        )
        self._manual.request(instance, name, tags, create)

    def find_requested_backup(self, instance: Instance, name: str) -> Backup | None:
        snapshot = self._manual.find_of(instance, name)
        return read_backup(snapshot) if snapshot is not None else None

    def remove_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> bool:
        return self._manual.remove(instance, name, tags)

    # --------------------------------------------------------------- private

    def _snapshots_of(self, instance: Instance) -> list[dict[str, Any]]:
        listed = self._service.find_pages(_NO_CACHE, *_SNAPSHOTS, ServerlessCacheName=instance.name)
        if listed is None:
            # A cache that was deleted may be unknown by name, and its manual backups stay.
            listed = self._service.pages(*_SNAPSHOTS)
        return [snapshot for snapshot in listed if owner_of(snapshot) == instance.name]

    def _find_snapshot(self, name: str) -> dict[str, Any] | None:
        return self._service.find(*_SNAPSHOTS, ServerlessCacheSnapshotName=name)

    def _get_snapshot(self, backup: Backup) -> dict[str, Any]:
        """The backup as the service lists it. Raises BackupGone when it is gone, or another of its name is there."""
        snapshot = self._find_snapshot(backup.backup_id)
        if snapshot is None or backup.taken_at is None or taken_at_of(snapshot) != backup.taken_at:
            raise BackupGone(
                f"The backup {backup.backup_id} of {backup.instance} is no longer in the provider's list.",
                hint="It was deleted or has expired at the source before it could be copied.",
            )
        return snapshot

    def _check_idle(self, backup: Backup, snapshot: dict[str, Any], former: Claim | None) -> tuple[StagedObject, ...]:
        """What an earlier export left there.

        Raises BackupBusy while an export of this backup may be going on: what it stages must not be removed.
        """
        listing = self._exports.find(backup.backup_id)
        is_quiet = self._is_quiet(former, listing)
        if status_of(snapshot) != "available" or not is_quiet or self._exports.is_being_written(backup.backup_id):
            raise BackupBusy(
                f"The backup {backup.backup_id} is {status_of(snapshot)}, and its export seems to be going on.",
                hint="The provider is working on this backup; the next run asks again.",
            )
        return listing.objects

    def _is_quiet(self, claim: Claim | None, listing: Listing) -> bool:
        """Whether nothing has come for long enough; True where nothing was asked for and nothing is there."""
        moments = [one.written_at for one in listing.objects] + ([claim.written_at] if claim is not None else [])
        return not moments or self._quiet.is_over(min(moments), moments, listing.at)

    def _begin(self, backup: Backup, claim: Claim, left: Sequence[StagedObject], *, may_be_going: bool) -> None:
        """Ask for the export, unless this attempt has done so before and its files come already.

        An export fails while its like is there, so what was left goes before.
        """
        self._claims.check_alone(claim)
        found = self._exports.find(backup.backup_id).objects
        if any(_is_since(one, claim) and one not in left for one in found):
            if may_be_going:
                return
            raise BackupBusy(
                f"Files of the backup {backup.backup_id} are being staged, and another export may be staging them.",
                hint="The next run asks again.",
            )
        self._exports.remove(found)
        self._ask(backup, may_be_going=may_be_going)

    def _ask(self, backup: Backup, *, may_be_going: bool) -> None:
        with translated(_FAMILY, f"Exporting the backup {backup.backup_id}"):
            try:
                self._elasticache.export_serverless_cache_snapshot(
                    ServerlessCacheSnapshotName=backup.backup_id, S3BucketName=self._staging.name
                )
            except ClientError as error:
                if not (may_be_going and code_of(error) == _BUSY):
                    raise

    def _find_failure(self, claim: Claim) -> str | None:
        """Why the export failed, if an event says so since it was asked for."""
        # Not by SourceIdentifier: whether that is the backup's name or its ARN is not documented.
        events = self._service.pages(
            "describe_events", "Events", SourceType="serverless-cache-snapshot", StartTime=claim.written_at
        )
        return find_export_failure(events, claim.snapshot, claim.written_at)

    def _is_over(self, claim: Claim) -> bool:
        """Whether nothing that was asked for since a claim can be going on any more."""
        snapshot = self._find_snapshot(claim.snapshot)
        if snapshot is None:
            return True
        if status_of(snapshot) != "available" or self._exports.is_being_written(claim.snapshot):
            return False
        words = self._find_failure(claim)
        if words is not None and not is_in_the_way(words):
            return True
        listing = self._exports.find(claim.snapshot)
        return bool(listing.objects) and self._is_quiet(claim, listing)

    def _discard(self, claim: Claim, objects: Sequence[StagedObject]) -> list[str]:
        removed = self._exports.remove(objects)
        self._claims.release(claim)
        return removed


def _is_since(one: StagedObject, claim: Claim) -> bool:
    return one.written_at >= claim.written_at


def _failure(backup: Backup, words: str) -> RdbkeeperError:
    message = f"The export of the backup {backup.backup_id} failed: {as_words(words)}."
    if is_in_the_way(words):
        hint = "Files of an earlier export were in the staging bucket; the next run removes them and asks again."
        return SourceRefused(message, hint=hint)
    for worded in (*BUCKET_REFUSALS, KEY_REFUSAL):
        if worded.words.search(words):
            return worded.error(message, hint=worded.hint)
    return SourceRefused(message, hint="The next run asks again. If it repeats, look at ElastiCache's events.")
