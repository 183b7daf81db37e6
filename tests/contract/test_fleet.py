"""What every fleet keeps: in memory, and Lambda with Scheduler and Logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from rdbkeeper.aws.executions import DurableExecutions
from rdbkeeper.aws.fleet import AwsFleet
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import FleetRefused, InvalidRequest, NotOurs
from rdbkeeper.domain.fleet import FleetSettings
from rdbkeeper.ports import Fleet
from tests.fakes.fleet import MemoryFleet
from tests.flows.world import make_rule
from tests.local_cloud.deploy import Deployment
from tests.local_cloud.server import LocalCloud

FUNCTION = "rdbkeeper-rule-orders-nightly"


@pytest.fixture
def aws_fleet(cloud: LocalCloud, deployment: Deployment) -> Iterator[AwsFleet]:
    settings = FleetSettings(
        stack="rdbkeeper",
        prototype_function="rdbkeeper-run-rule",
        scheduler_role_arn=deployment.arns["SchedulerRole"],
        schedule_group="rdbkeeper",
        log_retention_days=90,
    )
    fleet = AwsFleet(cloud.client, settings)
    yield fleet
    fleet.remove_schedules("orders-nightly")
    if find_function(cloud):
        cloud.client("lambda").delete_function(FunctionName=FUNCTION)


@pytest.fixture(params=["memory", "aws"])
def fleet(request: pytest.FixtureRequest) -> Fleet:
    if request.param == "memory":
        return MemoryFleet()
    found: AwsFleet = request.getfixturevalue("aws_fleet")
    return found


def find_function(cloud: LocalCloud) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = cloud.client("lambda").get_function(FunctionName=FUNCTION)
    except ClientError:
        return None
    return found


def schedules(cloud: LocalCloud) -> list[str]:
    return [found["Name"] for found in cloud.client("scheduler").list_schedules(GroupName="rdbkeeper")["Schedules"]]


def test_what_was_made_is_told(fleet: Fleet) -> None:
    made = fleet.provision(make_rule())
    assert made.as_record() == {
        "function": FUNCTION,
        "version": "1",
        "log_group": f"/aws/lambda/{FUNCTION}",
        "schedules": ["orders-nightly"],
    }


def test_a_cron_with_two_expressions_has_two_schedules(fleet: Fleet) -> None:
    cycle = Cycle(kind="custom", cron="0 3 1 * MON", time_zone="UTC")
    assert fleet.provision(make_rule(cycle=cycle)).schedules == ("orders-nightly", "orders-nightly_weekday")


def test_provisioning_again_after_it_was_cut_off_ends_well(fleet: Fleet) -> None:
    fleet.provision(make_rule())
    assert fleet.provision(make_rule()).function_name == FUNCTION


def test_removing_twice_is_removing_once(fleet: Fleet) -> None:
    fleet.provision(make_rule())
    for _ in range(2):
        fleet.remove_schedules("orders-nightly")
        assert fleet.stop_runs("orders-nightly") == 0
        fleet.remove_function("orders-nightly")


def test_a_name_that_makes_too_long_a_function_is_refused_with_the_limit(aws_fleet: AwsFleet) -> None:
    aws_fleet.check(make_rule("a" * 31))
    settings = FleetSettings("s" * 40, "p", "r", "g", 90)
    with pytest.raises(InvalidRequest, match="64") as refused:
        AwsFleet(lambda _: None, settings).check(make_rule("a" * 20))
    assert "at most 18" in refused.value.hint


def test_a_rules_function_mirrors_the_prototype(cloud: LocalCloud, aws_fleet: AwsFleet) -> None:
    aws_fleet.provision(make_rule())
    prototype = cloud.client("lambda").get_function(FunctionName="rdbkeeper-run-rule")
    found = find_function(cloud)
    assert found is not None
    mine, its = found["Configuration"], prototype["Configuration"]
    for same in ("Runtime", "Role", "Handler", "Timeout", "MemorySize", "Architectures", "DurableConfig", "CodeSha256"):
        assert mine[same] == its[same], same
    assert [layer["Arn"] for layer in mine["Layers"]] == [layer["Arn"] for layer in its["Layers"]]
    assert mine["DurableConfig"] == {"ExecutionTimeout": 86400, "RetentionPeriodInDays": 14}
    expected = {**its["Environment"]["Variables"], "RDBKEEPER_RULE": "orders-nightly"}
    assert mine["Environment"]["Variables"] == expected
    assert mine["LoggingConfig"]["LogGroup"] == f"/aws/lambda/{FUNCTION}"
    assert mine["LoggingConfig"]["LogFormat"] == "JSON"
    assert found["Tags"] == {"rdbkeeper:stack": "rdbkeeper", "rdbkeeper:rule": "orders-nightly"}


def test_the_log_group_has_its_retention(cloud: LocalCloud, aws_fleet: AwsFleet) -> None:
    aws_fleet.provision(make_rule())
    groups = cloud.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{FUNCTION}")["logGroups"]
    assert [group["retentionInDays"] for group in groups] == [90]


def test_the_schedule_invokes_the_alias_in_the_rules_time_zone(
    cloud: LocalCloud, deployment: Deployment, aws_fleet: AwsFleet
) -> None:
    aws_fleet.provision(make_rule())
    schedule = cloud.client("scheduler").get_schedule(GroupName="rdbkeeper", Name="orders-nightly")
    alias = cloud.client("lambda").get_alias(FunctionName=FUNCTION, Name="live")
    assert schedule["ScheduleExpression"] == "cron(30 2 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    assert schedule["State"] == "ENABLED"
    assert schedule["Target"]["Arn"] == alias["AliasArn"]
    assert schedule["Target"]["RoleArn"] == deployment.arns["SchedulerRole"]
    assert json.loads(schedule["Target"]["Input"]) == {
        "rule": "orders-nightly",
        "scheduled_at": "<aws.scheduler.scheduled-time>",
    }


def test_removing_leaves_the_log_group_and_nothing_else(cloud: LocalCloud, aws_fleet: AwsFleet) -> None:
    aws_fleet.provision(make_rule(cycle=Cycle(kind="custom", cron="0 3 1 * MON", time_zone="UTC")))
    aws_fleet.remove_schedules("orders-nightly")
    aws_fleet.remove_function("orders-nightly")
    assert find_function(cloud) is None
    assert schedules(cloud) == []
    assert cloud.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{FUNCTION}")["logGroups"]


def test_a_function_of_that_name_that_is_not_ours_is_left_alone(cloud: LocalCloud, aws_fleet: AwsFleet) -> None:
    prototype = cloud.client("lambda").get_function(FunctionName="rdbkeeper-run-rule")["Configuration"]
    archive = cloud.client("lambda").get_function(FunctionName="rdbkeeper-run-rule")["Code"]["Location"]
    cloud.client("lambda").create_function(
        FunctionName=FUNCTION,
        Runtime="python3.13",
        Role=prototype["Role"],
        Handler="run_rule.app.handler",
        Code={"ZipFile": urllib3.request("GET", archive).data},
    )
    acts = (
        lambda: aws_fleet.check(make_rule()),
        lambda: aws_fleet.provision(make_rule()),
        lambda: aws_fleet.stop_runs("orders-nightly"),
        lambda: aws_fleet.remove_function("orders-nightly"),
    )
    for act in acts:
        with pytest.raises(NotOurs):
            act()
    assert schedules(cloud) == []
    assert find_function(cloud)


def test_a_prototype_that_is_gone_is_a_clear_refusal(cloud: LocalCloud, deployment: Deployment) -> None:
    settings = FleetSettings("rdbkeeper", "no-such-function", deployment.arns["SchedulerRole"], "rdbkeeper", 90)
    with pytest.raises(FleetRefused, match="prototype"):
        AwsFleet(cloud.client, settings).provision(make_rule())


def test_an_execution_that_is_unknown_has_ended(cloud: LocalCloud, deployment: Deployment) -> None:
    arn = f"arn:aws:lambda:us-east-1:{cloud.account_id}:function:{FUNCTION}:1/durable-execution/name/id"
    assert DurableExecutions(cloud.client("lambda")).has_ended(arn)
