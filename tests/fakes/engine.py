"""An engine that runs steps at once and remembers their results, so that a run can be cut off and replayed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import RdbkeeperError, WorkerDenied
from rdbkeeper.ports import Poll, Record
from tests.fakes.clock import FakeClock

ATTEMPTS = 3
LARGEST_RESULT_BYTES = 256 * 1024


class ProcessDied(BaseException):
    """The function's process is gone; not an Exception, so nothing can swallow it."""


@dataclass
class ReplayEngine:
    """Remembers what steps returned under their position; `dies_after` ends the process after that many steps.

    `worker` does a share as a sandbox of its own would; without one none can be reached.
    """

    clock: FakeClock
    execution: str = "arn:aws:lambda:us-east-1:000000000000:function:f:1/durable-execution/run/1"
    seconds_per_invocation: float = 900.0
    remembered: list[tuple[str, str]] = field(default_factory=list)
    dies_after: int | None = None
    worker: Callable[[Record], Record] | None = None
    steps_run: int = 0
    invocations: int = 1
    _position: int = 0
    _operations: int = 1
    _written_bytes: int = 0

    @property
    def operations(self) -> int:
        return self._operations

    @property
    def written_bytes(self) -> int:
        return self._written_bytes

    def begin_invocation(self) -> None:
        self._position = 0
        self._operations = 1
        self._written_bytes = 0
        self.invocations += 1
        self.dies_after = None

    def step(self, name: str, do: Callable[[], Record]) -> Record:
        return self._unwrap(self._remember(name, lambda: self._try(do)))

    def wait_until(self, name: str, look: Callable[[], Record | None], poll: Poll) -> Record:
        def look_until_settled() -> Record:
            while True:
                record = self._try(look, retries=False)
                if record.get("result") is not None or "failed" in record:
                    return record
                self.clock.advance(poll.longest_s)

        return self._unwrap(self._remember(name, look_until_settled))

    def spread(self, name: str, requests: Sequence[Record], at_once: int) -> list[Record]:
        assert all(len(json.dumps(request)) < LARGEST_RESULT_BYTES for request in requests)

        def ask_all() -> Record:
            return {"result": [self._ask(json.loads(json.dumps(request))) for request in requests]}

        answers: list[Record] = self._remember(name, ask_all, operations=1 + len(requests))["result"]
        return answers

    def _ask(self, request: Record) -> Record:
        if self.worker is None:
            return {"failed": WorkerDenied("There is no worker.").as_record()}
        return self.worker(request)

    def renew_invocation(self, name: str, after_s: int = 1) -> None:
        def renew() -> Record:
            self.invocations += 1
            self.clock.advance(after_s)
            return {"result": {}}

        self._remember(name, renew)

    def seconds_left(self) -> float:
        return self.seconds_per_invocation

    def _remember(self, name: str, do: Callable[[], Record], operations: int = 1) -> Record:
        if self._position < len(self.remembered):
            known_name, result = self.remembered[self._position]
            assert known_name == name, f"not deterministic: {known_name!r} became {name!r}"
        else:
            result = json.dumps(do())
            assert len(result) < LARGEST_RESULT_BYTES, f"the result of {name!r} is too large"
            self.steps_run += 1
            if self.dies_after is not None and self.steps_run > self.dies_after:
                raise ProcessDied
            self.remembered.append((name, result))
        self._position += 1
        self._operations += operations
        self._written_bytes += len(result)
        record: Record = json.loads(result)
        return record

    def _try(self, do: Callable[[], Record | None], retries: bool = True) -> Record:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return {"result": do()}
            except RdbkeeperError as error:
                if not retries and error.retryable:
                    return {"result": None}
                if not error.retryable or attempt == ATTEMPTS:
                    return {"failed": error.as_record()}
        raise AssertionError

    @staticmethod
    def _unwrap(record: Record) -> Record:
        if "failed" in record:
            raise from_record(record["failed"])
        result: Record = record["result"]
        return result
