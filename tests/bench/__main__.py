"""Prints what many rules cost, and fails when a bound is broken: `make bench`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.figures import Shop, plan_cpu_s
from tests.local_cloud.server import LocalCloud

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

    def __str__(self) -> str:
        figure = f"{self.figure:.2f}" if isinstance(self.figure, float) else str(self.figure)
        bound = "" if self.most is None else f"at most {self.most:g}"
        return f"{self.what:<64} {figure:>8}  {bound:<12} {'' if self.holds else 'BROKEN'}".rstrip()


def _counted() -> Iterator[Line]:
    with LocalCloud() as cloud:
        shop = Shop(MANY, cloud.client("dynamodb"))
        listed = shop.list_first_page()
        yield Line(f"list, first page of {MANY} rules: reads of the table", listed.total, MOST_LIST_READS)
        before = time.thread_time()  # what stands in for AWS works in threads of its own
        reconciled = shop.reconcile()
        cpu_s = time.thread_time() - before
    yield Line(f"reconcile, {MANY} rules and nothing to do: calls", reconciled.total, MOST_RECONCILE_CALLS)
    for name, count in sorted(reconciled.calls.items()):
        yield Line(f"    {name}", count)
    yield Line("    of these, writes", len(reconciled.writes), 0)
    yield Line("    processor seconds", cpu_s)


def _timed() -> Iterator[Line]:
    quiet_s, everything_s = plan_cpu_s(VERY_MANY)
    yield Line(f"plan, {VERY_MANY} rules and nothing to do: processor seconds", quiet_s, MOST_PLAN_CPU_S)
    yield Line(f"plan, {VERY_MANY} rules and nothing there: processor seconds", everything_s, MOST_PLAN_CPU_S)


def main() -> int:
    """Print every figure; returns 1 when a bound is broken."""
    broken = 0
    for lines in (_counted(), _timed()):
        for line in lines:
            sys.stdout.write(f"{line}\n")
            broken += not line.holds
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
