"""The steps that copy one backup: open its uploads, move its files in legs, verify and publish, or give up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from rdbkeeper import __version__
from rdbkeeper.domain.backup import Consistency
from rdbkeeper.domain.catalog import Level, manifest_key
from rdbkeeper.domain.copy import Manifest, data_key, data_prefix
from rdbkeeper.domain.errors import BackupBusy, BackupGone, CopyTooSlow, LegNeverEnds, ObjectExists, RdbkeeperError
from rdbkeeper.domain.outcome import Outcome, Status, human_duration, human_size
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.transfer import FileTransfer, Piece, Transfer, part_size_bytes, smallest_part_bytes
from rdbkeeper.domain.vault import StoreSum
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.runs.context import RunContext, Ticket
from rdbkeeper.flows.runs.export import Export
from rdbkeeper.flows.runs.locks import lock_copy
from rdbkeeper.flows.runs.pace import Pace, lanes_under_cap, lasts_s
from rdbkeeper.flows.runs.publish import (
    check_all_shards,
    complete_files,
    complete_to_read_back,
    find_rejected,
    publish_manifest,
)
from rdbkeeper.flows.runs.transfer import PART_GRACE_S, LegPorts, copy_leg
from rdbkeeper.ports import Record, Upload, Vault

# The engine's own attempts at a step that fails, twice over.
MOST_LEG_ATTEMPTS = 10
# A leg leaves this much of its invocation for what is still in flight when its time is over: a part may be read for
# PART_GRACE_S more, and put in three attempts of 65 s (the adapters' time-outs).
LEG_RESERVE_S = PART_GRACE_S + 3 * 65.0 + 15.0
SHORTEST_LEG_S = 5.0
# Of the template's ExecutionTimeout of 24 hours; the rest is for exports, backups before this one, and publishing.
LONGEST_COPY_S = 16 * 3600.0


def leg_budget_s(seconds_left: float) -> float:
    """How long a leg may begin parts in an invocation that has that much time left."""
    return max(SHORTEST_LEG_S, seconds_left - LEG_RESERVE_S)


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
        self._give_up_other_uploads(rule, ticket, ())
        self._check_cap(rule, ticket, sum(staged.size_bytes for staged in staged_files))
        smallest = smallest_part_bytes(sum(staged.size_bytes for staged in staged_files), self.context.copying)
        files = []
        for staged in staged_files:
            part_bytes = part_size_bytes(staged.size_bytes, smallest)
            key = data_key(rule.place.path, ticket.copy_id, staged.shard.name)
            found = vault.find_object(key)
            if found is not None and found.size_bytes == staged.size_bytes:
                files.append(FileTransfer(staged, key, "", part_bytes, found.etag, found.crc64nvme))
                continue
            if found is not None:
                self._remove_fragment(rule, ticket, key, found.etag, "its length differs from the backup file's")
            files.append(FileTransfer(staged, key, self._open_upload(rule, vault, key), part_bytes))
        return Transfer(tuple(files), smallest).plan_record()

    def _check_cap(self, rule: Rule, ticket: Ticket, size_bytes: int) -> None:
        """Raise CopyTooSlow for what would be begun anew by each run and never ended."""
        seconds = lasts_s(size_bytes, rule.bandwidth_mbps)
        if seconds > LONGEST_COPY_S:
            needed_mbps = ceil(rule.bandwidth_mbps * seconds / LONGEST_COPY_S)
            raise CopyTooSlow(
                f"Copying {ticket.backup_id}, {human_size(size_bytes)}, at {rule.bandwidth_mbps} Mbit/s would take "
                f"{human_duration(seconds)}; a run has {human_duration(LONGEST_COPY_S)} for it.",
                hint=f"Raise the rule's bandwidth_mbps to {needed_mbps} at least.",
            )

    def _give_up_other_uploads(self, rule: Rule, ticket: Ticket, ours: Sequence[Upload]) -> None:
        """End what an earlier attempt at this copy has open, whether it came to put it down or not."""
        open_now = self.context.vault(rule).find_uploads(data_prefix(rule.place.path, ticket.copy_id))
        self.context.give_up_uploads(rule, [upload for upload in open_now if upload not in ours])

    def _open_upload(self, rule: Rule, vault: Vault, key: str) -> str:
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
        """Copy what is missing, for about `budget_s` seconds; the record holds what this leg added."""
        self._count_attempt(ticket, transfer)
        return self.share(rule, ticket, transfer, transfer.missing(), sandboxes=1, budget_s=budget_s)

    def share(
        self, rule: Rule, ticket: Ticket, transfer: Transfer, pieces: Sequence[Piece], sandboxes: int, budget_s: float
    ) -> Record:
        """Copy some pieces, as one of several `sandboxes` at work, for about `budget_s` seconds."""
        self.context.renew_lease()
        clock = self.context.clock
        ports = LegPorts(
            None if rule.is_live else self.context.source(rule),
            self.context.vault(rule),
            clock,
            Pace.of(rule.bandwidth_mbps, sandboxes, clock),
        )
        started = clock.monotonic()
        lanes = lanes_under_cap(
            rule.bandwidth_mbps,
            sandboxes,
            self.context.copying.lanes,
            max(file.part_size_bytes for file in transfer.files),
        )
        moved = copy_leg(transfer, pieces, ports, lanes, budget_s)
        seconds = clock.monotonic() - started
        after = transfer.advance(moved.progress)
        size_bytes = after.moved_bytes - transfer.moved_bytes
        self.context.log(ticket).info(
            "LegDone",
            f"Copied {human_size(size_bytes)} of {human_size(after.size_bytes)} in {human_duration(seconds)}.",
            size_bytes=size_bytes,
            seconds=round(seconds, 3),
        )
        if moved.cut_short is not None:
            self.context.log(ticket).warning(
                "LegCutShort", f"The next leg goes on: {moved.cut_short}", reason=moved.cut_short.code
            )
        return {"progress": moved.progress, "seconds": seconds}

    def tell_alone(self, ticket: Ticket, reason: RdbkeeperError) -> Record:
        """Log that one sandbox goes on with a backup that several were to copy."""
        self.context.log(ticket).warning(
            "CopiedAlone", f"{ticket.backup_id} is copied by this function alone, which takes longer: {reason}"
        )
        return {}

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
                hint="The function is killed while it copies, for its memory or its time: look at both in the Lambda "
                "console, and raise the stack's parameter RunMemoryMegabytes.",
            )

    def replace_fragments(self, rule: Rule, ticket: Ticket, transfer: Transfer, store_sum: StoreSum) -> Record:
        """Remove what was read again and must not be adopted, by exact key, and open uploads in its place.

        `store_sum` is what the store kept when the run began.
        """
        self.context.renew_lease()
        vault = self.context.vault(rule)
        self._give_up_other_uploads(rule, ticket, _uploads(transfer))
        uploads = {}
        for file in find_rejected(transfer, store_sum):
            self._remove_fragment(rule, ticket, file.key, file.found_etag, "cannot be shown to be whole")
            uploads[file.key] = self._open_upload(rule, vault, file.key)
        return uploads

    def complete(self, rule: Rule, export: Export, transfer: Transfer) -> Record:
        """Complete all uploads into a store that keeps no sums; the record says what to read back."""
        self.context.renew_lease()
        ticket = export.ticket
        self.context.check_still_wanted(rule)
        check_all_shards(export.backup, transfer)
        completed = complete_to_read_back(transfer, self.context.vault(rule), self.context.log(ticket))
        self.context.runs.forget_uploads(rule.name, _uploads(transfer))
        return completed

    def publish(self, rule: Rule, export: Export, transfer: Transfer, seconds: float) -> Record:
        """Verify all files, complete them, write the manifest, and lock what lies there where the vault says so."""
        self.context.renew_lease()
        self.context.check_still_wanted(rule)
        ticket, vault = export.ticket, self.context.vault(rule)
        check_all_shards(export.backup, transfer)
        files = complete_files(transfer, vault, self.context.log(ticket))
        self.context.renew_lease()
        manifest = publish_manifest(rule, export.backup, files, vault, self.context.clock, f"rdbkeeper {__version__}")
        lock_copy(rule, vault, manifest, manifest.copied_at, self.context.log(ticket))
        self._tidy_up(rule, ticket, _uploads(transfer), are_completed=True)
        outcome = Outcome(
            backup_id=ticket.backup_id,
            status=Status.COPIED,
            reason="Published",
            detail=". ".join(_remarks(manifest)),
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
        self._tidy_up(rule, ticket, _uploads(transfer) if transfer else [], are_completed=False)
        status = Status.POSTPONED if isinstance(error, BackupBusy) else Status.FAILED
        outcome = Outcome(ticket.backup_id, status, error.code, str(error), copy_id=ticket.copy_id)
        self.context.log_outcome(outcome)
        return outcome.as_record()

    def abandon(self, rule: Rule, ticket: Ticket, transfer: Transfer) -> Record:
        """Give up this run's own uploads when it may write nothing more; nobody else can be using them."""
        self.context.log(ticket).warning("TransferAbandoned", f"The transfer of {ticket.backup_id} is abandoned.")
        self._tidy_up(rule, ticket, _uploads(transfer), are_completed=False)
        return {}

    def _tidy_up(self, rule: Rule, ticket: Ticket, uploads: Sequence[Upload], *, are_completed: bool) -> None:
        """Leave nothing open and nothing on record; what cannot be done now is the next run's, and no failure."""
        try:
            if are_completed:
                self.context.runs.forget_uploads(rule.name, uploads)
            else:
                self.context.give_up_uploads(rule, uploads)
            # A request whose answer was lost is sent twice, and opens an upload that nobody knows.
            self._give_up_other_uploads(rule, ticket, uploads)
            self.context.runs.forget_attempts(rule.name, ticket.attempt)
        except RdbkeeperError as error:
            self.context.log(ticket).warning("TidyingLeft", f"The next run tidies up: {error}", reason=error.code)
        except Exception as error:  # noqa: BLE001 - what became of the backup stands; a defect here must not end the run
            report_defect(self.context.log(ticket), f"Tidying up after {ticket.backup_id}", error)


def _remarks(manifest: Manifest) -> list[str]:
    """Why a copy is unchecked, and how its data belong together, where that is not as in every ordinary one."""
    remarks = sorted({file.unchecked_reason for file in manifest.files} - {""})
    if manifest.consistency is Consistency.POINT_IN_TIME and not manifest.consistency_reason:
        return remarks
    return [*remarks, f"Consistency {manifest.consistency.value}: {manifest.consistency_reason}"]


def _uploads(transfer: Transfer) -> list[Upload]:
    return [Upload(file.key, file.upload_id) for file in transfer.files if file.upload_id]
