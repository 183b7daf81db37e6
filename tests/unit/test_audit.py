"""Which copies are read again, and what is kept of what was found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rdbkeeper.domain.audit import Damage, Fault, Finding, Tally, choose, find_gone, find_manifest_fault
from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.errors import ManifestUnreadable
from tests.unit.copies_on_disk import a_manifest

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


def entry(day: int, *, published_days_ago: float = 100, is_damaged: bool = False) -> CatalogEntry:
    published_at = NOW - timedelta(days=published_days_ago)
    return CatalogEntry(f"202608{day:02}T021500Z-b", Level.VERIFIED, published_at, is_damaged=is_damaged)


def chosen(
    entries: list[CatalogEntry], days_ago: dict[int, float], every_days: int | None, most: int = 100
) -> list[int]:
    checks = {entry(day).copy_id: NOW - timedelta(days=ago) for day, ago in days_ago.items()}
    return [int(one.copy_id[6:8]) for one in choose(entries, checks, every_days, NOW, most)]


def test_the_longest_unread_copies_come_first() -> None:
    assert chosen([entry(1), entry(2), entry(3)], {1: 5, 2: 40, 3: 20}, None) == [2, 3, 1]


def test_a_copy_that_was_never_read_counts_from_when_it_was_published() -> None:
    entries = [entry(1, published_days_ago=10), entry(2, published_days_ago=30), entry(3)]
    assert chosen(entries, {3: 20}, None) == [2, 3, 1]


def test_a_copy_that_was_published_anew_is_not_judged_by_the_checks_of_the_one_before() -> None:
    assert chosen([entry(1, published_days_ago=1)], {1: 50}, 7) == []


def test_a_copy_is_due_after_so_many_days_and_a_timers_minute_does_not_put_it_off() -> None:
    almost = 7 - 30 / 1440
    assert chosen([entry(1), entry(2), entry(3)], {1: 6.5, 2: almost, 3: 7.1}, 7) == [3, 2]


def test_on_request_every_copy_may_be_read() -> None:
    assert chosen([entry(1), entry(2)], {1: 0.1, 2: 0.2}, None) == [2, 1]


def test_damaged_copies_come_first_whenever_they_were_read() -> None:
    assert chosen([entry(1), entry(2, is_damaged=True)], {1: 90, 2: 0.1}, 7) == [2, 1]


def test_no_more_are_chosen_than_a_run_may_hold() -> None:
    assert chosen([entry(day) for day in range(1, 10)], {}, None, most=3) == [1, 2, 3]


def test_checks_of_copies_that_are_gone_are_found() -> None:
    assert find_gone([entry(1)], {entry(1).copy_id: NOW, entry(2).copy_id: NOW}) == (entry(2).copy_id,)


def test_a_damages_document_says_what_was_found() -> None:
    finding = Finding(Fault.DAMAGED_PART, "0001", "0001.rdb: part 2 is not what was copied.", 2, 100, 199)
    damage = Damage("20260801T021500Z-b", "run-1", NOW, (finding,), 3)
    assert Damage.from_json(damage.to_json(), "key") == damage


@pytest.mark.parametrize("body", [b"", b"[]", b'{"format": "other"}', b'{"format": "rdbkeeper-damage/1"}'])
def test_what_is_no_damages_document_is_told_by_its_key(body: bytes) -> None:
    with pytest.raises(ManifestUnreadable, match=r"damaged/x\.json"):
        Damage.from_json(body, "damaged/x.json")


def test_the_tally_of_two_legs_is_that_of_both() -> None:
    both = Tally(audited=2, damaged=1, newly_damaged=("a",)).plus(Tally(audited=3, unread=1, newly_damaged=("b",)))
    assert both == Tally(audited=5, damaged=1, newly_damaged=("a", "b"), unread=1)
    assert Tally.from_record(both.as_record()) == both


def test_the_tally_is_told_in_few_words() -> None:
    assert Tally().notes() == []
    assert Tally(audited=12, damaged=1, unread=2).notes() == ["12 audited", "1 damaged", "2 could not be read"]


def test_known_damage_calls_nobody_a_second_time() -> None:
    assert Tally(audited=2, damaged=1, newly_damaged=("a",)).has_failed
    assert not Tally(audited=2, damaged=1).has_failed
    assert not Tally(audited=1, unread=1).has_failed
    assert Tally(unread=1).has_failed


@pytest.mark.parametrize(
    "changes",
    [
        {"size_bytes": "10"},
        {"size_bytes": -1},
        {"part_size_bytes": 0},
        {"part_size_bytes": True},
        {"part_sha256": ()},
        {"part_sha256": ("ab",)},
        {"name": "../../secret"},
        {"name": 7},
        {"crc64nvme": ""},
        {"crc64": "zz"},
    ],
)
def test_a_manifest_whose_figures_cannot_be_is_damaged_itself(changes: dict[str, object]) -> None:
    manifest = a_manifest({"0001": b"REDIS0011"})
    broken = replace(manifest, files=(replace(manifest.files[0], **changes),))
    assert find_manifest_fault(manifest) is None
    fault = find_manifest_fault(broken)
    assert fault is not None and fault.fault is Fault.MANIFEST


def test_a_manifest_under_another_copys_name_or_of_no_or_twin_files_is_damaged() -> None:
    manifest = a_manifest({"0001": b"REDIS0011"})
    assert find_manifest_fault(manifest, "20260801T021500Z-other") is not None
    assert find_manifest_fault(replace(manifest, files=())) is not None
    assert find_manifest_fault(replace(manifest, files=manifest.files * 2)) is not None
