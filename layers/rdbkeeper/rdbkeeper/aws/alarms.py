"""The alarms of the rules, in CloudWatch.

An alarm's tags can be given when it is made and are ignored when it is changed ("PutMetricAlarm" in the CloudWatch API
reference).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rdbkeeper.aws.errors import tolerated, translated
from rdbkeeper.aws.fleet_errors import FAMILY, not_ours
from rdbkeeper.aws.tag_listing import tags_of_list
from rdbkeeper.domain.fleet.parts import Alarm, AlarmFound
from rdbkeeper.domain.fleet.settings import FleetSettings
from rdbkeeper.ports import Record

# Composite alarms share their names with the others, and are shown only where they are asked for.
_TYPES = ["MetricAlarm", "CompositeAlarm"]
_GONE = ("ResourceNotFound", "ResourceNotFoundException")
_MOST_A_PAGE = 100
_MISSING_DATA_DEFAULT = "missing"


class Alarms:
    """The fleet's alarms over a client of CloudWatch."""

    def __init__(self, client: Callable[[str], Any], settings: FleetSettings) -> None:
        self._client = client
        self._settings = settings

    def list(self, owners: Mapping[str, str]) -> dict[str, AlarmFound]:
        """Every alarm under one of the rules' names; one that `owners` does not name is asked for its own tags."""
        with translated(FAMILY, f"Listing the alarms of the stack {self._settings.stack}"):
            return self._read(self._describe(AlarmNamePrefix=self._settings.function_name("")), owners)

    def find(self, rule_name: str) -> dict[str, AlarmFound]:
        """The rule's alarm in the same form, or nothing."""
        name = self._settings.alarm_name(rule_name)
        with translated(FAMILY, f"Looking for the alarm {name}"):
            return self._read(self._describe(AlarmNames=[name]), {})

    def put(self, rule_name: str, alarm: Alarm) -> None:
        """Make or replace an alarm."""
        tags = [{"Key": key, "Value": value} for key, value in self._settings.tags(rule_name).items()]
        with translated(FAMILY, f"Making the alarm {alarm.name}"):
            self._is_there(rule_name, alarm.name)
            # Sent every time: an alarm that is removed at this moment is made anew, and must not be a stranger.
            self._client("cloudwatch").put_metric_alarm(**_arguments(alarm), Tags=tags)

    def remove(self, rule_name: str, name: str) -> None:
        """Remove an alarm; one that is gone is no error."""
        with translated(FAMILY, f"Removing the alarm {name}"):
            if not self._is_there(rule_name, name):
                return
            with tolerated(*_GONE):
                self._client("cloudwatch").delete_alarms(AlarmNames=[name])

    def _is_there(self, rule_name: str, name: str) -> bool:
        """True when there is that alarm of the rule's. Raises NotOurs when it is somebody else's."""
        found = self._read(self._describe(AlarmNames=[name]), {}).get(name)
        if found is not None and found.rule != rule_name:
            raise not_ours("an alarm", name, rule_name)
        return found is not None

    def _describe(self, **which: Any) -> Iterator[Record]:
        pages = self._client("cloudwatch").get_paginator("describe_alarms")
        for page in pages.paginate(AlarmTypes=_TYPES, PaginationConfig={"PageSize": _MOST_A_PAGE}, **which):
            yield from page.get("MetricAlarms", ())
            yield from page.get("CompositeAlarms", ())

    def _read(self, alarms: Iterator[Record], owners: Mapping[str, str]) -> dict[str, AlarmFound]:
        found = {}
        for alarm in alarms:
            name = alarm["AlarmName"]
            rule = owners.get(name)
            if rule is None and "AlarmRule" not in alarm:  # a composite one is nothing that this stack makes
                tags = self._find_tags(alarm["AlarmArn"])
                if tags is None:  # removed while it was being looked at
                    continue
                rule = self._settings.find_rule(tags)
            found[name] = AlarmFound(_read_alarm(alarm), rule)
        return found

    def _find_tags(self, arn: str) -> dict[str, str] | None:
        with tolerated(*_GONE):
            return tags_of_list(self._client("cloudwatch").list_tags_for_resource(ResourceARN=arn)["Tags"])
        return None


def _read_alarm(alarm: Record) -> Alarm:
    dimensions = ((dimension["Name"], dimension["Value"]) for dimension in alarm.get("Dimensions", ()))
    periods: int = alarm.get("EvaluationPeriods", 0)
    return Alarm(
        name=alarm["AlarmName"],
        description=alarm.get("AlarmDescription", ""),
        namespace=alarm.get("Namespace", ""),
        metric=alarm.get("MetricName", ""),
        dimensions=tuple(sorted(dimensions)),
        statistic=alarm.get("Statistic", ""),
        period_s=alarm.get("Period", 0),
        evaluation_periods=periods,
        datapoints_to_alarm=alarm.get("DatapointsToAlarm", periods),
        threshold=float(alarm.get("Threshold", 0)),
        comparison=alarm.get("ComparisonOperator", ""),
        missing_data=alarm.get("TreatMissingData", _MISSING_DATA_DEFAULT),
        # An alarm whose actions are switched off tells nobody.
        action_arns=tuple(alarm.get("AlarmActions", ())) if alarm.get("ActionsEnabled", True) else (),
    )


def _arguments(alarm: Alarm) -> Record:
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "ActionsEnabled": True,
        "AlarmActions": list(alarm.action_arns),
        "Namespace": alarm.namespace,
        "MetricName": alarm.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in alarm.dimensions],
        "Statistic": alarm.statistic,
        "Period": alarm.period_s,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm,
        "Threshold": alarm.threshold,
        "ComparisonOperator": alarm.comparison,
        "TreatMissingData": alarm.missing_data,
    }
