"""Reads a server as a replica would: one file of one moment, which comes once.

The server answers SYNC with `$<length>` and a file that it wrote beforehand, or, diskless, with `$EOF:<40 bytes>`, a
file of unknown length and these bytes again. Until then, and while its child writes, it sends bare newlines. Sources:
replication.c of Redis 7.0 (syncCommand, replicationSetupSlaveForFullResync); tried with Redis 6.2, 7.0 and 8.2 and
Valkey 9.1. `rdb-only` says that no stream of commands is to follow; servers before 6.2 do not know it, and are left
when the file is whole.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from rdbkeeper.domain.backup import Consistency
from rdbkeeper.domain.errors import ServerLost, SourceError, SourceUnavailable, SyncRefused
from rdbkeeper.domain.live import LiveFindings
from rdbkeeper.ports import Clock
from rdbkeeper.sources.redis.connection import Server
from rdbkeeper.sources.redis.nodes import NodeFacts
from rdbkeeper.sources.redis.patience import SILENT_TIMEOUT_S
from rdbkeeper.sources.redis.refusals import Doing, Refusal, fell_silent, translated, typed, went_away
from rdbkeeper.sources.redis.wire import Socket, command

BEGIN_TIMEOUT_S = 600.0
"""How long a server may write its file before it sends any of it."""

Nap = Callable[[], None]
# A server writes in pieces of 16 KiB. Whoever wakes up for each takes the processor from whoever sums them: letting
# them pile up for half a millisecond took a quarter off our processor time, and nothing off the throughput (measured).
LITTLE_BYTES = 1 << 16
NAP_S = 0.0005

_MARK_BYTES = 40
_READ_BYTES = 1 << 16
# Into less room than this nothing is read directly: the mark has to be told from the file.
_FEWEST_DIRECT_BYTES = 1 << 12
_HINT = "Allow SYNC and REPLCONF to the rule's user, or let the rule's `way` be `logical` or `auto`."


class FullSyncStream:
    """The file that a server sends to a replica; `check_end` is asked once it is whole."""

    def __init__(self, server: Server, frame: _Frame, doing: Doing, check_end: Callable[[], None], reason: str) -> None:
        self._server = server
        self._frame = frame
        self._doing = doing
        self._check_end = check_end
        self._reason = reason
        self._is_whole = False

    def readinto(self, buffer: memoryview, /) -> int:
        if self._is_whole:
            return 0
        try:
            count = self._frame.readinto(buffer)
        except TimeoutError as error:
            raise fell_silent(self._doing, SILENT_TIMEOUT_S) from error
        except (OSError, EOFError) as error:
            raise went_away(self._doing) from error
        if count == 0:
            self._server.close()
            self._check_end()
            self._is_whole = True
        return count

    def close(self) -> None:
        self._server.close()

    @property
    def findings(self) -> LiveFindings:
        if not self._is_whole:
            raise ValueError("what became of a stream is known at its end")
        return LiveFindings(Consistency.POINT_IN_TIME, self._reason)


def begin(server: Server, facts: NodeFacts, clock: Clock, check_end: Callable[[], None], reason: str) -> FullSyncStream:
    """Ask for the file and wait for its beginning.

    Raises SyncRefused; SourceUnavailable and SourceDenied as any asking does.
    """
    doing = Doing("Asking for all data of", server.address)
    with translated(doing):
        for words in _wishes(facts):
            try:
                server.ask("REPLCONF", *words)
            except Refusal as refusal:
                # Older servers know fewer of these; whoever may not say any is told so by SYNC as well.
                if refusal.is_denied:
                    raise refused(refusal, doing) from refusal
        server.socket.sendall(command("SYNC"))
        line, rest = _first_line(server.socket, doing, clock)
    reading = Doing("Reading all data of", server.address, is_begun=True)
    frame = _frame_of(line, rest, server.socket, doing, _nap(server.socket, clock))
    return FullSyncStream(server, frame, reading, check_end, reason)


def _nap(socket: Socket, clock: Clock) -> Nap:
    """What is done when little has come at once. A socket with TLS gives no more than 16 KiB, however much there is."""
    return _stay_awake if isinstance(socket, ssl.SSLSocket) else lambda: clock.sleep(NAP_S)


def _stay_awake() -> None:
    pass


def _wishes(facts: NodeFacts) -> list[tuple[str, str]]:
    """What a replica tells of itself beforehand."""
    wishes = [("capa", "eof"), ("rdb-only", "1")]
    # Valkey writes an older format for a replica that does not say how new it is, and fails in the middle of the file
    # when a value does not exist in that format (tried with 9.1).
    return [*wishes, ("version", facts.engine_version)] if facts.is_valkey else wishes


def refused(refusal: Refusal, doing: Doing) -> SourceError:
    """The error for a server that gives its data to no replica, or not now."""
    words = refusal.text
    if refusal.code == "ERR" and ("not connected with my master" in words or "BGSAVE" in words):
        hint = "Look at the server's log; the next run asks again."
        return SourceUnavailable(f"{doing}: the server says {refusal.words}.", hint=hint)
    if refusal.is_denied or refusal.code == "ERR":
        why = f"the user may not run {refusal.command.upper()}" if refusal.command else f"it says {refusal.words}"
        return SyncRefused(f"{doing}: {why}.", hint=_HINT)
    return typed(refusal, doing)


def _first_line(socket: Socket, doing: Doing, clock: Clock) -> tuple[bytes, bytes]:
    """The line before the file, and what came with it; newlines before it say that the server lives."""
    until, data = clock.monotonic() + BEGIN_TIMEOUT_S, b""
    while b"\r\n" not in data and len(data) < _READ_BYTES:
        if clock.monotonic() > until:
            raise fell_silent(doing, BEGIN_TIMEOUT_S)
        came = socket.recv(_READ_BYTES)
        if not came:
            raise went_away(doing)
        data = (data + came).lstrip(b"\n")
    line, _, rest = data.partition(b"\r\n")
    return line, rest


class _Frame:
    """A file of known length."""

    def __init__(self, socket: Socket, rest: bytes, length: int) -> None:
        self._socket = socket
        self._rest = memoryview(rest)[:length]
        self._left = length

    def readinto(self, buffer: memoryview) -> int:
        """Raises OSError, EOFError where the file is cut."""
        if self._left == 0:
            return 0
        if self._rest:
            count = min(len(buffer), len(self._rest))
            buffer[:count] = self._rest[:count]
            self._rest = self._rest[count:]
        else:
            count = self._socket.recv_into(buffer[: self._left])
            if count == 0:
                raise EOFError("the file was cut")
        self._left -= count
        return count


class _MarkedFrame(_Frame):
    """A file that ends before a mark; the last bytes that came are held back, since they may be the mark."""

    def __init__(self, socket: Socket, rest: bytes, mark: bytes, nap: Nap) -> None:
        self._socket = socket
        self._mark = mark
        self._nap = nap
        self._held = bytearray(rest)

    def readinto(self, buffer: memoryview) -> int:
        while True:
            spare = len(self._held) - _MARK_BYTES
            if spare > 0:
                count = min(len(buffer), spare)
                buffer[:count] = self._held[:count]
                del self._held[:count]
                return count
            if self._held == self._mark:
                return 0
            if len(buffer) < _FEWEST_DIRECT_BYTES:
                self._held += self._came(self._socket.recv(_READ_BYTES))
            elif count := self._read_directly(buffer):
                return count

    def _read_directly(self, buffer: memoryview) -> int:
        held = len(self._held)
        buffer[:held] = self._held
        came = self._socket.recv_into(buffer[held:])
        if came == 0:
            raise EOFError("the file was cut")
        if came < LITTLE_BYTES:
            self._nap()
        end = held + came
        keep = min(end, _MARK_BYTES)
        self._held[:] = buffer[end - keep : end]
        return end - keep

    @staticmethod
    def _came(data: bytes) -> bytes:
        if not data:
            raise EOFError("the file was cut")
        return data


def _frame_of(line: bytes, rest: bytes, socket: Socket, doing: Doing, nap: Nap) -> _Frame:
    if line.startswith(b"$EOF:") and len(line) == 5 + _MARK_BYTES:
        return _MarkedFrame(socket, rest, line[5:], nap)
    if line.startswith(b"$") and line[1:].isdigit():
        return _Frame(socket, rest, int(line[1:]))
    if line.startswith(b"-"):
        raise refused(Refusal.of(line[1:].decode("utf-8", "replace")), doing)
    raise ServerLost(
        f"{doing}: the server answered SYNC with something else than a file.",
        hint="It may be a proxy. Let the rule's `way` be `logical`.",
    )
