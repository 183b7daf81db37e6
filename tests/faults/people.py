"""What people, timers and providers do while a run is going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdbkeeper.domain.rule import Rule, RuleState
from tests.fakes.rdb_files import rdb_file
from tests.faults.fault import EVENTS_AT_REST, EVENTS_ON_DEMAND, Kind
from tests.faults.hourly import change_hooks, look
from tests.faults.people_at_rest import happen_at_rest

if TYPE_CHECKING:
    from tests.faults.world import World


def let_happen(world: World, kind: object, rule: str) -> None:
    """Let one such thing happen now, to that rule or its instance."""
    found = world.find_rule(rule)
    instance = found.instance if found is not None else ""
    if kind is Kind.TIMER_AGAIN:
        second = world.fire(rule)
        if world.take_turns is None:
            world.invoke(second)
    elif kind is Kind.RULE_DELETED:
        world.edit(rule, state=RuleState.DELETING)
    elif kind is Kind.RULE_MOVED and found is not None:
        world.edit(rule, prefix=f"{found.prefix}moved/")
    elif kind is Kind.RULE_PAUSED:
        world.edit(rule, state=RuleState.PAUSED)
    elif kind is Kind.BACKUP_VANISHES:
        backups = world.the_source._backups.get(instance)
        if backups:
            world.the_source.lose_backup(instance, backups[-1].backup_id)
    elif kind is Kind.INSTANCE_VANISHES:
        _remove_instance(world, found)
    elif kind is Kind.BACKUP_ARRIVES and found is not None and not found.is_live:
        add_arrival(world, instance)
    elif kind in EVENTS_AT_REST:
        happen_at_rest(world, kind, rule)
    elif kind in EVENTS_ON_DEMAND:
        _happen_on_demand(world, kind, rule)
    else:
        _take_away(world, kind)


def _remove_instance(world: World, rule: Rule | None) -> None:
    if rule is None:
        return
    if rule.is_live:
        world.server.is_there = False
    elif world.the_source.find_instance(rule.instance) is not None:
        world.the_source.remove_instance(rule.instance)


def _happen_on_demand(world: World, kind: object, rule: str) -> None:
    if kind is Kind.HOURLY_LOOK:
        look(world)
    else:
        change_hooks(world, rule)


def add_arrival(world: World, instance: str) -> None:
    """A new backup of that instance, newer than all of its others."""
    world.arrivals += 1
    number = world.arrivals
    world.add_backup(f"new-{number}", 7 + number, {"0001": rdb_file(90 + number, seed=700 + number)}, instance)


def _take_away(world: World, kind: object) -> None:
    vault = world.the_vault
    if kind is Kind.STAGED_FILES_TAKEN:
        world.the_source.staged.clear()
    elif kind is Kind.UPLOADS_ABORTED:
        vault.uploads.clear()
    elif kind is Kind.DATA_TAKEN:
        kept = world.oracles.published_copies()
        for key in [key for key in vault.objects if key.endswith(".rdb") and not any(copy in key for copy in kept)]:
            del vault.objects[key]
    elif kind is Kind.COPY_TAKEN:
        world.oracles.forget_newest_copy()
