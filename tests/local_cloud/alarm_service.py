"""CloudWatch's alarms: moto keeps them, this refuses what CloudWatch refuses, and cuts listings into pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moto.cloudwatch.exceptions import CloudWatchException
from moto.cloudwatch.models import Alarm
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.sns.models import sns_backends

from tests.local_cloud.alarm_rules import MAX_TAGS, check_alarm, check_tags, refusal
from tests.local_cloud.paging import BadTokenError, cut_page

_MOST_RECORDS = 100
_DEFAULT_RECORDS = 50
_ASKED = {"ActionPrefix", "AlarmNamePrefix", "AlarmNames", "AlarmTypes", "MaxRecords", "NextToken", "StateValue"}


class AlarmService(CloudWatchResponse):
    """The operations on alarms and their tags; moto's others stay as they are."""

    def put_metric_alarm(self) -> ActionResult:
        asked = self._given()
        check_alarm(asked)
        topics = sns_backends[self.current_account][self.region].topics
        for action in [one for field in ("AlarmActions", "OKActions") for one in asked.get(field) or ()]:
            # CloudWatch takes the ARN of a topic that does not exist, and nobody would ever be told.
            if action not in topics:
                raise refusal(f"The action {action} names no topic that exists.")
        name = asked["AlarmName"]
        before = self._alarms().get(name)
        if before is not None:
            # Tags that come with an update are ignored, as "PutMetricAlarm" says.
            self.params.pop("Tags", None)
        answer = super().put_metric_alarm()
        after = self._alarms()[name]
        if before is None:
            after.state_value = "INSUFFICIENT_DATA"
        else:
            # Its state is left unchanged, as the same page says.
            for field in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp"):
                setattr(after, field, getattr(before, field))
        return answer

    def describe_alarms(self) -> ActionResult:
        asked = self._given()
        others = sorted(set(asked) - _ASKED)
        if others:
            raise refusal(f"The local cloud finds no alarms by {', '.join(others)}.")
        if "AlarmNames" in asked and "AlarmNamePrefix" in asked:
            message = "AlarmNames and AlarmNamePrefix exclude each other."
            raise CloudWatchException("InvalidParameterCombination", message)
        if len(asked.get("AlarmNames") or ()) > 100:
            raise refusal("AlarmNames: at most 100 can be given.")
        size = asked.get("MaxRecords", _DEFAULT_RECORDS)
        if not 1 <= size <= _MOST_RECORDS:
            raise refusal(f"MaxRecords is {size}; 1 to {_MOST_RECORDS} can be.")
        try:
            page = cut_page(self._found(asked), asked.get("NextToken"), size)
        except BadTokenError as error:
            raise CloudWatchException("InvalidNextToken", str(error)) from error
        found = {"MetricAlarms": list(page.items), "CompositeAlarms": []}
        return ActionResult(found | ({"NextToken": page.next_token} if page.next_token else {}))

    def _found(self, asked: dict[str, Any]) -> Sequence[Alarm]:
        if "MetricAlarm" not in asked.get("AlarmTypes", ["MetricAlarm"]):
            return []
        names = asked.get("AlarmNames")
        return [
            alarm
            for name, alarm in sorted(self._alarms().items())
            if (names is None or name in names)
            and name.startswith(asked.get("AlarmNamePrefix", ""))
            and asked.get("StateValue") in (None, alarm.state_value)
            and ("ActionPrefix" not in asked or any(one.startswith(asked["ActionPrefix"]) for one in _actions(alarm)))
        ]

    def delete_alarms(self) -> ActionResult:
        names = self._given().get("AlarmNames") or []
        if len(names) > 100:
            raise refusal("AlarmNames: at most 100 can be given.")
        missing = [name for name in names if name not in self._alarms()]
        for name in set(names) - set(missing):
            alarm = self._alarms().pop(name)
            self.cloudwatch_backend.tagger.delete_all_tags_for_resource(alarm.alarm_arn)
        if missing:
            # "If you specify any incorrect alarm names, the alarms you specify with correct names are still deleted."
            raise CloudWatchException("ResourceNotFound", f"Alarm {', '.join(missing)} does not exist.")
        return EmptyResult()

    def list_tags_for_resource(self) -> ActionResult:
        self._check_tagged()
        return super().list_tags_for_resource()

    def tag_resource(self) -> ActionResult:
        arn, added = self._check_tagged(), self._given().get("Tags") or []
        check_tags(added)
        tags = self.cloudwatch_backend.list_tags_for_resource(arn)
        if len({*tags, *(tag["Key"] for tag in added)}) > MAX_TAGS:
            raise refusal(f"Tags: an alarm can have {MAX_TAGS}.")
        return super().tag_resource()

    def untag_resource(self) -> ActionResult:
        self._check_tagged()
        return super().untag_resource()

    def _check_tagged(self) -> str:
        arn = str(self._given().get("ResourceARN"))
        if arn not in [alarm.alarm_arn for alarm in self._alarms().values()]:
            raise CloudWatchException("ResourceNotFoundException", f"{arn} is no alarm that exists.")
        return arn

    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in dict(self.params).items() if value is not None}

    def _alarms(self) -> dict[str, Alarm]:
        return self.cloudwatch_backend.alarms


def _actions(alarm: Alarm) -> list[str]:
    return [*alarm.alarm_actions, *alarm.ok_actions, *alarm.insufficient_data_actions]
