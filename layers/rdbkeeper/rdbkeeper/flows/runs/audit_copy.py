"""Audits one copy: reads it against its manifest, and puts down what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rdbkeeper.domain.audit import Damage, Fault, Finding, Tally, find_manifest_fault
from rdbkeeper.domain.catalog import CatalogEntry, Mark, manifest_key, mark_key
from rdbkeeper.domain.copy import Manifest
from rdbkeeper.domain.errors import CopyDamaged, ManifestUnreadable, ObjectExists, RdbkeeperError
from rdbkeeper.domain.outcome import human_size
from rdbkeeper.domain.rule import Rule
from rdbkeeper.flows.copies.check import CopyCheck, Position
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.flows.runs.pace import Pace, lanes_under_cap
from rdbkeeper.flows.runs.transfer import PART_GRACE_S
from rdbkeeper.ports import Vault


@dataclass(frozen=True)
class AuditedCopy:
    """What became of a copy in one leg: it is finished, or it stands at `progress`, stopped by `error` or by time.

    `has_no_room` is True when it was not begun because the run may not read as much.
    """

    is_finished: bool = False
    tally: Tally = field(default_factory=Tally)
    progress: Position | None = None
    error: RdbkeeperError | None = None
    has_no_room: bool = False


@dataclass
class CopyAuditor:
    """Audits copies of a rule, one after the other, until the moment `stop_at` of the monotonic clock."""

    context: RunContext
    rule: Rule
    stop_at: float
    vault: Vault = field(init=False)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.vault = self.context.vault(self.rule)
        self.pace = Pace.of(self.rule.bandwidth_mbps, 1, self.context.clock)

    def is_over(self) -> bool:
        """True when the leg's time is over."""
        return self.context.clock.monotonic() >= self.stop_at

    def go_on(self, entry: CatalogEntry, progress: Position | None, room_bytes: int | None) -> AuditedCopy:
        """Check a copy from where it stands, until it is judged or the time is over. Raises nothing of a store's."""
        try:
            return self._go_on(entry, progress, room_bytes)
        except RdbkeeperError as error:
            return AuditedCopy(progress=progress, error=error)

    def _go_on(self, entry: CatalogEntry, progress: Position | None, room_bytes: int | None) -> AuditedCopy:
        path = self.rule.place.path
        if self.vault.find_object(manifest_key(path, entry.copy_id, entry.level)) is None:
            return AuditedCopy(is_finished=True)  # removed meanwhile, which is no damage
        manifest = self._read_manifest(entry)
        if isinstance(manifest, Finding):
            return self._settle(entry, Position().found([manifest]), 0)
        if progress is None and room_bytes is not None and manifest.size_bytes > room_bytes:
            return AuditedCopy(has_no_room=True)
        check = self._check(manifest)
        if progress is None and entry.is_damaged and (known := self._find_known(check, entry)) is not None:
            return self._settle(entry, Position().found([known]), 0)
        return self._read(entry, check, progress or Position())

    def _read(self, entry: CatalogEntry, check: CopyCheck, position: Position) -> AuditedCopy:
        try:
            while not check.is_done(position):
                position = check.advance(position)
                if self.is_over() and not check.is_done(position):
                    return AuditedCopy(progress=position)
            return self._settle(entry, position, check.manifest.size_bytes)
        except RdbkeeperError as error:
            return AuditedCopy(progress=None if position == Position() else position, error=error)

    def _read_manifest(self, entry: CatalogEntry) -> Manifest | Finding:
        key = manifest_key(self.rule.place.path, entry.copy_id, entry.level)
        try:
            manifest = Manifest.from_json(self.vault.read_object(key), key)
        except ManifestUnreadable as error:
            return Finding(Fault.MANIFEST, "", error.message)
        return find_manifest_fault(manifest, entry.copy_id) or manifest

    def _check(self, manifest: Manifest) -> CopyCheck:
        copying, clock = self.context.copying, self.context.clock
        largest = max(file.part_size_bytes for file in manifest.files)
        lanes = lanes_under_cap(self.rule.bandwidth_mbps, 1, copying.lanes, largest)
        until = self.stop_at + PART_GRACE_S
        return CopyCheck(manifest, self.rule.place.path, self.vault, clock, self.pace, lanes, until)

    def _find_known(self, check: CopyCheck, entry: CatalogEntry) -> Finding | None:
        """The first of the faults that are known of a damaged copy, if it is there still: then no more is read."""
        key = mark_key(self.rule.place.path, Mark.DAMAGED, entry.copy_id)
        if self.vault.find_object(key) is None:
            return None
        try:
            damage = Damage.from_json(self.vault.read_object(key), key)
        except ManifestUnreadable:
            return None
        return next((finding for finding in damage.findings[:1] if check.is_still_there(finding)), None)

    def _settle(self, entry: CatalogEntry, position: Position, size_bytes: int) -> AuditedCopy:
        """Put down what was found: when the copy was read if it is whole, and a mark in the vault if it is not."""
        if position.findings:
            is_new = self._mark(entry, position)
            newly = (entry.copy_id,) if is_new else ()
            return AuditedCopy(
                is_finished=True, tally=Tally(audited=1, damaged=1, newly_damaged=newly, size_bytes=size_bytes)
            )
        if entry.is_damaged:
            self._remove_mark(entry)
        self.context.runs.record_check(self.rule.name, entry.copy_id, self.context.clock.now())
        self.context.journal.info(
            "CopyAudited", f"The copy {entry.copy_id} is whole: {human_size(size_bytes)}.", copy_id=entry.copy_id
        )
        tally = Tally(audited=1, mended=int(entry.is_damaged), size_bytes=size_bytes)
        return AuditedCopy(is_finished=True, tally=tally)

    def _mark(self, entry: CatalogEntry, position: Position) -> bool:
        """Mark a copy as damaged; True when this run is the first to find it so."""
        path, run = self.rule.place.path, self.context.run_id
        key = mark_key(path, Mark.DAMAGED, entry.copy_id)
        damage = Damage(entry.copy_id, run, self.context.clock.now(), position.findings, position.more_findings)
        self.context.renew_lease()
        try:
            self.vault.create_object(key, damage.to_json(), "application/json")
        except ObjectExists:
            if not self._is_own(key):
                self._tell(entry, position, "is damaged still")
                return False
        if self.vault.find_object(manifest_key(path, entry.copy_id, entry.level)) is None:
            self._remove_mark(entry)  # removed under our eyes: a later copy of the same backup must not bear its mark
            return False
        self._tell(entry, position, "is damaged")
        return True

    def _is_own(self, key: str) -> bool:
        """True for a mark of this run, which was killed, or got no answer, before it could say so."""
        try:
            return Damage.from_json(self.vault.read_object(key), key).run == self.context.run_id
        except ManifestUnreadable:
            return False

    def _tell(self, entry: CatalogEntry, position: Position, says: str) -> None:
        shown: list[Mapping[str, Any]] = [finding.as_record() for finding in position.findings]
        details = " ".join(finding.detail for finding in position.findings[:3])
        more = len(position.findings[3:]) + position.more_findings
        self.context.journal.error(
            CopyDamaged.__name__,
            f"The copy {entry.copy_id} {says}: {details}{f' And {more} more.' if more else ''} It is not counted as a "
            "copy any more; look at the objects' versions and at what else writes to the bucket.",
            copy_id=entry.copy_id,
            findings=shown[:3],
        )

    def _remove_mark(self, entry: CatalogEntry) -> None:
        key = mark_key(self.rule.place.path, Mark.DAMAGED, entry.copy_id)
        found = self.vault.find_object(key)
        if found is not None:
            self.vault.remove_object(key, found.etag)
            self.context.journal.warning(
                "CopyMended", f"The mark of damage of {entry.copy_id} is taken away.", copy_id=entry.copy_id
            )
