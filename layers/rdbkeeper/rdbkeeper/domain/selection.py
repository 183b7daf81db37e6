"""Which backups to copy, and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rdbkeeper.domain.backup import Backup, BackupState
from rdbkeeper.domain.catalog import Catalog, CatalogEntry, Level
from rdbkeeper.domain.outcome import Outcome, Status
from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.retention_plan import Decision, decide

# Keeps a scan's record, a run's report and its wait for exports small; what is left over is its successor's.
MOST_BACKUPS_PER_RUN = 50


@dataclass(frozen=True)
class Selection:
    """The backups to copy, oldest first; those that this run has no room for; what became of all the others."""

    to_copy: tuple[Backup, ...]
    left: tuple[Backup, ...]
    decided: tuple[Outcome, ...]


def select(
    backups: Iterable[Backup],
    catalog: Catalog,
    retention: Retention,
    time_zone: str,
    now: datetime,
    tried: Collection[str] = (),
    failed_last: Collection[str] = (),
    made_by_others: Collection[str] = (),
) -> Selection:
    """Choose what to copy: every complete backup that has no copy yet and whose copy `retention` would keep.

    `tried` are the ids of the copies that this chain of runs tried in vain; they wait for the next fire. They, and
    `failed_last`, those that the last run failed at, keep no other backup from being copied.
    `made_by_others` are the ids of backups that other rules had made for themselves.

    Identity is the backup's id and time, never "newer than the last run": late and out-of-order backups exist, and
    the name of a deleted manual backup may be used again.
    """
    listed = sorted(backups, key=lambda backup: (backup.taken_at is None, backup.taken_at, backup.backup_id))
    present = frozenset(entry.copy_id for entry in catalog.entries)
    damaged = frozenset(entry.copy_id for entry in catalog.entries if entry.is_damaged)
    never_again = present | catalog.removed
    level = _expected_level(catalog)
    fresh = [
        CatalogEntry(backup.copy_id, level, is_damaged=backup.copy_id in tried or backup.copy_id in failed_last)
        for backup in listed
        if backup.state is BackupState.COMPLETE
        and backup.taken_at is not None
        and backup.copy_id not in never_again
        and backup.backup_id not in made_by_others
    ]
    decisions = decide([*catalog.entries, *fresh], (retention,), time_zone, now) if fresh else []
    known = _Known(
        present,
        damaged - catalog.removed,
        catalog.removed,
        frozenset(tried),
        {decision.entry.copy_id: decision for decision in decisions if not decision.keeps},
        frozenset(made_by_others),
    )
    outcomes = [(backup, _decide(backup, known)) for backup in listed]
    wanted = [backup for backup, outcome in outcomes if outcome is None]
    decided = tuple(outcome for _, outcome in outcomes if outcome is not None)
    return Selection(tuple(wanted[:MOST_BACKUPS_PER_RUN]), tuple(wanted[MOST_BACKUPS_PER_RUN:]), decided)


def _expected_level(catalog: Catalog) -> Level:
    """How far copies still to be made will be checked: as the newest one was.

    A source without sums stays one, and so does a store. Were its copies taken for verified beforehand, each run would
    copy what its retention then removes.
    """
    whole = [entry for entry in catalog.entries if not entry.is_damaged and entry.taken_at is not None]
    return max(whole, key=lambda entry: entry.copy_id).level if whole else Level.VERIFIED


@dataclass(frozen=True)
class _Known:
    """What is known of copies, by their ids; `damaged` are those that are copied again once they are deleted."""

    present: frozenset[str]
    damaged: frozenset[str]
    removed: frozenset[str]
    tried: frozenset[str]
    not_kept: Mapping[str, Decision]
    made_by_others: frozenset[str]


def _decide(backup: Backup, known: _Known) -> Outcome | None:
    """What becomes of a backup that is not copied; None for one that is."""
    copy_id = backup.copy_id if backup.taken_at is not None else ""
    if backup.state is BackupState.FAILED:
        said = (Status.SKIPPED, "BackupFailedAtSource", "The provider lists this backup as failed: nothing to copy.")
        return Outcome(backup.backup_id, *said)
    if copy_id in known.damaged:
        what = "The copy in the vault is damaged: delete it, and the next run copies it again."
        said = (Status.PRESENT, "KeptDamaged", what)
    elif copy_id in known.present:
        said = (Status.PRESENT, "AlreadyKept", "The vault holds a copy.")
    elif backup.backup_id in known.made_by_others:
        what = "Another rule had it made for itself, and removes it once it has its copy."
        return Outcome(backup.backup_id, Status.SKIPPED, "MadeByAnotherRule", what, copy_id=copy_id)
    elif backup.state is BackupState.IN_PROGRESS or backup.taken_at is None:
        said = (
            Status.POSTPONED,
            "BackupInProgress",
            "The provider is still working on this backup; the next run looks again.",
        )
        return Outcome(backup.backup_id, *said)
    elif copy_id in known.removed:
        said = (Status.SKIPPED, "RemovedByPerson", "A person removed its copy, so it is not fetched again.")
    elif copy_id in known.not_kept:
        keeps = known.not_kept[copy_id].retention
        said = (Status.SKIPPED, "NotKept", f"The retention would not keep its copy ({keeps}), so none is made.")
    elif copy_id in known.tried:
        said = (
            Status.POSTPONED,
            "TriedAlready",
            "The run before this one tried it in vain; the next fire tries again.",
        )
    else:
        return None
    return Outcome(backup.backup_id, *said, copy_id=copy_id)


def leave(backup_id: str, copy_id: str, *, to_successor: bool) -> Outcome:
    """What becomes of a backup that a run has no room for."""
    whose = "the run that follows at once takes this one" if to_successor else "the next fire takes this one"
    return Outcome(backup_id, Status.POSTPONED, "RunIsFull", f"One run takes only so much; {whose}.", copy_id=copy_id)
