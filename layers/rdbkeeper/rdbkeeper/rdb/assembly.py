"""Puts an RDB file together from what a server dumps key by key. Pure.

What DUMP answers is a value as the file holds it (a byte for its type, then the value) and a footer of ten bytes: the
format version, then a CRC64 over all before it, both little-endian. FUNCTION DUMP answers whole records of the file
and the same footer. Sources: rdb.c and cluster.c (createDumpPayload) of Redis 7.0; tried with Redis 6.2, 7.0 and 8.2
and Valkey 9.1.
"""

from __future__ import annotations

import struct

from rdbkeeper.domain.errors import ChecksumMismatch
from rdbkeeper.rdb.checksum import crc64_redis

FOOTER_BYTES = 10
# The first format that Valkey has to itself: from here on its files have a magic word of their own.
FIRST_VALKEY_VERSION = 80
# Below these numbers stand types of values, from here on other records of the file.
_FIRST_OPCODE = 240
_AUX, _EXPIRES_AT_MS, _SELECT_DATABASE, _END = b"\xfa", b"\xfc", b"\xfe", b"\xff"
_UNSUMMED = bytes(8)


def check_dump(dump: bytes | bytearray) -> int:
    """The format version that a DUMP or FUNCTION DUMP was written in, once its own CRC64 agrees.

    Raises ChecksumMismatch.
    """
    # Over a payload and its CRC the sum is 0 exactly when the CRC is right.
    if len(dump) < FOOTER_BYTES or (crc64_redis(memoryview(dump)) != 0 and dump[-8:] != _UNSUMMED):
        raise ChecksumMismatch(
            f"A value of {len(dump):,} bytes that the server dumped does not match its own CRC64.",
            hint="It was damaged on the way. Nothing was published; the next run reads it again.",
        )
    return int.from_bytes(dump[-FOOTER_BYTES:-8], "little")


def is_plain_value(dump: bytes | bytearray) -> bool:
    """True when a DUMP begins with a value's type, so that its key can be written right after that."""
    return len(dump) > FOOTER_BYTES and dump[0] < _FIRST_OPCODE


def header(version: int, *, is_valkey: bool) -> bytes:
    """A file's first nine bytes."""
    if is_valkey and version >= FIRST_VALKEY_VERSION:
        return b"VALKEY%03d" % version
    return b"REDIS%04d" % version


def aux(name: str, value: str) -> bytes:
    """A note on the file, which a server skips over when it does not know it."""
    return _AUX + _string(name.encode()) + _string(value.encode())


def functions(dump: bytes | bytearray) -> memoryview:
    """The records of all libraries in a FUNCTION DUMP; they stand before the first database."""
    return memoryview(dump)[:-FOOTER_BYTES]


def database(number: int) -> bytes:
    """What stands before a database's keys."""
    return _SELECT_DATABASE + length(number)


def key(name: bytes, dump: bytes | bytearray, expires_at_ms: int | None) -> tuple[bytes, memoryview]:
    """A key's record in two pieces: what comes before the value, and the value."""
    begin = (dump[:1], length(len(name)), name)
    if expires_at_ms is not None:
        begin = (_EXPIRES_AT_MS, struct.pack("<q", expires_at_ms), *begin)  # type: ignore[assignment] # two more pieces
    return b"".join(begin), memoryview(dump)[1:-FOOTER_BYTES]


def length(number: int) -> bytes:
    """A length as the format writes it: in one byte, two, five or nine."""
    if number < 1 << 6:
        return bytes((number,))
    if number < 1 << 14:
        return bytes((0x40 | number >> 8, number & 0xFF))
    if number < 1 << 32:
        return b"\x80" + struct.pack(">I", number)
    return b"\x81" + struct.pack(">Q", number)


def _string(text: bytes) -> bytes:
    return length(len(text)) + text


class Summed:
    """Sums the pieces of a file in their order, so that its end can be written."""

    def __init__(self) -> None:
        self._crc64 = 0

    def add(self, piece: bytes | memoryview) -> bytes | memoryview:
        """The piece, summed."""
        self._crc64 = crc64_redis(piece, self._crc64)
        return piece

    def end(self) -> bytes:
        """The file's last nine bytes."""
        return _END + crc64_redis(_END, self._crc64).to_bytes(8, "little")
