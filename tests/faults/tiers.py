"""The harness's tiers, each cut into tasks that several processes take one after another."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context

from tests.faults.all_scenarios import SCENARIOS
from tests.faults.found import SCHEDULES
from tests.faults.pairs import sample_pairs
from tests.faults.simulation import play_seed
from tests.faults.single import Found, Schedule, play, problem_of, single_faults

SHARES = 6  # of the single faults of each scenario, so that no process has the longest one left at the end
SEEDS_PER_TASK = 250
PAIRS_PER_TASK = 250
COLLECT_EVERY = 100

_FORKING = get_context("fork")
_enough = _FORKING.Event()  # set for all processes when the first violation is all that is wanted


@dataclass(frozen=True)
class Task:
    """Some schedules or seeds of one tier; `every` thins the single faults out to each so many-th."""

    tier: str
    scenario: str = ""
    number: int = 0
    count: int = 0
    every: int = 1
    first_only: bool = False


@dataclass(frozen=True)
class Amounts:
    """How much of each tier to try."""

    pairs: int
    seeds: int
    first_seed: int = 0
    every: int = 1


def tasks_of(amounts: Amounts, *, first_only: bool) -> list[Task]:
    """Every task, what failed once first."""
    tasks = [Task("found", first_only=first_only)]
    for number in range(SHARES):
        tasks += [Task("single", name, number, every=amounts.every, first_only=first_only) for name in SCENARIOS]
    for start in range(0, amounts.pairs, PAIRS_PER_TASK):
        count = min(PAIRS_PER_TASK, amounts.pairs - start)
        tasks.append(Task("pairs", number=start, count=count, first_only=first_only))
    for start in range(0, amounts.seeds, SEEDS_PER_TASK):
        count = min(SEEDS_PER_TASK, amounts.seeds - start)
        tasks.append(Task("seeds", number=amounts.first_seed + start, count=count, first_only=first_only))
    return tasks


def do_task(task: Task) -> tuple[str, Found]:
    """Try what a task says, in this process; nothing once enough is known."""
    if _enough.is_set():
        return task.tier, Found()
    gc.freeze()
    gc.disable()  # worlds are full of circles, so they are collected together now and then
    try:
        if task.tier == "seeds":
            return task.tier, _try_seeds(range(task.number, task.number + task.count), task)
        if task.tier == "found":
            return task.tier, _try_what_failed_once(task)
        if task.tier == "pairs":
            return task.tier, _try_schedules(sample_pairs(task.count, seed=task.number), task)
        return task.tier, _try_schedules(_share(task), task)
    finally:
        gc.enable()
        gc.collect()


def _try_what_failed_once(task: Task) -> Found:
    found = Found()
    for token in SCHEDULES:
        found.note(f"--schedule {token}", *problem_of(lambda token=token: play(Schedule.parse(token))))
        if _is_enough(found, task):
            break
    return found


def _share(task: Task) -> Iterator[Schedule]:
    """A share of the scenario without a fault, and with each single one."""
    step = SHARES * task.every
    every = chain([Schedule(task.scenario, ())], single_faults(task.scenario))
    return (one for at, one in enumerate(every) if at % step == task.number)


def _try_schedules(schedules: Iterable[Schedule], task: Task) -> Found:
    found = Found()
    for schedule in schedules:
        found.note(f"--schedule {schedule.token}", *problem_of(lambda schedule=schedule: play(schedule)))
        if _is_enough(found, task):
            break
    return found


def _try_seeds(seeds: Iterable[int], task: Task) -> Found:
    found = Found()
    for seed in seeds:
        found.note(f"--seed {seed}", *problem_of(lambda seed=seed: play_seed(seed)))
        if _is_enough(found, task):
            break
    return found


def _is_enough(found: Found, task: Task) -> bool:
    if found.tried % COLLECT_EVERY == 0:
        gc.collect()
    if task.first_only and found.violations:
        _enough.set()
    return _enough.is_set()


def try_tiers(amounts: Amounts, processes: int, *, first_only: bool) -> dict[str, Found]:
    """What each tier found; with `first_only` no more is begun after the first violation."""
    tiers = {tier: Found() for tier in ("found", "single", "pairs", "seeds")}
    _enough.clear()
    tasks = tasks_of(amounts, first_only=first_only)
    with ProcessPoolExecutor(processes, mp_context=_FORKING) as pool:
        futures = [pool.submit(do_task, task) for task in tasks]
        for future in as_completed(futures):
            tier, found = future.result()
            tiers[tier].add(found)
    return tiers
