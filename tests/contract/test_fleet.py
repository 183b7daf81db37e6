"""What every fleet keeps when it makes and changes things: in memory, and in Lambda, Scheduler, CloudWatch and Logs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import FleetRefused, NotOurs
from rdbkeeper.domain.fleet.parts import FunctionFound
from rdbkeeper.domain.fleet.wanted import wanted_alarm
from rdbkeeper.domain.rule import Rule, RuleState
from tests.contract.fleet_place import (
    Place,
    aws_place,
    make_all,
    make_function,
    make_rule,
    place,
    plan_for,
    settings_for,
)
from tests.fakes.fleet_parts import LATER

__all__ = ["aws_place", "place"]

CYCLES = {
    "daily": Cycle(kind="daily", at="02:30", time_zone="Asia/Tokyo"),
    "two schedules": Cycle(kind="custom", cron="0 3 1 * MON", time_zone="UTC"),
    "rate": Cycle(kind="custom", cron="rate(12 hours)", time_zone="UTC"),
    "manual": Cycle(kind="manual", time_zone="UTC"),
}


def find_function(place: Place, rule: Rule) -> FunctionFound:
    (found,) = place.fleet.look_closely(rule.name).functions.values()
    return found


def numbers(function: FunctionFound) -> list[int]:
    return [version.number for version in function.versions]


# Making


@pytest.mark.parametrize("cycle", CYCLES.values(), ids=CYCLES)
def test_what_was_made_is_what_was_wanted(place: Place, cycle: Cycle) -> None:
    rule = make_rule(cycle=cycle)
    sent = make_all(place, rule)
    assert plan_for(place, rule, sent) == []
    assert plan_for(place, rule, sent, closely=True) == []


def test_what_was_made_for_a_paused_rule_is_what_was_wanted(place: Place) -> None:
    rule = make_rule(state=RuleState.PAUSED)
    sent = make_all(place, rule)
    assert [found.enabled for found in place.fleet.look_closely(rule.name).schedules.values()] == [False]
    assert plan_for(place, rule, sent) == []


def test_making_again_what_an_earlier_attempt_made_is_no_error(place: Place) -> None:
    rule = make_rule()
    sent = make_all(place, rule)
    again = make_all(place, rule)
    assert numbers(find_function(place, rule)) == [1]
    assert again.keys() == sent.keys()
    assert plan_for(place, rule, again) == []


def test_a_function_that_is_made_and_not_released_can_be_released_at_once(place: Place) -> None:
    rule = make_rule()
    settings = settings_for(place, rule)
    place.fleet.make_function(rule.name, settings)
    found = find_function(place, rule)
    assert (found.settings, found.versions, found.alias_version) == (settings, (), 0)
    assert place.fleet.release(rule.name) == 1


# Updating


def test_a_function_follows_the_prototypes_code(place: Place) -> None:
    rule = make_rule()
    settings = make_function(place, rule)
    prototype = place.deploy(new_code=True)
    assert find_function(place, rule).differences(settings, prototype.code_sha256) == ("code",)
    place.fleet.update_function(rule.name, settings, ("code",))
    assert find_function(place, rule).differences(settings, prototype.code_sha256) == ()


def test_a_function_that_is_made_after_a_deploy_has_the_new_code(place: Place) -> None:
    make_function(place, make_rule())
    prototype = place.deploy(new_code=True)
    rule = make_rule()
    make_function(place, rule)
    assert find_function(place, rule).code_sha256 == prototype.code_sha256


def test_every_setting_can_be_changed_and_taken_away(place: Place) -> None:
    rule = make_rule()
    made = make_function(place, rule)
    changed = replace(
        made,
        runtime="python3.14",
        handler="app.other",
        description="changed",
        timeout_s=60,
        memory_mb=256,
        architecture="x86_64",
        ephemeral_storage_mb=1024,
        layer_arns=(),
        environment=(("OTHER", "value"),),
        kms_key_arn="arn:aws:kms:us-east-1:000000000000:key/some",
        subnet_ids=("subnet-1", "subnet-2"),
        security_group_ids=("sg-1",),
        durable_timeout_s=600,
        durable_retention_days=1,
        log_group="/elsewhere",
        log_format="Text",
        application_log_level="",
        system_log_level="",
    )
    emptied = replace(
        changed,
        description="",
        environment=(),
        kms_key_arn="",
        layer_arns=(),
        subnet_ids=(),
        security_group_ids=(),
    )
    for wanted in (changed, emptied, made):
        there = find_function(place, rule)
        differences = there.differences(wanted, there.code_sha256)
        assert differences
        place.fleet.update_function(rule.name, wanted, differences)
        assert find_function(place, rule).settings == wanted


def test_a_function_in_a_network_is_what_was_wanted_and_its_versions_are_too(place: Place) -> None:
    rule = make_rule()
    wanted = replace(settings_for(place, rule), subnet_ids=("subnet-1", "subnet-2"), security_group_ids=("sg-1",))
    place.fleet.make_function(rule.name, wanted)
    place.fleet.release(rule.name)
    found = find_function(place, rule)
    assert found.settings == wanted
    assert [version.settings for version in found.versions] == [wanted]


def test_an_update_changes_no_version(place: Place) -> None:
    rule = make_rule()
    made = make_function(place, rule)
    place.fleet.update_function(rule.name, replace(made, memory_mb=256), ("memory mb",))
    found = find_function(place, rule)
    assert [version.settings for version in found.versions] == [made]
    assert found.alias_version == 1


def test_a_function_that_was_not_made_durable_cannot_become_it(place: Place) -> None:
    rule = make_rule()
    durable = settings_for(place, rule)
    place.fleet.make_function(rule.name, replace(durable, durable_timeout_s=0, durable_retention_days=0))
    with pytest.raises(FleetRefused):
        place.fleet.update_function(rule.name, durable, ("durable timeout s", "durable retention days"))


# Releasing


def test_a_release_without_a_change_is_the_same_version(place: Place) -> None:
    rule = make_rule()
    make_function(place, rule)
    assert place.fleet.release(rule.name) == 1
    assert numbers(find_function(place, rule)) == [1]


def test_a_release_after_a_change_is_a_new_version_and_the_alias_points_there(place: Place) -> None:
    rule = make_rule()
    changed = replace(make_function(place, rule), memory_mb=256)
    place.fleet.update_function(rule.name, changed, ("memory mb",))
    assert place.fleet.release(rule.name) == 2
    found = find_function(place, rule)
    assert (numbers(found), found.alias_version, found.versions[1].settings) == ([1, 2], 2, changed)


@pytest.mark.parametrize("version", [1, 0])
def test_a_release_puts_back_an_alias_that_somebody_moved_or_deleted(place: Place, version: int) -> None:
    rule = make_rule()
    changed = replace(make_function(place, rule), memory_mb=256)
    place.fleet.update_function(rule.name, changed, ("memory mb",))
    place.fleet.release(rule.name)
    place.point_alias(rule, version)
    assert find_function(place, rule).alias_version == version
    assert place.fleet.release(rule.name) == 2
    assert find_function(place, rule).alias_version == 2


# Runs


def test_a_run_that_was_started_is_going_until_it_is_stopped(place: Place) -> None:
    rule = make_rule()
    make_function(place, rule)
    assert place.fleet.find_going_run(rule.name) is None
    execution = place.fleet.start_run(rule.name, f"{rule.name}-first")
    assert f":function:rdbkeeper-rule-{rule.name}:1/durable-execution/{rule.name}-first/" in execution
    assert place.fleet.find_going_run(rule.name) == execution
    assert place.fleet.stop_runs(rule.name) == 1
    assert place.fleet.find_going_run(rule.name) is None
    assert place.fleet.stop_runs(rule.name) == 0


def test_a_run_is_started_once_for_a_name_also_on_another_version(place: Place) -> None:
    rule = make_rule()
    changed = replace(make_function(place, rule), memory_mb=256)
    first = place.fleet.start_run(rule.name, f"{rule.name}-first")
    assert place.fleet.start_run(rule.name, f"{rule.name}-first") == first
    place.fleet.update_function(rule.name, changed, ("memory mb",))
    place.fleet.release(rule.name)
    assert place.fleet.start_run(rule.name, f"{rule.name}-first") == first
    second = place.fleet.start_run(rule.name, f"{rule.name}-second")
    assert ":2/durable-execution/" in second
    assert place.fleet.stop_runs(rule.name) == 2
    assert place.fleet.start_run(rule.name, f"{rule.name}-first") == first
    assert place.fleet.find_going_run(rule.name) is None


def test_a_runs_name_belongs_to_one_rule(place: Place) -> None:
    rules = make_rule(), make_rule()
    for rule in rules:
        make_function(place, rule)
    place.fleet.start_run(rules[0].name, f"{rules[0].name}-one")
    with pytest.raises(FleetRefused):
        place.fleet.start_run(rules[1].name, f"{rules[0].name}-one")


@pytest.mark.parametrize("name", ["", "a" * 65, "a.b", "a b", "é"])
def test_what_cannot_name_a_run_is_refused(place: Place, name: str) -> None:
    rule = make_rule()
    make_function(place, rule)
    with pytest.raises(FleetRefused):
        place.fleet.start_run(rule.name, name)


# Removing


def test_a_version_that_nothing_needs_is_removed_once(place: Place) -> None:
    rule = make_rule()
    changed = replace(make_function(place, rule), memory_mb=256)
    place.fleet.update_function(rule.name, changed, ("memory mb",))
    place.fleet.release(rule.name)
    for _ in range(2):
        assert place.fleet.remove_version(rule.name, 1)
    assert numbers(find_function(place, rule)) == [2]


def test_a_version_that_the_alias_points_at_stays(place: Place) -> None:
    rule = make_rule()
    make_function(place, rule)
    assert not place.fleet.remove_version(rule.name, 1)
    assert numbers(find_function(place, rule)) == [1]


def test_a_version_that_a_run_is_going_on_stays_until_it_has_ended(place: Place) -> None:
    rule = make_rule()
    changed = replace(make_function(place, rule), memory_mb=256)
    place.fleet.start_run(rule.name, f"{rule.name}-first")
    place.fleet.update_function(rule.name, changed, ("memory mb",))
    place.fleet.release(rule.name)
    assert not place.fleet.remove_version(rule.name, 1)
    assert numbers(find_function(place, rule)) == [1, 2]
    place.fleet.stop_runs(rule.name)
    assert place.fleet.remove_version(rule.name, 1)


def test_a_version_number_is_never_used_again(place: Place) -> None:
    rule = make_rule()
    made = make_function(place, rule)
    for memory_mb in (256, 320):
        place.fleet.update_function(rule.name, replace(made, memory_mb=memory_mb), ("memory mb",))
        place.fleet.release(rule.name)
    place.point_alias(rule, 1)
    assert place.fleet.remove_version(rule.name, 3)
    assert place.fleet.release(rule.name) == 4


def test_removing_leaves_the_log_group_and_nothing_else(place: Place) -> None:
    rule = make_rule(cycle=CYCLES["two schedules"])
    prototype = place.fleet.prototype()
    make_all(place, rule)
    for _ in range(2):  # what is gone is no error
        for name in (rule.name, f"{rule.name}_weekday"):
            place.fleet.remove_schedule(name)
        place.fleet.remove_alarm(rule.name, prototype.stack.alarm_name(rule.name))
        place.fleet.stop_runs(rule.name)
        place.fleet.remove_function(rule.name)
    found = place.fleet.look_closely(rule.name)
    assert (found.functions, found.schedules, found.alarms) == ({}, {}, {})
    assert found.log_groups == {prototype.stack.log_group(rule.name): 90}


def test_a_function_that_is_not_there_has_no_runs_and_no_versions(place: Place) -> None:
    rule = make_rule()
    assert place.fleet.find_going_run(rule.name) is None
    assert place.fleet.stop_runs(rule.name) == 0
    assert place.fleet.remove_version(rule.name, 1)


def test_a_function_that_is_not_there_cannot_be_changed(place: Place) -> None:
    rule = make_rule()
    settings = settings_for(place, rule)
    acts = (
        lambda: place.fleet.update_function(rule.name, settings, ("memory mb",)),
        lambda: place.fleet.release(rule.name),
        lambda: place.fleet.start_run(rule.name, "name"),
    )
    for act in acts:
        with pytest.raises(FleetRefused):
            act()


# Strangers


def test_a_strangers_function_is_shown_as_such_and_never_changed(place: Place) -> None:
    rule = make_rule()
    settings = settings_for(place, rule)
    name = f"rdbkeeper-rule-{rule.name}"
    place.make_stranger_function(name)
    before = place.fleet.look_closely(rule.name).functions[name]
    assert before.rule is None
    acts = (
        lambda: place.fleet.make_function(rule.name, settings),
        lambda: place.fleet.update_function(rule.name, settings, ("code", "memory mb")),
        lambda: place.fleet.release(rule.name),
        lambda: place.fleet.remove_version(rule.name, 1),
        lambda: place.fleet.stop_runs(rule.name),
        lambda: place.fleet.start_run(rule.name, "name"),
        lambda: place.fleet.remove_function(rule.name),
    )
    for act in acts:
        with pytest.raises(NotOurs):
            act()
    assert place.fleet.look_closely(rule.name).functions[name] == before
    assert place.fleet.observe().functions[name] == before
    assert plan_for(place, rule, {}) == ["NotOurs"]


def test_a_strangers_alarm_is_shown_as_such_and_never_changed(place: Place) -> None:
    rule = make_rule()
    stack = place.fleet.prototype().stack
    name = stack.alarm_name(rule.name)
    place.make_stranger_alarm(name)
    before = place.fleet.look_closely(rule.name).alarms[name]
    assert before.rule is None
    wanted = wanted_alarm(rule, stack, LATER)
    assert wanted is not None
    acts = (
        lambda: place.fleet.put_alarm(rule.name, wanted),
        lambda: place.fleet.remove_alarm(rule.name, name),
    )
    for act in acts:
        with pytest.raises(NotOurs):
            act()
    assert place.fleet.look_closely(rule.name).alarms[name] == before
    assert place.fleet.observe().alarms[name] == before
