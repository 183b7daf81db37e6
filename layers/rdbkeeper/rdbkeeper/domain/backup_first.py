"""Backups on demand: what a rule says of them, what was made, and what a day allows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rdbkeeper.domain.backup import Backup, Consistency, Instance, tiers_data
from rdbkeeper.domain.errors import BackupNotMade, BackupQuotaUsed, InvalidRequest, NotExportable, not_a_name
from rdbkeeper.domain.moments import write_moment

DAY = timedelta(hours=24)
DEFAULT_FREEZE_S = 300
LONGEST_FREEZE_S = 3600
# A function's name, with or without an alias or version ("Invoke", Lambda API reference); an ARN would show an account.
_FUNCTION = re.compile(r"[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9$_-]{1,128})?")
NAMES_OF_OURS = "rdbkeeper-"
_NAME_OF_OURS = re.compile(NAMES_OF_OURS + "([0-9a-f]{8})-[0-9]{14}")
# A backup that has no verified copy by then will hardly get one: it was removed, or its copies are never checked.
FORGOTTEN_AFTER = timedelta(days=35)
# So many stay at the provider, of a rule whose backups cannot be copied.
MOST_UNCOPIED = 3
# A call without an answer may still be at work: a function lives 15 minutes ("Timeout", Lambda quotas); clocks differ.
LONGEST_CALL = timedelta(minutes=20)


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
                hint = "Write its name alone, or name:alias; it lies in this stack's account and region."
                raise not_a_name(name, f"backup_first.{field}", "the name of a Lambda function", hint)
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

    `backup_id` is "" until the provider lists it. One that `is_verified` has had a verified copy. One that `is_removed`
    again still counts for its day. `provider` and `instance` are what it was made of, "" in records of before these
    were kept.
    """

    name: str
    asked_at: datetime
    backup_id: str = ""
    consistency: Consistency = Consistency.POINT_IN_TIME
    reason: str = ""
    is_removed: bool = False
    provider: str = ""
    instance: str = ""
    is_verified: bool = False

    @property
    def listed_id(self) -> str:
        """The id that it is listed under; until it is seen, its name, which is the id where a provider takes names."""
        return self.backup_id or self.name

    def is_of(self, provider: str, instance: str) -> bool:
        """True unless it is known to be of something else, to which a rule pointed before."""
        return (self.provider or provider, self.instance or instance) == (provider, instance)

    def may_be_there(self, asked_since: datetime) -> bool:
        """True for one that was seen, or asked for since then; others count where they are listed."""
        return bool(self.backup_id) or self.is_removed or self.asked_at >= asked_since

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "asked_at": write_moment(self.asked_at), "consistency": self.consistency.value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> MadeBackup:
        moment, consistency = datetime.fromisoformat(record["asked_at"]), Consistency(record["consistency"])
        return cls(**{**record, "asked_at": moment, "consistency": consistency})


@dataclass(frozen=True)
class Freeze:
    """Writes that are frozen, or may be: by which execution, since when, until when at the latest, and what thaws.

    `late_until` is until when a call that was to freeze, and was not answered, may still come through; None where each
    was answered. `provider` is "" in records of before it was kept.
    """

    thaw: str
    instance: str
    execution: str
    since: datetime
    until: datetime
    late_until: datetime | None = None
    provider: str = ""

    def may_come_late(self, now: datetime) -> bool:
        """True while a thaw may be followed by a freeze that was asked for before it."""
        return self.late_until is not None and now < self.late_until

    def meets(self, other: Freeze) -> bool:
        """True where thawing one thaws the other: both are of one instance. A function is told whose writes to thaw."""
        providers = {self.provider, other.provider} - {""}
        return self.instance == other.instance and len(providers) <= 1

    def as_record(self) -> dict[str, Any]:
        late_until = write_moment(self.late_until) if self.late_until else None
        moments = {"since": write_moment(self.since), "until": write_moment(self.until), "late_until": late_until}
        return {**vars(self), **moments}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Freeze:
        names = ("since", "until", "late_until")
        moments = {name: datetime.fromisoformat(record[name]) if record.get(name) else None for name in names}
        return cls(**{**record, **moments})


def name_backup(tag: str, asked_at: datetime) -> str:
    """The name of a backup that a rule's run asks for: at most 40 letters, digits and hyphens, as every provider takes.

    `tag`, 8 hexadecimal digits, is the rule's own.
    """
    return f"{NAMES_OF_OURS}{tag}-{asked_at.astimezone(UTC):%Y%m%d%H%M%S}"


def is_anothers(backup: Backup, tag: str, now: datetime) -> bool:
    """True for what another rule had made for itself, and will remove; what is older it has forgotten.

    Where a provider knows no names of ours, its ids tell nothing.
    """
    name = _NAME_OF_OURS.fullmatch(backup.backup_id)
    if name is None or name[1] == tag:
        return False
    return backup.taken_at is None or now - backup.taken_at <= FORGOTTEN_AFTER


def ids_of_others(backups: Iterable[Backup], tag: str, now: datetime) -> set[str]:
    """The ids of what other rules had made for themselves."""
    return {backup.backup_id for backup in backups if is_anothers(backup, tag, now)}


def check_worth_making(instance: Instance, backups: Iterable[Backup], made: Iterable[MadeBackup]) -> None:
    """Raise BackupNotMade or NotExportable for a backup that would not be copied, by what became of those before.

    `backups` are those that are listed, anybody's; `made` are this rule's on record, of the same instance. Where the
    instance does not say whether it tiers its data, the newest backup does.
    """
    listed = {backup.backup_id: backup for backup in backups}
    left = [one for one in made if not (one.is_removed or one.is_verified)]
    uncopied = [one for one in left if one.listed_id in listed]
    if len(uncopied) >= MOST_UNCOPIED:
        raise BackupNotMade(
            f"{len(uncopied)} backups that this rule had made have no verified copy yet, so no other is asked for.",
            hint="See why they are not copied or not verified; or remove them by hand at the provider.",
        )
    dated = [(one.taken_at, one.engine.data_tiering) for one in listed.values() if one.taken_at is not None]
    if tiers_data(instance.data_tiering or max(dated, default=(None, ""))[1]):
        raise NotExportable(
            f"{instance.name} has data tiering, and its backups cannot be exported: so none is asked for.",
            hint='Use an instance without data tiering, or send `"backup_first": false` with an `update` of the rule.',
        )


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
    ours = {one.listed_id: one.asked_at for one in made if now - one.asked_at < DAY}
    of_the_day = {**ours, **listed}
    if len(of_the_day) < most_a_day:
        return
    free_at = sorted(of_the_day.values())[len(of_the_day) - most_a_day] + DAY
    raise BackupQuotaUsed(
        f"The instance has had {len(of_the_day)} manual backups within 24 hours; its provider takes {most_a_day}.",
        hint=f"The next one can be made after {write_moment(free_at)}. Let the rule run less often, or see who else "
        "makes backups.",
    )
