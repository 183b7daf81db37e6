"""A rate: every so many minutes, hours or days, counted from one fixed moment, so that its times need no memory.

Source: "Schedule types" in the EventBridge Scheduler user guide: a rate-based schedule begins at its StartDate and goes
on at its interval, a day being 24 hours. Every schedule's StartDate is one of the multiples counted here, so a schedule
that is made again goes on as the one before it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

COUNTED_FROM = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_INTERVAL = timedelta(days=50 * 365)  # as far as a cron is looked ahead
UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True)
class Rate:
    """Every `count` times a `unit` of UNITS, at the multiples of that interval since COUNTED_FROM."""

    count: int
    unit: str

    @property
    def interval(self) -> timedelta:
        return self.count * UNITS[self.unit]

    def expressions(self) -> tuple[str, ...]:
        """What is sent to EventBridge Scheduler, beside a StartDate."""
        return (f"rate({self.count} {self.unit}{'s' if self.count > 1 else ''})",)

    def next_time(self, after: datetime) -> datetime:
        """The first time later than `after` (aware); in UTC."""
        return COUNTED_FROM + ((after - COUNTED_FROM) // self.interval + 1) * self.interval

    def fire_times(self, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
        """The times, later than `after` (aware), at which Scheduler fires; aware, in `zone`."""
        time = self.next_time(after)
        while True:
            yield time.astimezone(zone)
            time += self.interval
