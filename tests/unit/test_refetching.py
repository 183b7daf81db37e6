"""Which copies must not go, because the next run would fetch them again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.refetching import find_refetched
from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.retention_plan import decide

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
KEEPS = Retention(keep_last=1, keep_weekly=3)


def entry(days_ago: int, level: Level = Level.UNCHECKED, *, is_damaged: bool = False) -> CatalogEntry:
    taken_at = NOW - timedelta(days=days_ago)
    return CatalogEntry(f"{taken_at:%Y%m%dT%H%M%SZ}-b{days_ago}", level, NOW, is_damaged=is_damaged)


def spared(entries: list[CatalogEntry], listed: list[CatalogEntry]) -> list[str]:
    """The endings of the ids of the copies that stay though the retention does not keep them."""
    to_remove = {one.entry.copy_id for one in decide(entries, (KEEPS,), "UTC", NOW) if not one.keeps}
    ids = {one.copy_id for one in listed}
    return sorted(one[-2:] for one in find_refetched(entries, to_remove, ids, KEEPS, "UTC", NOW))


def test_unchecked_copies_that_would_one_after_the_other_be_their_weeks_if_they_were_verified_are_spared() -> None:
    entries = [entry(1, Level.VERIFIED), entry(8), entry(9), entry(10, Level.VERIFIED)]
    assert spared(entries, entries) == ["b8", "b9"]


def test_one_that_is_no_longer_at_its_source_is_not() -> None:
    assert spared([entry(1, Level.VERIFIED), entry(8), entry(10, Level.VERIFIED)], []) == []


def test_one_that_would_not_be_wanted_even_if_it_were_verified_is_not() -> None:
    entries = [entry(1, Level.VERIFIED), entry(2), entry(3, Level.VERIFIED)]
    assert spared(entries, entries[1:2]) == []


def test_where_the_newest_copy_is_unchecked_no_better_is_expected_of_others() -> None:
    entries = [entry(1), entry(8), entry(10, Level.VERIFIED)]
    assert spared(entries, entries) == []


def test_a_verified_or_damaged_copy_is_none_of_it() -> None:
    entries = [entry(1, Level.VERIFIED), entry(2, Level.VERIFIED), entry(3, is_damaged=True)]
    assert spared(entries, entries) == []


def test_the_spared_are_stable_whatever_else_goes() -> None:
    """After what is not spared has gone, nothing of it would be fetched: this is what keeps a rule from circling."""
    entries = [entry(1, Level.VERIFIED), *(entry(days) for days in range(2, 10)), entry(10, Level.VERIFIED)]
    gone = {one.entry.copy_id for one in decide(entries, (KEEPS,), "UTC", NOW) if not one.keeps}
    gone -= find_refetched(entries, gone, {one.copy_id for one in entries}, KEEPS, "UTC", NOW)
    left = [one for one in entries if one.copy_id not in gone]
    fetched = [CatalogEntry(copy_id, Level.VERIFIED) for copy_id in gone]
    decided = {one.entry.copy_id: one.keeps for one in decide([*left, *fetched], (KEEPS,), "UTC", NOW)}
    assert gone and not any(decided[copy_id] for copy_id in gone)
