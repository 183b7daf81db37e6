"""Each difference between the rules and the fleet gives its own change, in a safe order; no difference gives none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.fleet.changes import (
    LeaveAlone,
    MakeFunction,
    PutAlarm,
    PutSchedule,
    RemoveVersion,
    UpdateFunction,
)
from rdbkeeper.domain.fleet.plan import needs_closer_look
from rdbkeeper.domain.fleet.settings import NO_NETWORK, Network
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.source import SourceAccess
from tests.fakes.fleet_parts import SETTINGS, STRANGE_SETTINGS
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


# Nothing, and everything


def test_a_rule_with_nothing_gets_everything_what_makes_before_what_uses() -> None:
    changes = ModelFleet().plan([replace(RULE, state=RuleState.CREATING)])
    assert codes(changes) == ["LogGroupMade", "FunctionMade", "VersionReleased", "ScheduleMade", "AlarmMade"]
    assert [change.target for change in changes] == [LOGS, FUNCTION, FUNCTION, "orders", ALARM]
    assert {change.rule for change in changes} == {"orders"}


def test_a_fleet_that_equals_the_rules_needs_nothing(fleet: ModelFleet) -> None:
    assert fleet.plan([RULE]) == []
    assert fleet.plan([RULE], closely=False) == []


def test_no_rules_and_no_fleet_need_nothing() -> None:
    assert ModelFleet().plan([]) == []


def test_rules_are_planned_each_for_itself(fleet: ModelFleet) -> None:
    other = make_rule("carts", instance="carts")
    changes = fleet.plan([other, RULE])
    assert {change.rule for change in changes} == {"carts"}
    fleet.carry_out(changes)
    assert fleet.plan([other, RULE]) == []


def test_a_change_is_told_as_plain_data(fleet: ModelFleet) -> None:
    del fleet.log_groups[LOGS]
    (change,) = fleet.plan([RULE])
    assert change.as_record() == {
        "rule": "orders",
        "target": LOGS,
        "code": "LogGroupMade",
        "reason": f"There is no log group {LOGS}.",
    }


# Each difference, and the change that it gives


DIFFERENCES: list[tuple[str, Callable[[ModelFleet], object], list[str]]] = [
    ("the log group is gone", lambda fleet: fleet.log_groups.clear(), ["LogGroupMade"]),
    ("logs never expire", lambda fleet: fleet.log_groups.update({LOGS: 0}), ["LogRetentionSet"]),
    ("logs expire too soon", lambda fleet: fleet.log_groups.update({LOGS: 1}), ["LogRetentionSet"]),
    ("the function is gone", lambda fleet: fleet.functions.clear(), ["FunctionMade", "VersionReleased"]),
    ("other code is deployed", lambda fleet: fleet.deploy("code-2"), ["FunctionUpdated", "VersionReleased"]),
    ("other settings are", lambda fleet: fleet.deploy(memory_mb=2048), ["FunctionUpdated", "VersionReleased"]),
    # Lambda publishes nothing when the function is again as its newest version; the alias is looked after all the same.
    (
        "the code was changed",
        lambda fleet: fleet.change_function(FUNCTION, code_sha256="x"),
        ["FunctionUpdated", "VersionReleased"],
    ),
    (
        "the settings were changed",
        lambda fleet: fleet.change_function(FUNCTION, settings=STRANGE_SETTINGS),
        ["FunctionUpdated", "VersionReleased"],
    ),
    ("there is no version", lambda fleet: fleet.change_function(FUNCTION, versions=()), ["VersionReleased"]),
    ("the alias is gone", lambda fleet: fleet.change_function(FUNCTION, alias_version=0), ["AliasMoved"]),
    ("the alias points elsewhere", lambda fleet: fleet.change_function(FUNCTION, alias_version=7), ["AliasMoved"]),
    ("the schedule is gone", lambda fleet: fleet.schedules.clear(), ["ScheduleMade"]),
    ("the schedule is off", lambda fleet: fleet.change_schedule("orders", enabled=False), ["SchedulePutRight"]),
    ("the schedule starts something else", lambda f: f.change_schedule("orders", target_arn="x"), ["SchedulePutRight"]),
    (
        "the schedule was changed by somebody else",
        lambda fleet: fleet.change_schedule("orders", modified_at=fleet.now + timedelta(seconds=1)),
        ["SchedulePutRight"],
    ),
    ("the schedule says something else", lambda f: f.change_schedule("orders", fingerprint="x"), ["SchedulePutRight"]),
    ("nothing is on record about the schedule", lambda fleet: fleet.sent.clear(), ["SchedulePutRight"]),
    ("the alarm is gone", lambda fleet: fleet.alarms.clear(), ["AlarmMade"]),
    ("the alarm was changed", lambda fleet: fleet.change_alarm(ALARM, threshold=99.0), ["AlarmPutRight"]),
    ("the alarm tells nobody", lambda fleet: fleet.change_alarm(ALARM, action_arns=()), ["AlarmSwitchedOn"]),
]


@pytest.mark.parametrize("_, differ, expected", DIFFERENCES, ids=[one[0] for one in DIFFERENCES])
def test_a_difference_gives_exactly_its_change_and_then_nothing(
    fleet: ModelFleet, _: str, differ: Callable[[ModelFleet], object], expected: list[str]
) -> None:
    differ(fleet)
    changes = fleet.plan([RULE])
    assert codes(changes) == expected
    assert all(change.reason.endswith(".") for change in changes)
    fleet.carry_out(changes)
    fleet.carry_out(fleet.plan([RULE]))  # what the first round made old
    assert fleet.plan([RULE]) == []


def test_each_kind_of_change_of_a_schedule_says_why(fleet: ModelFleet) -> None:
    fleet.change_schedule("orders", enabled=False)
    assert fleet.plan([RULE])[0].reason == "The schedule orders is off."
    fleet.change_schedule("orders", enabled=True, target_arn="x")
    assert fleet.plan([RULE])[0].reason == "The schedule orders starts something else."


# Functions


def test_an_update_names_what_differs(fleet: ModelFleet) -> None:
    fleet.deploy("code-2", memory_mb=2048)
    update = fleet.plan([RULE])[0]
    assert isinstance(update, UpdateFunction)
    assert update.differences == ("code", "memory mb")
    assert update.settings.memory_mb == 2048
    assert update.reason == f"{FUNCTION} differs from the prototype in code, memory mb."


def test_an_update_that_was_cut_off_before_its_version_is_released(fleet: ModelFleet) -> None:
    fleet.deploy("code-2")
    fleet.carry_out(fleet.plan([RULE])[:1])
    assert codes(fleet.plan([RULE], closely=False)) == ["VersionReleased"]


def test_old_versions_go_only_when_it_is_known_that_the_alias_is_elsewhere(fleet: ModelFleet) -> None:
    fleet.deploy("code-2")
    fleet.carry_out(fleet.plan([RULE]))
    assert fleet.plan([RULE], closely=False) == []
    (removal,) = fleet.plan([RULE])
    assert isinstance(removal, RemoveVersion)
    assert (removal.version, removal.code) == (1, "VersionRemoved")


def test_old_versions_stay_while_the_alias_is_moved(fleet: ModelFleet) -> None:
    fleet.deploy("code-2")
    fleet.carry_out(fleet.plan([RULE]))
    fleet.change_function(FUNCTION, alias_version=1)
    (change,) = fleet.plan([RULE])
    assert (change.code, change.reason) == (
        "AliasMoved",
        f"The alias live of {FUNCTION} points at version 1; version 2 is wanted.",
    )


def test_a_missing_alias_is_called_missing(fleet: ModelFleet) -> None:
    fleet.change_function(FUNCTION, alias_version=0)
    assert fleet.plan([RULE])[0].reason == f"The alias live of {FUNCTION} is missing; version 1 is wanted."


def test_a_missing_alias_is_not_guessed_from_a_listing(fleet: ModelFleet) -> None:
    fleet.change_function(FUNCTION, alias_version=0)
    assert fleet.plan([RULE], closely=False) == []


def test_a_version_as_wanted_is_not_gone_back_to_behind_a_newer_one(fleet: ModelFleet) -> None:
    fleet.deploy("code-2")
    fleet.carry_out(fleet.plan([RULE]))
    fleet.deploy("code-1")
    fleet.carry_out(fleet.plan([RULE]))
    assert fleet.functions[FUNCTION].alias_version == 3


def test_only_old_versions_beside_the_one_in_use_ask_for_a_closer_look(fleet: ModelFleet) -> None:
    assert not needs_closer_look(RULE, SETTINGS, fleet.listed())
    fleet.deploy("code-2")
    fleet.carry_out(fleet.plan([RULE]))
    assert needs_closer_look(RULE, SETTINGS, fleet.listed())
    assert not needs_closer_look(RULE, SETTINGS, fleet.closely())
    assert not needs_closer_look(RULE, SETTINGS, ModelFleet().listed())


def test_a_function_is_made_with_what_the_prototype_has(fleet: ModelFleet) -> None:
    fleet.deploy(layer_arns=("a layer",))
    fleet.functions.clear()
    made = next(change for change in fleet.plan([RULE]) if isinstance(change, MakeFunction))
    assert made.settings.layer_arns == ("a layer",)


# Roles


def test_a_rule_whose_role_is_no_longer_allowed_keeps_its_function_and_is_reported(fleet: ModelFleet) -> None:
    fleet.deploy("code-2")
    (report,) = fleet.plan([replace(RULE, role="reader")])
    assert isinstance(report, LeaveAlone)
    assert report.code == "RoleNotAllowed"
    assert "'reader'" in report.reason and report.reason.endswith("Its function is left as it is.")


def test_no_schedule_is_made_for_a_function_that_may_not_be_made() -> None:
    changes = ModelFleet().plan([replace(RULE, role="reader")])
    assert codes(changes) == ["LogGroupMade", "RoleNotAllowed", "AlarmMade"]


@pytest.mark.parametrize("changes", [{"alias_version": 0}, {"versions": (), "alias_version": None}], ids=str)
def test_a_function_that_may_not_be_put_right_gets_no_schedule_while_there_is_nothing_to_start(
    fleet: ModelFleet, changes: dict[str, Any]
) -> None:
    fleet.change_function(FUNCTION, **changes)
    fleet.schedules.clear()
    assert codes(fleet.plan([replace(RULE, role="reader")])) == ["RoleNotAllowed"]


def test_a_schedule_that_is_too_many_goes_even_so(fleet: ModelFleet) -> None:
    fleet.change_function(FUNCTION, alias_version=0)
    assert codes(fleet.plan([replace(MANUAL, role="reader")])) == ["RoleNotAllowed", "ScheduleRemoved", "AlarmRemoved"]


def test_a_role_that_is_allowed_is_a_setting_like_any_other(fleet: ModelFleet) -> None:
    arn = "arn:aws:iam::000000000000:role/reader"
    fleet.prototype = replace(fleet.prototype, stack=replace(SETTINGS, rule_role_arns=(arn,)))
    changes = fleet.plan([replace(RULE, role="reader")])
    assert codes(changes) == ["FunctionUpdated", "VersionReleased"]
    assert isinstance(changes[0], UpdateFunction) and changes[0].settings.role_arn == arn


# The network

NETWORK = Network(("subnet-1",), ("sg-1",))
LIVE = replace(RULE, provider="redis", access=SourceAccess(address="redis.internal:6379"))


def with_network(fleet: ModelFleet, network: Network) -> ModelFleet:
    fleet.prototype = replace(fleet.prototype, stack=replace(fleet.prototype.stack, network=network))
    return fleet


def updated(fleet: ModelFleet, rule: Rule) -> UpdateFunction:
    """The one update that the rule's function needs, and carries out."""
    changes = fleet.plan([rule])
    assert codes(changes) == ["FunctionUpdated", "VersionReleased"]
    fleet.carry_out(changes)
    update = changes[0]
    assert isinstance(update, UpdateFunction)
    return update


