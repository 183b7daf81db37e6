"""What requests to Scheduler, CloudWatch, the tagging service, STS and Secrets Manager need."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.local_cloud.permissions.calls import UnknownCallError
from tests.local_cloud.permissions.needs import Need, Parameters, Place, Table, pass_role, tag_context

# ----------------------------------------------------------------------------------------------------- Scheduler
# Source: the reference for Amazon EventBridge Scheduler. ListSchedules has no resource type there; the service's own
# refusals name schedule/*/*, whatever group is asked for.


def _on_schedule(action: str) -> Callable[[Parameters, Place], Iterator[Need]]:
    def needs(asked: Parameters, place: Place) -> Iterator[Need]:
        group = asked.get("GroupName", "default")
        yield Need(f"scheduler:{action}", place.arn("scheduler", f"schedule/{group}/{asked['Name']}"))
        if "Target" in asked:
            yield pass_role(asked["Target"]["RoleArn"], "scheduler")

    return needs


SCHEDULER: Table = {
    "CreateSchedule": _on_schedule("CreateSchedule"),
    "DeleteSchedule": _on_schedule("DeleteSchedule"),
    "GetSchedule": _on_schedule("GetSchedule"),
    "ListSchedules": lambda _, place: [Need("scheduler:ListSchedules", place.arn("scheduler", "schedule/*/*"))],
    "UpdateSchedule": _on_schedule("UpdateSchedule"),
}

# ---------------------------------------------------------------------------------------------------------- Logs
# Sources: the reference for Amazon CloudWatch Logs; "CloudWatch Logs resources and operations", by which TagResource
# takes the group's ARN as it is and every other action the ARN that goes on after it. The service's own refusals show
# how: log-group:NAME:log-stream:STREAM, and log-group::log-stream: for DescribeLogGroups, whatever prefix is asked for.


def log_group_arn(place: Place, name: str) -> str:
    """Return a log group's ARN without anything after its name."""
    return place.arn("logs", f"log-group:{name}")


def _on_log_group(action: str) -> Callable[[Parameters, Place], Iterator[Need]]:
    def needs(asked: Parameters, place: Place) -> Iterator[Need]:
        arn = log_group_arn(place, asked.get("logGroupName", ""))
        tags = asked.get("tags") or {}
        yield Need(f"logs:{action}", f"{arn}:log-stream:{asked.get('logStreamName', '')}", tag_context(tags))
        if tags:
            yield Need("logs:TagResource", arn, tag_context(tags))
        if "kmsKeyId" in asked:
            raise UnknownCallError(f"{action} with kmsKeyId")

    return needs


def _describe_log_groups(_: Parameters, place: Place) -> list[Need]:
    return [Need("logs:DescribeLogGroups", f"{log_group_arn(place, '')}:log-stream:")]


def _on_log_resource(action: str) -> Callable[[Parameters, Place], list[Need]]:
    return lambda asked, _: [Need(f"logs:{action}", asked["resourceArn"], tag_context(asked.get("tags") or {}))]


LOGS: Table = {
    "CreateLogGroup": _on_log_group("CreateLogGroup"),
    "CreateLogStream": _on_log_group("CreateLogStream"),
    "DeleteLogGroup": _on_log_group("DeleteLogGroup"),
    "DeleteRetentionPolicy": _on_log_group("DeleteRetentionPolicy"),
    "DescribeLogGroups": _describe_log_groups,
    "FilterLogEvents": _on_log_group("FilterLogEvents"),
    "ListTagsForResource": _on_log_resource("ListTagsForResource"),
    "PutLogEvents": _on_log_group("PutLogEvents"),
    "PutRetentionPolicy": _on_log_group("PutRetentionPolicy"),
    "TagResource": _on_log_resource("TagResource"),
}

# ---------------------------------------------------------------------------------------------------- CloudWatch
# Sources: the reference for Amazon CloudWatch; "PutMetricAlarm", whose Tags need cloudwatch:TagResource; "Using
# condition keys to limit alarm actions". The service's own refusals of DescribeAlarms name alarm:*, whatever names are
# asked for.


def _alarm_arn(place: Place, name: str) -> str:
    return place.arn("cloudwatch", f"alarm:{name}")


_ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")


def _put_metric_alarm(asked: Parameters, place: Place) -> Iterator[Need]:
    arn = _alarm_arn(place, asked["AlarmName"])
    actions = tuple(action for kind in _ACTIONS for action in asked.get(kind) or ())
    tags = tag_context({tag["Key"]: tag["Value"] for tag in asked.get("Tags") or ()})
    yield Need("cloudwatch:PutMetricAlarm", arn, {**({"cloudwatch:alarmactions": actions} if actions else {}), **tags})
    if tags:
        yield Need("cloudwatch:TagResource", arn, tags)


def _delete_alarms(asked: Parameters, place: Place) -> list[Need]:
    return [Need("cloudwatch:DeleteAlarms", _alarm_arn(place, name)) for name in asked["AlarmNames"]]


def _put_metric_data(asked: Parameters, _: Place) -> list[Need]:
    return [Need("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": (asked["Namespace"],)})]


def _tag_alarm(asked: Parameters, _: Place) -> list[Need]:
    tags = {tag["Key"]: tag["Value"] for tag in asked["Tags"]}
    return [Need("cloudwatch:TagResource", asked["ResourceARN"], tag_context(tags))]


CLOUDWATCH: Table = {
    "DeleteAlarms": _delete_alarms,
    "DescribeAlarms": lambda _, place: [Need("cloudwatch:DescribeAlarms", _alarm_arn(place, "*"))],
    "ListTagsForResource": lambda asked, _: [Need("cloudwatch:ListTagsForResource", asked["ResourceARN"])],
    "PutMetricAlarm": _put_metric_alarm,
    "PutMetricData": _put_metric_data,
    "TagResource": _tag_alarm,
}

# --------------------------------------------------------------------------------------------------- the tags API
# Source: the reference for the Resource Groups Tagging API: its actions have no resource type.

TAGGING: Table = {"GetResources": lambda _, __: [Need("tag:GetResources", "*")]}

# --------------------------------------------------------------------------------------------- STS, Secrets Manager
# "GetCallerIdentity": "No permissions are required to perform this operation." The reference for AWS Security Token
# Service; that for AWS Secrets Manager, by which a secret's ARN ends in a hyphen and six characters of the service's.


def _secret(asked: Parameters, place: Place) -> list[Need]:
    name = asked["SecretId"]
    arn = name if name.startswith("arn:") else place.arn("secretsmanager", f"secret:{name}-000000")
    return [Need("secretsmanager:GetSecretValue", arn)]


STS: Table = {
    "AssumeRole": lambda asked, _: [Need("sts:AssumeRole", asked["RoleArn"])],
    "GetCallerIdentity": lambda _, __: [],
}
SECRETS: Table = {"GetSecretValue": _secret}
