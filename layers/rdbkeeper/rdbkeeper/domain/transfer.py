"""The plan of one backup's transfer into the vault, and how far it has come. Pure.

A file is cut into parts; part n is always the same bytes, so repeating a part changes nothing. The sums run on from
leg to leg, so a file that took many legs is still checked against its own trailer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rdbkeeper.domain.backup import StagedFile
from rdbkeeper.domain.copy import data_key

MEBIBYTE = 1 << 20
# "Amazon S3 multipart upload limits": 10,000 parts of 5 MiB to 5 GiB, the last one may be smaller.
MOST_PARTS = 10_000
DEFAULT_PART_BYTES = 16 * MEBIBYTE


def part_size_bytes(file_size_bytes: int) -> int:
    """The part size for a file: 16 MiB, or the whole number of MiB that keeps it within 10,000 parts."""
    needed = -(-file_size_bytes // MOST_PARTS)
    return max(DEFAULT_PART_BYTES, -(-needed // MEBIBYTE) * MEBIBYTE)


@dataclass(frozen=True)
class Receipt:
    """One part that is in the store: its tag there, its CRC64NVME and its SHA-256 (hex).

    The tag is "" for a part of an object that was found in the vault and only read again.
    """

    etag: str
    crc64nvme: int
    sha256: str


@dataclass(frozen=True)
class FileTransfer:
    """One file on its way: from where, to which key, and how far.

    `upload_id` is "" while an object that was found in the vault without a manifest is being read again in place of
    the staged file; `found_etag` then pins it, and `found_crc64nvme` is the sum that the store keeps of it, if any.
    """

    staged: StagedFile
    key: str
    upload_id: str
    found_etag: str = ""
    found_crc64nvme: int | None = None
    receipts: tuple[Receipt, ...] = ()
    crc64: int = 0
    crc64nvme: int = 0
    header: bytes = b""
    trailer: bytes = b""

    @property
    def part_size_bytes(self) -> int:
        return part_size_bytes(self.staged.size_bytes)

    @property
    def part_count(self) -> int:
        return max(1, -(-self.staged.size_bytes // self.part_size_bytes))

    @property
    def is_done(self) -> bool:
        return len(self.receipts) == self.part_count

    @property
    def is_read_again(self) -> bool:
        return not self.upload_id

    def part_range(self, number: int) -> tuple[int, int]:
        """The first byte and the length of part `number` (from 1)."""
        first = (number - 1) * self.part_size_bytes
        return first, min(self.part_size_bytes, self.staged.size_bytes - first)

    def start_over(self, upload_id: str) -> FileTransfer:
        """The same file, to be copied from the staged file from its first byte on."""
        return FileTransfer(self.staged, self.key, upload_id)

    def plan_record(self) -> list[Any]:
        """The plan as plain data, short: an instance may have 500 shards. The key follows from the copy's id."""
        return [self.staged.as_record(), self.upload_id, self.found_etag, self.found_crc64nvme]

    @classmethod
    def from_plan_record(cls, record: Sequence[Any], path: str, copy_id: str) -> FileTransfer:
        """The plan that `plan_record` wrote down, for a copy at a place."""
        staged = StagedFile.from_record(record[0])
        return cls(staged, data_key(path, copy_id, staged.shard.name), record[1], record[2], record[3])

    def progress_record(self, receipts_before: int) -> dict[str, Any]:
        """What a leg added: the running sums, and only the new receipts, so that step results stay small."""
        return {
            "receipts": [[new.etag, new.crc64nvme, new.sha256] for new in self.receipts[receipts_before:]],
            "crc64": self.crc64,
            "crc64nvme": self.crc64nvme,
            "header": self.header.hex(),
            "trailer": self.trailer.hex(),
        }

    def advance(self, record: Mapping[str, Any]) -> FileTransfer:
        """This file with what a leg added."""
        return replace(
            self,
            receipts=self.receipts + tuple(Receipt(*values) for values in record["receipts"]),
            crc64=record["crc64"],
            crc64nvme=record["crc64nvme"],
            header=bytes.fromhex(record["header"]),
            trailer=bytes.fromhex(record["trailer"]),
        )


@dataclass(frozen=True)
class Transfer:
    """All files of one backup on their way, in shard order."""

    files: tuple[FileTransfer, ...]

    @property
    def is_done(self) -> bool:
        return all(file.is_done for file in self.files)

    @property
    def size_bytes(self) -> int:
        return sum(file.staged.size_bytes for file in self.files)

    @property
    def parts_done(self) -> int:
        """How many parts have been moved so far, over all files."""
        return sum(len(file.receipts) for file in self.files)

    @property
    def moved_bytes(self) -> int:
        """How many bytes have been moved so far."""
        return sum(min(len(file.receipts) * file.part_size_bytes, file.staged.size_bytes) for file in self.files)

    def plan_record(self) -> dict[str, Any]:
        return {"files": [file.plan_record() for file in self.files]}

    @classmethod
    def from_plan_record(cls, record: Mapping[str, Any], path: str, copy_id: str) -> Transfer:
        """The plan that `plan_record` wrote down, for a copy at a place."""
        return cls(tuple(FileTransfer.from_plan_record(file, path, copy_id) for file in record["files"]))

    def progress_record(self, before: Transfer) -> dict[str, Any]:
        """What a leg added to the transfer as it was `before`: the files that moved, by their position."""
        return {
            str(position): file.progress_record(len(was.receipts))
            for position, (file, was) in enumerate(zip(self.files, before.files, strict=True))
            if file != was
        }

    def advance(self, record: Mapping[str, Any]) -> Transfer:
        """The transfer with what a leg added."""
        moved = {int(position): progress for position, progress in record.items()}
        return Transfer(tuple(file.advance(moved[at]) if at in moved else file for at, file in enumerate(self.files)))

    def start_over(self, uploads: Mapping[str, str]) -> Transfer:
        """The transfer in which the files of these keys are copied anew, into these uploads."""
        return Transfer(
            tuple(file.start_over(uploads[file.key]) if file.key in uploads else file for file in self.files)
        )
