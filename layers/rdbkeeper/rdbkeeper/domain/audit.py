"""Audits: which copies are read again, and what is said of one that is not what its manifest says. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from rdbkeeper.domain.catalog import CatalogEntry
from rdbkeeper.domain.copy import CopiedFile, Manifest
from rdbkeeper.domain.documents import read_document, reading, write_document
from rdbkeeper.domain.moments import write_moment

DAMAGE_FORMAT = "rdbkeeper-damage/1"
# A copy of which everything is gone has a finding for each part; these tell enough.
MOST_FINDINGS = 20
# A timer fires a little earlier or later than a week after its last time, and a copy must not wait for another round.
DUE_MARGIN = timedelta(hours=1)

_FILE_NAME = re.compile(r"[^/\\]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CRC64 = re.compile(r"[0-9a-f]{16}")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Fault(StrEnum):
    """What can be wrong with a copy at rest."""

    MANIFEST = "manifest"
    MISSING_FILE = "missing file"
    WRONG_LENGTH = "wrong length"
    DAMAGED_PART = "damaged part"
    WRONG_SUM = "wrong sum"
    NO_RDB_FILE = "no rdb file"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a copy: `detail` is a sentence that names file, part and bytes.

    `part` counts from 1, `first_byte` and `last_byte` from 0, both included; all are 0 where no part is meant.
    """

    fault: Fault
    file: str
    detail: str
    part: int = 0
    first_byte: int = 0
    last_byte: int = 0

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "fault": self.fault.value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Finding:
        return cls(**{**record, "fault": Fault(record["fault"])})


@dataclass(frozen=True)
class Damage:
    """What an audit found wrong with a copy: the document that marks it. `run` is the run that found it first."""

    copy_id: str
    run: str
    found_at: datetime
    findings: tuple[Finding, ...]
    more_findings: int = 0

    def to_json(self) -> bytes:
        """The document: UTF-8 JSON, indented, for a person to read."""
        document = {
            "format": DAMAGE_FORMAT,
            "copy_id": self.copy_id,
            "run": self.run,
            "found_at": write_moment(self.found_at),
            "findings": [finding.as_record() for finding in self.findings],
            "more_findings": self.more_findings,
        }
        return write_document(document)

    @classmethod
    def from_json(cls, body: bytes, key: str) -> Damage:
        """The damage that `to_json` wrote. Raises ManifestUnreadable, naming `key`, for anything else."""
        hint = "Something other than rdbkeeper wrote or changed it. The next audit reads the whole copy again."
        with reading(f"the mark {key}", hint):
            document = read_document(body, DAMAGE_FORMAT)
            return cls(
                copy_id=document["copy_id"],
                run=document["run"],
                found_at=datetime.fromisoformat(document["found_at"]),
                findings=tuple(Finding.from_record(record) for record in document["findings"]),
                more_findings=int(document["more_findings"]),
            )


def choose(
    entries: Iterable[CatalogEntry],
    checks: Mapping[str, datetime],
    every_days: int | None,
    now: datetime,
    most: int,
) -> tuple[CatalogEntry, ...]:
    """The copies to read again, at most so many: the damaged ones, which may have been mended, then the longest unread.

    `checks` says when copies were last read; one that never was counts from when it was published, since it was
    verified then. With `every_days` those that were read within so many days are left out; None takes all.
    """
    latest = None if every_days is None else now - timedelta(days=every_days) + DUE_MARGIN
    due = [entry for entry in entries if entry.is_damaged or latest is None or _checked_at(entry, checks) <= latest]
    due.sort(key=lambda entry: (not entry.is_damaged, _checked_at(entry, checks), entry.copy_id))
    return tuple(due[:most])


def _checked_at(entry: CatalogEntry, checks: Mapping[str, datetime]) -> datetime:
    return max(checks.get(entry.copy_id, _LONG_AGO), entry.published_at or _LONG_AGO)


def find_gone(entries: Iterable[CatalogEntry], checks: Mapping[str, datetime]) -> tuple[str, ...]:
    """The ids of copies that were checked once and exist no more."""
    return tuple(sorted(checks.keys() - {entry.copy_id for entry in entries}))


def find_manifest_fault(manifest: Manifest, copy_id: str = "") -> Finding | None:
    """What keeps a copy from being checked by its manifest, or None: figures that cannot be, or another copy's id."""
    said = ""
    if copy_id and manifest.copy_id != copy_id:
        said = f"is named after {copy_id} and describes {manifest.copy_id}"
    elif not manifest.files:
        said = "names no file"
    elif len({file.name for file in manifest.files}) < len(manifest.files):
        said = "names a file twice"
    else:
        wrong = next((file for file in manifest.files if not _can_be_checked(file)), None)
        said = "" if wrong is None else f"says of the file {str(wrong.name)[:80]!r} what cannot be"
    return Finding(Fault.MANIFEST, "", f"The manifest {said}.") if said else None


def _can_be_checked(file: CopiedFile) -> bool:
    numbers = (file.size_bytes, file.part_size_bytes)
    if not all(type(number) is int for number in numbers) or file.size_bytes < 0 or file.part_size_bytes < 1:
        return False
    texts = (file.name, file.crc64, file.crc64nvme, *file.part_sha256)
    return (
        all(isinstance(text, str) for text in texts)
        and _FILE_NAME.fullmatch(file.name) is not None
        and (not file.crc64 or _CRC64.fullmatch(file.crc64) is not None)
        and _CRC64.fullmatch(file.crc64nvme) is not None
        and len(file.part_sha256) == file.part_count
        and all(_SHA256.fullmatch(part) for part in file.part_sha256)
    )


@dataclass(frozen=True)
class Tally:
    """What became of the copies that a run audited; `newly_damaged` are those that were whole so far.

    `unread` could not be read, which says nothing about them; `left` were due and have to wait for another run.
    """

    audited: int = 0
    damaged: int = 0
    newly_damaged: tuple[str, ...] = ()
    mended: int = 0
    unread: int = 0
    left: int = 0
    size_bytes: int = 0

    @property
    def has_failed(self) -> bool:
        """True for what somebody should be called for: damage that was not known, or not one copy that can be read."""
        return bool(self.newly_damaged) or (self.unread > 0 and self.audited == 0)

    @property
    def changed_marks(self) -> bool:
        """True when copies are counted otherwise after it than before."""
        return bool(self.newly_damaged) or self.mended > 0

    def notes(self) -> list[str]:
        """For the line that tells a run: `12 audited`, `1 damaged`; nothing where nothing was to be read."""
        if not (self.audited or self.unread):
            return []
        counts = ((self.damaged, "damaged"), (self.mended, "mended"), (self.unread, "could not be read"))
        return [f"{self.audited} audited", *(f"{count} {word}" for count, word in counts if count)]

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(**{name: count + vars(other)[name] for name, count in vars(self).items()})

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "newly_damaged": list(self.newly_damaged)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Tally:
        return cls(**{**record, "newly_damaged": tuple(record["newly_damaged"])})
