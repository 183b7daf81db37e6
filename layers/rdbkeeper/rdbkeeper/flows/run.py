"""One run of a rule: scan, export, copy, verify, publish, report.

This is the order of the steps and nothing else. It is replayed after a crash, so between the steps it only computes
from their results.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from rdbkeeper.domain.errors import LeaseLost, RdbkeeperError, RuleChanged, RuleGone, RunFailed, from_record
from rdbkeeper.domain.outcome import Outcome
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.transfer import Transfer
from rdbkeeper.flows.copy import CopySteps
from rdbkeeper.flows.export import Export, ExportSteps
from rdbkeeper.flows.publish import find_rejected
from rdbkeeper.flows.report import ReportStep
from rdbkeeper.flows.run_context import RunContext, Ticket
from rdbkeeper.flows.scan import BackupList, ScanStep
from rdbkeeper.ports import Engine, Poll, Record

# A leg leaves this much of its invocation for what is still in flight when its time is over: one part being read and
# three being put, each with three attempts of a minute (the adapters' time-outs).
LEG_RESERVE_S = 240.0
SHORTEST_LEG_S = 5.0
# Completing some hundred files takes minutes as well, so what took long to copy is published in a fresh invocation.
LONG_COPY_S = 60.0


def run_rule(engine: Engine, context: RunContext, poll: Poll) -> Record:
    """Copy every backup of the rule's instance that the vault lacks; returns the run's report.

    Raises RunFailed at the end when any backup failed, and the error itself when the run could not be made at all.
    """
    steps = _Steps.over(context)
    began = engine.step("begin", steps.scan.begin)
    try:
        scan = engine.step("scan", partial(steps.scan.run, began))
        if "refused" in scan:
            return scan
        rule = Rule.from_record(scan["rule"])
        outcomes = _Run(engine, steps, poll, rule).copy_all([Ticket(*values) for values in scan["to_copy"]])
        report = engine.step("report", partial(steps.report.finish, began, rule, scan["decided"], outcomes))
    except (RuleGone, RuleChanged) as reason:
        return engine.step("report early end", partial(steps.report.end_early, began, reason))
    except RdbkeeperError as error:
        engine.step("report failure", partial(steps.report.report_failure, began, error))
        raise
    if report["failed"]:
        raise RunFailed(report["line"], hint="The log lines of this run tell the reason for each failed backup.")
    return report


@dataclass(frozen=True)
class _Steps:
    """What a run does. Each step is a plain function of the world and its arguments, and may be repeated."""

    scan: ScanStep
    export: ExportSteps
    copy: CopySteps
    report: ReportStep

    @classmethod
    def over(cls, context: RunContext) -> _Steps:
        backups = BackupList(context)
        return cls(ScanStep(context, backups), ExportSteps(context, backups), CopySteps(context), ReportStep(context))


@dataclass(frozen=True)
class _Run:
    engine: Engine
    steps: _Steps
    poll: Poll
    rule: Rule

    def copy_all(self, tickets: list[Ticket]) -> list[Outcome]:
        """Ask for all exports, then copy each as it becomes readable, the oldest of those first."""
        outcomes: list[Outcome] = []
        waiting: list[Export] = []
        for ticket in tickets:
            try:
                record = self.engine.step(
                    f"request export of {ticket.copy_id}", partial(self.steps.export.request, self.rule, ticket)
                )
                waiting.append(Export.from_record(ticket, record))
            except RdbkeeperError as error:
                outcomes.append(self._give_up(ticket, None, error))
        while waiting:
            settled = self._wait_for_exports(waiting)
            outcomes += [
                self._copy(export, settled[export.ticket.copy_id])
                for export in waiting
                if export.ticket.copy_id in settled
            ]
            waiting = [export for export in waiting if export.ticket.copy_id not in settled]
        return outcomes

    def _wait_for_exports(self, waiting: list[Export]) -> dict[str, RdbkeeperError | None]:
        """The copy ids whose files can be read (None) or will never be (why); at least one."""
        record = self.engine.wait_until(
            f"wait for {len(waiting)} exports", partial(self.steps.export.find_settled, self.rule, waiting), self.poll
        )
        ready: dict[str, RdbkeeperError | None] = dict.fromkeys(record["ready"])
        return ready | {copy_id: from_record(error) for copy_id, error in record["failed"].items()}

    def _copy(self, export: Export, export_error: RdbkeeperError | None) -> Outcome:
        """One backup's way from staged files to a published copy; a failure becomes its outcome."""
        ticket = export.ticket
        transfer: Transfer | None = None
        try:
            if export_error is not None:
                raise export_error
            plan = self.engine.step(
                f"open transfer of {ticket.copy_id}", partial(self.steps.copy.open, self.rule, export)
            )
            transfer = Transfer.from_plan_record(plan, self.rule.place.path, ticket.copy_id)
            transfer, seconds = self._copy_legs(ticket, transfer)
            if find_rejected(transfer):
                transfer = self._replace_fragments(ticket, transfer)
                transfer, more_seconds = self._copy_legs(ticket, transfer)
                seconds += more_seconds
            if seconds > LONG_COPY_S:
                self.engine.renew_invocation(f"renew before publishing {ticket.copy_id}")
            record = self.engine.step(
                f"publish {ticket.copy_id}", partial(self.steps.copy.publish, self.rule, export, transfer, seconds)
            )
            outcome = Outcome.from_record(record)
        except RdbkeeperError as error:
            outcome = self._give_up(ticket, transfer, error)
        self.engine.step(f"discard export of {ticket.copy_id}", partial(self.steps.export.discard, self.rule, export))
        return outcome

    def _copy_legs(self, ticket: Ticket, transfer: Transfer) -> tuple[Transfer, float]:
        seconds = 0.0
        while not transfer.is_done:
            name = f"{ticket.copy_id} from part {transfer.parts_done + 1}"
            if transfer.parts_done:
                self.engine.renew_invocation(f"renew before {name}")
            leg = self.engine.step(f"copy {name}", partial(self._copy_leg, ticket, transfer))
            transfer = transfer.advance(leg["progress"])
            seconds += leg["seconds"]
        return transfer, seconds

    def _copy_leg(self, ticket: Ticket, transfer: Transfer) -> Record:
        budget_s = max(SHORTEST_LEG_S, self.engine.seconds_left() - LEG_RESERVE_S)
        return self.steps.copy.leg(self.rule, ticket, transfer, budget_s)

    def _replace_fragments(self, ticket: Ticket, transfer: Transfer) -> Transfer:
        uploads = self.engine.step(
            f"replace fragments of {ticket.copy_id}",
            partial(self.steps.copy.replace_fragments, self.rule, ticket, transfer),
        )
        return transfer.start_over(uploads)

    def _give_up(self, ticket: Ticket, transfer: Transfer | None, error: RdbkeeperError) -> Outcome:
        if isinstance(error, LeaseLost | RuleGone | RuleChanged):
            if transfer is not None:
                self.engine.step(
                    f"abandon {ticket.copy_id}", partial(self.steps.copy.abandon, self.rule, ticket, transfer)
                )
            raise error
        record = self.engine.step(
            f"give up {ticket.copy_id}", partial(self.steps.copy.give_up, self.rule, ticket, transfer, error)
        )
        return Outcome.from_record(record)