def test_an_edit_to_a_server_and_back_puts_the_function_into_the_network_and_takes_it_out(fleet: ModelFleet) -> None:
    with_network(fleet, NETWORK)
    assert codes(fleet.plan([RULE])) == []
    assert updated(fleet, LIVE).settings.subnet_ids == NETWORK.subnet_ids
    taken_out = updated(fleet, RULE)
    assert (taken_out.settings.subnet_ids, taken_out.settings.security_group_ids) == ((), ())


def test_a_network_that_was_deployed_anew_is_followed(fleet: ModelFleet) -> None:
    updated(with_network(fleet, NETWORK), LIVE)
    changed = updated(with_network(fleet, Network(("subnet-1", "subnet-2"), ("sg-1",))), LIVE)
    assert changed.differences == ("subnet ids",)
    assert updated(with_network(fleet, NO_NETWORK), LIVE).settings.security_group_ids == ()


def test_a_network_that_somebody_changed_by_hand_is_put_right(fleet: ModelFleet) -> None:
    by_hand = replace(fleet.functions[FUNCTION].settings, subnet_ids=("subnet-9",), security_group_ids=("sg-9",))
    fleet.change_function(FUNCTION, settings=by_hand)
    assert "subnet ids, security group ids" in updated(fleet, RULE).reason


