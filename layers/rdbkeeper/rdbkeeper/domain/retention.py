"""A rule's retention: which copies stay. Without one, all do.

A narrower retention must not take copies away the moment somebody mistypes it: whatever a rule said before stays in
force beside it for a grace period, and a copy that either of them keeps is kept. So widening takes effect at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.moments import write_moment

GRACE = timedelta(days=3)
MOST_OUTGOING = 10
# The largest number of each: ten years of days and weeks, twenty of months, a hundred of years.
MOST = {
    "keep_days": 3650,
    "keep_last": 10_000,
    "keep_daily": 3660,
    "keep_weekly": 530,
    "keep_monthly": 240,
    "keep_yearly": 100,
}

_UNITS = {
    "keep_days": "day",
    "keep_daily": "day",
    "keep_weekly": "week",
    "keep_monthly": "month",
    "keep_yearly": "year",
}


@dataclass(frozen=True)
class Retention:
    """Which copies stay: whichever of these keeps a copy wins, 0 keeps none; all of them 0 keeps everything.

    `keep_days` counts days of 24 hours from when a backup was taken, `keep_last` the newest copies; the others count
    days, ISO weeks, months and years of the rule's zone that have copies, and keep the newest of each.
    """

    keep_days: int = 0
    keep_last: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0

    def __post_init__(self) -> None:
        for name, count in vars(self).items():
            if not 0 <= count <= MOST[name]:
                raise InvalidRequest(
                    f"{name} cannot be {count if abs(count) < 10**12 else 'so many'}.",
                    field=f"retention.{name}",
                    hint=f"Write 1 to {MOST[name]}, or leave it out.",
                )

    @property
    def keeps_everything(self) -> bool:
        return not any(vars(self).values())

    @property
    def counts_by_calendar(self) -> bool:
        """True when which copies it keeps depends on a time zone."""
        return bool(self.keep_daily or self.keep_weekly or self.keep_monthly or self.keep_yearly)

    @property
    def in_words(self) -> str:
        """What it keeps, in short: `everything`, or `7 days, the last 3, 4 weeks, 12 months`."""
        said = (_in_words(name, count) for name, count in vars(self).items() if count)
        return ", ".join(said) or "everything"

    def covers(self, other: Retention) -> bool:
        """True when it keeps whatever the other does, whichever copies there are."""
        if self.keeps_everything or other.keeps_everything:
            return self.keeps_everything
        return all(vars(self)[name] >= count for name, count in vars(other).items())

    def as_record(self) -> dict[str, int]:
        """What it says, without what it does not; {} keeps everything."""
        return {name: count for name, count in vars(self).items() if count}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Retention:
        return cls(**{name: int(count) for name, count in record.items()})


KEEP_EVERYTHING = Retention()


@dataclass(frozen=True)
class OutgoingRetention:
    """What a rule said before, and until when (aware UTC) it still keeps copies."""

    retention: Retention
    until: datetime

    def as_record(self) -> dict[str, Any]:
        return {"retention": self.retention.as_record(), "until": write_moment(self.until)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> OutgoingRetention:
        return cls(Retention.from_record(record["retention"]), datetime.fromisoformat(record["until"]))


def _in_words(name: str, count: int) -> str:
    if name == "keep_last":
        return f"the last {count}" if count > 1 else "the last one"
    unit = _UNITS[name]
    words = f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"the newest of {words}" if name == "keep_daily" else words


def let_go(outgoing: tuple[OutgoingRetention, ...], before: Retention, now: datetime) -> tuple[OutgoingRetention, ...]:
    """What stays in force beside a new retention: what did so far, and what the rule said until now."""
    still = tuple(one for one in outgoing if one.until > now and one.retention != before)
    if len(still) >= MOST_OUTGOING:
        # Too many to keep each: for the grace period everything stays, which none of them would take away.
        return (OutgoingRetention(KEEP_EVERYTHING, now + GRACE),)
    return (*still, OutgoingRetention(before, now + GRACE))
