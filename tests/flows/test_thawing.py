"""Writes that a run left frozen go on again: by the hourly look, when the rule goes, and when the stack goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from rdbkeeper.domain.backup_first import BackupFirst, Freeze
from rdbkeeper.domain.errors import FleetDenied, HookFailed, HookUnanswered, HookUncalled, TableUnavailable
from rdbkeeper.ports import Record
from tests.flows.desk import NAME, Desk, new_rule
from tests.flows.requests import made

HOOKS = BackupFirst(freeze="stop", thaw="go-on", longest_freeze_s=300)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    desk.adapters.hooks.functions = {"go-on": lambda _: None}
    return desk


def freeze(desk: Desk, name: str = NAME, thaw: str = "go-on", late_s: float = 0) -> str:
    """A run that is going and has frozen writes for five minutes; returns its execution.

    With `late_s` its call that freezes is not answered yet, and may come through so much later.
    """
    execution = desk.fleet.begin_run(name)
    now = desk.clock.now()
    until, late_until = now + timedelta(seconds=300), now + timedelta(seconds=late_s) if late_s else None
    desk.tables.runs.take_lease(name, execution, None, now)
    desk.tables.runs.record_freeze(name, Freeze(thaw, "orders", execution, now, until, late_until, "elasticache"))
    return execution


def name_hooks(desk: Desk, **changes: str) -> None:
    """The owner points the rule at the functions `stop` and `go-on`, and perhaps elsewhere."""
    rule = desk.rule()
    edited = replace(rule, backup_first=HOOKS, revision=rule.revision + 1, **changes)
    desk.tables.rules.replace_rule(edited, rule.revision)


def fail(_: Record) -> None:
    raise HookFailed("It failed (Unhandled).")


def codes(answer: Record, what: str = "repairs") -> list[str]:
    return [record["code"] for record in answer[what]]


def is_frozen(desk: Desk, name: str = NAME) -> bool:
    return desk.tables.runs.find_freeze(name) is not None


def thaws(desk: Desk) -> list[tuple[str, str]]:
    return desk.adapters.hooks.calls


def test_a_run_that_is_going_and_within_its_time_is_let_alone(desk: Desk) -> None:
    freeze(desk)
    desk.clock.advance(299)
    assert codes(desk.reconcile().run()) == []
    assert is_frozen(desk) and thaws(desk) == []


def test_a_second_run_that_is_about_to_be_refused_changes_nothing_of_that(desk: Desk) -> None:
    desk.fleet.begin_run(NAME)
    freeze(desk)
    assert codes(desk.reconcile().run()) == [] and is_frozen(desk)


def test_a_run_that_froze_for_longer_than_it_may_is_thawed(desk: Desk) -> None:
    freeze(desk)
    desk.clock.advance(300)
    assert codes(desk.reconcile().run()) == ["WritesThawed"]
    assert thaws(desk) == [("go-on", "thaw")] and not is_frozen(desk)


ENDS: dict[str, Callable[[Desk, str], object]] = {
    "it was stopped": lambda desk, execution: desk.fleet.end_run(execution),
    "it lost its lease": lambda desk, execution: desk.tables.leases.update({NAME: "somebody else"}),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_what_a_run_froze_that_is_no_more_is_thawed_within_the_hour(
    desk: Desk, end: Callable[[Desk, str], object]
) -> None:
    end(desk, freeze(desk))
    assert codes(desk.reconcile().run()) == ["WritesThawed"]
    assert not is_frozen(desk)
    assert codes(desk.reconcile().run()) == [] and len(thaws(desk)) == 1


def test_a_thaw_that_fails_is_told_and_tried_again_the_next_hour(desk: Desk) -> None:
    desk.fleet.end_run(freeze(desk))
    desk.adapters.hooks.functions["go-on"] = fail
    answer = desk.reconcile().run()
    assert codes(answer, "failures") == ["HookFailed"] and is_frozen(desk)
    assert "WritesStillFrozen" in desk.journal.events()
    desk.adapters.hooks.functions["go-on"] = lambda _: None
    assert codes(desk.reconcile().run()) == ["WritesThawed"] and not is_frozen(desk)


@pytest.mark.parametrize("end", ["the rule names no hooks", "the rule is gone"])
def test_a_freeze_that_nobody_can_end_any_more_is_told_once(desk: Desk, end: str) -> None:
    desk.fleet.end_run(freeze(desk))
    desk.adapters.hooks.functions.clear()
    if end == "the rule is gone":
        desk.tables.rule_records.clear()
    assert codes(desk.reconcile().run(), "failures") == ["HookMissing"] and not is_frozen(desk)
    assert desk.journal.events().count("WritesStillFrozen") == 1
    assert "Let writes go on by hand." in desk.journal.text()
    assert codes(desk.reconcile().run(), "failures") == []


def test_the_hourly_look_calls_the_rules_present_hook_when_the_one_on_record_is_gone(desk: Desk) -> None:
    name_hooks(desk)
    desk.fleet.end_run(freeze(desk, thaw="gone"))
    assert codes(desk.reconcile().run()) == ["WritesThawed"] and not is_frozen(desk)
    assert thaws(desk) == [("gone", "thaw"), ("go-on", "thaw")]


@pytest.mark.parametrize("error", [HookFailed, HookUncalled, HookUnanswered])
def test_a_rule_that_names_another_hook_by_now_is_thawed_by_it_when_the_one_on_record_fails(
    desk: Desk, error: type[HookFailed]
) -> None:
    name_hooks(desk)
    desk.fleet.end_run(freeze(desk, thaw="old"))
    desk.adapters.hooks.functions["old"] = fail_with(error("No."))
    assert codes(desk.reconcile().run()) == ["WritesThawed"] and not is_frozen(desk)
    assert thaws(desk) == [("old", "thaw"), ("go-on", "thaw")]


@pytest.mark.parametrize("other", [{"instance": "sessions"}, {"provider": "memorydb"}])
def test_the_hook_of_a_rule_that_points_elsewhere_by_now_ends_no_freeze_of_before(
    desk: Desk, other: dict[str, str]
) -> None:
    name_hooks(desk, **other)
    desk.fleet.end_run(freeze(desk, thaw="old"))
    desk.adapters.hooks.functions["old"] = fail
    assert codes(desk.reconcile().run(), "failures")[0] == "HookFailed" and is_frozen(desk)
    assert thaws(desk) == [("old", "thaw")]


def test_a_freeze_that_neither_hook_can_thaw_stays_on_record(desk: Desk) -> None:
    name_hooks(desk)
    desk.fleet.end_run(freeze(desk, thaw="old"))
    desk.adapters.hooks.functions = {"old": fail, "go-on": fail}
    assert codes(desk.reconcile().run(), "failures") == ["HookFailed"] and is_frozen(desk)


def test_a_hook_that_fails_is_called_once_where_the_rule_still_names_it(desk: Desk) -> None:
    name_hooks(desk)
    desk.fleet.end_run(freeze(desk))
    desk.adapters.hooks.functions["go-on"] = fail
    assert codes(desk.reconcile().run(), "failures") == ["HookFailed"] and is_frozen(desk)
    assert len(thaws(desk)) == 1


def test_a_hook_that_is_gone_and_still_the_rules_keeps_its_freeze_on_record(desk: Desk) -> None:
    name_hooks(desk)
    desk.fleet.end_run(freeze(desk))
    desk.adapters.hooks.functions.clear()
    assert codes(desk.reconcile().run(), "failures") == ["HookMissing"] and is_frozen(desk)


def test_one_hook_that_fails_keeps_no_other_freeze_from_being_thawed(desk: Desk) -> None:
    desk.register.create(new_rule("second", instance="sessions"))
    desk.adapters.hooks.functions["broken"] = fail
    desk.fleet.end_run(freeze(desk, thaw="broken"))
    desk.fleet.end_run(freeze(desk, "second"))
    answer = desk.reconcile().run()
    assert codes(answer) == ["WritesThawed"] and codes(answer, "failures") == ["HookFailed"]
    assert is_frozen(desk) and not is_frozen(desk, "second")


def test_a_thaw_that_fails_keeps_no_vault_or_instance_from_being_looked_at(desk: Desk) -> None:
    desk.fleet.end_run(freeze(desk))
    desk.adapters.hooks.functions["go-on"] = fail
    desk.source.set_status("orders", "modifying", available=False)
    answer = desk.reconcile().run()
    assert codes(answer, "reports") == ["RuleBlocked"] and codes(answer, "failures") == ["HookFailed"]


def test_a_dry_run_thaws_nothing(desk: Desk) -> None:
    desk.fleet.end_run(freeze(desk))
    desk.reconcile().run(dry_run=True)
    assert is_frozen(desk) and thaws(desk) == []


def test_deleting_a_rule_stops_its_run_and_thaws_what_it_froze(desk: Desk) -> None:
    freeze(desk)
    assert desk.register.delete(NAME)["stopped_runs"] == 1
    assert thaws(desk) == [("go-on", "thaw")] and not is_frozen(desk)


def test_a_freeze_that_is_under_way_when_its_rule_is_deleted_is_thawed_until_it_can_come_no_more(desk: Desk) -> None:
    freeze(desk, late_s=1200)
    desk.register.delete(NAME)
    assert len(thaws(desk)) == 1 and is_frozen(desk)
    desk.clock.advance(1199)
    assert codes(desk.reconcile().run()) == ["WritesThawed"] and is_frozen(desk)
    desk.clock.advance(1)
    assert codes(desk.reconcile().run()) == ["WritesThawed"] and not is_frozen(desk)
    assert len(thaws(desk)) == 3 and codes(desk.reconcile().run()) == []


def test_a_freeze_that_is_under_way_when_its_run_is_stopped_is_thawed_by_each_look(desk: Desk) -> None:
    desk.fleet.end_run(freeze(desk, late_s=1200))
    desk.reconcile().run()
    assert len(thaws(desk)) == 1 and is_frozen(desk)
    desk.clock.advance(3600)
    desk.reconcile().run()
    assert len(thaws(desk)) == 2 and not is_frozen(desk)


def test_a_hook_that_fails_keeps_no_rule_from_going_and_the_hourly_look_goes_on(desk: Desk) -> None:
    freeze(desk)
    desk.adapters.hooks.functions["go-on"] = fail
    desk.register.delete(NAME)
    assert desk.nothing_was_made() and is_frozen(desk)
    assert "WritesStillFrozen" in desk.journal.events()
    desk.adapters.hooks.functions["go-on"] = lambda _: None
    assert codes(desk.reconcile().run()) == ["WritesThawed"] and not is_frozen(desk)


def test_a_rule_that_is_made_anew_under_the_name_does_not_forget_the_freeze(desk: Desk) -> None:
    freeze(desk)
    desk.adapters.hooks.functions = {"stop": lambda _: None, "go-on": fail}
    desk.register.delete(NAME)
    desk.register.create(new_rule(backup_first=BackupFirst("stop", "another")))
    desk.fire()
    left = desk.tables.runs.find_freeze(NAME)
    assert left is not None and left.thaw == "go-on"
    assert ("stop", "freeze") not in thaws(desk)


def test_the_end_of_the_stack_thaws_what_is_frozen(desk: Desk) -> None:
    freeze(desk)
    desk.reconcile().end()
    assert desk.nothing_runs()
    assert thaws(desk) == [("go-on", "thaw")] and not is_frozen(desk)


def test_the_end_of_the_stack_thaws_whatever_seems_to_be_going(desk: Desk) -> None:
    execution = freeze(desk)
    work = desk.reconcile()
    work.work.services.find_going_run = lambda _: execution
    work.end()
    assert thaws(desk) == [("go-on", "thaw")] and not is_frozen(desk)


def fail_with(error: Exception) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise error

    return fail


def test_a_fleet_that_cannot_be_read_keeps_no_writes_frozen(desk: Desk) -> None:
    for act in (lambda reconcile: reconcile.run(), lambda reconcile: reconcile.end()):
        desk.fleet.end_run(freeze(desk))
        reconcile = desk.reconcile()
        reconcile.work.services.observe = fail_with(FleetDenied("Listing functions failed."))
        with pytest.raises(FleetDenied):
            act(reconcile)
        assert not is_frozen(desk)


def test_what_the_end_could_not_thaw_is_tried_again_while_anybody_looks(desk: Desk) -> None:
    freeze(desk)
    desk.adapters.hooks.functions["go-on"] = fail
    desk.reconcile().end()
    assert is_frozen(desk)
    assert desk.reconcile().run(dry_run=True)["repairs"] == [] and is_frozen(desk)
    desk.adapters.hooks.functions["go-on"] = lambda _: None
    assert codes(desk.reconcile().run()) == ["WritesThawed"] and not is_frozen(desk)


def test_the_stack_ends_although_nobody_can_tell_what_is_frozen(desk: Desk) -> None:
    reconcile = desk.reconcile()
    desk.tables.runs.freezes = fail_with(TableUnavailable("No answer."))
    reconcile.end()
    assert desk.nothing_runs() and "WritesStillFrozen" in desk.journal.events()


def test_an_ordinary_look_asks_for_freezes_and_calls_no_hook(desk: Desk) -> None:
    desk.reconcile().run()
    assert thaws(desk) == []


def test_a_whole_run_with_hooks_leaves_nothing_for_the_hourly_look() -> None:
    desk = Desk()
    desk.adapters.hooks.functions = {"stop": lambda _: None, "go-on": lambda _: None}
    desk.register.create(new_rule(backup_first=HOOKS))
    desk.fire()
    assert thaws(desk) == [("stop", "freeze"), ("go-on", "thaw")]
    assert codes(desk.reconcile().run()) == []
