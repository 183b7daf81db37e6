"""AWS's services over a fleet that can only be listed, in pages as the services hand them out; each call is counted.

The clients are boto3's own, so paginators, validation and parameter names are real; nothing is sent. What is no
listing, and not asked for here, is refused: whoever changes something fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3

from rdbkeeper.aws.function_settings import creation_arguments
from rdbkeeper.domain.fleet.parts import Alarm, FunctionSettings
from rdbkeeper.domain.fleet.settings import FleetSettings
from rdbkeeper.ports import Record
from tests.unit.fleet_model import ModelFleet

_ARN = "arn:aws:{service}:us-east-1:000000000000:{name}"
_OTHER_FUNCTIONS = ("rdbkeeper-run-rule", "rdbkeeper-manage-rules", "rdbkeeper-reconcile-rules")


class PagedServices:
    """`calls` counts calls by service and operation, `lambda.ListFunctions`; DynamoDB's client is a real one."""

    def __init__(self, fleet: ModelFleet, instances: Sequence[str], dynamodb: Any) -> None:
        self.calls: Counter[str] = Counter()
        self._clients: dict[str, Any] = {}
        self._prototype = fleet.prototype
        self._listings = _listings(fleet, instances)
        dynamodb.meta.events.register("before-call.dynamodb.*", partial(self._count, "dynamodb"))
        self._clients["dynamodb"] = dynamodb

    def client(self, service: str) -> Any:
        """boto3's client of a service, answered here."""
        if service not in self._clients:
            client = boto3.client(
                service, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
            )
            client.meta.events.register("provide-client-params", _keep_parameters)
            client.meta.events.register("before-call", partial(self._answer, service))
            self._clients[service] = client
        return self._clients[service]

    def _count(self, service: str, model: Any, **_: Any) -> None:
        self.calls[f"{service}.{model.name}"] += 1

    def _answer(self, service: str, model: Any, context: Record, **_: Any) -> tuple[Any, Record]:
        self._count(service, model)
        if model.name == "GetFunction" and context["asked"] == {"FunctionName": "rdbkeeper-run-rule"}:
            prototype = self._prototype
            found = _configuration("rdbkeeper-run-rule", prototype.settings, prototype.code_sha256)
            answer = {"Configuration": {**found, "FunctionArn": prototype.arn}}
        else:
            answer = self._listings[model.name](context["asked"])
        return SimpleNamespace(status_code=200), answer


def _keep_parameters(params: Record, context: Record, **_: Any) -> None:
    context["asked"] = dict(params)


# ------------------------------------------------------------------- listings

Listing = Callable[[Record], Record]


def _listings(fleet: ModelFleet, instances: Sequence[str]) -> dict[str, Listing]:
    """How each service lists: the most on a page, as its API reference says, and what its tokens are called."""
    stack = fleet.prototype.stack
    alarms = [_alarm(found.alarm) for found in fleet.alarms.values()]
    log_groups = [{"logGroupName": name, "retentionInDays": days} for name, days in sorted(fleet.log_groups.items())]
    groups = [_replication_group(name) for name in instances]
    nodes = [{"CacheClusterId": f"{name}-001", "Engine": "redis", "ReplicationGroupId": name} for name in instances]
    return {
        "ListFunctions": _paged("Functions", _configurations(fleet), 50, "MaxItems", "Marker", "NextMarker"),
        "GetResources": _paged(
            "ResourceTagMappingList", _tagged(fleet, stack), 100, "ResourcesPerPage", "PaginationToken"
        ),
        "ListSchedules": _paged("Schedules", _schedules(fleet), 100, "MaxResults", "NextToken"),
        "DescribeAlarms": _paged("MetricAlarms", alarms, 100, "MaxRecords", "NextToken"),
        "DescribeLogGroups": _paged("logGroups", log_groups, 50, "limit", "nextToken"),
        "DescribeReplicationGroups": _paged("ReplicationGroups", groups, 100, "MaxRecords", "Marker"),
        "DescribeCacheClusters": _paged("CacheClusters", nodes, 100, "MaxRecords", "Marker"),
    }


def _paged(key: str, items: Sequence[Record], most: int, size: str, token: str, next_token: str = "") -> Listing:
    def answer(asked: Record) -> Record:
        first, count = int(asked.get(token) or 0), min(int(asked.get(size) or most), most)
        page: Record = {key: items[first : first + count]}
        return {**page, next_token or token: str(first + count)} if first + count < len(items) else page

    return answer


def _configurations(fleet: ModelFleet) -> list[Record]:
    prototype = fleet.prototype
    listed = [_configuration(name, prototype.settings, prototype.code_sha256) for name in _OTHER_FUNCTIONS]
    for name, found in fleet.functions.items():
        listed.append(_configuration(name, found.settings, found.code_sha256))
        listed += [_configuration(name, one.settings, one.code_sha256, str(one.number)) for one in found.versions]
    return listed


def _configuration(name: str, settings: FunctionSettings, code_sha256: str, version: str = "$LATEST") -> Record:
    return {
        **creation_arguments(settings),
        "Layers": [{"Arn": arn} for arn in settings.layer_arns],
        "FunctionName": name,
        "FunctionArn": f"{_ARN.format(service='lambda', name='function')}:{name}:{version}",
        "CodeSha256": code_sha256,
        "Version": version,
    }


def _schedules(fleet: ModelFleet) -> list[Record]:
    return [
        {
            "Name": found.name,
            "State": "ENABLED" if found.enabled else "DISABLED",
            "Target": {"Arn": found.target_arn},
            "LastModificationDate": found.modified_at,
        }
        for found in fleet.schedules.values()
    ]


def _tagged(fleet: ModelFleet, stack: FleetSettings) -> list[Record]:
    owners = [
        *(("lambda", f"function:{name}", found.rule) for name, found in fleet.functions.items()),
        *(("cloudwatch", f"alarm:{name}", found.rule) for name, found in fleet.alarms.items()),
    ]
    return [
        {
            "ResourceARN": _ARN.format(service=service, name=name),
            "Tags": [{"Key": key, "Value": value} for key, value in stack.tags(rule or "").items()],
        }
        for service, name, rule in owners
    ]


def _alarm(alarm: Alarm) -> Record:
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AlarmArn": _ARN.format(service="cloudwatch", name=f"alarm:{alarm.name}"),
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


def _replication_group(name: str) -> Record:
    return {
        "ReplicationGroupId": name,
        "Status": "available",
        "MemberClusters": [f"{name}-001"],
        "SnapshotRetentionLimit": 7,
        "SnapshotWindow": "02:00-03:00",
        "Engine": "redis",
    }
