"""Reads `cron(...)` as EventBridge Scheduler documents it ("Schedule types in EventBridge Scheduler"), by itself.

It shares no code with the product, so that the product's preview can be held against it. Where the document leaves a
form open (a range that runs backwards, a step over a range, LW, 31W), the form is refused.
"""

from __future__ import annotations

import calendar
import datetime as dt
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

    def fires_on(self, date: dt.date) -> bool:
        """Say whether the expression fires on that day of the calendar."""
        if date.year not in self.years or date.month not in self.months:
            return False
        return self._on_weekday(date) if self.day == "?" else self._on_day(date)

    def _on_day(self, date: dt.date) -> bool:
        last_day = calendar.monthrange(date.year, date.month)[1]
        if self.day == "L":
            return date.day == last_day
        nearest = _NEAREST_WEEKDAY.fullmatch(self.day)
        if nearest:
            return date.day == _nearest_weekday(date.year, date.month, int(nearest[1]))
        return date.day in _DAY.values(self.day)

    def _on_weekday(self, date: dt.date) -> bool:
        weekday = date.isoweekday() % 7 + 1
        if self.weekday == "L":
            return weekday == 7
        last = _LAST_OF_WEEKDAY.fullmatch(self.weekday)
        if last:
            last_day = calendar.monthrange(date.year, date.month)[1]
            return weekday == _WEEKDAY.value(last[1]) and date.day > last_day - 7
        nth = _NTH_OF_WEEKDAY.fullmatch(self.weekday)
        if nth:
            return weekday == _WEEKDAY.value(nth[1]) and (date.day - 1) // 7 + 1 == int(nth[2])
        return weekday in _WEEKDAY.values(self.weekday)


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


def fire_times(expression: str, zone: str, after: dt.datetime, count: int) -> list[dt.datetime]:
    """Return the first `count` times (aware, in the zone) later than `after` at which Scheduler fires, or fewer.

    "Daylight savings time on EventBridge Scheduler": a local time that does not exist is skipped, one that comes
    twice fires once, the first time.
    """
    times: list[dt.datetime] = []
    for time in _walk(parse_cron(expression), ZoneInfo(zone), after):
        if len(times) == count:
            break
        times.append(time)
    return times


def _walk(cron: Cron, zone: ZoneInfo, after: dt.datetime) -> Iterator[dt.datetime]:
    date = after.astimezone(zone).date()
    while date.year <= _LAST_YEAR:
        if cron.fires_on(date):
            for hour in cron.hours:
                for minute in cron.minutes:
                    local = dt.datetime.combine(date, dt.time(hour, minute), tzinfo=zone)
                    exists = local.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) == local.replace(
                        tzinfo=None
                    )
                    if exists and local.astimezone(dt.UTC) > after.astimezone(dt.UTC):
                        yield local
        date += dt.timedelta(days=1)
