"""Cycles: what a person writes, what Scheduler is sent, and when it fires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest
from tests.local_cloud.cron_evaluator import fire_times

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def custom(cron: str, time_zone: str = "UTC") -> Cycle:
    return Cycle(kind="custom", cron=cron, time_zone=time_zone)


def fires(cycle: Cycle, count: int, after: datetime = START) -> list[str]:
    return [time.strftime("%a %Y-%m-%d %H:%M") for time in islice(cycle.fire_times(after), count)]


@pytest.mark.parametrize(
    "cycle, sent",
    [
        (Cycle("daily", "Asia/Tokyo", at="02:30"), ("cron(30 2 * * ? *)",)),
        (Cycle("weekly", "UTC", at="04:00", days=("WED", "SUN")), ("cron(0 4 ? * SUN,WED *)",)),
        (
            Cycle("weekly", "UTC", days=("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")),
            ("cron(0 0 * * ? *)",),
        ),
        (custom("0 5 * * *"), ("cron(0 5 * * ? *)",)),
        (
            custom("*/15 9-17 * * 1-5"),
            ("cron(0,15,30,45 9,10,11,12,13,14,15,16,17 ? * MON,TUE,WED,THU,FRI *)",),
        ),
        (custom("30 2 * * 5-7"), ("cron(30 2 ? * SUN,FRI,SAT *)",)),
        (custom("30 2 * * SAT-SUN"), ("cron(30 2 ? * SUN,SAT *)",)),
        (custom("0 3 1 jan,JUL *"), ("cron(0 3 1 1,7 ? *)",)),
        (custom("0 3 * * 1-1"), ("cron(0 3 ? * MON *)",)),
        (custom("0 3 * * 0"), ("cron(0 3 ? * SUN *)",)),
        (custom("0 3 * * 7"), ("cron(0 3 ? * SUN *)",)),
        (custom("0 3 * * 0-0"), ("cron(0 3 ? * SUN *)",)),
        (custom("0 3 * * SUN-SUN"), ("cron(0 3 ? * SUN *)",)),
        (custom("0 3 1-31 * *"), ("cron(0 3 * * ? *)",)),
        (custom("5/20 0 * * *"), ("cron(5,25,45 0 * * ? *)",)),
        (custom("0 3 1 * MON"), ("cron(0 3 1 * ? *)", "cron(0 3 ? * MON *)")),
    ],
)
def test_a_cycle_is_sent_as_scheduler_wants_it(cycle: Cycle, sent: tuple[str, ...]) -> None:
    assert cycle.expressions() == sent


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "not a cron",
        "0 0 * *",
        "0 30 2 * * *",
        "0 0 2 * * * *",
        "60 0 * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "0 0 ? * MON",
        "0 0 L * *",
        "0 0 * * 5L",
        "*/0 * * * *",
        "5-1 * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
        "@daily",
        "cron(0 3 * * ? *)",
        "0 0 */2 * MON",
        "0 0 1-31 * MON",
        "0 0 1 * 0-6",
        "0 0 * * ٣",
    ],
)
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
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Cycle("daily", zone)
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
    with pytest.raises(InvalidRequest, match="hourly"):
        Cycle("hourly", "UTC")


def test_a_daily_cycle_fires_at_its_own_zones_time() -> None:
    assert fires(Cycle("daily", "Asia/Tokyo", at="02:30"), 2) == [
        "Sun 2026-11-22 02:30",
        "Mon 2026-11-23 02:30",
    ]


def test_a_time_that_the_clock_change_skips_does_not_happen() -> None:
    cycle = Cycle("daily", "America/New_York", at="02:30")
    after = datetime(2027, 3, 13, 0, 0, tzinfo=UTC)
    assert fires(cycle, 2, after) == ["Sat 2027-03-13 02:30", "Mon 2027-03-15 02:30"]


def test_a_time_that_the_clock_change_repeats_happens_once_and_the_first_time_round() -> None:
    cycle = Cycle("daily", "America/New_York", at="01:30")
    (fire,) = islice(cycle.fire_times(datetime(2026, 11, 1, 0, 0, tzinfo=UTC)), 1)
    assert fire.astimezone(UTC) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert fires(cycle, 2, datetime(2026, 11, 1, 0, 0, tzinfo=UTC))[1] == "Mon 2026-11-02 01:30"


def test_a_day_that_both_fields_name_fires_once() -> None:
    assert fires(custom("0 3 1 * TUE"), 3, datetime(2026, 11, 30, tzinfo=UTC)) == [
        "Tue 2026-12-01 03:00",
        "Tue 2026-12-08 03:00",
        "Tue 2026-12-15 03:00",
    ]


def test_a_cron_that_never_fires_says_so() -> None:
    with pytest.raises(InvalidRequest, match="never fires"):
        custom("0 0 31 2 *").get_next_fire_times(START, 1)


def test_a_leap_day_is_found_years_ahead() -> None:
    assert fires(custom("0 0 29 2 *"), 1) == ["Tue 2028-02-29 00:00"]


@settings(max_examples=60, deadline=None)
@given(
    cycle=st.one_of(
        st.builds(Cycle, st.just("daily"), st.just("UTC"), at=st.sampled_from(["00:00", "23:59"])),
        st.builds(
            Cycle,
            st.just("weekly"),
            st.just("Europe/Berlin"),
            days=st.lists(st.sampled_from(["MON", "SUN", "FRI"]), min_size=1, unique=True).map(tuple),
        ),
        st.builds(custom, st.sampled_from(["*/5 * * * *", "0 3 1 * MON", "1-59/2 0 * JAN-MAR *"])),
    )
)
def test_a_cycle_survives_being_written_down(cycle: Cycle) -> None:
    assert Cycle.from_record(cycle.as_record()) == cycle


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_as_a_cron_is_either_a_cycle_or_a_typed_error(text: str) -> None:
    try:
        cycle = custom(text)
    except InvalidRequest:
        return
    assert all(expression.startswith("cron(") for expression in cycle.expressions())


_minutes = st.sampled_from(["0", "30", "*/20", "5,59", "0-3"])
_hours = st.sampled_from(["*", "0", "1", "2", "3", "23", "*/6"])
_days = st.sampled_from(["*", "1", "29", "31", "1,15", "28-31"])
_months = st.sampled_from(["*", "2", "3", "NOV", "1-12/2"])
_weekdays = st.sampled_from(["*", "0", "7", "MON", "1-5", "SAT-SUN"])
_zones = st.sampled_from(
    [
        "UTC",
        "Asia/Tokyo",
        "Europe/Berlin",
        "Europe/London",
        "America/New_York",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Africa/Cairo",
        "Pacific/Apia",
        "America/St_Johns",
        "Asia/Tehran",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    cron=st.tuples(_minutes, _hours, _days, _months, _weekdays).map(" ".join),
    zone=_zones,
    day=st.integers(0, 700),
)
def test_the_preview_is_what_the_sent_expressions_fire(cron: str, zone: str, day: int) -> None:
    cycle = custom(cron, zone)
    after = START + timedelta(days=day)
    sent = (fire_times(expression, zone, after, 5) for expression in cycle.expressions())
    expected = sorted({time.astimezone(UTC) for times in sent for time in times})[:5]
    assert [time.astimezone(UTC) for time in islice(cycle.fire_times(after), 5)] == expected
