"""The pipeline inside a leg."""

from __future__ import annotations

import threading
import time

import pytest

from rdbkeeper.domain.backup import Shard, StagedFile
from rdbkeeper.domain.errors import StreamCutShort, VaultUnavailable
from rdbkeeper.domain.transfer import MEBIBYTE, FileTransfer, Transfer
from rdbkeeper.flows.transfer import PARTS_IN_FLIGHT, copy_leg
from rdbkeeper.ports import Part, Upload
from rdbkeeper.rdb.checksum import crc64_nvme, crc64_redis
from tests.fakes.clock import FakeClock
from tests.fakes.rdb_files import rdb_file
from tests.fakes.source import BytesStream, MemorySource
from tests.fakes.vault import MemoryVault

FILE = rdb_file(16 * MEBIBYTE * 8 + 77)


class CountingVault(MemoryVault):
    """Counts the parts that are being put at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.active = self.most_active = self.done = 0

    def put_part(self, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        with self.lock:
            self.active += 1
            self.most_active = max(self.most_active, self.active)
        time.sleep(0.01)
        part = super().put_part(upload, number, body, crc64nvme)
        with self.lock:
            self.active -= 1
            self.done += 1
        return part


class CountingSource(MemorySource):
    """Counts the parts that were read and are not yet in the vault."""

    vault: CountingVault
    opened = 0
    most_held = 0

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> BytesStream:
        self.opened += 1
        self.most_held = max(self.most_held, self.opened - self.vault.done)
        return super().open_range(file, first_byte, length_bytes)


def prepare() -> tuple[CountingSource, CountingVault, Transfer]:
    vault, source = CountingVault(), CountingSource()
    source.vault = vault
    source.staged["staged"] = FILE
    staged = StagedFile(Shard("0001"), "staged", len(FILE), f'"{hash(FILE):x}"')
    upload = vault.open_upload("key")
    return source, vault, Transfer((FileTransfer(staged, "key", upload.upload_id),))


def test_memory_is_bounded_by_the_parts_in_flight_whatever_the_size_of_the_file() -> None:
    source, vault, transfer = prepare()
    copy_leg(transfer, source, vault, FakeClock(), 1)
    assert source.opened == 9
    assert vault.most_active <= PARTS_IN_FLIGHT
    assert source.most_held <= PARTS_IN_FLIGHT + 1


def test_the_sums_run_over_the_whole_file() -> None:
    source, vault, transfer = prepare()
    (file,) = copy_leg(transfer, source, vault, FakeClock(), 1).files
    assert (file.crc64, file.crc64nvme) == (crc64_redis(FILE), crc64_nvme(FILE))
    assert (file.header, file.trailer) == (FILE[:9], FILE[-9:])
    assert [len(file.receipts), file.is_done] == [9, True]


def test_a_leg_that_failed_may_be_repeated_from_the_same_state() -> None:
    source, vault, transfer = prepare()
    vault.failing["put_part"] = [VaultUnavailable("slow down")]
    with pytest.raises(VaultUnavailable):
        copy_leg(transfer, source, vault, FakeClock(), 1)
    (file,) = copy_leg(transfer, source, vault, FakeClock(), 1).files
    assert file.crc64nvme == crc64_nvme(FILE)
    assert len(vault.uploads["upload-1"][1]) == 9


def test_a_stream_that_ends_early_says_where() -> None:
    source, vault, transfer = prepare()
    source.cut_at["0001"] = 16 * MEBIBYTE + 5
    with pytest.raises(StreamCutShort, match=r"0001\.rdb stopped at 16,777,221 of 134,217,805 bytes"):
        copy_leg(transfer, source, vault, FakeClock(), 1)


def test_a_trailer_that_lies_across_two_parts_is_kept_whole() -> None:
    data = rdb_file(16 * MEBIBYTE + 4)
    source, vault = MemorySource(staged={"staged": data}), MemoryVault()
    staged = StagedFile(Shard("0001"), "staged", len(data), f'"{hash(data):x}"')
    transfer = Transfer((FileTransfer(staged, "key", vault.open_upload("key").upload_id),))
    (file,) = copy_leg(transfer, source, vault, FakeClock(), 1).files
    assert file.trailer == data[-9:]
