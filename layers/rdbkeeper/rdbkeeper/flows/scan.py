"""The first step of a run: take the lease, tidy up, and decide what to copy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime

from rdbkeeper.domain.backup import Backup, Instance
from rdbkeeper.domain.errors import BackupGone, InstanceNotFound
from rdbkeeper.domain.outcome import count_statuses
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.selection import select
from rdbkeeper.domain.status import (
    POSTPONING,
    Block,
    RunReport,
    RunState,
    block_for_missing_instance,
    find_instance_block,
    owe_run,
)
from rdbkeeper.flows.run_context import RunContext, Ticket, run_id_of
from rdbkeeper.ports import Record

# The run that held the lease is the last one, or close to it.
RUNS_LOOKED_THROUGH = 20


@dataclass
class BackupList:
    """The backups of the rule's instance, listed once in an invocation: the steps of one share what it read."""

    context: RunContext
    _by_copy_id: dict[str, Backup] = field(default_factory=dict, init=False)

    def read(self, rule: Rule, instance: Instance) -> list[Backup]:
        """List every backup of the instance, in any state."""
        backups = self.context.source(rule).backups(instance)
        self._by_copy_id = {backup.copy_id: backup for backup in backups if backup.taken_at is not None}
        return backups

    def get(self, rule: Rule, ticket: Ticket) -> Backup:
        """The ticket's backup; in a fresh invocation the list is read again. Raises BackupGone."""
        if ticket.copy_id not in self._by_copy_id:
            self.read(rule, self._get_instance(rule))
        if ticket.copy_id not in self._by_copy_id:
            raise BackupGone(
                f"The backup {ticket.backup_id} of {rule.instance} is no longer in the provider's list.",
                hint="It was deleted or has expired at the source before it could be copied.",
            )
        return self._by_copy_id[ticket.copy_id]

    def _get_instance(self, rule: Rule) -> Instance:
        instance = self.context.source(rule).find_instance(rule.instance)
        if instance is None:
            raise InstanceNotFound(
                f"The instance {rule.instance} went away while its backups were being copied.",
                hint="If it was deleted, its automatic backups went with it and the copies stay.",
            )
        return instance


@dataclass(frozen=True)
class ScanStep:
    """Finds out what there is to copy."""

    context: RunContext
    backups: BackupList

    def begin(self) -> Record:
        """Note when the run began, so that every report of it says the same."""
        return {"started_at": self.context.clock.now().replace(microsecond=0).isoformat()}

    def run(self, began: Record) -> Record:
        """Take the lease, tidy up after a run that was cut off, and decide what to copy, with reasons."""
        rule = self.context.find_wanted_rule()
        if rule is None:
            return self._refuse(
                "RuleGone", f"There is no rule {self.context.rule_name} any more, so nothing is copied."
            )
        if rule.state is RuleState.PAUSED and not self.context.on_request:
            return self._refuse("RulePaused", f"The rule {rule.name} is paused, so nothing is copied.")
        if not self._take_lease():
            return self._refuse("RunIsGoing", "Another run of this rule is going, so this one does nothing.")
        self.context.journal.info("RunStarted", f"Scanning the backups of {rule.instance}.")
        report = RunReport(self.context.run_id, datetime.fromisoformat(began["started_at"]), RunState.GOING)
        self.context.runs.record_run(rule.name, report)
        instance = self.context.source(rule).find_instance(rule.instance)
        if instance is None:
            return self._postpone(rule, report, block_for_missing_instance(rule))
        block = find_instance_block(rule, instance)
        if block is not None and block.code in POSTPONING:
            return self._postpone(rule, report, block)
        for upload in self.context.give_up_uploads(rule, self.context.runs.remembered_uploads(rule.name)):
            self.context.journal.warning("UploadAborted", f"An upload of {upload.key} was left open; it is given up.")
        backups = self.backups.read(rule, instance)
        selection = select(backups, self.context.vault(rule).catalog(rule.place.path))
        self.context.rules.record_block(rule.name, block)
        for outcome in selection.decided:
            self.context.log_outcome(outcome)
        return {
            "rule": rule.as_record(),
            "to_copy": [[backup.copy_id, backup.backup_id, self._attempt(backup)] for backup in selection.to_copy],
            "decided": count_statuses(selection.decided),
        }

    def _postpone(self, rule: Rule, report: RunReport, block: Block) -> Record:
        """Put the run off: there is nothing that it could do. Reconciling starts another when the cause is gone."""
        line = f"{rule.name}: put off: {block.message}"
        self.context.journal.warning("RunPostponed", f"{line} Hint: {block.hint}", reason=block.code)
        self.context.rules.record_block(rule.name, owe_run(block))
        ended = replace(report, state=RunState.POSTPONED, line=line, ended_at=self.context.clock.now())
        self.context.runs.record_run(rule.name, ended)
        self.context.runs.free_lease(rule.name, self.context.execution)
        return {"refused": block.code, "message": block.message}

    def _refuse(self, code: str, message: str) -> Record:
        self.context.journal.warning(code, message)
        return {"refused": code, "message": message}

    def _take_lease(self) -> bool:
        owner = self.context.runs.find_lease_owner(self.context.rule_name)
        if owner is not None and owner != self.context.execution:
            if not self.context.executions.has_ended(owner):
                return False
            self.context.journal.warning("LeaseTakenOver", "The run that held the lease has ended without freeing it.")
            self._close_report_of(owner)
        return self.context.runs.take_lease(
            self.context.rule_name, self.context.execution, owner, self.context.clock.now()
        )

    def _close_report_of(self, execution: str) -> None:
        """Put down the end of a run that was killed before it could do so itself."""
        run = run_id_of(execution)
        page = self.context.runs.history(self.context.rule_name, "", RUNS_LOOKED_THROUGH)
        for report in page.runs:
            if report.run == run and report.state is RunState.GOING:
                line = f"{self.context.rule_name}: the run was stopped or killed before its end"
                ended = replace(report, state=RunState.FAILED, line=line, ended_at=self.context.clock.now())
                self.context.runs.record_run(self.context.rule_name, ended)

    def _attempt(self, backup: Backup) -> str:
        """A name that no other run and no other backup uses, and that a repeat of this step finds again."""
        return hashlib.sha256(f"{self.context.execution}\n{backup.copy_id}".encode()).hexdigest()[:16]
