"""A file that is put together says what it should, byte by byte; that servers load it is shown by the contracts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkeeper.domain.errors import ChecksumMismatch
from rdbkeeper.rdb import assembly
from rdbkeeper.rdb.assembly import Summed
from rdbkeeper.rdb.checksum import crc64_redis
from rdbkeeper.rdb.envelope import judge


def dump_of(value: bytes, version: int = 10, crc: bytes | None = None) -> bytes:
    """What DUMP answers: a type and a value, the version, the CRC64."""
    body = value + version.to_bytes(2, "little")
    return body + (crc64_redis(body).to_bytes(8, "little") if crc is None else crc)


def record(name: bytes, dump: bytes, expires_at_ms: int | None = None) -> bytes:
    begin, value = assembly.key(name, dump, expires_at_ms)
    return begin + bytes(value)


@pytest.mark.parametrize(
    "number, written",
    [
        (0, b"\x00"),
        (63, b"\x3f"),
        (64, b"\x40\x40"),
        (16_383, b"\x7f\xff"),
        (16_384, b"\x80\x00\x00\x40\x00"),
        (2**32 - 1, b"\x80\xff\xff\xff\xff"),
        (2**32, b"\x81\x00\x00\x00\x01\x00\x00\x00\x00"),
    ],
)
def test_a_length_takes_one_byte_two_five_or_nine(number: int, written: bytes) -> None:
    assert assembly.length(number) == written


@pytest.mark.parametrize(
    "version, is_valkey, magic",
    [
        (9, False, b"REDIS0009"),
        (12, False, b"REDIS0012"),
        (80, False, b"REDIS0080"),
        (11, True, b"REDIS0011"),
        (80, True, b"VALKEY080"),
    ],
)
def test_a_file_begins_with_the_magic_word_of_its_version(version: int, is_valkey: bool, magic: bytes) -> None:
    assert assembly.header(version, is_valkey=is_valkey) == magic


def test_a_keys_record_is_its_expiry_its_type_its_name_and_its_value() -> None:
    dump = dump_of(b"\x00\x03abc")
    assert record(b"key", dump) == b"\x00\x03key\x03abc"
    assert record(b"key", dump, 1) == b"\xfc\x01\x00\x00\x00\x00\x00\x00\x00\x00\x03key\x03abc"


def test_a_dump_says_its_version_once_its_own_sum_agrees() -> None:
    assert assembly.check_dump(dump_of(b"\x00\x01a", version=80)) == 80
    assert assembly.check_dump(dump_of(b"\x00\x01a", crc=bytes(8))) == 10  # a server that was told not to sum


@given(at=st.integers(0, 12), bit=st.integers(0, 7))
def test_every_flipped_bit_of_a_dump_is_found(at: int, bit: int) -> None:
    dump = bytearray(dump_of(b"\x00\x01a"))
    dump[at] ^= 1 << bit
    with pytest.raises(ChecksumMismatch):
        assembly.check_dump(dump)


@pytest.mark.parametrize("cut", range(10))
def test_a_dump_without_its_footer_is_refused(cut: int) -> None:
    with pytest.raises(ChecksumMismatch):
        assembly.check_dump(dump_of(b"\x00\x01a")[:cut])


def test_a_dump_that_begins_with_something_else_than_a_type_is_no_plain_value() -> None:
    assert assembly.is_plain_value(dump_of(b"\x19abc"))
    assert not assembly.is_plain_value(dump_of(b"\xf3abc"))  # newer servers put a key's metadata before its type
    assert not assembly.is_plain_value(dump_of(b""))


def test_functions_are_taken_over_as_they_were_dumped() -> None:
    assert bytes(assembly.functions(dump_of(b"\xf5\x03lib"))) == b"\xf5\x03lib"
    assert bytes(assembly.functions(dump_of(b""))) == b""


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_a_file_ends_with_the_sum_of_all_its_pieces(pieces: list[bytes]) -> None:
    sums = Summed()
    data = b"".join(sums.add(piece) for piece in (b"REDIS0010", *pieces)) + sums.end()
    verdict = judge(data[:9], data[-9:], len(data), crc64_redis(data))
    assert verdict.unchecked_reason == ""


def test_an_empty_servers_file_is_whole() -> None:
    sums = Summed()
    pieces = [assembly.header(10, is_valkey=False), assembly.aux("redis-bits", "64"), assembly.database(0)]
    data = b"".join(sums.add(piece) for piece in pieces) + sums.end()
    assert data.startswith(b"REDIS0010\xfa\x0aredis-bits\x0264\xfe\x00\xff")
    assert "crc64" in judge(data[:9], data[-9:], len(data), crc64_redis(data)).checks
