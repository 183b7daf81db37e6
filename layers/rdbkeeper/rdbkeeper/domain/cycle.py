"""When a rule fires: as a person says it, as EventBridge Scheduler is told, and when that will be.

A cycle is kept as it was written. What is sent to Scheduler is derived from it: nothing, one expression, or two where a
cron names both a day of the month and a weekday (either one fires it, which one expression cannot say).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rdbkeeper.domain.clock_changes import ClockChange, clock_changes
from rdbkeeper.domain.cron import EVERY, WEEKDAYS, Cron, Field
from rdbkeeper.domain.cron_dialects import TENCENT, read_custom
from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.rate import Rate

KINDS = ("daily", "weekly", "custom", "manual")
LONGEST_TIME_ZONE = 50
MOST_CLOCK_CHANGE_NOTES = 6  # a zone has two changes a year, four where clocks also change for Ramadan

# Files beside the zones in a zone database that are no zones for anybody to live in.
_NOT_ZONES = ("Factory", "localtime", "posix", "right/")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_TENCENTS_OFFSET = timedelta(hours=8)


@dataclass(frozen=True)
class Cycle:
    """A rule's timing: kind `daily`, `weekly`, `custom` or `manual` (runs when asked only), and an IANA time zone.

    `cron` is what a person wrote for `custom`: a Unix cron, EventBridge's `cron(…)` or `rate(…)`, or a Tencent cron.
    Raises InvalidRequest when made from values that are not a cycle, so a cycle that exists can be scheduled.
    """

    kind: str
    time_zone: str
    at: str = "00:00"
    days: tuple[str, ...] = ()
    cron: str = ""

    def __post_init__(self) -> None:
        _check_time_zone(self.time_zone)
        if self.kind not in KINDS:
            raise InvalidRequest(
                f"The cycle kind {self.kind[:80]!r} is unknown.",
                field="cycle.kind",
                hint=f"Use {', '.join(KINDS[:-1])} or {KINDS[-1]}.",
            )
        if self.kind in ("daily", "weekly"):
            _check_clock(self.at)
        if self.kind == "weekly":
            _check_days(self.days)
        if self.kind == "custom":
            read_custom(self.cron)

    @property
    def dialect(self) -> str:
        """What a custom cycle is written in: `unix`, `eventbridge` or `tencent`; empty for the other kinds."""
        return read_custom(self.cron).dialect if self.kind == "custom" else ""

    def expressions(self) -> tuple[str, ...]:
        """What is sent to EventBridge Scheduler: nothing for `manual`, one expression, or two."""
        timing = self._timing()
        return timing.expressions() if timing else ()

    def starts_at(self, now: datetime) -> datetime | None:
        """The StartDate (aware UTC) to send with a rate: its first time later than `now`. None for other cycles.

        Which one is sent makes no difference to what fires later, so a schedule that has an earlier one is right too.
        """
        timing = self._timing()
        return timing.next_time(now) if isinstance(timing, Rate) else None

    def fire_times(self, after: datetime) -> Iterator[datetime]:
        """The times, later than `after` (aware), at which Scheduler will fire; aware, in the cycle's own zone."""
        timing = self._timing()
        return timing.fire_times(self._zone, after) if timing else iter(())

    def get_next_fire_times(self, after: datetime, count: int) -> list[datetime]:
        """The next fire times, at most `count`; none for `manual`. Raises InvalidRequest when it never fires again."""
        times = list(islice(self.fire_times(after), count))
        if not times and self.kind != "manual":
            raise InvalidRequest(
                f"The cron `{self.cron[:80]}` never fires after {after:%Y-%m-%d}.",
                field="cycle.cron",
                hint="No such day exists, or all of its years are past; check it.",
            )
        return times

    def longest_gap(self, after: datetime) -> timedelta | None:
        """The longest time between two fires to be expected after `after` (aware); None where there are none.

        Exact for daily and weekly cycles and rates; Cron.longest_gap says how near it comes for other crons. That a
        clock change may skip a fire is not counted.
        """
        match self._timing():
            case Rate() as rate:
                return rate.interval
            case Cron() as cron:
                return cron.longest_gap(self._zone, after)
            case _:
                return None

    def notes(self) -> tuple[str, ...]:
        """Sentences that a person should know about this cycle."""
        if self.kind != "custom":
            return ()
        custom = read_custom(self.cron)
        if custom.dialect == TENCENT and not _keeps_to(self.time_zone, _TENCENTS_OFFSET):
            return (*custom.notes, f"Tencent's timers run in UTC+8, and this cycle runs in {self.time_zone}.")
        return custom.notes

    def clock_change_notes(self, after: datetime, days: int = 366) -> tuple[str, ...]:
        """A sentence for each change of the zone's clocks, within `days` days, that costs the cycle a run.

        It names the first time that the change skips, or that it repeats and so runs once. Rates follow no clock.
        """
        cron = self._timing()
        if not isinstance(cron, Cron):
            return ()
        notes = (self._clock_change_note(cron, change) for change in clock_changes(self._zone, after, days))
        return tuple(islice(filter(None, notes), MOST_CLOCK_CHANGE_NOTES))

    def _clock_change_note(self, cron: Cron, change: ClockChange) -> str:
        time = cron.find_wall_time(change.first, change.end)
        if not time:
            return ""
        what = f"{time:%a} {time.day} {time:%b %Y %H:%M}"
        if change.repeats:
            return f"{what} comes twice in {self.time_zone}, clocks go back: it runs the first time round only."
        return f"{what} does not exist in {self.time_zone}, clocks go forward: no run then."

    def as_record(self) -> dict[str, Any]:
        """The cycle as it was written."""
        record: dict[str, Any] = {"kind": self.kind}
        match self.kind:
            case "daily":
                record |= {"at": self.at}
            case "weekly":
                record |= {"days": list(self.days), "at": self.at}
            case "custom":
                record |= {"cron": self.cron}
        return {**record, "time_zone": self.time_zone}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Cycle:
        """The cycle that `as_record` wrote down."""
        return cls(
            kind=record["kind"],
            time_zone=record.get("time_zone", "UTC"),
            at=record.get("at", "00:00"),
            days=tuple(record.get("days", ())),
            cron=record.get("cron", ""),
        )

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def _timing(self) -> Cron | Rate | None:
        match self.kind:
            case "custom":
                return read_custom(self.cron).timing
            case "manual":
                return None
            case _:
                return _at_a_time_of_day(self.at, self.days if self.kind == "weekly" else WEEKDAYS)


