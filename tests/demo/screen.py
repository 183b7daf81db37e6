"""What the person at the terminal sees."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Screen:
    """Headings with the seconds since the start, so that it shows progress while it works."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @contextmanager
    def step(self, heading: str) -> Iterator[None]:
        """Say what begins; the lines of the step follow, indented."""
        print(f"\n[{time.monotonic() - self._started:5.1f} s] {heading}", flush=True)
        yield

    def line(self, text: str = "") -> None:
        print(f"    {text}", flush=True)

    def document(self, text: str, most_lines: int = 60) -> None:
        """Show a document, its middle left out where it is long."""
        lines = text.splitlines()
        if len(lines) > most_lines:
            lines = [*lines[: most_lines - 12], f"... {len(lines) - most_lines} lines more ...", *lines[-12:]]
        for line in lines:
            self.line(line)

    def log_line(self, timestamp_ms: int, message: str) -> None:
        """Show one log event as the console's log viewer does: its time, then what it says."""
        when = time.strftime("%H:%M:%S", time.gmtime(timestamp_ms / 1000))
        event = _structured(message)
        if event is None:
            self.line(f"{when}  {message.rstrip()}")
            return
        backup = str(event.get("backup", "-"))
        about = "" if backup == "-" or backup in event["message"] else f"{backup}: "
        self.line(f"{when}  {event['level']:<7} {about}{event['message']}")
        trace = event.get("exception") or event.get("stackTrace")
        if trace:
            self.line(" " * 18 + (trace if isinstance(trace, str) else "".join(trace)).strip().splitlines()[-1].strip())


def _structured(message: str) -> Mapping[str, Any] | None:
    try:
        event = json.loads(message)
    except ValueError:
        return None
    return event if isinstance(event, dict) and {"level", "message"} <= event.keys() else None
