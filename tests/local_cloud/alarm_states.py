"""The state that CloudWatch would put an alarm into.

Sources: "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data".
"""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.local_cloud.metrics import Datapoint

# CloudWatch looks at more periods than it evaluates, so that data which comes late or seldom is not missed; how many
# more, it does not say. In its own example they are two.
EXTRA_PERIODS = 2

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "Sum": sum,
}


def alarm_state(
    alarm: Mapping[str, Any],
    datapoints: Iterable[Datapoint],
    now: dt.datetime,
    *,
    extra_periods: int = EXTRA_PERIODS,
    state_before: str = "INSUFFICIENT_DATA",
) -> str:
    """Return ALARM, OK or INSUFFICIENT_DATA for an alarm as DescribeAlarms shows it, at this moment.

    Only values of exactly the alarm's namespace, metric and dimensions count. The window of periods ends at the last
    full minute. With extra_periods=0 nothing older than what the alarm evaluates is looked at: it is the earliest
    that an alarm on missing data can ring, the default a time by which it will.
    """
    wanted = int(alarm["EvaluationPeriods"])
    needed = int(alarm.get("DatapointsToAlarm") or wanted)
    treatment = alarm.get("TreatMissingData", "missing")
    statistic = _STATISTICS[alarm["Statistic"]]
    breaches = _COMPARISONS[alarm["ComparisonOperator"]]
    # The newest first. What is missing fills up only where the periods looked at have too little data.
    seen = [
        breaches(statistic(values), alarm["Threshold"])
        for values in _periods(alarm, datapoints, now, wanted + extra_periods)
        if values
    ][:wanted]
    if len(seen) < wanted:
        if treatment == "ignore":
            return state_before
        if treatment == "missing":
            needed = min(needed, len(seen))
        seen += [treatment == "breaching"] * (wanted - len(seen))
    if not needed:
        return "INSUFFICIENT_DATA"
    return "ALARM" if sum(seen) >= needed else "OK"


def _periods(
    alarm: Mapping[str, Any], datapoints: Iterable[Datapoint], now: dt.datetime, count: int
) -> list[list[float]]:
    """Return the values in each of the last periods, the newest first."""
    period_ms = int(alarm["Period"]) * 1000
    minute_ms = min(period_ms, 60_000)
    end_ms = int(now.timestamp() * 1000) // minute_ms * minute_ms
    dimensions = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", ())}
    found: list[list[float]] = [[] for _ in range(count)]
    for datapoint in datapoints:
        age_ms = end_ms - 1 - datapoint.timestamp_ms
        if 0 <= age_ms < count * period_ms and datapoint.belongs_to(
            alarm["Namespace"], alarm["MetricName"], dimensions
        ):
            found[age_ms // period_ms].append(datapoint.value)
    return found
