"""What CloudWatch demands of an alarm on one metric ("PutMetricAlarm" in its API reference, as in botocore)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from moto.cloudwatch.exceptions import CloudWatchException

STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
COMPARISONS = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
)
MISSING_DATA = ("breaching", "notBreaching", "ignore", "missing")
MAX_TAGS = 50

_REQUIRED = ("AlarmName", "ComparisonOperator", "EvaluationPeriods", "MetricName", "Namespace", "Period", "Threshold")
_KNOWN = {
    *_REQUIRED,
    "ActionsEnabled",
    "AlarmActions",
    "AlarmDescription",
    "DatapointsToAlarm",
    "Dimensions",
    "InsufficientDataActions",
    "OKActions",
    "Statistic",
    "Tags",
    "TreatMissingData",
    "Unit",
}
_ACTION = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")
_HIGH_RESOLUTION_S = (10, 20, 30)
_HOUR_S, _DAY_S, _WEEK_S = 3600, 86_400, 604_800


def refusal(message: str) -> CloudWatchException:
    """Return the error for a parameter that cannot be."""
    return CloudWatchException("ValidationError", message)


def check_alarm(asked: Mapping[str, Any]) -> None:
    """Raise when CloudWatch would refuse this alarm, or the local cloud could not evaluate it."""
    others = sorted(set(asked) - _KNOWN)
    if others:
        raise refusal(f"The local cloud keeps no {', '.join(others)} of an alarm. Teach it, or leave that out.")
    for field in _REQUIRED:
        if asked.get(field) is None:
            raise refusal(f"{field} must be given.")
    if ("Statistic" in asked) == ("ExtendedStatistic" in asked):
        raise CloudWatchException("InvalidParameterCombination", "Exactly one Statistic must be given.")
    _check_texts(asked)
    _check_choice(asked, "Statistic", STATISTICS)
    _check_choice(asked, "ComparisonOperator", COMPARISONS)
    _check_choice(asked, "TreatMissingData", MISSING_DATA)
    _check_periods(asked["Period"], asked["EvaluationPeriods"], asked.get("DatapointsToAlarm"))
    _check_dimensions(asked.get("Dimensions") or ())
    for field in ("OKActions", "AlarmActions", "InsufficientDataActions"):
        _check_actions(field, asked.get(field) or ())
    check_tags(asked.get("Tags") or ())


def check_tags(tags: Sequence[Mapping[str, str]]) -> None:
    """Raise when these cannot be an alarm's tags."""
    if len({tag["Key"] for tag in tags}) != len(tags) or len(tags) > MAX_TAGS:
        raise refusal(f"Tags: {len(tags)} are given; an alarm can have {MAX_TAGS}, each key once.")
    for tag in tags:
        if not (1 <= len(tag["Key"]) <= 128 and len(tag["Value"]) <= 256) or tag["Key"].lower().startswith("aws:"):
            raise refusal(f"Tags: {tag['Key']!r} with the value {tag['Value']!r} cannot be a tag.")


def _check_texts(asked: Mapping[str, Any]) -> None:
    for field, most in (("AlarmName", 255), ("MetricName", 255), ("Namespace", 255), ("AlarmDescription", 1024)):
        text = asked.get(field)
        if text is not None and not (0 if field == "AlarmDescription" else 1) <= len(text) <= most:
            raise refusal(f"{field} must have 1 to {most} characters.")
    if any(ord(character) < 32 or ord(character) == 127 for character in asked["AlarmName"]):
        raise refusal("AlarmName must not contain ASCII control characters.")
    if asked["Namespace"].startswith(":"):
        raise refusal("Namespace must not begin with a colon.")


def _check_choice(asked: Mapping[str, Any], field: str, choices: Sequence[str]) -> None:
    if field in asked and asked[field] not in choices:
        raise refusal(f"{field} {asked[field]!r} is none of {', '.join(choices)}.")


def _check_periods(period_s: int, periods: int, to_alarm: int | None) -> None:
    if period_s not in _HIGH_RESOLUTION_S and (period_s < 60 or period_s % 60):
        raise refusal(f"Period is {period_s}; 10, 20, 30 and any multiple of 60 can be.")
    if periods < 1:
        raise refusal(f"EvaluationPeriods is {periods}; it must be at least 1.")
    if to_alarm is not None and not 1 <= to_alarm <= periods:
        raise refusal(f"DatapointsToAlarm is {to_alarm}; 1 to EvaluationPeriods ({periods}) can be.")
    most = _DAY_S if period_s < _HOUR_S else _WEEK_S
    if period_s * periods > most:
        raise refusal(f"Period x EvaluationPeriods is {period_s * periods:,} s; with this period {most:,} s can be.")


def _check_dimensions(dimensions: Sequence[Mapping[str, str]]) -> None:
    if len(dimensions) > 30 or len({dimension["Name"] for dimension in dimensions}) != len(dimensions):
        raise refusal("Dimensions: at most 30 can be given, each name once.")
    for dimension in dimensions:
        if not (1 <= len(dimension["Name"]) <= 255 and 1 <= len(dimension["Value"]) <= 1024):
            raise refusal(f"Dimensions: {dimension['Name']!r} with the value {dimension['Value']!r} cannot be.")


def _check_actions(field: str, actions: Sequence[str]) -> None:
    if len(actions) > 5:
        raise refusal(f"{field}: at most 5 can be given.")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise refusal(f"{field}: {action!r} is no topic's ARN; the local cloud knows no other actions.")