def test_a_rule_whose_network_is_but_half_there_keeps_its_function_and_is_reported(fleet: ModelFleet) -> None:
    updated(with_network(fleet, NETWORK), LIVE)
    with_network(fleet, Network(subnet_ids=("subnet-1",))).deploy("code-2")
    (report,) = fleet.plan([LIVE])
    assert isinstance(report, LeaveAlone)
    assert report.code == "NetworkIncomplete"
    assert "no VpcSecurityGroupIds" in report.reason


# Schedules and alarms


def test_a_manual_rule_has_neither_schedule_nor_alarm(fleet: ModelFleet) -> None:
    assert codes(fleet.plan([MANUAL])) == ["ScheduleRemoved", "AlarmRemoved"]
    assert codes(ModelFleet().plan([MANUAL])) == ["LogGroupMade", "FunctionMade", "VersionReleased"]


def test_a_paused_rules_schedules_are_switched_off_and_on_again(fleet: ModelFleet) -> None:
    paused = replace(RULE, state=RuleState.PAUSED)
    (change,) = fleet.plan([paused])
    assert isinstance(change, PutSchedule)
    assert (change.schedule.enabled, change.is_new, change.reason) == (False, False, "The schedule orders is on.")
    fleet.carry_out([change])
    assert fleet.plan([paused]) == []
    assert fleet.plan([RULE])[0].reason == "The schedule orders is off."


