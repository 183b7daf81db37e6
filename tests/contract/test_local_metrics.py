"""Metrics in a log are read as CloudWatch reads them, and alarms on them ring as CloudWatch's do."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from tests.contract.lambda_lab import Lab, lab
from tests.local_cloud.alarm_states import alarm_state
from tests.local_cloud.metrics import Datapoint, MalformedMetricsError, read_metrics

__all__ = ["lab"]

NOW = dt.datetime(2026, 11, 21, 12, 0, 30, tzinfo=dt.UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def a_line(directive: dict[str, Any] | None = None, timestamp: object = NOW_MS, **root: Any) -> str:
    complete = {
        "Namespace": "rdbkeeper",
        "Dimensions": [["stack", "rule"], ["stack"]],
        "Metrics": [{"Name": "Copied", "Unit": "Count"}, {"Name": "Seconds"}],
    }
    members = {"stack": "mine", "rule": "orders", "Copied": 3, "Seconds": [1.5, 2]}
    metadata = {"Timestamp": timestamp, "CloudWatchMetrics": [complete | (directive or {})]}
    return json.dumps({"_aws": metadata, **members, **root})


def test_each_value_counts_for_each_set_of_dimensions() -> None:
    orders, whole = {"stack": "mine", "rule": "orders"}, {"stack": "mine"}
    assert read_metrics(["hello", '{"level": "INFO", "level": NaN}', "[1]", a_line()]) == [
        Datapoint("rdbkeeper", name, dimensions, value, NOW_MS)
        for name, value in (("Copied", 3.0), ("Seconds", 1.5), ("Seconds", 2.0))
        for dimensions in (orders, whole)
    ]


def test_a_metric_may_have_no_dimensions() -> None:
    found = read_metrics([a_line({"Dimensions": [[]], "Metrics": [{"Name": "Copied"}]})])
    assert found == [Datapoint("rdbkeeper", "Copied", {}, 3.0, NOW_MS)]


MANY = [f"dimension-{number}" for number in range(31)]
MALFORMED: list[tuple[str, str]] = [
    ("text before it", f"INFO {a_line()}"),
    ("text behind it", f"{a_line()} done"),
    ("no timestamp", '{"_aws": {"CloudWatchMetrics": []}}'),
    ("seconds for milliseconds", a_line(timestamp=NOW_MS // 1000)),
    ("a timestamp that is text", a_line(timestamp=str(NOW_MS))),
    ("no directives", json.dumps({"_aws": {"Timestamp": NOW_MS}})),
    ("an empty namespace", a_line({"Namespace": ""})),
    ("dimensions that are no list of lists", a_line({"Dimensions": ["stack"]})),
    ("no set of dimensions", a_line({"Dimensions": []})),
    ("a dimension that the root lacks", a_line({"Dimensions": [["service"]]})),
    ("a dimension that is a number", a_line(rule=7)),
    ("a dimension that is blank", a_line(rule=" ")),
    ("a dimension beyond ASCII", a_line(rule="órdenes")),
    ("too many dimensions", a_line({"Dimensions": [MANY]}, **dict.fromkeys(MANY, "v"))),
    ("no metrics", a_line({"Metrics": []})),
    ("too many metrics", a_line({"Metrics": [{"Name": "Copied"}] * 101})),
    ("a metric that the root lacks", a_line({"Metrics": [{"Name": "Missing"}]})),
    ("a metric without a name", a_line({"Metrics": [{"Unit": "Count"}]})),
    ("a value that is text", a_line(Copied="3")),
    ("a value that is true", a_line(Copied=True)),
    ("a value that is no number", a_line(Copied=float("nan"))),
    ("no value at all", a_line(Copied=[])),
    ("too many values", a_line(Copied=[1] * 101)),
    ("an unknown unit", a_line({"Metrics": [{"Name": "Copied", "Unit": "Copies"}]})),
    ("an unknown resolution", a_line({"Metrics": [{"Name": "Copied", "StorageResolution": 30}]})),
    ("a member twice", a_line().replace('"Copied": 3', '"Copied": 3, "Copied": 4')),
    ("more than a megabyte", a_line(text="x" * (1 << 20))),
]


@pytest.mark.parametrize("line", [line for _, line in MALFORMED], ids=[what for what, _ in MALFORMED])
def test_metrics_that_cloudwatch_would_drop_are_an_error(line: str) -> None:
    with pytest.raises(MalformedMetricsError):
        read_metrics([line])


def test_the_cloud_reads_the_metrics_that_its_functions_print(lab: Lab) -> None:
    group = "/functions/metrics"
    lab.cloud.client("logs").create_log_group(logGroupName=group)
    source = f"def handler(event, context): print({a_line()!r})"
    lab.call(lab.make(source, LoggingConfig={"LogFormat": "JSON", "LogGroup": group}))
    assert lab.cloud.metrics(group) == read_metrics([a_line()])


# Alarms


def an_alarm(**changes: Any) -> dict[str, Any]:
    alarm = {
        "Namespace": "rdbkeeper",
        "MetricName": "Overdue",
        "Dimensions": [{"Name": "stack", "Value": "mine"}, {"Name": "rule", "Value": "orders"}],
        "Statistic": "Maximum",
        "Period": 3600,
        "EvaluationPeriods": 3,
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "breaching",
    }
    return alarm | changes


def ago(hours: float, value: float, **changes: Any) -> Datapoint:
    dimensions = changes.get("dimensions", {"stack": "mine", "rule": "orders"})
    at = int((NOW - dt.timedelta(hours=hours)).timestamp() * 1000)
    return Datapoint(changes.get("namespace", "rdbkeeper"), changes.get("name", "Overdue"), dimensions, value, at)


def each_hour(*values: float) -> list[Datapoint]:
    """One value an hour, the newest last."""
    return [ago(hours + 0.5, value) for hours, value in enumerate(reversed(values))]


@pytest.mark.parametrize(
    ("values", "needed", "state"),
    [
        ((1, 1, 1), 3, "ALARM"),
        ((1, 0, 1), 3, "OK"),
        ((1, 0, 1), 2, "ALARM"),
        ((0, 0, 1), 2, "OK"),
        ((1, 1, 1, 0, 0, 0), 1, "OK"),
    ],
)
def test_an_alarm_rings_when_enough_periods_breach(values: tuple[float, ...], needed: int, state: str) -> None:
    assert alarm_state(an_alarm(DatapointsToAlarm=needed), each_hour(*values), NOW) == state


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [6]),
        ("GreaterThanOrEqualToThreshold", [5, 6]),
        ("LessThanThreshold", [4]),
        ("LessThanOrEqualToThreshold", [4, 5]),
    ],
)
def test_a_value_is_compared_as_the_alarm_says(comparison: str, breaching: list[float]) -> None:
    alarm = an_alarm(EvaluationPeriods=1, Threshold=5.0, ComparisonOperator=comparison)
    assert [value for value in (4, 5, 6) if alarm_state(alarm, each_hour(value), NOW) == "ALARM"] == breaching


@pytest.mark.parametrize(
    ("statistic", "state"),
    [("Maximum", "ALARM"), ("Minimum", "OK"), ("Average", "OK"), ("Sum", "ALARM"), ("SampleCount", "OK")],
)
def test_the_values_of_a_period_become_one(statistic: str, state: str) -> None:
    alarm = an_alarm(EvaluationPeriods=1, Threshold=5.0, Statistic=statistic)
    assert alarm_state(alarm, [ago(0.2, 6), ago(0.4, 1)], NOW) == state


def test_values_of_any_other_metric_do_not_count() -> None:
    others = [
        ago(0.5, 0, dimensions={"stack": "mine"}),
        ago(0.5, 0, dimensions={"stack": "mine", "rule": "orders", "service": "rdbkeeper"}),
        ago(0.5, 0, dimensions={"stack": "mine", "rule": "users"}),
        ago(0.5, 0, namespace="RDBKeeper"),
        ago(0.5, 0, name="overdue"),
    ]
    assert alarm_state(an_alarm(EvaluationPeriods=1), others, NOW) == "ALARM"
    assert alarm_state(an_alarm(EvaluationPeriods=1), [*others, ago(0.5, 0)], NOW) == "OK"


def test_silence_is_what_the_alarm_takes_it_for() -> None:
    for treatment, state in {
        "breaching": "ALARM",
        "notBreaching": "OK",
        "missing": "INSUFFICIENT_DATA",
        "ignore": "OK",
    }.items():
        assert alarm_state(an_alarm(TreatMissingData=treatment), [], NOW, state_before="OK") == state


def test_an_older_value_counts_while_it_is_within_what_cloudwatch_looks_at() -> None:
    alarm = an_alarm(EvaluationPeriods=1)
    quiet_for_two = [ago(2.5, 0)]
    assert alarm_state(alarm, quiet_for_two, NOW) == "OK"
    assert alarm_state(alarm, quiet_for_two, NOW, extra_periods=0) == "ALARM"
    assert alarm_state(alarm, [ago(3.5, 0)], NOW) == "ALARM"


def test_what_is_missing_fills_up_only_what_is_too_little() -> None:
    assert alarm_state(an_alarm(), [ago(0.5, 0)], NOW) == "OK"
    assert alarm_state(an_alarm(), [ago(0.5, 1)], NOW) == "ALARM"
    assert alarm_state(an_alarm(TreatMissingData="notBreaching"), [ago(0.5, 1)], NOW) == "OK"
    assert alarm_state(an_alarm(TreatMissingData="missing"), [ago(0.5, 1)], NOW) == "ALARM"


def test_a_period_ends_with_the_last_full_minute() -> None:
    alarm = an_alarm(EvaluationPeriods=1, Period=60)
    in_this_minute, in_the_last = ago(10 / 3600, 0), ago(40 / 3600, 0)
    assert alarm_state(alarm, [in_this_minute], NOW) == "ALARM"
    assert alarm_state(alarm, [in_the_last], NOW) == "OK"
