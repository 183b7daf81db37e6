"""What every fleet shows of itself, and of its schedules, alarms and log groups as they are put and removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from rdbkeeper.domain.fleet.parts import ScheduleFound, ScheduleWanted
from rdbkeeper.domain.fleet.wanted import wanted_alarm, wanted_schedules
from rdbkeeper.domain.rule import Rule
from tests.contract.fleet_place import Place, aws_place, make_all, make_function, make_rule, place, plan_for
from tests.fakes.fleet_parts import LATER

__all__ = ["aws_place", "place"]


def wanted_schedule(place: Place, rule: Rule) -> ScheduleWanted:
    (schedule,) = wanted_schedules(rule, place.fleet.prototype())
    return schedule


# The prototype


def test_the_prototype_is_shown_as_it_is_deployed(place: Place) -> None:
    prototype = place.fleet.prototype()
    settings = prototype.settings
    assert prototype.stack.stack == "rdbkeeper"
    assert prototype.arn.endswith(":function:rdbkeeper-run-rule")
    assert prototype.alias_arn("rdbkeeper-rule-a", "live") == f"{prototype.arn[:-8]}rule-a:live"
    assert (settings.timeout_s, settings.architecture, settings.ephemeral_storage_mb) == (900, "arm64", 512)
    assert (settings.durable_timeout_s, settings.durable_retention_days) == (86_400, 14)
    assert (settings.log_format, settings.log_group) == ("JSON", "/aws/lambda/rdbkeeper-run-rule")
    assert ("RDBKEEPER_STACK", "rdbkeeper") in settings.environment
    assert "RDBKEEPER_RULE" not in dict(settings.environment)


def test_a_deploy_is_seen_and_drifts_every_function(place: Place) -> None:
    rule = make_rule()
    sent = make_all(place, rule)
    before = place.fleet.prototype()
    after = place.deploy(new_code=True, memory_mb=before.settings.memory_mb + 64)
    assert after.code_sha256 != before.code_sha256
    assert after.settings == replace(before.settings, memory_mb=before.settings.memory_mb + 64)
    assert plan_for(place, rule, sent) == ["FunctionUpdated", "VersionReleased"]


# A listing, and a closer look


def test_a_listing_leaves_open_where_aliases_point_and_a_closer_look_shows_it(place: Place) -> None:
    rule = make_rule()
    make_function(place, rule)
    name = f"rdbkeeper-rule-{rule.name}"
    listed = place.fleet.observe().functions[name]
    closer = place.fleet.look_closely(rule.name).functions[name]
    assert (listed.rule, listed.alias_version, closer.alias_version) == (rule.name, None, 1)
    assert replace(listed, alias_version=1) == closer
    assert [version.number for version in listed.versions] == [1]


def test_a_listing_and_a_closer_look_show_the_same_of_everything_else(place: Place) -> None:
    rule = make_rule()
    make_all(place, rule)
    listed, closer = place.fleet.observe(), place.fleet.look_closely(rule.name)
    for name, schedule in closer.schedules.items():
        assert listed.schedules[name] == replace(schedule, fingerprint="")
    for name, alarm in closer.alarms.items():
        assert listed.alarms[name] == alarm
    for name, days in closer.log_groups.items():
        assert listed.log_groups[name] == days
    assert [len(part) for part in (closer.schedules, closer.alarms, closer.log_groups)] == [1, 1, 1]


def test_the_prototype_and_other_functions_are_no_part_of_the_fleet(place: Place) -> None:
    make_function(place, make_rule())
    place.make_stranger_alarm("another-overdue")
    found = place.fleet.observe()
    assert all(name.startswith("rdbkeeper-rule-") for name in [*found.functions, *found.alarms])


def test_a_closer_look_at_what_is_not_there_shows_nothing(place: Place) -> None:
    rule = make_rule()
    make_all(place, replace(rule, name=f"{rule.name}-longer"))
    found = place.fleet.look_closely(rule.name)
    assert (found.functions, found.schedules, found.alarms, found.log_groups) == ({}, {}, {}, {})


def test_what_is_missing_is_what_is_planned(place: Place) -> None:
    rule = make_rule()
    made = ["LogGroupMade", "FunctionMade", "VersionReleased", "ScheduleMade", "AlarmMade"]
    assert plan_for(place, rule, {}) == made
    assert plan_for(place, rule, {}, closely=True) == made


# Log groups


def test_logs_are_kept_as_long_as_the_template_says_again(place: Place) -> None:
    rule = make_rule()
    name = f"/aws/lambda/rdbkeeper-rule-{rule.name}"
    place.fleet.keep_logs(rule.name)
    assert place.fleet.look_closely(rule.name).log_groups == {name: 90}
    place.keep_logs_for_ever(rule)
    assert place.fleet.look_closely(rule.name).log_groups == {name: 0}
    assert place.fleet.observe().log_groups[name] == 0
    place.fleet.keep_logs(rule.name)
    assert place.fleet.look_closely(rule.name).log_groups == {name: 90}


# Schedules


def test_a_schedule_says_when_it_was_put_in_whole_seconds(place: Place) -> None:
    rule = make_rule()
    make_function(place, rule)
    schedule = wanted_schedule(place, rule)
    modified_at = place.fleet.put_schedule(schedule, datetime.now(UTC))
    assert (modified_at.tzinfo, modified_at.microsecond) == (UTC, 0)
    expected = ScheduleFound(rule.name, enabled=True, target_arn=schedule.target_arn, modified_at=modified_at)
    closer = replace(expected, fingerprint=schedule.fingerprint)
    assert place.fleet.look_closely(rule.name).schedules == {rule.name: closer}
    assert place.fleet.observe().schedules[rule.name] == expected


def test_a_schedule_is_replaced_whole(place: Place) -> None:
    rule = make_rule()
    make_function(place, rule)
    schedule = wanted_schedule(place, rule)
    place.fleet.put_schedule(schedule, datetime.now(UTC))
    place.fleet.put_schedule(replace(schedule, enabled=False), datetime.now(UTC))
    (found,) = place.fleet.look_closely(rule.name).schedules.values()
    assert not found.enabled
    place.fleet.put_schedule(schedule, datetime.now(UTC))
    (found,) = place.fleet.look_closely(rule.name).schedules.values()
    assert found.enabled


def test_a_schedule_that_somebody_else_changed_tells_of_it(place: Place) -> None:
    rule = make_rule()
    sent = make_all(place, rule)
    place.switch_off_schedule(rule.name)
    found = place.fleet.observe().schedules[rule.name]
    assert (found.enabled, found.modified_at > sent[rule.name].modified_at) == (False, True)
    assert plan_for(place, rule, sent) == ["SchedulePutRight"]
    assert plan_for(place, rule, make_all(place, rule)) == []


# Alarms


def test_an_alarm_that_somebody_else_changed_is_put_right(place: Place) -> None:
    rule = make_rule()
    sent = make_all(place, rule)
    place.silence_alarm(rule)
    assert plan_for(place, rule, sent) == ["AlarmSwitchedOn"]
    assert plan_for(place, rule, sent, closely=True) == ["AlarmSwitchedOn"]
    stack = place.fleet.prototype().stack
    wanted = wanted_alarm(rule, stack, LATER)
    assert wanted is not None
    place.fleet.put_alarm(rule.name, wanted)
    found = place.fleet.look_closely(rule.name).alarms[stack.alarm_name(rule.name)]
    assert (found.alarm, found.rule) == (wanted, rule.name)
