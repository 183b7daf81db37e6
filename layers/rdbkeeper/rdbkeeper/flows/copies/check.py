"""Reads a copy at rest again and compares it with its manifest, part by part.

Each part is summed as it streams by, so memory does not grow with the parts. The check can be cut off between parts
and go on elsewhere, from its position. A store that does not answer is no damage: that is raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Protocol

from rdbkeeper.domain.audit import MOST_FINDINGS, Fault, Finding
from rdbkeeper.domain.copy import CopiedFile, Manifest, data_key
from rdbkeeper.domain.errors import IntegrityError, RdbkeeperError, StreamCutShort, VaultUnavailable
from rdbkeeper.domain.sums import Sums
from rdbkeeper.flows.runs.pace import Pace
from rdbkeeper.ports import ByteStream, Clock, StoredObject
from rdbkeeper.rdb import checksum
from rdbkeeper.rdb.envelope import judge

READ_BYTES = 1 << 20
OPENINGS_PER_PART = 5


class Readable(Protocol):
    """Where a copy's files can be read; every vault is such a place, and a folder is one."""

    def find_object(self, key: str) -> StoredObject | None:
        """What lies under a key, or None."""

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of the object whose tag is `etag`. StoreMismatch when it is another by now."""


@dataclass(frozen=True)
class Position:
    """How far the check of one copy has come, and what it found so far.

    `file` counts the files that are done, `parts` those of the file that is being read, whose tag is `etag` and whose
    bytes so far have these `sums`. `has_findings` is True when something is wrong with that file.
    """

    file: int = 0
    parts: int = 0
    etag: str = ""
    sums: Sums = field(default_factory=Sums)
    has_findings: bool = False
    findings: tuple[Finding, ...] = ()
    more_findings: int = 0

    def found(self, findings: Sequence[Finding]) -> Position:
        """The position with what is wrong beside what was already; beyond a limit it is only counted."""
        room = MOST_FINDINGS - len(self.findings)
        return replace(
            self,
            has_findings=self.has_findings or bool(findings),
            findings=(*self.findings, *findings[:room]),
            more_findings=self.more_findings + len(findings[room:]),
        )

    def next_file(self) -> Position:
        """The position at the beginning of the next file."""
        return Position(self.file + 1, findings=self.findings, more_findings=self.more_findings)

    def as_record(self) -> dict[str, Any]:
        sums = self.sums
        return {
            **vars(self),
            "sums": [sums.size_bytes, sums.crc64, sums.crc64nvme, sums.head.hex(), sums.tail.hex()],
            "findings": [finding.as_record() for finding in self.findings],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Position:
        size_bytes, crc64, crc64nvme, head, tail = record["sums"]
        sums = Sums(size_bytes, crc64, crc64nvme, bytes.fromhex(head), bytes.fromhex(tail))
        findings = tuple(Finding.from_record(finding) for finding in record["findings"])
        return cls(**{**record, "sums": sums, "findings": findings})


@dataclass(frozen=True)
class CopyCheck:
    """The check of one copy, whose files lie below `path`; its manifest is one that can be checked by.

    `lanes` parts are read at once. A part that is still being read at the moment `until` is left, as VaultUnavailable.
    """

    manifest: Manifest
    path: str
    store: Readable
    clock: Clock
    pace: Pace
    lanes: int = 1
    until: float = float("inf")

    def is_done(self, position: Position) -> bool:
        """True once every file has been judged."""
        return position.file >= len(self.manifest.files)

    def advance(self, position: Position) -> Position:
        """Open the next file, or read its next parts and judge them. Raises VaultError, StreamCutShort, StoreMismatch.

        What is wrong with the copy is no error: it is among the position's findings.
        """
        file = self.manifest.files[position.file]
        if not position.etag:
            position = self._open(file, position)
            if not position.etag:
                return position
        numbers = range(position.parts + 1, min(position.parts + self.lanes, file.part_count) + 1)
        read = self._read_parts(file, position.etag, numbers)
        findings = [finding for finding, _ in read if finding is not None]
        sums = reduce(checksum.join, (sums for _, sums in read), position.sums)
        position = replace(position, parts=numbers[-1], sums=sums).found(findings)
        if position.parts < file.part_count:
            return position
        # Where a part is damaged, sums of the whole tell nothing more.
        return (position if position.has_findings else position.found(judge_whole(file, sums))).next_file()

    def is_still_there(self, finding: Finding) -> bool:
        """True when what was wrong is so still, told by reading the least; False also where that cannot be told."""
        file = next((file for file in self.manifest.files if file.name == finding.file), None)
        if file is None:
            return False
        opened = self._open(file, Position())
        if finding.fault in (Fault.MISSING_FILE, Fault.WRONG_LENGTH) or not opened.etag:
            return not opened.etag
        if finding.fault is not Fault.DAMAGED_PART or not 1 <= finding.part <= file.part_count:
            return False
        return self._judge_part(file, opened.etag, finding.part)[0] is not None

    def _open(self, file: CopiedFile, position: Position) -> Position:
        """The position with the file's tag, or behind the file when it need not be read to be called damaged."""
        stored = self.store.find_object(self._key(file))
        if stored is None:
            return position.found([_missing(file)]).next_file()
        if stored.size_bytes != file.size_bytes:
            return position.found([_wrong_length(file, stored.size_bytes)]).next_file()
        return replace(position, etag=stored.etag)

    def _read_parts(self, file: CopiedFile, etag: str, numbers: Sequence[int]) -> list[tuple[Finding | None, Sums]]:
        if len(numbers) == 1:
            return [self._judge_part(file, etag, numbers[0])]
        with ThreadPoolExecutor(len(numbers), thread_name_prefix="audit") as pool:
            return list(pool.map(lambda number: self._judge_part(file, etag, number), numbers))

    def _judge_part(self, file: CopiedFile, etag: str, number: int) -> tuple[Finding | None, Sums]:
        """What is wrong with a part, if anything, and its sums. Nobody is alarmed by one reading alone."""
        sha256, sums = self._read_part(file, etag, number)
        if sha256 != file.part_sha256[number - 1]:
            sha256, sums = self._read_part(file, etag, number)
        return None if sha256 == file.part_sha256[number - 1] else _damaged_part(file, number), sums

    def _read_part(self, file: CopiedFile, etag: str, number: int) -> tuple[str, Sums]:
        """The SHA-256 and the sums of one part; a stream that breaks is opened again at the byte where it broke."""
        first_byte, length_bytes = file.part_range(number)
        sha256, sums = hashlib.sha256(), Sums()
        for opening in range(1, OPENINGS_PER_PART + 1):
            try:
                for piece in self._stream(file, etag, first_byte + sums.size_bytes, first_byte + length_bytes):
                    sha256.update(piece)
                    sums = checksum.join(sums, checksum.sum_up(piece))
                break
            except RdbkeeperError as error:
                if not error.retryable or opening == OPENINGS_PER_PART or self.clock.monotonic() >= self.until:
                    raise
        return sha256.hexdigest(), sums

    def _stream(self, file: CopiedFile, etag: str, first_byte: int, end: int) -> Iterator[memoryview]:
        """The bytes from one opening, up to `end`; the same buffer again and again."""
        if first_byte == end:
            return  # an empty range cannot be asked for
        buffer = memoryview(bytearray(min(READ_BYTES, end - first_byte)))
        at_byte = first_byte
        with closing(self.store.open_range(self._key(file), etag, first_byte, end - first_byte)) as stream:
            while at_byte < end:
                wanted = min(len(buffer), end - at_byte)
                self.pace.take(wanted)
                filled = 0
                while filled < wanted:
                    if self.clock.monotonic() >= self.until:
                        raise _too_slow(file, at_byte + filled)
                    count = stream.readinto(buffer[filled:wanted])
                    if count == 0:
                        break
                    filled += count
                if filled:
                    yield buffer[:filled]
                at_byte += filled
                if filled < wanted:
                    raise _cut_short(file, at_byte)

    def _key(self, file: CopiedFile) -> str:
        return data_key(self.path, self.manifest.copy_id, file.name)


