"""Audits within a run: those that its rule asks for on a timer, and runs that only audit, as somebody asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from rdbkeeper.domain.audit import Tally
from rdbkeeper.domain.errors import LeaseLost, RdbkeeperError, RuleChanged, RuleGone, RunFailed
from rdbkeeper.domain.outcome import tell_next_run
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.status import RunReport, RunState, find_kept_copies
from rdbkeeper.flows.runs.audit import AuditSteps, audit_copies
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.ports import Engine, Record


def audit_on_request(engine: Engine, context: RunContext, began: Record) -> Record:
    """Audit the rule's copies, once the lease is taken, and report; returns the report.

    Raises as `audit_copies` does, and RunFailed, once that is reported, for damage that was not known so far.
    """
    ends = AuditRunSteps(context)
    rule = Rule.from_record(engine.step("begin the audit", partial(ends.begin, began)))
    record = audit_copies(engine, AuditSteps(context), rule)
    report = engine.step("report the audit", partial(ends.finish, began, rule, Tally.from_record(record)))
    if report["failed"]:
        raise RunFailed(report["line"], hint="The log lines of this run tell what is damaged or could not be read.")
    return report


def audit_if_due(engine: Engine, context: RunContext, rule: Rule, started_at: datetime) -> Record | None:
    """Audit what is due, after what a run that began then has done; a Tally as a record, None where none is asked for.

    Raises LeaseLost, RuleGone and RuleChanged. What else keeps it from being done is logged, and fails no run.
    """
    if not rule.audit_every_days:
        return None
    try:
        return audit_copies(engine, AuditSteps(context), rule, started_at)
    except (LeaseLost, RuleGone, RuleChanged):
        raise
    except RdbkeeperError as error:
        return engine.step("tell that nothing was audited", partial(AuditRunSteps(context).tell_failure, error))


@dataclass(frozen=True)
class AuditRunSteps:
    """The first and the last step of a run that only audits."""

    context: RunContext

    def begin(self, began: Record) -> Record:
        """Put down that the run is going; the record is the rule. Raises RuleGone, LeaseLost."""
        context = self.context
        context.renew_lease()
        rule = context.get_wanted_rule()
        context.journal.info("RunStarted", f"Reading the copies of {rule.instance} again.")
        report = RunReport(context.run_id, datetime.fromisoformat(began["started_at"]), RunState.GOING)
        context.runs.record_run(rule.name, report)
        return rule.as_record()

    def tell_failure(self, error: RdbkeeperError) -> Record:
        """Log that the copies could not be chosen or told about; the next run tries again."""
        self.context.journal.error(
            "AuditStopped", f"The copies could not be audited; the next run tries again: {error}", reason=error.code
        )
        return Tally().as_record()

    def finish(self, began: Record, rule: Rule, tally: Tally) -> Record:
        """Log the one line that tells the run, put it on record, and free the lease."""
        context = self.context
        now = context.clock.now()
        next_fire = next(rule.cycle.fire_times(now), None)
        when = tell_next_run(next_fire, rule.cycle.time_zone)
        line = f"{rule.name}: {', '.join(tally.notes()) or 'no copy to audit'}; {when}"
        write = context.journal.error if tally.has_failed else context.journal.info
        write("RunFinished", line, audited=tally.audited, damaged=tally.damaged, failed=int(tally.has_failed))
        state = RunState.FAILED if tally.has_failed else RunState.SUCCEEDED
        entries = context.vault(rule).catalog(rule.place.path).entries
        kept = find_kept_copies(rule.place.path, [entry for entry in entries if not entry.is_damaged])
        started_at = datetime.fromisoformat(began["started_at"])
        context.runs.record_run(rule.name, RunReport(context.run_id, started_at, state, line, now), kept)
        context.runs.free_lease(rule.name, context.execution)
        return {"line": line, "failed": int(tally.has_failed)}
