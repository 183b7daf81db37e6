"""The plan of one backup's transfer into the vault, and how far it has come. Pure.

A file is cut into parts; part n is always the same bytes, so repeating a part changes nothing. Parts are moved in any
order, by one sandbox or by several: what has passed is kept as stretches of neighbouring parts, whose sums are put
together at the end. So a file that took many legs is still checked against its own trailer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from rdbkeeper.domain.backup import StagedFile
from rdbkeeper.domain.copy import data_key
from rdbkeeper.domain.errors import UnexpectedError
from rdbkeeper.domain.parts import count_parts, find_part_range
from rdbkeeper.domain.sums import Sums

MEBIBYTE = 1 << 20
# "Amazon S3 multipart upload limits": 10,000 parts of 5 MiB to 5 GiB, the last one may be smaller.
MOST_PARTS = 10_000
DEFAULT_PART_BYTES = 16 * MEBIBYTE
# A run keeps a receipt for each part, about 150 bytes on record, and a durable execution writes at most 100 MB
# ("Lambda quotas").
MOST_PARTS_OF_A_BACKUP = 100_000
# A stream's receipts are one step's result, which must stay below 256 KB.
MOST_PARTS_OF_A_STREAM = 1_400


@dataclass(frozen=True)
class CopySettings:
    """How a rule's copying uses its sandboxes.

    `lanes` parts are in flight in one sandbox. A backup of `spread_from_bytes` or more is copied by several sandboxes
    at once, at most `workers`.
    """

    part_size_bytes: int = DEFAULT_PART_BYTES
    lanes: int = 4
    spread_from_bytes: int = 20 * 10**9
    workers: int = 8


def part_size_bytes(file_size_bytes: int, smallest_bytes: int = DEFAULT_PART_BYTES) -> int:
    """The part size for a file: the smallest, or the whole number of MiB that keeps it within 10,000 parts."""
    return _grown(smallest_bytes, file_size_bytes, MOST_PARTS)


def smallest_part_bytes(backup_size_bytes: int, settings: CopySettings) -> int:
    """The smallest part size for a backup's files; above the settings' for backups of many terabytes alone."""
    return _grown(settings.part_size_bytes, backup_size_bytes, MOST_PARTS_OF_A_BACKUP)


def _grown(part_bytes: int, size_bytes: int, most_parts: int) -> int:
    needed = -(-size_bytes // most_parts)
    return part_bytes if needed <= part_bytes else -(-needed // MEBIBYTE) * MEBIBYTE


@dataclass(frozen=True)
class Receipt:
    """One part that is in the store: its tag there, its CRC64NVME and its SHA-256 (hex).

    The tag is "" for a part of an object that was found in the vault and only read again.
    """

    etag: str
    crc64nvme: int
    sha256: str


@dataclass(frozen=True)
class Stretch:
    """Neighbouring parts of one file that have been moved: the first one's number, their receipts, their sums."""

    first_part: int
    receipts: tuple[Receipt, ...]
    sums: Sums

    @property
    def next_part(self) -> int:
        return self.first_part + len(self.receipts)

    def as_record(self) -> list[Any]:
        """The stretch as plain data, short: a step's result must stay small."""
        sums = self.sums
        receipts = [[receipt.etag, receipt.crc64nvme, receipt.sha256] for receipt in self.receipts]
        written = [sums.size_bytes, sums.crc64, sums.crc64nvme, sums.head.hex(), sums.tail.hex()]
        return [self.first_part, written, receipts]

    @classmethod
    def from_record(cls, record: Sequence[Any]) -> Stretch:
        first_part, (size_bytes, crc64, crc64nvme, head, tail), receipts = record
        sums = Sums(size_bytes, crc64, crc64nvme, bytes.fromhex(head), bytes.fromhex(tail))
        return cls(first_part, tuple(Receipt(*values) for values in receipts), sums)


@dataclass(frozen=True)
class Piece:
    """Neighbouring parts of one file that are to be moved, both ends included."""

    file: str
    first_part: int
    last_part: int

    def as_record(self) -> list[Any]:
        return [self.file, self.first_part, self.last_part]


