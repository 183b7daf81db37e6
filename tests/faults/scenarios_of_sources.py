"""The worlds of other sources, of backups that runs have made, and of writes that are frozen around them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from rdbkeeper.domain.backup_first import BackupFirst, Freeze, MadeBackup, name_backup
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import SourceAccess, Way
from rdbkeeper.domain.vault import Capabilities, StoreSum
from rdbkeeper.flows.runs.context import made_tag
from tests.fakes.rdb_files import flip_bit
from tests.faults.execution import STACK
from tests.faults.functions import FREEZE, THAW
from tests.faults.scenarios import file_of, scenario
from tests.faults.sources import LinkedSource, NamelessSource, SimulatedSource
from tests.faults.world import World

OF_SOURCES: list[str] = []  # the names of these scenarios
ON_DEMAND: list[str] = []  # and of those in which a run has a backup made
BY_HOOKS = BackupFirst(FREEZE, THAW)
RULE = "nightly"
INSTANCE = "orders"
TAGS = {"rdbkeeper:stack": STACK, "rdbkeeper:rule": RULE}
A_SERVER = {"provider": "redis", "access": SourceAccess(address="orders.test:6379")}
WITHOUT_NAMES = {"provider": "elasticache-serverless"}
BY_LINKS = {"provider": "tencentdb", "access": SourceAccess(region="ap-guangzhou", secret="rdbkeeper/tencent")}


def _of_sources(make: Callable[[], World]) -> Callable[[], World]:
    OF_SOURCES.append(make.__name__)
    return scenario(make)


def _on_demand(make: Callable[[], World]) -> Callable[[], World]:
    ON_DEMAND.append(make.__name__)
    return _of_sources(make)


def world_of(source: type[SimulatedSource] = SimulatedSource, **rule: object) -> World:
    """A world of one rule; whatever is asked for holds two files, other ones for each backup."""
    world = World(source)
    world.add_rule(RULE, INSTANCE, **rule)  # type: ignore[arg-type]
    world.the_source.data[INSTANCE] = {"0001": file_of(70, 31), "0002": file_of(64, 32)}
    return world


# --------------------------------------------------------------- on demand


@_on_demand
def a_backup_first() -> World:
    world = world_of(backup_first=BackupFirst())
    world.add_backup("automatic", 0, {"0001": file_of(50, 1)})
    return world


@_on_demand
def a_backup_with_writes_frozen() -> World:
    world = world_of(backup_first=BY_HOOKS)
    world.the_source.looks_until_made = 3
    return world


@_on_demand
def a_backup_that_outlasts_its_freeze() -> World:
    world = world_of(backup_first=BackupFirst(FREEZE, THAW, longest_freeze_s=20))
    world.the_source.looks_until_made = 8
    return world


@_on_demand
def a_function_that_does_not_freeze() -> World:
    world = world_of(backup_first=BY_HOOKS)
    world.functions.half_done = True
    return world


@_on_demand
def a_rule_that_demands_frozen_writes() -> World:
    world = world_of(backup_first=BackupFirst(FREEZE, THAW, demands_application=True))
    world.add_backup("automatic", 0, {"0001": file_of(50, 1)})
    return world


@_on_demand
def a_backup_now() -> World:
    world = world_of()
    world.request = RunRequest(on_request=True, backs_up=True)
    world.add_backup("automatic", 0, {"0001": file_of(50, 1)})
    return world


@_on_demand
def a_run_at_an_hour_that_nobody_has_chosen() -> World:
    world = world_of(backup_first=BY_HOOKS)
    world.request = RunRequest(on_request=True, owed=True)
    return world


@_on_demand
def a_backup_first_and_a_chain_of_runs() -> World:
    world = world_of(backup_first=BY_HOOKS)
    world.operations_weigh = 60  # a run has room for its own backup and one more
    for number in range(3):
        world.add_backup(f"b{number}", number, {"0001": file_of(40 + number, number)})
    return world


@_on_demand
def a_backup_that_fails_at_its_provider() -> World:
    world = world_of(backup_first=BY_HOOKS)
    world.the_source.fails_to_make_next = True
    world.add_backup("automatic", 0, {"0001": file_of(50, 1)})
    return world


@_on_demand
def after_a_run_that_was_killed_with_writes_frozen() -> World:
    world = world_of(backup_first=BY_HOOKS)
    leave_frozen(world)
    return world


def leave_frozen(world: World) -> str:
    """A run was killed right after it had frozen writes and asked for a backup; returns that one's name."""
    killed = world.fire(RULE)
    now = world.clock.now()
    name = name_backup(made_tag(STACK, RULE), now)
    freeze = Freeze(THAW, INSTANCE, killed.arn, now, now + timedelta(seconds=300))
    instance = world.the_source.find_instance(INSTANCE)
    assert instance is not None
    world.tables.runs.record_freeze(RULE, freeze)
    world.functions.call(FREEZE, {"instance": INSTANCE, "phase": "freeze", "rule": RULE, "run": killed.arn}, 60)
    world.tables.runs.record_made_backup(RULE, MadeBackup(name, now))
    world.the_source.request_backup(instance, name, TAGS)
    world.oracles.on_demand.note_asked()
    world.tables.leases[RULE] = killed.arn
    world.clock.advance(5)
    killed.end("STOPPED")
    world.clock.advance(1_300)
    return name


# ----------------------------------------------------------- listed otherwise


@_on_demand
def exports_without_a_name_of_ours() -> World:
    world = world_of(NamelessSource, **WITHOUT_NAMES, backup_first=BackupFirst())
    world.the_source.looks_until_ready = 2
    world.add_backup("b", 0, {"0001": file_of(130, 1), "0002": file_of(64, 2)})
    return world


@_on_demand
def files_behind_links() -> World:
    world = world_of(LinkedSource, **BY_LINKS, backup_first=BackupFirst())
    world.add_backup("b", 0, {"0001": file_of(200, 1), "0002": file_of(64, 2)})
    world.add_backup("bad", 1, {"0001": flip_bit(file_of(90, 3), 40)}, is_whole=False)
    return world


# -------------------------------------------------------------- read directly


@_of_sources
def a_server() -> World:
    world = world_of(**A_SERVER)
    world.server.shards = {"0001": 150}
    return world


@_of_sources
def a_cluster_read_in_two_ways() -> World:
    world = world_of(**A_SERVER)
    world.server.shards = {"0001": 128, "0002": 60, "0003": 65}
    world.server.ways["0002"] = Way.LOGICAL
    return world


@_of_sources
def a_server_and_a_store_without_sums() -> World:
    world = world_of(**A_SERVER)
    world.server.shards = {"0001": 100, "0002": 64}
    world.the_vault.capabilities = Capabilities(
        StoreSum.NONE,
        conditional_create=False,
        conditional_complete=False,
        conditional_delete=False,
        conditional_read=False,
        lists_uploads=False,
        keeps_versions=False,
    )
    return world


@_on_demand
def a_server_beside_another_source() -> World:
    world = world_of(backup_first=BY_HOOKS)
    world.add_rule("server", "carts", **A_SERVER)  # type: ignore[arg-type]
    world.server.shards = {"0001": 70}
    return world
