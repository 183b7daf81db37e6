"""A copy: its keys in the vault, and its manifest, the document that makes it exist."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rdbkeeper.domain.backup import Backup, Consistency, EngineFacts
from rdbkeeper.domain.catalog import Level
from rdbkeeper.domain.documents import read_document, reading, write_document
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.parts import count_parts, find_part_range

_DATA_KEY = re.compile(r"[0-9]{8}T[0-9]{6}Z-[^/]+/[^/]+\.rdb")
MANIFEST_FORMAT = "rdbkeeper-manifest/1"


@dataclass(frozen=True)
class CopiedFile:
    """One file of a copy and what was found about it. Sums are hex; `unchecked_reason` is "" for a verified file."""

    name: str
    key: str
    slots: str
    size_bytes: int
    rdb_version: str
    crc64: str
    crc64nvme: str
    part_size_bytes: int
    part_sha256: tuple[str, ...]
    checks: tuple[str, ...]
    unchecked_reason: str

    @property
    def part_count(self) -> int:
        return count_parts(self.size_bytes, self.part_size_bytes)

    def part_range(self, number: int) -> tuple[int, int]:
        """The first byte and the length of part `number` (from 1)."""
        return find_part_range(self.size_bytes, self.part_size_bytes, number)

    def same_content(self, other: CopiedFile) -> bool:
        """True when both describe the same bytes under the same key."""
        return (self.key, self.size_bytes, self.crc64nvme) == (other.key, other.size_bytes, other.crc64nvme)


@dataclass(frozen=True)
class Manifest:
    """The document that describes one copy; written last, once.

    From it alone the copy can be checked and restored.
    """

    copy_id: str
    rule: str
    provider: str
    instance: str
    backup_id: str
    automatic: bool
    taken_at: datetime
    copied_at: datetime
    engine: EngineFacts
    files: tuple[CopiedFile, ...]
    made_by: str
    consistency: Consistency = Consistency.POINT_IN_TIME
    consistency_reason: str = ""

    @property
    def level(self) -> Level:
        return Level.UNCHECKED if any(file.unchecked_reason for file in self.files) else Level.VERIFIED

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def same_copy(self, other: Manifest) -> bool:
        """True when both manifests describe the same bytes of the same backup."""
        return (
            self.copy_id == other.copy_id
            and len(self.files) == len(other.files)
            and all(mine.same_content(theirs) for mine, theirs in zip(self.files, other.files, strict=True))
        )

    def to_json(self) -> bytes:
        """The document: UTF-8 JSON, indented, because at 3 a.m. a person reads it."""
        document = {
            "format": MANIFEST_FORMAT,
            "copy_id": self.copy_id,
            "level": self.level.value,
            "rule": self.rule,
            "source": {
                "provider": self.provider,
                "instance": self.instance,
                "backup_id": self.backup_id,
                "automatic": self.automatic,
                "taken_at": write_moment(self.taken_at),
            },
            "consistency": self.consistency.value,
            "consistency_reason": self.consistency_reason,
            "copied_at": write_moment(self.copied_at),
            "made_by": self.made_by,
            "size_bytes": self.size_bytes,
            "engine": self.engine.as_record(),
            "files": [dict(vars(file)) for file in self.files],
        }
        return write_document(document)

    @classmethod
    def from_json(cls, body: bytes, key: str) -> Manifest:
        """The manifest that `to_json` wrote. Raises ManifestUnreadable, naming `key`, for anything else."""
        hint = "Something other than rdbkeeper wrote or changed it; look at the object's versions."
        with reading(f"the manifest {key}", hint):
            document = read_document(body, MANIFEST_FORMAT)
            source = document["source"]
            return cls(
                copy_id=document["copy_id"],
                rule=document["rule"],
                provider=source["provider"],
                instance=source["instance"],
                backup_id=source["backup_id"],
                automatic=source["automatic"],
                taken_at=datetime.fromisoformat(source["taken_at"]),
                copied_at=datetime.fromisoformat(document["copied_at"]),
                engine=EngineFacts.from_record(document["engine"]),
                files=tuple(_read_file(record) for record in document["files"]),
                made_by=document["made_by"],
                # What was written before it was named came from providers' own backups.
                consistency=Consistency(document.get("consistency", Consistency.POINT_IN_TIME)),
                consistency_reason=document.get("consistency_reason", ""),
            )


def data_prefix(path: str, copy_id: str) -> str:
    """Where the data files of one copy lie."""
    return f"{path}{copy_id}/"


def data_key(path: str, copy_id: str, file_name: str) -> str:
    """The key of one data file; made of the backup's own facts, so that a repeat writes the same key."""
    return f"{data_prefix(path, copy_id)}{file_name}.rdb"


def is_data_key(path: str, key: str) -> bool:
    """True for a key that a data file of some copy at that place has."""
    return key.startswith(path) and _DATA_KEY.fullmatch(key.removeprefix(path)) is not None


def describe_copy(
    *, rule: str, backup: Backup, files: tuple[CopiedFile, ...], copied_at: datetime, made_by: str
) -> Manifest:
    """The manifest of a copy of `backup`, all of whose files are in the vault."""
    if backup.taken_at is None:
        raise ValueError(f"backup {backup.backup_id} has no time")
    return Manifest(
        copy_id=backup.copy_id,
        rule=rule,
        provider=backup.provider,
        instance=backup.instance,
        backup_id=backup.backup_id,
        automatic=backup.automatic,
        taken_at=backup.taken_at,
        copied_at=copied_at,
        engine=backup.engine,
        files=files,
        made_by=made_by,
        consistency=backup.consistency,
        consistency_reason=backup.consistency_reason,
    )


def _read_file(record: Mapping[str, Any]) -> CopiedFile:
    values = {**record, "part_sha256": tuple(record["part_sha256"]), "checks": tuple(record["checks"])}
    file = CopiedFile(**values)
    texts = (file.name, file.key, *file.part_sha256)
    if not all(isinstance(text, str) for text in texts) or not isinstance(file.size_bytes, int):
        raise TypeError("a file's name, key, sums or size is of another kind")
    return file
