"""The pipeline inside a leg."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import Any

import pytest

from rdbkeeper.domain.backup import Shard, StagedFile
from rdbkeeper.domain.errors import (
    RdbkeeperError,
    SourceUnavailable,
    StreamCutShort,
    StreamTooLong,
    VaultDenied,
    VaultUnavailable,
)
from rdbkeeper.domain.transfer import MEBIBYTE, FileTransfer, Piece, Transfer
from rdbkeeper.flows.runs.pace import Pace
from rdbkeeper.flows.runs.publish import judge_file
from rdbkeeper.flows.runs.transfer import (
    MOST_BUFFER_BYTES,
    MOST_ITEMS_PER_LEG,
    OPENINGS_PER_PART,
    PART_GRACE_S,
    LegPorts,
    copy_leg,
    lanes_for,
)
from rdbkeeper.ports import ByteStream, Part, Upload
from rdbkeeper.rdb.checksum import crc64_nvme, crc64_redis
from tests.fakes.clock import FakeClock
from tests.fakes.rdb_files import rdb_file
from tests.fakes.source import BytesStream, MemorySource, etag_of
from tests.fakes.vault import MemoryVault

PART = 64
FILE = rdb_file(PART * 8 + 7)


class HeldVault(MemoryVault):
    """Lets no part through before as many are waiting as there should be lanes."""

    def __init__(self, lanes: int) -> None:
        super().__init__(smallest_part_bytes=1)
        self.barrier = threading.Barrier(lanes, timeout=60)

    def put_part(self, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        self.barrier.wait()
        return super().put_part(upload, number, body, crc64nvme)


class MeteredSource(MemorySource):
    """Counts the streams that are open at a time, and may break each one differently."""

    opened: int = 0
    breaks: list[Any] = []  # noqa: RUF012 - set by each test on its own instance

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
        self.opened += 1
        stream = super().open_range(file, first_byte, length_bytes)
        return self.breaks.pop(0)(stream) if self.breaks else stream


class Breaking:
    """A stream that gives some bytes and then fails, or ends."""

    def __init__(self, stream: ByteStream, after_bytes: int, error: RdbkeeperError | None) -> None:
        self._stream, self._left, self._error = stream, after_bytes, error

    def readinto(self, buffer: memoryview, /) -> int:
        if self._left == 0 and self._error is not None:
            raise self._error
        count = self._stream.readinto(buffer[: self._left])
        self._left -= count
        return count

    def close(self) -> None:
        self._stream.close()


def breaks(after_bytes: int, error: RdbkeeperError | None = None) -> Any:
    return lambda stream: Breaking(stream, after_bytes, error)


def prepare(data: bytes = FILE, vault: MemoryVault | None = None) -> tuple[MeteredSource, MemoryVault, Transfer]:
    vault = vault or MemoryVault(smallest_part_bytes=1)
    source = MeteredSource(staged={"staged": data})
    source.breaks = []
    staged = StagedFile(Shard("0001"), "staged", len(data), etag_of(data))
    upload = vault.open_upload("key")
    return source, vault, Transfer((FileTransfer(staged, "key", upload.upload_id, PART),), PART)


def copy(source: MemorySource, vault: MemoryVault, transfer: Transfer, lanes: int = 1, budget_s: float = 1) -> Transfer:
    clock = FakeClock()
    ports = LegPorts(source, vault, clock, Pace(None, clock))
    return transfer.advance(copy_leg(transfer, transfer.missing(), ports, lanes, budget_s).progress)


@pytest.mark.parametrize("lanes", [1, 2, 4, 20])
def test_the_sums_run_over_the_whole_file_whatever_the_lanes(lanes: int) -> None:
    source, vault, transfer = prepare()
    (file,) = copy(source, vault, transfer, lanes).files
    sums = judge_file(file).sums
    assert (sums.crc64, sums.crc64nvme, sums.size_bytes) == (crc64_redis(FILE), crc64_nvme(FILE), len(FILE))
    assert (sums.head, sums.tail) == (FILE[:9], FILE[-9:])
    assert [len(file.receipts), file.is_done] == [9, True]
    assert b"".join(body for _, body in sorted(vault.uploads["upload-1"][1].items())) == FILE


def test_as_many_parts_are_in_flight_as_there_are_lanes() -> None:
    # Eight parts in four lanes: were fewer in flight, the barrier would never open.
    source, vault, transfer = prepare(rdb_file(PART * 8), HeldVault(4))
    assert copy(source, vault, transfer, lanes=4).is_done


def test_never_more_parts_are_held_than_there_are_lanes() -> None:
    held = most_held = 0
    lock = threading.Lock()

    class Counting(MemoryVault):
        def put_part(self, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
            nonlocal held
            part = super().put_part(upload, number, body, crc64nvme)
            with lock:
                held -= 1
            return part

    class Opening(MeteredSource):
        def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
            nonlocal held, most_held
            with lock:
                held += 1
                most_held = max(most_held, held)
            return super().open_range(file, first_byte, length_bytes)

    data = rdb_file(PART * 60)
    _, vault, transfer = prepare(data, Counting(smallest_part_bytes=1))
    source = Opening(staged={"staged": data})
    source.breaks = []
    copy(source, vault, transfer, lanes=3)
    assert most_held <= 3


def test_the_buffers_of_all_lanes_stay_within_what_the_smallest_function_holds() -> None:
    assert lanes_for(16 * MEBIBYTE, 4) == 4
    assert lanes_for(44 * MEBIBYTE, 4) == 4
    assert lanes_for(128 * MEBIBYTE, 4) == 2
    assert lanes_for(512 * MEBIBYTE, 4) == 1
    assert all(lanes_for(size * MEBIBYTE, 8) * size * MEBIBYTE <= MOST_BUFFER_BYTES for size in range(1, 321))


def ports_of(source: MemorySource, vault: MemoryVault) -> LegPorts:
    clock = FakeClock()
    return LegPorts(source, vault, clock, Pace(None, clock))


def test_a_leg_that_moved_nothing_fails_and_may_be_repeated_from_the_same_state() -> None:
    source, vault, transfer = prepare()
    vault.failing["put_part"] = [VaultUnavailable("slow down")]
    with pytest.raises(VaultUnavailable):
        copy(source, vault, transfer)
    (file,) = copy(source, vault, transfer).files
    assert judge_file(file).sums.crc64nvme == crc64_nvme(FILE)
    assert len(vault.uploads["upload-1"][1]) == 9


@pytest.mark.parametrize("lanes", [1, 4])
def test_what_a_leg_moved_before_it_was_cut_short_is_not_lost(lanes: int) -> None:
    source, vault, transfer = prepare(rdb_file(PART * 40))
    put_part = vault.put_part

    def fail_at_the_twentieth(upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        if number == 20:
            raise VaultUnavailable("slow down")
        return put_part(upload, number, body, crc64nvme)

    vault.put_part = fail_at_the_twentieth  # type: ignore[method-assign] # one instance of a fake
    moved = copy_leg(transfer, transfer.missing(), ports_of(source, vault), lanes, 1)
    assert moved.cut_short is not None and moved.cut_short.code == "VaultUnavailable"
    after = transfer.advance(moved.progress)
    assert 19 <= after.parts_done < 40 and after.missing()[0].first_part == 20
    vault.put_part = put_part  # type: ignore[method-assign] # as above
    assert judge_file(copy(source, vault, after).files[0]).verdict.checks[-1] == "crc64"


def test_what_another_try_cannot_help_fails_the_leg_whatever_it_moved() -> None:
    source, vault, transfer = prepare(rdb_file(PART * 40))
    put_part = vault.put_part

    def deny_at_the_twentieth(upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        if number == 20:
            raise VaultDenied("AccessDenied")
        return put_part(upload, number, body, crc64nvme)

    vault.put_part = deny_at_the_twentieth  # type: ignore[method-assign] # one instance of a fake
    with pytest.raises(VaultDenied):
        copy(source, vault, transfer)


def test_when_one_lane_fails_the_others_begin_no_further_part() -> None:
    source, vault, transfer = prepare(rdb_file(PART * 500))
    vault.failing["put_part"] = [VaultUnavailable("slow down")]
    with contextlib.suppress(VaultUnavailable):
        copy_leg(transfer, transfer.missing(), ports_of(source, vault), 2, 1)
    assert source.opened < 500


def test_a_source_that_hardly_answers_does_not_keep_a_leg_beyond_its_reserve() -> None:
    source, vault, transfer = prepare()
    clock = FakeClock()

    class Sluggish:
        def __init__(self, stream: ByteStream) -> None:
            self._stream = stream

        def readinto(self, buffer: memoryview, /) -> int:
            clock.advance(50)
            return self._stream.readinto(buffer[:1])

        def close(self) -> None:
            self._stream.close()

    source.breaks = [Sluggish] * 20
    with pytest.raises(SourceUnavailable, match="hardly answers"):
        copy_leg(transfer, transfer.missing(), LegPorts(source, vault, clock, Pace(None, clock)), 1, 10)
    assert clock.monotonic() <= 10 + PART_GRACE_S + 50


def test_a_leg_without_time_still_moves_one_part() -> None:
    source, vault, transfer = prepare()
    after = copy(source, vault, transfer, budget_s=0)
    assert after.parts_done == 1
    assert [piece.first_part for piece in after.missing()] == [2]


def test_a_file_copied_in_many_legs_has_the_sums_of_one() -> None:
    source, vault, transfer = prepare()
    legs = 0
    while not transfer.is_done:
        transfer = copy(source, vault, transfer, budget_s=0)
        legs += 1
    assert legs == 9
    assert judge_file(transfer.files[0]).verdict.checks[-1] == "crc64"


def test_a_leg_takes_no_more_parts_than_its_record_can_hold() -> None:
    source, vault, transfer = prepare(rdb_file(PART * (MOST_ITEMS_PER_LEG + 10)))
    assert copy(source, vault, transfer).parts_done == MOST_ITEMS_PER_LEG - 1


def test_parts_are_moved_in_any_order_and_put_together_in_theirs() -> None:
    source, vault, transfer = prepare()
    clock = FakeClock()
    ports = LegPorts(source, vault, clock, Pace(None, clock))
    for piece in (Piece("0001", 7, 9), Piece("0001", 1, 2), Piece("0001", 5, 5)):
        transfer = transfer.advance(copy_leg(transfer, [piece], ports, 1, 1).progress)
    assert [stretch.first_part for stretch in transfer.files[0].stretches] == [1, 5, 7]
    assert transfer.missing() == (Piece("0001", 3, 4), Piece("0001", 6, 6))
    transfer = copy(source, vault, transfer)
    assert judge_file(transfer.files[0]).sums.crc64nvme == crc64_nvme(FILE)


def test_a_broken_stream_goes_on_from_the_same_byte() -> None:
    source, vault, transfer = prepare()
    source.breaks = [breaks(50, SourceUnavailable("the link has expired")), breaks(10)]
    asked: list[tuple[int, int]] = []
    open_range = source.open_range

    def remember(file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
        asked.append((first_byte, length_bytes))
        return open_range(file, first_byte, length_bytes)

    source.open_range = remember  # type: ignore[method-assign] # one instance of a fake
    (file,) = copy(source, vault, transfer).files
    assert asked[:4] == [(0, 64), (50, 14), (60, 4), (64, 64)]
    assert judge_file(file).sums.crc64nvme == crc64_nvme(FILE)


def test_a_stream_that_ends_early_says_where() -> None:
    source, vault, transfer = prepare()
    source.cut_at["0001"] = 5
    with pytest.raises(StreamCutShort, match=r"0001\.rdb stopped at 5 of 519 bytes"):
        copy(source, vault, transfer)
    assert source.opened == OPENINGS_PER_PART


class Endless:
    """A stream that goes on after the range that was asked for, as of a server that knows no ranges."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def readinto(self, buffer: memoryview, /) -> int:
        return self._stream.readinto(buffer) or BytesStream(b"more").readinto(buffer)

    def close(self) -> None:
        self._stream.close()


