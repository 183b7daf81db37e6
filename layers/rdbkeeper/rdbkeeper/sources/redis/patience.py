"""Bounds how long an answer may take, and how much it may be.

A socket's own time-out is for each piece that comes: whoever sends a byte now and then is waited for without an end.
"""

from __future__ import annotations

import math
from typing import Any

from rdbkeeper.domain.errors import SourceRefused
from rdbkeeper.ports import Clock

SILENT_TIMEOUT_S = 60.0
"""How long a server may say nothing."""
ANSWER_TIMEOUT_S = 60.0
"""How long one answer may take."""
MOST_ANSWER_BYTES = 64 * 1024 * 1024
"""More than the longest answer that is asked for in one go: the functions' code, the table of a large cluster."""


class PatientSocket:
    """A connection's socket for redis-py, with a bound on each answer and on all of them.

    `raw` is the socket itself, for what is read in bulk. All asking ends at `until`, by the clock's monotonic time.
    """

    def __init__(self, raw: Any, clock: Clock, until: float = math.inf) -> None:
        self.raw = raw
        self._clock = clock
        self._until = until
        self.begin_answer()

    def begin_answer(self) -> None:
        """Count anew, for the answer to the next command."""
        self._answer_until = min(self._until, self._clock.monotonic() + ANSWER_TIMEOUT_S)
        self._room_bytes = MOST_ANSWER_BYTES

    def recv(self, *args: Any) -> bytes:
        """Raises TimeoutError when the time is over, SourceRefused for more than any answer is."""
        self._wait()
        data: bytes = self.raw.recv(*args)
        self._take(len(data))
        return data

    def recv_into(self, *args: Any) -> int:
        self._wait()
        count: int = self.raw.recv_into(*args)
        self._take(count)
        return count

    def _wait(self) -> None:
        left_s = self._answer_until - self._clock.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self.raw.settimeout(min(left_s, SILENT_TIMEOUT_S))

    def _take(self, count: int) -> None:
        self._room_bytes -= count
        if self._room_bytes < 0:
            raise SourceRefused(
                f"The server answers with more than {MOST_ANSWER_BYTES:,} bytes.",
                hint="No answer of Redis is that long. Look at the address and the port in the rule's source.",
            )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)
