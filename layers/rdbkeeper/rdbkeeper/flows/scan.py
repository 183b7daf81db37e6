"""Decides what there is to copy, once the run has its rule to itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime

from rdbkeeper.domain.backup import Backup, Instance
from rdbkeeper.domain.copy import is_data_key
from rdbkeeper.domain.errors import BackupGone, InstanceNotFound
from rdbkeeper.domain.outcome import count_statuses
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.selection import leave, select
from rdbkeeper.domain.status import (
    POSTPONING,
    Block,
    RunReport,
    RunState,
    block_for_missing_instance,
    find_instance_block,
    find_kept_copies,
    owe_run,
)
from rdbkeeper.flows.run_context import RunContext, Ticket
from rdbkeeper.ports import Record


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
        """Tidy up after a run that was cut off, and decide what to copy, with reasons. Raises RuleGone, LeaseLost."""
        self.context.renew_lease()
        rule = self.context.get_wanted_rule()
        self.context.journal.info("RunStarted", f"Scanning the backups of {rule.instance}.")
        report = RunReport(self.context.run_id, datetime.fromisoformat(began["started_at"]), RunState.GOING)
        self.context.runs.record_run(rule.name, report)
        self._tidy_up(rule)
        instance = self.context.source(rule).find_instance(rule.instance)
        if instance is None:
            return self._postpone(rule, report, block_for_missing_instance(rule))
        block = find_instance_block(rule, instance)
        if block is not None and block.code in POSTPONING:
            return self._postpone(rule, report, block)
        backups = self.backups.read(rule, instance)
        catalog = self.context.vault(rule).catalog(rule.place.path).entries
        selection = select(backups, catalog, frozenset(self.context.request.tried))
        self.context.rules.record_block(rule.name, block)
        goes_on = self.context.request.may_hand_over
        left = [leave(backup.backup_id, backup.copy_id, to_successor=goes_on) for backup in selection.left]
        decided = [*selection.decided, *left]
        for outcome in decided:
            self.context.log_outcome(outcome)
        return {
            "rule": rule.as_record(),
            "to_copy": [self._ticket(backup).as_record() for backup in selection.to_copy],
            "is_full": bool(left),
            "decided": count_statuses(decided),
            "kept": find_kept_copies(rule.place.path, catalog).as_record(),
        }

    def _tidy_up(self, rule: Rule) -> None:
        """End what earlier runs left open: what they put down, and what they opened and did not come to put down."""
        path = rule.place.path
        listed = [upload for upload in self.context.vault(rule).find_uploads(path) if is_data_key(path, upload.key)]
        remembered = self.context.runs.remembered_uploads(rule.name)
        for upload in self.context.give_up_uploads(rule, list(dict.fromkeys([*remembered, *listed]))):
            self.context.journal.warning("UploadAborted", f"An upload of {upload.key} was left open; it is given up.")
        self.context.runs.forget_all_attempts(rule.name)

    def _postpone(self, rule: Rule, report: RunReport, block: Block) -> Record:
        """Put the run off: there is nothing that it could do. Reconciling starts another when the cause is gone."""
        line = f"{rule.name}: put off: {block.message}"
        self.context.journal.warning("RunPostponed", f"{line} Hint: {block.hint}", reason=block.code)
        self.context.rules.record_block(rule.name, owe_run(block))
        ended = replace(report, state=RunState.POSTPONED, line=line, ended_at=self.context.clock.now())
        self.context.runs.record_run(rule.name, ended)
        self.context.runs.free_lease(rule.name, self.context.execution)
        return {"refused": block.code, "message": block.message}

    def _ticket(self, backup: Backup) -> Ticket:
        """The attempt's name is one that no other chain and no other backup uses, and that a repeat finds again."""
        named_after = f"{self.context.chain}\n{backup.copy_id}"
        return Ticket(backup.copy_id, backup.backup_id, hashlib.sha256(named_after.encode()).hexdigest()[:16])