def judge_whole(file: CopiedFile, sums: Sums) -> list[Finding]:
    """What is wrong with a file each of whose parts is what the manifest says; at most one finding."""
    if checksum.as_hex(sums.crc64nvme) != file.crc64nvme:
        return [Finding(Fault.WRONG_SUM, file.name, f"{file.name}.rdb: its CRC64NVME is not that of the manifest.")]
    try:
        verdict = judge(sums.head, sums.tail, sums.size_bytes, sums.crc64)
    except IntegrityError as error:
        return [Finding(Fault.NO_RDB_FILE, file.name, f"{file.name}.rdb: {error.message}")]
    stored = "" if verdict.stored_crc64 is None else checksum.as_hex(verdict.stored_crc64)
    if (verdict.rdb_version, stored) != (file.rdb_version, file.crc64):
        detail = f"{file.name}.rdb: its format version or its CRC64 is not that of the manifest."
        return [Finding(Fault.WRONG_SUM, file.name, detail)]
    return []


def _missing(file: CopiedFile) -> Finding:
    return Finding(Fault.MISSING_FILE, file.name, f"{file.name}.rdb is missing.")


def _wrong_length(file: CopiedFile, size_bytes: int) -> Finding:
    detail = f"{file.name}.rdb has {size_bytes:,} bytes in place of {file.size_bytes:,}."
    first, last = sorted((size_bytes, file.size_bytes))
    return Finding(Fault.WRONG_LENGTH, file.name, detail, first_byte=first, last_byte=last - 1)


def _damaged_part(file: CopiedFile, number: int) -> Finding:
    first_byte, length_bytes = file.part_range(number)
    last_byte = first_byte + max(0, length_bytes - 1)
    detail = (
        f"{file.name}.rdb: part {number} of {file.part_count}, bytes {first_byte:,} to {last_byte:,}, is not what was "
        "copied."
    )
    return Finding(Fault.DAMAGED_PART, file.name, detail, number, first_byte, last_byte)


def _cut_short(file: CopiedFile, at_byte: int) -> StreamCutShort:
    return StreamCutShort(
        f"Reading {file.name}.rdb stopped at {at_byte:,} of {file.size_bytes:,} bytes.",
        hint="The store did not send what it says it has. The next audit reads the copy again.",
    )


def _too_slow(file: CopiedFile, at_byte: int) -> VaultUnavailable:
    return VaultUnavailable(
        f"Reading {file.name}.rdb was still at byte {at_byte:,} when its leg's time was over.",
        hint="The store hardly answers. The next leg goes on from this part.",
    )
