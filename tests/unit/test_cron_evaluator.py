"""The local cloud's reading of Scheduler's expressions, against which previews are held."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.local_cloud.cron_evaluator import CronError, fire_times, parse_cron, parse_rate

START = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("expression", "interval"),
    [
        ("rate(1 minute)", dt.timedelta(minutes=1)),
        ("rate(5 minutes)", dt.timedelta(minutes=5)),
        ("rate(12 hours)", dt.timedelta(hours=12)),
        ("rate(1 day)", dt.timedelta(hours=24)),
    ],
)
def test_a_rate_is_a_number_and_a_unit(expression: str, interval: dt.timedelta) -> None:
    assert parse_rate(expression).interval == interval


@pytest.mark.parametrize(
    "expression",
    [
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(05 minutes)",
        "rate(5  minutes)",
        "rate(5 Minutes)",
        "rate(2 weeks)",
        "rate(minute)",
        "rate(9999999999 days)",
        "cron(0 5 * * ? *)",
    ],
)
def test_what_is_no_rate_is_refused(expression: str) -> None:
    with pytest.raises(CronError):
        parse_rate(expression)


def test_a_rate_fires_first_at_its_start_and_then_at_its_interval() -> None:
    before, after = START - dt.timedelta(days=1), START + dt.timedelta(hours=7)
    assert fire_times("rate(3 hours)", "UTC", before, 2, START) == [START, START + dt.timedelta(hours=3)]
    assert fire_times("rate(3 hours)", "UTC", after, 1, START) == [START + dt.timedelta(hours=9)]
    assert fire_times("rate(3 hours)", "UTC", START, 1, START) == [START + dt.timedelta(hours=3)]


def test_when_a_rate_fires_is_unknown_without_its_start() -> None:
    with pytest.raises(ValueError, match="StartDate"):
        fire_times("rate(3 hours)", "UTC", START, 1)


def test_a_day_of_a_rate_has_24_hours_when_the_clocks_change() -> None:
    start = dt.datetime(2026, 10, 24, 0, 30, tzinfo=dt.UTC)
    times = fire_times("rate(1 day)", "Europe/Berlin", start, 2, start)
    assert [time.strftime("%d %H:%M") for time in times] == ["25 02:30", "26 01:30"]


def test_a_step_that_leaves_its_field_is_refused() -> None:
    with pytest.raises(CronError, match="leaves"):
        parse_cron("cron(0/90 5 * * ? *)")


def test_a_day_that_a_zone_left_out_has_no_times() -> None:
    after = dt.datetime(2011, 12, 28, tzinfo=dt.UTC)  # Samoa went from 29 to 31 December
    days = [time.day for time in fire_times("cron(0 12 * * ? *)", "Pacific/Apia", after, 4)]
    assert days == [28, 29, 31, 1]
