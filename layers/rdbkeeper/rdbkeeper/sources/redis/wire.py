"""The wire of a server whose answers are many or large (RESP2).

redis-py connects, encrypts and logs in; what follows in bulk is read here, since its parser holds a value of a hundred
megabytes four times over, and would read an answer of any length.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from rdbkeeper.sources.redis.refusals import NotRedis, Refusal, ValueTooLong

MOST_VALUE_BYTES = 256 * 1024 * 1024
"""The largest value that is read key by key; it is held in memory whole."""

_READ_BYTES = 1 << 18
_END = b"\r\n"

Reply = bytes | bytearray | int | list["Reply"] | Refusal | ValueTooLong | None


class Socket(Protocol):
    """What is used of a socket, encrypted or not."""

    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def recv_into(self, buffer: memoryview, /) -> int: ...


def command(*words: bytes | str | int) -> bytes:
    """A command as it is sent."""
    pieces = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        pieces.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(pieces)


class Wire:
    """Sends commands and reads their answers, in order. Raises OSError, EOFError where the server is gone."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._data = b""
        self._at = 0
        self._room_bytes = MOST_VALUE_BYTES
        self._steps_over = False

    def send(self, commands: Iterable[bytes]) -> None:
        self._socket.sendall(b"".join(commands))

    def skip(self, expected: bytes) -> bool:
        """Step over an answer that is known word for word; False, and nothing is read over, where it is another."""
        while len(self._data) - self._at < len(expected):
            if not expected.startswith(self._data[self._at :]):
                return False
            self._fetch()
        if not self._data.startswith(expected, self._at):
            return False
        self._at += len(expected)
        return True

    def reply(self, together_bytes: int | None = None) -> Reply:
        """The next answer; an error among them is returned, not raised.

        Of the values in it no more than `together_bytes` are held: in the place of each that goes beyond stands a
        ValueTooLong. Where that is left out, MOST_VALUE_BYTES are, and what goes beyond raises ValueTooLong.
        """
        self._room_bytes = MOST_VALUE_BYTES if together_bytes is None else together_bytes
        self._steps_over = together_bytes is not None
        try:
            return self._reply()
        except (ValueError, RecursionError) as error:  # a length that is no number, a list in a list without end
            raise NotRedis from error

    def _reply(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return self._bulk(int(rest))
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        if kind == b"-":
            return Refusal.of(rest.decode("utf-8", "replace"))
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))] if rest != b"-1" else None
        raise EOFError("an answer that is none")

    def _line(self) -> bytes:
        while (end := self._data.find(_END, self._at)) < 0:
            self._fetch()
        line = self._data[self._at : end]
        self._at = end + 2
        return line

    def _bulk(self, length: int) -> bytes | bytearray | ValueTooLong | None:
        if length < 0:
            return None
        if length > self._room_bytes:
            too_long = ValueTooLong(length)
            if not self._steps_over or length > MOST_VALUE_BYTES:
                raise too_long
            self._step_over(length + 2)
            return too_long
        self._room_bytes -= length
        at, end = self._at, self._at + length
        if end + 2 <= len(self._data):
            self._at = end + 2
            return self._data[at:end]
        value = bytearray(length + 2)
        view, filled = memoryview(value), len(self._data) - at
        view[:filled] = self._data[at:]
        self._data, self._at = b"", 0
        while filled < len(view):
            count = self._socket.recv_into(view[filled:])
            if count == 0:
                raise EOFError("the connection ended within an answer")
            filled += count
        view.release()
        del value[length:]
        return value

    def _step_over(self, length: int) -> None:
        while len(self._data) - self._at < length:
            length -= len(self._data) - self._at
            self._at = len(self._data)
            self._fetch()
        self._at += length

    def _fetch(self) -> None:
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise EOFError("the connection ended")
        self._data = self._data[self._at :] + data
        self._at = 0
