"""What an RDB file's first and last bytes say, and its sums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkeeper.domain.errors import ChecksumMismatch, EndMarkerMissing, IntegrityError, NotAnRdbFile
from rdbkeeper.rdb.checksum import as_base64, as_hex, crc64_nvme, crc64_redis, join, sum_up
from rdbkeeper.rdb.envelope import Verdict, judge, read_version
from tests.fakes.rdb_files import flip_bit, rdb_file


def judged(data: bytes) -> Verdict:
    return judge(data[:9], data[-9:], len(data), crc64_redis(data))


def test_the_sums_are_the_published_ones() -> None:
    assert crc64_redis(b"123456789") == 0xE9C6D914C4B8D9CA  # the check value in Redis' own crc64.c
    assert crc64_nvme(b"123456789") == 0xAE8B14860A799888  # the check value in the NVM Express specification
    assert as_hex(0xA) == "000000000000000a"
    assert as_base64(1) == "AAAAAAAAAAE="


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_sum_is_carried_on_and_combined(first: bytes, second: bytes) -> None:
    assert crc64_redis(second, crc64_redis(first)) == crc64_redis(first + second)
    assert join(sum_up(memoryview(first)), sum_up(memoryview(second))) == sum_up(memoryview(first + second))


@pytest.mark.parametrize("magic", [b"REDIS0006", b"REDIS0011", b"REDIS0012", b"VALKEY080"])
def test_a_whole_file_passes_every_check(magic: bytes) -> None:
    data = rdb_file(magic=magic)
    stored = int.from_bytes(data[-8:], "little")
    assert judged(data) == Verdict(magic.decode(), ("length", "header", "end", "crc64"), "", stored)


def test_a_zero_checksum_is_no_checksum_and_says_so() -> None:
    verdict = judged(rdb_file(checksum=False))
    assert "crc64" not in verdict.checks
    assert verdict.unchecked_reason.startswith("no CRC")
    assert verdict.stored_crc64 == 0


def test_a_format_before_checksums_says_so() -> None:
    verdict = judged(b"REDIS0003" + b"x" * 20 + b"\xff")
    assert verdict.unchecked_reason == "no CRC: format REDIS0003 has none"
    assert verdict.stored_crc64 is None
    with pytest.raises(EndMarkerMissing):
        judged(b"REDIS0003" + b"x" * 20)


def test_an_empty_servers_file_of_a_format_before_checksums_is_whole() -> None:
    assert judged(b"REDIS0003\xff").checks == ("length", "header", "end")
    with pytest.raises(EndMarkerMissing):
        judged(b"REDIS0003")


@given(at=st.integers(9, 189), bit=st.integers(0, 7))
def test_every_flipped_bit_of_the_body_is_found(at: int, bit: int) -> None:
    with pytest.raises(ChecksumMismatch):
        judged(flip_bit(rdb_file(200), at, bit))


@given(at=st.integers(0, 199), bit=st.integers(0, 7))
def test_every_flipped_bit_of_a_file_is_found(at: int, bit: int) -> None:
    with pytest.raises(IntegrityError):
        judged(flip_bit(rdb_file(200), at, bit))


@given(length=st.integers(0, 199))
def test_every_truncation_is_found(length: int) -> None:
    with pytest.raises(IntegrityError):
        judged(rdb_file(200)[:length])


@given(st.binary(min_size=1, max_size=40))
def test_anything_after_the_end_is_found(garbage: bytes) -> None:
    with pytest.raises(IntegrityError):
        judged(rdb_file(200) + garbage)


@pytest.mark.parametrize(
    "header", [b"", b"REDIS", b"REDIS00x1", b"<!DOCTYPE", b"VALKEY08x", b"redis0011", b"REDIS+011", b"REDIS0000"]
)
def test_what_does_not_begin_as_an_rdb_file_is_refused(header: bytes) -> None:
    with pytest.raises(NotAnRdbFile):
        read_version(header)