@lru_cache(maxsize=1024)
def _at_a_time_of_day(at: str, days: tuple[str, ...]) -> Cron:
    hour, minute = (int(part) for part in at.split(":"))
    weekdays = tuple(sorted(WEEKDAYS.index(day) for day in days))
    every = len(weekdays) == len(WEEKDAYS)
    return Cron(minute=Field((minute,)), hour=Field((hour,)), weekday=EVERY if every else Field(weekdays))


def _keeps_to(time_zone: str, offset: timedelta) -> bool:
    """True when the zone is ahead of UTC by `offset` in winter and summer, as far ahead as its rules are known."""
    moments = (datetime(2099, month, 1, tzinfo=UTC) for month in (1, 7))
    return all(moment.astimezone(ZoneInfo(time_zone)).utcoffset() == offset for moment in moments)


def _check_time_zone(name: str) -> None:
    is_a_name = re.fullmatch(r"[A-Za-z0-9_+/-]+", name) and not name.startswith(_NOT_ZONES)
    try:
        # ZoneInfo reads a file of that name: what is not a plain zone name must not get there.
        known = len(name) <= LONGEST_TIME_ZONE and is_a_name and ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = False
    if not known:
        raise InvalidRequest(
            f"The time zone {name[:80]!r} is unknown.",
            field="cycle.time_zone",
            hint="Use an IANA name such as Asia/Tokyo, Europe/Berlin or UTC.",
        )


def _check_clock(text: str) -> None:
    if not _CLOCK.fullmatch(text):
        raise InvalidRequest(
            f"{text[:80]!r} is not a time of day.",
            field="cycle.at",
            hint="Write hours and minutes, 00:00 to 23:59.",
        )


def _check_days(days: Sequence[str]) -> None:
    if not days or len(set(days)) != len(days) or not set(days) <= set(WEEKDAYS):
        raise InvalidRequest(
            "A weekly cycle names one or more weekdays, each once.",
            field="cycle.days",
            hint=f"Use any of {', '.join(WEEKDAYS)}.",
        )
