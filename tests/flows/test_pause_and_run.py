"""Switching a rule's timer off and on, and starting runs by hand."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import FleetUnavailable, RuleNotFound, RuleNotReady, RunIsGoing
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.entry.rule_requests import ResumeRule
from rdbkeeper.ports import Record
from tests.flows.desk import LOG_GROUP, NAME, Desk, new_rule
from tests.flows.order import disorders, picture
from tests.flows.requests import half_deleted, made, paused

DAY_S = 86_400


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def resume(desk: Desk, *, run_now: bool, request_id: str = "") -> Record:
    return desk.actions().serve(ResumeRule(NAME, run_now, request_id), lambda: 900.0)


def test_a_paused_rule_keeps_everything_and_its_timer_is_off(desk: Desk) -> None:
    answer = desk.register.pause(NAME)
    assert answer["rule"]["state"] == "paused"
    assert not desk.fleet.schedules[NAME].enabled
    assert disorders(desk) == []


def test_a_run_that_is_going_when_its_rule_is_paused_goes_on(desk: Desk) -> None:
    run = desk.fleet.begin_run(NAME)
    desk.register.pause(NAME)
    assert desk.fleet.going == {NAME: [run]}


def test_a_timer_that_fires_all_the_same_does_nothing_for_a_paused_rule(desk: Desk) -> None:
    desk.register.pause(NAME)
    assert desk.fire()["refused"] == "RulePaused"
    assert desk.fire(on_request=True)["failed"] == 0


def test_a_rule_that_is_paused_twice_is_paused_once(desk: Desk) -> None:
    assert desk.register.pause(NAME) == desk.register.pause(NAME)
    assert desk.rule().revision == 3


def test_a_resumed_rule_fires_again_and_is_not_overdue_for_the_time_of_its_pause(desk: Desk) -> None:
    desk.register.pause(NAME)
    desk.clock.advance(90 * DAY_S)
    rule = desk.register.resume(NAME)["rule"]
    assert (rule["state"], rule["watched_since"]) == ("active", "2027-02-19T03:00:00+00:00")
    assert desk.fleet.schedules[NAME].enabled
    assert disorders(desk) == []


def test_a_rule_that_is_resumed_twice_is_watched_from_the_first_time_on(desk: Desk) -> None:
    desk.register.pause(NAME)
    first = desk.register.resume(NAME)
    desk.clock.advance(60)
    assert desk.register.resume(NAME) == first


def test_a_rule_that_is_resumed_for_the_next_time_starts_no_run() -> None:
    desk = Desk()
    paused(desk)
    answer = resume(desk, run_now=False)
    assert "run" not in answer and not desk.fleet.going


def test_a_rule_that_is_resumed_to_run_at_once_runs_at_once() -> None:
    desk = Desk()
    paused(desk)
    answer = resume(desk, run_now=True)
    assert answer["run"]["run"] == desk.fleet.going[NAME][0].rsplit("/", 1)[-1]
    assert answer["not_run"] is None


def test_a_rule_that_is_resumed_while_a_run_is_going_is_resumed_and_says_why_none_is_started() -> None:
    desk = Desk()
    paused(desk)
    desk.fleet.begin_run(NAME)
    answer = resume(desk, run_now=True)
    assert answer["rule"]["state"] == "active"
    assert answer["run"] is None and answer["not_run"]["code"] == RunIsGoing.__name__
    assert len(desk.fleet.going[NAME]) == 1


def test_a_rule_that_is_resumed_twice_by_one_request_runs_once() -> None:
    desk = Desk()
    paused(desk)
    first = resume(desk, run_now=True, request_id="monday")
    desk.clock.advance(60)
    assert resume(desk, run_now=True, request_id="monday") == first
    assert len(desk.fleet.going[NAME]) == 1


def test_a_pause_that_the_fleet_cannot_follow_is_undone(desk: Desk) -> None:
    before = picture(desk)
    desk.fleet.failing["put_schedule"] = [FleetUnavailable("no answer")]
    with pytest.raises(FleetUnavailable):
        desk.register.pause(NAME)
    assert picture(desk) == before
    assert "ChangeUndone" in desk.journal.events()


def test_a_rule_that_is_being_made_or_deleted_is_neither_paused_nor_resumed_nor_run() -> None:
    deleted, begun = Desk(), Desk()
    half_deleted(deleted)
    begun.tables.rules.create_rule(new_rule(), 0)
    for desk in (deleted, begun):
        before = picture(desk)
        for act in (desk.register.pause, desk.register.resume, desk.start.run):
            with pytest.raises(RuleNotReady):
                act(NAME)
        assert picture(desk) == before


def test_a_rule_that_is_not_there_is_neither_paused_nor_resumed_nor_run(desk: Desk) -> None:
    for act in (desk.register.pause, desk.register.resume, desk.start.run):
        with pytest.raises(RuleNotFound):
            act("nothing")


def test_a_run_is_started_through_the_alias_and_told_by_its_id(desk: Desk) -> None:
    answer = desk.start.run(NAME)
    [execution] = desk.fleet.going[NAME]
    assert answer == {"rule": NAME, "run": execution.rsplit("/", 1)[-1], "log_group": LOG_GROUP}
    assert ":1/durable-execution/" in execution


def test_a_run_of_a_paused_rule_is_started_all_the_same() -> None:
    desk = Desk()
    paused(desk)
    desk.start.run(NAME)
    assert len(desk.fleet.going[NAME]) == 1
    assert desk.rule().state is RuleState.PAUSED


def test_a_run_is_refused_with_a_reason_while_one_is_going(desk: Desk) -> None:
    going = desk.fleet.begin_run(NAME)
    with pytest.raises(RunIsGoing, match=f"is going: {going.rsplit('/', 1)[-1]}") as refused:
        desk.start.run(NAME)
    assert refused.value.hint
    assert desk.fleet.going == {NAME: [going]}


def test_a_run_that_is_asked_for_twice_by_one_request_is_one_run(desk: Desk) -> None:
    first = desk.start.run(NAME, "monday")
    desk.clock.advance(60)
    assert desk.start.run(NAME, "monday") == first
    desk.fleet.end_run(desk.fleet.going[NAME][0])
    assert desk.start.run(NAME, "monday") == first
    assert desk.fleet.going == {NAME: []}


def test_each_request_without_an_id_is_a_run_of_its_own(desk: Desk) -> None:
    first = desk.start.run(NAME)
    desk.fleet.end_run(desk.fleet.going[NAME][0])
    desk.clock.advance(1)
    assert desk.start.run(NAME)["run"] != first["run"]


def test_one_id_is_a_request_of_each_rule_for_itself(desk: Desk) -> None:
    desk.register.create(new_rule("second", instance="sessions"))
    desk.start.run(NAME, "monday")
    desk.start.run("second", "monday")
    assert {name: len(runs) for name, runs in desk.fleet.going.items()} == {NAME: 1, "second": 1}


def test_the_longest_names_make_the_name_of_a_run(desk: Desk) -> None:
    name = "r" * 31
    desk.register.create(new_rule(name, instance="sessions"))
    desk.start.run(name, "i" * 32)
    assert len(desk.fleet.going[name]) == 1


def test_a_run_of_a_rule_whose_function_was_deleted_makes_it_again_first(desk: Desk) -> None:
    desk.fleet.delete_function_by_hand(NAME)
    desk.start.run(NAME)
    assert len(desk.fleet.going[NAME]) == 1
