"""Durable executions: what they remember, and the engine that a process runs them with."""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import RdbkeeperError, WorkerDenied, WorkerDied, unexpected
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.flows.runs.worker import do_share
from rdbkeeper.ports import Poll, Record
from tests.faults.injector import ForeignError
from tests.faults.oracles import Violation
from tests.faults.process import Process, ProcessDied

if TYPE_CHECKING:
    from tests.faults.world import World

ATTEMPTS = 5  # at one step, as the real engine makes them
RETRY_S = (2.0, 8.0, 32.0, 60.0)
LONGEST_EXECUTION_S = 3 * 3600.0  # 24 hours in truth, which only makes waiting for a service that is away longer
REPLAY_AFTER_S = 1.0
STACK = "this-stack"
MOST_OPERATIONS = 3_000  # "Lambda quotas"


class Suspended(BaseException):
    """The invocation ends; the execution goes on `seconds` later in a fresh one. Nothing of ours can handle it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Remembered(NamedTuple):
    """A result that the service keeps: what went through JSON once, so that only JSON's own types come back of it."""

    name: str
    result: bytes
    size_bytes: int
    operations: int


@dataclass(eq=False)
class Execution:
    """One durable execution: what its steps returned so far, and how often each was tried."""

    world: World
    arn: str
    rule: str
    request: RunRequest
    began_s: float
    wake_s: float
    order: int
    remembered: list[Remembered] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)
    state: str = "RUNNING"
    ended_at: datetime | None = None
    ended_s: float = 0.0
    process: Process | None = None
    invocations: int = 0
    holds_lease: bool = False
    has_told_of_trouble: bool = False

    @property
    def is_going(self) -> bool:
        return self.ended_at is None

    @property
    def ended_well(self) -> bool:
        """True when it ran to its end, whatever it had to report."""
        return self.state in ("SUCCEEDED", "FAILED")

    def end(self, state: str) -> None:
        """Note its end, once."""
        if self.ended_at is None:
            self.state, self.ended_at, self.ended_s = state, self.world.clock.now(), self.world.clock.monotonic()

    def context(self, process: Process) -> RunContext:
        return RunContext(
            rule_name=self.rule,
            execution=self.arn,
            rules=process.rules,
            runs=process.runs,
            adapters=process,
            executions=process.executions,
            journal=process.journal,
            clock=process.clock,
            export_timeout=self.world.export_timeout,
            request=self.request,
            copying=self.world.copying,
            stack_name=STACK,
        )


class SimulatedEngine:
    """The engine of one invocation: steps that are remembered, retries and waits in fresh invocations."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._world = process.world
        self._execution = process.execution
        self._position = 0
        self._operations = 1
        self._written_bytes = 0

    @property
    def execution(self) -> str:
        return self._execution.arn

    @property
    def operations(self) -> int:
        return self._operations * self._world.operations_weigh

    @property
    def written_bytes(self) -> int:
        return self._written_bytes

    def step(self, name: str, do: Callable[[], Record]) -> Record:
        def attempt() -> Record:
            tried = self._count()
            return self._attempt(name, do, suspend_s=RETRY_S[tried - 1] if tried < ATTEMPTS else None)

        return _unwrap(self._remember(name, attempt))

    def wait_until(self, name: str, look: Callable[[], Record | None], poll: Poll) -> Record:
        def attempt() -> Record:
            pause_s = min(poll.longest_s, poll.first_s * 1.2 ** (self._count() - 1))
            record = self._attempt(name, look, suspend_s=pause_s)
            if record.get("result") is None and "failed" not in record:
                raise Suspended(pause_s)
            return record

        return _unwrap(self._remember(name, attempt))

    def spread(self, name: str, requests: Sequence[Record], at_once: int) -> list[Record]:
        self._world.note("spread over workers")

        def ask_all() -> Record:
            texts = [json.dumps(request) for request in requests]
            answers = [self._ask(text) for text in texts]
            self._world.oracles.check(all(answers), "a worker had no answer")
            return {"result": answers}

        answers: list[Record] = self._remember(name, ask_all, operations=1 + len(requests))["result"]
        return answers

    def renew_invocation(self, name: str, after_s: int = 1) -> None:
        is_new = self._position == len(self._execution.remembered)
        self._remember(name, lambda: {"result": {}})
        if is_new:
            raise Suspended(max(after_s, REPLAY_AFTER_S))

    def seconds_left(self) -> float:
        return self._process.seconds_left

    def _count(self) -> int:
        attempts = self._execution.attempts
        attempts[self._position] = attempts.get(self._position, 0) + 1
        return attempts[self._position]

    def _remember(self, name: str, do: Callable[[], Record], operations: int = 1) -> Record:
        remembered = self._execution.remembered
        if self._position < len(remembered):
            known, result, size_bytes, operations = remembered[self._position]
            if known != name:
                raise Violation(f"not deterministic: {known!r} became {name!r}")
            record: Record = marshal.loads(result)  # noqa: S302 - what this process wrote; several times as fast as JSON
        else:
            self._world.trace(f"  {name}")
            text = json.dumps(do())
            operations += self._execution.attempts.get(self._position, 1) - 1
            record, size_bytes = json.loads(text), len(text)
            self._process.check_alive()
            if not self._execution.is_going:
                self._process.die()  # the service takes no checkpoint of an execution that has ended
            self._world.oracles.check_text(text)
            remembered.append(Remembered(name, marshal.dumps(record), size_bytes, operations))
        self._position += 1
        self._operations += operations
        self._written_bytes += size_bytes
        if self._operations > MOST_OPERATIONS:
            raise Violation("an execution needs more operations than the service lets it have")
        return record

    def _attempt(self, name: str, do: Callable[[], Record | None], suspend_s: float | None) -> Record:
        try:
            return {"result": do()}
        except RdbkeeperError as error:
            if error.retryable and suspend_s is not None:
                self._process.journal.warning("WillRetry", f"{name}: {error}", reason=error.code)
                raise Suspended(suspend_s) from error
            return {"failed": error.as_record()}
        except Exception as error:  # noqa: BLE001 - as the real engine does
            self._world.oracles.check_defect(error, name)
            self._process.journal.exception("UnexpectedError", f"{name}: {type(error).__name__}")
            return {"failed": unexpected(f"The step `{name}`", error).as_record()}

    def _ask(self, text: str) -> Record:
        """One worker's answer, worked out in a sandbox of its own."""
        if self._world.without_workers:
            return {"failed": WorkerDenied("The worker could not be begun.").as_record()}
        worker = Process(self._world, self._execution, is_worker=True)
        try:
            share = json.loads(text)
            answer = do_share(self._execution.context(worker), share, worker.seconds_left)
            worker.check_alive()
        except ProcessDied:
            self._world.note("worker died")
            return {"failed": WorkerDied("The worker ended without an answer.").as_record()}
        except ForeignError as error:
            raise AssertionError("a worker let a defect out") from error
        finally:
            worker.is_over = True
        if not self._execution.is_going:
            self._process.die()
        answered: Record = json.loads(json.dumps(answer))
        return answered


def _unwrap(record: Record) -> Record:
    if "failed" in record:
        raise from_record(record["failed"])
    result: Record = record["result"]
    return result
