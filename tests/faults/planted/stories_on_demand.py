"""Stories of backups that runs have made, and of writes that are frozen around them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from rdbkeeper.domain.backup import Consistency
from rdbkeeper.domain.backup_first import BackupFirst, name_backup
from rdbkeeper.flows.runs.context import made_tag
from tests.fakes.rdb_files import rdb_file
from tests.faults.execution import STACK
from tests.faults.fault import Kind
from tests.faults.functions import FREEZE, THAW
from tests.faults.planted.strict import check_done, make_strict
from tests.faults.planted.telling import RULE, story
from tests.faults.scenarios_of_sources import BY_HOOKS, INSTANCE, TAGS, world_of
from tests.faults.world import World

DEMANDING = BackupFirst(FREEZE, THAW, demands_application=True)


def find_consistency(world: World) -> list[str]:
    """What the manifests say of backups of ours, oldest first."""
    found = []
    for key in sorted(key for key in world.the_vault.objects if "/manifests/" in key):
        manifest = read_manifest(world, key)
        if manifest["source"]["backup_id"].startswith("rdbkeeper-"):
            found.append(manifest["consistency"])
    return found


def read_manifest(world: World, key: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(world.the_vault.objects[key])
    return document


def check_calls(world: World, *phases: str) -> None:
    called = tuple(phase for _, phase in world.functions.calls)
    world.oracles.check(called == phases, f"the owner's functions were called to {called}")


def hurt(world: World, label: str, kind: Kind) -> None:
    """Let a fault befall every call of that name."""
    world.injector.choose = lambda called: kind if called == label else None


def check_lasted(world: World, most_s: float) -> None:
    lasted_s = max(world.functions.lasted_s.values())
    world.oracles.check(lasted_s <= most_s, f"writes were frozen for {lasted_s:.0f} s and were to be for {most_s}")


def count_failed(world: World) -> int:
    return sum(line.event == "BackupOutcome" and line.fields["status"] == "failed" for line in world.lines)


# ------------------------------------------------------------- nothing fails


@story
def writes_are_frozen_around_the_whole_backup() -> None:
    world = world_of(backup_first=BY_HOOKS)
    oracles = make_strict(world)
    world.tick()
    check_done(world)
    oracles.check_ends()
    check_calls(world, "freeze", "thaw")
    oracles.check(find_consistency(world) == ["application"], "writes were frozen and the manifest does not say so")


@story
def each_run_has_one_backup_made_and_removes_it() -> None:
    world = world_of(backup_first=BackupFirst())
    oracles = make_strict(world)
    for _ in range(3):
        world.quiet_tick()
        check_done(world)
        world.oracles.check(not world.the_source._backups[INSTANCE], "a backup that is copied is still there")
    oracles.check_ends()
    oracles.check(len(world.the_source.requests) == 3, "not every run asked for one backup")
    oracles.check(find_consistency(world) == ["point-in-time"] * 3, "a backup is called other than it is")


@story
def an_unchecked_backup_stays_at_its_provider() -> None:
    world = world_of(backup_first=BackupFirst())
    world.the_source.data[INSTANCE] = {"0001": rdb_file(60, seed=4, checksum=False)}
    make_strict(world)
    world.tick()
    check_done(world)
    world.oracles.check(len(world.the_source._backups[INSTANCE]) == 1, "what nobody could check was removed")


# --------------------------------------------------------------- quota, others


def use_up(world: World, count: int) -> None:
    """So many backups were made by hand within the last hours."""
    instance = world.the_source.find_instance(INSTANCE)
    assert instance is not None
    for number in range(count):
        taken_at = world.clock.now() - timedelta(hours=3, minutes=number)
        backup = world.the_source.add_backup(
            INSTANCE, f"by-hand-{number}", taken_at, {"0001": rdb_file(40, seed=number)}, automatic=False
        )
        world.add_truth(backup, {"0001": rdb_file(40, seed=number)})
        world.the_source.requests.append((INSTANCE, f"by-hand-{number}", taken_at))
    world.oracles.on_demand.skip_requests()


@story
def no_more_is_asked_for_than_a_day_allows() -> None:
    world = world_of(backup_first=BackupFirst())
    use_up(world, 20)
    world.operations_weigh = 1
    oracles = make_strict(world)
    world.tick()
    oracles.check("source.request_backup" not in world.injector.calls, "more was asked for than a day allows")
    oracles.check(len(oracles.published_copies()) == 20, "what could not be made kept others from being copied")
    oracles.check(count_failed(world) == 1, "a backup was not made and nobody is told")
    states = {execution.state for execution in world.executions.all.values()}
    oracles.check(states == {"FAILED"}, "a run calls itself a success that made no backup")


@story
def the_last_one_of_a_day_is_made() -> None:
    world = world_of(backup_first=BackupFirst())
    use_up(world, 19)
    oracles = make_strict(world)
    world.tick()
    oracles.check(count_failed(world) == 0, "a backup was not made which the day allows")


@story
def the_backup_of_another_rule_bears_the_name_of_ours() -> None:
    world = world_of(backup_first=BackupFirst())
    name = name_backup(made_tag(STACK, RULE), world.clock.now())
    body = {"0001": rdb_file(60, seed=8)}
    backup = world.the_source.add_backup(INSTANCE, name, world.clock.now() - timedelta(hours=2), body, automatic=False)
    world.add_truth(backup, body)
    world.the_source.tags[name] = {**TAGS, "rdbkeeper:rule": "another"}
    make_strict(world)
    world.tick()
    world.quiet_tick()
    names = [one.backup_id for one in world.the_source._backups[INSTANCE]]
    world.oracles.check(name in names, "somebody else's backup was removed")


# ------------------------------------------------------------------- and goes on


@story
def a_backup_that_is_late_is_copied_by_the_next_run() -> None:
    world = world_of(backup_first=BackupFirst())
    world.the_source.never_makes_next = True
    world.export_timeout = timedelta(minutes=20)
    oracles = make_strict(world)
    world.tick()
    oracles.check(count_failed(world) == 1, "a backup took too long and nobody is told")
    for one in list(world.the_source._never_made):
        world.the_source._never_made.discard(one)
    world.quiet_tick()
    check_done(world)
    world.oracles.check(not world.the_source._backups[INSTANCE], "a late backup stays at its provider")
    oracles.check(len(find_consistency(world)) == 2, "a late backup was not copied")


@story
def a_backup_that_cannot_be_removed_goes_with_the_next_run() -> None:
    world = world_of(backup_first=BackupFirst())
    oracles = make_strict(world)
    hurt(world, "source.remove_backup", Kind.DENIED)
    world.tick()
    world.injector.end_faults()
    world.oracles.check(count_failed(world) == 0, "a copy failed as its backup cannot be removed")
    oracles.check_ends()
    world.quiet_tick()
    check_done(world)
    world.oracles.check(not world.the_source._backups[INSTANCE], "a backup that is copied stays at its provider")


@story
def a_run_that_follows_makes_no_second_backup() -> None:
    world = world_of(backup_first=BackupFirst())
    for number in range(3):
        world.add_backup(f"b{number}", number, {"0001": rdb_file(40 + number, seed=number)})
    world.operations_weigh = 150
    make_strict(world)
    world.tick()
    world.oracles.check(world.counts["handed over"] >= 1, "the chain was to have two runs")
    world.oracles.check(len(world.the_source.requests) == 1, "a chain of runs asked for several backups")
    check_done(world)


@story
def consistency_is_told_in_a_line() -> None:
    world = world_of(backup_first=BY_HOOKS)
    make_strict(world)
    world.tick()
    told = [line.message for line in world.lines if line.event == "BackupOutcome"]
    said = Consistency.APPLICATION.value
    world.oracles.check(any(said in line for line in told), "no line says that writes were frozen")
