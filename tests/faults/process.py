"""One invocation of a function: its ports, its clock and its journal, all of which are dead once it is.

A process that has died does nothing any more: whatever its `finally` blocks still call raises, and has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from rdbkeeper.domain.source import LIVE_PROVIDER, NO_ACCESS, SourceAccess
from tests.fakes.journal import Line

if TYPE_CHECKING:
    from tests.faults.execution import Execution
    from tests.faults.world import World

LONGEST_INVOCATION_S = 900.0  # "Lambda quotas"


class ProcessDied(BaseException):
    """The process is gone; not an Exception, so nothing can handle it."""


class WatchedPort:
    """A port whose calls may fail, are looked at by the oracles, and end with their process."""

    __slots__ = ("port", "process")

    def __init__(self, process: Process, port: Any) -> None:
        self.process = process
        self.port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)  # what is no method: facts about a port, known without a call


@cache
def watched(name: str, port: type) -> type[WatchedPort]:
    """The class of watched ports over such a port: made once, as there are millions of calls."""
    methods = [method for method in dir(port) if not method.startswith("_") and callable(getattr(port, method))]
    return type(f"Watched{port.__name__}", (WatchedPort,), {"__slots__": (), **_watch_all(name, methods)})


def _watch_all(name: str, methods: Sequence[str]) -> dict[str, Callable[..., Any]]:
    return {method: _watch(f"{name}.{method}", attrgetter(method)) for method in methods}


def _watch(label: str, find: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(self: WatchedPort, /, *given: Any, **named: Any) -> Any:
        return self.process.call(label, find(self.port), given, named)

    return call


class WatchedStream:
    """A stream that may break, and of which nobody may take more than was asked for and one byte to see its end."""

    def __init__(
        self,
        process: Process,
        stream: Any,
        asked_bytes: int,
        told: Callable[[int, memoryview], None] | None = None,
    ) -> None:
        self._process = process
        self._stream = stream
        self._asked_bytes = asked_bytes
        self._taken_bytes = 0
        self._told = told  # where in the range, and which bytes were delivered

    def readinto(self, buffer: memoryview, /) -> int:
        self._process.check_alive()
        count: int = self._stream.readinto(buffer)
        if self._told is not None and count:
            self._told(self._taken_bytes, buffer[:count])
        self._taken_bytes += count
        if self._taken_bytes > self._asked_bytes + 1:
            self._process.world.oracles.check(False, "a stream was read beyond what was asked for")
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
        self._latest_s = self.began_s + LONGEST_INVOCATION_S
        self.clock = ProcessClock(self, timedelta(seconds=skew_s))
        self.journal = ProcessJournal(self, {"rule": execution.rule})
        self.rules = self._watch("rules", world.tables.rules)
        self.runs = self._watch("runs", world.tables.runs)
        self.executions = self._watch("executions", world.executions)
        self._source = self._watch("source", world.the_source)
        self._live = self._watch("live", world.server)
        self._vault = self._watch("vault", world.the_vault)
        self.hooks = self._watch("hooks", world.functions)

    def _watch(self, name: str, port: Any) -> Any:
        return watched(name, type(port))(self, port)

    def source(self, provider: str, access: SourceAccess = NO_ACCESS, longest_call_s: float | None = None) -> Any:
        assert provider != LIVE_PROVIDER, "a server that is reached directly lists nothing"
        return self._source

    def live_source(self, access: SourceAccess) -> Any:
        assert access.address, "nobody has said where the server is"
        return self._live

    def vault(self, name: str) -> Any:
        assert name == "default"
        return self._vault

    @property
    def seconds_left(self) -> float:
        return self.world.seconds_per_invocation - (self.world.clock.monotonic() - self.began_s)

    @property
    def is_alive(self) -> bool:
        return not self.is_over and self.world.clock.monotonic() < self._latest_s

    def check_alive(self) -> None:
        """Raise ProcessDied in a process that is dead or has outlived what Lambda lets it live."""
        if self.is_over or self.world.clock.monotonic() >= self._latest_s:
            self.die()

    def die(self) -> None:
        self.is_over = True
        raise ProcessDied

    def call(self, label: str, do: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """One call of a port: others may come first, a fault may befall it, the oracles look at what it did."""
        world = self.world
        self.check_alive()
        if world.take_turns is not None or world.told is not None:
            world.turn(self, label)
            self.check_alive()
        if self.execution.ended_at is not None:
            world.note("a process outlived its execution")
        return world.injector.call(self, label, do, given, named)
