"""The last step of a run: tell what became of it, and free the lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rdbkeeper.domain.audit import Tally
from rdbkeeper.domain.errors import RdbkeeperError, SourceDenied, VaultDenied, VaultError
from rdbkeeper.domain.outcome import Outcome, Removals, Status, count_statuses, has_failed, report_line
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.selection import leave
from rdbkeeper.domain.status import LIVE_BLOCKS, Block, KeptCopies, RunReport, RunState, find_kept_copies
from rdbkeeper.flows.runs.context import RunContext, Ticket
from rdbkeeper.flows.runs.keepers import whole_copies
from rdbkeeper.ports import Record

DENIALS = frozenset({SourceDenied.__name__, VaultDenied.__name__})


@dataclass(frozen=True)
class ReportStep:
    """Tells a run in one line, in the log and in the rule's history."""

    context: RunContext

    def finish(
        self,
        began: Record,
        rule: Rule,
        scan: Record,
        tried: Sequence[Outcome],
        left: Sequence[Ticket],
        retained: Record | None,
        audited: Record | None = None,
    ) -> Record:
        """Log the one line that tells the run, put it on record, and free the lease."""
        removals = Removals.from_record(retained["removals"]) if retained else Removals()
        tally = Tally.from_record(audited) if audited else Tally()
        decided: Mapping[str, int] = scan["decided"]
        outcomes = [*tried, *self._leave(left)]
        next_fire = next(rule.cycle.fire_times(self.context.clock.now()), None)
        notes = [*scan.get("notes", ()), *removals.notes(), *tally.notes()]
        line = report_line(rule.name, decided, outcomes, next_fire, rule.cycle.time_zone, notes)
        counts = count_statuses(outcomes)
        failed = counts.get(Status.FAILED, 0) + tally.has_failed
        write = self.context.journal.error if failed else self.context.journal.info
        write(
            "RunFinished",
            line,
            found=sum(decided.values()) + len(outcomes) - counts.get(Status.LESS_CONSISTENT, 0),
            copied=counts.get(Status.COPIED, 0),
            failed=failed,
            size_bytes=sum(outcome.size_bytes for outcome in outcomes),
            removed=removals.removed,
            audited=tally.audited,
            damaged=tally.damaged,
        )
        self._note_what_keeps_failing(rule, outcomes)
        kept = self._find_kept(
            rule, scan, tried, None if tally.changed_marks else retained, is_changed=tally.changed_marks
        )
        self._end(began, RunState.FAILED if failed else RunState.SUCCEEDED, line, outcomes, kept)
        return {"line": line, "failed": failed}

    def _leave(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        goes_on = self.context.request.may_hand_over
        outcomes = [leave(ticket.backup_id, ticket.copy_id, to_successor=goes_on) for ticket in tickets]
        for outcome in outcomes:
            self.context.log_outcome(outcome)
        return outcomes

    def _note_what_keeps_failing(self, rule: Rule, outcomes: Sequence[Outcome]) -> None:
        """Block the rule when a backup failed for what a person must change: the next run would fail the same way."""
        lasting = DENIALS | LIVE_BLOCKS if rule.is_live else DENIALS
        failed = next((outcome for outcome in outcomes if outcome.reason in lasting), None)
        if failed is None:
            return
        message, hint = failed.message_and_hint
        if failed.reason == VaultDenied.__name__:
            goes_on = "start a run then" if rule.cycle.kind == "manual" else "a run is tried again every few hours"
            hint = f"Compare the role of the rule's function with the template; {goes_on}."
        self.context.rules.record_block(rule.name, Block(failed.reason, message, hint, owes_run=True))

    def end_early(self, began: Record, reason: RdbkeeperError, missed: Sequence[Outcome] = ()) -> Record:
        """Log that the rule was deleted or edited under its run, which therefore ends."""
        self.context.journal.warning("RunEndedEarly", str(reason), reason=reason.code)
        if self.context.find_wanted_rule() is not None:  # a deleted rule has no history to write into
            state = RunState.FAILED if has_failed(missed) else RunState.POSTPONED
            self._end(began, state, f"{self.context.rule_name}: {reason.message}", missed)
        return {"refused": reason.code, "message": reason.message}

    def report_failure(self, began: Record, error: RdbkeeperError, missed: Sequence[Outcome] = ()) -> Record:
        """Log that the run itself failed, put it on record, and free the lease if it is this run's."""
        name = self.context.rule_name
        line = f"{name}: the run failed: {error}"
        self.context.journal.error("RunFailed", line, reason=error.code)
        if isinstance(error, VaultError | SourceDenied) or self._keeps_failing(error):
            # A person must see it until a run gets through; reconciling starts one when the vault answers again.
            self.context.rules.record_block(name, Block(error.code, error.message, error.hint, owes_run=True))
        self._end(began, RunState.FAILED, line, missed)
        return {}

    def _keeps_failing(self, error: RdbkeeperError) -> bool:
        """True for what a server that is reached directly will say no to again."""
        if error.code not in LIVE_BLOCKS:
            return False
        rule = self.context.find_wanted_rule()
        return rule is not None and rule.is_live

    def _end(
        self,
        began: Record,
        state: RunState,
        line: str,
        outcomes: Sequence[Outcome] = (),
        kept: KeptCopies | None = None,
    ) -> None:
        started_at = datetime.fromisoformat(began["started_at"])
        now = self.context.clock.now()
        report = RunReport(self.context.run_id, started_at, state, line, now, tuple(outcomes))
        self.context.runs.record_run(self.context.rule_name, report, kept)
        self.context.runs.free_lease(self.context.rule_name, self.context.execution)

    def _find_kept(
        self, rule: Rule, scan: Record, tried: Sequence[Outcome], retained: Record | None, *, is_changed: bool
    ) -> KeptCopies | None:
        """What lies in the rule's place now; None when the vault does not tell, which must not fail what was copied."""
        if retained is not None and retained["kept"] is not None:
            return KeptCopies.from_record(retained["kept"])
        if not tried and retained is None and not is_changed:
            # Where nothing was tried, the vault holds what the scan found: it need not be listed a second time.
            return KeptCopies.from_record(scan["kept"])
        try:
            entries = self.context.vault(rule).catalog(rule.place.path).entries
            return find_kept_copies(rule.place.path, whole_copies(entries))
        except VaultError as error:
            self.context.journal.warning(
                "CatalogUnread", f"The copies could not be counted: {error}", reason=error.code
            )
            return None
