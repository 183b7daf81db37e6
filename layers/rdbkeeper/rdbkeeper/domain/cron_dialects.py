"""Reads what a person writes as a custom cycle: a Unix cron, EventBridge's `cron(…)` or `rate(…)`, or a Tencent cron.

    unix         minute hour day-of-month month weekday                five fields, weekday 0-7, 0 and 7 = Sunday
    eventbridge  cron(minute hour day-of-month month weekday [year])   weekday 1-7, 1 = Sunday; `?` in one day field
    tencent      second minute hour day-of-month month weekday year    weekday 0-6, 0 = Sunday; `?` in a day field

Sources: crontab(5); "Schedule types" in the EventBridge Scheduler user guide; "Timer trigger" in the Tencent Cloud SCF
documentation (both day fields set: either one fires it). Whatever these leave open, or what a cron may well mean
otherwise elsewhere, is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from rdbkeeper.domain.cron import EVERY, FIRST_YEAR, LAST_YEAR, MONTHS, WEEKDAYS, Cron, Field
from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.rate import LONGEST_INTERVAL, Rate

UNIX, EVENTBRIDGE, TENCENT = "unix", "eventbridge", "tencent"
LONGEST_EXPRESSION = 256  # characters; CreateSchedule in the EventBridge Scheduler API reference
LONGEST_WRITTEN = 512

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_HINT = (
    "Write five fields (minute hour day-of-month month weekday) such as `30 2 * * 1-5`, EventBridge's "
    "`cron(30 2 ? * MON-FRI *)` or `rate(12 hours)`, or Tencent's seven fields, seconds first, the year last. "
    "Fields take numbers, names (MON, JAN), `*`, lists `1,15`, ranges `1-5`, steps `*/15`; days also `L`, `15W`, `5L`."
)


@dataclass(frozen=True)
class Custom:
    """A custom cycle as it was understood: the dialect, when it fires, and what a person should know about it."""

    dialect: str
    timing: Cron | Rate
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def read_custom(text: str) -> Custom:
    """What `text` says. Raises InvalidRequest, with the reason, for what is none of the dialects or ambiguous."""
    try:
        custom = _read(text)
        if any(len(expression) > LONGEST_EXPRESSION for expression in custom.timing.expressions()):
            raise _Refusal(
                f"it needs an expression of over {LONGEST_EXPRESSION} characters, more than Scheduler takes",
                "Use ranges and steps in place of long lists.",
            )
    except _Refusal as refusal:
        raise InvalidRequest(
            f"`{' '.join(text.split())[:80]}` is not a cron that can be used: {refusal.reason}.",
            field="cycle.cron",
            hint=refusal.hint,
        ) from refusal
    return custom


class _Refusal(Exception):
    def __init__(self, reason: str, hint: str = _HINT) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def _read(text: str) -> Custom:
    words = text.split()
    if len(text) > LONGEST_WRITTEN:
        raise _Refusal(f"it has over {LONGEST_WRITTEN} characters", "Use ranges and steps in place of long lists.")
    if not words:
        raise _Refusal("it is empty")
    wrapped = re.fullmatch(r"([a-z]+) ?\((.*)\)", " ".join(words))
    if wrapped:
        return _wrapped(wrapped[1], wrapped[2].split())
    if words[0].startswith("@"):
        return _macro(words)
    if len(words) == 7:
        return _tencent(words)
    if len(words) in (5, 6) and "?" in text:
        return _eventbridge(words)
    if len(words) == 5:
        return _unix(words)
    if len(words) == 6:
        raise _Refusal(
            "six fields without `?` begin with seconds for some crons and end with seconds or a year for others",
            "Write five fields, or wrap EventBridge's six in `cron(…)` with `?` in one of the two day fields.",
        )
    raise _Refusal(f"it has {len(words)} field{'s' if len(words) > 1 else ''}, not 5, 6 or 7")


def _wrapped(word: str, fields: Sequence[str]) -> Custom:
    match word:
        case "cron":
            return _eventbridge(fields)
        case "rate":
            return _rate(fields)
        case "at":
            raise _Refusal(
                "it names one moment, after which the rule would never run again",
                "For single runs make the cycle `manual` and send the action `run` when it is time.",
            )
        case _:
            raise _Refusal(f"EventBridge has `cron(…)` and `rate(…)`, and no `{word}(…)`")


def _macro(words: Sequence[str]) -> Custom:
    meaning = MACROS.get(words[0].lower())
    if not meaning or len(words) > 1:
        raise _Refusal(f"`{' '.join(words)}` is none of {', '.join(MACROS)}")
    return _unix(meaning.split())


def _unix(fields: Sequence[str]) -> Custom:
    cron = _cron((*fields, "*"), _UNIX_FORMS)
    return Custom(UNIX, cron, _notes(cron))


def _eventbridge(fields: Sequence[str]) -> Custom:
    if len(fields) not in (5, 6):
        raise _Refusal(f"EventBridge's `cron(…)` has six fields, this one {len(fields)}")
    fields = [*fields, "*"][:6]  # the year may be left out
    _refuse_misplaced_question_marks(fields)
    if (fields[2] == "?") == (fields[4] == "?"):
        raise _Refusal("EventBridge wants `?` in exactly one of the two day fields, and the days in the other")
    cron = _cron(fields, _EVENTBRIDGE_FORMS)
    numbering = ("EventBridge counts weekdays from 1 = Sunday; names are safer.",) if _has_digit(fields[4]) else ()
    return Custom(EVENTBRIDGE, cron, numbering + _notes(cron))


def _tencent(fields: Sequence[str]) -> Custom:
    second, *rest = fields
    if not re.fullmatch(r"[0-5]?[0-9]", second):
        raise _Refusal(
            f"the seconds field {second!r} is not one number from 0 to 59, and Scheduler fires once a minute at most",
            "Write one second, usually 0.",
        )
    _refuse_misplaced_question_marks(rest)
    if rest[2] == rest[4] == "?":
        raise _Refusal("`?` stands in both day fields, so neither says when")
    cron = _cron(rest, _TENCENT_FORMS)
    notes = []
    if int(second):
        notes.append(f"The seconds are dropped: Scheduler fires within the minute, not at second {int(second)}.")
    if _has_digit(rest[4]):
        notes.append(
            "Weekday numbers are read as 0 = Sunday, as in Tencent's manual; a 2019 text had Monday: names are safer."
        )
    return Custom(TENCENT, cron, (*notes, *_notes(cron)))


def _rate(words: Sequence[str]) -> Custom:
    match = re.fullmatch(r"([1-9][0-9]{0,8}) (minute|hour|day)(s?)", " ".join(words))
    if not match:
        raise _Refusal("a rate is a whole number from 1 and minutes, hours or days, such as `rate(12 hours)`")
    rate = Rate(int(match[1]), match[2])
    if (rate.count == 1) == bool(match[3]):
        raise _Refusal(f"EventBridge wants `{rate.expressions()[0]}`: one in the singular, more in the plural")
    if rate.interval > LONGEST_INTERVAL:
        raise _Refusal("it would not fire within 50 years", "Choose a shorter interval.")
    note = "A rate is counted from midnight UTC on 1 January 1970, a day as 24 hours; it does not follow local clocks."
    return Custom(EVENTBRIDGE, rate, (note,))


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text.partition("#")[0])


def _notes(cron: Cron) -> tuple[str, ...]:
    notes = []
    if len(cron.halves()) > 1:
        notes.append(
            "Either of its two day fields fires it, so it needs two schedules; a day that both name runs once."
        )
    if not cron.day.mark and min(cron.day.values or (1,)) > 28:
        notes.append("Not every month has such a day, and one without it is left out; `L` is each month's last day.")
    return tuple(notes)


# ---------------------------------------------------------------- fields


@dataclass(frozen=True)
class _Form:
    """What values a field takes; `lowest` of a weekday is Sunday, which Unix may also write as 7."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    takes_steps: bool = True

    @property
    def is_weekday(self) -> bool:
        return self.names is WEEKDAYS

    @property
    def last(self) -> int:
        """The value with which `*` and a step without an end stop."""
        return self.lowest + 6 if self.is_weekday else self.highest

    @property
    def size(self) -> int:
        return self.last - self.lowest + 1


