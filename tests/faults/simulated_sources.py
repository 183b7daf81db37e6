"""From where a simulated world's backups come, where that is not what is listed and staged; and how runs make some."""

from __future__ import annotations

import random

from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import Way
from tests.faults.functions import FREEZE, THAW
from tests.faults.scenarios_of_sources import A_SERVER, BY_LINKS, WITHOUT_NAMES, leave_frozen, world_of
from tests.faults.sources import LinkedSource, NamelessSource
from tests.faults.world import World

_FIRSTS = (
    BackupFirst(),
    BackupFirst(FREEZE, THAW),
    BackupFirst(FREEZE, THAW),
    BackupFirst(FREEZE, THAW, longest_freeze_s=30),
    BackupFirst(FREEZE, THAW, demands_application=True),
)


def make_of_another_source(chance: random.Random, rule: str) -> World:
    """A world of one rule whose provider is another one."""
    roll = chance.random()
    if roll < 0.25:
        return world_of(NamelessSource, **WITHOUT_NAMES)
    if roll < 0.5:
        return world_of(LinkedSource, **BY_LINKS)
    world = world_of(**A_SERVER, bandwidth_mbps=chance.choice((0, 0, 1)))
    for shard in range(1, chance.choice((1, 1, 2, 3)) + 1):
        name = f"{shard:04d}"
        world.server.shards[name] = chance.choice((40, 64, 100, 128, 160))
        world.server.ways[name] = chance.choice((Way.FULL_SYNC, Way.FULL_SYNC, Way.LOGICAL))
    return world


def let_make_backups(world: World, chance: random.Random, rule: str) -> None:
    """Have the rule ask for a backup first, with writes frozen or not; or have a person ask for one."""
    if chance.random() < 0.2:
        world.request = RunRequest(on_request=True, backs_up=True)
        return
    world.edit(rule, backup_first=chance.choice(_FIRSTS))
    world.the_source.looks_until_made = chance.choice((1, 2, 3, 9))
    world.the_source.fails_to_make_next = chance.random() < 0.1
    if has_hooks(world, rule) and chance.random() < 0.1:
        leave_frozen(world)
    world.functions.half_done = chance.random() < 0.1


def has_hooks(world: World, rule: str) -> bool:
    found = world.find_rule(rule)
    return found is not None and found.backup_first is not None and found.backup_first.has_hooks


def is_live(world: World, rule: str) -> bool:
    found = world.find_rule(rule)
    return found is not None and found.is_live
