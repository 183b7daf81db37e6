"""Retention held against a model that was written from its sentences: over ten years, and in worlds of all kinds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.retention_plan import decide
from tests.unit.retention_model import kept_by_model

# Ten years in which Samoa lost a day, Newfoundland's clocks went back over midnight, Brazil's went forward at
# midnight, Morocco's changed four times a year, Lord Howe's by half an hour, and Nepal's stood 45 minutes aside.
BEGIN = datetime(2007, 1, 1, tzinfo=UTC)
DAYS = 3653
ZONES = (
    "UTC",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Europe/Berlin",
    "America/Los_Angeles",
    "Asia/Tehran",
    "Pacific/Kiritimati",
    "Asia/Shanghai",
)
MODEL_ASKED_AFTER = (400, 1500, DAYS - 1)
WORLDS = 1200


def any_retention(chance: random.Random, most: int) -> Retention:
    parts = ("keep_days", "keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
    chosen = chance.sample(parts, chance.randint(1, 4))
    return Retention(**{part: chance.randint(1, most) for part in chosen})


def any_entry(chance: random.Random, taken_at: datetime, number: int) -> CatalogEntry:
    return CatalogEntry(
        f"{taken_at:%Y%m%dT%H%M%SZ}-b{number % 10}",
        Level.VERIFIED if chance.random() < 0.7 else Level.UNCHECKED,
        is_held=chance.random() < 0.01,
        is_damaged=chance.random() < 0.01,
    )


def backups_of_a_day(chance: random.Random, time_zone: str, day: int) -> Iterator[datetime]:
    """None, one or a few; some about the zone's midnight, where its clocks may be odd."""
    for _ in range(chance.choice((0, 1, 1, 1, 1, 2))):
        midnight = (BEGIN + timedelta(days=day)).replace(tzinfo=ZoneInfo(time_zone))
        offset_s = chance.choice((chance.randint(-7200, 7200), chance.randint(0, 86_399)))
        yield midnight.astimezone(UTC) + timedelta(seconds=offset_s)


@pytest.mark.parametrize("time_zone", ZONES)
def test_ten_years_of_removals_leave_what_the_model_keeps_of_all_that_ever_was(time_zone: str) -> None:
    chance = random.Random(time_zone)
    retentions = [any_retention(chance, 15)]
    ever: dict[str, CatalogEntry] = {}
    there: dict[str, CatalogEntry] = {}
    next_run = 0
    latest = BEGIN - timedelta(days=2)
    for day in range(DAYS):
        for number, taken_at in enumerate(backups_of_a_day(chance, time_zone, day)):
            entry = any_entry(chance, max(latest, taken_at), number)  # in order; late ones are another test's
            latest = entry.taken_at or latest
            if entry.copy_id not in ever:
                ever[entry.copy_id] = there[entry.copy_id] = entry
        now = BEGIN + timedelta(days=day + 1, hours=14)
        if day < next_run and day not in MODEL_ASKED_AFTER:
            continue
        next_run = day + chance.randint(1, 5)
        there = {
            one.entry.copy_id: one.entry for one in decide([*there.values()], retentions, time_zone, now) if one.keeps
        }
        if day in MODEL_ASKED_AFTER:
            assert set(there) == kept_by_model(ever.values(), retentions, time_zone, now), (retentions, now)


def any_world(chance: random.Random) -> tuple[list[CatalogEntry], list[Retention], str, datetime]:
    """Copies of a few months or years with all marks; some at one moment, some in the future, some without a time."""
    now = datetime(2011, chance.randint(1, 12), chance.randint(1, 28), chance.randint(0, 23), tzinfo=UTC)
    reach_h = chance.choice((24 * 5, 24 * 60, 24 * 1500))
    moments = [now + timedelta(hours=chance.randint(-reach_h, 30)) for _ in range(chance.randint(1, 25))]
    damage = chance.choice((0.0, 0.1, 0.6))
    entries = {f"{moment:%Y%m%dT%H%M%SZ}-{name}": None for moment in moments for name in chance.choice(("a", "ab"))}
    ids = [*entries, *(["not-of-ours"] if chance.random() < 0.1 else [])]
    copies = [
        CatalogEntry(
            copy_id,
            chance.choice((Level.VERIFIED, Level.UNCHECKED)),
            is_held=chance.random() < 0.05,
            is_damaged=chance.random() < damage,
        )
        for copy_id in ids
    ]
    retentions = [any_retention(chance, chance.choice((2, 8, 40))) for _ in range(chance.choice((1, 1, 2, 3)))]
    return copies, retentions, chance.choice(ZONES), now


