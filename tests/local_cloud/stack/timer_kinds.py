"""Schedules, alarms, and the topics that alarms tell."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.local_cloud.stack.parts import Kind, Made, Place, Properties, Standing, Wanted, keys

# -------------------------------------------------------------------------------------------- schedules


def _make_group(place: Place, wanted: Wanted) -> Made:
    name = wanted.properties["Name"]
    answer = place.client("scheduler").create_schedule_group(Name=name)
    return Made(name, {"Arn": answer["ScheduleGroupArn"]})


def _schedule(place: Place, wanted: Wanted) -> dict[str, Any]:
    schedule = dict(wanted.properties)
    schedule.setdefault("Name", place.name_of(wanted.logical_id))
    for date in ("StartDate", "EndDate"):
        if date in schedule:
            schedule[date] = dt.datetime.fromisoformat(str(schedule[date]))
    retry = schedule["Target"].get("RetryPolicy")
    if retry:
        schedule["Target"] = {**schedule["Target"], "RetryPolicy": {key: int(retry[key]) for key in retry}}
    return schedule


def _make_schedule(place: Place, wanted: Wanted) -> Made:
    schedule = _schedule(place, wanted)
    answer = place.client("scheduler").create_schedule(**schedule)
    return Made(schedule["Name"], {"Arn": answer["ScheduleArn"]})


def _change_schedule(place: Place, standing: Standing, wanted: Wanted) -> Made:
    place.client("scheduler").update_schedule(**_schedule(place, wanted))
    return standing.made


def _remove_schedule(place: Place, standing: Standing) -> None:
    group = standing.wanted.properties.get("GroupName", "default")
    place.client("scheduler").delete_schedule(Name=standing.made.ref, GroupName=group)


# ----------------------------------------------------------------------------------------------- alarms


def _put_alarm(place: Place, wanted: Wanted) -> Made:
    alarm = dict(wanted.properties)
    alarm.setdefault("AlarmName", place.name_of(wanted.logical_id))
    for field in ("DatapointsToAlarm", "EvaluationPeriods", "Period"):
        if field in alarm:
            alarm[field] = int(alarm[field])
    if "Threshold" in alarm:
        alarm["Threshold"] = float(alarm["Threshold"])
    place.client("cloudwatch").put_metric_alarm(**alarm)
    arn = f"arn:aws:cloudwatch:{place.region}:{place.account}:alarm:{alarm['AlarmName']}"
    return Made(alarm["AlarmName"], {"Arn": arn})


def _remove_alarm(place: Place, standing: Standing) -> None:
    place.client("cloudwatch").delete_alarms(AlarmNames=[standing.made.ref])


# ----------------------------------------------------------------------------------------------- topics


def _make_topic(place: Place, wanted: Wanted) -> Made:
    client, properties = place.client("sns"), wanted.properties
    name = properties.get("TopicName") or place.name_of(wanted.logical_id)
    arn = client.create_topic(Name=name, Attributes=_topic_attributes(properties))["TopicArn"]
    for subscription in properties.get("Subscription", ()):
        client.subscribe(TopicArn=arn, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"])
    return Made(arn, {"TopicArn": arn, "TopicName": name})


def _topic_attributes(properties: Properties) -> dict[str, str]:
    return {key: str(properties[key]) for key in ("DisplayName", "KmsMasterKeyId") if key in properties}


def _change_topic(place: Place, standing: Standing, wanted: Wanted) -> Made:
    for key in ("DisplayName", "KmsMasterKeyId"):
        value = str(wanted.properties.get(key, ""))
        place.client("sns").set_topic_attributes(TopicArn=standing.made.ref, AttributeName=key, AttributeValue=value)
    return standing.made


def _make_subscription(place: Place, wanted: Wanted) -> Made:
    answer = place.client("sns").subscribe(**wanted.properties, ReturnSubscriptionArn=True)
    return Made(answer["SubscriptionArn"])


SCHEDULE_GROUP = Kind(
    keys("Name"),
    _make_group,
    lambda _, standing, __: standing.made,
    lambda place, standing: place.client("scheduler").delete_schedule_group(Name=standing.made.ref),
    required=keys("Name"),
    fixed=keys("Name"),
)
SCHEDULE = Kind(
    keys(
        "Name GroupName Description ScheduleExpression ScheduleExpressionTimezone StartDate EndDate State "
        "FlexibleTimeWindow Target"
    ),
    _make_schedule,
    _change_schedule,
    _remove_schedule,
    required=keys("ScheduleExpression FlexibleTimeWindow Target"),
    fixed=keys("Name GroupName"),
)
ALARM = Kind(
    keys(
        "AlarmName AlarmDescription ActionsEnabled AlarmActions OKActions InsufficientDataActions Namespace MetricName "
        "Dimensions Statistic Unit Period EvaluationPeriods DatapointsToAlarm Threshold ComparisonOperator "
        "TreatMissingData Tags"
    ),
    _put_alarm,
    lambda place, _, wanted: _put_alarm(place, wanted),
    _remove_alarm,
    required=keys("ComparisonOperator EvaluationPeriods"),
    fixed=keys("AlarmName Tags"),
)
TOPIC = Kind(
    keys("TopicName DisplayName KmsMasterKeyId Subscription"),
    _make_topic,
    _change_topic,
    lambda place, standing: place.client("sns").delete_topic(TopicArn=standing.made.ref),
    fixed=keys("TopicName Subscription"),
)
SUBSCRIPTION = Kind(
    keys("TopicArn Protocol Endpoint"),
    _make_subscription,
    lambda place, _, wanted: _make_subscription(place, wanted),
    lambda place, standing: place.client("sns").unsubscribe(SubscriptionArn=standing.made.ref),
    required=keys("TopicArn Protocol"),
)