def test_a_stream_that_goes_on_too_long_is_read_anew_and_then_refused() -> None:
    source, vault, transfer = prepare()
    source.breaks = [Endless]
    assert copy(source, vault, transfer).is_done
    source, vault, transfer = prepare()
    source.breaks = [Endless] * OPENINGS_PER_PART
    with pytest.raises(StreamTooLong, match=r"after byte 64"):
        copy(source, vault, transfer)
    assert vault.parts_put == 0


def test_what_a_retry_cannot_help_is_not_tried_again() -> None:
    source, vault, transfer = prepare()
    del source.staged["staged"]
    with pytest.raises(RdbkeeperError, match="gone"):
        copy(source, vault, transfer)
    assert source.opened == 1


def test_a_trailer_that_lies_across_two_parts_is_kept_whole() -> None:
    data = rdb_file(PART + 4)
    source, vault, transfer = prepare(data)
    assert judge_file(copy(source, vault, transfer).files[0]).sums.tail == data[-9:]


def test_small_files_share_the_lanes() -> None:
    files = {f"{n:04d}": rdb_file(60, seed=n) for n in range(8)}
    vault = HeldVault(4)
    source = MemorySource(staged=dict(files))
    parts = []
    for name, data in files.items():
        staged = StagedFile(Shard(name), name, len(data), etag_of(data))
        parts.append(FileTransfer(staged, name, vault.open_upload(name).upload_id, PART))
    after = copy(source, vault, Transfer(tuple(parts), PART), lanes=4)
    assert [judge_file(file).sums.crc64nvme for file in after.files] == [crc64_nvme(data) for data in files.values()]


