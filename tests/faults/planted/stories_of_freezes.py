"""Stories of writes that are frozen around a backup: by runs that are cut off, and by functions that fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from rdbkeeper.domain.backup import BackupState
from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.errors import HookUnanswered
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.ports import Record
from tests.faults.fault import Kind
from tests.faults.functions import FREEZE, THAW
from tests.faults.hourly import look
from tests.faults.planted.stories_on_demand import (
    check_calls,
    check_lasted,
    count_failed,
    find_consistency,
    hurt,
    use_up,
)
from tests.faults.planted.strict import check_done, make_strict
from tests.faults.planted.telling import RULE, once, story
from tests.faults.process import Process
from tests.faults.scenarios_of_sources import BY_HOOKS, INSTANCE, leave_frozen, world_of

DEMANDING = BackupFirst(FREEZE, THAW, demands_application=True)


# ------------------------------------------------------------- nothing is frozen


@story
def nothing_is_frozen_at_an_hour_that_nobody_has_chosen() -> None:
    for wish, asked in ((BY_HOOKS, 1), (DEMANDING, 0)):
        world = world_of(backup_first=wish)
        world.request = RunRequest(on_request=True, owed=True)
        oracles = make_strict(world)
        world.tick()
        oracles.check_ends()
        check_calls(world)
        oracles.check(len(world.the_source.requests) == asked, "not what the rule wants was asked for")
        oracles.check(find_consistency(world) == ["point-in-time"] * asked, "writes went on, and it is not said")


@story
def nothing_is_frozen_for_a_backup_that_cannot_be_had() -> None:
    world = world_of(backup_first=BY_HOOKS)
    make_strict(world)
    use_up(world, 20)
    world.operations_weigh = 1
    world.tick()
    check_calls(world)
    world.oracles.check(count_failed(world) == 1, "a backup was not made and nobody is told")


# ------------------------------------------------------------- it is cut off


@story
def a_run_dies_before_every_call_of_its_backup() -> None:
    for label in ("source.request_backup", "runs.record_made_backup", "hooks.call", "source.remove_backup"):
        world = world_of(backup_first=BY_HOOKS)
        make_strict(world, once(label, lambda process: process.die()))
        world.tick()
        check_done(world)
        world.oracles.check(len(world.the_source.requests) == 1, "a run that died asked twice")


@story
def what_a_killed_run_froze_is_thawed_by_the_next() -> None:
    world = world_of(backup_first=BY_HOOKS)
    leave_frozen(world)
    make_strict(world)
    world.fire(RULE)
    world.drive()
    world.oracles.check(not world.functions.frozen, "the next run left writes frozen")
    first = world.functions.calls[1]
    world.oracles.check(first == (THAW, "thaw"), "the next run froze before it thawed")


@story
def what_a_killed_run_froze_is_thawed_by_the_hourly_look() -> None:
    world = world_of(backup_first=BY_HOOKS)
    leave_frozen(world)
    make_strict(world)
    look(world)
    world.oracles.check(not world.functions.frozen, "the hourly look left writes frozen")
    world.oracles.check(not world.tables.freeze_records, "what is thawed is still on record")


@story
def the_hourly_look_lets_a_run_freeze_that_is_at_work() -> None:
    world = world_of(backup_first=BY_HOOKS)
    world.the_source.looks_until_made = 4
    oracles = make_strict(world, once("source.request_backup", lambda process: look(process.world)))
    world.tick()
    check_done(world)
    oracles.check(find_consistency(world) == ["application"], "the hourly look thawed what a run needs frozen")


@story
def the_hourly_look_thaws_before_the_freeze_has_come_through() -> None:
    world = world_of(backup_first=BY_HOOKS)

    def stand_still(process: Process) -> None:
        world.clock.advance(400)
        look(world)

    make_strict(world, once("hooks.call", stand_still))
    world.tick()
    world.oracles.check(not world.functions.frozen, "writes are left frozen by a freeze that came late")
    world.oracles.check(find_consistency(world) == ["point-in-time"], "a late freeze counts as one in time")


@story
def a_freeze_that_is_not_answered_comes_after_its_thaw() -> None:
    world = world_of(backup_first=BY_HOOKS)
    freeze = {"instance": INSTANCE, "phase": "freeze", "rule": RULE, "run": "1"}
    call, calls = world.functions.call, []

    def answer_late(function: str, payload: Record, longest_s: float) -> None:
        calls.append(function)
        if len(calls) == 3:
            call(FREEZE, freeze, longest_s)
        if function == FREEZE:
            raise HookUnanswered("No answer came.")
        call(function, payload, longest_s)

    world.functions.call = answer_late  # type: ignore[method-assign]
    make_strict(world)
    world.tick()
    world.oracles.check(
        len(calls) > 3 and not world.functions.frozen, "writes are left frozen by a freeze that came late"
    )
    world.oracles.check(find_consistency(world) == ["point-in-time"], "a late freeze counts as one in time")


@story
def somebody_lets_writes_go_on_too_early() -> None:
    world = world_of(backup_first=BY_HOOKS)
    world.the_source.looks_until_made = 3

    def thaw(process: Process) -> None:
        world.functions.call(THAW, {"instance": INSTANCE, "phase": "thaw", "rule": RULE, "run": "?"}, 60)
        world.tables.freeze_records.clear()

    make_strict(world, once("source.request_backup", thaw))
    world.tick()
    check_done(world)


# --------------------------------------------------------------- hooks that fail


@story
def a_freeze_that_fails_is_thawed_all_the_same() -> None:
    world = world_of(backup_first=BY_HOOKS)
    world.functions.half_done = True
    oracles = make_strict(world)
    world.tick()
    check_done(world)
    oracles.check_ends()
    check_calls(world, "freeze", "thaw")
    oracles.check(find_consistency(world) == ["point-in-time"], "a freeze that failed counts as one")


@story
def a_rule_that_demands_frozen_writes_fails_without_them() -> None:
    world = world_of(backup_first=DEMANDING)
    world.functions.half_done = True
    oracles = make_strict(world)
    world.tick()
    oracles.check(count_failed(world) == 1, "a rule demands frozen writes and is told nothing")
    oracles.check(not world.the_source.requests, "a backup was asked for that the rule does not want")


@story
def a_rule_that_demands_frozen_writes_is_told_when_they_went_on() -> None:
    world = world_of(backup_first=BackupFirst(FREEZE, THAW, longest_freeze_s=10, demands_application=True))
    world.the_source.looks_until_made = 8
    oracles = make_strict(world)
    world.tick()
    oracles.check(find_consistency(world) == ["point-in-time"], "writes went on and the manifest does not say so")
    oracles.check(count_failed(world) == 1, "a rule demands frozen writes and is told nothing")


@story
def a_freeze_ends_when_its_time_is_over() -> None:
    world = world_of(backup_first=BackupFirst(FREEZE, THAW, longest_freeze_s=30))
    world.the_source.looks_until_made = 30
    make_strict(world)
    world.tick()
    check_lasted(world, 60)


@story
def a_freeze_that_is_repeated_has_what_is_left_of_its_time() -> None:
    world = world_of(backup_first=BY_HOOKS)
    deaths = [1, 2]

    def die(process: Process, label: str) -> None:
        if label == "hooks.call" and deaths:
            world.clock.advance(200)
            world.functions.call(FREEZE, {"instance": INSTANCE, "phase": "freeze", "rule": RULE, "run": "1"}, 60)
            deaths.pop()
            process.die()
        if label == "source.request_backup":
            world.clock.advance(200)

    make_strict(world, die)
    world.tick()
    check_lasted(world, 400)


@story
def a_backup_cannot_be_asked_for_and_writes_go_on() -> None:
    for kind in (Kind.REFUSED, Kind.UNAVAILABLE):
        world = world_of(backup_first=BY_HOOKS)
        make_strict(world)
        hurt(world, "source.request_backup", kind)
        world.tick()
        world.oracles.check(not world.functions.frozen, "writes are frozen for a backup that nobody makes")
        check_lasted(world, 30)
        world.oracles.check(count_failed(world) == 1, "a backup could not be asked for and nobody is told")


@story
def a_backup_that_fails_lets_writes_go_on_and_goes() -> None:
    world = world_of(backup_first=BY_HOOKS)
    world.the_source.fails_to_make_next = True
    oracles = make_strict(world)
    world.tick()
    oracles.check(not world.functions.frozen, "writes are frozen and the backup has failed")
    check_lasted(world, 60)
    oracles.check(count_failed(world) == 1, "a backup failed and nobody is told")
    left = [one for one in world.the_source._backups[INSTANCE] if one.state is BackupState.FAILED]
    oracles.check(not left, "a backup that failed stays at its provider")


@story
def a_thaw_that_fails_is_told_and_tried_again() -> None:
    world = world_of(backup_first=BY_HOOKS)
    world.functions.missing.add(THAW)
    oracles = make_strict(world)
    world.tick()
    oracles.check(count_failed(world) == 1, "writes are left frozen and nobody is told")
    oracles.check(bool(world.tables.freeze_records), "writes are left frozen and it is not on record")
    world.functions.missing.clear()
    look(world)
    oracles.check(not world.functions.frozen, "the hourly look left writes frozen")


@story
def other_functions_do_not_hide_what_is_frozen() -> None:
    world = world_of(backup_first=BY_HOOKS)
    leave_frozen(world)
    left = world.tables.runs.freezes()[RULE]
    world.tables.runs.record_freeze(RULE, replace(left, until=world.clock.now() + timedelta(hours=1)))
    world.let_happen(Kind.HOOKS_CHANGED, RULE)
    make_strict(world)
    hurt(world, "hooks.call", Kind.DENIED)
    world.tick()
    world.injector.end_faults()
    world.quiet_tick()
    world.oracles.check(not world.functions.frozen, "a freeze by other functions is left")
