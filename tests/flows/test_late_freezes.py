"""Freezes that come late, as the call for them was not answered; and freezes of several rules that meet."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup_first import LONGEST_CALL, BackupFirst, Freeze
from rdbkeeper.domain.errors import HookFailed, HookUnanswered, RunFailed, TableUnavailable
from rdbkeeper.flows.thaw import thaw
from rdbkeeper.ports import Record
from tests.fakes.engine import ProcessDied
from tests.flows.test_frozen_backups import (
    DEMANDING,
    RULE,
    Application,
    frozen_on_record,
    hang,
    new_world,
    only_manifest,
    raising,
    reasons,
)
from tests.flows.world import World, after_each

OTHER = "orders-offsite"


def freeze_late(world: World, application: Application, after_s: float) -> None:
    """The freezing function gives no answer in time, and freezes all the same, so long after it was called."""
    due: list[float] = []

    def freeze(payload: Record) -> None:
        due.append(world.clock.monotonic() + after_s)
        world.clock.advance(60)
        raise HookUnanswered("No answer within 60 s.")

    advance = world.clock.advance

    def pass_by(seconds: float) -> None:
        advance(seconds)
        if due and world.clock.monotonic() >= due[0]:
            due.clear()
            application.freeze({})

    world.adapters.hooks.functions["stop"] = freeze
    world.clock.advance = pass_by  # type: ignore[method-assign]


# Calls without an answer


@pytest.mark.parametrize("after_s", [61, 300, 890])
def test_a_freeze_that_comes_after_its_thaw_is_thawed_within_a_minute(after_s: float) -> None:
    world, application = new_world()
    freeze_late(world, application, after_s)
    world.run()
    assert "freeze" in application.events and not application.is_frozen and application.frozen_s <= 60
    assert frozen_on_record(world) is None
    assert only_manifest(world).consistency == "point-in-time"
    assert "No answer within 60 s." in only_manifest(world).consistency_reason


def test_a_freeze_that_was_answered_is_thawed_once() -> None:
    for answer in (lambda _: None, raising(HookFailed("It failed (Unhandled)."))):
        world, application = new_world()
        world.adapters.hooks.functions["stop"] = answer
        world.run()
        assert application.events.count("thaw") == 1 and frozen_on_record(world) is None


def test_no_backup_is_asked_for_while_a_freeze_may_come_that_a_rule_demands() -> None:
    world, application = new_world(DEMANDING)
    freeze_late(world, application, 600)
    with pytest.raises(RunFailed):
        world.run()
    assert reasons(world) == ["ConsistencyMissed"] and "ask" not in application.events
    assert not application.is_frozen


def test_a_freeze_that_may_come_late_and_cannot_be_thawed_stays_on_record_and_is_told() -> None:
    world, _ = new_world()
    world.adapters.hooks.functions["stop"] = hang(world)
    thaws = iter([None])

    def thaw_once(_: Record) -> None:
        for nothing in thaws:
            return nothing
        raise HookFailed("No.")

    world.adapters.hooks.functions["go-on"] = thaw_once
    with pytest.raises(RunFailed):
        world.run()
    assert frozen_on_record(world) is not None and "WritesStillFrozen" in world.journal.events()
    assert reasons(world) == ["HookFailed", "HookUnanswered", "Published"]


def test_the_call_of_a_run_that_died_may_still_come_when_it_is_repeated_and_answered() -> None:
    world, application = new_world()

    def die(_: Record) -> None:
        world.adapters.hooks.functions["stop"] = application.freeze
        raise ProcessDied

    world.adapters.hooks.functions["stop"] = die
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    began = world.clock.now()
    world.run(engine)
    assert only_manifest(world).consistency == "application"
    assert world.clock.now() - began >= LONGEST_CALL and application.events.count("thaw") > 10
    assert frozen_on_record(world) is None


def test_the_next_run_thaws_what_may_come_late_and_leaves_it_on_record() -> None:
    world, application = new_world()
    now = world.clock.now()
    left = Freeze("go-on", "orders", "another run", now, now, late_until=now + timedelta(minutes=20))
    world.tables.runs.record_freeze(RULE, left)
    world.run()
    assert application.events[0] == "thaw" and frozen_on_record(world) == left
    assert "freeze" not in application.events


# A table that does not answer


@pytest.mark.parametrize("calls", [["renew_lease"], ["renew_lease", "find_freeze"], ["renew_lease", "forget_freeze"]])
def test_writes_go_on_when_their_time_is_over_although_the_table_does_not_answer(calls: list[str]) -> None:
    world, application = new_world()
    until: list[float] = []

    def fail_while_frozen(name: str) -> None:
        call = getattr(world.tables.runs, name)

        def call_or_fail(*args: Any) -> object:
            if "ask" in application.events and (not until or world.clock.monotonic() < until[0]):
                until.append(world.clock.monotonic() + 3600)
                raise TableUnavailable("No answer.")
            return call(*args)

        setattr(world.tables.runs, name, call_or_fail)

    for name in calls:
        fail_while_frozen(name)
    with contextlib.suppress(RunFailed):  # it may have come to no end with its record
        world.run()
    assert 60 <= application.frozen_s <= 70 and not application.is_frozen


# Several rules


def other_freeze(world: World, **changes: Any) -> Freeze:
    """What another rule's run has frozen just now."""
    now = world.clock.now()
    values: dict[str, Any] = {"thaw": "go-on", "instance": "orders", "execution": "other", "since": now}
    freeze = Freeze(**{**values, "until": now + timedelta(minutes=5), **changes})
    world.tables.runs.record_freeze(OTHER, freeze)
    return freeze