def test_only_what_lacks_is_asked_for_after_a_stretch_was_lost() -> None:
    source, vault, transfer = prepare()
    whole = copy(source, vault, transfer)
    (file,) = whole.files
    first = replace(file.stretches[0], receipts=file.stretches[0].receipts[:3])
    assert replace(whole, files=(replace(file, stretches=(first,)),)).missing() == (Piece("0001", 4, 9),)


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_capped_leg_takes_as_long_as_its_bytes_at_the_cap(lanes: int) -> None:
    data = rdb_file(PART * 4000)
    source, vault, transfer = prepare(data)
    clock = LockedClock()
    ports = LegPorts(source, vault, clock, Pace(len(data) / 60, clock))
    assert transfer.advance(copy_leg(transfer, transfer.missing(), ports, lanes, 900).progress).parts_done < 4000
    assert 60 * 0.95 * MOST_ITEMS_PER_LEG / 4000 <= clock.monotonic() <= 60 * 1.05 * MOST_ITEMS_PER_LEG / 4000


def test_short_reads_are_paid_for_once() -> None:
    data = rdb_file(PART * 100)
    source, vault, transfer = prepare(data)
    source.breaks = [Trickle] * 100
    clock = FakeClock()
    ports = LegPorts(source, vault, clock, Pace(len(data) / 60, clock))
    copy_leg(transfer, transfer.missing(), ports, 1, 900)
    assert 57 <= clock.monotonic() <= 63


class LockedClock(FakeClock):
    """A clock that several threads may move."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        # Threads sleep at the same time: whoever wakes last says what time it is.
        wakes_at = self.monotonic() + seconds
        with self._lock:
            self.advance(max(0.0, wakes_at - self.monotonic()))


class Trickle:
    """A stream that gives three bytes at a time."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def readinto(self, buffer: memoryview, /) -> int:
        return self._stream.readinto(buffer[:3])

    def close(self) -> None:
        self._stream.close()
