"""Prints everything that is measured as Markdown, keeps it in bench.md, and fails above a bound: `make bench`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.bench import live_reads, memory, nothing_new, throughput, transfer_costs
from tests.bench.figures import Shop, plan_cpu_s
from tests.bench.markdown import describe_machine, table
from tests.bench.start_up import measure_start_ups
from tests.local_cloud.server import LocalCloud

REPORT = Path("bench.md")
MANY = 1_000
VERY_MANY = 10_000
MOST_LIST_READS = 3
MOST_RECONCILE_CALLS = 150
MOST_PLAN_CPU_S = 2.0


@dataclass(frozen=True)
class Line:
    """One figure; `most` is its bound, None where it is told only."""

    what: str
    figure: float
    most: float | None = None

    @property
    def holds(self) -> bool:
        return self.most is None or self.figure <= self.most

    def cells(self) -> list[str]:
        figure = f"{self.figure:.2f}" if isinstance(self.figure, float) else str(self.figure)
        bound = "" if self.most is None else f"at most {self.most:g}"
        return [self.what, figure, bound if self.holds else f"{bound}: BROKEN"]


def _count_rules() -> Iterator[Line]:
    with LocalCloud() as cloud:
        shop = Shop(MANY, cloud.client("dynamodb"))
        listed = shop.list_first_page()
        yield Line(f"list, first page of {MANY} rules: reads of the table", listed.total, MOST_LIST_READS)
        before = time.thread_time()  # what stands in for AWS works in threads of its own
        reconciled = shop.reconcile()
        cpu_s = time.thread_time() - before
    yield Line(f"reconcile, {MANY} rules and nothing to do: calls", reconciled.total, MOST_RECONCILE_CALLS)
    for name, count in sorted(reconciled.calls.items()):
        yield Line(f"of these, {name}", count)
    yield Line("of these, writes (when its vault was looked at)", len(reconciled.writes), 1)
    yield Line("processor seconds of it", cpu_s)
    quiet_s, everything_s = plan_cpu_s(VERY_MANY)
    yield Line(f"plan, {VERY_MANY} rules and nothing to do: processor seconds", quiet_s, MOST_PLAN_CPU_S)
    yield Line(f"plan, {VERY_MANY} rules and nothing there: processor seconds", everything_s, MOST_PLAN_CPU_S)


def show_rules() -> int:
    """What many rules cost."""
    lines = list(_count_rules())
    _tell("## Many rules", table(("what", "figure", "bound"), (line.cells() for line in lines)))
    return sum(not line.holds for line in lines)


def show_nothing_new() -> int:
    """What a run costs that finds nothing new."""
    runs = [nothing_new.measure(copies) for copies in nothing_new.COUNTS]
    runs.append(nothing_new.measure(nothing_new.COUNTS[-1], nothing_new.KEEP_ALL_THERE))
    runs.append(nothing_new.run_with_one_too_many(nothing_new.COUNTS[-1])[0])
    _tell("## A run that finds nothing new", "\n".join([nothing_new.HEADER, *(run.as_row() for run in runs)]))
    return sum(run.cpu_s > nothing_new.MOST_CPU_S for run in runs)  # the calls are bounded by tests


def show_start_ups() -> int:
    """How long each handler takes to import."""
    measured = measure_start_ups()
    rows = [
        (
            start.what,
            f"{start.compiled_ms:.0f}",
            f"{start.uncompiled_ms:.0f}",
            "" if start.most_ms is None else f"{start.most_ms:.0f}{'' if start.holds else ': BROKEN'}",
        )
        for start in measured.starts
    ]
    header = ("imported", "compiled, ms of processor", "uncompiled", "at most")
    _tell(f"## Start-up, Python {measured.python}", table(header, rows))
    return sum(not start.holds for start in measured.starts)


def show_costs() -> int:
    """What transfers take and cost, planned."""
    _tell("## A transfer, planned", transfer_costs.table())
    return 0


def _tell(*blocks: str) -> None:
    sys.stdout.write("\n\n".join(blocks) + "\n\n")
    sys.stdout.flush()


PARTS: dict[str, Callable[[], int]] = {
    "throughput": lambda: throughput.main([]),
    "live-reads": lambda: live_reads.main([]),
    "memory": lambda: memory.main([]),
    "start-up": show_start_ups,
    "nothing-new": show_nothing_new,
    "rules": show_rules,
    "costs": show_costs,
}


@dataclass
class _Both:
    """A text stream into two."""

    one: TextIO
    other: TextIO

    def write(self, text: str) -> int:
        self.other.write(text)
        return self.one.write(text)

    def flush(self) -> None:
        self.one.flush()
        self.other.flush()


def main() -> int:
    """Measure every part, or those that are named; returns 1 when a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    asked = parser.parse_args().parts
    if asked:  # the report stays as the last whole measurement left it
        return 1 if sum(PARTS[part]() for part in asked) else 0
    with REPORT.open("w", encoding="utf-8") as report, contextlib.redirect_stdout(_Both(sys.stdout, report)):  # type: ignore[type-var] # writes and flushes, which is all that is asked of it
        _tell("# Bench", describe_machine())
        broken = sum(show() for show in PARTS.values())
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
