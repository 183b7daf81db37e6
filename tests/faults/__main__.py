"""Tries to break runs: `python -m tests.faults`, or `make faults`.

--seeds N                   how many seeds of the simulation (20,000)
--pairs N                   how many pairs of faults (3,000)
--first-seed N              where the seeds begin (0)
--quick                     a thinned-out form for trying out changes, some ten seconds
--without-bugs              plant none
--until-first-violation     stop there
-v                          tell by what each planted bug was caught
--processes N               (one a core)
--seed N                    tell the story of one seed
--schedule TOKEN            tell that of one schedule, such as one_small_backup:24:SENT_TWICE
--story NAME                try one story alone
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.faults.planted.all_stories import STORIES
from tests.faults.planted.hunt import tell_stories, tell_story
from tests.faults.planted.runner import plant_all
from tests.faults.simulation import play_seed
from tests.faults.single import Found, Schedule, calls_of, play, problem_of
from tests.faults.sometimes import find_never
from tests.faults.tiers import Amounts, try_tiers
from tests.faults.world import World

SEEDS = 20_000
PAIRS = 3_000
MOST_SHOWN = 30


def main(arguments: list[str] | None = None) -> int:
    """Try, tell, and return 1 when something did not hold."""
    wanted = _parse(arguments)
    if wanted.seed is not None:
        return _tell(lambda told: play_seed(wanted.seed, told))
    if wanted.schedule is not None:
        return _tell(lambda told: play(Schedule.parse(wanted.schedule), told))
    if wanted.story is not None:
        return _tell_violations(tell_story(wanted.story))
    began_s = time.monotonic()
    amounts = Amounts(wanted.pairs, wanted.seeds, wanted.first_seed)
    if wanted.quick:
        amounts = Amounts(min(wanted.pairs, 250), min(wanted.seeds, 1_000), wanted.first_seed, every=11)
    tiers = try_tiers(amounts, wanted.processes, first_only=wanted.until_first_violation)
    tiers["stories"] = tell_stories()
    _show(tiers)
    _say(f"{time.monotonic() - began_s:.0f} s with {wanted.processes} processes")
    violations = [violation for found in tiers.values() for violation in found.violations]
    counts = sum((found.counts for found in tiers.values()), Counter())
    # The quick form is thinned out so much that a kind of fault may fall through.
    never = [] if wanted.quick or wanted.until_first_violation else find_never(counts)
    for what in never:
        _say(f"NEVER HAPPENED: {what}")
    # In the quick form a person tries out a change, and no bug is planted.
    is_harness_tried = not (wanted.quick or wanted.without_bugs or wanted.until_first_violation)
    verdicts = plant_all(wanted.processes) if is_harness_tried else []
    for verdict in verdicts:
        if wanted.verbose or not verdict.is_caught:
            _say(str(verdict))
    caught = sum(verdict.is_caught for verdict in verdicts)
    _say(summary_line(tiers, caught, planted=len(verdicts)))
    return 1 if violations or never or caught < len(verdicts) else 0


def summary_line(tiers: dict[str, Found], caught: int, planted: int) -> str:
    """The last line: how much was tried, and what did not hold."""
    single = tiers["single"].tried + tiers["found"].tried
    violations = sum(len(found.violations) for found in tiers.values())
    return (
        f"faults: {single} single, {tiers['pairs'].tried} pairs, {tiers['seeds'].tried} seeds, "
        f"{caught} of {planted} planted bugs caught, {violations} violations"
    )


def describe(how: str) -> str:
    """What is tried again by that option, in words: `one_small_backup, at its call 21 vault.put_part: denied once`."""
    option, _, token = how.partition(" ")
    if option != "--schedule":
        return f"{option.strip('-')} {token}"
    schedule = Schedule.parse(token)
    calls = calls_of(schedule.scenario)
    befalls = [
        f"at its call {fault.at} {calls[fault.at - 1] if fault.at <= len(calls) else ''}: {fault.kind.value}"
        for fault in schedule.faults
    ]
    return ", ".join([schedule.scenario, *(befalls or ["nothing fails"])])


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.faults")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--without-bugs", action="store_true")
    parser.add_argument("--until-first-violation", action="store_true")
    parser.add_argument("--verbose", "-v", action="store_true")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--schedule")
    parser.add_argument("--story", choices=STORIES, metavar="NAME")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _show(tiers: dict[str, Found]) -> None:
    shown: Counter[str] = Counter()
    for tier, found in tiers.items():
        _say(f"{tier}: {found.tried} tried, {len(found.violations)} violations")
        for how, problem in found.violations:
            shown[problem] += 1
            if shown[problem] <= 3 and shown.total() <= MOST_SHOWN:
                _say(f"VIOLATION: {problem}\n    {describe(how)}\n    python -m tests.faults {how}")


def _tell_violations(found: Found) -> int:
    _say("\n".join(problem for _, problem in found.violations) or "everything held")
    return 1 if found.violations else 0


def _tell(play_it: Callable[[list[str]], World]) -> int:
    told: list[str] = []
    problem, _ = problem_of(lambda: play_it(told))
    _say("\n".join(told))
    _say(f"VIOLATION: {problem}" if problem else "everything held")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
