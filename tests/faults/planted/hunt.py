"""Looks for whatever does not hold in the package as it stands in `sys.path`, and stops at the first thing found.

`python -m tests.faults.planted.hunt NAME` looks first where the bug of that name is likely to show. It writes one line
of JSON: which tier found it, by which schedule, and what did not hold.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from tests.faults.planted.all_stories import STORIES
from tests.faults.planted.bug import Hint
from tests.faults.planted.catalogue import find_bug
from tests.faults.single import Found, play, problem_of, single_faults
from tests.faults.tiers import Amounts, do_task, tasks_of
from tests.faults.world import World

QUICK = Amounts(pairs=250, seeds=1_000, every=11)


def hunt(hint: Hint) -> tuple[str, str, str] | None:
    """The tier, the schedule and the problem of the first violation; None when all of the quick form holds."""
    for tier, found in _look(hint):
        if found.violations:
            how, problem = found.violations[0]
            return tier, how, problem
    return None


def _look(hint: Hint) -> Iterator[tuple[str, Found]]:
    for name in STORIES:
        yield "story", tell_story(name)
    yield from _look_where_hinted(hint)
    for task in tasks_of(QUICK, first_only=True):
        yield do_task(task)


def tell_stories() -> Found:
    """All of the stories."""
    found = Found()
    for name in STORIES:
        found.add(tell_story(name))
    return found


def tell_story(name: str) -> Found:
    """One story, and what did not hold in it."""

    def tell() -> World:
        STORIES[name]()
        return World()

    found = Found()
    found.note(f"--story '{name}'", *problem_of(tell))
    return found


def _look_where_hinted(hint: Hint) -> Iterator[tuple[str, Found]]:
    if not hint.scenario:
        return
    for schedule in single_faults(hint.scenario):
        if schedule.faults[0].kind in hint.kinds:
            found = Found()
            found.note(f"--schedule {schedule.token}", *problem_of(lambda schedule=schedule: play(schedule)))
            yield "single", found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(hunt(find_bug(sys.argv[1]).hint)))
