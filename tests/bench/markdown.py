"""Medians, ratios and Markdown tables. Pure, but for the machine's description."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

UNKNOWN = "unknown"


def median(values: Iterable[float]) -> float:
    """The middle value, or the mean of the two in the middle. Raises ValueError when there is none."""
    found = list(values)
    if not found:
        raise ValueError("no values, so no median")
    return statistics.median(found)


def times(base: float, value: float) -> str:
    """How many times less than `base` a value is, as a ratio to quote: `1.94 x`."""
    return f"{base / value:.2f} x"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns are padded; the first is aligned to the left, the others to the right."""
    body = [list(row) for row in rows]
    if any(len(row) != len(header) for row in body):
        raise ValueError("a row has not as many cells as the header")
    widths = [max(len(row[column]) for row in [list(header), *body]) for column in range(len(header))]
    rule = ["-" * width if column == 0 else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join(_line(row, widths) for row in [list(header), rule, *body])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cells[0].ljust(widths[0])]
    padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join(padded)} |"


def describe_machine(now: datetime | None = None) -> str:
    """One line: the processor and its number, the memory, the system, Python, the date, and how busy it was before."""
    moment = now or datetime.now(UTC)
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return (
        f"{os.cpu_count()} x {_processor()}, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {moment:%Y-%m-%d}, load {os.getloadavg()[0]:.1f} beforehand"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine() or UNKNOWN
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine() or UNKNOWN
