"""Which backups to copy, and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from rdbkeeper.domain.backup import Backup, BackupState
from rdbkeeper.domain.catalog import CatalogEntry
from rdbkeeper.domain.outcome import Outcome, Status

# Keeps a scan's record, a run's report and its wait for exports small; what is left over is its successor's.
MOST_BACKUPS_PER_RUN = 50


@dataclass(frozen=True)
class Selection:
    """The backups to copy, oldest first; those that this run has no room for; what became of all the others."""

    to_copy: tuple[Backup, ...]
    left: tuple[Backup, ...]
    decided: tuple[Outcome, ...]


def select(backups: Iterable[Backup], catalog: Iterable[CatalogEntry], tried: Collection[str] = ()) -> Selection:
    """Choose what to copy: every complete backup whose identity has no copy yet.

    `tried` are the ids of the copies that this chain of runs tried in vain; they wait for the next fire.

    Identity is the backup's id and time, never "newer than the last run": late and out-of-order backups exist, and
    the name of a deleted manual backup may be used again.
    """
    kept = {entry.copy_id for entry in catalog}
    wanted: list[Backup] = []
    decided: list[Outcome] = []
    for backup in sorted(backups, key=lambda backup: (backup.taken_at is None, backup.taken_at, backup.backup_id)):
        outcome = _decide(backup, kept, tried)
        if outcome is not None:
            decided.append(outcome)
        else:
            wanted.append(backup)
    return Selection(tuple(wanted[:MOST_BACKUPS_PER_RUN]), tuple(wanted[MOST_BACKUPS_PER_RUN:]), tuple(decided))


def _decide(backup: Backup, kept: Collection[str], tried: Collection[str]) -> Outcome | None:
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
    if backup.copy_id in tried:
        return Outcome(
            backup.backup_id,
            Status.POSTPONED,
            "TriedAlready",
            "The run before this one tried it in vain; the next fire tries again.",
            copy_id=backup.copy_id,
        )
    return None


def leave(backup_id: str, copy_id: str, *, to_successor: bool) -> Outcome:
    """What becomes of a backup that a run has no room for."""
    whose = "the run that follows at once takes this one" if to_successor else "the next fire takes this one"
    return Outcome(backup_id, Status.POSTPONED, "RunIsFull", f"One run takes only so much; {whose}.", copy_id=copy_id)
