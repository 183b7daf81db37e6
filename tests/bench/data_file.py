"""RDB files for the benches, written by hand in one pass: one that a server would load, and one that takes no room."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from rdbkeeper.rdb.checksum import crc64_redis

_BEGINNING = b"REDIS0009\xfa\x09redis-ver\x055.0.0\xfe\x00"
_END_OF_FILE = b"\xff"
_CRC_BYTES = 8
_VALUE_BYTES = 1 << 16
_ZEROS = bytes(1 << 20)


def write_strings(path: Path, size_bytes: int, seed: int = 1) -> None:
    """A file of exactly that size, of strings of random bytes; any Redis from 5.0 on loads it."""
    crc = 0
    with path.open("wb") as file:
        for piece in _pieces(size_bytes, random.Random(seed)):
            crc = crc64_redis(piece, crc)
            file.write(piece)
        file.write(crc.to_bytes(_CRC_BYTES, "little"))


def _pieces(size_bytes: int, generator: random.Random) -> Iterator[bytes]:
    """The file's pieces, without the checksum at its end."""
    yield _BEGINNING
    left_bytes = size_bytes - len(_BEGINNING) - len(_END_OF_FILE) - _CRC_BYTES
    number = 0
    while left_bytes:
        overhead_bytes = len(_string(number, b""))
        # The last value takes up what is left, which must not be less than an empty string.
        value_bytes = _VALUE_BYTES if left_bytes > 2 * _VALUE_BYTES else left_bytes - overhead_bytes
        piece = _string(number, generator.randbytes(value_bytes))
        yield piece
        left_bytes -= len(piece)
        number += 1
    yield _END_OF_FILE


def _string(number: int, value: bytes) -> bytes:
    """One key and its value: type 0, a 16-byte key, and a length of 32 bits."""
    return b"\x00\x10" + f"key:{number:012}".encode() + b"\x80" + len(value).to_bytes(4, "big") + value


def write_zeros(path: Path, size_bytes: int) -> None:
    """A file of that size with a right header, end and checksum and nothing but zeros between: a hole on the disk."""
    crc = crc64_redis(_BEGINNING)
    left_bytes = zeros = size_bytes - len(_BEGINNING) - len(_END_OF_FILE) - _CRC_BYTES
    while left_bytes:
        count = min(left_bytes, len(_ZEROS))
        crc = crc64_redis(memoryview(_ZEROS)[:count], crc)
        left_bytes -= count
    crc = crc64_redis(_END_OF_FILE, crc)
    with path.open("wb") as file:
        file.write(_BEGINNING)
        file.seek(len(_BEGINNING) + zeros)
        file.write(_END_OF_FILE + crc.to_bytes(_CRC_BYTES, "little"))