@pytest.mark.parametrize("thaw", ["go-on", "another"])
def test_what_another_rule_has_frozen_is_neither_frozen_again_nor_thawed(thaw: str) -> None:
    world, application = new_world()
    freeze = other_freeze(world, thaw=thaw)
    after_each(world.tables.runs, "record_freeze", lambda: pytest.fail("who dies then lets the other be thawed"))
    world.run()
    assert application.events == ["ask", "there"]
    assert world.tables.runs.freezes() == {OTHER: freeze}
    assert only_manifest(world).consistency == "point-in-time"
    assert f"the rule {OTHER} froze of {freeze.instance}" in only_manifest(world).consistency_reason


@pytest.mark.parametrize("changes", [{"instance": "sessions"}, {"provider": "memorydb"}], ids=["instance", "provider"])
def test_rules_that_share_a_hook_and_no_instance_freeze_at_the_same_time(changes: dict[str, str]) -> None:
    world, _ = new_world()
    other_freeze(world, **changes)
    world.run()
    assert only_manifest(world).consistency == "application"


def test_of_two_rules_that_begin_at_once_the_one_that_sees_the_other_yields() -> None:
    world, application = new_world()
    record, freezes = world.tables.runs.record_freeze, world.tables.runs.freezes

    def record_at_once(rule: str, freeze: Freeze) -> None:
        record(rule, freeze)
        if OTHER not in freezes():
            other_freeze(world)

    world.tables.runs.record_freeze = record_at_once  # type: ignore[method-assign]
    world.run()
    assert application.events == ["ask", "there"]
    assert set(freezes()) == {OTHER}


def test_a_run_whose_freeze_was_struck_off_does_not_thaw_what_another_rule_froze_meanwhile() -> None:
    world, application = new_world()

    def let_another_freeze() -> None:
        world.tables.freeze_records.clear()
        other_freeze(world)

    after_each(world.source, "request_backup", let_another_freeze)
    world.run()
    assert "thaw" not in application.events and OTHER in world.tables.runs.freezes()
    assert only_manifest(world).consistency == "point-in-time"


def test_a_rule_freezes_again_once_the_other_has_thawed() -> None:
    world, _ = new_world(BackupFirst("stop", "go-on", 60))
    freeze, tables = other_freeze(world), world.tables
    thaw(OTHER, freeze, tables.rules, tables.runs, world.adapters.hooks, world.journal, world.clock.now())
    world.run()
    assert only_manifest(world).consistency == "application"
