"""Thaws what no run will thaw any more: its run has ended, or its time is over, or the whole stack goes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from rdbkeeper.domain.backup_first import Freeze
from rdbkeeper.domain.errors import TableError
from rdbkeeper.flows.fleet.repairs import RuleResult, hold, repair_record
from rdbkeeper.flows.fleet.work import FleetWork


def thaw_what_is_left(work: FleetWork) -> list[RuleResult]:
    """Thaw every freeze on record whose run has ended or has had its time; its rule may be gone by now."""
    return _thaw_all(work, work.runs.freezes(), spares_runs=True)


def thaw_everything(work: FleetWork) -> list[RuleResult]:
    """Thaw every freeze on record, whatever is going: the stack goes, and nobody looks again in an hour."""
    try:
        freezes = work.runs.freezes()
    except TableError as error:  # perhaps the table was removed by hand
        message = f"Whether writes are frozen cannot be looked up: {error}"
        work.journal.error("WritesStillFrozen", message, reason=error.code)
        return []
    return _thaw_all(work, freezes, spares_runs=False)


def _thaw_all(work: FleetWork, freezes: Mapping[str, Freeze], *, spares_runs: bool) -> list[RuleResult]:
    results = []
    for rule, freeze in freezes.items():
        what = f"Thawing writes to {freeze.instance}"
        thaw = partial(_thaw, work, rule, freeze, spares_runs=spares_runs)
        results.append(hold(work.journal, rule, what, "WritesStillFrozen", thaw))
    return results


def _thaw(work: FleetWork, rule: str, freeze: Freeze, *, spares_runs: bool) -> RuleResult:
    if spares_runs and freeze.until > work.clock.now() and _is_going(work, rule, freeze):
        return RuleResult(rule)
    work.thaw(rule, freeze)
    told = repair_record(rule, freeze.instance, "WritesThawed", "The run that froze writes did not thaw them.")
    return RuleResult(rule, repairs=(told,))


def _is_going(work: FleetWork, rule: str, freeze: Freeze) -> bool:
    """Whether the run that froze may be at work; another may be going besides, which waits or is to be refused."""
    return work.runs.find_lease_owner(rule) == freeze.execution and work.services.find_going_run(rule) is not None
