"""What a rule's fleet is in AWS's own words, and what its adapter says when AWS does not do as told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3

from rdbkeeper.aws import functions
from rdbkeeper.aws.fleet import AwsFleet
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import FleetRefused
from rdbkeeper.domain.fleet.wanted import wanted_schedules
from rdbkeeper.domain.rule import Rule, RuleState
from tests.contract.fleet_place import (
    AwsPlace,
    aws_place,
    make_all,
    make_function,
    make_rule,
    payload_of,
    settings_for,
)

__all__ = ["aws_place"]


def get_function(place: AwsPlace, rule: Rule) -> dict[str, Any]:
    found: dict[str, Any] = place.lab.client.get_function(FunctionName=place.settings.function_name(rule.name))
    return found


def get_schedule(place: AwsPlace, name: str) -> dict[str, Any]:
    found: dict[str, Any] = place.cloud.client("scheduler").get_schedule(GroupName="rdbkeeper", Name=name)
    return found


def test_a_rules_function_mirrors_the_prototype_and_carries_the_tags(aws_place: AwsPlace) -> None:
    rule = make_rule()
    make_function(aws_place, rule)
    prototype = aws_place.lab.client.get_function(FunctionName="rdbkeeper-run-rule")["Configuration"]
    found = get_function(aws_place, rule)
    mine = found["Configuration"]
    same = ("Runtime", "Role", "Handler", "Timeout", "MemorySize", "Architectures", "DurableConfig", "CodeSha256")
    assert {name: mine[name] for name in same} == {name: prototype[name] for name in same}
    assert [layer["Arn"] for layer in mine["Layers"]] == [layer["Arn"] for layer in prototype["Layers"]]
    expected = {**prototype["Environment"]["Variables"], "RDBKEEPER_RULE": rule.name}
    assert mine["Environment"]["Variables"] == expected
    assert mine["LoggingConfig"] == {
        **prototype["LoggingConfig"],
        "LogGroup": f"/aws/lambda/rdbkeeper-rule-{rule.name}",
    }
    assert found["Tags"] == {"rdbkeeper:stack": "rdbkeeper", "rdbkeeper:rule": rule.name}


def test_the_schedule_invokes_the_alias_in_the_rules_time_zone(aws_place: AwsPlace) -> None:
    rule = make_rule()
    make_all(aws_place, rule)
    schedule = get_schedule(aws_place, rule.name)
    alias = aws_place.lab.client.get_alias(FunctionName=f"rdbkeeper-rule-{rule.name}", Name="live")
    assert schedule["ScheduleExpression"] == "cron(30 2 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    assert (schedule["State"], schedule["FlexibleTimeWindow"]) == ("ENABLED", {"Mode": "OFF"})
    assert "StartDate" not in schedule
    assert schedule["Target"]["Arn"] == alias["AliasArn"]
    assert schedule["Target"]["RoleArn"] == aws_place.settings.scheduler_role_arn
    assert schedule["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": 3600}
    assert payload_of(schedule) == {"rule": rule.name, "scheduled_at": "<aws.scheduler.scheduled-time>"}


def test_a_rate_begins_at_its_next_time(aws_place: AwsPlace) -> None:
    rule = make_rule(cycle=Cycle(kind="custom", cron="rate(12 hours)", time_zone="UTC"))
    before = datetime.now(UTC)
    make_all(aws_place, rule)
    starts_at = get_schedule(aws_place, rule.name)["StartDate"]
    assert before < starts_at <= datetime.now(UTC) + timedelta(hours=12)
    assert (starts_at.astimezone(UTC).hour % 12, starts_at.minute, starts_at.second) == (0, 0, 0)


def test_an_update_of_a_schedule_leaves_nothing_of_the_old_one(aws_place: AwsPlace) -> None:
    rule = make_rule(cycle=Cycle(kind="custom", cron="rate(12 hours)", time_zone="UTC"))
    make_all(aws_place, rule)
    paused = replace(rule, cycle=make_rule().cycle, state=RuleState.PAUSED)
    (schedule,) = wanted_schedules(paused, aws_place.fleet.prototype())
    aws_place.fleet.put_schedule(schedule, datetime.now(UTC))
    found = get_schedule(aws_place, rule.name)
    assert (found["ScheduleExpression"], found["State"]) == ("cron(30 2 * * ? *)", "DISABLED")
    assert "StartDate" not in found


def test_the_alarm_acts_and_keeps_its_tags_when_it_is_replaced(aws_place: AwsPlace) -> None:
    rule = make_rule()
    cloudwatch = aws_place.cloud.client("cloudwatch")
    for _ in range(2):
        make_all(aws_place, rule)
        (alarm,) = cloudwatch.describe_alarms(AlarmNames=[f"rdbkeeper-rule-{rule.name}-overdue"])["MetricAlarms"]
        assert (alarm["ActionsEnabled"], alarm["AlarmActions"]) == (True, [aws_place.settings.alarm_topic_arn])
        assert {one["Name"]: one["Value"] for one in alarm["Dimensions"]}["rule"] == rule.name
        tags = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == aws_place.settings.tags(rule.name)
        aws_place.silence_alarm(rule)


def test_the_log_group_carries_the_tags(aws_place: AwsPlace) -> None:
    rule = make_rule()
    aws_place.fleet.keep_logs(rule.name)
    tags = aws_place.cloud.client("logs").list_tags_log_group(logGroupName=f"/aws/lambda/rdbkeeper-rule-{rule.name}")
    assert tags["tags"] == aws_place.settings.tags(rule.name)


def test_a_run_is_told_its_rule_and_that_it_was_asked_for(aws_place: AwsPlace) -> None:
    rule = make_rule()
    make_function(aws_place, rule)
    execution = aws_place.fleet.start_run(rule.name, f"{rule.name}-first")
    found = aws_place.lab.client.get_durable_execution(DurableExecutionArn=execution)
    assert found["InputPayload"] == f'{{"rule": "{rule.name}", "requested": true}}'


def test_a_run_is_told_what_else_it_was_asked_for(aws_place: AwsPlace) -> None:
    rule = make_rule()
    make_function(aws_place, rule)
    execution = aws_place.fleet.start_run(rule.name, f"{rule.name}-audit", {"audits": True, "rule": "another"})
    found = aws_place.lab.client.get_durable_execution(DurableExecutionArn=execution)
    assert found["InputPayload"] == f'{{"audits": true, "rule": "{rule.name}", "requested": true}}'


def test_the_code_is_fetched_once_for_all_functions_of_a_deployment(
    aws_place: AwsPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    request = urllib3.request

    def count(*given: Any, **named: Any) -> Any:
        fetched.append(given)
        return request(*given, **named)

    monkeypatch.setattr(urllib3, "request", count)
    fleet = AwsFleet(aws_place.cloud.client, aws_place.settings)
    for deployments in (1, 2):
        for rule in (make_rule(), make_rule()):
            fleet.prototype()
            fleet.make_function(rule.name, settings_for(aws_place, rule))
        assert len(fetched) == deployments
        aws_place.deploy(new_code=True)


def test_a_function_that_was_made_is_active(aws_place: AwsPlace) -> None:
    rule = make_rule()
    aws_place.fleet.make_function(rule.name, settings_for(aws_place, rule))
    assert get_function(aws_place, rule)["Configuration"]["State"] == "Active"


def test_a_function_in_a_network_is_waited_for_though_that_takes_longer(
    aws_place: AwsPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Enough for a function outside, which is pending for a tenth of a second, and too little for one in a network.
    monkeypatch.setitem(functions._EVERY_SECOND, "Delay", 0.1)
    monkeypatch.setitem(functions._EVERY_SECOND, "MaxAttempts", 3)
    for network in ({}, {"subnet_ids": ("subnet-1",), "security_group_ids": ("sg-1",)}):
        rule = make_rule()
        aws_place.fleet.make_function(rule.name, replace(settings_for(aws_place, rule), **network))
        assert get_function(aws_place, rule)["Configuration"]["State"] == "Active"
        assert aws_place.fleet.release(rule.name) == 1


def test_the_order_in_which_a_network_is_shown_makes_no_difference(aws_place: AwsPlace) -> None:
    rule = make_rule()
    network = {"subnet_ids": ("subnet-1", "subnet-2"), "security_group_ids": ("sg-1", "sg-2")}
    wanted = replace(make_function(aws_place, rule), **network)
    shown = {"SubnetIds": ["subnet-2", "subnet-1"], "SecurityGroupIds": ["sg-2", "sg-1"]}
    name = aws_place.settings.function_name(rule.name)
    aws_place.lab.client.update_function_configuration(FunctionName=name, VpcConfig=shown)
    (found,) = aws_place.fleet.look_closely(rule.name).functions.values()
    assert found.settings == wanted


def test_a_prototype_that_is_gone_is_a_clear_refusal(aws_place: AwsPlace) -> None:
    settings = replace(aws_place.settings, prototype_function="no-such-function")
    with pytest.raises(FleetRefused, match="prototype function no-such-function"):
        AwsFleet(aws_place.cloud.client, settings).prototype()


def test_what_an_attempt_that_was_cut_off_left_going_is_waited_for(aws_place: AwsPlace) -> None:
    rule = make_rule()
    settings = make_function(aws_place, rule)
    name = f"rdbkeeper-rule-{rule.name}"
    aws_place.lab.client.update_function_configuration(FunctionName=name, MemorySize=256)
    assert aws_place.fleet.release(rule.name) == 2
    aws_place.lab.client.update_function_configuration(FunctionName=name, MemorySize=320)
    aws_place.fleet.update_function(rule.name, settings, ("memory mb",))
    assert aws_place.fleet.release(rule.name) == 3


def test_a_schedule_for_a_group_that_is_gone_is_refused(aws_place: AwsPlace) -> None:
    rule = make_rule()
    make_function(aws_place, rule)
    (schedule,) = wanted_schedules(rule, aws_place.fleet.prototype())
    fleet = AwsFleet(aws_place.cloud.client, replace(aws_place.settings, schedule_group="gone"))
    with pytest.raises(FleetRefused, match="schedule"):
        fleet.put_schedule(schedule, datetime.now(UTC))
