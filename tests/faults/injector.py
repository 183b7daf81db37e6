"""Lets faults befall calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rdbkeeper.domain.catalog import Catalog
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    BackupQuotaUsed,
    FleetDenied,
    FleetRefused,
    FleetUnavailable,
    HookFailed,
    ObjectExists,
    RdbkeeperError,
    ServerLost,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
    StagedFileChanged,
    StoreMismatch,
    TableDenied,
    TableRefused,
    TableUnavailable,
    UploadGone,
    VaultDenied,
    VaultRefused,
    VaultUnavailable,
)
from tests.faults.fault import ALL_EVENTS, LIVE_STREAM, STREAMS, Fault, Kind, can_befall
from tests.faults.process import LONGEST_INVOCATION_S, Process, WatchedStream
from tests.faults.servers import LONGEST_STREAM_BYTES, WatchedServerStream
from tests.faults.streams import SlowStream, break_stream

if TYPE_CHECKING:
    from tests.faults.world import World

# What no log line, table row or answer may hold.
SECRET = "X-Amz-Signature=CANARY"
SIGNED_LINK = f"https://bucket.example/0001.rdb?{SECRET}"
SLOW_S = 200.0
CALLS_OF_A_WHILE = 6  # one more than the attempts at a step

_UNAVAILABLE: dict[str, type[RdbkeeperError]] = {
    "source": SourceUnavailable,
    "live": SourceUnavailable,
    "hooks": HookFailed,
    "vault": VaultUnavailable,
    "rules": TableUnavailable,
    "runs": TableUnavailable,
    "executions": FleetUnavailable,
}
_DENIED: dict[str, type[RdbkeeperError]] = {
    "source": SourceDenied,
    "live": SourceDenied,
    "hooks": HookFailed,
    "vault": VaultDenied,
    "rules": TableDenied,
    "runs": TableDenied,
    "executions": FleetDenied,
}
_REFUSED: dict[str, type[RdbkeeperError]] = {
    "source": SourceRefused,
    "live": SourceRefused,
    "hooks": HookFailed,
    "vault": VaultRefused,
    "rules": TableRefused,
    "runs": TableRefused,
    "executions": FleetRefused,
}
_ANSWERS: dict[Kind, type[RdbkeeperError]] = {
    Kind.UPLOAD_GONE: UploadGone,
    Kind.CONFLICT: VaultUnavailable,
    Kind.DAMAGED_ON_THE_WAY: StoreMismatch,
    Kind.BUSY: BackupBusy,
    Kind.GONE: BackupGone,
    Kind.CHANGED: StagedFileChanged,
    Kind.NOT_YET: SourceUnavailable,
    Kind.QUOTA_USED: BackupQuotaUsed,
}


class ForeignError(Exception):
    """What an SDK raises, with a signed link in its text."""


class Injector:
    """Counts the calls of a world, lets faults befall them, and remembers which did."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: dict[int, Fault] = {}
        self._down: set[str] = set()
        self._denied: set[str] = set()
        self._struggling: dict[str, int] = {}
        self.choose: Callable[[str], Kind | None] | None = None
        self.calls: list[str] = []
        self.struck: list[tuple[Fault, str, str]] = []  # with the call, and the key or backup that it was about

    def plan(self, faults: Iterable[Fault]) -> None:
        """Let these faults happen, at calls counted from now on."""
        self.calls.clear()
        self._pending = {fault.at: fault for fault in faults}

    def end_faults(self) -> None:
        """Let nothing fail any more."""
        self._pending.clear()
        self.choose = None
        self.end_outages()

    def end_outages(self) -> None:
        """What lasts is over; more may follow."""
        self._down.clear()
        self._denied.clear()
        self._struggling.clear()

    def call(self, process: Process, label: str, do: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Do the call as the plan will have it."""
        self.calls.append(label)
        fault = self._next(label)
        if fault is not None and fault.kind is Kind.UNSEEN and not self._world.oracles.on_demand.is_new(given[1]):
            fault = None
        if fault is None:
            if self._down or self._denied or self._struggling:
                self._meet_what_lasts(label)
            answer = do(*given, **named)
            self._world.oracles.after(process, label, given, answer)
        else:
            self.remember(fault.kind, label, _subject(given))

            def effect() -> Any:
                done = do(*given, **named)
                self._world.oracles.after(process, label, given, done)
                return done

            answer = self._befall(fault, process, label, effect)
        if label in STREAMS:
            return self._watch_stream(process, label, answer, given, fault.kind if fault is not None else None)
        if label == LIVE_STREAM:
            return self._watch_server_stream(process, answer, fault.kind if fault is not None else None)
        return answer

    def _watch_server_stream(self, process: Process, stream: Any, kind: Kind | None) -> WatchedServerStream:
        broken = break_stream(stream, LONGEST_STREAM_BYTES, kind, self._world.clock, ServerLost)
        return WatchedServerStream(process, broken, findings_of=stream)

    def _watch_stream(
        self, process: Process, label: str, stream: Any, given: tuple[Any, ...], kind: Kind | None
    ) -> WatchedStream:
        asked_bytes = given[-1]
        if kind is not None:
            stream = break_stream(stream, asked_bytes, kind, self._world.clock)
        if self._world.seconds_per_read:
            stream = SlowStream(stream, self._world.clock, self._world.seconds_per_read)
        told = self._world.oracles.told_of_reading(process, given) if label == "vault.open_range" else None
        return WatchedStream(process, stream, asked_bytes, told)

    def _next(self, label: str) -> Fault | None:
        if self._pending:
            fault = self._pending.pop(len(self.calls), None)
            return fault if fault is None or can_befall(fault.kind, label) else None
        kind = self.choose(label) if self.choose is not None else None
        return Fault(len(self.calls), kind) if kind is not None else None

    def remember(self, kind: Kind, where: str, subject: str = "") -> None:
        """Note that something befell a call, or came between two."""
        self.struck.append((Fault(len(self.calls), kind), where, subject))
        self._world.note(f"fault: {kind.value}")
        self._world.trace(f"    !! {kind.value}")

    def _meet_what_lasts(self, label: str) -> None:
        port = label.split(".", maxsplit=1)[0]
        if port in self._down:
            raise _error(_UNAVAILABLE[port], label)
        if label in self._denied:
            raise _error(_DENIED[port], label)
        if self._struggling.get(label, 0) > 0:
            self._struggling[label] -= 1
            raise _error(_UNAVAILABLE[port], label)

    def _befall(self, fault: Fault, process: Process, label: str, effect: Callable[[], Any]) -> Any:
        kind = fault.kind
        if kind in ALL_EVENTS or kind is Kind.TIMER_AGAIN:
            self._world.let_happen(kind, process.execution.rule)
            return effect()
        self._befall_before(kind, process, label)
        if kind is Kind.UNSEEN:
            return None
        if kind is Kind.SENT_TWICE or kind in (Kind.DONE_BUT_GONE, Kind.DONE_BUT_EXISTS):
            effect()
            if kind is Kind.SENT_TWICE:
                return effect()
            raise _error(UploadGone if kind is Kind.DONE_BUT_GONE else ObjectExists, label)
        answer = effect()
        if kind is Kind.ANSWER_LOST:
            raise _error(_UNAVAILABLE[label.split(".", maxsplit=1)[0]], label)
        if kind is Kind.STOPPED_AFTER:
            process.execution.end("STOPPED")
        if kind in (Kind.CRASH_AFTER, Kind.STOPPED_AFTER):
            process.die()
        if kind in (Kind.SHORT_LIST, Kind.EMPTY_LIST):
            return _shorten(answer, keep=-1 if kind is Kind.SHORT_LIST else 0)
        return answer

    def _befall_before(self, kind: Kind, process: Process, label: str) -> None:
        """Raise what the call meets before it does anything; returns where it is done all the same."""
        self._begin(kind, process, label)
        port = label.split(".", maxsplit=1)[0]
        if kind in (Kind.UNAVAILABLE, Kind.UNAVAILABLE_LONG, Kind.OUTAGE):
            raise _error(_UNAVAILABLE[port], label)
        if kind in (Kind.DENIED, Kind.DENIED_ON):
            raise _error(_DENIED[port], label)
        if kind is Kind.REFUSED:
            raise _error(_REFUSED[port], label)
        if kind is Kind.DEFECT:
            raise ForeignError(SIGNED_LINK)
        if kind in (Kind.CRASH_BEFORE, Kind.STALLED, Kind.STOPPED_BEFORE):
            process.die()
        if kind in _ANSWERS:
            raise _error(_ANSWERS[kind], label)

    def _begin(self, kind: Kind, process: Process, label: str) -> None:
        """What lasts longer than this call, and the time that it takes."""
        if kind is Kind.OUTAGE:
            self._down.add(label.split(".", maxsplit=1)[0])
        elif kind is Kind.DENIED_ON:
            self._denied.add(label)
        elif kind is Kind.UNAVAILABLE_LONG:
            self._struggling[label] = CALLS_OF_A_WHILE - 1
        elif kind is Kind.SLOW:
            self._world.clock.advance(SLOW_S)
        elif kind is Kind.STALLED:
            self._world.clock.advance(LONGEST_INVOCATION_S + 60)
        elif kind is Kind.STOPPED_BEFORE:
            process.execution.end("STOPPED")


def _error(error: type[RdbkeeperError], label: str) -> RdbkeeperError:
    made = error(f"{label} was made to fail.", hint="Look at the harness.")
    made.__cause__ = ForeignError(SIGNED_LINK)
    return made


def _shorten(answer: Any, keep: int) -> Any:
    """A list without its last entry, or without any; a catalog lacks copies and still tells of its marks."""
    if isinstance(answer, Catalog):
        return replace(answer, entries=answer.entries[:keep])
    return answer[:keep]


def _subject(given: tuple[Any, ...]) -> str:
    """What a call is about: the texts in what it was given, in which a copy's or a backup's id can be found."""
    return " ".join(repr(value)[:400] for value in given if not isinstance(value, memoryview))
