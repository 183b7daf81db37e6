"""What the fleet's adapter makes of it when AWS does not do as told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from rdbkeeper.aws import functions
from rdbkeeper.aws.fleet import AwsFleet
from rdbkeeper.domain.errors import FleetDenied, FleetError, FleetRefused, FleetUnavailable, NotOurs
from rdbkeeper.domain.fleet.wanted import wanted_alarm
from tests.contract.fleet_place import make_rule
from tests.contract.stubbed_aws import (
    ALL_ALARM_TYPES,
    ARN,
    NOW,
    Aws,
    alarm,
    aws,
    configuration,
    fleet,
    get_function,
    tags,
)
from tests.fakes.fleet import SETTINGS
from tests.fakes.fleet_parts import LATER, PROTOTYPE_SETTINGS

__all__ = ["aws", "fleet"]


@pytest.mark.parametrize(
    "code, status, error",
    [
        ("PaginationTokenExpiredException", 400, FleetUnavailable),
        ("ThrottledException", 400, FleetUnavailable),
        ("AccessDeniedException", 400, FleetDenied),
        ("InvalidParameterException", 400, FleetRefused),
    ],
)
def test_a_listing_that_fails_says_why(
    aws: Aws, fleet: AwsFleet, code: str, status: int, error: type[FleetError]
) -> None:
    aws.fails("resourcegroupstaggingapi", "get_resources", code, status)
    with pytest.raises(error, match="Listing what carries the tags of the stack rdbkeeper failed"):
        fleet.observe()


def test_where_no_answer_comes_a_retry_can_help(fleet: AwsFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def get_function(self, **_: object) -> None:
            raise ReadTimeoutError(endpoint_url="https://lambda.us-east-1.amazonaws.com")

    monkeypatch.setattr(fleet._prototype, "_client", lambda _: Silent())
    with pytest.raises(FleetUnavailable, match="no answer"):
        fleet.prototype()


def test_an_update_that_meets_another_can_be_tried_again(aws: Aws, fleet: AwsFleet) -> None:
    aws.answers("lambda", "get_function", get_function())
    aws.fails("lambda", "update_function_configuration", "ResourceConflictException", 409)
    with pytest.raises(FleetUnavailable, match="Updating the settings of rdbkeeper-rule-orders failed"):
        fleet.update_function("orders", PROTOTYPE_SETTINGS, ("memory mb",))


WAITS: dict[str, tuple[dict[str, Any] | str, type[FleetError], str]] = {
    "failed": ({"State": "Failed", "StateReason": "The role is gone."}, FleetRefused, "The role is gone"),
    "denied": ("AccessDeniedException", FleetDenied, "AccessDeniedException"),
    "throttled": ("TooManyRequestsException", FleetUnavailable, "not ready yet"),
    "gone": ("ResourceNotFoundException", FleetRefused, "ResourceNotFoundException"),
}


@pytest.mark.parametrize("answer, error, text", WAITS.values(), ids=WAITS)
def test_a_version_that_never_becomes_active_says_why(
    aws: Aws, fleet: AwsFleet, answer: dict[str, Any] | str, error: type[FleetError], text: str
) -> None:
    aws.answers("lambda", "get_function", get_function())
    aws.answers("lambda", "publish_version", configuration("rdbkeeper-rule-orders", "1"))
    if isinstance(answer, str):
        aws.fails("lambda", "get_function_configuration", answer)
    else:
        aws.answers("lambda", "get_function_configuration", answer)
    with pytest.raises(error, match=text):
        fleet.release("orders")


def test_waiting_ends_after_a_minute(aws: Aws, fleet: AwsFleet) -> None:
    assert functions._EVERY_SECOND["MaxAttempts"] == 60
    aws.answers("lambda", "get_function", get_function())
    aws.answers("lambda", "publish_version", configuration("rdbkeeper-rule-orders", "1"))
    for _ in range(60):
        aws.answers("lambda", "get_function_configuration", {"State": "Pending"})
    with pytest.raises(FleetUnavailable, match="not ready yet"):
        fleet.release("orders")


def test_a_run_that_is_no_durable_execution_is_a_refusal(aws: Aws, fleet: AwsFleet) -> None:
    aws.answers("lambda", "get_function", get_function())
    asked = {
        "FunctionName": "rdbkeeper-rule-orders",
        "Qualifier": "live",
        "InvocationType": "Event",
        "DurableExecutionName": "first",
        "Payload": json.dumps({"rule": "orders", "requested": True}).encode(),
    }
    aws.answers("lambda", "invoke", {"StatusCode": 202}, asked)
    with pytest.raises(FleetRefused, match="not as a durable execution"):
        fleet.start_run("orders", "first")


def test_a_function_that_is_being_deleted_is_gone(aws: Aws, fleet: AwsFleet) -> None:
    for _ in range(2):
        leaving = configuration("rdbkeeper-rule-orders", State="Deleting")
        aws.answers("lambda", "get_function", get_function(Configuration=leaving))
    assert fleet.stop_runs("orders") == 0
    fleet.remove_function("orders")


def test_tags_that_are_withheld_are_not_taken_for_missing(aws: Aws, fleet: AwsFleet) -> None:
    withheld = {"TagsError": {"ErrorCode": "AccessDeniedException", "Message": "m" * 84}, "Tags": {}}
    aws.answers("lambda", "get_function", get_function(**withheld))
    with pytest.raises(FleetDenied, match="tags"):
        fleet.release("orders")


def test_runs_of_a_strangers_function_are_not_the_rules(aws: Aws, fleet: AwsFleet) -> None:
    arn = ARN.format("lambda", "function", "rdbkeeper-rule-orders:1/durable-execution/name/id")
    run = {"DurableExecutionArn": arn, "DurableExecutionName": "name", "FunctionArn": arn, "Status": "RUNNING"}
    runs = {"DurableExecutions": [{**run, "StartTimestamp": NOW}]}
    aws.answers("lambda", "list_durable_executions_by_function", runs)
    aws.answers("lambda", "get_function", get_function(Tags={}))
    with pytest.raises(NotOurs):
        fleet.find_going_run("orders")


def test_a_composite_alarm_of_the_name_is_not_ours(aws: Aws, fleet: AwsFleet) -> None:
    name = SETTINGS.alarm_name("orders")
    composite = {"CompositeAlarms": [alarm(name, AlarmRule="TRUE")]}
    asked = {"AlarmNames": [name], "AlarmTypes": ALL_ALARM_TYPES, "MaxRecords": 100}
    wanted = wanted_alarm(make_rule(name="orders"), SETTINGS, LATER)
    assert wanted is not None
    acts: tuple[Callable[[], None], ...] = (
        lambda: fleet.put_alarm("orders", wanted),
        lambda: fleet.remove_alarm("orders", name),
    )
    for act in acts:
        aws.answers("cloudwatch", "describe_alarms", composite, asked)
        with pytest.raises(NotOurs):
            act()


def test_an_alarm_that_goes_while_it_is_removed_is_no_error(aws: Aws, fleet: AwsFleet) -> None:
    name = SETTINGS.alarm_name("orders")
    aws.answers("cloudwatch", "describe_alarms", {"MetricAlarms": [alarm(name)]})
    aws.answers("cloudwatch", "list_tags_for_resource", {"Tags": tags("orders")})
    aws.fails("cloudwatch", "delete_alarms", "ResourceNotFound", 404)
    fleet.remove_alarm("orders", name)
