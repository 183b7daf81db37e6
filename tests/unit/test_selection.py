"""Which backups are copied when a retention has a say, when a person removed a copy, and when one fails."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from rdbkeeper.domain.backup import Backup, BackupState, EngineFacts, Shard
from rdbkeeper.domain.catalog import Catalog, CatalogEntry, Level
from rdbkeeper.domain.outcome import Outcome, Status
from rdbkeeper.domain.retention import KEEP_EVERYTHING, Retention
from rdbkeeper.domain.selection import Selection, select

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
NOTHING_YET = Catalog()


def backup(days_ago: int, state: BackupState = BackupState.COMPLETE) -> Backup:
    taken_at = NOW - timedelta(days=days_ago)
    return Backup("elasticache", "orders", f"b{days_ago}", state, True, taken_at, (Shard("0001"),), EngineFacts())


def chosen(
    backups: Collection[Backup],
    catalog: Catalog = NOTHING_YET,
    retention: Retention = KEEP_EVERYTHING,
    tried: Collection[str] = (),
    failed_last: Collection[str] = (),
) -> Selection:
    return select(backups, catalog, retention, "UTC", NOW, tried, failed_last)


def names(selection: Selection) -> list[str]:
    return [backup.backup_id for backup in selection.to_copy]


def why(selection: Selection) -> dict[str, str]:
    return {outcome.backup_id: outcome.reason for outcome in selection.decided}


def test_without_a_retention_every_backup_is_copied_the_oldest_first() -> None:
    assert names(chosen([backup(1), backup(900), backup(3)])) == ["b900", "b3", "b1"]


def test_a_backup_whose_copy_retention_would_remove_is_not_copied() -> None:
    selection = chosen([backup(1), backup(7), backup(8)], retention=Retention(keep_days=7))
    assert names(selection) == ["b7", "b1"]
    assert selection.decided == (
        Outcome(
            "b8",
            Status.SKIPPED,
            "NotKept",
            "The retention would not keep its copy (7 days), so none is made.",
            copy_id=backup(8).copy_id,
        ),
    )


def test_copies_that_are_there_count_against_a_backup() -> None:
    catalog = Catalog((CatalogEntry(backup(1).copy_id, Level.VERIFIED),))
    assert why(chosen([backup(2)], catalog, Retention(keep_last=1))) == {"b2": "NotKept"}
    damaged = Catalog((CatalogEntry(backup(1).copy_id, Level.VERIFIED, is_damaged=True),))
    assert names(chosen([backup(2)], damaged, Retention(keep_last=1))) == ["b2"]
    verified = CatalogEntry(backup(1).copy_id, Level.VERIFIED)
    older_unchecked = CatalogEntry(backup(3).copy_id, Level.UNCHECKED)
    assert names(chosen([backup(2)], Catalog((older_unchecked, verified)), Retention(keep_last=2))) == ["b2"]


def test_a_backup_is_copied_when_nothing_newer_is_verified_however_old_it_is() -> None:
    assert names(chosen([backup(30), backup(31)], retention=Retention(keep_days=7))) == ["b30"]


def test_a_backup_that_keeps_failing_does_not_keep_an_older_one_from_being_copied() -> None:
    both, last = [backup(1), backup(2)], Retention(keep_last=1)
    assert names(chosen(both, retention=last)) == ["b1"]
    assert names(chosen(both, retention=last, failed_last={backup(1).copy_id})) == ["b2", "b1"]
    tried = chosen(both, retention=last, tried={backup(1).copy_id})
    assert names(tried) == ["b2"] and why(tried) == {"b1": "TriedAlready"}


def test_backups_that_cannot_be_copied_yet_or_ever_count_for_nothing() -> None:
    for state in (BackupState.FAILED, BackupState.IN_PROGRESS):
        assert names(chosen([backup(1, state), backup(2)], retention=Retention(keep_last=1))) == ["b2"]


def test_a_copy_that_a_person_removed_is_not_fetched_again_and_counts_for_nothing() -> None:
    removed = Catalog(removed=frozenset({backup(1).copy_id}))
    selection = chosen([backup(1), backup(2)], removed, Retention(keep_last=1))
    assert names(selection) == ["b2"]
    [outcome] = selection.decided
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "RemovedByPerson")


def test_a_copy_that_is_there_is_present_whatever_the_marks_beside_it_say() -> None:
    copy_id = backup(90).copy_id
    catalog = Catalog((CatalogEntry(copy_id, Level.VERIFIED, is_damaged=True),), removed=frozenset({copy_id}))
    assert why(chosen([backup(90), backup(1)], catalog, Retention(keep_days=7))) == {"b90": "AlreadyKept"}


def test_a_backup_whose_copy_is_damaged_says_the_way_out() -> None:
    copy_id = backup(1).copy_id
    damaged = Catalog((CatalogEntry(copy_id, Level.VERIFIED, is_damaged=True),))
    [outcome] = chosen([backup(1)], damaged).decided
    assert (outcome.status, outcome.reason, outcome.copy_id) == (Status.PRESENT, "KeptDamaged", copy_id)
    assert "delete it, and the next run copies it again" in outcome.detail
    assert names(chosen([backup(1)], NOTHING_YET)) == ["b1"]


def test_what_is_copied_is_what_retention_then_leaves() -> None:
    backups = [backup(days) for days in range(40)]
    retention = Retention(keep_last=2, keep_weekly=3, keep_monthly=2)
    copied = [one.copy_id for one in chosen(backups, retention=retention).to_copy]
    there = Catalog(tuple(CatalogEntry(copy_id, Level.VERIFIED) for copy_id in copied))
    again = chosen(backups, there, retention)
    assert not again.to_copy and len(copied) == 5
    assert {outcome.reason for outcome in again.decided} == {"AlreadyKept", "NotKept"}


def test_backups_without_a_sum_are_not_copied_only_to_be_removed_again() -> None:
    catalog = Catalog((CatalogEntry(backup(1).copy_id, Level.UNCHECKED),))
    selection = chosen([backup(1), backup(8)], catalog, Retention(keep_days=3))
    assert not selection.to_copy
    assert why(selection) == {"b1": "AlreadyKept", "b8": "NotKept"}


def test_a_damaged_newest_copy_says_nothing_of_how_backups_will_be_checked() -> None:
    damaged = CatalogEntry(backup(1).copy_id, Level.UNCHECKED, is_damaged=True)
    catalog = Catalog((CatalogEntry(backup(5).copy_id, Level.VERIFIED), damaged))
    assert names(chosen([backup(2), backup(4)], catalog, Retention(keep_last=1))) == ["b2"]
    # Were b2 taken for unchecked, both would count against the last copies of any level and b4 would still go.
    assert names(chosen([backup(4)], catalog, Retention(keep_last=1))) == ["b4"]
