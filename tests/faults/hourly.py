"""The hourly look at what runs have frozen and nobody has thawed, and the time until it comes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rdbkeeper.flows.fleet.thawing import thaw_what_is_left
from rdbkeeper.flows.fleet.work import FleetWork
from tests.fakes.journal import Line
from tests.faults.functions import FREEZE, THAW
from tests.faults.one_thread import look_in_one_thread

if TYPE_CHECKING:
    from tests.faults.world import World

HOUR_S = 3600.0
LOOK_S = 900.0  # as long as Lambda lets it take


class Hours:
    """When the next look is due."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._next_s = HOUR_S

    def pass_by(self, seconds: float) -> None:
        """Let time pass, and every hour the look at what is frozen, where anything is."""
        clock = self._world.clock
        until_s = clock.monotonic() + seconds
        while self._is_needed() and self._next_due_s() <= until_s:
            clock.advance(max(0.0, self._next_due_s() - clock.monotonic()))
            look(self._world)
            self._next_s = clock.monotonic() + HOUR_S
        clock.advance(max(0.0, until_s - clock.monotonic()))

    def _next_due_s(self) -> float:
        """Looks of hours in which there was nothing to look at are not worth the time."""
        now_s = self._world.clock.monotonic()
        while self._next_s + HOUR_S < now_s:
            self._next_s += HOUR_S
        return self._next_s

    def _is_needed(self) -> bool:
        return bool(self._world.functions.frozen or self._world.tables.freeze_records)


def look(world: World) -> None:
    """What reconciling does about freezes; nothing fails in it."""
    world.note("the hourly look")
    with look_in_one_thread():
        thaw_what_is_left(_work(world), lambda: LOOK_S)
    world.oracles.on_demand.after_look()


def change_hooks(world: World, rule: str) -> None:
    """A person has the rule call an alias of each function in place of the function itself."""
    found = world.find_rule(rule)
    if found is not None and found.backup_first is not None and found.backup_first.has_hooks:
        newer = replace(found.backup_first, freeze=f"{FREEZE}:new", thaw=f"{THAW}:new")
        world.edit(rule, backup_first=newer)


def _work(world: World) -> FleetWork:
    def find_going_run(rule: str) -> str | None:
        return next((one.arn for one in world.executions.going() if one.rule == rule), None)

    unused: Any = None
    return FleetWork(
        stack=unused,
        rules=world.tables.rules,  # type: ignore[arg-type]
        runs=world.tables.runs,  # type: ignore[arg-type]
        vaults=unused,
        services=SimpleNamespace(find_going_run=find_going_run),  # type: ignore[arg-type]
        adapters=SimpleNamespace(hooks=world.functions),  # type: ignore[arg-type]
        journal=_LooksJournal(world),  # type: ignore[arg-type]
        clock=world.clock,
    )


class _LooksJournal:
    """What the look tells is counted, and looked at for secrets."""

    def __init__(self, world: World) -> None:
        self._world = world

    def bind(self, **keys: str) -> _LooksJournal:
        return self

    def _add(self, event: str, message: str, **fields: Any) -> None:
        line = Line("info", event, message, fields)
        self._world.oracles.check_text(f"{line.message} {line.fields}")
        self._world.counts[event] += 1
        self._world.trace(f"    the hourly look: {event}: {message}")

    info = warning = error = _add
