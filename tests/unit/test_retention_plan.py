"""Each part of a retention by itself, what stays whatever it says, and how a place will look in a year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.retention import KEEP_EVERYTHING, Retention
from rdbkeeper.domain.retention_plan import Decision, decide, expect_copies, lock_notes, look_ahead

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def copy(taken_at: datetime, name: str = "b", *, unchecked: bool = False, **marks: bool) -> CatalogEntry:
    level = Level.UNCHECKED if unchecked else Level.VERIFIED
    return CatalogEntry(f"{taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{name}", level, **marks)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(count: int, **how: Any) -> list[CatalogEntry]:
    """Copies of the last days, the newest first, the first of them an hour old."""
    return [copy(NOW - timedelta(hours=1) - number * DAY, **how) for number in range(count)]


def plan(entries: list[CatalogEntry], *retentions: Retention, zone: str = "UTC") -> list[Decision]:
    return decide(entries, retentions, zone, NOW)


def kept(entries: list[CatalogEntry], *retentions: Retention, zone: str = "UTC") -> list[CatalogEntry]:
    return [decision.entry for decision in plan(entries, *retentions, zone=zone) if decision.keeps]


def reasons(entries: list[CatalogEntry], *retentions: Retention) -> list[tuple[str, ...]]:
    return [decision.reasons for decision in plan(entries, *retentions)]


# ------------------------------------------------------------------ its parts


def test_an_empty_retention_removes_nothing() -> None:
    entries = daily(400)
    assert kept(entries, KEEP_EVERYTHING) == entries == kept(entries)
    assert set(reasons(entries, KEEP_EVERYTHING)) == {("KeepsEverything",)}


def test_a_copy_of_exactly_so_many_days_stays_and_a_second_older_goes() -> None:
    newest, edge = copy(NOW - DAY), copy(NOW - 7 * DAY)
    older = copy(NOW - 7 * DAY - timedelta(seconds=1))
    assert kept([older, edge, newest], Retention(keep_days=7)) == [newest, edge]


def test_days_are_of_24_hours_whatever_the_clocks_do() -> None:
    # Berlin's clocks went back on 25 October: the day had 25 hours.
    entries = [copy(at("2026-10-25T23:30:00")), copy(at("2026-10-24T23:30:00")), copy(at("2026-10-24T22:30:00"))]
    now = at("2026-10-25T23:30:00")
    stay = [one.entry for one in decide(entries, [Retention(keep_days=1)], "Europe/Berlin", now) if one.keeps]
    assert stay == entries[:2]


def test_a_copy_from_the_future_is_of_the_last_days() -> None:
    future = copy(NOW + 40 * DAY, "early")
    entries = [copy(NOW + 50 * DAY), future]
    assert kept(entries, Retention(keep_days=1)) == entries


def test_the_last_copies_are_counted_by_when_they_were_taken() -> None:
    entries = daily(5)
    assert kept(entries[::-1], Retention(keep_last=3)) == entries[:3]


def test_of_copies_of_one_moment_the_greater_id_is_the_newer() -> None:
    entries = [copy(NOW, "c"), copy(NOW, "b"), copy(NOW, "a")]
    assert kept(entries, Retention(keep_last=2)) == entries[:2]
    assert kept(entries, Retention(keep_daily=9)) == entries[:1]


def test_unchecked_copies_do_not_push_verified_ones_out_of_the_last() -> None:
    unchecked = [copy(NOW - timedelta(hours=number), unchecked=True) for number in range(4)]
    verified = [copy(NOW - number * DAY) for number in range(1, 4)]
    stay = kept([*unchecked, *verified], Retention(keep_last=2))
    assert stay == [*unchecked[:2], *verified[:2]]


def test_the_newest_copy_of_each_of_the_last_days_that_have_copies_stays() -> None:
    morning, evening = copy(at("2026-11-19T06:00:00")), copy(at("2026-11-19T20:00:00"))
    long_ago = copy(at("2025-01-01T06:00:00"))
    assert kept([morning, evening, long_ago], Retention(keep_daily=2)) == [evening, long_ago]


def test_days_are_those_of_the_rules_zone() -> None:
    before, after = copy(at("2026-11-19T14:59:59")), copy(at("2026-11-19T15:00:00"))  # midnight in Tokyo
    assert kept([before, after], Retention(keep_daily=2), zone="Asia/Tokyo") == [after, before]
    assert kept([before, after], Retention(keep_daily=2), zone="UTC") == [after]


def test_weeks_begin_on_monday_and_may_belong_to_two_years() -> None:
    monday, sunday = copy(at("2024-12-30T12:00:00")), copy(at("2025-01-05T12:00:00"))
    sunday_before = copy(at("2024-12-29T12:00:00"))
    assert kept([monday, sunday, sunday_before], Retention(keep_weekly=5)) == [sunday, sunday_before]


def test_months_and_years_keep_their_newest_copies() -> None:
    entries = [copy(at(f"{day}T12:00:00")) for day in ("2026-02-28", "2026-02-01", "2026-01-31", "2025-12-31")]
    assert kept(entries, Retention(keep_monthly=2)) == [entries[0], entries[2]]
    assert kept(entries, Retention(keep_yearly=2)) == [entries[0], entries[3]]


def test_an_unchecked_copy_stands_for_a_period_only_where_no_verified_one_does() -> None:
    verified = copy(at("2026-11-18T06:00:00"))
    newer_unchecked = copy(at("2026-11-18T20:00:00"), unchecked=True)
    alone = copy(at("2026-11-17T06:00:00"), unchecked=True)
    newest = copy(at("2026-11-20T06:00:00"))
    stay = kept([verified, newer_unchecked, alone, newest], Retention(keep_daily=3))
    assert stay == [newest, verified, alone]


def test_periods_with_unchecked_copies_alone_do_not_use_up_those_of_verified_ones() -> None:
    unchecked = [copy(NOW - number * DAY, unchecked=True) for number in range(3)]
    verified = [copy(NOW - number * DAY) for number in range(3, 6)]
    stay = kept([*unchecked, *verified], Retention(keep_daily=2))
    assert stay == [*unchecked[:2], *verified[:2]]


def test_whichever_part_keeps_a_copy_wins_and_every_part_is_named() -> None:
    entries = daily(3)
    assert reasons(entries, Retention(keep_days=2, keep_last=1, keep_yearly=1)) == [
        ("keep_days", "keep_last", "keep_yearly"),
        ("keep_days",),
        ("NotKept",),
    ]


def test_what_the_rule_said_before_keeps_copies_beside_it() -> None:
    entries = daily(6)
    assert kept(entries, Retention(keep_last=1), Retention(keep_days=3), Retention(keep_last=2)) == entries[:3]
    assert reasons(entries[:2], Retention(keep_last=1), Retention(keep_last=2)) == [
        ("keep_last",),
        ("OutgoingRetention",),
    ]
    assert reasons(entries[:2], Retention(keep_last=1), KEEP_EVERYTHING) == [("keep_last",), ("OutgoingRetention",)]


# ---------------------------------------------------------- whatever it says


def test_the_newest_verified_copy_stays_however_old() -> None:
    entries = [copy(NOW - 900 * DAY), copy(NOW - 901 * DAY)]
    assert reasons(entries, Retention(keep_days=1)) == [("LastVerified",), ("NotKept",)]


def test_the_newest_unchecked_copy_stays_until_a_newer_one_of_any_level_is_there() -> None:
    verified, unchecked = copy(NOW - 900 * DAY), copy(NOW - 800 * DAY, unchecked=True)
    assert reasons([verified, unchecked], Retention(keep_days=1)) == [("NewestOfItsStanding",), ("LastVerified",)]
    newer = copy(NOW - 700 * DAY)
    assert kept([verified, unchecked, newer], Retention(keep_days=1)) == [newer]


def test_a_held_copy_stays_and_counts() -> None:
    entries = [copy(NOW - DAY, is_held=True), copy(NOW - 2 * DAY), copy(NOW - 3 * DAY, is_held=True)]
    assert reasons(entries, Retention(keep_last=1)) == [("Held", "keep_last"), ("NotKept",), ("Held",)]


def test_a_damaged_copy_never_stands_in_for_another() -> None:
    damaged, good = copy(NOW - DAY, is_damaged=True), copy(NOW - 2 * DAY)
    assert reasons([damaged, good], Retention(keep_last=1)) == [("Damaged", "keep_last"), ("keep_last",)]
    assert kept([damaged, good], Retention(keep_daily=1)) == [damaged, good]


def test_a_damaged_copy_goes_when_a_whole_one_in_its_stead_would() -> None:
    good, damaged = copy(NOW - DAY), copy(NOW - 2 * DAY, is_damaged=True)
    assert reasons([good, damaged], Retention(keep_last=1)) == [("keep_last",), ("DamagedNotKept",)]
    assert kept([good, damaged], Retention(keep_last=2)) == [good, damaged]


def test_where_all_copies_are_damaged_the_newest_stays() -> None:
    entries = daily(3, is_damaged=True)
    assert reasons([*entries], Retention(keep_yearly=1))[0] == ("Damaged", "keep_yearly")
    old = [copy(NOW - 90 * DAY, is_damaged=True)]
    assert reasons(old, Retention(keep_days=1)) == [("Damaged", "LastVerified")]


def test_what_has_no_time_in_its_name_stays_and_counts_for_nothing() -> None:
    foreign = CatalogEntry("z-not-of-ours", Level.VERIFIED)
    entries = daily(2)
    assert reasons([foreign, *entries], Retention(keep_last=1)) == [("keep_last",), ("NotKept",), ("NoTimeInItsName",)]


def test_no_copies_need_no_decision() -> None:
    assert plan([], Retention(keep_last=1)) == []


def test_every_decision_is_a_sentence() -> None:
    newest, older, damaged = plan(
        [*daily(2), copy(NOW - 5 * DAY, is_damaged=True)], Retention(keep_last=1, keep_weekly=1)
    )
    assert newest.sentence() == "It stays: it is one of the last copies; it is the newest of its week."
    assert older.sentence() == "The retention does not keep it; it keeps only the last one, 1 week."
    keeps = "it keeps only the last one, 1 week."
    assert damaged.sentence() == f"It is damaged, and the retention does not keep it; {keeps}"
    marks = [copy(NOW - DAY, is_held=True), copy(NOW - 2 * DAY, is_damaged=True), CatalogEntry("x", Level.VERIFIED)]
    held, broken, foreign = plan(marks, Retention(keep_yearly=1, keep_days=1), KEEP_EVERYTHING)
    assert held.sentence().startswith("It stays: a person holds it; it is of the days")
    assert broken.sentence().startswith("It stays: it is damaged, and a whole one in its stead would stay; ")
    older = plan(daily(3), Retention(keep_days=1), Retention(keep_days=2))[1]
    assert older.sentence() == "It stays: the retention that the rule had before keeps it for now."
    assert foreign.sentence() == "It stays: its name does not tell when it was taken."


# ------------------------------------------------------------------ next year


@pytest.mark.parametrize(
    "retention",
    [
        Retention(keep_days=7),
        Retention(keep_last=5, keep_monthly=3),
        Retention(keep_days=2, keep_weekly=4, keep_yearly=2),
        Retention(keep_daily=20, keep_monthly=12),
    ],
    ids=lambda retention: retention.in_words,
)
@pytest.mark.parametrize("interval_h", [24, 168])
def test_the_year_ahead_is_what_removing_day_by_day_comes_to(retention: Retention, interval_h: int) -> None:
    interval = timedelta(hours=interval_h)
    entries = [
        copy(NOW - number * DAY, unchecked=number % 3 == 0, is_damaged=number % 7 == 0, is_held=number % 31 == 5)
        for number in range(120)
    ]
    foreseen = look_ahead(entries, lambda _: [retention], "America/Sao_Paulo", NOW, interval)
    there, seen = entries, {}
    for day in range(1, 366):
        today, yesterday = NOW + day * DAY, NOW + (day - 1) * DAY
        fresh = [one for one in expect_copies(NOW, today, interval) if one.taken_at and one.taken_at > yesterday]
        decisions = decide([*there, *fresh], [retention], "America/Sao_Paulo", today)
        there = [one.entry for one in decisions if one.keeps]
        seen[today] = tuple(there)
    assert {one.at: one.kept for one in foreseen} == {at: seen[at] for at in (one.at for one in foreseen)}
    assert [(one.at - NOW).days for one in foreseen] == [30, 91, 182, 274, 365]


def test_the_year_ahead_of_a_rule_that_keeps_everything_grows_by_a_copy_a_day() -> None:
    foreseen = look_ahead(daily(10), lambda _: [KEEP_EVERYTHING], "UTC", NOW, DAY)
    assert [len(one.kept) for one in foreseen] == [40, 101, 192, 284, 375]
    assert foreseen[-1].oldest == daily(10)[-1]


def test_where_no_copies_come_by_themselves_the_last_one_stays_in_a_year() -> None:
    foreseen = look_ahead(daily(3), lambda _: [Retention(keep_days=7)], "UTC", NOW, None)
    assert [len(one.kept) for one in foreseen] == [1] * 5


def test_an_empty_place_to_which_nothing_comes_has_no_oldest_copy() -> None:
    assert look_ahead([], lambda _: [Retention(keep_days=7)], "UTC", NOW, None)[-1].oldest is None


def test_a_retention_that_ends_on_the_way_keeps_what_it_keeps_until_then() -> None:
    def in_force(moment: datetime) -> list[Retention]:
        before = [Retention(keep_days=300)] if moment < NOW + 100 * DAY else []
        return [Retention(keep_days=7), *before]

    assert [len(one.kept) for one in look_ahead(daily(10), in_force, "UTC", NOW, DAY)] == [40, 101, 8, 8, 8]


# ---------------------------------------------------------------------- locks


@pytest.mark.parametrize(
    "retention, lock_days, longer, shorter",
    [
        (Retention(keep_days=7), 0, False, False),
        (Retention(keep_days=7), 7, False, False),
        (Retention(keep_days=7), 8, True, False),
        (Retention(keep_days=7), 6, False, True),
        (Retention(keep_last=7), 30, True, False),
        (Retention(keep_last=7), 7, False, False),
        (Retention(keep_days=7, keep_monthly=12), 30, True, True),
        (Retention(keep_weekly=4), 1, False, True),
    ],
)
def test_a_lock_that_is_longer_or_shorter_than_the_retention_is_told(
    retention: Retention, lock_days: int, longer: bool, shorter: bool
) -> None:
    notes = " ".join(lock_notes(retention, lock_days))
    assert ("longer than the retention keeps some" in notes, "shorter than" in notes) == (longer, shorter)


def test_a_lock_where_everything_is_kept_is_told_to_end() -> None:
    [note] = lock_notes(KEEP_EVERYTHING, 1)
    assert note.startswith("The vault locks each copy for 1 day, and the rule keeps everything")
