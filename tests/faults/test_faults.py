"""The harness itself, and all that it tries; `make faults` plants bugs as well."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from rdbkeeper.domain.errors import RdbkeeperError
from tests.faults.__main__ import describe, summary_line
from tests.faults.all_scenarios import SCENARIOS
from tests.faults.execution import Execution
from tests.faults.fault import Fault, Kind
from tests.faults.oracles import Violation
from tests.faults.process import Process, ProcessDied
from tests.faults.simulation import play_seed
from tests.faults.single import Found, Schedule, calls_of
from tests.faults.world import World

TIERS = ("found", "single", "pairs", "seeds", "stories")
LEAST_TRIED = {"single": 25_000, "pairs": 2_000, "seeds": 20_000}
LONGEST_S = 900


@pytest.fixture(scope="module")
def told() -> str:
    """What the command tells of its default form, run once for all tests here; `make faults` plants bugs as well."""
    if os.environ.get("FAULTS_RUN_APART"):
        pytest.skip("FAULTS_RUN_APART is set: `make faults` tries all of this in the same run")
    return _run("--without-bugs").stdout


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
def test_all_promises_hold_in_each_tier(told: str, tier: str) -> None:
    line = next(line for line in told.splitlines() if line.startswith(f"{tier}: "))
    tried, violations = (int(word) for word in line.split() if word.isdigit())
    assert violations == 0, told
    assert tried >= LEAST_TRIED.get(tier, 1)


@pytest.mark.slow
def test_all_that_should_happen_does_now_and_then(told: str) -> None:
    assert "NEVER HAPPENED" not in told


@pytest.mark.parametrize("seed", [3, 14, 159])
def test_a_seed_tells_the_same_story_twice(seed: int) -> None:
    stories: list[list[str]] = [[], []]
    for story in stories:
        play_seed(seed, story)
    assert stories[0] == stories[1] and len(stories[0]) > 20


def test_a_seed_tells_the_same_story_whatever_the_order_of_sets() -> None:
    told = [_run("--seed", "26", PYTHONHASHSEED=hash_seed).stdout for hash_seed in ("1", "2")]
    assert len(told[0].splitlines()) > 20
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


def test_a_violation_is_told_with_its_scenario_and_the_calls_that_were_befallen() -> None:
    told = describe("--schedule one_small_backup:vault.put_part:DENIED:999:OUTAGE")
    at = 1 + calls_of("one_small_backup").index("vault.put_part")
    assert told.startswith(f"one_small_backup, at its call {at} vault.put_part: denied once, at its call 999 ")
    assert describe("--seed 12") == "seed 12"


def test_a_place_that_a_scenario_has_not_is_not_passed_over() -> None:
    with pytest.raises(LookupError, match=r"has 1 calls vault\.put_part"):
        Schedule.parse("one_small_backup:vault.put_part*2:DENIED")


def test_a_schedule_is_told_step_by_step() -> None:
    ended = _run("--schedule", "one_small_backup:vault.put_part:DENIED")
    assert "!! denied once" in ended.stdout and ended.stdout.endswith("everything held\n")
    assert ended.returncode == 0


def test_a_schedule_is_told_in_one_word_and_read_from_it() -> None:
    schedule = Schedule("one_small_backup", (Fault(3, Kind.DENIED), Fault(9, Kind.CRASH_AFTER)))
    assert schedule.token == "one_small_backup:3:DENIED:9:CRASH_AFTER"
    assert Schedule.parse(schedule.token) == schedule


def _run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command with these options, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.faults", *options],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )


def _process() -> tuple[World, Process]:
    world = World()
    world.add_rule()
    execution: Execution = world.fire("nightly")
    return world, Process(world, execution)