_MINUTE = _Form("minute", 0, 59)
_HOUR = _Form("hour", 0, 23)
_DAY = _Form("day of month", 1, 31)
_MONTH = _Form("month", 1, 12, MONTHS)
_WEEKDAY = _Form("weekday", 0, 6, WEEKDAYS)
_YEAR = _Form("year", FIRST_YEAR, LAST_YEAR)
_TENCENT_FORMS = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY, _YEAR)
_UNIX_FORMS = (_MINUTE, _HOUR, _DAY, _MONTH, replace(_WEEKDAY, highest=7), _YEAR)
# The user guide lists no steps for EventBridge's weekdays.
_EVENTBRIDGE_WEEKDAY = _Form("weekday", 1, 7, WEEKDAYS, takes_steps=False)
_EVENTBRIDGE_FORMS = (_MINUTE, _HOUR, _DAY, _MONTH, _EVENTBRIDGE_WEEKDAY, _YEAR)


def _refuse_misplaced_question_marks(fields: Sequence[str]) -> None:
    for place, text in enumerate(fields):
        if "?" in text and (place not in (2, 4) or text != "?"):
            raise _Refusal(
                f"`?` stands in the {_EVENTBRIDGE_FORMS[place].name} field, and it may only fill a day field",
                "If the fields begin with seconds, write seven of them, the year last.",
            )


