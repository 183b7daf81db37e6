"""A share of the harness in every test run; `make faults` runs all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from rdbkeeper.domain.errors import RdbkeeperError
from tests.faults.__main__ import summary_line
from tests.faults.execution import Execution
from tests.faults.fault import Fault, Kind
from tests.faults.found import SCHEDULES, SEEDS
from tests.faults.oracles import Violation
from tests.faults.pairs import sample_pairs
from tests.faults.process import Process, ProcessDied
from tests.faults.scenarios import SCENARIOS
from tests.faults.simulation import play_seed
from tests.faults.single import Found, Schedule, play, single_faults
from tests.faults.sometimes import RARE, find_never
from tests.faults.world import World

A_SHARE = 23  # each so many-th of the single faults: a prime, so that no kind falls through
SOME_PAIRS = 100
SOME_SEEDS = 400


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.token)
def test_a_schedule_that_failed_once_holds(schedule: Schedule) -> None:
    play(schedule)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_that_failed_once_holds(seed: int) -> None:
    play_seed(seed)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_scenario_holds_when_nothing_fails_and_when_something_does(scenario: str) -> None:
    play(Schedule(scenario, ()))
    for at, schedule in enumerate(single_faults(scenario)):
        if at % A_SHARE == 0:
            play(schedule)


def test_pairs_of_faults_hold() -> None:
    for schedule in sample_pairs(SOME_PAIRS, seed=1):
        play(schedule)


@pytest.mark.slow
def test_seeds_hold_and_all_that_should_happen_does_now_and_then() -> None:
    counts: Counter[str] = Counter()
    for seed in range(SOME_SEEDS):
        counts.update(play_seed(seed).counts)
    never = {what for what in find_never(counts) if not what.startswith("fault: ")}
    assert never <= set(RARE)


@pytest.mark.parametrize("seed", [3, 14, 159])
def test_a_seed_tells_the_same_story_twice(seed: int) -> None:
    stories: list[list[str]] = [[], []]
    for story in stories:
        play_seed(seed, story)
    assert stories[0] == stories[1] and len(stories[0]) > 20


def test_a_seed_tells_the_same_story_whatever_the_order_of_sets() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.faults", "--seed", "26"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1]


def test_a_process_that_died_has_no_effect_any_more() -> None:
    world, process = _process()
    with pytest.raises(ProcessDied):
        process.die()
    with pytest.raises(ProcessDied):
        process.vault("default").create_object("manifests/a", b"{}", "application/json")
    with pytest.raises(ProcessDied):
        process.journal.info("Said", "by the dead")
    assert world.the_vault.objects == {} and world.lines == []


def test_a_process_lives_no_longer_than_an_invocation_may() -> None:
    world, process = _process()
    world.clock.advance(899)
    process.runs.find_lease_owner("nightly")
    world.clock.advance(2)
    with pytest.raises(ProcessDied):
        process.runs.find_lease_owner("nightly")


def test_an_answer_is_lost_after_the_effect_and_an_outage_lasts() -> None:
    world, process = _process()
    world.injector.plan([Fault(1, Kind.ANSWER_LOST), Fault(2, Kind.OUTAGE)])
    with pytest.raises(RdbkeeperError):
        process.runs.take_lease("nightly", "me", None, world.clock.now())
    assert world.tables.leases == {"nightly": "me"}
    for _ in range(3):
        with pytest.raises(RdbkeeperError):
            process.runs.find_lease_owner("nightly")
    world.injector.end_faults()
    assert process.runs.find_lease_owner("nightly") == "me"


def test_the_oracles_see_a_signed_link_in_a_log_line() -> None:
    _, process = _process()
    with pytest.raises(Violation, match="signed link"):
        process.journal.info("Said", "https://bucket.example/0001.rdb?X-Amz-Signature=CANARY")


def test_the_oracles_see_a_manifest_without_its_data() -> None:
    world = SCENARIOS["one_small_backup"]()
    world.fire("nightly")
    complete = world.the_vault.complete_upload

    def forget_to_complete(upload: Any, *rest: Any) -> None:
        complete(upload, *rest)
        world.the_vault.objects[upload.key] = world.the_vault.objects[upload.key][:-1] + b"?"

    world.the_vault.complete_upload = forget_to_complete
    find_object = world.the_vault.find_object
    whole = world.truth["20261114T021500Z-one"].files["0001"]

    def claim_that_it_is_whole(key: str) -> Any:
        bytes_there = world.the_vault.objects.get(key)
        if bytes_there is not None:
            world.the_vault.objects[key] = whole
        found = find_object(key)
        if bytes_there is not None:
            world.the_vault.objects[key] = bytes_there
        return found

    world.the_vault.find_object = claim_that_it_is_whole
    with pytest.raises(Violation, match="is not what the backup is"):
        world.drive()


def test_the_last_line_says_how_much_was_tried() -> None:
    tiers = {tier: Found(tried=number) for number, tier in enumerate(("found", "single", "pairs", "seeds"), 1)}
    tiers["seeds"].violations.append(("--seed 1", "something"))
    assert summary_line(tiers, 40, 41) == (
        "faults: 3 single, 3 pairs, 4 seeds, 40 of 41 planted bugs caught, 1 violations"
    )


def test_a_schedule_is_told_in_one_word_and_read_from_it() -> None:
    schedule = Schedule("one_small_backup", (Fault(3, Kind.DENIED), Fault(9, Kind.CRASH_AFTER)))
    assert schedule.token == "one_small_backup:3:DENIED:9:CRASH_AFTER"
    assert Schedule.parse(schedule.token) == schedule


def _process() -> tuple[World, Process]:
    world = World()
    world.add_rule()
    execution: Execution = world.fire("nightly")
    return world, Process(world, execution)
