"""One invocation of a function: its ports, its clock and its journal, all of which are dead once it is.

A process that has died does nothing any more: whatever its `finally` blocks still call raises, and has no effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.fakes.journal import Line

if TYPE_CHECKING:
    from tests.faults.execution import Execution
    from tests.faults.world import World

LONGEST_INVOCATION_S = 900.0  # "Lambda quotas"


class ProcessDied(BaseException):
    """The process is gone; not an Exception, so nothing can handle it."""


class WatchedPort:
    """A port whose calls may fail, are looked at by the oracles, and end with their process."""

    def __init__(self, process: Process, name: str, port: Any) -> None:
        self._process = process
        self._name = name
        self._port = port

    def __getattr__(self, method: str) -> Any:
        process, label, do = self._process, f"{self._name}.{method}", getattr(self._port, method)

        def call(*given: Any, **named: Any) -> Any:
            return process.call(label, do, given, named)

        self.__dict__[method] = call
        return call


class WatchedStream:
    """A stream that may break, and of which nobody may take more than was asked for and one byte to see its end."""

    def __init__(self, process: Process, stream: Any, asked_bytes: int) -> None:
        self._process = process
        self._stream = stream
        self._asked_bytes = asked_bytes
        self._taken_bytes = 0

    def readinto(self, buffer: memoryview, /) -> int:
        self._process.check_alive()
        count: int = self._stream.readinto(buffer)
        self._taken_bytes += count
        self._process.world.oracles.check(
            self._taken_bytes <= self._asked_bytes + 1, "a stream was read beyond what was asked for"
        )
        return count

    def close(self) -> None:
        with suppress(ProcessDied):
            self._process.check_alive()
            self._stream.close()


@dataclass(frozen=True)
class ProcessClock:
    """The world's time as a process sees it: its own clock may be wrong by `skew`."""

    process: Process
    skew: timedelta

    def now(self) -> datetime:
        return self.process.world.clock.now() + self.skew

    def monotonic(self) -> float:
        return self.process.world.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self.process.world.clock.advance(seconds)
        self.process.check_alive()


@dataclass(frozen=True)
class ProcessJournal:
    """Writes into the world's log for as long as the process lives."""

    process: Process
    keys: dict[str, str] = field(default_factory=dict)

    def bind(self, **keys: str) -> ProcessJournal:
        return ProcessJournal(self.process, {**self.keys, **keys})

    def info(self, event: str, message: str, **fields: Any) -> None:
        self._add("info", event, message, fields)

    def warning(self, event: str, message: str, **fields: Any) -> None:
        self._add("warning", event, message, fields)

    def error(self, event: str, message: str, **fields: Any) -> None:
        self._add("error", event, message, fields)

    def exception(self, event: str, message: str, **fields: Any) -> None:
        self._add("exception", event, message, fields)

    def measure(self, metric: str, value: float, dimensions: Sequence[tuple[str, str]]) -> None:
        self.process.check_alive()

    def _add(self, level: str, event: str, message: str, fields: dict[str, Any]) -> None:
        self.process.check_alive()
        self.process.world.write(Line(level, event, message, {**self.keys, **fields}), self.process.execution)


class Process:
    """One invocation. It lives until it ends, dies, or its fifteen minutes are over."""

    def __init__(self, world: World, execution: Execution, skew_s: float = 0.0, *, is_worker: bool = False) -> None:
        self.world = world
        self.execution = execution
        self.is_worker = is_worker
        self.is_over = False
        self.began_s = world.clock.monotonic()
        self.clock = ProcessClock(self, timedelta(seconds=skew_s))
        self.journal = ProcessJournal(self, {"rule": execution.rule})
        self.rules = WatchedPort(self, "rules", world.tables.rules)
        self.runs = WatchedPort(self, "runs", world.tables.runs)
        self.executions = WatchedPort(self, "executions", world.executions)
        self._source = WatchedPort(self, "source", world.the_source)
        self._vault = WatchedPort(self, "vault", world.the_vault)

    def source(self, provider: str) -> Any:
        assert provider == "elasticache"
        return self._source

    def vault(self, name: str) -> Any:
        assert name == "default"
        return self._vault

    @property
    def seconds_left(self) -> float:
        return self.world.seconds_per_invocation - (self.world.clock.monotonic() - self.began_s)

    @property
    def is_alive(self) -> bool:
        return not self.is_over and self.world.clock.monotonic() - self.began_s < LONGEST_INVOCATION_S

    def check_alive(self) -> None:
        """Raise ProcessDied in a process that is dead or has outlived what Lambda lets it live."""
        if not self.is_alive:
            self.die()

    def die(self) -> None:
        self.is_over = True
        raise ProcessDied

    def call(self, label: str, do: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """One call of a port: others may come first, a fault may befall it, the oracles look at what it did."""
        self.check_alive()
        if self.world.is_watched:
            self.world.turn(self, label)
            self.check_alive()
        if not self.execution.is_going:
            self.world.note("a process outlived its execution")
        return self.world.injector.call(self, label, do, given, named)
