"""The first step of a run: take the lease, tidy up, and decide what to copy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from rdbkeeper.domain.backup import Backup
from rdbkeeper.domain.errors import BackupGone, InstanceNotFound
from rdbkeeper.domain.outcome import count_statuses
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.selection import select
from rdbkeeper.flows.run_context import RunContext, Ticket
from rdbkeeper.ports import Record


@dataclass
class BackupList:
    """The backups of the rule's instance, listed once in an invocation: the steps of one share what it read."""

    context: RunContext
    _by_copy_id: dict[str, Backup] = field(default_factory=dict, init=False)

    def read(self, rule: Rule) -> list[Backup]:
        """List every backup of the instance, in any state. Raises InstanceNotFound."""
        source = self.context.source(rule)
        instance = source.find_instance(rule.instance)
        if instance is None:
            raise InstanceNotFound(
                f"Looking for the instance {rule.instance} found none of that name in this region.",
                hint="If it was deleted, its backups are gone with it and the copies stay; delete the rule.",
            )
        backups = source.backups(instance)
        self._by_copy_id = {backup.copy_id: backup for backup in backups if backup.taken_at is not None}
        return backups

    def get(self, rule: Rule, ticket: Ticket) -> Backup:
        """The ticket's backup; in a fresh invocation the list is read again. Raises BackupGone."""
        if ticket.copy_id not in self._by_copy_id:
            self.read(rule)
        if ticket.copy_id not in self._by_copy_id:
            raise BackupGone(
                f"The backup {ticket.backup_id} of {rule.instance} is no longer in the provider's list.",
                hint="It was deleted or has expired at the source before it could be copied.",
            )
        return self._by_copy_id[ticket.copy_id]


@dataclass(frozen=True)
class ScanStep:
    """Finds out what there is to copy."""

    context: RunContext
    backups: BackupList

    def run(self) -> Record:
        """Take the lease, tidy up after a run that was cut off, and decide what to copy, with reasons."""
        rule = self.context.find_wanted_rule()
        if rule is None:
            return self._refuse(
                "RuleGone", f"There is no rule {self.context.rule_name} any more, so nothing is copied."
            )
        if not self._take_lease():
            return self._refuse("RunIsGoing", "Another run of this rule is going, so this one does nothing.")
        self.context.journal.info("RunStarted", f"Scanning the backups of {rule.instance}.")
        for upload in self.context.give_up_uploads(rule, self.context.table.remembered_uploads(rule.name)):
            self.context.journal.warning("UploadAborted", f"An upload of {upload.key} was left open; it is given up.")
        selection = select(self.backups.read(rule), self.context.vault(rule).catalog(rule.place.path))
        for outcome in selection.decided:
            self.context.log_outcome(outcome)
        return {
            "rule": rule.as_record(),
            "to_copy": [[backup.copy_id, backup.backup_id, self._attempt(backup)] for backup in selection.to_copy],
            "decided": count_statuses(selection.decided),
        }

    def _refuse(self, code: str, message: str) -> Record:
        self.context.journal.warning(code, message)
        return {"refused": code, "message": message}

    def _take_lease(self) -> bool:
        owner = self.context.table.find_lease_owner(self.context.rule_name)
        if owner is not None and owner != self.context.execution:
            if not self.context.executions.has_ended(owner):
                return False
            self.context.journal.warning("LeaseTakenOver", "The run that held the lease has ended without freeing it.")
        return self.context.table.take_lease(
            self.context.rule_name, self.context.execution, owner, self.context.clock.now()
        )

    def _attempt(self, backup: Backup) -> str:
        """A name that no other run and no other backup uses, and that a repeat of this step finds again."""
        return hashlib.sha256(f"{self.context.execution}\n{backup.copy_id}".encode()).hexdigest()[:16]