def kept(
    entries: Sequence[CatalogEntry], retentions: Sequence[Retention], time_zone: str, now: datetime
) -> dict[str, CatalogEntry]:
    return {one.entry.copy_id: one.entry for one in decide(entries, retentions, time_zone, now) if one.keeps}


@pytest.fixture(scope="module")
def worlds() -> list[tuple[list[CatalogEntry], list[Retention], str, datetime]]:
    chance = random.Random(20261121)
    return [any_world(chance) for _ in range(WORLDS)]


Worlds = list[tuple[list[CatalogEntry], list[Retention], str, datetime]]


def test_in_any_world_what_stays_is_what_the_model_keeps(worlds: Worlds) -> None:
    removed = 0
    for entries, retentions, time_zone, now in worlds:
        stay = set(kept(entries, retentions, time_zone, now))
        assert stay == kept_by_model(entries, retentions, time_zone, now), (entries, retentions, time_zone, now)
        removed += len(entries) - len(stay)
    assert removed > WORLDS, "worlds in which nothing is removed show nothing"


def test_whatever_is_asked_one_verified_copy_stays_where_there_is_one(worlds: Worlds) -> None:
    for entries, retentions, time_zone, now in worlds:
        good = [one.copy_id for one in entries if one.taken_at and one.level is Level.VERIFIED and not one.is_damaged]
        assert not good or max(good) in kept(entries, retentions, time_zone, now)


def test_an_unchecked_copy_goes_only_when_a_newer_whole_one_stays(worlds: Worlds) -> None:
    for entries, retentions, time_zone, now in worlds:
        stay = kept(entries, retentions, time_zone, now)
        for entry in entries:
            if entry.copy_id not in stay and entry.level is Level.UNCHECKED:
                assert any(one.copy_id > entry.copy_id and not one.is_damaged for one in stay.values() if one.taken_at)


def test_deciding_again_on_what_stayed_removes_nothing_more(worlds: Worlds) -> None:
    for entries, retentions, time_zone, now in worlds:
        stay = kept(entries, retentions, time_zone, now)
        assert kept([*stay.values()], retentions, time_zone, now) == stay


def test_a_removal_that_is_cut_off_anywhere_changes_nothing_about_the_rest(worlds: Worlds) -> None:
    chance = random.Random(2)
    for entries, retentions, time_zone, now in worlds:
        stay = kept(entries, retentions, time_zone, now)
        left = [entry for entry in entries if entry.copy_id in stay or chance.random() < 0.5]
        assert kept(left, retentions, time_zone, now) == stay


def test_the_order_of_the_copies_makes_no_difference(worlds: Worlds) -> None:
    chance = random.Random(3)
    for entries, retentions, time_zone, now in worlds:
        shuffled = chance.sample(entries, len(entries))
        assert decide(shuffled, retentions, time_zone, now) == decide(entries, retentions, time_zone, now)


def test_widening_a_retention_never_removes_more(worlds: Worlds) -> None:
    chance = random.Random(4)
    for entries, retentions, time_zone, now in worlds:
        parts = dict(vars(retentions[0]))
        parts[chance.choice([*parts])] += chance.randint(1, 3)
        wider = Retention(**parts)
        assert wider.covers(retentions[0])
        narrow, wide = (kept(entries, [one], time_zone, now) for one in (retentions[0], wider))
        assert narrow.keys() <= wide.keys()


def test_a_copy_that_any_of_several_retentions_keeps_stays(worlds: Worlds) -> None:
    for entries, retentions, time_zone, now in worlds:
        each = [kept(entries, [one], time_zone, now).keys() for one in retentions]
        assert kept(entries, retentions, time_zone, now).keys() == set().union(*each)


def test_time_alone_never_brings_a_copy_back(worlds: Worlds) -> None:
    for entries, retentions, time_zone, now in worlds:
        later = now + timedelta(days=3)
        assert kept(entries, retentions, time_zone, later).keys() <= kept(entries, retentions, time_zone, now).keys()
