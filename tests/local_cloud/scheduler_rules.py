"""What EventBridge Scheduler demands of a schedule ("CreateSchedule" in its API reference)."""

from __future__ import annotations

import datetime as dt
import json
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.local_cloud.cron_evaluator import CronError, parse_cron

_NAME = re.compile(r"[0-9a-zA-Z-_.]{1,64}")
_TOKEN = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_FUNCTION = re.compile(
    r"arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):function:"
    r"(?P<name>[a-zA-Z0-9-_]{1,64})(:(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]{1,128}))?"
)
_RATE = re.compile(r"rate\(([1-9][0-9]*) (minutes?|hours?|days?)\)")
_AT = re.compile(r"at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)")
_PLACEHOLDER = re.compile(r"<aws\.scheduler\.([^>]*)>")
# "Adding context attributes in EventBridge Scheduler"
_CONTEXT = {"schedule-arn", "scheduled-time", "execution-id", "attempt-number"}
# Names in the zone database that are no zones of IANA's.
_NO_ZONES = {"localtime", "posixrules", "Factory"}
_MAX_EXPRESSION = 256
_MAX_TIME_ZONE = 50
_MAX_DESCRIPTION = 512
_LATEST_START = dt.timedelta(minutes=5)


class SchedulerError(Exception):
    """An answer that is an error, in Scheduler's words."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> SchedulerError:
    """Return a ValidationException."""
    return SchedulerError("ValidationException", message)


@dataclass(frozen=True)
class FunctionTarget:
    """The Lambda function that a schedule is to invoke."""

    arn: str
    name: str
    qualifier: str | None


def check_name(what: str, name: str) -> None:
    """Refuse a schedule's or group's name that Scheduler would refuse."""
    if not _NAME.fullmatch(name):
        raise invalid(f"{what} {name!r} must have 1 to 64 characters of 0-9, a-z, A-Z, `-`, `_` and `.`.")


def check_schedule(name: str, body: Mapping[str, Any], now: dt.datetime) -> FunctionTarget:
    """Refuse a schedule that Scheduler would refuse at this moment; return its target."""
    check_name("Name", name)
    check_name("GroupName", body.get("GroupName", "default"))
    token = body.get("ClientToken")
    if token is not None and not _TOKEN.fullmatch(token):
        raise invalid("ClientToken must have 1 to 64 characters of a-z, A-Z, 0-9, `-` and `_`.")
    if len(body.get("Description") or "") > _MAX_DESCRIPTION:
        raise invalid(f"Description must have at most {_MAX_DESCRIPTION} characters.")
    _one_of("State", body.get("State", "ENABLED"), "ENABLED", "DISABLED")
    _one_of("ActionAfterCompletion", body.get("ActionAfterCompletion", "NONE"), "NONE", "DELETE")
    _check_expression(body.get("ScheduleExpression"))
    _check_zone(body.get("ScheduleExpressionTimezone", "UTC"))
    if not body["ScheduleExpression"].startswith("at("):  # which ignores both
        _check_dates(body.get("StartDate"), body.get("EndDate"), now)
    _check_window(body.get("FlexibleTimeWindow"))
    return _check_target(body.get("Target"))


def _one_of(what: str, value: object, *allowed: str) -> None:
    if value not in allowed:
        raise invalid(f"{what} is {value!r}; it must be one of {', '.join(allowed)}.")


def _check_expression(expression: object) -> None:
    if not isinstance(expression, str) or not 1 <= len(expression) <= _MAX_EXPRESSION:
        raise invalid(f"ScheduleExpression must have 1 to {_MAX_EXPRESSION} characters.")
    refusal = invalid(f"Invalid Schedule Expression {expression}.")
    if expression.startswith("cron("):
        try:
            parse_cron(expression)
        except CronError as error:
            raise invalid(f"Invalid Schedule Expression {expression}. {error}") from error
        return
    rate = _RATE.fullmatch(expression)
    if rate:
        if int(rate[1]) > 1 and not rate[2].endswith("s"):
            raise refusal
        return
    at = _AT.fullmatch(expression)
    if not at:
        raise refusal
    try:
        dt.datetime.fromisoformat(at[1])
    except ValueError as error:
        raise refusal from error


def _check_zone(zone: object) -> None:
    if not isinstance(zone, str) or not 1 <= len(zone) <= _MAX_TIME_ZONE:
        raise invalid(f"ScheduleExpressionTimezone must have 1 to {_MAX_TIME_ZONE} characters.")
    if zone not in zoneinfo.available_timezones() - _NO_ZONES:
        raise invalid(f"The scheduleExpressionTimezone {zone} is not supported.")


def _check_dates(start: object, end: object, now: dt.datetime) -> None:
    for what, date in (("StartDate", start), ("EndDate", end)):
        if date is not None and (isinstance(date, bool) or not isinstance(date, int | float)):
            raise invalid(f"{what} {date!r} is no number of seconds since 1970.")
    if isinstance(start, int | float) and start < (now - _LATEST_START).timestamp():
        raise invalid("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if isinstance(end, int | float) and end <= (start if isinstance(start, int | float) else now.timestamp()):
        raise invalid("The EndDate you specify must come after the StartDate, and after now.")


def _check_window(window: object) -> None:
    if not isinstance(window, Mapping):
        raise invalid("FlexibleTimeWindow is required.")
    _one_of("FlexibleTimeWindow.Mode", window.get("Mode"), "OFF", "FLEXIBLE")
    minutes = window.get("MaximumWindowInMinutes")
    if window["Mode"] == "OFF" and minutes is not None:
        raise invalid("MaximumWindowInMinutes must not be given when the flexible time window is OFF.")
    if window["Mode"] == "FLEXIBLE":
        _check_number("MaximumWindowInMinutes", minutes, 1, 1440)


def _check_number(what: str, value: object, lowest: int, highest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise invalid(f"{what} is {value!r}; it must be a whole number from {lowest} to {highest}.")


def _check_target(target: object) -> FunctionTarget:
    if not isinstance(target, Mapping):
        raise invalid("Target is required.")
    arn = str(target.get("Arn", ""))
    function = _FUNCTION.fullmatch(arn)
    if not function:
        raise invalid(f"Target.Arn {arn!r} is no function's ARN; the local cloud knows no other targets.")
    if not _ROLE.fullmatch(str(target.get("RoleArn", ""))):
        raise invalid(f"Target.RoleArn {target.get('RoleArn')!r} is no role's ARN.")
    if "Input" in target:
        _check_input(target["Input"])
    retry = target.get("RetryPolicy", {})
    if "MaximumRetryAttempts" in retry:
        _check_number("MaximumRetryAttempts", retry["MaximumRetryAttempts"], 0, 185)
    if "MaximumEventAgeInSeconds" in retry:
        _check_number("MaximumEventAgeInSeconds", retry["MaximumEventAgeInSeconds"], 60, 86_400)
    return FunctionTarget(arn, function["name"], function["qualifier"])


def _check_input(text: object) -> None:
    try:
        json.loads(str(text))
    except json.JSONDecodeError as error:
        raise invalid(f"Target.Input must be well-formed JSON for a Lambda function: {error}.") from error
    unknown = set(_PLACEHOLDER.findall(str(text))) - _CONTEXT
    if unknown:
        # Scheduler would leave the word as it stands, and the function would not know what to make of it.
        raise invalid(f"Target.Input has the unknown attribute <aws.scheduler.{unknown.pop()}>.")
