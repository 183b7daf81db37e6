"""What TencentDB's answers say: instances, backups, links, and who may download.

Where the API's documentation is silent, this is safe either way:

- Times have no zone; they are taken as China's, as the console shows them. A wrong zone would shift every backup's time
  alike, and no backup would be taken for another.
- A backup's BackupType has been documented as 0 for manual and 1 for automatic, the other way round, and in words. A
  backup with a remark of ours is manual, whatever its type is called, and so are all of that type. Only where there is
  none today's documentation of the list is believed; nothing of ours depends on it.
- FileSize is 0 where it is not known; a file's length is what its store says, which is compared where both do.
- How many shards a cluster's backup has is told by its details; of a kind of instance that is not known, too.
- A backup counts as complete only in the states 2 (normal) and 4 (converted to RDB), and only while nothing locks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from rdbkeeper.domain.backup import Backup, EngineFacts, Instance
from rdbkeeper.domain.backup_first import NAMES_OF_OURS
from rdbkeeper.domain.errors import LinkMisanswered
from rdbkeeper.sources.backup_answers import state_of

PROVIDER = "tencentdb"
CHINA = timezone(timedelta(hours=8))
# "DescribeAutoBackupConfig": what instances have whose owner has set nothing else.
DEFAULT_STORAGE_DAYS = 7
_TIME = "%Y-%m-%d %H:%M:%S"
_STATUSES = {0: "initializing", 1: "in process", 2: "running", -2: "isolated", -3: "to be deleted"}
_AVAILABLE = (1, 2)
_COMPLETE, _GONE = (2, 4), (-1, -2)
_MANUAL_TYPES = frozenset({"0", "manualBackupInstance"})
_MEMCACHED = 200
# "DescribeInstances": Type. The first of each pair has no shards, the second is a cluster.
_ENGINES = {
    2: ("redis", "2.8"),
    3: ("redis", "3.2"),
    4: ("redis", "3.2"),
    5: ("redis", "2.8"),
    6: ("redis", "4.0"),
    7: ("redis", "4.0"),
    8: ("redis", "5.0"),
    9: ("redis", "5.0"),
    15: ("redis", "6.2"),
    16: ("redis", "6.2"),
    17: ("redis", "7.0"),
    18: ("redis", "7.0"),
    19: ("valkey", "8.0"),
    20: ("valkey", "8.0"),
}
_CLUSTERS = frozenset({4, 7, 9, 16, 18, 20})
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class FileLink:
    """One file of a backup: its name, its length (0 where nobody said), and the link, which is never shown."""

    name: str
    size_bytes: int
    url: str = field(repr=False)


@dataclass(frozen=True)
class BackupDetail:
    """What only a backup's details tell; `shard_count` is 0 where they do not."""

    is_encrypted: bool
    is_gone: bool
    is_complete: bool
    shard_count: int


def is_memcached(answer: Mapping[str, Any]) -> bool:
    """True for an instance that holds no Redis data at all."""
    return answer.get("Type") == _MEMCACHED or "memcached" in str(answer.get("Engine") or "").lower()


