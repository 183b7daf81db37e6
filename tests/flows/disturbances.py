"""What can happen in the midst of a request: a call fails, the process dies, somebody else comes between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rdbkeeper.domain.errors import (
    FleetUnavailable,
    RdbkeeperError,
    SourceUnavailable,
    TableUnavailable,
    VaultUnavailable,
)
from tests.flows.desk import Through

_UNAVAILABLE: dict[str, type[RdbkeeperError]] = {
    "MemoryFleet": FleetUnavailable,
    "MemoryRuleTable": TableUnavailable,
    "MemoryRunTable": TableUnavailable,
    "MemorySource": SourceUnavailable,
    "MemoryVault": VaultUnavailable,
    "MemoryAdapters": VaultUnavailable,
    "MemoryVaultTable": TableUnavailable,
}


class Killed(BaseException):
    """The process is gone; not an Exception, so nothing can handle it."""


def unavailable(call: str) -> RdbkeeperError:
    """The error of the family that a call such as `MemoryFleet.release` raises when its service does not answer."""
    return _UNAVAILABLE[call.split(".", maxsplit=1)[0]](f"{call} did not answer")


@dataclass
class Meanwhile:
    """Lets `happen(number, call)` go before each call of any port that it is put before; calls count from 1."""

    happen: Callable[[int, str], None]
    calls: list[str] = field(default_factory=list)

    def before(self, port: Any) -> Any:
        return _WatchedPort(port, self)


def once_at(number: int, act: Callable[[], object]) -> Callable[[int, str], None]:
    """What lets `act` happen before that one call."""

    def happen(this: int, _: str) -> None:
        if this == number:
            act()

    return happen


def outage_from(number: int) -> Callable[[int, str], None]:
    """What lets that call and every later one of the same port fail: the service is down for a while."""
    down: list[str] = []

    def happen(this: int, call: str) -> None:
        port = call.split(".", maxsplit=1)[0]
        if this == number:
            down.append(port)
        if port in down:
            raise unavailable(call)

    return happen


def count_calls(send: Callable[[Through], object]) -> list[str]:
    """The calls that a request makes, in order."""
    meanwhile = Meanwhile(lambda number, call: None)
    send(meanwhile.before)
    return meanwhile.calls


class _WatchedPort:
    def __init__(self, port: Any, meanwhile: Meanwhile) -> None:
        self._port = port
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if name.startswith("_") or not callable(value):
            return value
        meanwhile = self._meanwhile

        def call(*given: Any, **named: Any) -> Any:
            meanwhile.calls.append(f"{type(self._port).__name__}.{name}")
            meanwhile.happen(len(meanwhile.calls), meanwhile.calls[-1])
            return value(*given, **named)

        return call