@dataclass(frozen=True)
class FileTransfer:
    """One file on its way: from where, to which key, and how far.

    `upload_id` is "" while an object that was found in the vault without a manifest is being read again in place of
    the staged file; `found_etag` then pins it, and `found_crc64nvme` is the sum that the store keeps of it, if any.
    `sent_crc64nvme` is what an object must come to that is read back because its store keeps no sum of it.
    `stretches` are in the order of their parts.
    """

    staged: StagedFile
    key: str
    upload_id: str
    part_size_bytes: int
    found_etag: str = ""
    found_crc64nvme: int | None = None
    sent_crc64nvme: int | None = None
    stretches: tuple[Stretch, ...] = ()

    @property
    def name(self) -> str:
        return self.staged.shard.name

    @property
    def part_count(self) -> int:
        return count_parts(self.staged.size_bytes, self.part_size_bytes)

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """The receipts of all parts that have been moved, in their order."""
        return tuple(receipt for stretch in self.stretches for receipt in stretch.receipts)

    @property
    def parts_done(self) -> int:
        return sum(len(stretch.receipts) for stretch in self.stretches)

    @property
    def moved_bytes(self) -> int:
        return sum(stretch.sums.size_bytes for stretch in self.stretches)

    @property
    def is_done(self) -> bool:
        return self.parts_done == self.part_count

    @property
    def is_read_again(self) -> bool:
        return not self.upload_id

    def part_range(self, number: int) -> tuple[int, int]:
        """The first byte and the length of part `number` (from 1)."""
        return find_part_range(self.staged.size_bytes, self.part_size_bytes, number)

    def missing(self) -> Iterator[Piece]:
        """What has not been moved yet, from the file's beginning on."""
        next_part = 1
        for stretch in self.stretches:
            if next_part < stretch.first_part:
                yield Piece(self.name, next_part, stretch.first_part - 1)
            next_part = stretch.next_part
        if next_part <= self.part_count:
            yield Piece(self.name, next_part, self.part_count)

    def start_over(self, upload_id: str) -> FileTransfer:
        """The same file, to be copied from the staged file from its first byte on."""
        return FileTransfer(self.staged, self.key, upload_id, self.part_size_bytes)

    def read_back(self, etag: str, sent_crc64nvme: int) -> FileTransfer:
        """The same file once it is in the vault under that tag, to be read again from its first byte on."""
        return FileTransfer(self.staged, self.key, "", self.part_size_bytes, etag, sent_crc64nvme=sent_crc64nvme)

    def plan_record(self) -> list[Any]:
        """The plan as plain data, short: an instance may have 500 shards. The key follows from the copy's id."""
        return [self.staged.as_record(), self.upload_id, self.found_etag, self.found_crc64nvme]

    @classmethod
    def from_plan_record(cls, record: Sequence[Any], path: str, copy_id: str, smallest_part_bytes: int) -> FileTransfer:
        """The plan that `plan_record` wrote down, for a copy at a place."""
        staged = StagedFile.from_record(record[0])
        key = data_key(path, copy_id, staged.shard.name)
        part_bytes = part_size_bytes(staged.size_bytes, smallest_part_bytes)
        return cls(staged, key, record[1], part_bytes, record[2], record[3])

    def advance(self, record: Sequence[Any]) -> FileTransfer:
        """This file with the stretches that a leg added. Raises UnexpectedError when one was moved already."""
        added = [Stretch.from_record(stretch) for stretch in record]
        stretches = sorted((*self.stretches, *added), key=lambda stretch: stretch.first_part)
        if any(earlier.next_part > later.first_part for earlier, later in pairwise(stretches)):
            raise UnexpectedError(
                f"A part of {self.name}.rdb was moved twice.", hint="This is a defect; please report it."
            )
        return replace(self, stretches=tuple(stretches))


@dataclass(frozen=True)
class Transfer:
    """All files of one backup on their way, in shard order."""

    files: tuple[FileTransfer, ...]
    smallest_part_bytes: int = DEFAULT_PART_BYTES

    @property
    def is_done(self) -> bool:
        return all(file.is_done for file in self.files)

    @property
    def size_bytes(self) -> int:
        return sum(file.staged.size_bytes for file in self.files)

    @property
    def parts_done(self) -> int:
        """How many parts have been moved so far, over all files."""
        return sum(file.parts_done for file in self.files)

    @property
    def moved_bytes(self) -> int:
        """How many bytes have been moved so far."""
        return sum(file.moved_bytes for file in self.files)

    def missing(self) -> tuple[Piece, ...]:
        """What has not been moved yet, in shard order."""
        return tuple(piece for file in self.files for piece in file.missing())

    def only(self, names: Iterable[str]) -> Transfer:
        """The transfer of some of the files alone, without what has been moved of them."""
        wanted = set(names)
        return replace(self, files=tuple(replace(file, stretches=()) for file in self.files if file.name in wanted))

    def plan_record(self) -> dict[str, Any]:
        return {"part_bytes": self.smallest_part_bytes, "files": [file.plan_record() for file in self.files]}

    @classmethod
    def from_plan_record(cls, record: Mapping[str, Any], path: str, copy_id: str) -> Transfer:
        """The plan that `plan_record` wrote down, for a copy at a place."""
        smallest = record["part_bytes"]
        files = (FileTransfer.from_plan_record(file, path, copy_id, smallest) for file in record["files"])
        return cls(tuple(files), smallest)

    def advance(self, progress: Mapping[str, Any]) -> Transfer:
        """The transfer with what a leg added: stretches, as records, by the name of their file."""
        files = (file.advance(progress[file.name]) if file.name in progress else file for file in self.files)
        return replace(self, files=tuple(files))

    def start_over(self, uploads: Mapping[str, str]) -> Transfer:
        """The transfer in which the files of these keys are copied anew, into these uploads."""
        files = (file.start_over(uploads[file.key]) if file.key in uploads else file for file in self.files)
        return replace(self, files=tuple(files))

    def read_back(self, completed: Mapping[str, Sequence[Any]]) -> Transfer:
        """The transfer in which the files of these keys are read back: their tags, and the sums of what was sent."""
        files = (file.read_back(*completed[file.key]) if file.key in completed else file for file in self.files)
        return replace(self, files=tuple(files))
