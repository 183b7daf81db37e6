"""Backups on demand: what a rule says of them, what was made, and what a day allows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rdbkeeper.domain.backup import Backup, Consistency
from rdbkeeper.domain.errors import BackupQuotaUsed, InvalidRequest
from rdbkeeper.domain.moments import write_moment

DAY = timedelta(hours=24)
DEFAULT_FREEZE_S = 300
LONGEST_FREEZE_S = 3600
# A function's name, with or without an alias or version ("Invoke", Lambda API reference); an ARN would show an account.
_FUNCTION = re.compile(r"[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9$_-]{1,128})?")
NAMES_OF_OURS = "rdbkeeper-"


@dataclass(frozen=True)
class BackupFirst:
    """Each run asks for a backup before it scans.

    `freeze` and `thaw` are the names of two Lambda functions of the owner's: one stops writes before the backup, the
    other lets them go on after it, at the latest `longest_freeze_s` later. With `demands_application` a run fails that
    could not have writes frozen around its whole backup.
    """

    freeze: str = ""
    thaw: str = ""
    longest_freeze_s: int = DEFAULT_FREEZE_S
    demands_application: bool = False

    def __post_init__(self) -> None:
        for field, name in (("freeze", self.freeze), ("thaw", self.thaw)):
            if name and not _FUNCTION.fullmatch(name):
                raise InvalidRequest(
                    f"{name[:80]!r} is not the name of a Lambda function.",
                    field=f"backup_first.{field}",
                    hint="Write its name alone, or name:alias; it lies in this stack's account and region.",
                )
        if bool(self.freeze) != bool(self.thaw):
            raise InvalidRequest(
                "Of the two hooks one is missing.",
                field=f"backup_first.{'freeze' if self.thaw else 'thaw'}",
                hint="What freezes writes needs what thaws them, and the other way round.",
            )
        if self.demands_application and not self.freeze:
            raise InvalidRequest(
                "Without hooks no backup is consistent for its application.",
                field="backup_first.demands_application",
                hint="Name the functions in `freeze` and `thaw`, or leave this out.",
            )
        if not 1 <= self.longest_freeze_s <= LONGEST_FREEZE_S:
            raise InvalidRequest(
                "The longest freeze is not a number that can be.",
                field="backup_first.longest_freeze_s",
                hint=f"Write 1 to {LONGEST_FREEZE_S} seconds.",
            )

    @property
    def has_hooks(self) -> bool:
        return bool(self.freeze)

    def as_record(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> BackupFirst:
        return cls(**{**record, "longest_freeze_s": int(record.get("longest_freeze_s", DEFAULT_FREEZE_S))})


@dataclass(frozen=True)
class MadeBackup:
    """A backup that a run has asked for: the name it asked under, the backup's own id, and how consistent it is.

    `backup_id` is "" until the provider lists it. One that `is_removed` again still counts for its day.
    """

    name: str
    asked_at: datetime
    backup_id: str = ""
    consistency: Consistency = Consistency.POINT_IN_TIME
    reason: str = ""
    is_removed: bool = False

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "asked_at": write_moment(self.asked_at), "consistency": self.consistency.value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> MadeBackup:
        moment, consistency = datetime.fromisoformat(record["asked_at"]), Consistency(record["consistency"])
        return cls(**{**record, "asked_at": moment, "consistency": consistency})


@dataclass(frozen=True)
class Freeze:
    """Writes that are frozen, or may be: by which execution, since when, until when at the latest, and what thaws."""

    thaw: str
    instance: str
    execution: str
    since: datetime
    until: datetime

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "since": write_moment(self.since), "until": write_moment(self.until)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Freeze:
        since, until = (datetime.fromisoformat(record[name]) for name in ("since", "until"))
        return cls(**{**record, "since": since, "until": until})


def name_backup(rule_tag: str, asked_at: datetime) -> str:
    """The name of a backup that a rule's run asks for: at most 40 letters, digits and hyphens, as every provider takes.

    `rule_tag` is 8 hexadecimal digits.
    """
    return f"{NAMES_OF_OURS}{rule_tag}-{asked_at.astimezone(UTC):%Y%m%d%H%M%S}"


def check_quota(backups: Iterable[Backup], made: Iterable[MadeBackup], most_a_day: int, now: datetime) -> None:
    """Raise BackupQuotaUsed when the provider would take no further manual backup of the instance today.

    `backups` are those that are listed, anybody's; `made` are ours, of which some may be gone already and count all
    the same.
    """
    listed = {
        backup.backup_id: backup.taken_at
        for backup in backups
        if not backup.automatic and backup.taken_at is not None and now - backup.taken_at < DAY
    }
    ours = {one.backup_id or one.name: one.asked_at for one in made if now - one.asked_at < DAY}
    of_the_day = {**ours, **listed}
    if len(of_the_day) < most_a_day:
        return
    free_at = sorted(of_the_day.values())[len(of_the_day) - most_a_day] + DAY
    raise BackupQuotaUsed(
        f"The instance has had {len(of_the_day)} manual backups within 24 hours; its provider takes {most_a_day}.",
        hint=f"The next one can be made after {write_moment(free_at)}. Let the rule run less often, or see who else "
        "makes backups.",
    )
