"""What became of each rule in a reconciling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.ports import Journal, Record

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


def hold(journal: Journal, rule: str, what: str, failure: str, work_on: Callable[[], RuleResult]) -> RuleResult:
    """One rule's result, whatever it meets while doing `what`; a failure is logged by its code, a defect as one."""
    journal = journal.bind(rule=rule)
    try:
        result = work_on()
    except RdbkeeperError as error:
        result = RuleResult(rule, error=error)
    except Exception as error:  # noqa: BLE001 - a defect that one rule brings out must not take the others with it
        result = RuleResult(rule, error=report_defect(journal, what, error))
    if result.error is not None:
        journal.error(failure, f"{rule}: {result.error}", reason=result.error.code)
    return result


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
