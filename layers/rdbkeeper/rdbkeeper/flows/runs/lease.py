"""The first step of a run: be the only one of its rule.

A lease belongs to an execution, and is free once that has ended, whatever its end. An invocation may outlive its
execution, when somebody stops that: so a lease that was not freed is only taken over when the last invocation of its
owner cannot live any more. Until then nothing of this run can meet a call of that one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from rdbkeeper.domain.errors import RuleGone
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.status import RunState
from rdbkeeper.flows.runs.context import RunContext, run_id_of
from rdbkeeper.ports import Record

# So many times the longest invocation: clocks differ, and what an invocation has sent arrives a little later.
GRACE = 4 / 3
# The run that held the lease is the last one, or close to it.
RUNS_LOOKED_THROUGH = 20


@dataclass(frozen=True)
class LeaseStep:
    """Takes the rule's lease, or says why this run does nothing."""

    context: RunContext

    def take(self) -> Record:
        """Take the lease: `held`, or `refused` with a code, or `cooling` while its last owner may still be at work."""
        return self.take_once_cold() or self._say_that_it_cools()

    def take_once_cold(self) -> Record | None:
        """As `take`, but None while the last owner may still be at work."""
        rule = self.context.find_wanted_rule()
        if rule is None:
            return self._refuse(RuleGone.__name__, f"There is no rule {self.context.rule_name} any more.")
        if rule.state is RuleState.PAUSED and not self.context.request.on_request:
            return self._refuse("RulePaused", f"The rule {rule.name} is paused.")
        return self._take_over(rule)

    def _take_over(self, rule: Rule) -> Record | None:
        runs, me, now = self.context.runs, self.context.execution, self.context.clock.now()
        owner = runs.find_lease_owner(rule.name)
        instead_of = None
        if owner is not None and owner != me:
            ended_at = self.context.executions.find_end(owner)
            if ended_at is None:
                return self._refuse_as_another_is_going()
            if self._may_be_at_work(ended_at, now):
                return None
            # Before the lease is taken: were it lost in between, nobody would know any more whose report is open.
            self._close_report_of(owner)
            instead_of = owner
        if not runs.take_lease(rule.name, me, instead_of, now):
            return self._refuse_as_another_is_going()
        if instead_of is not None:
            self.context.journal.warning("LeaseTakenOver", "The run that held the lease has ended without freeing it.")
        # What was killed may have left writes frozen, whatever its rule says by now.
        wants_backup = rule.backup_first is not None or self.context.request.backs_up or instead_of is not None
        return {"held": True, "backs_up": True} if wants_backup else {"held": True}

    def _may_be_at_work(self, ended_at: datetime, now: datetime) -> bool:
        return now - ended_at < self.context.longest_invocation * GRACE

    def _say_that_it_cools(self) -> Record:
        message = (
            "The run before this one was stopped or killed a short while ago, and may still have calls under way. This "
            "one begins when those are over."
        )
        self.context.journal.warning("LeaseCooling", message)
        return {"cooling": True}

    def _refuse_as_another_is_going(self) -> Record:
        return self._refuse("RunIsGoing", "Another run of this rule is going.")

    def _refuse(self, code: str, message: str) -> Record:
        self.context.journal.warning(code, f"{message} So nothing is copied.")
        return {"refused": code, "message": message}

    def _close_report_of(self, execution: str) -> None:
        """Put down the end of a run that was killed before it could do so itself."""
        name, run = self.context.rule_name, run_id_of(execution)
        for report in self.context.runs.history(name, "", RUNS_LOOKED_THROUGH).runs:
            if report.run == run and report.state is RunState.GOING:
                line = f"{name}: the run was stopped or killed before its end"
                ended = replace(report, state=RunState.FAILED, line=line, ended_at=self.context.clock.now())
                self.context.runs.record_run(name, ended)
