"""When a rule fires: as a person says it, as EventBridge Scheduler is told, and when that will be.

A cycle is kept as it was written. What is sent to Scheduler is derived from it: one expression, or two where a
cron names both a day of the month and a weekday (either one fires it, which one expression cannot say).

Sources: "Schedule types" in the EventBridge Scheduler user guide (six fields, one of the two day fields is `?`,
weekday 1 is Sunday, no seconds; a local time that a clock change skips is not run, one that it repeats is run
once). Weekdays are sent by name, so nobody meets the numbering.

The five fields are read here and not by croniter, which reads the weekday `1-1` as every day and `5-5/2` as every
second minute (7.0.0, `croniter.expand`); croniter only ever sees plain lists of values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rdbkeeper.domain.errors import InvalidRequest

WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
LONGEST_EXPRESSION = 256  # characters; CreateSchedule in the EventBridge Scheduler API reference
LONGEST_TIME_ZONE = 50

# Files beside the zones in a zone database that are no zones for anybody to live in.
_NOT_ZONES = ("Factory", "localtime", "posix", "right/")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("weekday", 0, 7, WEEKDAYS),
)
_CRON_HINT = (
    "Write five fields: minute hour day-of-month month weekday, for example `30 2 * * 1-5`. "
    "Fields take numbers, names (MON, JAN), `*`, lists `1,15`, ranges `1-5` and steps `*/15`."
)
# A gap of a clock change is at most a few hours; a day more than covers every zone.
_CLOCK_CHANGE_MARGIN = timedelta(days=1)


@dataclass(frozen=True)
class Cycle:
    """A rule's timing: kind `daily`, `weekly` or `custom`, and an IANA time zone.

    Raises InvalidRequest when made from values that are not a cycle, so a cycle that exists can be scheduled.
    """

    kind: str
    time_zone: str
    at: str = "00:00"
    days: tuple[str, ...] = ()
    cron: str = ""

    def __post_init__(self) -> None:
        _check_time_zone(self.time_zone)
        if self.kind == "custom":
            _parse_cron(self.cron)
        elif self.kind in ("daily", "weekly"):
            _check_clock(self.at)
        else:
            raise InvalidRequest(
                f"The cycle kind {self.kind!r} is unknown.",
                field="cycle.kind",
                hint="Use daily, weekly or custom.",
            )
        if self.kind == "weekly":
            _check_days(self.days)
        if any(len(expression) > LONGEST_EXPRESSION for expression in self.expressions()):
            raise InvalidRequest(
                f"The cycle needs an expression of over {LONGEST_EXPRESSION} characters, more than Scheduler takes.",
                field="cycle.cron",
                hint="Use ranges and steps in place of long lists.",
            )

    def expressions(self) -> tuple[str, ...]:
        """What is sent to EventBridge Scheduler: one `cron(…)`, or two where either day field may fire it."""
        minute, hour, day, month, weekday = (_render(values, names) for values, names in self._fields())
        if weekday == "*":
            return (f"cron({minute} {hour} {day} {month} ? *)",)
        if day == "*":
            return (f"cron({minute} {hour} ? {month} {weekday} *)",)
        return (
            f"cron({minute} {hour} {day} {month} ? *)",
            f"cron({minute} {hour} ? {month} {weekday} *)",
        )

    def fire_times(self, after: datetime) -> Iterator[datetime]:
        """The times, later than `after` (aware), at which Scheduler will fire; aware, in the cycle's own zone.

        croniter walks naive wall-clock time; the zone is applied here, as Scheduler applies it: a time that a
        clock change skips does not happen, a repeated one happens once, the first time round.
        """
        zone = ZoneInfo(self.time_zone)
        start = after.astimezone(zone).replace(tzinfo=None) - _CLOCK_CHANGE_MARGIN
        previous = None
        for wall in merge(*(_walk(cron, start) for cron in self._crons())):
            fires_at = wall.replace(tzinfo=zone, fold=0)
            exists = fires_at.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall
            if wall != previous and exists and fires_at > after:
                yield fires_at
            previous = wall

    def get_next_fire_times(self, after: datetime, count: int) -> list[datetime]:
        """The next fire times, at most `count`. Raises InvalidRequest when there will never be one."""
        times = list(islice(self.fire_times(after), count))
        if not times:
            raise InvalidRequest(
                f"The cron `{self.cron}` never fires.",
                field="cycle.cron",
                hint="No such day exists; check it.",
            )
        return times

    def as_record(self) -> dict[str, Any]:
        """The cycle as it was written."""
        match self.kind:
            case "custom":
                return {"kind": self.kind, "cron": self.cron, "time_zone": self.time_zone}
            case "weekly":
                return {
                    "kind": self.kind,
                    "days": list(self.days),
                    "at": self.at,
                    "time_zone": self.time_zone,
                }
            case _:
                return {"kind": self.kind, "at": self.at, "time_zone": self.time_zone}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Cycle:
        """The cycle that `as_record` wrote down."""
        return cls(
            kind=record["kind"],
            time_zone=record["time_zone"],
            at=record.get("at", "00:00"),
            days=tuple(record.get("days", ())),
            cron=record.get("cron", ""),
        )

    def _fields(self) -> tuple[tuple[tuple[int, ...] | None, Sequence[str]], ...]:
        """The five cron fields as sorted values, or None for "every"; and the names to write them with."""
        if self.kind == "custom":
            values = _parse_cron(self.cron)
        else:
            hour, minute = (int(part) for part in self.at.split(":"))
            weekdays = tuple(sorted(WEEKDAYS.index(day) for day in self.days)) if self.kind == "weekly" else None
            if weekdays is not None and len(weekdays) == len(WEEKDAYS):
                weekdays = None
            values = ((minute,), (hour,), None, None, weekdays)
        return tuple(zip(values, ((), (), (), (), WEEKDAYS), strict=True))

    def _crons(self) -> tuple[str, ...]:
        """The same in croniter's five-field dialect, one for each expression, so that it never has to choose."""
        minute, hour, day, month, weekday = (_render(values, ()) for values, _ in self._fields())
        if weekday == "*" or day == "*":
            return (f"{minute} {hour} {day} {month} {weekday}",)
        return (f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}")


