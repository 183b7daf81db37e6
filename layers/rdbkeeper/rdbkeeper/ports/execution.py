"""The engine that runs a rule, and what is known of its executions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rdbkeeper.ports.records import Record


class Executions(Protocol):
    """Knows whether an execution is still going."""

    def has_ended(self, execution: str) -> bool:
        """True when the execution has ended, whatever its end, or is unknown by now."""


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

    def step(self, name: str, do: Callable[[], Record]) -> Record:
        """Do something once and remember its result; retried where the error says that this can help.

        Raises the RdbkeeperError that `do` raised when retries are over or of no use.
        """

    def wait_until(self, name: str, look: Callable[[], Record | None], poll: Poll) -> Record:
        """Look again and again, without running in between, until there is a result. Raises what `look` raised."""

    def renew_invocation(self, name: str) -> None:
        """Go on in a fresh invocation, with all of its time."""

    def seconds_left(self) -> float:
        """How long this invocation may still run."""
