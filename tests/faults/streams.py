"""Streams that break."""

from __future__ import annotations

from typing import Any

from rdbkeeper.domain.errors import BackupGone, RdbkeeperError, SourceUnavailable
from tests.fakes.clock import FakeClock
from tests.fakes.rdb_files import flip_bit
from tests.faults.fault import Kind

SLOW_READ_S = 100.0

_RESETS = {Kind.RESET_FIRST, Kind.RESET_MIDWAY, Kind.RESET_LAST, Kind.GONE_MIDWAY}
_CUTS = {Kind.CUT_FIRST, Kind.CUT_MIDWAY, Kind.CUT_LAST}
_FLIPS = {Kind.FLIP_FIRST, Kind.FLIP_MIDWAY, Kind.FLIP_LAST}
_FIRST = {Kind.RESET_FIRST, Kind.CUT_FIRST, Kind.FLIP_FIRST}
_LAST = {Kind.RESET_LAST, Kind.CUT_LAST, Kind.FLIP_LAST}


class BrokenStream:
    """Gives `data`, and then raises `error` where there is one."""

    def __init__(self, data: bytes, error: Exception | None = None, most_bytes: int = 4096) -> None:
        self._data = memoryview(data)
        self._error = error
        self._most_bytes = most_bytes

    def readinto(self, buffer: memoryview, /) -> int:
        if not self._data and self._error is not None:
            raise self._error
        piece = self._data[: min(len(buffer), self._most_bytes)]
        buffer[: len(piece)] = piece
        self._data = self._data[len(piece) :]
        return len(piece)

    def close(self) -> None:
        pass


class SlowStream:
    """Takes its time for every read."""

    def __init__(self, stream: Any, clock: FakeClock, seconds: float) -> None:
        self._stream = stream
        self._clock = clock
        self._seconds = seconds

    def readinto(self, buffer: memoryview, /) -> int:
        self._clock.advance(self._seconds)
        count: int = self._stream.readinto(buffer)
        return count

    def close(self) -> None:
        self._stream.close()


def break_stream(
    stream: Any,
    asked_bytes: int,
    kind: Kind | None,
    clock: FakeClock,
    reset: type[RdbkeeperError] = SourceUnavailable,
) -> Any:
    """The stream as a fault of that kind makes it; the stream itself for every other kind."""
    if kind is Kind.SLOW_STREAM:
        return SlowStream(stream, clock, SLOW_READ_S)
    if kind not in _RESETS | _CUTS | _FLIPS | {Kind.EXTRA, Kind.EXTRA_MANY, Kind.DRIP}:
        return stream
    data = _read_all(stream, asked_bytes)
    at = 0 if kind in _FIRST else max(0, len(data) - 1) if kind in _LAST else len(data) // 2
    if kind in _FLIPS:
        return BrokenStream(flip_bit(data, at, bit=3) if data else data)
    if kind is Kind.GONE_MIDWAY:
        return BrokenStream(data[:at], BackupGone("The file went away while it was read."))
    if kind in _RESETS:
        return BrokenStream(data[:at], reset("The link has expired, or the connection broke off."))
    if kind in _CUTS:
        return BrokenStream(data[:at])
    if kind is Kind.DRIP:
        return BrokenStream(data, most_bytes=1)
    return BrokenStream(data + bytes(1 if kind is Kind.EXTRA else 500))


def _read_all(stream: Any, asked_bytes: int) -> bytes:
    buffer = bytearray(asked_bytes)
    filled = 0
    while filled < asked_bytes and (count := stream.readinto(memoryview(buffer)[filled:])):
        filled += count
    stream.close()
    return bytes(buffer[:filled])