def _walk(cron: str, start: datetime) -> Iterator[datetime]:
    # Imported here: it takes 28 ms, and most of what imports this module never looks ahead.
    from croniter import CroniterBadDateError, croniter

    times = croniter(cron, start, ret_type=datetime)
    while True:
        try:
            yield times.get_next(datetime)
        except CroniterBadDateError:  # no such date within the next 50 years, as for 31 February
            return


def _render(values: tuple[int, ...] | None, names: Sequence[str]) -> str:
    if values is None:
        return "*"
    return ",".join(names[value] if names else str(value) for value in values)


def _parse_cron(text: str) -> tuple[tuple[int, ...] | None, ...]:
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise _not_a_cron(text, f"it has {len(parts)} fields" if parts else "it is empty")
    fields = []
    for part, (label, lowest, highest, names) in zip(parts, _FIELDS, strict=True):
        values = sorted(
            {value for item in part.split(",") for value in _expand(text, item, label, lowest, highest, names)}
        )
        if label == "weekday":
            values = sorted({value % 7 for value in values})
        every = len(values) == (7 if label == "weekday" else highest - lowest + 1)
        fields.append(None if every else tuple(values))
    _refuse_ambiguous_days(text, parts, fields)
    return tuple(fields)


def _expand(text: str, item: str, label: str, lowest: int, highest: int, names: Sequence[str]) -> range:
    span, slash, step_text = item.partition("/")
    step = int(step_text) if re.fullmatch(r"[1-9][0-9]?", step_text) else 0
    if slash and not step:
        raise _not_a_cron(text, f"the step of {item!r} in the {label} field is not a number from 1")
    if span == "*":
        first, last = lowest, 6 if label == "weekday" else highest
    else:
        first_text, dash, last_text = span.partition("-")
        first = _value(text, first_text, label, lowest, highest, names)
        last = _value(text, last_text, label, lowest, highest, names) if dash else first
        if slash and not dash:
            last = 6 if label == "weekday" else highest
        if label == "weekday" and dash and last == 0 < first:
            last = 7  # "SAT-SUN": Sunday ends the week as well as beginning it
    if first > last:
        raise _not_a_cron(text, f"the range {item!r} in the {label} field runs backwards")
    return range(first, last + 1, step or 1)


def _value(text: str, word: str, label: str, lowest: int, highest: int, names: Sequence[str]) -> int:
    if word.upper() in names:
        return names.index(word.upper()) + lowest
    if not re.fullmatch(r"[0-9]{1,2}", word):
        raise _not_a_cron(text, f"{word!r} is not a value of the {label} field")
    value = int(word)
    if not lowest <= value <= highest:
        raise _not_a_cron(text, f"{value} in the {label} field is not within {lowest} to {highest}")
    return value


def _refuse_ambiguous_days(text: str, parts: Sequence[str], fields: Sequence[tuple[int, ...] | None]) -> None:
    """Refuse what crons disagree about when both day fields are given: whether both must match or either."""
    for mine, other in ((2, 4), (4, 2)):
        if fields[mine] is None and parts[mine] != "*" and fields[other] is not None:
            raise _not_a_cron(text, f"{parts[mine]!r} names every day; write `*` where the other day field decides")
    both_restricted = fields[2] is not None and fields[4] is not None
    if both_restricted and (parts[2].startswith("*") or parts[4].startswith("*")):
        raise _not_a_cron(
            text, "a step over every day beside the other day field means different things to different crons"
        )


def _not_a_cron(text: str, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"`{text[:80]}` is not a cron that can be used: {reason}.", field="cycle.cron", hint=_CRON_HINT
    )


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
