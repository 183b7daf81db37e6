"""Which backups to copy, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rdbkeeper.domain.backup import Backup, BackupState
from rdbkeeper.domain.copy import CatalogEntry
from rdbkeeper.domain.outcome import Outcome, Status

# A durable execution holds at most 3,000 operations. A backup needs 6, and 2 more for each 11 minutes that its copying
# takes (at most 250 within the execution's 24 hours); looks at exports about 300 for the longest of them, and 15 for
# each time that the waiting begins anew. With 50 backups that is about 1,600; what is left over is the next run's.
MOST_BACKUPS_PER_RUN = 50


@dataclass(frozen=True)
class Selection:
    """The backups to copy, oldest first, and what became of all the others."""

    to_copy: tuple[Backup, ...]
    decided: tuple[Outcome, ...]


def select(backups: Iterable[Backup], catalog: Iterable[CatalogEntry]) -> Selection:
    """Choose what to copy: every complete backup whose identity has no copy yet.

    Identity is the backup's id and time, never "newer than the last run": late and out-of-order backups exist, and
    the name of a deleted manual backup may be used again.
    """
    kept = {entry.copy_id for entry in catalog}
    to_copy: list[Backup] = []
    decided: list[Outcome] = []
    for backup in sorted(backups, key=lambda backup: (backup.taken_at is None, backup.taken_at, backup.backup_id)):
        outcome = _decide(backup, kept)
        if outcome is not None:
            decided.append(outcome)
        elif len(to_copy) < MOST_BACKUPS_PER_RUN:
            to_copy.append(backup)
        else:
            decided.append(_left_for_the_next_run(backup))
    return Selection(tuple(to_copy), tuple(decided))


def _decide(backup: Backup, kept: set[str]) -> Outcome | None:
    if backup.state is BackupState.FAILED:
        return Outcome(
            backup.backup_id,
            Status.SKIPPED,
            "BackupFailedAtSource",
            "The provider lists this backup as failed, so there is nothing to copy.",
        )
    if backup.taken_at is not None and backup.copy_id in kept:
        return Outcome(
            backup.backup_id, Status.PRESENT, "AlreadyKept", "The vault holds a copy.", copy_id=backup.copy_id
        )
    if backup.state is BackupState.IN_PROGRESS or backup.taken_at is None:
        return Outcome(
            backup.backup_id,
            Status.POSTPONED,
            "BackupInProgress",
            "The provider is still working on this backup; the next run looks again.",
        )
    return None


def _left_for_the_next_run(backup: Backup) -> Outcome:
    return Outcome(
        backup.backup_id,
        Status.POSTPONED,
        "RunIsFull",
        f"One run copies at most {MOST_BACKUPS_PER_RUN} backups; the next run takes this one.",
        copy_id=backup.copy_id,
    )
