"""What is somebody else's is left alone, what is deleted is taken down, and what nobody explains is reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.fleet.changes import LeaveAlone
from rdbkeeper.domain.fleet.parts import Fleet
from rdbkeeper.domain.fleet.plan import plan_end, plan_removal
from rdbkeeper.domain.rule import RuleState
from tests.fakes.fleet_parts import SETTINGS, STRANGE_SETTINGS, strange_alarm
from tests.flows.world import make_rule
from tests.unit.fleet_model import ModelFleet, codes

RULE = make_rule("orders")
MANUAL = replace(RULE, cycle=Cycle("manual", "UTC"))
TWO_DAY_FIELDS = replace(RULE, cycle=Cycle("custom", "UTC", cron="0 3 1 * MON"))
FUNCTION = "rdbkeeper-rule-orders"
LOGS = "/aws/lambda/rdbkeeper-rule-orders"
ALARM = "rdbkeeper-rule-orders-overdue"


@pytest.fixture
def fleet() -> ModelFleet:
    """All that the rule wants."""
    made = ModelFleet()
    made.make(RULE)
    return made


# What is somebody else's


def test_a_strangers_function_under_the_rules_name_is_left_alone_and_nothing_is_put_beside_it(
    fleet: ModelFleet,
) -> None:
    fleet.change_function(FUNCTION, rule=None, settings=STRANGE_SETTINGS)
    fleet.schedules.clear()
    fleet.log_groups.clear()
    (change,) = fleet.plan([RULE])
    assert isinstance(change, LeaveAlone)
    assert (change.code, change.target) == ("NotOurs", FUNCTION)


def test_a_strangers_alarm_is_left_alone_and_the_rest_is_made(fleet: ModelFleet) -> None:
    fleet.alarms[ALARM] = replace(fleet.alarms[ALARM], alarm=strange_alarm(ALARM), rule=None)
    fleet.schedules.clear()
    changes = fleet.plan([RULE])
    assert codes(changes) == ["ScheduleMade", "NotOurs"]
    assert isinstance(changes[1], LeaveAlone)


def test_a_manual_rule_does_not_remove_a_strangers_alarm(fleet: ModelFleet) -> None:
    fleet.alarms[ALARM] = replace(fleet.alarms[ALARM], rule=None)
    assert codes(fleet.plan([MANUAL])) == ["ScheduleRemoved", "NotOurs"]


def test_another_rules_function_under_the_name_is_not_this_rules(fleet: ModelFleet) -> None:
    fleet.change_function(FUNCTION, rule="carts")
    changes = fleet.plan([RULE])
    assert codes(changes) == ["NotOurs", "FunctionMisplaced"]


# Removals


@pytest.mark.parametrize("deleting", [True, False], ids=["marked as deleting", "gone from the table"])
def test_a_deleted_rule_is_taken_down_what_uses_before_what_it_uses(fleet: ModelFleet, deleting: bool) -> None:
    fleet.carry_out(fleet.plan([TWO_DAY_FIELDS]))
    rules = [replace(RULE, state=RuleState.DELETING)] if deleting else []
    deleted = [] if deleting else ["orders"]
    changes = fleet.plan(rules, deleted)
    assert [(change.code, change.target) for change in changes] == [
        ("ScheduleRemoved", "orders"),
        ("ScheduleRemoved", "orders_weekday"),
        ("FunctionRemoved", FUNCTION),
        ("AlarmRemoved", ALARM),
    ]
    fleet.carry_out(changes)
    assert fleet.plan(rules, deleted) == []
    assert list(fleet.log_groups) == [LOGS]


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_removal_that_was_cut_off_goes_on_with_the_rest(fleet: ModelFleet, done: int) -> None:
    changes = fleet.plan([], ["orders"])
    fleet.carry_out(changes[:done])
    assert fleet.plan([], ["orders"]) == changes[done:]


def test_a_name_that_was_deleted_and_is_used_again_is_kept(fleet: ModelFleet) -> None:
    assert fleet.plan([RULE], ["orders"]) == []


def test_a_removal_leaves_what_is_somebody_elses(fleet: ModelFleet) -> None:
    fleet.change_function(FUNCTION, rule=None)
    fleet.alarms[ALARM] = replace(fleet.alarms[ALARM], rule=None)
    assert codes(plan_removal("orders", SETTINGS, fleet.closely())) == ["ScheduleRemoved", "NotOurs"]


def test_nothing_there_leaves_nothing_to_remove() -> None:
    assert plan_removal("orders", SETTINGS, Fleet({}, {}, {}, {})) == []


# Strays


def test_what_no_rule_explains_is_reported_and_kept(fleet: ModelFleet) -> None:
    changes = fleet.plan([])
    assert [(change.code, change.target) for change in changes] == [
        ("FunctionWithoutRule", FUNCTION),
        ("ScheduleWithoutRule", "orders"),
        ("AlarmWithoutRule", ALARM),
    ]
    assert all(isinstance(change, LeaveAlone) and change.rule == "orders" for change in changes)


def test_a_function_with_the_tags_of_a_rule_and_another_name_is_reported(fleet: ModelFleet) -> None:
    fleet.functions["my-copy"] = replace(fleet.functions[FUNCTION], name="my-copy")
    (change,) = fleet.plan([RULE])
    assert isinstance(change, LeaveAlone)
    assert (change.code, change.target) == ("FunctionMisplaced", "my-copy")


def test_strangers_that_are_in_nobodys_way_are_no_business_of_ours(fleet: ModelFleet) -> None:
    fleet.functions["another"] = replace(fleet.functions[FUNCTION], name="another", rule=None)
    fleet.alarms["another"] = replace(fleet.alarms[ALARM], rule=None)
    assert fleet.plan([RULE]) == []


# The stack's end


def test_at_the_stacks_end_everything_of_it_goes_whatever_the_table_says(fleet: ModelFleet) -> None:
    fleet.make(RULE, make_rule("carts", instance="carts", cycle=TWO_DAY_FIELDS.cycle))
    fleet.functions["another"] = replace(fleet.functions[FUNCTION], name="another", rule=None)
    changes = plan_end(SETTINGS, fleet.closely())
    assert [change.rule for change in changes] == ["carts"] * 4 + ["orders"] * 3
    fleet.carry_out(changes)
    assert (list(fleet.functions), fleet.schedules, fleet.alarms) == (["another"], {}, {})
    assert len(fleet.log_groups) == 2


def test_a_schedule_alone_goes_at_the_stacks_end_too(fleet: ModelFleet) -> None:
    fleet.functions.clear()
    fleet.alarms.clear()
    assert codes(plan_end(SETTINGS, fleet.closely())) == ["ScheduleRemoved"]
