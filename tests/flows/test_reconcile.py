"""Making the fleet equal the rules: what is repaired, what is only reported, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rdbkeeper.domain.errors import FleetDenied, FleetUnavailable
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.ports import Record
from tests.flows.desk import ALARM, ARCHIVIST, FUNCTION, LOG_GROUP, NAME, Desk, new_rule
from tests.flows.disturbances import count_calls
from tests.flows.order import disorders, picture
from tests.flows.requests import BOTH_DAYS, half_created, half_deleted, made, tampered_with

HOUR_S = 3600
DAY_S = 24 * HOUR_S


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def codes(answer: Record, what: str = "repairs") -> list[str]:
    return [record["code"] for record in answer[what]]


def test_a_fleet_that_equals_the_rules_is_read_in_pages_and_only_the_probe_is_written(desk: Desk) -> None:
    desk.register.create(new_rule("second", instance="sessions"))
    desk.reconcile().run()
    calls = count_calls(lambda through: desk.reconcile(through).run())
    assert calls == [
        "MemoryRuleTable.fleet_has_ended",
        "MemoryRuleTable.rules",
        "MemoryRuleTable.statuses",
        "MemoryRunTable.freezes",
        "MemoryFleet.observe",
        "MemoryRuleTable.rules",
        "MemoryRuleTable.sent_schedules",
        "MemoryRuleTable.deletions",
        "MemoryFleet.prototype",
        "MemoryVaultTable.probes",
        "MemoryVaultTable.vaults",
        "MemoryAdapters.probe_vault",
        "MemoryVaultTable.record_probe",
        "MemoryVaultTable.probes",
        "MemoryVaultTable.vaults",
        "MemorySource.instances",
    ]
    assert desk.reconcile().run()["line"] == "2 rules checked, 0 repairs, 0 reports, 0 failed"


TAMPERING: dict[str, tuple[Callable[[Desk], object], list[str]]] = {
    "function deleted": (lambda desk: desk.fleet.delete_function_by_hand(NAME), ["FunctionMade", "VersionReleased"]),
    "code changed": (
        lambda desk: desk.fleet.change_function_by_hand(NAME, "somebody's"),
        ["FunctionUpdated", "VersionReleased"],
    ),
    "settings changed": (
        lambda desk: desk.fleet.change_function_by_hand(NAME, timeout_s=3),
        ["FunctionUpdated", "VersionReleased"],
    ),
    "schedule deleted": (lambda desk: desk.fleet.delete_schedule_by_hand(NAME), ["ScheduleMade"]),
    "schedule switched off": (
        lambda desk: desk.fleet.change_schedule_by_hand(NAME, enabled=False),
        ["SchedulePutRight"],
    ),
    "schedule changed": (
        lambda desk: desk.fleet.change_schedule_by_hand(NAME, expression="rate(1 minute)"),
        ["SchedulePutRight"],
    ),
    "alarm deleted": (lambda desk: desk.fleet.delete_alarm_by_hand(NAME), ["AlarmMade"]),
    "alarm changed": (lambda desk: desk.fleet.change_alarm_by_hand(NAME, threshold=99.0), ["AlarmPutRight"]),
    "logs deleted": (lambda desk: desk.fleet.delete_log_group_by_hand(NAME), ["LogGroupMade"]),
    "logs kept for ever": (lambda desk: desk.fleet.set_retention_by_hand(NAME, 0), ["LogRetentionSet"]),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_what_somebody_deleted_or_changed_is_repaired_and_told_by_its_code(desk: Desk, what: str) -> None:
    tamper, expected = TAMPERING[what]
    tamper(desk)
    answer = desk.reconcile().run()
    assert codes(answer) == expected
    assert all(repair["rule"] == NAME and repair["target"] and repair["reason"] for repair in answer["repairs"])
    assert set(expected) <= set(desk.journal.events())
    assert desk.reconcile().run()["repairs"] in ([], [_old_version(1)])
    assert disorders(desk) == []


def _old_version(number: int) -> Record:
    reason = f"Version {number} of {FUNCTION} is old."
    return {"rule": NAME, "target": FUNCTION, "code": "VersionRemoved", "reason": reason}


def test_a_second_schedule_that_a_rule_no_longer_needs_is_removed() -> None:
    desk = Desk()
    desk.register.create(new_rule(cycle=BOTH_DAYS))
    surplus = desk.fleet.schedules[f"{NAME}_weekday"]
    desk.register.delete(NAME)
    desk.register.create(new_rule())
    desk.fleet.put_schedule(surplus, desk.clock.now())
    assert codes(desk.reconcile().run()) == ["ScheduleRemoved"]
    assert disorders(desk) == []


@pytest.mark.parametrize("version", [0, 7])
def test_an_alias_that_is_gone_or_moved_is_put_right_when_it_is_looked_at_closely(desk: Desk, version: int) -> None:
    desk.fleet.point_alias_by_hand(NAME, version)
    assert codes(desk.reconcile().run()) == []  # no listing shows it
    assert codes(desk.reconcile().run(closely=True)) == ["AliasMoved"]
    assert disorders(desk) == []


def test_a_rule_that_should_have_fired_and_did_not_is_looked_at_closely(desk: Desk) -> None:
    desk.fleet.point_alias_by_hand(NAME, 0)
    desk.clock.advance(DAY_S)
    assert codes(desk.reconcile().run()) == ["AliasMoved", "AlarmSwitchedOn", "RunCaughtUp"]
    assert len(desk.fleet.going[NAME]) == 1


def test_a_rule_that_is_looked_at_closely_and_cannot_be_is_judged_by_the_listing(desk: Desk) -> None:
    desk.fleet.delete_alarm_by_hand(NAME)
    desk.fleet.failing["look_closely"] = [FleetUnavailable("no answer")]
    assert codes(desk.reconcile().run(closely=True)) == ["AlarmMade"]
    assert "NotSeenCloser" in desk.journal.events()


def test_every_function_follows_a_deploy(desk: Desk) -> None:
    desk.register.create(new_rule("second", instance="sessions"))
    desk.fleet.deploy("code-2", layer_arns=("arn:aws:lambda:us-east-1:000000000000:layer:rdbkeeper:2",))
    assert codes(desk.reconcile().run()) == ["FunctionUpdated", "VersionReleased"] * 2
    assert codes(desk.reconcile().run()) == ["VersionRemoved"] * 2
    assert disorders(desk) == []


def test_a_version_is_removed_only_when_no_run_goes_or_waits_on_it(desk: Desk) -> None:
    run = desk.fleet.begin_run(NAME)
    desk.fleet.deploy("code-2")
    desk.reconcile().run()
    assert codes(desk.reconcile().run()) == []
    assert list(desk.function().versions) == [1, 2]
    desk.fleet.end_run(run)
    assert codes(desk.reconcile().run()) == ["VersionRemoved"]


def test_a_rule_of_its_own_role_keeps_it_until_the_stack_no_longer_allows_it() -> None:
    desk = Desk()
    desk.register.create(new_rule(role=ARCHIVIST))
    desk.fleet.settings = replace(desk.fleet.settings, rule_role_arns=())
    before = picture(desk)
    answer = desk.reconcile().run()
    assert codes(answer, "reports") == ["RoleNotAllowed"]
    assert picture(desk) == before


def test_tagged_things_without_a_rule_on_record_stay_and_are_reported(desk: Desk) -> None:
    desk.tables.rule_records.clear()
    before = picture(desk)
    answer = desk.reconcile().run()
    assert codes(answer, "reports") == ["FunctionWithoutRule", "ScheduleWithoutRule", "AlarmWithoutRule"]
    assert codes(answer) == [] and picture(desk) == before


def test_a_function_that_carries_a_rules_tags_under_another_name_stays_and_is_reported(desk: Desk) -> None:
    desk.fleet.functions["a-copy-of-it"] = desk.function()
    answer = desk.reconcile().run()
    assert codes(answer, "reports") == ["FunctionMisplaced"]
    assert "a-copy-of-it" in desk.fleet.functions


def test_what_lies_under_a_rules_name_and_lacks_the_tags_is_left_alone(desk: Desk) -> None:
    desk.fleet.functions.clear()
    desk.fleet.strangers.add(FUNCTION)
    answer = desk.reconcile().run()
    assert codes(answer, "reports") == ["NotOurs"]
    assert desk.fleet.strangers == {FUNCTION} and not desk.fleet.functions


def test_a_recorded_deletion_is_finished() -> None:
    desk = Desk()
    half_deleted(desk)
    answer = desk.reconcile().run()
    assert codes(answer) == ["ScheduleRemoved", "FunctionRemoved", "AlarmRemoved", "DeletionFinished"]
    assert desk.nothing_was_made() and disorders(desk) == []
    assert desk.register.delete(NAME)["copies_stay_at"] == {"vault": "default", "path": "redis/orders/"}


def test_what_appears_again_of_a_deleted_rule_is_removed(desk: Desk) -> None:
    schedule = desk.fleet.schedules[NAME]
    function = desk.function()
    desk.register.delete(NAME)
    desk.fleet.functions[FUNCTION] = function
    desk.fleet.put_schedule(schedule, desk.clock.now())
    assert codes(desk.reconcile().run()) == ["ScheduleRemoved", "FunctionRemoved"]
    assert desk.nothing_was_made()


def test_a_create_that_was_cut_off_is_finished() -> None:
    desk = Desk()
    half_created(desk)
    assert codes(desk.reconcile().run())[-1] == "CreateFinished"
    assert desk.rule().state is RuleState.ACTIVE
    assert disorders(desk) == []


def test_a_create_that_cannot_be_finished_is_not_said_to_be() -> None:
    desk = Desk()
    half_created(desk)
    desk.fleet.failing["put_schedule"] = [FleetDenied("CreateSchedule failed: AccessDenied.")]
    answer = desk.reconcile().run()
    assert codes(answer, "failures") == ["FleetDenied"]
    assert desk.rule().state is RuleState.CREATING


def test_a_create_whose_function_is_a_strangers_by_now_is_not_said_to_be_finished() -> None:
    desk = Desk()
    half_created(desk)
    desk.fleet.strangers.add(FUNCTION)
    assert codes(desk.reconcile().run(), "reports") == ["NotOurs"]
    assert desk.rule().state is RuleState.CREATING
    desk.register.delete(NAME)
    assert desk.nothing_was_made() and desk.fleet.strangers == {FUNCTION}


def test_one_rule_that_fails_does_not_stop_the_others(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        desk.register.create(new_rule(name, prefix=f"{name}/"))
        desk.fleet.delete_log_group_by_hand(name)
        desk.fleet.delete_function_by_hand(name)
    desk.fleet.failing["make_function"] = [FleetDenied("CreateFunction failed: AccessDenied.")]
    answer = desk.reconcile().run()
    [failure] = answer["failures"]
    assert failure["code"] == "FleetDenied" and failure["rule"] in ("a", "b", "c")
    assert "RepairFailed" in desk.journal.events()
    assert codes(answer).count("FunctionMade") == 2
    assert codes(answer).count("LogGroupMade") == 3  # what was repaired before it failed is told too
    desk.reconcile().run()
    assert disorders(desk) == []


def test_nothing_is_begun_that_might_not_end_in_time() -> None:
    desk = Desk()
    tampered_with(desk)
    before = picture(desk)
    desk.seconds_left = 60.0
    answer = desk.reconcile().run()
    assert answer["left"] == [NAME, "vault default"] and answer["line"].endswith("2 left for the next time")
    assert picture(desk) == before


def test_no_probe_is_begun_that_would_use_up_what_others_need(desk: Desk) -> None:
    desk.seconds_left = 299.0
    assert desk.reconcile().run()["left"] == ["vault default"]
    assert desk.adapters.probed == []
    desk.seconds_left = 300.0
    assert desk.reconcile().run()["left"] == []
    assert len(desk.adapters.probed) == 1


def test_a_dry_run_says_what_it_would_do_and_does_nothing() -> None:
    desk = Desk()
    tampered_with(desk)
    before = picture(desk)
    answer = desk.reconcile().run(dry_run=True)
    assert answer["checked"] == 1
    assert codes(answer, "would_change") == [
        "LogRetentionSet",
        "FunctionMade",
        "VersionReleased",
        "SchedulePutRight",
        "AlarmMade",
    ]
    assert picture(desk) == before
    assert desk.fleet.log_groups == {LOG_GROUP: 0}
    assert not desk.journal.measures


def test_each_reconciling_measures_how_overdue_each_rule_is_and_that_it_took_place(desk: Desk) -> None:
    desk.clock.advance(2 * DAY_S + 8 * HOUR_S)
    desk.reconcile().run()
    of_stack = (("service", "rdbkeeper"), ("stack", "rdbkeeper"))
    assert desk.journal.measures == [
        ("HoursOverdue", 2.0, (("rule", NAME), *of_stack)),
        ("WritesStillFrozen", 0, of_stack),
        ("Reconciled", 1, of_stack),
    ]
    alarm = desk.fleet.alarms[ALARM].alarm
    assert (alarm.metric, alarm.dimensions) == ("HoursOverdue", (("rule", NAME), *of_stack))


def test_a_reconciling_that_cannot_read_the_fleet_does_not_say_that_it_took_place(desk: Desk) -> None:
    desk.fleet.failing["observe"] = [FleetUnavailable("no answer")]
    with pytest.raises(FleetUnavailable):
        desk.reconcile().run()
    assert [metric for metric, _, _ in desk.journal.measures] == ["HoursOverdue", "WritesStillFrozen"]


# --------------------------------------------------------------- the stack's end


def test_with_its_stack_the_fleet_goes_and_logs_copies_and_rules_stay(desk: Desk) -> None:
    desk.register.create(new_rule("second", instance="sessions", cycle=BOTH_DAYS))
    desk.vault.objects["redis/orders/x/0001.rdb"] = b"a copy"
    desk.leave_upload_open()
    desk.fleet.begin_run(NAME)
    answer = desk.reconcile().end()
    assert desk.nothing_runs() and not desk.fleet.going and not desk.vault.uploads
    assert LOG_GROUP in desk.fleet.log_groups and list(desk.vault.objects) == ["redis/orders/x/0001.rdb"]
    assert [rule.name for rule in desk.tables.rules.rules()] == [NAME, "second"]
    assert answer["failures"] == []


def test_with_its_stack_goes_what_has_no_rule_and_what_is_a_strangers_stays(desk: Desk) -> None:
    desk.tables.rule_records.clear()
    stranger = "rdbkeeper-rule-somebody-elses"
    desk.fleet.strangers |= {stranger, f"{stranger}-overdue"}
    desk.reconcile().end()
    assert desk.nothing_was_made()
    assert desk.fleet.strangers == {stranger, f"{stranger}-overdue"}


def test_after_its_end_a_fleet_is_not_made_again_until_the_stack_is_there_again(desk: Desk) -> None:
    before = picture(desk)
    desk.reconcile().end()
    desk.fleet.calls.clear()
    answer = desk.reconcile().run()
    assert "the stack is being deleted" in answer["line"] and not desk.fleet.calls
    desk.reconcile().begin()
    assert picture(desk) == before and disorders(desk) == []


def test_a_function_that_cannot_be_removed_is_told_and_goes_when_it_is_tried_again(desk: Desk) -> None:
    desk.fleet.failing["remove_function"] = [FleetDenied("DeleteFunction failed: AccessDenied.")]
    assert codes(desk.reconcile().end(), "failures") == ["FleetDenied"]
    assert codes(desk.reconcile().end(), "failures") == []
    assert desk.nothing_runs()
