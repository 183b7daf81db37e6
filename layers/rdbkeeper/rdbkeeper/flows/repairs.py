"""What became of each rule in a reconciling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.ports import Record

# An answer is at most 6 MB ("Lambda quotas"), and nobody reads more.
MOST_TOLD = 1000


@dataclass(frozen=True)
class RuleResult:
    """What became of one rule: records of what was repaired, what was only reported, an error, or no time left.

    A record is `{"rule", "target", "code", "reason"}`.
    """

    rule: str
    repairs: tuple[Record, ...] = ()
    reports: tuple[Record, ...] = ()
    error: RdbkeeperError | None = None
    left: bool = False


def repair_record(rule: str, target: str, code: str, reason: str) -> Record:
    """A record of something repaired or reported."""
    return {"rule": rule, "target": target, "code": code, "reason": reason}


def describe_results(checked: int, results: Sequence[RuleResult]) -> Record:
    """The answer to a reconciling: a line for people, counts, and the records, at most 1,000 of each."""
    repairs = [record for result in results for record in result.repairs]
    reports = [record for result in results for record in result.reports]
    failures = [{"rule": result.rule, **result.error.as_record()} for result in results if result.error]
    left = sorted({result.rule for result in results if result.left})
    line = f"{checked} rules checked, {len(repairs)} repairs, {len(reports)} reports, {len(failures)} failed"
    return {
        "line": f"{line}, {len(left)} left for the next time" if left else line,
        "checked": checked,
        "repairs": repairs[:MOST_TOLD],
        "reports": reports[:MOST_TOLD],
        "failures": failures[:MOST_TOLD],
        "left": left[:MOST_TOLD],
    }


def names_of(results: Iterable[RuleResult]) -> set[str]:
    """The rules that failed or were not reached."""
    return {result.rule for result in results if result.error or result.left}
