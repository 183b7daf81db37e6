"""When the clocks of a time zone change, and which local times that skips or repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class ClockChange:
    """The local times (naive) from `first` up to `end` do not exist, or come twice where `repeats`."""

    first: datetime
    end: datetime
    repeats: bool


def clock_changes(zone: ZoneInfo, after: datetime, days: int) -> Iterator[ClockChange]:
    """The changes within `days` days of `after` (aware), in order.

    Looks once a day, so two changes within a day that undo each other would be missed; no zone has such.
    """
    before = after.astimezone(UTC).replace(second=0, microsecond=0)
    old = _offset(zone, before)
    for _ in range(days):
        new = _offset(zone, before + _DAY)
        if new != old:
            moment = _change_between(zone, before, before + _DAY).replace(tzinfo=None)
            yield ClockChange(first=moment + min(old, new), end=moment + max(old, new), repeats=new < old)
        before, old = before + _DAY, new


def _change_between(zone: ZoneInfo, early: datetime, late: datetime) -> datetime:
    """The minute (UTC) from which the later offset holds."""
    old = _offset(zone, early)
    while late - early > _MINUTE:
        middle = early + (late - early) // _MINUTE // 2 * _MINUTE
        if _offset(zone, middle) == old:
            early = middle
        else:
            late = middle
    return late


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
