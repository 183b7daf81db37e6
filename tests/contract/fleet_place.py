"""Places in which a fleet is tested: memory, and AWS on this machine, with what passers-by can do in them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from rdbkeeper.aws import functions
from rdbkeeper.aws.fleet import AwsFleet
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.fleet.parts import FunctionSettings, Prototype, ScheduleSent
from rdbkeeper.domain.fleet.plan import Registry, plan
from rdbkeeper.domain.fleet.settings import ALIAS, FleetSettings
from rdbkeeper.domain.fleet.wanted import wanted_alarm, wanted_function, wanted_schedules
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.ports import FleetServices
from tests.contract.lambda_lab import ECHO, Lab, settling, zipped
from tests.fakes.fleet import MemoryFleet
from tests.fakes.fleet_parts import LATER
from tests.local_cloud.server import LocalCloud

# A run of these functions is going until it is stopped.
RUNS = """
    from aws_durable_execution_sdk_python import durable_execution
    from aws_durable_execution_sdk_python.config import Duration

    @durable_execution
    def handler(event, context):
        context.wait(Duration.from_seconds(3600), name="hour")
"""
_rules = itertools.count(1)


def make_rule(**changes: Any) -> Rule:
    """A rule of a name of its own, so that tests share a place without meeting."""
    values: dict[str, Any] = {
        "name": f"rule-{next(_rules)}",
        "provider": "elasticache",
        "instance": "orders",
        "cycle": Cycle(kind="daily", at="02:30", time_zone="Asia/Tokyo"),
        "created_at": datetime(2026, 11, 1, tzinfo=UTC),
        "state": RuleState.ACTIVE,
    }
    return Rule(**{**values, **changes})


class Place(Protocol):
    """A fleet, and what others than rdbkeeper do to it."""

    @property
    def fleet(self) -> FleetServices: ...

    def deploy(self, *, new_code: bool = False, memory_mb: int = 0) -> Prototype:
        """Deploy the stack anew, with other code or settings of the prototype."""

    def make_stranger_function(self, name: str) -> None: ...

    def make_stranger_alarm(self, name: str) -> None: ...

    def point_alias(self, rule: Rule, version: int) -> None:
        """Point the alias elsewhere by hand; 0 deletes it."""

    def keep_logs_for_ever(self, rule: Rule) -> None: ...

    def switch_off_schedule(self, name: str) -> None: ...

    def silence_alarm(self, rule: Rule) -> None:
        """Let the alarm tell nobody any more."""


@dataclass
class MemoryPlace:
    fleet: MemoryFleet = field(default_factory=MemoryFleet)

    def deploy(self, *, new_code: bool = False, memory_mb: int = 0) -> Prototype:
        settings = {"memory_mb": memory_mb} if memory_mb else {}
        self.fleet.deploy("code-2" if new_code else "", **settings)
        return self.fleet.prototype()

    def make_stranger_function(self, name: str) -> None:
        self.fleet.strangers.add(name)

    def make_stranger_alarm(self, name: str) -> None:
        self.fleet.strangers.add(name)

    def point_alias(self, rule: Rule, version: int) -> None:
        self.fleet.point_alias_by_hand(rule.name, version)

    def keep_logs_for_ever(self, rule: Rule) -> None:
        self.fleet.set_retention_by_hand(rule.name, 0)

    def switch_off_schedule(self, name: str) -> None:
        self.fleet.change_schedule_by_hand(name, enabled=False)

    def silence_alarm(self, rule: Rule) -> None:
        self.fleet.change_alarm_by_hand(rule.name, action_arns=())


@dataclass
class AwsPlace:
    lab: Lab
    settings: FleetSettings
    fleet: AwsFleet
    deployments: int = 0

    @property
    def cloud(self) -> LocalCloud:
        return self.lab.cloud

    def deploy(self, *, new_code: bool = False, memory_mb: int = 0) -> Prototype:
        name = self.settings.prototype_function
        if new_code:
            self.deployments += 1
            package = zipped(app=RUNS, other=f"NUMBER = {self.deployments}")
            self.lab.client.update_function_code(FunctionName=name, ZipFile=package)
            self.lab.settle(name)
        if memory_mb:
            self.lab.client.update_function_configuration(FunctionName=name, MemorySize=memory_mb)
            self.lab.settle(name)
        return self.fleet.prototype()

    def make_stranger_function(self, name: str) -> None:
        self.lab.make(ECHO, FunctionName=name)

    def make_stranger_alarm(self, name: str) -> None:
        self.cloud.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/EC2",
            MetricName="CPUUtilization",
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0.5,
            ComparisonOperator="GreaterThanThreshold",
        )

    def point_alias(self, rule: Rule, version: int) -> None:
        alias = {"FunctionName": self.settings.function_name(rule.name), "Name": ALIAS}
        if version:
            self.lab.client.update_alias(**alias, FunctionVersion=str(version))
        else:
            self.lab.client.delete_alias(**alias)

    def keep_logs_for_ever(self, rule: Rule) -> None:
        self.cloud.client("logs").delete_retention_policy(logGroupName=self.settings.log_group(rule.name))

    def switch_off_schedule(self, name: str) -> None:
        scheduler, group = self.cloud.client("scheduler"), self.settings.schedule_group
        time.sleep(1.05)  # the time of a change is known in seconds
        there = scheduler.get_schedule(Name=name, GroupName=group)
        kept = ("ScheduleExpression", "FlexibleTimeWindow", "Target")
        scheduler.update_schedule(Name=name, GroupName=group, State="DISABLED", **{key: there[key] for key in kept})

    def silence_alarm(self, rule: Rule) -> None:
        self.cloud.client("cloudwatch").disable_alarm_actions(AlarmNames=[self.settings.alarm_name(rule.name)])


@pytest.fixture(scope="module")
def aws_place(cloud: LocalCloud) -> Iterator[AwsPlace]:
    """A prototype, roles, a schedule group and a topic: all of a stack that a fleet needs."""
    lab = Lab(cloud)
    cloud.client("scheduler").create_schedule_group(Name="rdbkeeper")
    settings = FleetSettings(
        stack="rdbkeeper",
        prototype_function="rdbkeeper-run-rule",
        scheduler_role_arn=lab.scheduler_role,
        schedule_group="rdbkeeper",
        log_retention_days=90,
        alarm_topic_arn=cloud.client("sns").create_topic(Name="rdbkeeper-alarms")["TopicArn"],
    )
    lab.make(
        RUNS,
        FunctionName="rdbkeeper-run-rule",
        Description="The prototype of every rule's function.",
        MemorySize=512,
        Timeout=900,
        Architectures=["arm64"],
        Layers=[lab.layer],
        DurableConfig={"ExecutionTimeout": 86_400, "RetentionPeriodInDays": 14},
        Environment={"Variables": {"RDBKEEPER_STACK": "rdbkeeper"}},
        LoggingConfig={
            "LogFormat": "JSON",
            "ApplicationLogLevel": "INFO",
            "SystemLogLevel": "WARN",
            "LogGroup": "/aws/lambda/rdbkeeper-run-rule",
        },
    )
    # Short, and long enough to show who does not wait.
    with settling(0.1), pytest.MonkeyPatch.context() as patch:
        patch.setitem(functions._EVERY_SECOND, "Delay", 0.03)
        patch.setitem(functions._EVERY_SECOND, "MaxAttempts", 1000)
        yield AwsPlace(lab, settings, AwsFleet(cloud.client, settings))


@pytest.fixture(params=["memory", "aws"])
def place(request: pytest.FixtureRequest) -> Place:
    """Either place; in both, tests use rules of their own."""
    if request.param == "memory":
        return MemoryPlace()
    found: AwsPlace = request.getfixturevalue("aws_place")
    return found


def settings_for(place: Place, rule: Rule) -> FunctionSettings:
    """What the rule's function should be."""
    return wanted_function(rule, place.fleet.prototype())


