"""Pairs of faults, sampled: the second one some calls after the first, where retries and repairs are at work."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.faults.all_scenarios import AT_REST, OF_SOURCES, SCENARIOS
from tests.faults.fault import EVENTS, EVENTS_AT_REST, EVENTS_ON_DEMAND, Fault, Kind, kinds_of
from tests.faults.single import Schedule, calls_of

FARTHEST = 40  # calls between the two


def sample_pairs(count: int, seed: int) -> Iterator[Schedule]:
    """So many pairs, over all scenarios; the same ones for the same seed."""
    chance = random.Random(seed)
    calls = {name: calls_of(name) for name in SCENARIOS}
    names = list(calls)
    for _ in range(count):
        name = chance.choice(names)
        events = EVENTS_AT_REST if name in AT_REST else EVENTS
        events += EVENTS_ON_DEMAND if name in OF_SOURCES else ()
        yield Schedule(name, _pair(calls[name], events, chance))


def _pair(calls: Sequence[str], events: Sequence[Kind], chance: random.Random) -> tuple[Fault, Fault]:
    at = chance.randint(1, len(calls))
    later = at + chance.randint(1, FARTHEST)
    return Fault(at, _kind(calls, at, events, chance)), Fault(later, _kind(calls, later, events, chance))


def _kind(calls: Sequence[str], at: int, events: Sequence[Kind], chance: random.Random) -> Kind:
    """A kind that the call at that place can meet; after a first fault another call may stand there."""
    kinds = kinds_of(calls[at - 1]) if at <= len(calls) else kinds_of("runs.renew_lease")
    return chance.choice(events) if chance.random() < 0.15 else chance.choice(kinds)
