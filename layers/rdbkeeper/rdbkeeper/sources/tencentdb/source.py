"""TencentDB for Redis, in one region of Tencent Cloud.

Facts that this rests on, none of which could be tried on Tencent Cloud here: the API documentation of TencentDB for
Redis, version 2018-04-12. Nothing is exported: a finished backup has one file a shard, to which links are given. How an
encrypted file is made (its initialisation vector, its padding) is documented nowhere, so such backups are refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from rdbkeeper.aws.names import Resolve, resolve
from rdbkeeper.domain.backup import Backup, Instance, Shard, StagedFile
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupEncrypted,
    BackupGone,
    BackupQuotaUsed,
    DownloadRestricted,
    LinkMisanswered,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from rdbkeeper.ports import ByteStream, Clock
from rdbkeeper.sources.tencentdb.answers import (
    BackupDetail,
    FileLink,
    is_asked_for,
    is_memcached,
    read_backups,
    read_created_at,
    read_detail,
    read_instance,
    write_time,
)
from rdbkeeper.sources.tencentdb.api import Key, TencentApi
from rdbkeeper.sources.tencentdb.files import ODD_HINT, FileStore, LinkTurnedAway, OpenedRange
from rdbkeeper.sources.tencentdb.hosts import DEFAULT_FILE_HOSTS, FileHosts
from rdbkeeper.sources.tencentdb.links import FilePlace, Links

# "DescribeInstances", "DescribeInstanceBackups": the largest pages, and the longest time that one list may span.
_INSTANCES_A_PAGE = 1000
_BACKUPS_A_PAGE = 100
_LONGEST_SPAN = timedelta(days=30) - timedelta(seconds=1)
# "ManualBackupInstance": for how long a backup may be kept at most, and for how long ours are.
_LONGEST_STORAGE = timedelta(days=1825)
_STORAGE_DAYS = 7
# Clocks differ, and a backup that was begun a moment ago is to be found.
_AHEAD = timedelta(minutes=10)
# In any state but expired and deleted.
_STATUSES = [1, 2, 3, 4]
_LOOKS_AT_ONCE = 8
# A backup whose details are not whole by then is not waited for.
_TOLD_AFTER = timedelta(hours=1)


class TencentDbSource:
    """The source over one region's API and the store that its links lead to.

    What `credentials` returns is asked for with the first call, and shown nowhere.
    """

    def __init__(
        self,
        credentials: Callable[[], Key],
        region: str,
        clock: Clock,
        *,
        endpoint: str = "",
        file_hosts: Sequence[str] = DEFAULT_FILE_HOSTS,
        allows_private: bool = False,
        resolve: Resolve = resolve,
        longest_call_s: float | None = None,
    ) -> None:
        self._api = TencentApi(
            credentials,
            region,
            clock,
            endpoint=endpoint,
            allows_private=allows_private,
            longest_call_s=longest_call_s,
        )
        self._links = Links(self._api, clock)
        self._files = FileStore(FileHosts(file_hosts, allows_private=allows_private, resolve=resolve))
        self._clock = clock
        self._created_at: dict[str, datetime | None] = {}

    # ------------------------------------------------------------- instances

    def instances(self) -> Iterator[Instance]:
        """Every instance of the region; when each is backed up, and how long it keeps that, is not asked."""
        for answer in self._describe_instances("Listing the instances"):
            if not is_memcached(answer):
                yield read_instance(answer)

    def find_instance(self, name: str) -> Instance | None:
        """The instance of that id, or None. Raises SourceRefused for Memcached, which has no RDB files."""
        answer = self._find_instance(name)
        if answer is None:
            return None
        if is_memcached(answer):
            raise SourceRefused(
                f"The instance {name} is Memcached, of which there are no RDB backups.",
                hint="Name an instance of Redis or Valkey.",
            )
        what = f"Asking when {name} is backed up"
        return read_instance(answer, self._api.call("DescribeAutoBackupConfig", what, InstanceId=name))

    # --------------------------------------------------------------- backups

    def backups(self, instance: Instance) -> list[Backup]:
        """Every backup of the instance; how many shards each has is told only where its files are listed."""
        if instance.name not in self._created_at and self._find_instance(instance.name) is None:
            return []  # backups go with their instance
        oldest = self._oldest([instance.name])
        found = self._describe_backups(f"Listing the backups of {instance.name}", oldest, InstanceId=instance.name)
        return read_backups(found)

    def count_backups(self, instances: Sequence[Instance]) -> dict[str, int]:
        if not instances:
            return {}
        names = [instance.name for instance in instances]
        if not self._created_at.keys() >= set(names):
            self._describe_instances("Listing the instances")
        listed = self._describe_backups("Listing the region's backups", self._oldest(names))
        counted = Counter(backup.instance for backup in read_backups(listed))
        return {name: counted[name] for name in sorted(names)}

    def request_export(self, backup: Backup, attempt: str) -> None:
        """Ask for nothing, as nothing needs to be made; refuse what could not be read. Raises SourceError."""
        detail = self._get_detail(backup)
        _check_readable(backup, detail)
        if not detail.is_complete:
            raise BackupBusy(
                f"The backup {backup.backup_id} is locked by a process of the provider.",
                hint="The next run asks again.",
            )
        said = self._api.call("DescribeBackupDownloadRestriction", "Asking who may download backups")
        if said.get("LimitType") == "LimitOnlyIntranet":
            raise _restricted(backup.backup_id, "only within Tencent Cloud's private network")

    def find_staged_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...]:
        """The backup's files, in the order of their names. Raises SourceError, BackupBusy while one is missing."""
        detail = self._get_detail(backup)
        _check_readable(backup, detail)
        links = self._links.take(backup.instance, backup.backup_id)
        wanted = detail.shard_count or backup.engine.shard_count
        if not wanted:
            raise self._uncounted(backup)
        if len(links) < wanted:
            raise BackupBusy(
                f"Of the {wanted} files of {backup.backup_id} there are links to {len(links)}.",
                hint="The provider may still be making them; the next look asks again.",
            )
        if len(links) > wanted:
            raise SourceRefused(
                f"The backup {backup.backup_id} has {wanted} shards, and there are links to {len(links)} files.",
                hint="Which files make the backup cannot be told. Look at it in the provider's console.",
            )
        with ThreadPoolExecutor(min(_LOOKS_AT_ONCE, len(links)), thread_name_prefix="look") as pool:
            return tuple(pool.map(partial(self._measure, backup), range(1, len(links) + 1), links))

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of a file, by a new link where the last is over. Raises SourceError.

        SourceUnavailable when the link was over only when it was used: opening it again takes another one.
        """
        place = FilePlace.from_key(file.key)
        what = f"Reading the file of shard {file.shard.name}"
        link, is_new = self._links.get(place)
        opened = self._open(place, link, first_byte, length_bytes, what, etag=file.etag, is_new=is_new)
        if opened.total_bytes != file.size_bytes:
            opened.stream.close()
            raise _other_length(what, opened.total_bytes, file.size_bytes)
        return opened.stream

    def discard_export(self, backup: Backup, attempt: str) -> None:
        """Nothing was staged."""

    def discard_leftovers(
        self, instance: Instance, rule_tag: str, keep_chain_tag: str, older_than: datetime
    ) -> list[str]:
        """Nothing was staged, so nothing is left."""
        return []

    # ------------------------------------------------------------- on demand

    @property
    def backups_a_day(self) -> int | None:
        """As an older edition of "ManualBackupInstance" says; today's is silent."""
        return 24

    def request_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> None:
        """Ask for a manual backup, its remark being the name; backups here have no tags.

        Names are no names here: whoever asks twice has two backups, so a lost answer is taken for an answer.
        """
        if self.find_requested_backup(instance, name) is not None:
            return
        what = f"Asking for the backup {name} of {instance.name}"
        self._api.call_once(
            "ManualBackupInstance",
            what,
            special=(("LimitExceeded", BackupQuotaUsed, "It takes another one once the oldest is 24 hours old."),),
            InstanceId=instance.name,
            Remark=name,
            StorageDays=_STORAGE_DAYS,
        )

    def find_requested_backup(self, instance: Instance, name: str) -> Backup | None:
        oldest = self._clock.now() - timedelta(days=_STORAGE_DAYS + 1)  # by then the provider has removed it
        answers = self._describe_backups(f"Looking for the backup {name}", oldest, InstanceId=instance.name)
        return next(iter(read_backups([answer for answer in answers if is_asked_for(answer, name)])), None)

    def remove_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> bool:
        """False: the API removes no backups. The provider does, after the 7 days that ours are made to be kept for."""
        return False

    # --------------------------------------------------------------- private

    def _describe_instances(self, what: str, **filters: Any) -> list[dict[str, Any]]:
        found = self._api.pages("DescribeInstances", what, "InstanceSet", _INSTANCES_A_PAGE, **filters)
        self._created_at.update({answer["InstanceId"]: read_created_at(answer) for answer in found})
        return found

    def _find_instance(self, name: str) -> dict[str, Any] | None:
        found = self._describe_instances(f"Looking for the instance {name}", InstanceId=name)
        return next((answer for answer in found if answer["InstanceId"] == name), None)

    def _oldest(self, names: Sequence[str]) -> datetime:
        """When the first of the instances was made; where that is not told, how long a backup may be kept at most."""
        known = [self._created_at.get(name) for name in names]
        longest = self._clock.now() - _LONGEST_STORAGE
        return max(longest, min((at or longest for at in known), default=longest))

    def _describe_backups(self, what: str, oldest: datetime, **filters: Any) -> list[dict[str, Any]]:
        """What is listed of the backups that were begun since then, in spans as long as the API takes."""
        by_id: dict[str, dict[str, Any]] = {}
        end = self._clock.now() + _AHEAD
        while end > oldest:
            begin = end - _LONGEST_SPAN
            listed = self._api.pages(
                "DescribeInstanceBackups",
                what,
                "BackupSet",
                _BACKUPS_A_PAGE,
                BeginTime=write_time(begin),
                EndTime=write_time(end),
                Status=_STATUSES,
                **filters,
            )
            by_id.update({answer["BackupId"]: answer for answer in listed})
            end = begin  # both ends belong to a span, and a backup that is listed twice counts once
        return list(by_id.values())

    def _get_detail(self, backup: Backup) -> BackupDetail:
        what = f"Asking about the backup {backup.backup_id}"
        answer = self._api.call("DescribeBackupDetail", what, InstanceId=backup.instance, BackupId=backup.backup_id)
        return read_detail(answer)

    def _uncounted(self, backup: Backup) -> SourceError:
        """The error for a backup that has any number of files: there may be more than there are links."""
        message = f"How many shards the backup {backup.backup_id} of a cluster has is not told."
        if backup.taken_at is not None and self._clock.now() - backup.taken_at < _TOLD_AFTER:
            return BackupBusy(message, hint="The provider may still be finishing it; the next look asks again.")
        hint = "Which files make the backup cannot be told. Look at it in the provider's console."
        return SourceRefused(message, hint=hint)

    def _measure(self, backup: Backup, number: int, link: FileLink) -> StagedFile:
        """The file as its store has it, seen by reading its first byte."""
        place = FilePlace(backup.instance, backup.backup_id, link.name)
        what = f"Looking at the file of shard {number:04d} of {backup.backup_id}"
        opened = self._open(place, link, 0, 1, what, is_new=True)
        with closing(opened.stream):
            opened.stream.readinto(memoryview(bytearray(1)))  # what was read to its end leaves its connection open
        if link.size_bytes and opened.total_bytes != link.size_bytes:
            raise _other_length(what, opened.total_bytes, link.size_bytes)
        return StagedFile(Shard(f"{number:04d}"), place.key, opened.total_bytes, opened.etag)

    def _open(
        self,
        place: FilePlace,
        link: FileLink,
        first_byte: int,
        length_bytes: int,
        what: str,
        *,
        etag: str = "",
        is_new: bool,
    ) -> OpenedRange:
        try:
            return self._files.open(link, first_byte, length_bytes, what, etag=etag)
        except LinkTurnedAway as error:
            is_over = error.is_over
        self._links.drop(place, link)
        if is_new and not is_over:
            raise _restricted(place.backup_id, "not from where this function is")
        raise SourceUnavailable(f"{what}: the link to it is over.", hint="The next attempt takes a new link.")


def _check_readable(backup: Backup, detail: BackupDetail) -> None:
    if detail.is_encrypted:
        raise BackupEncrypted(
            f"The files of {backup.backup_id} are encrypted, in a form that the provider documents nowhere.",
            hint="Turn backup encryption off for the instance, or let a rule with the provider `redis` read the server "
            "itself. Copies are encrypted by their vault in any case.",
        )
    if detail.is_gone:
        raise BackupGone(
            f"The backup {backup.backup_id} has expired.", hint="It expired at the source before it could be copied."
        )


def _restricted(backup_id: str, how: str) -> DownloadRestricted:
    return DownloadRestricted(
        f"The files of {backup_id} may be downloaded, but {how}.",
        hint="Change the region's restriction of downloads (in the Redis console, or ModifyBackupDownloadRestriction): "
        "allow public networks, or the addresses that this function's traffic comes from.",
    )


def _other_length(what: str, found_bytes: int, expected_bytes: int) -> LinkMisanswered:
    return LinkMisanswered(
        f"{what}: it is {found_bytes:,} bytes long, and was said to be {expected_bytes:,}.", hint=ODD_HINT
    )