def test_a_schedule_of_a_paused_rule_that_is_gone_is_made_switched_off(fleet: ModelFleet) -> None:
    fleet.schedules.clear()
    (change,) = fleet.plan([replace(RULE, state=RuleState.PAUSED)])
    assert isinstance(change, PutSchedule)
    assert (change.schedule.enabled, change.is_new) == (False, True)


def test_what_a_schedule_says_is_seen_closely_and_by_a_listing_only_that_somebody_changed_it(fleet: ModelFleet) -> None:
    fleet.change_schedule("orders", fingerprint="x")
    assert fleet.plan([RULE])[0].reason == "The schedule orders is not what the rule says."
    assert fleet.plan([RULE], closely=False) == []
    fleet.change_schedule("orders", modified_at=fleet.now + timedelta(seconds=1))
    assert fleet.plan([RULE], closely=False)[0].reason == "Somebody else changed the schedule orders."


def test_a_cron_with_both_day_fields_has_two_schedules_and_leaves_one_when_it_is_edited(fleet: ModelFleet) -> None:
    changes = fleet.plan([TWO_DAY_FIELDS])
    assert [(change.code, change.target) for change in changes] == [
        ("SchedulePutRight", "orders"),
        ("ScheduleMade", "orders_weekday"),
    ]
    assert changes[0].reason == "The schedule orders is not what the rule says."
    fleet.carry_out(changes)
    assert fleet.plan([TWO_DAY_FIELDS]) == []
    assert [(change.code, change.target) for change in fleet.plan([RULE])] == [
        ("SchedulePutRight", "orders"),
        ("ScheduleRemoved", "orders_weekday"),
    ]


def test_an_alarm_is_made_as_it_is_wanted(fleet: ModelFleet) -> None:
    fleet.change_alarm(ALARM, threshold=99.0)
    (change,) = fleet.plan([RULE])
    assert isinstance(change, PutAlarm)
    assert (change.alarm.threshold, change.target) == (0.0, ALARM)