def make_function(place: Place, rule: Rule) -> FunctionSettings:
    """Make the rule's function with its first version; returns its settings."""
    settings = settings_for(place, rule)
    place.fleet.make_function(rule.name, settings)
    place.fleet.release(rule.name)
    return settings


def make_all(place: Place, rule: Rule) -> dict[str, ScheduleSent]:
    """Make everything that the rule wants; returns what was sent to Scheduler."""
    prototype = place.fleet.prototype()
    place.fleet.keep_logs(rule.name)
    make_function(place, rule)
    sent = {
        schedule.name: ScheduleSent(schedule.fingerprint, place.fleet.put_schedule(schedule, datetime.now(UTC)))
        for schedule in wanted_schedules(rule, prototype)
    }
    alarm = wanted_alarm(rule, prototype.stack, LATER)
    if alarm is not None:
        place.fleet.put_alarm(rule.name, alarm)
    return sent


def plan_for(place: Place, rule: Rule, sent: dict[str, ScheduleSent], *, closely: bool = False) -> list[str]:
    """The codes of the changes that the rule still needs, by a listing or by a closer look."""
    fleet = place.fleet.look_closely(rule.name) if closely else place.fleet.observe()
    changes = plan(Registry((rule,), LATER, {rule.name: sent}), place.fleet.prototype(), fleet)
    return [change.code for change in changes if change.rule == rule.name]


def payload_of(schedule: dict[str, Any]) -> dict[str, Any]:
    """What a schedule of Scheduler's sends to its target."""
    payload: dict[str, Any] = json.loads(schedule["Target"]["Input"])
    return payload
