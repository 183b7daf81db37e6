"""Registering rules: one, and many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import (
    BackupsDisabled,
    FleetDenied,
    FleetUnavailable,
    InstanceNotFound,
    InvalidRequest,
    NameTaken,
    NotOurs,
    OutOfTime,
    PlaceTaken,
    RdbkeeperError,
    RuleBusy,
    RuleNotReady,
)
from rdbkeeper.domain.rule import Rule, RuleState
from tests.flows.desk import ALARM, ARCHIVIST, FUNCTION, LOG_GROUP, NAME, Desk, new_rule
from tests.flows.order import disorders, picture
from tests.flows.requests import AS_CREATED, BOTH_DAYS, MANUAL, half_deleted


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_created_rule_has_its_function_schedule_log_group_and_alarm(desk: Desk) -> None:
    answer = desk.register.create(new_rule())
    assert answer["made"] == {
        "function": FUNCTION,
        "version": 1,
        "log_group": LOG_GROUP,
        "schedules": [NAME],
        "alarm": ALARM,
    }
    assert [schedule.expression for schedule in desk.fleet.schedules.values()] == ["cron(30 2 * * ? *)"]
    assert answer["rule"]["state"] == "active"
    assert disorders(desk) == []


def test_what_uses_something_is_made_after_it(desk: Desk) -> None:
    desk.register.create(new_rule())
    looks = ("look_closely", "prototype")
    assert [call for call in desk.fleet.calls if call not in looks] == [
        "keep_logs",
        "make_function",
        "release",
        "put_schedule",
        "put_alarm",
    ]


def test_the_answer_tells_what_was_sent_and_the_next_five_times(desk: Desk) -> None:
    rule = desk.register.create(new_rule())["rule"]
    assert rule["cycle"] == {"kind": "daily", "at": "02:30", "time_zone": "Asia/Tokyo"}
    assert rule["sent_to_scheduler"] == ["cron(30 2 * * ? *)"]
    assert rule["next_fire_times"][0] == "2026-11-22T02:30:00+09:00"
    assert len(rule["next_fire_times"]) == 5


def test_a_cron_with_both_day_fields_gets_two_schedules(desk: Desk) -> None:
    desk.register.create(new_rule(cycle=BOTH_DAYS))
    assert {name: schedule.expression for name, schedule in desk.fleet.schedules.items()} == {
        NAME: "cron(0 3 1 * ? *)",
        f"{NAME}_weekday": "cron(0 3 ? * MON *)",
    }


def test_a_manual_rule_has_neither_a_schedule_nor_an_alarm(desk: Desk) -> None:
    answer = desk.register.create(new_rule(cycle=MANUAL))
    assert answer["made"]["schedules"] == [] and answer["made"]["alarm"] is None
    assert answer["rule"]["next_fire_times"] == []
    assert not desk.fleet.schedules and not desk.fleet.alarms


def test_a_rule_may_name_a_role_that_the_stack_allows(desk: Desk) -> None:
    desk.register.create(new_rule(role=ARCHIVIST))
    assert desk.function().settings.role_arn == "arn:aws:iam::000000000000:role/archivist"


def test_a_create_that_is_sent_again_gives_the_same_result(desk: Desk) -> None:
    first = desk.register.create(new_rule())
    desk.clock.advance(600)
    again = desk.register.create(new_rule(created_at=desk.clock.now()))
    assert again == first
    assert desk.tables.registry_revision == 1


def test_a_create_that_was_cut_off_is_finished_by_sending_it_again(desk: Desk) -> None:
    desk.tables.rules.create_rule(new_rule(), 0)
    desk.register.create(new_rule())
    assert desk.rule().state is RuleState.ACTIVE
    assert disorders(desk) == []


def test_a_name_that_is_taken_is_refused_and_the_rule_stays(desk: Desk) -> None:
    desk.register.create(new_rule())
    before = picture(desk)
    with pytest.raises(NameTaken) as refused:
        desk.register.create(new_rule(instance="sessions", prefix="elsewhere/"))
    assert refused.value.field == "name"
    assert picture(desk) == before


@pytest.mark.parametrize(
    "prefix, instance",
    [("redis/", "orders"), ("redis/orders/", "sessions"), ("redis/orders/deeper/", "sessions")],
)
def test_a_place_that_meets_another_rules_is_refused(desk: Desk, prefix: str, instance: str) -> None:
    desk.register.create(new_rule())
    with pytest.raises(PlaceTaken, match=NAME) as refused:
        desk.register.create(new_rule("second", prefix=prefix, instance=instance))
    assert refused.value.field == "prefix"
    assert list(desk.fleet.functions) == [FUNCTION]


def test_a_place_above_anothers_is_refused(desk: Desk) -> None:
    desk.register.create(new_rule(prefix="sessions/deeper/"))
    with pytest.raises(PlaceTaken):
        desk.register.create(new_rule("second", prefix="", instance="sessions"))


def test_neighbouring_places_are_no_conflict(desk: Desk) -> None:
    desk.source.add_instance("orders2")
    desk.register.create(new_rule(prefix=""))
    desk.register.create(new_rule("second", prefix="", instance="orders2"))
    desk.register.create(new_rule("third", prefix="redis/"))
    assert len(desk.fleet.functions) == 3


@pytest.mark.parametrize(
    "changes, error, field",
    [
        ({"instance": "nowhere"}, InstanceNotFound, "source.instance"),
        ({"instance": "careless"}, BackupsDisabled, "source.instance"),
        ({"cycle": Cycle("custom", "UTC", cron="0 0 31 2 *")}, InvalidRequest, "cycle.cron"),
        ({"role": "administrator"}, InvalidRequest, "role"),
    ],
)
def test_a_refused_create_changes_nothing(
    desk: Desk, changes: dict[str, object], error: type[RdbkeeperError], field: str
) -> None:
    desk.source.add_instance("careless", retention_days=0)
    with pytest.raises(error) as refused:
        desk.register.create(new_rule(**changes))
    assert refused.value.field == field and refused.value.hint
    assert desk.nothing_was_made() and not desk.fleet.calls and not desk.tables.registry_revision


def test_a_name_too_long_for_a_function_is_refused_with_the_limit(desk: Desk) -> None:
    desk.fleet.settings = replace(desk.fleet.settings, stack="a-stack-whose-name-takes-half-of-it")
    with pytest.raises(InvalidRequest, match="64") as refused:
        desk.register.create(new_rule("r" * 31))
    assert "at most 23 characters" in refused.value.hint
    assert desk.nothing_was_made()


def test_an_instance_that_is_stopped_can_be_protected_nevertheless(desk: Desk) -> None:
    desk.source.set_status("orders", "modifying", available=False)
    assert desk.register.create(new_rule())["rule"]["state"] == "active"


@pytest.mark.parametrize("call", ["keep_logs", "make_function", "release", "put_schedule", "put_alarm"])
@pytest.mark.parametrize("late", [False, True])
def test_a_create_that_fails_is_undone(desk: Desk, call: str, late: bool) -> None:
    failing = desk.fleet.failing_after if late else desk.fleet.failing
    failing[call] = [FleetDenied(f"{call} failed: AccessDenied.")]
    with pytest.raises(FleetDenied):
        desk.register.create(new_rule())
    assert desk.nothing_was_made()
    assert "CreateUndone" in desk.journal.events()


def test_a_create_whose_undoing_fails_says_so_and_is_taken_down_by_a_delete(desk: Desk) -> None:
    desk.fleet.failing["put_alarm"] = [FleetUnavailable("no answer")]
    desk.fleet.failing["remove_schedule"] = [FleetUnavailable("no answer")]
    with pytest.raises(FleetUnavailable):
        desk.register.create(new_rule())
    assert "UndoCutOff" in desk.journal.events()
    desk.register.delete(NAME)
    assert desk.nothing_was_made()


def test_a_name_whose_deletion_is_unfinished_is_refused_with_the_way_to_finish_it(desk: Desk) -> None:
    half_deleted(desk)
    with pytest.raises(NameTaken, match="deleting") as refused:
        desk.register.create(new_rule())
    assert "`delete`" in refused.value.hint
    desk.register.delete(NAME)
    assert desk.register.create(new_rule())["rule"]["state"] == "active"


def test_a_failed_create_does_not_take_down_what_the_same_request_sent_again_has_made(desk: Desk) -> None:
    _fail_after(desk, "put_alarm", lambda: desk.register.create(new_rule()))
    with pytest.raises(FleetUnavailable):
        desk.register.create(new_rule())
    assert desk.rule().state is RuleState.ACTIVE
    assert disorders(desk) == []
    assert "UndoLeft" in desk.journal.events()


def test_a_function_of_a_strangers_is_refused_before_anything_is_written(desk: Desk) -> None:
    desk.fleet.strangers.add(FUNCTION)
    desk.fleet.going[NAME] = ["a stranger's execution"]
    with pytest.raises(NotOurs) as refused:
        desk.register.create(new_rule())
    assert refused.value.field == "name"
    assert desk.nothing_was_made() and not desk.tables.registry_revision
    assert desk.fleet.going == {NAME: ["a stranger's execution"]}


def test_a_function_that_is_tagged_for_another_rule_is_not_taken(desk: Desk) -> None:
    desk.register.create(new_rule())
    desk.function().rule = "somebody-elses"
    desk.tables.rules.remove_rule(NAME, AS_CREATED, {})
    before = picture(desk)
    with pytest.raises(NotOurs):
        desk.register.create(new_rule())
    assert picture(desk) == before


def test_an_alarm_of_a_strangers_is_refused_and_stays(desk: Desk) -> None:
    desk.fleet.strangers.add(ALARM)
    with pytest.raises(NotOurs):
        desk.register.create(new_rule())
    assert desk.nothing_was_made() and not desk.fleet.log_groups


def test_a_registry_that_never_rests_is_said_to_be_busy(desk: Desk) -> None:
    desk.tables.rules.registry_revision = lambda: -1  # type: ignore[method-assign]  # as if somebody were always faster
    with pytest.raises(RuleBusy):
        desk.register.create(new_rule())
    assert desk.nothing_was_made()


def test_each_of_many_rules_is_made_or_refused_for_itself(desk: Desk) -> None:
    wanted: list[tuple[str, Rule | RdbkeeperError]] = [
        ("a", new_rule("a", prefix="a/")),
        ("b", new_rule("b", instance="nowhere")),
        ("c", InvalidRequest("'C' is not a rule's name.", field="name")),
        ("d", new_rule("d", instance="sessions")),
        ("e", new_rule("e", prefix="a/")),
    ]
    answer = desk.register.create_many(wanted, 45, lambda: 900.0)
    told = {result["name"]: result.get("error", {}).get("code") for result in answer["results"]}
    assert told == {"a": None, "b": "InstanceNotFound", "c": "InvalidRequest", "d": None, "e": "PlaceTaken"}
    assert (answer["created"], answer["failed"]) == (2, 3)
    assert answer["results"][0]["rule"]["state"] == "active"
    assert answer["results"][2]["error"]["field"] == "name"
    assert {rule.name for rule in desk.tables.rules.rules()} == {"a", "d"}
    assert disorders(desk) == []


def test_a_request_for_many_that_is_sent_again_gives_the_same_result(desk: Desk) -> None:
    wanted: list[tuple[str, Rule | RdbkeeperError]] = [
        ("a", new_rule("a")),
        ("b", new_rule("b", instance="sessions")),
    ]
    first = desk.register.create_many(wanted, 45, lambda: 900.0)
    assert desk.register.create_many(wanted, 45, lambda: 900.0) == first


def test_one_of_many_whose_making_fails_is_undone_for_itself(desk: Desk) -> None:
    desk.fleet.failing["release"] = [FleetDenied("PublishVersion failed: AccessDenied.")]
    wanted: list[tuple[str, Rule | RdbkeeperError]] = [
        (name, new_rule(name, prefix=f"{name}/")) for name in ("a", "b", "c")
    ]
    answer = desk.register.create_many(wanted, 45, lambda: 900.0)
    assert (answer["created"], answer["failed"]) == (2, 1)
    assert len(desk.fleet.functions) == 2
    assert disorders(desk) == []


def test_ninety_nine_rules_are_made_at_once(desk: Desk) -> None:
    names = [f"rule-{number}" for number in range(99)]
    wanted: list[tuple[str, Rule | RdbkeeperError]] = [(name, new_rule(name, prefix=f"{name}/")) for name in names]
    answer = desk.register.create_many(wanted, 45, lambda: 900.0)
    assert [result["name"] for result in answer["results"]] == names
    assert answer["created"] == 99
    assert disorders(desk) == []


def test_of_many_rules_none_is_begun_that_might_not_end_in_time(desk: Desk) -> None:
    desk.register.create(new_rule("a"))
    before = picture(desk)
    answer = desk.register.create_many([("b", new_rule("b", instance="sessions"))], 45, lambda: 30.0)
    assert answer["results"][0]["error"]["code"] == OutOfTime.__name__
    assert picture(desk) == before


def _fail_after(desk: Desk, call: str, act: Callable[[], object]) -> None:
    """Let that call of the fleet fail when `act` has happened."""
    healthy = getattr(desk.fleet, call)

    def act_then_fail(*_: object) -> None:
        setattr(desk.fleet, call, healthy)
        act()
        raise FleetUnavailable("no answer")

    setattr(desk.fleet, call, act_then_fail)


def test_a_request_that_only_took_up_a_row_does_not_undo_what_the_first_is_making() -> None:
    desk = Desk()
    desk.tables.rules.create_rule(new_rule(), 0)
    desk.fleet.failing["release"] = [FleetUnavailable("An update is in progress.")]
    with pytest.raises(FleetUnavailable):
        desk.register.create(new_rule())
    assert desk.rule().state is RuleState.CREATING
    assert desk.register.create(new_rule())["rule"]["state"] == "active"


def test_many_rules_are_begun_only_while_whoever_asked_still_waits() -> None:
    desk = Desk()
    wanted = [(name, new_rule(name, prefix=f"{name}/")) for name in ("first", "second")]
    answer = desk.register.create_many(wanted, -1, lambda: 900.0)
    assert [result["error"]["code"] for result in answer["results"]] == ["OutOfTime", "OutOfTime"]
    assert desk.tables.rules.rules() == []


def test_a_stack_that_is_being_deleted_takes_no_new_rules() -> None:
    desk = Desk()
    desk.tables.rules.record_fleet_end(ended=True)
    with pytest.raises(RuleNotReady, match="being deleted"):
        desk.register.create(new_rule())
    assert desk.tables.rules.rules() == []
