"""The steps that copy one backup: open its uploads, move its files in legs, verify and publish, or give up."""

from __future__ import annotations

from dataclasses import dataclass

from rdbkeeper import __version__
from rdbkeeper.domain.copy import Level, data_key, manifest_key
from rdbkeeper.domain.errors import BackupBusy, BackupGone, LegNeverEnds, ObjectExists, RdbkeeperError
from rdbkeeper.domain.outcome import Outcome, Status, human_duration, human_size
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.transfer import FileTransfer, Transfer
from rdbkeeper.flows.export import Export
from rdbkeeper.flows.publish import check_all_shards, complete_files, find_rejected, publish_manifest
from rdbkeeper.flows.run_context import RunContext, Ticket
from rdbkeeper.flows.transfer import copy_leg
from rdbkeeper.ports import Record, Upload, Vault

# The engine's own attempts at a step that fails, twice over.
MOST_LEG_ATTEMPTS = 10


@dataclass(frozen=True)
class CopySteps:
    """Brings one backup's staged files into the vault."""

    context: RunContext

    def open(self, rule: Rule, export: Export) -> Record:
        """Open an upload for each file, or plan to read again what lies there without a manifest."""
        self.context.renew_lease()
        vault = self.context.vault(rule)
        ticket = export.ticket
        staged_files = self.context.source(rule).find_staged_files(export.backup, ticket.attempt)
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
                files.append(FileTransfer(staged, key, "", found.etag, found.crc64nvme))
                continue
            if found is not None:
                self._remove_fragment(rule, ticket, key, found.etag, "its length differs from the backup file's")
            files.append(FileTransfer(staged, key, self._open_upload(rule, vault, key)))
        return Transfer(tuple(files)).plan_record()

    def _open_upload(self, rule: Rule, vault: Vault, key: str) -> str:
        abandoned = vault.find_uploads(key)
        for earlier in abandoned:
            vault.abort_upload(earlier)
        self.context.runs.forget_uploads(rule.name, abandoned)
        upload = vault.open_upload(key)
        self.context.runs.remember_uploads(rule.name, [upload])
        return upload.upload_id

    def _remove_fragment(self, rule: Rule, ticket: Ticket, key: str, etag: str, reason: str) -> None:
        """Remove data without a manifest by exact key; looks once more that there is none."""
        self.context.check_still_wanted(rule)
        vault = self.context.vault(rule)
        for level in Level:
            if vault.find_object(manifest_key(rule.place.path, ticket.copy_id, level)) is not None:
                raise ObjectExists(
                    f"{key} was to be replaced, but its copy has been published meanwhile.",
                    hint="Nothing was removed; the next run finds the copy.",
                )
        vault.remove_object(key, etag)
        self.context.log(ticket).warning(
            "FragmentRemoved",
            f"{key} was in the vault without a manifest and {reason}; it is copied again.",
            key=key,
        )

    def leg(self, rule: Rule, ticket: Ticket, transfer: Transfer, budget_s: float) -> Record:
        """Copy for about `budget_s` seconds; the record holds what this leg added."""
        self.context.renew_lease()
        self._count_attempt(ticket, transfer)
        started = self.context.clock.monotonic()
        after = copy_leg(transfer, self.context.source(rule), self.context.vault(rule), self.context.clock, budget_s)
        seconds = self.context.clock.monotonic() - started
        size_bytes = after.moved_bytes - transfer.moved_bytes
        self.context.log(ticket).info(
            "LegDone",
            f"Copied {human_size(size_bytes)} of {human_size(after.size_bytes)} in {human_duration(seconds)}.",
            size_bytes=size_bytes,
            seconds=round(seconds, 3),
        )
        return {"progress": after.progress_record(transfer), "seconds": seconds}

    def _count_attempt(self, ticket: Ticket, transfer: Transfer) -> None:
        """Raise LegNeverEnds when this leg has begun too often.

        An invocation that is killed, for its memory or its time, does not count as an attempt for the engine, which
        would repeat it, and bill it, until the execution's own time is over.
        """
        parts_done = transfer.parts_done
        attempts = self.context.runs.count_attempt(self.context.rule_name, ticket.attempt, parts_done)
        if attempts > MOST_LEG_ATTEMPTS:
            raise LegNeverEnds(
                f"Copying {ticket.backup_id} from part {parts_done + 1} on began {attempts - 1} times and never ended.",
                hint="The function is killed while it copies: look at its memory and duration in the Lambda console, "
                "and give it more memory by the stack's parameter.",
            )

    def replace_fragments(self, rule: Rule, ticket: Ticket, transfer: Transfer) -> Record:
        """Remove what was read again and must not be adopted, by exact key, and open uploads in its place."""
        self.context.renew_lease()
        vault = self.context.vault(rule)
        uploads = {}
        for file in find_rejected(transfer):
            self._remove_fragment(rule, ticket, file.key, file.found_etag, "cannot be shown to be whole")
            uploads[file.key] = self._open_upload(rule, vault, file.key)
        return uploads

    def publish(self, rule: Rule, export: Export, transfer: Transfer, seconds: float) -> Record:
        """Verify all files, complete them, write the manifest, and let go of the staged files."""
        self.context.renew_lease()
        self.context.check_still_wanted(rule)
        ticket, vault = export.ticket, self.context.vault(rule)
        check_all_shards(export.backup, transfer)
        files = complete_files(transfer, vault, self.context.log(ticket))
        self.context.renew_lease()
        manifest = publish_manifest(rule, export.backup, files, vault, self.context.clock, f"rdbkeeper {__version__}")
        self.context.runs.forget_uploads(rule.name, _uploads(transfer))
        self.context.runs.forget_attempts(rule.name, ticket.attempt)
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
        self.context.log_outcome(outcome)
        return outcome.as_record()

    def give_up(self, rule: Rule, ticket: Ticket, transfer: Transfer | None, error: RdbkeeperError) -> Record:
        """Turn a failure into this backup's outcome; its uploads are given up, so that nothing is left open."""
        self.context.give_up_uploads(rule, _uploads(transfer) if transfer else [])
        self.context.runs.forget_attempts(rule.name, ticket.attempt)
        status = Status.POSTPONED if isinstance(error, BackupBusy) else Status.FAILED
        outcome = Outcome(ticket.backup_id, status, error.code, str(error), copy_id=ticket.copy_id)
        self.context.log_outcome(outcome)
        return outcome.as_record()

    def abandon(self, rule: Rule, ticket: Ticket, transfer: Transfer) -> Record:
        """Give up this run's own uploads when it may write nothing more; nobody else can be using them."""
        self.context.log(ticket).warning("TransferAbandoned", f"The transfer of {ticket.backup_id} is abandoned.")
        self.context.give_up_uploads(rule, _uploads(transfer))
        return {}


def _uploads(transfer: Transfer) -> list[Upload]:
    return [Upload(file.key, file.upload_id) for file in transfer.files if file.upload_id]