def _cron(texts: Sequence[str], forms: Sequence[_Form]) -> Cron:
    texts = ["*" if text == "?" else text for text in texts]
    minute, hour, day, month, weekday, year = (
        _read_field(text.upper(), form) for text, form in zip(texts, forms, strict=True)
    )
    _refuse_ambiguous_days(texts[2], texts[4], day, weekday)
    return Cron(minute, hour, day, month, weekday, year)


def _refuse_ambiguous_days(day_text: str, weekday_text: str, day: Field, weekday: Field) -> None:
    """Refuse what crons disagree about when both day fields are given: whether both must match or either."""
    for text, mine, other in ((day_text, day, weekday), (weekday_text, weekday, day)):
        if mine == EVERY and text != "*" and other != EVERY:
            raise _Refusal(f"{text!r} names every day; write `*` where the other day field decides")
    if EVERY not in (day, weekday) and (day_text.startswith("*") or weekday_text.startswith("*")):
        raise _Refusal(
            "a step over every day beside the other day field means that both must match to some crons, and to others "
            "that either may",
            "Write the days out.",
        )


def _read_field(text: str, form: _Form) -> Field:
    if form is _DAY and ("L" in text or "W" in text):
        return _marked_day(text)
    if form.is_weekday and ("L" in text or "#" in text):
        return _marked_weekday(text, form)
    values = {value for item in text.split(",") for value in _expand(item, form)}
    if form.is_weekday:
        values = {(value - form.lowest) % 7 for value in values}
    return EVERY if len(values) == form.size else Field(tuple(sorted(values)))


def _marked_day(text: str) -> Field:
    if text == "L":
        return Field((), "L")
    nearest = re.fullmatch(r"([0-9]{1,2})W", text)
    if not nearest:
        raise _Refusal(
            f"{text!r} in the day of month field is not known to EventBridge Scheduler",
            "Beside values it takes `L`, the month's last day, or one such as `15W`, the working day nearest to it.",
        )
    if not 1 <= int(nearest[1]) <= 28:
        raise _Refusal(
            f"not every month has the day of {text!r}, and schedulers differ in what they do then", "Use 1W to 28W."
        )
    return Field((int(nearest[1]),), "W")


def _marked_weekday(text: str, form: _Form) -> Field:
    if text == "L":
        raise _Refusal(
            "a weekday `L` is Saturday to some crons and nothing to others", "Write SAT, or FRIL for the last."
        )
    last = re.fullmatch(r"([0-9A-Z]+)L", text)
    nth = re.fullmatch(r"([0-9A-Z]+)#([1-5])", text)
    match = last or nth
    if not match:
        raise _Refusal(
            f"{text!r} in the weekday field is neither a weekday's last (`FRIL`) nor its first to fifth (`FRI#2`)",
            "EventBridge Scheduler takes one such weekday, and no list of them.",
        )
    weekday = (_value(match[1], form) - form.lowest) % 7
    return Field((weekday,), "L") if last else Field((weekday,), "#", int(match[2]))


def _expand(item: str, form: _Form) -> range:
    span, slash, step = item.partition("/")
    if slash and not form.takes_steps:
        raise _Refusal(f"EventBridge's {form.name} field takes no steps such as {item!r}", "Write the weekdays out.")
    if slash and not re.fullmatch(r"[1-9][0-9]{0,3}", step):
        raise _Refusal(f"the step of {item!r} in the {form.name} field is not a number from 1")
    if slash and int(step) > form.size:
        raise _Refusal(
            f"{item!r} in the {form.name} field steps further than the {form.size} values that there are",
            "A step begins anew with each round of its field. For an even interval write such as `rate(90 minutes)`.",
        )
    if span == "*":
        first, last = form.lowest, form.last
    else:
        first_text, dash, last_text = span.partition("-")
        first = _value(first_text, form)
        last = _value(last_text, form) if dash else form.last if slash else first
        if form.is_weekday and dash and last == form.lowest < first:
            last += 7  # "SAT-SUN": Sunday ends the week as well as beginning it
    if first > last:
        raise _Refusal(f"the range {item!r} in the {form.name} field runs backwards")
    return range(first, last + 1, int(step or 1))


def _value(word: str, form: _Form) -> int:
    if word in form.names:
        return form.names.index(word) + form.lowest
    if not re.fullmatch(r"[0-9]{1,4}", word):
        raise _Refusal(f"{word!r} is not a value of the {form.name} field")
    if not form.lowest <= int(word) <= form.highest:
        sunday = f", where {form.lowest} is Sunday" if form.is_weekday else ""
        raise _Refusal(f"{int(word)} in the {form.name} field is not within {form.lowest} to {form.highest}{sunday}")
    return int(word)
