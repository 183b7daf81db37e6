"""The last step of a run: tell what became of it, and free the lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.outcome import Outcome, Status, count_statuses, report_line
from rdbkeeper.domain.rule import Rule
from rdbkeeper.flows.run_context import RunContext
from rdbkeeper.ports import Record


@dataclass(frozen=True)
class ReportStep:
    """Tells a run in one line."""

    context: RunContext

    def finish(self, rule: Rule, decided: Mapping[str, int], outcomes: Sequence[Outcome]) -> Record:
        """Log the one line that tells the run, and free the lease."""
        next_fire = next(rule.cycle.fire_times(self.context.clock.now()), None)
        line = report_line(rule.name, decided, outcomes, next_fire, rule.cycle.time_zone)
        counts = count_statuses(outcomes)
        failed = counts.get(Status.FAILED, 0)
        write = self.context.journal.error if failed else self.context.journal.info
        write(
            "RunFinished",
            line,
            found=sum(decided.values()) + len(outcomes),
            copied=counts.get(Status.COPIED, 0),
            failed=failed,
            size_bytes=sum(outcome.size_bytes for outcome in outcomes),
        )
        self.context.table.free_lease(rule.name, self.context.execution)
        return {"line": line, "failed": failed}

    def report_failure(self, error: RdbkeeperError) -> Record:
        """Log that the run itself failed, and free the lease if it is this run's."""
        self.context.journal.error("RunFailed", f"{self.context.rule_name}: the run failed: {error}", reason=error.code)
        self.context.table.free_lease(self.context.rule_name, self.context.execution)
        return {}
