"""One run of a rule: take the lease, scan, export, copy, verify, publish, retain, report, hand over what is left.

This is the order of the steps and nothing else. It is replayed after a crash, so between the steps it only computes
from their results.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from rdbkeeper.domain.backup import Backup
from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import LeaseLost, RdbkeeperError, RuleChanged, RuleGone, RunFailed
from rdbkeeper.domain.outcome import Outcome, Status, has_failed
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.transfer import Transfer
from rdbkeeper.domain.vault import StoreSum
from rdbkeeper.flows.runs.clean_up import CleanUp
from rdbkeeper.flows.runs.context import RunContext, Ticket
from rdbkeeper.flows.runs.copy import CopySteps
from rdbkeeper.flows.runs.export import Export, ExportSteps
from rdbkeeper.flows.runs.hand_over import HandOverStep, has_room
from rdbkeeper.flows.runs.lease import LeaseStep
from rdbkeeper.flows.runs.legs import Legs
from rdbkeeper.flows.runs.publish import find_rejected
from rdbkeeper.flows.runs.report import ReportStep
from rdbkeeper.flows.runs.retain import RetainStep, retain_copies
from rdbkeeper.flows.runs.scan import BackupList, ScanStep
from rdbkeeper.ports import Engine, Poll, Record

LEASE_POLL = Poll(60, 120)
_SEE_LOG = "The log lines of this run tell the reason for each failed backup."


def run_rule(engine: Engine, context: RunContext, poll: Poll) -> Record:
    """Copy every backup of the rule's instance that the vault lacks; returns the run's report.

    Raises RunFailed at the end when any backup failed, and the error itself when the run could not be made at all.
    """
    steps = _Steps.over(context)
    began = engine.step("begin", steps.scan.begin)
    missed: list[Outcome] = []
    try:
        lease = _take_lease(engine, steps.lease)
        if "refused" in lease:
            return lease
        if context.request.audits:
            return _audit_on_request(engine, context, began)
        if "backs_up" in lease:
            missed = _make_backup_first(engine, context, began, poll)
        scan = engine.step("scan", partial(steps.scan.run, began, missed))
        if "refused" in scan:
            return _end_early(scan, missed)
        rule = Rule.from_record(scan["rule"])
        run = _Run(engine, context, steps, poll, rule, began, StoreSum(scan["store_sum"]))
        tried, left = run.copy_all([Ticket(*values) for values in scan["to_copy"]], scan["live"])
        if scan["made"] or "backs_up" in lease:
            _remove_made_backups(engine, context, rule, tried, scan["made_to_copy"])
        is_whole = not left and not scan["is_full"]
        # What follows would be done by the run that follows as well.
        is_last = is_whole or not context.request.may_hand_over
        retained = run.retain(scan, tried) if is_last else None
        audited = _audit_if_due(engine, context, rule, began) if is_last and rule.audit_every_days else None
        tickets = [export.ticket for export in left]
        outcomes = [*missed, *tried]
        finish = partial(steps.report.finish, began, rule, scan, outcomes, tickets, retained, audited)
        report = engine.step("report", finish)
    except (RuleGone, RuleChanged) as reason:
        ended = engine.step("report early end", partial(steps.report.end_early, began, reason, missed))
        return _end_early(ended, missed)
    except RunFailed:
        raise  # which has been reported
    except RdbkeeperError as error:
        engine.step("report failure", partial(steps.report.report_failure, began, error, missed))
        raise
    if not is_whole:
        is_followed = context.request.may_hand_over and _hand_over(engine, steps.hand_over, tried)
        if not is_followed:
            run.discard(left)
    if report["failed"]:
        raise RunFailed(report["line"], hint=_SEE_LOG)
    return report


def _end_early(refused: Record, missed: list[Outcome]) -> Record:
    """What a run answers that is put off. Raises RunFailed where something had gone wrong: writes may be frozen."""
    if has_failed(missed):
        raise RunFailed(refused["message"], hint=_SEE_LOG)
    return refused


def _take_lease(engine: Engine, step: LeaseStep) -> Record:
    lease = engine.step("take the lease", step.take)
    if "cooling" in lease:
        lease = engine.wait_until("wait for the run before to be over", step.take_once_cold, LEASE_POLL)
    return lease


# What reads copies again, has backups made, or reads servers, is loaded where it is used: most runs do none of it, and
# each start would take longer.


def _audit_on_request(engine: Engine, context: RunContext, began: Record) -> Record:
    from rdbkeeper.flows.runs.audit_run import audit_on_request

    return audit_on_request(engine, context, began)


def _audit_if_due(engine: Engine, context: RunContext, rule: Rule, began: Record) -> Record | None:
    from rdbkeeper.flows.runs.audit_run import audit_if_due

    return audit_if_due(engine, context, rule, datetime.fromisoformat(began["started_at"]))


def _make_backup_first(engine: Engine, context: RunContext, began: Record, poll: Poll) -> list[Outcome]:
    from rdbkeeper.flows.runs.asking import BackupFirstSteps
    from rdbkeeper.flows.runs.backup_first import make_backup_first

    return make_backup_first(engine, BackupFirstSteps.over(context), began, poll)


def _remove_made_backups(
    engine: Engine, context: RunContext, rule: Rule, tried: list[Outcome], to_copy: list[str]
) -> None:
    from rdbkeeper.flows.runs.made_backups import RemoveMadeBackups

    engine.step("remove backups that were made", partial(RemoveMadeBackups(context).run, rule, tried, to_copy))


def _copy_live(
    engine: Engine, context: RunContext, rule: Rule, ticket: Ticket, backup: Backup
) -> tuple[Export, Transfer, float]:
    from rdbkeeper.flows.runs.live import LiveSteps, copy_live

    return copy_live(engine, LiveSteps(context), rule, ticket, backup)


def _hand_over(engine: Engine, step: HandOverStep, tried: list[Outcome]) -> bool:
    """Whether a run follows."""
    try:
        engine.step("hand over", partial(step.start, tried))
    except RdbkeeperError as error:
        engine.step("tell that no run follows", partial(step.tell_failure, error))
        return False
    return True


@dataclass(frozen=True)
class _Steps:
    """What a run does. Each step is a plain function of the world and its arguments, and may be repeated."""

    lease: LeaseStep
    scan: ScanStep
    export: ExportSteps
    copy: CopySteps
    retain: RetainStep
    report: ReportStep
    hand_over: HandOverStep

    @classmethod
    def over(cls, context: RunContext) -> _Steps:
        backups = BackupList(context)
        return cls(
            LeaseStep(context),
            ScanStep(context, backups, CleanUp(context)),
            ExportSteps(context, backups),
            CopySteps(context),
            RetainStep(context),
            ReportStep(context),
            HandOverStep(context),
        )


@dataclass
class _Run:
    engine: Engine
    context: RunContext
    steps: _Steps
    poll: Poll
    rule: Rule
    began: Record
    store_sum: StoreSum
    # When exports were last looked at, and the seconds of copying since: the time, as far as results tell it.
    _looked_at: str = field(init=False)
    _copied_s: float = 0.0
    _has_copied: bool = False

    def __post_init__(self) -> None:
        self._looked_at = self.began["started_at"]

    @property
    def _began_at(self) -> datetime:
        return datetime.fromisoformat(self.began["started_at"])

    def copy_all(self, tickets: list[Ticket], live: Record | None) -> tuple[list[Outcome], list[Export]]:
        """Ask for all exports, then copy each as it becomes readable, the oldest of those first.

        `live` is the backup that this run takes itself of a server reached directly. Returns what became of those that
        were tried, and those that there was no room for, which a successor takes.
        """
        if live is not None:
            return [self._copy_live(tickets[0], Backup.from_record(live))], []
        tried: list[Outcome] = []
        waiting: list[Export] = []
        for ticket in tickets:
            try:
                record = self.engine.step(
                    f"request export of {ticket.copy_id}", partial(self.steps.export.request, self.rule, ticket)
                )
                waiting.append(Export.from_record(ticket, record))
            except RdbkeeperError as error:
                tried.append(self._give_up(ticket, None, error))
                self._discard_refused(ticket, error)
        while waiting and self._has_room():
            settled = self._wait_for_exports(waiting)
            for export in [export for export in waiting if export.ticket.copy_id in settled]:
                if self._has_room():
                    tried.append(self._copy(export, settled[export.ticket.copy_id]))
                    waiting.remove(export)
        return tried, waiting

    def retain(self, scan: Record, tried: list[Outcome]) -> Record | None:
        """What retention did, and what it found in the vault; None where there was nothing to do.

        Copies that this run has made may let others go, or be kept in their stead: then all is decided anew.
        """
        has_copied = any(outcome.status is Status.COPIED for outcome in tried)
        may_remove = not any(one.keeps_everything for one in self.rule.retentions_in_force(self._began_at))
        if scan["retains"] or (has_copied and may_remove):
            return retain_copies(self.engine, self.steps.retain, self.rule, scan["listed"])
        return None

    def _has_room(self) -> bool:
        if not self._has_copied:
            return True  # so that a chain of runs comes on, however much each has to do beforehand
        looked_after = datetime.fromisoformat(self._looked_at) - self._began_at
        return has_room(self.engine, looked_after + timedelta(seconds=self._copied_s))

    def _wait_for_exports(self, waiting: list[Export]) -> dict[str, RdbkeeperError | None]:
        """The copy ids whose files can be read (None) or will never be (why); at least one."""
        record = self.engine.wait_until(
            f"wait for {len(waiting)} exports", partial(self.steps.export.find_settled, self.rule, waiting), self.poll
        )
        self._looked_at, self._copied_s = record["looked_at"], 0.0
        ready: dict[str, RdbkeeperError | None] = dict.fromkeys(record["ready"])
        return ready | {copy_id: from_record(error) for copy_id, error in record["failed"].items()}

    def _copy(self, export: Export, export_error: RdbkeeperError | None) -> Outcome:
        """One backup's way from staged files to a published copy; a failure becomes its outcome."""
        ticket = export.ticket
        transfer: Transfer | None = None
        legs = Legs(self.engine, self.steps.copy, self.rule, ticket)
        try:
            if export_error is not None:
                raise export_error
            transfer = legs.open(export)
            moved = legs.copy(transfer)
            if find_rejected(moved, self.store_sum):
                transfer = self._replace_fragments(ticket, moved)
                moved = legs.copy(transfer)
            outcome = self._publish(legs, export, moved)
        except RdbkeeperError as error:
            outcome = self._give_up(ticket, transfer, error)
        self._copied_s += legs.seconds
        self._has_copied = True
        self.discard([export])
        return outcome

    def _copy_live(self, ticket: Ticket, backup: Backup) -> Outcome:
        """A server's way from its streams to a published copy; a failure becomes its outcome."""
        transfer: Transfer | None = None
        try:
            export, transfer, seconds = _copy_live(self.engine, self.context, self.rule, ticket, backup)
            legs = Legs(self.engine, self.steps.copy, self.rule, ticket)
            return self._publish(legs, export, transfer, seconds)
        except RdbkeeperError as error:
            return self._give_up(ticket, transfer, error)

    def _publish(self, legs: Legs, export: Export, moved: Transfer, seconds_before: float = 0.0) -> Outcome:
        """Read back what the store keeps no sums of, and publish; `seconds_before` went by before the legs."""
        if self.store_sum is StoreSum.NONE:
            moved = legs.copy(self._complete_to_read_back(legs, export, moved))
        seconds = seconds_before + legs.seconds
        legs.make_time_to_publish()
        record = self.engine.step(
            f"publish {export.ticket.copy_id}", partial(self.steps.copy.publish, self.rule, export, moved, seconds)
        )
        return Outcome.from_record(record)

    def discard(self, exports: list[Export]) -> None:
        """Let go of what was staged."""
        for export in exports:
            name = f"discard export of {export.ticket.copy_id}"
            self.engine.step(name, partial(self.steps.export.discard, self.rule, export))

    def _discard_refused(self, ticket: Ticket, error: RdbkeeperError) -> None:
        """Let go of what was put down for a request that was refused; one that may go through yet keeps it."""
        if not error.retryable:
            name = f"discard request of {ticket.copy_id}"
            self.engine.step(name, partial(self.steps.export.discard_refused, self.rule, ticket))

    def _complete_to_read_back(self, legs: Legs, export: Export, moved: Transfer) -> Transfer:
        """Only reading proves what a store holds that keeps no sums: each file is copied back in legs of its own."""
        legs.make_time_to_publish()
        completed = self.engine.step(
            f"complete {export.ticket.copy_id}", partial(self.steps.copy.complete, self.rule, export, moved)
        )
        return moved.read_back(completed)

    def _replace_fragments(self, ticket: Ticket, transfer: Transfer) -> Transfer:
        uploads = self.engine.step(
            f"replace fragments of {ticket.copy_id}",
            partial(self.steps.copy.replace_fragments, self.rule, ticket, transfer, self.store_sum),
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
