"""The steps that make a backup's files readable, and let go of them afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rdbkeeper.domain.backup import Backup
from rdbkeeper.domain.errors import ExportTimedOut, RdbkeeperError
from rdbkeeper.domain.rule import Rule
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.runs.context import RunContext, Ticket
from rdbkeeper.flows.runs.scan import BackupList
from rdbkeeper.ports import Record

# Backups are copied oldest first, as the oldest will be the first to expire at its source; but one whose export hangs
# must not keep the others waiting for longer than this.
PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Export:
    """An export that was asked for.

    It keeps the backup as it was listed then, so that one that vanishes from the provider's list meanwhile is copied
    all the same.
    """

    ticket: Ticket
    backup: Backup
    asked_at: datetime

    def as_record(self) -> Record:
        return {"backup": self.backup.as_record(), "asked_at": self.asked_at.isoformat()}

    @classmethod
    def from_record(cls, ticket: Ticket, record: Record) -> Export:
        return cls(ticket, Backup.from_record(record["backup"]), datetime.fromisoformat(record["asked_at"]))


@dataclass(frozen=True)
class ExportSteps:
    """Asks for exports, looks for them, and discards them."""

    context: RunContext
    backups: BackupList

    def request(self, rule: Rule, ticket: Ticket) -> Record:
        """Ask for the backup's files; they become readable minutes later."""
        self.context.renew_lease()
        backup = self.backups.get(rule, ticket)
        self.context.source(rule).request_export(backup, ticket.attempt)
        self.context.log(ticket).info("ExportRequested", f"Asked for the files of {ticket.backup_id}.")
        return Export(ticket, backup, self.context.clock.now()).as_record()

    def discard_refused(self, rule: Rule, ticket: Ticket) -> Record:
        """Let go of what a request that was refused may have put down beforehand, such as a claim."""
        try:
            backup = self.backups.get(rule, ticket)
        except RdbkeeperError as error:
            self.context.log(ticket).warning(
                "StagedFilesLeft", f"What was staged stays for now, if anything: {error}", reason=error.code
            )
            return {}
        return self.discard(rule, Export(ticket, backup, self.context.clock.now()))

    def find_settled(self, rule: Rule, exports: Sequence[Export]) -> Record | None:
        """Which of the exports, given oldest first, can be read or have failed; None while there is to wait."""
        self.context.renew_lease()
        ready: list[str] = []
        failed: dict[str, Record] = {}
        for export in exports:
            try:
                if self._is_readable(rule, export):
                    ready.append(export.ticket.copy_id)
            except RdbkeeperError as error:
                failed[export.ticket.copy_id] = error.as_record()
            except Exception as error:  # noqa: BLE001 - a defect that one backup brings out must not end the others
                what = f"Looking for the files of {export.ticket.backup_id}"
                failed[export.ticket.copy_id] = report_defect(self.context.log(export.ticket), what, error).as_record()
        oldest = exports[0]
        if oldest.ticket.copy_id not in {*ready, *failed} and self.context.clock.now() - oldest.asked_at < PATIENCE:
            return None
        if not ready and not failed:
            return None
        return {"ready": ready, "failed": failed, "looked_at": self.context.clock.now().isoformat()}

    def _is_readable(self, rule: Rule, export: Export) -> bool:
        """Whether the files can be read; what a retry can help counts as "not yet". Raises what it cannot."""
        reason = "is not there yet"
        try:
            if self.context.source(rule).find_staged_files(export.backup, export.ticket.attempt) is not None:
                return True
        except RdbkeeperError as error:
            if not error.retryable:
                raise
            reason = f"could not be looked at ({error.code})"
        waited = self.context.clock.now() - export.asked_at
        if waited > self.context.export_timeout:
            raise ExportTimedOut(
                f"The export of {export.ticket.backup_id} was asked for {waited.total_seconds() / 60:,.0f} minutes ago "
                f"and {reason}.",
                hint="The next run asks again. If it repeats, look at the backup's state in the provider's console, or "
                "raise the stack's parameter ExportTimeoutMinutes.",
            )
        return False

    def discard(self, rule: Rule, export: Export) -> Record:
        """Remove the staged files. A provider that will not is left to the staging bucket's lifecycle rule."""
        try:
            self.context.source(rule).discard_export(export.backup, export.ticket.attempt)
        except RdbkeeperError as error:
            self.context.log(export.ticket).warning(
                "StagedFilesLeft", f"The staged files stay for now: {error}", reason=error.code
            )
        except Exception as error:  # noqa: BLE001 - the copy is published; a defect here must not end the whole run
            report_defect(
                self.context.log(export.ticket), f"Removing the staged files of {export.ticket.backup_id}", error
            )
        return {}
