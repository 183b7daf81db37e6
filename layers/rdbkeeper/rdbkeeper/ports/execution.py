"""The engine that runs a rule, and what is known of its executions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rdbkeeper.ports.records import Record


class Executions(Protocol):
    """Knows of the executions of rules' functions."""

    def find_end(self, execution: str) -> datetime | None:
        """When the execution ended, whatever its end; None while it is going. One that is unknown ended long ago."""

    def start_successor(self, execution: str, name: str, request: Record) -> None:
        """Start another run of that execution's function with `request`, once for a name."""


@dataclass(frozen=True)
class Poll:
    """How to wait: seconds between two looks at first, growing up to the longest."""

    first_s: int
    longest_s: int


class Engine(Protocol):
    """Runs steps once each, remembers their results, and waits without running.

    What stands between the steps must be a pure function of their results: after a crash it is replayed.
    """

    @property
    def execution(self) -> str:
        """The name by which this execution is known to the world, the owner of its lease."""

    @property
    def operations(self) -> int:
        """How many of the operations that an execution may hold are used up; the same when it is replayed."""

    @property
    def written_bytes(self) -> int:
        """How many bytes of results the execution has on record; the same when it is replayed."""

    def step(self, name: str, do: Callable[[], Record]) -> Record:
        """Do something once and remember its result; retried where the error says that this can help.

        Raises the RdbkeeperError that `do` raised when retries are over or of no use.
        """

    def wait_until(self, name: str, look: Callable[[], Record | None], poll: Poll) -> Record:
        """Look again and again, without running in between, until there is a result. Raises what `look` raised."""

    def spread(self, name: str, requests: Sequence[Record], at_once: int) -> list[Record]:
        """Have the leg worker do each request in a sandbox of its own, at most `at_once` at a time.

        Returns the answers in order; `{"failed": error}` in place of that of a worker that died or was not reached.
        """

    def renew_invocation(self, name: str, after_s: int = 1) -> None:
        """Go on in a fresh invocation, with all of its time, after so many seconds."""

    def seconds_left(self) -> float:
        """How long this invocation may still run."""
