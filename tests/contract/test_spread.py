"""Several workers at once: no run loses the wake-up by which it learns that one has ended.

The durable SDK is known to have lost it where branches of a map wait for timers while others fail and are retried at
the same moment. `DurableEngine.spread` has no timer and no retry among its branches; this holds it to that shape.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner
from aws_durable_execution_sdk_python_testing.executor import Executor

from rdbkeeper.aws.engine import DurableEngine
from tests.fakes.journal import ListJournal

RUNS = 40
# Without a wake-up a run would end only with its execution's time; with it, in a second.
EXECUTION_TIMEOUT_S = 120
LONGEST_WORK_S = 0.1


@dataclass(frozen=True)
class Work:
    """How long one worker takes, and whether it fails."""

    takes_s: float
    fails: bool


@dataclass(frozen=True)
class Round:
    """One spread: its workers, and how many of them at once."""

    work: tuple[Work, ...]
    at_once: int

    @classmethod
    def drawn(cls, seed: int) -> Round:
        random = Random(seed)
        # Many end in the same moment, some while the run is about to pause.
        durations = (0.0, 0.0, random.uniform(0, LONGEST_WORK_S / 5), LONGEST_WORK_S)
        work = tuple(Work(random.choice(durations), fails=random.random() < 0.3) for _ in range(random.randint(2, 8)))
        return cls(work, random.randint(1, len(work)))

    def worker(self, request: dict[str, Any], context: Any) -> dict[str, Any]:
        work = self.work[request["number"]]
        time.sleep(work.takes_s)
        if work.fails:
            raise RuntimeError("this worker was told to fail")
        return {"did": request["number"]}

    def run(self, engine: DurableEngine) -> list[Any]:
        engine.step("before", dict)
        answers = engine.spread("share", [{"number": number} for number in range(len(self.work))], self.at_once)
        engine.step("after", dict)
        return [answer.get("did", answer.get("failed", {}).get("code")) for answer in answers]


def ended(seed: int, *, skip_time: bool) -> tuple[str, Any]:
    """How the run of a round ended: its status, and its result or its error."""
    spread = Round.drawn(seed)

    @durable_execution
    def handler(event: Any, context: DurableContext) -> Any:
        return spread.run(DurableEngine(context, ListJournal(), "worker"))

    with DurableFunctionTestRunner(handler=handler, skip_time=skip_time, poll_interval=0.05) as runner:
        runner.register_function("worker", spread.worker)
        result = runner.run(input="{}", execution_timeout=EXECUTION_TIMEOUT_S)
    return result.status.value, json.loads(result.result) if result.result else result.error


def expected(seed: int) -> tuple[str, list[Any]]:
    work = Round.drawn(seed).work
    return "SUCCEEDED", ["WorkerDied" if one.fails else number for number, one in enumerate(work)]


@pytest.mark.parametrize("skip_time", [False, True], ids=["real time", "skipped time"])
def test_no_run_that_is_spread_hangs_or_mixes_its_answers_up(skip_time: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # How long the runner waits before it repeats a failed invocation; real seconds even where the clock skips.
    monkeypatch.setattr(Executor, "RETRY_BACKOFF_SECONDS", 0)
    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda seed: ended(seed, skip_time=skip_time), range(RUNS)))
    assert ends == [expected(seed) for seed in range(RUNS)]
