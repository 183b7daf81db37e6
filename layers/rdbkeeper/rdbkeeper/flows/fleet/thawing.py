"""Thaws what no run will thaw any more: its run has ended, or its time is over, or the whole stack goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from rdbkeeper.domain.backup_first import Freeze
from rdbkeeper.domain.errors import HookUncalled, TableError
from rdbkeeper.flows.fleet.repairs import RuleResult, hold, repair_record
from rdbkeeper.flows.fleet.work import FleetWork
from rdbkeeper.flows.thaw import thaw
from rdbkeeper.ports import Hooks, Record

# Functions of owners that are called side by side: one that hangs is waited for.
AT_ONCE = 4
# In less, no function is expected to answer.
SHORTEST_CALL_S = 5.0

SecondsLeft = Callable[[], float]


def thaw_what_is_left(work: FleetWork, seconds_left: SecondsLeft) -> list[RuleResult]:
    """Thaw every freeze on record whose run has ended or has had its time; its rule may be gone by now.

    What there is no time for counts as failed, as does what cannot be thawed.
    """
    return _thaw_all(work, work.runs.freezes(), seconds_left, spares_runs=True)


def thaw_everything(work: FleetWork, seconds_left: SecondsLeft) -> list[RuleResult]:
    """Thaw every freeze on record, whatever is going: the stack goes, and nobody looks again in an hour."""
    try:
        freezes = work.runs.freezes()
    except TableError as error:  # perhaps the table was removed by hand
        message = f"Whether writes are frozen cannot be looked up: {error}"
        work.journal.error("WritesStillFrozen", message, reason=error.code)
        return []
    return _thaw_all(work, freezes, seconds_left, spares_runs=False)


def _thaw_all(
    work: FleetWork, freezes: Mapping[str, Freeze], seconds_left: SecondsLeft, *, spares_runs: bool
) -> list[RuleResult]:
    hooks = _HooksWhileThereIsTime(work.adapters.hooks, seconds_left)

    def thaw_one(item: tuple[str, Freeze]) -> RuleResult:
        rule, freeze = item
        what = f"Thawing writes to {freeze.instance}"
        return hold(
            work.journal,
            rule,
            what,
            "WritesStillFrozen",
            partial(_thaw, work, hooks, rule, freeze, spares_runs=spares_runs),
        )

    # The latest first: what nobody could thaw for days must not take the time of what can be.
    latest_first = sorted(freezes.items(), key=lambda item: item[1].since, reverse=True)
    with ThreadPoolExecutor(AT_ONCE) as workers:
        return list(workers.map(thaw_one, latest_first))


def _thaw(work: FleetWork, hooks: Hooks, rule: str, freeze: Freeze, *, spares_runs: bool) -> RuleResult:
    if spares_runs and freeze.until > work.clock.now() and _is_going(work, rule, freeze):
        return RuleResult(rule)
    thaw(rule, freeze, work.rules, work.runs, hooks, work.journal.bind(rule=rule), work.clock.now())
    told = repair_record(rule, freeze.instance, "WritesThawed", "The run that froze writes did not thaw them.")
    return RuleResult(rule, repairs=(told,))


def _is_going(work: FleetWork, rule: str, freeze: Freeze) -> bool:
    """Whether the run that froze may be at work; another may be going besides, which waits or is to be refused."""
    return work.runs.find_lease_owner(rule) == freeze.execution and work.services.find_going_run(rule) is not None


class _HooksWhileThereIsTime:
    """Hooks that are called for no longer than there is time."""

    def __init__(self, hooks: Hooks, seconds_left: SecondsLeft) -> None:
        self._hooks = hooks
        self._seconds_left = seconds_left

    def call(self, function: str, payload: Record, longest_s: float) -> None:
        longest_s = min(longest_s, self._seconds_left())
        if longest_s < SHORTEST_CALL_S:
            raise HookUncalled(
                f"The hook {function} was not called to {payload['phase']} writes to {payload['instance']}: "
                "no time was left.",
                hint="The next hourly look calls it. Where writes must go on now, let them go on by hand.",
            )
        self._hooks.call(function, payload, longest_s)