def read_instance(answer: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Instance:
    """An instance; `settings` are its backups', None where they were not asked for."""
    days, window = None, None
    if settings is not None:
        # Automatic backups cannot be turned off here, so the days are never 0.
        days, window = int(settings.get("BackupStorageDays") or DEFAULT_STORAGE_DAYS), settings.get("TimePeriod")
    status = int(answer.get("Status", 0))
    return Instance(
        provider=PROVIDER,
        name=answer["InstanceId"],
        engine=_engine_of(answer.get("Type"))[0],
        status=_STATUSES.get(status, f"status {status}"),
        available=status in _AVAILABLE,
        backup_retention_days=days,
        backup_window=f"{window} (UTC+8)" if window else "",
    )


def read_created_at(answer: Mapping[str, Any]) -> datetime | None:
    """When an instance was made (aware UTC), before which it has no backups; None where it is not told."""
    return read_time(answer.get("Createtime"))


def read_backups(answers: Sequence[Mapping[str, Any]]) -> list[Backup]:
    """The backups of a list that are not gone, without their shards, which the list does not tell."""
    manual_types = {_type_of(answer) for answer in answers if _is_ours(answer)} or _MANUAL_TYPES
    read = (_read_backup(answer, is_automatic=_type_of(answer) not in manual_types) for answer in answers)
    return [backup for backup in read if backup is not None]


def _read_backup(answer: Mapping[str, Any], *, is_automatic: bool) -> Backup | None:
    status = int(answer.get("Status", 0))
    if status in _GONE:
        return None
    taken_at = read_time(answer.get("StartTime"))
    complete = status in _COMPLETE and not answer.get("Locked") and taken_at is not None
    kind = answer.get("InstanceType")
    engine, version = _engine_of(kind)
    return Backup(
        provider=PROVIDER,
        instance=answer["InstanceId"],
        backup_id=str(answer["BackupId"]),
        state=state_of(is_complete=complete),
        automatic=is_automatic,
        taken_at=taken_at,
        shards=(),
        engine=EngineFacts(
            engine=engine,
            engine_version=version,
            shard_count=1 if kind in _ENGINES and kind not in _CLUSTERS else 0,
            cluster_mode=kind in _CLUSTERS,
        ),
        source_size=_size(answer.get("BackupSize")),
    )


def is_asked_for(answer: Mapping[str, Any], name: str) -> bool:
    """True for the backup that was asked for under a name, which is its remark and that of no other."""
    return answer.get("Remark") == name


def _is_ours(answer: Mapping[str, Any]) -> bool:
    return str(answer.get("Remark") or "").startswith(NAMES_OF_OURS)


def _type_of(answer: Mapping[str, Any]) -> str:
    return str(answer.get("BackupType", ""))


def read_detail(answer: Mapping[str, Any]) -> BackupDetail:
    """What a backup's details say."""
    status = int(answer.get("Status", 0))
    return BackupDetail(
        is_encrypted=str(answer.get("Encrypted") or "").lower() in ("true", "1") or bool(answer.get("DecryptKey")),
        is_gone=status in _GONE,
        is_complete=status in _COMPLETE and not answer.get("Locked"),
        shard_count=int(answer.get("ShardNum") or 0),
    )


def read_links(answer: Mapping[str, Any], backup_id: str) -> tuple[FileLink, ...]:
    """A backup's files in the order of their names, by their numbers. Raises LinkMisanswered if none can be told."""
    links = [
        FileLink(str(info.get("FileName") or ""), int(info.get("FileSize") or 0), str(info.get("DownloadUrl") or ""))
        for info in answer.get("BackupInfos") or ()
    ]
    names = {link.name for link in links}
    if "" in names or len(names) < len(links) or not all(link.url for link in links):
        raise LinkMisanswered(
            f"The links to the files of {backup_id} lack names or addresses, or share them.",
            hint="Which file is which shard's cannot be told. Look at this backup in the provider's console.",
        )
    return tuple(sorted(links, key=lambda link: _by_number(link.name)))


def read_time(text: object) -> datetime | None:
    """A moment (aware UTC) as the API writes it, in China's time without a zone; None for none."""
    try:
        return datetime.strptime(str(text), _TIME).replace(tzinfo=CHINA).astimezone(UTC)
    except ValueError:
        return None


def write_time(moment: datetime) -> str:
    """A moment as the API reads it."""
    return moment.astimezone(CHINA).strftime(_TIME)


def _engine_of(kind: object) -> tuple[str, str]:
    return _ENGINES.get(kind, ("redis", "")) if isinstance(kind, int) else ("redis", "")


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sorts `-10-` behind `-2-`."""
    return [(int(piece), "") if piece.isdigit() else (0, piece) for piece in _DIGITS.split(name)]


def _size(size_bytes: object) -> str:
    """A size in whole megabytes, as the console shows them; "" where it is not told."""
    if not isinstance(size_bytes, int) or size_bytes <= 0:
        return ""
    return f"{max(1, round(size_bytes / 2**20))} MB"
