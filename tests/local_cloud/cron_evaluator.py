"""Reads `cron(...)` and `rate(...)` as EventBridge Scheduler documents them ("Schedule types"), by itself.

It shares no code with the product, so that the product's preview can be held against it. Where the document leaves a
form open (a range that runs backwards, a step over a range or beyond its field, LW, 31W), the form is refused.
"""

from __future__ import annotations

import calendar
import datetime as dt
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")  # 1 is Sunday
_LAST_YEAR = 2199
_NEAREST_WEEKDAY = re.compile(r"([0-9]{1,2})W")
_LAST_OF_WEEKDAY = re.compile(r"([1-7]|[A-Z]{3})L")
_NTH_OF_WEEKDAY = re.compile(r"([1-7]|[A-Z]{3})#([1-5])")
_RATE = re.compile(r"rate\(([1-9][0-9]{0,8}) (minute|hour|day)(s?)\)")


class CronError(ValueError):
    """The expression is not one that EventBridge Scheduler documents."""


@dataclass(frozen=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: Sequence[str] = ()
    takes_steps: bool = True

    def value(self, text: str) -> int:
        if text in self.names:
            return self.names.index(text) + self.lowest
        if not re.fullmatch("[0-9]{1,4}", text) or not self.lowest <= int(text) <= self.highest:
            raise CronError(f"{text!r} is no {self.name} ({self.lowest} to {self.highest}).")
        return int(text)

    def values(self, text: str) -> frozenset[int]:
        """Return the values that a list of values, ranges and steps, or `*`, stands for."""
        if text == "*":
            return frozenset(range(self.lowest, self.highest + 1))
        return frozenset(value for item in text.split(",") for value in self._item(item))

    def _item(self, item: str) -> range:
        start, slash, step = item.partition("/")
        if slash:
            if not self.takes_steps or "-" in start or not re.fullmatch("[1-9][0-9]*", step):
                raise CronError(f"{item!r} is no step that the {self.name} field takes.")
            if int(step) > self.highest - self.lowest + 1:
                raise CronError(f"The step {item!r} leaves the {self.name} field.")
            first = self.lowest if start == "*" else self.value(start)
            return range(first, self.highest + 1, int(step))
        low, dash, high = item.partition("-")
        first = self.value(low)
        last = self.value(high) if dash else first
        if last < first:
            raise CronError(f"The {self.name} range {item!r} runs backwards.")
        return range(first, last + 1)


_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day of month", 1, 31)
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day of week", 1, 7, _WEEKDAYS, takes_steps=False)
_YEAR = _Field("year", 1970, _LAST_YEAR)


@dataclass(frozen=True)
class Cron:
    """An expression that was understood; `day` and `weekday` are as written, one of them `?`."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    day: str
    months: frozenset[int]
    weekday: str
    years: frozenset[int]

    def days(self, year: int, month: int) -> list[int]:
        """Return the days of a month on which the expression fires, in order."""
        if year not in self.years or month not in self.months:
            return []
        return sorted(self._by_day(year, month) if self.weekday == "?" else self._by_weekday(year, month))

    def _by_day(self, year: int, month: int) -> set[int]:
        last_day = calendar.monthrange(year, month)[1]
        if self.day == "L":
            return {last_day}
        nearest = _NEAREST_WEEKDAY.fullmatch(self.day)
        if nearest:
            return {_nearest_weekday(year, month, int(nearest[1]))}
        return {day for day in _DAY.values(self.day) if day <= last_day}

    def _by_weekday(self, year: int, month: int) -> set[int]:
        monday_first = calendar.monthcalendar(year, month)  # weeks of seven days, 0 where they lie outside the month

        def such(weekday: int) -> list[int]:
            return [week[(weekday - 2) % 7] for week in monday_first if week[(weekday - 2) % 7]]

        last = _LAST_OF_WEEKDAY.fullmatch(self.weekday)
        if last:
            return {such(_WEEKDAY.value(last[1]))[-1]}
        nth = _NTH_OF_WEEKDAY.fullmatch(self.weekday)
        if nth:
            return set(such(_WEEKDAY.value(nth[1]))[int(nth[2]) - 1 : int(nth[2])])
        weekdays = {7} if self.weekday == "L" else _WEEKDAY.values(self.weekday)
        return {day for weekday in weekdays for day in such(weekday)}


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """Return the weekday (Monday to Friday) nearest to a day, within its month."""
    weekday = dt.date(year, month, day).isoweekday()
    last_day = calendar.monthrange(year, month)[1]
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 7:
        return day + 1 if day < last_day else day - 2
    return day


def parse_cron(expression: str) -> Cron:
    """Return what `cron(...)` says; raise CronError where it is not an expression of Scheduler's."""
    inner = re.fullmatch(r"cron\(([^()]*)\)", expression)
    if not inner:
        raise CronError(f"{expression!r} is not of the form cron(...).")
    fields = inner[1].split(" ")
    if len(fields) != 6:
        raise CronError(f"{expression!r} has {len(fields)} fields, not 6, each one space from the next.")
    minute, hour, day, month, weekday, year = fields
    if (day == "?") == (weekday == "?"):
        raise CronError(f"{expression!r}: exactly one of day of month and day of week must be `?`.")
    _check_day(day)
    _check_weekday(weekday)
    return Cron(
        minutes=tuple(sorted(_MINUTE.values(minute))),
        hours=tuple(sorted(_HOUR.values(hour))),
        day=day,
        months=_MONTH.values(month),
        weekday=weekday,
        years=_YEAR.values(year),
    )


def _check_day(text: str) -> None:
    nearest = _NEAREST_WEEKDAY.fullmatch(text)
    if nearest and not 1 <= int(nearest[1]) <= 28:
        raise CronError(f"{text!r}: there is not such a day in every month.")
    if text not in ("?", "L") and not nearest:
        _DAY.values(text)


def _check_weekday(text: str) -> None:
    special = _LAST_OF_WEEKDAY.fullmatch(text) or _NTH_OF_WEEKDAY.fullmatch(text)
    if special:
        _WEEKDAY.value(special[1])
    elif text not in ("?", "L"):
        _WEEKDAY.values(text)


@dataclass(frozen=True)
class Rate:
    """A rate that was understood."""

    interval: dt.timedelta


def parse_rate(expression: str) -> Rate:
    """Return what `rate(...)` says; raise CronError where it is not an expression of Scheduler's."""
    match = _RATE.fullmatch(expression)
    if not match:
        raise CronError(f"{expression!r} is not of the form rate(value unit).")
    if (match[1] == "1") == bool(match[3]):
        raise CronError(f"{expression!r}: one takes the singular, more than one the plural.")
    minutes = {"minute": 1, "hour": 60, "day": 24 * 60}[match[2]]
    return Rate(dt.timedelta(minutes=int(match[1]) * minutes))


def fire_times(
    expression: str, zone: str, after: dt.datetime, count: int, start: dt.datetime | None = None
) -> list[dt.datetime]:
    """Return the first `count` times (aware, in the zone) later than `after` at which Scheduler fires, or fewer.

    A rate needs `start`, the schedule's StartDate: it is the first occurrence, and the others follow at the interval.
    "Daylight savings time on EventBridge Scheduler": a local time that does not exist is skipped, one that comes twice
    fires once, the first time.
    """
    place = ZoneInfo(zone)
    after = after.astimezone(dt.UTC)
    if expression.startswith("rate("):
        if start is None:
            raise ValueError("When a rate fires depends on the StartDate of its schedule.")
        return [
            time.astimezone(place) for time in itertools.islice(_beats(parse_rate(expression), start, after), count)
        ]
    times = (time for time in _clock_times(parse_cron(expression), place, after) if time > after)
    return [time.astimezone(place) for time in itertools.islice(times, count)]


def _beats(rate: Rate, start: dt.datetime, after: dt.datetime) -> Iterator[dt.datetime]:
    passed = max(0, (after - start) // rate.interval + 1)
    return (start.astimezone(dt.UTC) + number * rate.interval for number in itertools.count(passed))


def _clock_times(cron: Cron, zone: ZoneInfo, after: dt.datetime) -> Iterator[dt.datetime]:
    first = after.astimezone(zone).date()
    for number in range(first.year * 12 + first.month - 1, (_LAST_YEAR + 1) * 12):
        year, month = number // 12, number % 12 + 1
        for day in cron.days(year, month):
            if (year, month, day) >= (first.year, first.month, first.day):
                yield from _times_of_day(cron, zone, dt.datetime(year, month, day))  # noqa: DTZ001  # a clock's reading


def _times_of_day(cron: Cron, zone: ZoneInfo, midnight: dt.datetime) -> Iterator[dt.datetime]:
    """Yield the moments (UTC) at which the zone's clocks first show each of the times of that day."""
    around = (midnight.replace(tzinfo=dt.UTC) + dt.timedelta(days=days) for days in (-2, 3))
    offsets = {moment.astimezone(zone).utcoffset() or dt.timedelta() for moment in around}
    for hour in cron.hours:
        for minute in cron.minutes:
            wanted = midnight.replace(hour=hour, minute=minute)
            moments = ((wanted - offset).replace(tzinfo=dt.UTC) for offset in offsets)
            shown = [moment for moment in moments if moment.astimezone(zone).replace(tzinfo=None) == wanted]
            if shown:
                yield min(shown)
