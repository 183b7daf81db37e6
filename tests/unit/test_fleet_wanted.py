"""What a rule wants to run on, and what everything of it is called."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.fleet.parts import FunctionSettings, Prototype, ScheduleWanted
from rdbkeeper.domain.fleet.settings import FleetSettings, Network, rule_of_schedule, schedule_names
from rdbkeeper.domain.fleet.wanted import wanted_alarm, wanted_function, wanted_schedules
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.source import SourceAccess
from tests.fakes.fleet_parts import FUNCTIONS_ARN, LATER, PROTOTYPE_SETTINGS, SETTINGS
from tests.flows.world import make_rule

READER = "arn:aws:iam::000000000000:role/orders/reader"
STACK = replace(SETTINGS, rule_role_arns=(READER,))
PROTOTYPE = Prototype(STACK, f"{FUNCTIONS_ARN}:rdbkeeper-run-rule", PROTOTYPE_SETTINGS, "code-1")
RULE = make_rule()
TWO_DAY_FIELDS = Cycle("custom", "UTC", cron="0 3 1 * MON")


def schedules(**changes: Any) -> tuple[ScheduleWanted, ...]:
    return wanted_schedules(make_rule(**changes), PROTOTYPE)


# Names


def test_everything_of_a_rule_is_named_after_it_and_its_stack() -> None:
    assert STACK.function_name("a") == "rdbkeeper-rule-a"
    assert STACK.log_group("a") == "/aws/lambda/rdbkeeper-rule-a"
    assert STACK.alarm_name("a") == "rdbkeeper-rule-a-overdue"
    assert schedule_names("a") == ("a", "a_weekday")


@pytest.mark.parametrize("rule_name", ["a", "orders-nightly", "weekday", "a-weekday"])
def test_a_schedule_tells_whose_it_is_by_its_name(rule_name: str) -> None:
    assert [rule_of_schedule(name) for name in schedule_names(rule_name)] == [rule_name, rule_name]


def test_something_is_a_rules_by_the_tags_of_this_stack_alone() -> None:
    assert STACK.find_rule(STACK.tags("a")) == "a"
    assert STACK.find_rule({**STACK.tags("a"), "rdbkeeper:stack": "another"}) is None
    assert STACK.find_rule({"rdbkeeper:stack": "rdbkeeper"}) is None
    assert STACK.find_rule({}) is None


def test_the_longest_rule_name_fits_under_a_stack_of_27_characters() -> None:
    replace(STACK, stack="s" * 27).check_function_name("r" * 31)


def test_a_function_name_that_lambda_does_not_take_is_refused_and_the_limit_is_said() -> None:
    with pytest.raises(InvalidRequest, match="would have 65 characters; Lambda takes 64") as refused:
        replace(STACK, stack="s" * 28).check_function_name("r" * 31)
    assert refused.value.field == "name"
    assert refused.value.hint.endswith("a rule's name has at most 30 characters.")


# The function


def test_a_function_is_the_prototypes_but_for_what_is_its_own() -> None:
    wanted = wanted_function(RULE, PROTOTYPE)
    changed = {
        one.name
        for one in fields(FunctionSettings)
        if getattr(wanted, one.name) != getattr(PROTOTYPE_SETTINGS, one.name)
    }
    assert changed == {"description", "environment", "log_group"}
    assert dict(wanted.environment) == {**dict(PROTOTYPE_SETTINGS.environment), "RDBKEEPER_RULE": "orders-nightly"}
    assert list(wanted.environment) == sorted(wanted.environment)
    assert wanted.log_group == STACK.log_group("orders-nightly")


def test_a_rule_with_a_role_of_its_own_runs_under_it() -> None:
    assert wanted_function(make_rule(role="reader"), PROTOTYPE).role_arn == READER
    assert wanted_function(RULE, PROTOTYPE).role_arn == PROTOTYPE_SETTINGS.role_arn


def test_a_role_that_the_stack_does_not_allow_is_refused_and_those_it_does_are_named_without_account() -> None:
    with pytest.raises(InvalidRequest, match="'writer'") as refused:
        wanted_function(make_rule(role="writer"), PROTOTYPE)
    assert refused.value.field == "role"
    assert "It allows reader." in refused.value.hint
    assert "000000000000" not in str(refused.value)


def test_a_stack_that_allows_no_role_says_so() -> None:
    with pytest.raises(InvalidRequest) as refused:
        SETTINGS.check_role("reader")
    assert "It allows none so far." in refused.value.hint
    SETTINGS.check_role("")


HOOKED = replace(SETTINGS, hook_function_arns=("arn:aws:lambda:us-east-1:000000000000:function:stop",))


def test_a_hook_that_the_stack_does_not_allow_is_refused_and_those_it_does_are_named_without_account() -> None:
    for hooks, field in ((BackupFirst("go", "stop"), "freeze"), (BackupFirst("stop", "go:live"), "thaw")):
        with pytest.raises(InvalidRequest, match="go") as refused:
            HOOKED.check_hooks(hooks)
        assert refused.value.field == f"backup_first.{field}"
        assert "It allows stop." in refused.value.hint and "AllowedHookFunctionArns" in refused.value.hint
        assert "000000000000" not in str(refused.value)
    with pytest.raises(InvalidRequest) as refused:
        SETTINGS.check_hooks(BackupFirst("stop", "stop"))
    assert "It allows none so far." in refused.value.hint


def test_a_hook_that_the_stack_allows_may_be_named_by_any_alias_and_a_rule_without_hooks_is_asked_for_none() -> None:
    HOOKED.check_hooks(BackupFirst("stop", "stop:live"))
    for none in (None, BackupFirst()):
        SETTINGS.check_hooks(none)


NETWORK = Network(("subnet-1", "subnet-2"), ("sg-1",))
IN_NETWORK = replace(PROTOTYPE, stack=replace(STACK, network=NETWORK))
LIVE: dict[str, Any] = {"provider": "redis", "access": SourceAccess(address="redis.internal:6379")}


def test_only_the_function_of_a_rule_that_reaches_its_server_directly_is_in_the_stack_s_network() -> None:
    live = wanted_function(make_rule(**LIVE), IN_NETWORK)
    assert (live.subnet_ids, live.security_group_ids) == (NETWORK.subnet_ids, NETWORK.security_group_ids)
    other = wanted_function(RULE, IN_NETWORK)
    assert (other.subnet_ids, other.security_group_ids) == ((), ())


def test_a_stack_without_a_network_leaves_every_function_outside() -> None:
    assert wanted_function(make_rule(**LIVE), PROTOTYPE).subnet_ids == ()


@pytest.mark.parametrize(
    "half, given, missing",
    [
        (Network(subnet_ids=("subnet-1",)), "VpcSubnetIds", "VpcSecurityGroupIds"),
        (Network(security_group_ids=("sg-1",)), "VpcSecurityGroupIds", "VpcSubnetIds"),
    ],
    ids=["no security groups", "no subnets"],
)
def test_half_a_network_is_refused_by_name_and_only_to_rules_that_need_it(
    half: Network, given: str, missing: str
) -> None:
    prototype = replace(PROTOTYPE, stack=replace(STACK, network=half))
    with pytest.raises(InvalidRequest, match=f"has the parameter {given} and no {missing}") as refused:
        wanted_function(make_rule(**LIVE), prototype)
    assert refused.value.field == "source.provider"
    assert wanted_function(RULE, prototype).subnet_ids == ()


def test_settings_say_by_name_in_what_they_differ() -> None:
    other = replace(PROTOTYPE_SETTINGS, memory_mb=2048, environment=(("A", "a secret"),))
    assert PROTOTYPE_SETTINGS.differences(other) == ("memory mb", "environment")
    assert PROTOTYPE_SETTINGS.differences(replace(PROTOTYPE_SETTINGS)) == ()
    assert "a secret" not in repr(other)


# The schedules


def test_a_schedule_starts_the_live_version_and_says_for_which_time() -> None:
    (schedule,) = schedules()
    assert (schedule.name, schedule.expression) == ("orders-nightly", "cron(30 2 * * ? *)")
    assert schedule.target_arn == f"{FUNCTIONS_ARN}:rdbkeeper-rule-orders-nightly:live"
    assert schedule.role_arn == STACK.scheduler_role_arn
    assert json.loads(schedule.payload) == {
        "rule": "orders-nightly",
        "scheduled_at": "<aws.scheduler.scheduled-time>",
    }


def test_a_cron_with_both_day_fields_wants_two_schedules() -> None:
    first, second = schedules(cycle=TWO_DAY_FIELDS)
    assert (first.name, second.name) == ("orders-nightly", "orders-nightly_weekday")
    assert (first.expression, second.expression) == ("cron(0 3 1 * ? *)", "cron(0 3 ? * MON *)")
    assert first.target_arn == second.target_arn


def test_a_manual_rule_wants_no_schedule_and_no_alarm() -> None:
    assert schedules(cycle=Cycle("manual", "UTC")) == ()
    assert wanted_alarm(make_rule(cycle=Cycle("manual", "UTC")), STACK, LATER) is None


@pytest.mark.parametrize(
    "state, enabled", [(RuleState.ACTIVE, True), (RuleState.CREATING, True), (RuleState.PAUSED, False)]
)
def test_the_schedules_of_a_paused_rule_are_switched_off(state: RuleState, enabled: bool) -> None:
    assert {schedule.enabled for schedule in schedules(state=state, cycle=TWO_DAY_FIELDS)} == {enabled}


@pytest.mark.parametrize(
    "change",
    [
        {"expression": "cron(0 4 * * ? *)"},
        {"cycle": Cycle("daily", "UTC", at="02:30")},
        {"enabled": False},
        {"target_arn": "another"},
        {"role_arn": "another"},
        {"payload": "{}"},
    ],
    ids=str,
)
def test_a_fingerprint_changes_with_whatever_scheduler_is_sent(change: dict[str, Any]) -> None:
    (schedule,) = schedules()
    assert replace(schedule, **change).fingerprint != schedule.fingerprint
    assert replace(schedule).fingerprint == schedule.fingerprint


# The alarm


def test_an_alarm_watches_exactly_the_metric_that_reconciling_writes_and_takes_silence_for_overdue() -> None:
    alarm = wanted_alarm(RULE, STACK, LATER)
    assert alarm is not None
    assert (alarm.namespace, alarm.metric) == ("rdbkeeper", "HoursOverdue")
    assert dict(alarm.dimensions) == {"rule": "orders-nightly", "service": "rdbkeeper", "stack": "rdbkeeper"}
    assert list(alarm.dimensions) == sorted(alarm.dimensions)
    assert (alarm.comparison, alarm.threshold, alarm.missing_data) == ("GreaterThanThreshold", 0.0, "breaching")
    assert alarm.action_arns == (STACK.alarm_topic_arn,)


def test_an_alarm_rings_within_three_hours() -> None:
    alarm = wanted_alarm(RULE, STACK, LATER)
    assert alarm is not None
    assert timedelta(seconds=alarm.period_s * alarm.evaluation_periods) == timedelta(hours=3)
    assert 0 < alarm.datapoints_to_alarm <= alarm.evaluation_periods


def test_the_names_of_a_stack_are_part_of_what_belongs_to_it() -> None:
    other: FleetSettings = replace(STACK, stack="another")
    first, second = wanted_alarm(RULE, STACK, LATER), wanted_alarm(RULE, other, LATER)
    assert first is not None and second is not None
    assert (first.name, first.dimensions) != (second.name, second.dimensions)
