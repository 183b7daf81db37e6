"""Thaws what no run will thaw any more: its run has ended, or its time is over."""

from __future__ import annotations

from functools import partial

from rdbkeeper.domain.backup_first import Freeze
from rdbkeeper.flows.fleet.repairs import RuleResult, hold, repair_record
from rdbkeeper.flows.fleet.work import FleetWork


def thaw_what_is_left(work: FleetWork) -> list[RuleResult]:
    """Thaw every freeze on record whose run has ended or has had its time; its rule may be gone by now."""
    results = []
    for rule, freeze in work.runs.freezes().items():
        what = f"Thawing writes to {freeze.instance}"
        results.append(hold(work.journal, rule, what, "WritesStillFrozen", partial(_thaw, work, rule, freeze)))
    return results


def _thaw(work: FleetWork, rule: str, freeze: Freeze) -> RuleResult:
    if freeze.until > work.clock.now() and _is_going(work, rule, freeze):
        return RuleResult(rule)
    work.thaw(rule, freeze)
    told = repair_record(rule, freeze.instance, "WritesThawed", "The run that froze writes did not thaw them.")
    return RuleResult(rule, repairs=(told,))


def _is_going(work: FleetWork, rule: str, freeze: Freeze) -> bool:
    """Whether the run that froze may be at work; another may be going besides, which waits or is to be refused."""
    return work.runs.find_lease_owner(rule) == freeze.execution and work.services.find_going_run(rule) is not None
