"""Links to backup files: taken when they are needed, kept in memory while they are good, written down nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from urllib.parse import quote, unquote

from rdbkeeper.domain.errors import StagedFileChanged
from rdbkeeper.ports import Clock
from rdbkeeper.sources.tencentdb.answers import FileLink, read_links
from rdbkeeper.sources.tencentdb.api import TencentApi

# "DescribeBackupUrl": links are valid for 6 hours. What is begun with one may take a while.
LINK_LIFE = timedelta(hours=5, minutes=30)


@dataclass(frozen=True)
class FilePlace:
    """Which file of which backup; its key is what is written down in place of a link."""

    instance: str
    backup_id: str
    name: str

    @property
    def key(self) -> str:
        return "/".join(quote(part, safe="") for part in (self.instance, self.backup_id, self.name))

    @classmethod
    def from_key(cls, key: str) -> FilePlace:
        return cls(*map(unquote, key.split("/")))


@dataclass(frozen=True)
class _Taken:
    at: float
    by_name: dict[str, FileLink] = field(repr=False)


class Links:
    """The links of backups; asks for a backup's again once they are old or were dropped. Several threads may ask."""

    def __init__(self, api: TencentApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._taken: dict[tuple[str, str], _Taken] = {}
        self._lock = Lock()

    def take(self, instance: str, backup_id: str) -> tuple[FileLink, ...]:
        """New links to all of a backup's files, in their order. Raises SourceError."""
        with self._lock:
            return self._take(instance, backup_id)

    def get(self, place: FilePlace) -> tuple[FileLink, bool]:
        """A link to the file, and whether it was taken just now. Raises SourceError; StagedFileChanged without it."""
        with self._lock:
            taken = self._taken.get((place.instance, place.backup_id))
            is_good = taken is not None and self._clock.monotonic() - taken.at < LINK_LIFE.total_seconds()
            if not is_good:
                self._take(place.instance, place.backup_id)
            link = self._taken[(place.instance, place.backup_id)].by_name.get(place.name)
        if link is None:
            raise StagedFileChanged(
                f"The backup {place.backup_id} no longer has the file {place.name}.",
                hint="The provider names its files anew. The next run takes them as they are then.",
            )
        return link, not is_good

    def drop(self, place: FilePlace, link: FileLink) -> None:
        """Use this link no more, nor those that came with it; others that were taken since stay."""
        with self._lock:
            taken = self._taken.get((place.instance, place.backup_id))
            if taken is not None and taken.by_name.get(place.name) is link:
                del self._taken[(place.instance, place.backup_id)]

    def _take(self, instance: str, backup_id: str) -> tuple[FileLink, ...]:
        at = self._clock.monotonic()
        # Without LimitType: whom the account's owner lets download is not ours to widen.
        what = f"Asking for links to the files of {backup_id}"
        answer = self._api.call("DescribeBackupUrl", what, InstanceId=instance, BackupId=backup_id)
        links = read_links(answer, backup_id)
        self._taken[(instance, backup_id)] = _Taken(at, {link.name: link for link in links})
        return links
