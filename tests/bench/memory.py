"""How much memory our copy takes, whatever it copies: `python -m tests.bench.memory`. Fails above its bounds.

What counts is the largest the process ever was, over what it was once everything had been loaded. The files are holes
with a right checksum, so that 8 GiB take no room; the sink keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.flows.runs.transfer import lanes_for
from tests.bench.clients import Place, environment, our_copy
from tests.bench.data_file import write_zeros
from tests.bench.markdown import describe_machine, median, table
from tests.bench.measuring import Command, measure
from tests.bench.servers import FileSource, Sink, counting_sink, end_on_signal, file_source, why_not

MEBIBYTE = 1 << 20
ROUNDS = 3
MOST_BYTES_WITH_SMALLEST_PARTS = 110 * 10**6
MOST_BYTES_BESIDE_BUFFERS = 40 * 10**6
MOST_SPREAD = 0.10
_HEADER = ("file", "part", "parts in flight", "loaded MiB", "peak MiB", "over it, MB", "bound, MB", "defects")


@dataclass(frozen=True)
class Case:
    """A file's size and the size of its parts."""

    size_mib: int
    part_mib: int

    @property
    def lanes(self) -> int:
        return lanes_for(self.part_mib * MEBIBYTE, CopySettings().lanes)

    @property
    def bound_bytes(self) -> int:
        """The most that the copy may take over what was loaded."""
        if self.part_mib <= 16:
            return MOST_BYTES_WITH_SMALLEST_PARTS
        return (self.lanes + 1) * self.part_mib * MEBIBYTE + MOST_BYTES_BESIDE_BUFFERS


# 44 MiB parts are those of a file of 420 GiB, 128 MiB parts those of one of 1.2 TiB.
CASES = (Case(64, 16), Case(1024, 16), Case(8192, 16), Case(1024, 44), Case(1024, 128))


@dataclass(frozen=True)
class Row:
    """What copying a case took: the medians over all rounds, and the files that were written on the way."""

    case: Case
    baseline_bytes: float
    peak_bytes: float
    written_files: tuple[str, ...]

    @property
    def over_baseline_bytes(self) -> float:
        return self.peak_bytes - self.baseline_bytes

    @property
    def defects(self) -> list[str]:
        """What must not be, in words."""
        found = [f"it wrote {name}" for name in self.written_files]
        if self.over_baseline_bytes > self.case.bound_bytes:
            found.append("ABOVE")
        return found

    def cells(self) -> list[str]:
        case = self.case
        return [
            f"{case.size_mib:,} MiB",
            f"{case.part_mib} MiB",
            str(case.lanes),
            f"{self.baseline_bytes / MEBIBYTE:.0f}",
            f"{self.peak_bytes / MEBIBYTE:.0f}",
            f"{self.over_baseline_bytes / 1e6:.0f}",
            f"{case.bound_bytes / 1e6:.0f}",
            ", ".join(self.defects) or "none",
        ]


def spread(rows: Sequence[Row]) -> float:
    """By how much the largest peak of the cases with the smallest parts exceeds the smallest of them."""
    peaks = [row.over_baseline_bytes for row in rows if row.case.part_mib == min(row.case.part_mib for row in rows)]
    return max(peaks) / min(peaks) - 1


def measure_case(case: Case, source: FileSource, sink: Sink, rounds: int) -> Row:
    """Copy a case's file in every round."""
    place = Place("the sink", sink.endpoint, "vault", "Other", keeps_sums=True)
    command = our_copy(source, place, "--part-bytes", str(case.part_mib * MEBIBYTE))
    reports = []
    for _ in range(rounds):
        sink.forget()
        reports.append(_read_report(measure(Command(command.arguments, environment())).output))
        sink.check(source.size_bytes)
    written = {name for report in reports for name in report["written_files"]}
    return Row(
        case,
        median(report["baseline_rss_bytes"] for report in reports),
        median(report["peak_rss_bytes"] for report in reports),
        tuple(sorted(written)),
    )


def _read_report(output: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(output)
    return report


def measure_all(rounds: int, most_mib: int) -> Iterator[Row]:
    """Every case that is not larger than that, each with a file of its own."""
    for case in (case for case in CASES if case.size_mib <= most_mib):
        folder = Path(tempfile.mkdtemp(prefix="rdbkeeper-bench-"))
        write: Callable[[Path], None] = partial(write_zeros, size_bytes=case.size_mib * MEBIBYTE)
        try:
            with file_source(folder, write) as source, counting_sink(folder) as sink:
                yield measure_case(case, source, sink, rounds)
        finally:
            shutil.rmtree(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; returns 1 when a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--most-mib", type=int, default=max(case.size_mib for case in CASES))
    asked = parser.parse_args(arguments)
    if why_not():
        sys.stdout.write(f"Memory is left out: {why_not()}.\n")
        return 0
    end_on_signal()
    rows = list(measure_all(asked.rounds, asked.most_mib))
    shown = table(_HEADER, [row.cells() for row in rows])
    sys.stdout.write(f"## Memory\n\n{describe_machine()}. Medians of {asked.rounds} copies.\n\n{shown}\n\n")
    sys.stdout.write(f"With 16 MiB parts the peaks lie within {spread(rows):.0%} (at most {MOST_SPREAD:.0%}).\n")
    return 1 if spread(rows) > MOST_SPREAD or any(row.defects for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
