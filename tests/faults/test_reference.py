"""What the harness itself says of copies at rest, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rdbkeeper.domain.catalog import Catalog, CatalogEntry, Level
from tests.faults.all_scenarios import AT_REST, SCENARIOS
from tests.faults.copies_at_rest import PLACE
from tests.faults.injector import _shorten
from tests.faults.oracles import Violation
from tests.faults.process import Process
from tests.faults.reading import Reading
from tests.faults.reference import KnownCopy, find_kept
from tests.faults.single import AT_REST_WITH_PEOPLE
from tests.faults.world import World

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


def _copy(days: float, name: str, **facts: bool) -> KnownCopy:
    return KnownCopy(name, NOW - timedelta(days=days), **{"is_verified": True, **facts})


def _kept(*copies: KnownCopy, **retention: int) -> set[str]:
    return find_kept(copies, [retention], "UTC", NOW)


def test_the_reference_keeps_the_last_ones_and_those_of_days() -> None:
    copies = [_copy(days, str(days)) for days in range(5)]
    assert _kept(*copies, keep_last=2) == {"0", "1"}
    assert _kept(*copies, keep_days=3) == {"0", "1", "2", "3"}
    assert _kept(*copies) == {"0", "1", "2", "3", "4"}


def test_the_reference_lets_no_unchecked_or_damaged_copy_stand_for_a_verified_one() -> None:
    unchecked, damaged = _copy(1, "unchecked", is_verified=False), _copy(2, "damaged", is_damaged=True)
    verified, old = _copy(3, "verified"), _copy(4, "old")
    assert _kept(unchecked, damaged, verified, old, keep_last=1) == {"unchecked", "damaged", "verified"}


def test_the_reference_keeps_the_newest_of_a_day_and_what_is_held() -> None:
    copies = [_copy(0.05, "night"), _copy(0.1, "evening"), _copy(0.2, "noon", is_held=True), _copy(2, "before")]
    assert _kept(*copies, keep_daily=1) == {"night", "noon"}


def test_a_listing_that_lies_lacks_copies_and_keeps_its_marks() -> None:
    catalog = Catalog((CatalogEntry("a", Level.VERIFIED), CatalogEntry("b", Level.VERIFIED)), frozenset({"c"}), ("d",))
    short = _shorten(catalog, -1)
    assert [entry.copy_id for entry in short.entries] == ["a"]
    assert (short.removed, short.unfinished_removals) == (catalog.removed, catalog.unfinished_removals)


def test_reading_counts_what_was_right_and_without_a_gap() -> None:
    reading, body = Reading(), b"0123456789"
    tell = reading.listener("run", "key", 0, body)
    tell(0, memoryview(b"01234"))
    tell(6, memoryview(b"6789"))
    assert not reading.covers("run", "key", 10)
    tell(5, memoryview(b"?"))
    assert not reading.covers("run", "key", 10)
    tell(5, memoryview(b"5"))
    assert reading.covers("run", "key", 10)
    assert not reading.covers("another", "key", 10)


def test_people_come_where_copies_lie() -> None:
    assert set(AT_REST_WITH_PEOPLE) <= set(AT_REST) <= set(SCENARIOS)


def _in_charge(world: World) -> Process:
    execution = world.fire("nightly")
    world.tables.leases["nightly"] = execution.arn
    return Process(world, execution)


def test_the_oracles_see_a_manifest_that_goes_without_a_plan() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    vault = _in_charge(world).vault("default")
    manifest = min(world.oracles.at_rest.published)
    with pytest.raises(Violation, match="without a plan that names it"):
        vault.remove_object(manifest, world.the_vault._etag_at(manifest))


def test_the_oracles_see_a_whole_copy_that_is_called_damaged() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    vault = _in_charge(world).vault("default")
    copy_id = min(world.oracles.published_copies())
    with pytest.raises(Violation, match="is marked as damaged and is whole"):
        vault.create_object(f"{PLACE}damaged/{copy_id}.json", b"{}", "application/json")


def test_the_oracles_see_a_check_that_was_not_made() -> None:
    world = SCENARIOS["copies_that_are_due_for_an_audit"]()
    process = _in_charge(world)
    process.rules.find_rule("nightly")
    copy_id = min(world.oracles.published_copies())
    with pytest.raises(Violation, match="was not read whole"):
        process.runs.record_check("nightly", copy_id, NOW)
