"""A cron in one form, whatever dialect it was written in: what Scheduler is sent, and when it fires.

Sources: "Schedule types" in the EventBridge Scheduler user guide (six fields, one of the two day fields is `?`,
weekday 1 is Sunday, no seconds; a local time that a clock change skips is not run, one that it repeats is run once).
Weekdays are sent by name, so nobody meets the numbering; beside `L` and `#` the guide has numbers only.

croniter is given plain lists of values and never anybody's text: it reads the weekday `1-1` as every day, `5-5/2` as
every second minute, and EventBridge's six fields as if the sixth were seconds (7.0.0). It writes the last Friday `L5`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import merge
from itertools import pairwise
from zoneinfo import ZoneInfo

WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# The years that may be written, croniter's and Tencent's. Scheduler goes on to 2199, with `*` and with steps of years.
FIRST_YEAR, LAST_YEAR = 1970, 2099
# How far the longest gap is looked for: a year, and a month that has fewer days than the one before.
DAYS_LOOKED_AHEAD = 400


@dataclass(frozen=True)
class Field:
    """What one field says: its `values` in order, or None for every one.

    `mark` says more of a day: `L` is the month's last day, or the last such weekday of the month; `W` the working
    day nearest to that day; `#` the `nth` such weekday of the month. Weekdays are 0 (Sunday) to 6.
    """

    values: tuple[int, ...] | None = None
    mark: str = ""
    nth: int = 0


EVERY = Field()
_MIDNIGHT = Field((0,))


@dataclass(frozen=True)
class Cron:
    """When it fires: at each time of day that both `hour` and `minute` name, on each day that the rest names.

    A day is named by `day` or by `weekday` where both restrict it, as in Vixie's cron.
    """

    minute: Field
    hour: Field
    day: Field = EVERY
    month: Field = EVERY
    weekday: Field = EVERY
    year: Field = EVERY

    def halves(self) -> tuple[Cron, ...]:
        """The cron itself, or two that together fire when it does and restrict one day field each."""
        if EVERY in (self.day, self.weekday):
            return (self,)
        return (replace(self, weekday=EVERY), replace(self, day=EVERY))

    def expressions(self) -> tuple[str, ...]:
        """What is sent to EventBridge Scheduler: one `cron(…)`, or two where either day field fires it."""
        return tuple(_as_eventbridge(half) for half in self.halves())

    def fire_times(self, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
        """The times, later than `after` (aware), at which Scheduler fires; aware, in `zone`.

        A time that a clock change skips does not happen; a repeated one happens once, the first time round.
        """
        after_utc = after.astimezone(UTC)
        local = after_utc.astimezone(zone).replace(tzinfo=None, fold=0, second=0, microsecond=0)
        for wall in self.wall_times(local):
            fires_at = wall.replace(tzinfo=zone, fold=0)
            utc = fires_at.astimezone(UTC)
            exists = utc.astimezone(zone).replace(tzinfo=None) == wall
            # Not so while `after` lies in the second round of a repeated hour, whose times have all fired.
            if exists and utc > after_utc:
                yield fires_at

    def wall_times(self, after: datetime) -> Iterator[datetime]:
        """The times on a clock that nobody changes (naive), later than `after`; one that both halves name, once."""
        previous = None
        for wall in merge(*(_walk(_as_croniter(half), after) for half in self.halves())):
            if wall != previous:
                yield wall
            previous = wall

    def find_wall_time(self, first: datetime, end: datetime) -> datetime | None:
        """The first such time from `first` (a whole minute) up to but without `end`."""
        wall = next(self.wall_times(first - timedelta(minutes=1)), None)
        return wall if wall and wall < end else None

    def longest_gap(self, zone: ZoneInfo, after: datetime) -> timedelta | None:
        """The longest time between two fires to be expected from the month of `after` on; None when it has run out.

        Exact where each week is alike. Otherwise the next two fires and all within 400 days of the first are looked
        at, and the time from the month's first day to the first of them. Clock changes are not counted.
        """
        minutes = self.minute.values or range(60)
        hours = self.hour.values or range(24)
        hour_span = minutes[-1] - minutes[0]
        day_span = (hours[-1] - hours[0]) * 60 + hour_span
        within_hour = _widest(minutes)
        within_day = _widest(hours) * 60 - hour_span
        month = after.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
        gap_days, until_first_days = _day_gaps(replace(self, minute=_MIDNIGHT, hour=_MIDNIGHT), month)
        if gap_days is None:
            return None
        until_first = until_first_days * 24 * 60 + hours[0] * 60 + minutes[0]
        between_days = gap_days * 24 * 60 - day_span
        return timedelta(minutes=max(within_hour, within_day, between_days, until_first))


def _widest(values: Sequence[int]) -> int:
    return max((later - earlier for earlier, later in pairwise(values)), default=0)


@lru_cache(maxsize=4096)
def _day_gaps(midnights: Cron, month: datetime) -> tuple[int | None, int]:
    """The most days from one day that fires to the next, and the days from `month` to the first; None if none does."""
    every_week_alike = not midnights.weekday.mark and {midnights.day, midnights.month, midnights.year} == {EVERY}
    if every_week_alike:
        weekdays = midnights.weekday.values or range(7)
        return _widest((*weekdays, weekdays[0] + 7)), 0
    days: list[datetime] = []
    for day in midnights.wall_times(month - timedelta(minutes=1)):
        if len(days) > 1 and day - days[0] > timedelta(days=DAYS_LOOKED_AHEAD):
            break
        days.append(day)
    if not days:
        return None, 0
    return _widest([day.toordinal() for day in days]), (days[0] - month).days


def _walk(cron: str, after: datetime) -> Iterator[datetime]:
    # Imported here: it takes 28 ms, and most of what imports this module never looks ahead.
    from croniter import CroniterBadDateError, croniter

    times = croniter(cron, after, ret_type=datetime)
    while True:
        try:
            yield times.get_next(datetime)
        except CroniterBadDateError:  # no such date within the next 50 years, as for 31 February
            return


# ---------------------------------------------------------------- for croniter


def _as_croniter(cron: Cron) -> str:
    """Minute, hour, day, month, weekday, second 0 and year."""
    fields = (cron.minute, cron.hour, cron.day, cron.month)
    weekday = f"L{_listed(replace(cron.weekday, mark=''))}" if cron.weekday.mark == "L" else _listed(cron.weekday)
    return f"{' '.join(map(_listed, fields))} {weekday} 0 {_listed(cron.year)}"


def _listed(field: Field) -> str:
    if field.values is None:
        return "*"
    suffix = f"#{field.nth}" if field.mark == "#" else field.mark
    return ",".join(map(str, field.values)) + suffix


# ---------------------------------------------------------------- for EventBridge Scheduler


def _as_eventbridge(cron: Cron) -> str:
    day = "?" if cron.weekday != EVERY else _day(cron.day)
    fields = (
        _shortest(cron.minute, 59),
        _shortest(cron.hour, 23),
        day,
        _shortest(cron.month, 12),
        _weekday(cron.weekday),
        _shortest(cron.year, LAST_YEAR),
    )
    return f"cron({' '.join(fields)})"


def _day(field: Field) -> str:
    return _listed(field) if field.mark else _shortest(field, 31)


def _weekday(field: Field) -> str:
    if field.values is None:
        return "?"
    if field.mark:
        return _listed(replace(field, values=tuple(value + 1 for value in field.values)))
    return ",".join(WEEKDAYS[value] for value in field.values)


def _shortest(field: Field, highest: int) -> str:
    """`*`, `0/15` where the steps reach the field's end, or ranges and values: `9-17`, `1,15`."""
    values = field.values
    if values is None:
        return "*"
    step = values[1] - values[0] if len(values) > 2 else 1
    if step > 1 and values == tuple(range(values[0], highest + 1, step)):
        return f"{values[0]}/{step}"
    return ",".join(_ranges(values))


def _ranges(values: Sequence[int]) -> Iterator[str]:
    start = 0
    for end in range(1, len(values) + 1):
        if end < len(values) and values[end] == values[end - 1] + 1:
            continue
        if end - start > 2:
            yield f"{values[start]}-{values[end - 1]}"
        else:
            yield from map(str, values[start:end])
        start = end
