"""The clock, and the journal in which a rule's history is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime:
        """The moment, aware UTC."""

    def monotonic(self) -> float:
        """Seconds that only ever grow, for durations."""

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""


class Journal(Protocol):
    """The rule's history, as the console's log viewer shows it."""

    def bind(self, **keys: str) -> Journal:
        """A journal whose every line also carries `keys`."""

    def info(self, event: str, message: str, **fields: Any) -> None:
        """Log what happened: a stable event code, a sentence, and its figures."""

    def warning(self, event: str, message: str, **fields: Any) -> None:
        """Log what was skipped, repaired or adopted."""

    def error(self, event: str, message: str, **fields: Any) -> None:
        """Log what failed."""

    def exception(self, event: str, message: str, **fields: Any) -> None:
        """Log a defect with the stack trace of the exception being handled."""

    def measure(self, metric: str, value: float, dimensions: Sequence[tuple[str, str]]) -> None:
        """Write one value of a metric, with exactly these dimensions."""
