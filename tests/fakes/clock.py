"""A clock that moves only when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    def __init__(self, now: datetime = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)) -> None:
        self._began = now
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        self._elapsed_s += seconds

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
