"""Cycles: what a person says, what Scheduler is sent, when it fires, and what is worth knowing about it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)  # a Saturday
WHOLE_WEEK = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def custom(cron: str, time_zone: str = "UTC") -> Cycle:
    return Cycle(kind="custom", cron=cron, time_zone=time_zone)


def fires(cycle: Cycle, count: int, after: datetime = START) -> list[str]:
    return [time.strftime("%a %Y-%m-%d %H:%M") for time in islice(cycle.fire_times(after), count)]


# ---------------------------------------------------------------- what a person says


@pytest.mark.parametrize(
    ("cycle", "sent", "dialect"),
    [
        (Cycle("daily", "Asia/Tokyo", at="02:30"), ("cron(30 2 * * ? *)",), ""),
        (Cycle("weekly", "UTC", at="04:00", days=("WED", "SUN")), ("cron(0 4 ? * SUN,WED *)",), ""),
        (Cycle("weekly", "UTC", days=("MON",)), ("cron(0 0 ? * MON *)",), ""),
        (Cycle("weekly", "UTC", days=WHOLE_WEEK), ("cron(0 0 * * ? *)",), ""),
        (Cycle("manual", "UTC"), (), ""),
        (custom("0 3 1 * MON"), ("cron(0 3 1 * ? *)", "cron(0 3 ? * MON *)"), "unix"),
        (custom("cron(0 3 ? * 2 *)"), ("cron(0 3 ? * MON *)",), "eventbridge"),
        (custom("rate(6 hours)"), ("rate(6 hours)",), "eventbridge"),
        (custom("0 0 2 1 * * *"), ("cron(0 2 1 * ? *)",), "tencent"),
    ],
)
def test_a_cycle_is_sent_as_scheduler_wants_it(cycle: Cycle, sent: tuple[str, ...], dialect: str) -> None:
    assert (cycle.expressions(), cycle.dialect) == (sent, dialect)


@pytest.mark.parametrize("cron", ["", "not a cron", "0 30 2 * * *", "at(2027-01-31T02:30:00)", "0 0 */2 * MON"])
def test_a_cron_that_is_not_one_is_refused_by_its_field(cron: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        custom(cron)
    assert refused.value.field == "cycle.cron"
    assert refused.value.hint


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Mars/Base",
        "../../etc/passwd",
        "/etc/localtime",
        "UTC+9 ",
        "A" * 51,
        "\x00",
        "Factory",
        "localtime",
        "posix/UTC",
    ],
)
@pytest.mark.parametrize("kind", ["daily", "manual"])
def test_an_unknown_time_zone_is_refused(kind: str, zone: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Cycle(kind, zone)
    assert refused.value.field == "cycle.time_zone"


@pytest.mark.parametrize("at", ["", "2:30", "24:00", "02:60", "02:30:00", "٠٢:٣٠"])
def test_a_time_of_day_that_is_not_one_is_refused(at: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Cycle("daily", "UTC", at=at)
    assert refused.value.field == "cycle.at"


@pytest.mark.parametrize("days", [(), ("MON", "MON"), ("mon",), ("Monday",), ("MON", "FUN")])
def test_weekdays_that_are_not_are_refused(days: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Cycle("weekly", "UTC", days=days)
    assert refused.value.field == "cycle.days"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="hourly") as refused:
        Cycle("hourly", "UTC")
    assert refused.value.field == "cycle.kind" and "manual" in refused.value.hint


@pytest.mark.parametrize(
    ("cycle", "record"),
    [
        (Cycle("daily", "Asia/Tokyo", at="02:30"), {"kind": "daily", "at": "02:30", "time_zone": "Asia/Tokyo"}),
        (
            Cycle("weekly", "UTC", days=("WED", "SUN")),
            {"kind": "weekly", "days": ["WED", "SUN"], "at": "00:00", "time_zone": "UTC"},
        ),
        (Cycle("manual", "Europe/Berlin"), {"kind": "manual", "time_zone": "Europe/Berlin"}),
        (custom(" 0  3 * *\tMON"), {"kind": "custom", "cron": " 0  3 * *\tMON", "time_zone": "UTC"}),
    ],
)
def test_a_cycle_is_kept_as_it_was_written(cycle: Cycle, record: dict[str, object]) -> None:
    assert cycle.as_record() == record
    assert Cycle.from_record(record) == cycle and hash(Cycle.from_record(record)) == hash(cycle)


def test_a_manual_cycle_without_a_time_zone_is_shown_in_utc() -> None:
    assert Cycle.from_record({"kind": "manual"}) == Cycle("manual", "UTC")


# ---------------------------------------------------------------- when it fires


def test_a_daily_cycle_fires_at_its_own_zones_time() -> None:
    assert fires(Cycle("daily", "Asia/Tokyo", at="02:30"), 2) == ["Sun 2026-11-22 02:30", "Mon 2026-11-23 02:30"]


def test_a_weekly_cycle_fires_on_its_days() -> None:
    cycle = Cycle("weekly", "Europe/Berlin", at="04:00", days=("SUN", "WED"))
    assert fires(cycle, 3) == ["Sun 2026-11-22 04:00", "Wed 2026-11-25 04:00", "Sun 2026-11-29 04:00"]


def test_a_manual_cycle_never_fires_and_that_is_no_error() -> None:
    cycle = Cycle("manual", "UTC")
    assert cycle.get_next_fire_times(START, 5) == list(cycle.fire_times(START)) == []
    assert (cycle.starts_at(START), cycle.longest_gap(START)) == (None, None)
    assert cycle.notes() == cycle.clock_change_notes(START) == ()


def test_a_time_that_the_clock_change_skips_does_not_happen() -> None:
    cycle = Cycle("daily", "America/New_York", at="02:30")
    after = datetime(2027, 3, 13, 0, 0, tzinfo=UTC)
    assert fires(cycle, 2, after) == ["Sat 2027-03-13 02:30", "Mon 2027-03-15 02:30"]


def test_a_time_that_the_clock_change_repeats_happens_once_and_the_first_time_round() -> None:
    cycle = Cycle("daily", "America/New_York", at="01:30")
    (fire,) = islice(cycle.fire_times(datetime(2026, 11, 1, 0, 0, tzinfo=UTC)), 1)
    assert fire.astimezone(UTC) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert fires(cycle, 2, datetime(2026, 11, 1, 0, 0, tzinfo=UTC))[1] == "Mon 2026-11-02 01:30"


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("America/New_York")])
def test_in_the_second_round_of_an_hour_its_times_are_past(zone: ZoneInfo) -> None:
    after = datetime(2026, 11, 1, 6, 10, tzinfo=UTC).astimezone(zone)  # 01:10 in New York for the second time
    assert fires(custom("*/20 * * * *", "America/New_York"), 1, after) == ["Sun 2026-11-01 02:00"]


def test_a_fire_time_is_later_than_the_moment_asked_for() -> None:
    cycle = Cycle("daily", "UTC", at="12:00")
    assert fires(cycle, 1, START) == ["Sun 2026-11-22 12:00"]
    assert fires(cycle, 1, START - timedelta(microseconds=1)) == ["Sat 2026-11-21 12:00"]
    assert fires(cycle, 1, START + timedelta(seconds=59)) == ["Sun 2026-11-22 12:00"]


def test_a_day_that_both_fields_name_fires_once() -> None:
    assert fires(custom("0 3 1 * TUE"), 3, datetime(2026, 11, 30, tzinfo=UTC)) == [
        "Tue 2026-12-01 03:00",
        "Tue 2026-12-08 03:00",
        "Tue 2026-12-15 03:00",
    ]


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 2 1 * * 2020-2025", "cron(0 0 1 11 ? 2026)"])
def test_a_cron_that_never_fires_again_says_so(cron: str) -> None:
    with pytest.raises(InvalidRequest, match="never fires") as refused:
        custom(cron).get_next_fire_times(START, 1)
    assert refused.value.field == "cycle.cron"


def test_a_leap_day_is_found_years_ahead() -> None:
    assert fires(custom("0 0 29 2 *"), 1) == ["Tue 2028-02-29 00:00"]


def test_years_end_the_fire_times() -> None:
    assert fires(custom("cron(0 0 1 12 ? 2026-2027)"), 5) == ["Tue 2026-12-01 00:00", "Wed 2027-12-01 00:00"]


# ---------------------------------------------------------------- rates


def test_a_rate_fires_at_the_multiples_of_its_interval_since_1970() -> None:
    assert fires(custom("rate(5 minutes)"), 2) == ["Sat 2026-11-21 12:05", "Sat 2026-11-21 12:10"]
    assert fires(custom("rate(1 day)", "Asia/Tokyo"), 2) == ["Sun 2026-11-22 09:00", "Mon 2026-11-23 09:00"]
    (fire,) = islice(custom("rate(7 hours)").fire_times(START), 1)
    assert (fire - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(hours=7) == timedelta(0)


def test_a_day_of_a_rate_has_24_hours_when_the_clocks_change() -> None:
    after = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert fires(custom("rate(1 day)", "Europe/Berlin"), 2, after) == ["Sun 2026-10-25 02:00", "Mon 2026-10-26 01:00"]


def test_a_rates_schedule_starts_at_its_next_fire_time() -> None:
    cycle = custom("rate(8 hours)", "Asia/Tokyo")
    start = cycle.starts_at(START)
    assert start == datetime(2026, 11, 21, 16, tzinfo=UTC) and start.tzinfo is UTC
    assert [start] == cycle.get_next_fire_times(START, 1)
    assert cycle.starts_at(start) == start + timedelta(hours=8)


@pytest.mark.parametrize("cycle", [Cycle("daily", "UTC"), custom("0 3 * * *"), custom("cron(0 3 ? * MON *)")])
def test_only_a_rate_has_a_start(cycle: Cycle) -> None:
    assert cycle.starts_at(START) is None


# ---------------------------------------------------------------- the longest gap


@pytest.mark.parametrize(
    ("cycle", "hours"),
    [
        (Cycle("daily", "Europe/Berlin", at="02:30"), 24),
        (Cycle("weekly", "UTC", days=("WED",)), 7 * 24),
        (Cycle("weekly", "UTC", days=("MON", "WED", "FRI")), 3 * 24),
        (Cycle("weekly", "UTC", days=("SAT", "SUN")), 6 * 24),
        (Cycle("weekly", "UTC", days=WHOLE_WEEK), 24),
        (custom("rate(36 hours)"), 36),
        (custom("0 * * * *"), 1),
        (custom("15 9-17 * * *"), 16),
        (custom("15,45 9-17 * * *"), 15.5),
        (custom("0 9,17 * * 1-5"), 2 * 24 + 16),
        (custom("0,30 0,20 * * *"), 19.5),
        (custom("0 3 1 * *"), 31 * 24),
        (custom("0 3 L * *"), 31 * 24),
        (custom("0 3 31 * *"), 61 * 24),
        (custom("0 3 1 * MON"), 7 * 24),
        (custom("0 3 * * 5L"), 35 * 24),
        (custom("0 3 * 1-6 *"), 185 * 24),
        (custom("0 0 29 2 *"), (4 * 365 + 1) * 24),
        (custom("0 3 1 1 *"), 365 * 24),
        (custom("cron(0 3 20 12 ? 2026)"), 49 * 24 + 3),
    ],
)
def test_the_longest_gap_between_two_fires_is_known(cycle: Cycle, hours: float) -> None:
    assert cycle.longest_gap(START) == timedelta(hours=hours)


def test_a_cron_that_has_run_out_has_no_gap() -> None:
    assert custom("cron(0 3 20 12 ? 2026)").longest_gap(datetime(2027, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    "cron",
    [
        "*/30 3,5 * * 2-4",
        "0 3 1,15 * *",
        "0 3 15W * *",
        "5 1 * 3-10/2 SUN",
        "0 3 13 * FRI",
        "0 3 L */2 *",
        "9 9 */9 * *",
    ],
)
def test_the_longest_gap_holds_for_every_two_fires_of_a_year(cron: str) -> None:
    cycle = custom(cron)
    times = list(takewhile(lambda time: time < START + timedelta(days=2 * 365), cycle.fire_times(START)))
    assert max(late - early for early, late in pairwise(times)) == cycle.longest_gap(START)


# ---------------------------------------------------------------- what a person should know


def test_a_person_is_told_that_tencents_timers_run_in_another_zone() -> None:
    told = "Tencent's timers run in UTC+8, and this cycle runs in Europe/Berlin."
    assert custom("0 0 2 * * * *", "Europe/Berlin").notes() == (told,)
    assert custom("0 0 2 * * * *", "Asia/Shanghai").notes() == custom("0 0 2 * * * *", "Asia/Singapore").notes() == ()
    assert custom("0 2 * * *", "Europe/Berlin").notes() == Cycle("daily", "Europe/Berlin").notes() == ()


def test_a_person_is_told_what_the_dialect_means() -> None:
    assert any("two schedules" in note for note in custom("0 3 1 * MON").notes())


def test_a_run_that_a_clock_change_costs_is_told_beforehand() -> None:
    assert Cycle("daily", "Europe/Berlin", at="02:30").clock_change_notes(START) == (
        "Sun 28 Mar 2027 02:30 does not exist in Europe/Berlin, clocks go forward: no run then.",
        "Sun 31 Oct 2027 02:30 comes twice in Europe/Berlin, clocks go back: it runs the first time round only.",
    )


@pytest.mark.parametrize(
    ("cron", "zone", "beginnings"),
    [
        ("*/10 * * * *", "Europe/Berlin", ["Sun 28 Mar 2027 02:00 does not", "Sun 31 Oct 2027 02:00 comes twice"]),
        ("0 3 * * *", "Europe/Berlin", []),
        ("59 2 * * *", "Europe/Berlin", ["Sun 28 Mar 2027 02:59 does not", "Sun 31 Oct 2027 02:59 comes twice"]),
        ("59 1 * * *", "Europe/Berlin", []),
        ("30 2 * * MON", "Europe/Berlin", []),
        ("30 2 * 10 *", "Europe/Berlin", ["Sun 31 Oct 2027 02:30 comes twice"]),
        ("0 0 * * *", "America/Havana", ["Sun 14 Mar 2027 00:00 does not", "Sun 7 Nov 2027 00:00 comes twice"]),
        ("*/15 2 * * *", "Australia/Lord_Howe", ["Sun 3 Oct 2027 02:00 does not"]),
        ("45 1 * * *", "Australia/Lord_Howe", ["Sun 4 Apr 2027 01:45 comes twice"]),
        ("30 2 * * *", "Africa/Casablanca", ["Sun 7 Feb 2027 02:30 comes twice", "Sun 14 Mar 2027 02:30 does not"]),
        ("*/10 * * * *", "Asia/Tokyo", []),
        ("*/10 * * * *", "UTC", []),
        ("rate(10 minutes)", "Europe/Berlin", []),
    ],
)
def test_only_runs_within_a_clock_change_are_told_of(cron: str, zone: str, beginnings: list[str]) -> None:
    notes = custom(cron, zone).clock_change_notes(START)
    assert len(notes) == len(beginnings)
    assert all(note.startswith(beginning) for note, beginning in zip(notes, beginnings, strict=True))


def test_clock_changes_are_told_for_as_far_ahead_as_asked() -> None:
    cycle = Cycle("daily", "Europe/Berlin", at="02:30")
    assert len(cycle.clock_change_notes(START, days=130)) == 1
    assert cycle.clock_change_notes(START, days=126) == ()
    assert len(cycle.clock_change_notes(START, days=5000)) == 6


# ---------------------------------------------------------------- what it costs


def test_a_cycle_is_made_and_sent_without_loading_croniter() -> None:
    program = (
        "import sys\n"
        "from rdbkeeper.domain.cycle import Cycle\n"
        "Cycle('custom', 'UTC', cron='0 3 1 * MON').expressions()\n"
        "sys.exit('croniter' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    assert ended.returncode == 0
