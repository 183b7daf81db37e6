"""The steps of a run. Each is a plain function of the world and its arguments, and may be repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rdbkeeper import __version__
from rdbkeeper.domain.backup import Backup
from rdbkeeper.domain.copy import data_key
from rdbkeeper.domain.errors import BackupGone, ExportTimedOut, InstanceNotFound, RdbkeeperError, RuleGone
from rdbkeeper.domain.outcome import Outcome, Status, describe, human_duration, human_size, report_line
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.selection import select
from rdbkeeper.domain.transfer import FileTransfer, Transfer
from rdbkeeper.flows.publish import complete_files, find_rejected, publish_manifest
from rdbkeeper.flows.transfer import copy_leg
from rdbkeeper.ports import Adapters, Clock, Executions, Journal, Record, RuleTable, Source, Upload, Vault

# Backups are copied oldest first, as the oldest will be the first to expire at its source; but one whose export hangs
# must not keep the others waiting for longer than this.
PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Ticket:
    """One backup to be copied in this run: its copy's id, its own id, and the name of this attempt at its export."""

    copy_id: str
    backup_id: str
    attempt: str


@dataclass
class RunSteps:
    """What a run does, over the ports. Holds nothing that a fresh invocation could not find out again."""

    rule_name: str
    execution: str
    table: RuleTable
    adapters: Adapters
    executions: Executions
    journal: Journal
    clock: Clock
    export_timeout: timedelta
    _backups: dict[str, Backup] = field(default_factory=dict, init=False)

    # ------------------------------------------------------------------ scan

    def scan(self) -> Record:
        """Take the lease, tidy up after a run that was cut off, and decide what to copy, with reasons."""
        rule = self.table.find_rule(self.rule_name)
        if rule is None or rule.state is RuleState.DELETING:
            return self._refuse("RuleGone", f"There is no rule {self.rule_name} any more, so nothing is copied.")
        if not self._take_lease():
            return self._refuse("RunIsGoing", "Another run of this rule is going, so this one does nothing.")
        self.journal.info("RunStarted", f"Scanning the backups of {rule.instance}.")
        self._give_up_uploads(rule)
        selection = select(self._list_backups(rule), self._vault(rule).catalog(rule.place.path))
        for outcome in selection.decided:
            self._log_outcome(outcome)
        return {
            "rule": rule.as_record(),
            "to_copy": [[backup.copy_id, backup.backup_id, self._attempt(backup)] for backup in selection.to_copy],
            "decided": [outcome.as_record() for outcome in selection.decided],
        }

    def _refuse(self, code: str, message: str) -> Record:
        self.journal.warning(code, message)
        return {"refused": code, "message": message}

    def _take_lease(self) -> bool:
        owner = self.table.find_lease_owner(self.rule_name)
        if owner is not None and owner != self.execution:
            if not self.executions.has_ended(owner):
                return False
            self.journal.warning("LeaseTakenOver", "The run that held the lease has ended without freeing it.")
        return self.table.take_lease(self.rule_name, self.execution, owner, self.clock.now())

    def _give_up_uploads(self, rule: Rule) -> None:
        vault = self._vault(rule)
        left_open = self.table.remembered_uploads(rule.name)
        for upload in left_open:
            vault.abort_upload(upload)
            self.journal.warning("UploadAborted", f"An upload of {upload.key} was left open; it is given up.")
        self.table.forget_uploads(rule.name, left_open)

    def _list_backups(self, rule: Rule) -> list[Backup]:
        source = self._source(rule)
        instance = source.find_instance(rule.instance)
        if instance is None:
            raise InstanceNotFound(
                f"Looking for the instance {rule.instance} found none of that name in this region.",
                hint="If it was deleted, its backups are gone with it and the copies stay; delete the rule.",
            )
        backups = source.backups(instance)
        self._backups = {backup.copy_id: backup for backup in backups if backup.taken_at is not None}
        return backups

    def _attempt(self, backup: Backup) -> str:
        """A name that no other run and no other backup uses, and that a repeat of this step finds again."""
        return hashlib.sha256(f"{self.execution}\n{backup.copy_id}".encode()).hexdigest()[:16]

    # ---------------------------------------------------------------- export

    def request_export(self, rule: Rule, ticket: Ticket) -> Record:
        """Ask for the backup's files; they become readable minutes later."""
        self._renew()
        self._source(rule).request_export(self._get_backup(rule, ticket), ticket.attempt)
        self._log(ticket).info("ExportRequested", f"Asked for the files of {ticket.backup_id}.")
        return {"asked_at": self.clock.now().isoformat()}

    def find_settled_exports(self, rule: Rule, asked: Sequence[tuple[Ticket, datetime]]) -> Record | None:
        """Which of the exports, given oldest first, can be read or have failed; None while there is to wait."""
        self._renew()
        ready: list[str] = []
        failed: dict[str, Record] = {}
        for ticket, asked_at in asked:
            try:
                if self._is_readable(rule, ticket, asked_at):
                    ready.append(ticket.copy_id)
            except RdbkeeperError as error:
                if not error.retryable:
                    failed[ticket.copy_id] = error.as_record()
        oldest, asked_at = asked[0]
        if oldest.copy_id not in {*ready, *failed} and self.clock.now() - asked_at < PATIENCE:
            return None
        return {"ready": ready, "failed": failed} if ready or failed else None

    def _is_readable(self, rule: Rule, ticket: Ticket, asked_at: datetime) -> bool:
        backup = self._get_backup(rule, ticket)
        if self._source(rule).find_staged_files(backup, ticket.attempt) is not None:
            return True
        waited = self.clock.now() - asked_at
        if waited > self.export_timeout:
            raise ExportTimedOut(
                f"The export of {ticket.backup_id} was asked for {waited.total_seconds() / 60:,.0f} minutes ago and is "
                "not there yet.",
                hint="The next run asks again. If it repeats, look at the backup's state in the provider's console.",
            )
        return False

    # ------------------------------------------------------------------ copy

    def open_transfer(self, rule: Rule, ticket: Ticket) -> Record:
        """Open an upload for each file, or plan to read again what lies there without a manifest."""
        self._renew()
        vault = self._vault(rule)
        staged_files = self._source(rule).find_staged_files(self._get_backup(rule, ticket), ticket.attempt)
        if staged_files is None:
            raise BackupGone(
                f"The staged files of {ticket.backup_id} were there and are gone.",
                hint="The staging bucket's lifecycle rule or a person removed them. The next run asks for them again.",
            )
        files = []
        for staged in staged_files:
            key = data_key(rule.place.path, ticket.copy_id, staged.shard.name)
            found = vault.find_object(key)
            if found is not None and found.size_bytes == staged.size_bytes:
                files.append(FileTransfer(staged, key, upload_id="", found_etag=found.etag))
                continue
            if found is not None:
                self._remove_fragment(vault, ticket, key, found.etag, "its length differs from the backup file's")
            files.append(FileTransfer(staged, key, self._open_upload(rule, vault, key)))
        return Transfer(tuple(files)).plan_record()

    def _open_upload(self, rule: Rule, vault: Vault, key: str) -> str:
        abandoned = vault.find_uploads(key)
        for earlier in abandoned:
            vault.abort_upload(earlier)
        self.table.forget_uploads(rule.name, abandoned)
        upload = vault.open_upload(key)
        self.table.remember_uploads(rule.name, [upload])
        return upload.upload_id

    def _remove_fragment(self, vault: Vault, ticket: Ticket, key: str, etag: str, reason: str) -> None:
        vault.remove_object(key, etag)
        self._log(ticket).warning(
            "FragmentRemoved",
            f"{key} was in the vault without a manifest and {reason}; it is copied again.",
            key=key,
        )

    def copy_leg(self, rule: Rule, ticket: Ticket, transfer: Transfer, budget_s: float) -> Record:
        """Copy for about `budget_s` seconds; the record holds what this leg added."""
        self._renew()
        started = self.clock.monotonic()
        after = copy_leg(transfer, self._source(rule), self._vault(rule), self.clock, budget_s)
        seconds = self.clock.monotonic() - started
        size_bytes = after.moved_bytes - transfer.moved_bytes
        self._log(ticket).info(
            "LegDone",
            f"Copied {human_size(size_bytes)} of {human_size(after.size_bytes)} in {human_duration(seconds)}.",
            size_bytes=size_bytes,
            seconds=round(seconds, 3),
        )
        return {"progress": after.progress_record(transfer), "seconds": seconds}

    def replace_fragments(self, rule: Rule, ticket: Ticket, transfer: Transfer) -> Record:
        """Remove what was read again and must not be adopted, by exact key, and open uploads in its place."""
        self._renew()
        vault = self._vault(rule)
        uploads = {}
        for file in find_rejected(transfer):
            self._remove_fragment(vault, ticket, file.key, file.found_etag, "cannot be shown to be whole")
            uploads[file.key] = self._open_upload(rule, vault, file.key)
        return uploads

    # --------------------------------------------------------------- publish

    def publish(self, rule: Rule, ticket: Ticket, transfer: Transfer, seconds: float) -> Record:
        """Verify all files, complete them, write the manifest, and let go of the staged files."""
        self._renew()
        self._check_rule_is_wanted()
        vault, journal = self._vault(rule), self._log(ticket)
        files = complete_files(transfer, vault, journal)
        manifest = publish_manifest(
            rule, self._get_backup(rule, ticket), files, vault, self.clock, f"rdbkeeper {__version__}"
        )
        self.table.forget_uploads(rule.name, _uploads(transfer))
        outcome = Outcome(
            backup_id=ticket.backup_id,
            status=Status.COPIED,
            reason="Published",
            detail=". ".join(sorted({file.unchecked_reason for file in files} - {""})),
            copy_id=ticket.copy_id,
            level=manifest.level.value,
            file_count=len(files),
            size_bytes=manifest.size_bytes,
            seconds=round(seconds, 3),
        )
        self._log_outcome(outcome)
        return outcome.as_record()

    def _check_rule_is_wanted(self) -> None:
        rule = self.table.find_rule(self.rule_name)
        if rule is None or rule.state is RuleState.DELETING:
            raise RuleGone(
                f"The rule {self.rule_name} was deleted while its run was going.",
                hint="Nothing more is copied.",
            )

    def discard_export(self, rule: Rule, ticket: Ticket) -> Record:
        """Remove the staged files. A provider that will not is left to the staging bucket's lifecycle rule."""
        try:
            self._source(rule).discard_export(self._get_backup(rule, ticket), ticket.attempt)
        except RdbkeeperError as error:
            self._log(ticket).warning("StagedFilesLeft", f"The staged files stay for now: {error}", reason=error.code)
        return {}

    def give_up(self, rule: Rule, ticket: Ticket, transfer: Transfer | None, error: RdbkeeperError) -> Record:
        """Turn a failure into this backup's outcome; its uploads are given up, so that nothing is left open."""
        uploads = _uploads(transfer) if transfer else []
        for upload in uploads:
            self._vault(rule).abort_upload(upload)
        self.table.forget_uploads(rule.name, uploads)
        status = Status.POSTPONED if error.code == "BackupBusy" else Status.FAILED
        outcome = Outcome(ticket.backup_id, status, error.code, str(error), copy_id=ticket.copy_id)
        self._log_outcome(outcome)
        return outcome.as_record()

    # ---------------------------------------------------------------- report

    def finish(self, rule: Rule, outcomes: Sequence[Outcome]) -> Record:
        """Log the one line that tells the run, and free the lease."""
        next_fire = next(rule.cycle.fire_times(self.clock.now()), None)
        line = report_line(rule.name, outcomes, next_fire, rule.cycle.time_zone)
        failed = sum(outcome.status is Status.FAILED for outcome in outcomes)
        write = self.journal.error if failed else self.journal.info
        write(
            "RunFinished",
            line,
            found=len(outcomes),
            copied=sum(outcome.status is Status.COPIED for outcome in outcomes),
            failed=failed,
            size_bytes=sum(outcome.size_bytes for outcome in outcomes),
        )
        self.table.free_lease(rule.name, self.execution)
        return {"line": line, "failed": failed}

    def report_failure(self, error: RdbkeeperError) -> Record:
        """Log that the run itself failed, and free the lease if it is this run's."""
        self.journal.error("RunFailed", f"{self.rule_name}: the run failed: {error}", reason=error.code)
        self.table.free_lease(self.rule_name, self.execution)
        return {}

    # --------------------------------------------------------------- private

    def _renew(self) -> None:
        self.table.renew_lease(self.rule_name, self.execution, self.clock.now())

    def _source(self, rule: Rule) -> Source:
        return self.adapters.source(rule.provider)

    def _vault(self, rule: Rule) -> Vault:
        return self.adapters.vault(rule.vault)

    def _get_backup(self, rule: Rule, ticket: Ticket) -> Backup:
        """The ticket's backup, listed again in a fresh invocation. Raises BackupGone."""
        if ticket.copy_id not in self._backups:
            self._list_backups(rule)
        if ticket.copy_id not in self._backups:
            raise BackupGone(
                f"The backup {ticket.backup_id} of {rule.instance} is no longer in the provider's list.",
                hint="It was deleted or has expired at the source before it could be copied.",
            )
        return self._backups[ticket.copy_id]

    def _log(self, ticket: Ticket) -> Journal:
        return self.journal.bind(backup=ticket.backup_id)

    def _log_outcome(self, outcome: Outcome) -> None:
        journal = self.journal.bind(backup=outcome.backup_id)
        write = journal.error if outcome.status is Status.FAILED else journal.info
        write(
            "BackupOutcome",
            describe(outcome),
            status=outcome.status.value,
            reason=outcome.reason,
            copy_id=outcome.copy_id,
            verification=outcome.level,
            files=outcome.file_count,
            size_bytes=outcome.size_bytes,
        )


def _uploads(transfer: Transfer) -> list[Upload]:
    return [Upload(file.key, file.upload_id) for file in transfer.files if file.upload_id]


def parse_time(text: str) -> datetime:
    """The aware time that a step wrote down."""
    return datetime.fromisoformat(text).astimezone(UTC)
