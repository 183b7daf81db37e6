"""Plants each bug into a copy of the package and sees whether the harness catches it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.faults.planted.bug import PlantedBug
from tests.faults.planted.catalogue import BUGS
from tests.faults.planted.hunt import tell_story
from tests.faults.planted.workshop import ROOT, NotThere, Workshop
from tests.faults.simulation import play_seed
from tests.faults.single import Schedule, play, problem_of

LONGEST_HUNT_S = 240.0


@dataclass(frozen=True)
class Verdict:
    """What became of one planted bug: the tier and the schedule that caught it, or why it was not caught."""

    bug: PlantedBug
    is_caught: bool
    tier: str
    how: str
    problem: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:5.1f} s  {self.bug.name}: {self.tier} {self.how}: {self.problem}"


def plant_all(processes: int, bugs: Sequence[PlantedBug] = BUGS) -> list[Verdict]:
    """What became of each bug, in their order; so many are hunted at a time, each by a fresh interpreter."""
    with tempfile.TemporaryDirectory(prefix="rdbkeeper-planted-") as folder:
        free: SimpleQueue[Workshop] = SimpleQueue()
        for number in range(processes):
            free.put(Workshop(Path(folder) / str(number)))

        def plant(bug: PlantedBug) -> Verdict:
            workshop = free.get()
            try:
                with workshop.planted(bug):
                    return _hunt(bug, workshop.folder)
            except NotThere as error:
                return Verdict(bug, False, "NOT CAUGHT", "", str(error), 0.0)
            finally:
                free.put(workshop)

        with ThreadPoolExecutor(processes) as pool:
            return list(pool.map(plant, bugs))


def _hunt(bug: PlantedBug, folder: Path) -> Verdict:
    """Run the harness against a patched copy. What breaks the harness itself, or takes for ever, is not caught."""
    began_s = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tests.faults.planted.hunt", bug.name]
    try:
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST_HUNT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict(bug, False, "NOT CAUGHT", "", "the hunt never ended", LONGEST_HUNT_S)
    seconds = time.monotonic() - began_s
    if ended.returncode:
        return Verdict(bug, False, "NOT CAUGHT", "", f"the harness broke: {ended.stderr[-500:]}", seconds)
    found = json.loads(ended.stdout.splitlines()[-1])
    if found is None:
        return Verdict(bug, False, "NOT CAUGHT", "", "everything held", seconds)
    tier, how, problem = found
    if not holds_without_bugs(how):
        return Verdict(bug, False, "NOT CAUGHT", how, "this does not hold without the bug either", seconds)
    return Verdict(bug, True, tier, how, problem, seconds)


def holds_without_bugs(how: str) -> bool:
    """Whether the story, schedule or seed that caught a bug holds in the package as it is."""
    option, _, value = how.partition(" ")
    if option == "--seed":
        return problem_of(lambda: play_seed(int(value)))[0] is None
    if option == "--schedule":
        return problem_of(lambda: play(Schedule.parse(value)))[0] is None
    return not tell_story(value.strip("'")).violations
