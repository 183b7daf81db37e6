"""Every single fault: each call of each scenario, befallen by each kind of fault that it can meet."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from tests.faults.all_scenarios import ON_DEMAND, SCENARIOS
from tests.faults.fault import CALLS_ON_DEMAND, EVENTS, EVENTS_AT_REST, EVENTS_ON_DEMAND, Fault, Kind, kinds_of
from tests.faults.oracles import Violation
from tests.faults.settled import check_the_faulty_run, settle
from tests.faults.world import World

WITH_PEOPLE = (
    "one_small_backup",
    "fragments_that_are_not_whole",
    "spread_over_workers",
    "after_a_run_that_was_killed",
    "nothing_new",
)
ON_DEMAND_WITH_PEOPLE = (
    "a_backup_with_writes_frozen",
    "after_a_run_that_was_killed_with_writes_frozen",
    "a_cluster_read_in_two_ways",
)
AT_REST_WITH_PEOPLE = (
    "the_last_copy_is_kept",
    "copies_of_every_standing",
    "removals_that_were_cut_off",
    "copies_that_are_due_for_an_audit",
)


@dataclass(frozen=True)
class Schedule:
    """A scenario, and the faults of its first run."""

    scenario: str
    faults: tuple[Fault, ...]

    @property
    def token(self) -> str:
        """The schedule in one word: `one_small_backup:21:SENT_TWICE`."""
        return ":".join([self.scenario, *(f"{fault.at}:{fault.kind.name}" for fault in self.faults)])

    @classmethod
    def parse(cls, token: str) -> Schedule:
        """The schedule of that token; a place may be given as a call too, `vault.put_part` or its third, `...*3`."""
        scenario, *rest = token.split(":")
        places = [int(place) if place.isdigit() else _find_call(scenario, place) for place in rest[::2]]
        return cls(scenario, tuple(Fault(at, Kind[kind]) for at, kind in zip(places, rest[1::2], strict=True)))


@dataclass
class Found:
    """What trying schedules or seeds brought: how many, what happened in them, and what did not hold."""

    tried: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)

    def note(self, how: str, problem: str | None, counts: Counter[str]) -> None:
        """One that was tried: the option that tries it again, what did not hold in it, what happened in it."""
        self.tried += 1
        self.counts.update(counts)
        if problem is not None:
            self.violations.append((how, problem))

    def add(self, other: Found) -> None:
        self.tried += other.tried
        self.counts.update(other.counts)
        self.violations += other.violations


@cache
def calls_of(scenario: str) -> tuple[str, ...]:
    """The calls of a scenario's first run when nothing fails, as far as it gets."""
    with suppress(Violation, Exception):  # what does not hold is told by whoever tries the scenario without a fault
        world = SCENARIOS[scenario]()
        world.injector.plan(())
        with suppress(Violation, Exception):
            world.tick()
        return tuple(world.injector.calls)
    return ()


def _find_call(scenario: str, place: str) -> int:
    """At which call of a scenario that place is. Raises LookupError where it has no such call."""
    call, _, number = place.partition("*")
    found = [at for at, made in enumerate(calls_of(scenario), 1) if made == call]
    if len(found) < int(number or 1):
        raise LookupError(f"{scenario} has {len(found)} calls {call}")
    return found[int(number or 1) - 1]


def play(schedule: Schedule, told: list[str] | None = None) -> World:
    """A scenario's first run with its faults, and the quiet time after it. Raises Violation."""
    world = SCENARIOS[schedule.scenario]()
    world.told = told
    world.injector.plan(schedule.faults)
    world.tick()
    calls = list(world.injector.calls)
    world.injector.end_faults()
    check_the_faulty_run(world)
    settle(world)
    world.injector.calls[:] = calls
    return world


def single_faults(scenario: str) -> Iterator[Schedule]:
    """Every schedule of one fault; in some of the scenarios people come before every call as well."""
    for at, call in enumerate(calls_of(scenario), 1):
        for number, kind in enumerate((*kinds_of(call), *_find_events(scenario))):
            # What other scenarios try as well is thinned out where a run has a backup made.
            if scenario not in ON_DEMAND or call in CALLS_ON_DEMAND or (at + number) % 8 == 0:
                yield Schedule(scenario, (Fault(at, kind),))


def _find_events(scenario: str) -> tuple[Kind, ...]:
    """What people do before every call of a scenario."""
    if scenario in WITH_PEOPLE:
        return EVENTS
    if scenario in ON_DEMAND_WITH_PEOPLE:
        return (*EVENTS, *EVENTS_ON_DEMAND)
    return EVENTS_AT_REST if scenario in AT_REST_WITH_PEOPLE else ()


def problem_of(play_it: Callable[[], World]) -> tuple[str | None, Counter[str]]:
    """What does not hold when a world is played, or None; and what happened in it."""
    try:
        return None, play_it().counts
    except Violation as violation:
        return str(violation), Counter()
    except Exception as error:  # noqa: BLE001 - whatever leaves a run that should not is a finding as well
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
        return f"{type(error).__name__}: {error} ({place})", Counter()
