"""What else happens to files between a server and a bucket: each with our ruling, and what a server says of it. Pure.

A server's loader stops at the first end marker and looks at nothing behind it; that is where the two differ.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from rdbkeeper.rdb.checksum import crc64_redis
from tests.corruption.real_files import WITNESS, ZEROS_AFTER_FF
from tests.corruption.rulings import UNCHECKED_ZERO, VERIFIED, unchecked_format

_ERROR_PAGE = b"<!DOCTYPE html><html><head><title>503 Service Temporarily Unavailable</title></head></html>\n"
_ERROR_XML = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)
_COMMANDS = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"
_BLOCK_BYTES = 4096


class Server(Enum):
    """What a server does with a file, seen against what the whole one holds."""

    REFUSES = "refuses it"
    LOADS_THE_SAME = "loads what the whole file holds"
    LOADS_OTHER_DATA = "loads other data"


@dataclass(frozen=True)
class Damage:
    """One thing that happens to a file whose CRC64 is FIXED_CHECKSUM."""

    name: str
    apply: Callable[[bytes], bytes]
    expected: str
    server: Server


END_MARKER = 0xFF


def with_version(data: bytes, number: int) -> bytes:
    """The same file with another format version in its header; the sum is left as it is."""
    magic = b"VALKEY%03d" if data.startswith(b"VALKEY") else b"REDIS%04d"
    return magic % number + data[9:]


def with_right_sum(data: bytes) -> bytes:
    """The same file with the CRC64 that its bytes have."""
    return data[:-8] + crc64_redis(data[:-8]).to_bytes(8, "little")


def flip_witness(data: bytes) -> bytes:
    """The same file with one bit of one string's value turned."""
    at = data.index(WITNESS)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def zero_sum(data: bytes) -> bytes:
    """The same file with the eight zeros that mean that no CRC64 was computed."""
    return data[:-8] + bytes(8)


def of_old_format(data: bytes) -> bytes:
    """The same file in format 4, the last without a CRC64."""
    return b"REDIS0004" + data[9:-8]


def cut(data: bytes, marker_from_end: int) -> bytes:
    """The file cut by a byte, or by more where chance has put what looks like an end marker where one should stand."""
    return next(data[:-count] for count in range(1, 99) if data[:-count][-marker_from_end] != END_MARKER)


def _noise(size_bytes: int) -> bytes:
    # Without 0xff, which would look like an end marker in one of 256 tries.
    return bytes(byte & 0x7F for byte in random.Random(f"noise/{size_bytes}").randbytes(size_bytes))


def _replace_block(data: bytes, make: Callable[[bytes, bytes], bytes]) -> bytes:
    """The same file with the two blocks in its middle replaced by what is made of them."""
    first, second, third = (len(data) // 2 + step * _BLOCK_BYTES for step in range(3))
    return data[:first] + make(data[first:second], data[second:third]) + data[third:]


_NO_RDB_FILES = [
    Damage("nothing at all", lambda data: b"", "NotAnRdbFile", Server.REFUSES),
    Damage("an error page", lambda data: _ERROR_PAGE, "NotAnRdbFile", Server.REFUSES),
    Damage("an error in XML", lambda data: _ERROR_XML, "NotAnRdbFile", Server.REFUSES),
    Damage("an error in JSON", lambda data: b'{"message": "Forbidden"}', "NotAnRdbFile", Server.REFUSES),
    Damage("a gzip file", lambda data: gzip.compress(data, mtime=0), "NotAnRdbFile", Server.REFUSES),
    Damage("commands", lambda data: _COMMANDS, "NotAnRdbFile", Server.REFUSES),
    Damage("zeros of its length", lambda data: bytes(len(data)), "NotAnRdbFile", Server.REFUSES),
    Damage("noise of its length", lambda data: _noise(len(data)), "NotAnRdbFile", Server.REFUSES),
    Damage("another magic", lambda data: b"RADIS" + data[5:], "NotAnRdbFile", Server.REFUSES),
    Damage("a small-letter magic", lambda data: data[:9].lower() + data[9:], "NotAnRdbFile", Server.REFUSES),
    Damage("a byte order mark before it", lambda data: b"\xef\xbb\xbf" + data, "NotAnRdbFile", Server.REFUSES),
    Damage("a line's end before it", lambda data: b"\n" + data, "NotAnRdbFile", Server.REFUSES),
    Damage("its first byte lost", lambda data: data[1:], "NotAnRdbFile", Server.REFUSES),
    Damage("version 0", lambda data: with_version(data, 0), "NotAnRdbFile", Server.REFUSES),
]
_OTHER_VERSIONS = [
    Damage("a future version", lambda data: with_right_sum(with_version(data, 99)), VERIFIED, Server.REFUSES),
    Damage("a future version, wrong sum", lambda data: with_version(data, 99), "ChecksumMismatch", Server.REFUSES),
    Damage("an old format", of_old_format, unchecked_format("REDIS0004"), Server.LOADS_THE_SAME),
    Damage(
        "an old format, one bit turned",
        lambda data: of_old_format(flip_witness(data)),
        unchecked_format("REDIS0004"),
        Server.LOADS_OTHER_DATA,
    ),
    Damage(
        "an empty server's file of an old format",
        lambda data: b"REDIS0004\xff",
        unchecked_format("REDIS0004"),
        Server.LOADS_OTHER_DATA,
    ),
    Damage("an old format, cut", lambda data: cut(of_old_format(data), 1), "EndMarkerMissing", Server.REFUSES),
    Damage(
        "an old format before a CRC",
        lambda data: b"REDIS0004" + data[9:],
        "EndMarkerMissing",
        Server.LOADS_THE_SAME,
    ),
]
_SUMS = [
    Damage("a zeroed sum", zero_sum, UNCHECKED_ZERO, Server.LOADS_THE_SAME),
    Damage(
        "a zeroed sum, one bit turned",
        lambda data: zero_sum(flip_witness(data)),
        UNCHECKED_ZERO,
        Server.LOADS_OTHER_DATA,
    ),
    Damage("a zeroed sum, cut", lambda data: cut(zero_sum(data), 9), "EndMarkerMissing", Server.REFUSES),
    Damage("a zeroed end marker and sum", lambda data: data[:-9] + bytes(9), "EndMarkerMissing", Server.REFUSES),
    Damage(
        "cut where its data look like an end without a sum",
        lambda data: data[: data.index(ZEROS_AFTER_FF) + 9],
        UNCHECKED_ZERO,
        Server.REFUSES,
    ),
    Damage(
        "its sum byte by byte in reverse", lambda data: data[:-8] + data[:-9:-1], "ChecksumMismatch", Server.REFUSES
    ),
]
_TOO_MUCH = [
    *(
        Damage(
            f"{count} more bytes",
            lambda data, count=count: data + _noise(count),
            "EndMarkerMissing",
            Server.LOADS_THE_SAME,
        )
        for count in (1, 8, 9, 4096)
    ),
    *(
        Damage(
            f"{count} more zeros",
            lambda data, count=count: data + bytes(count),
            "EndMarkerMissing",
            Server.LOADS_THE_SAME,
        )
        for count in (1, 8, 9, 4096)
    ),
    Damage("a line's end after it", lambda data: data + b"\n", "EndMarkerMissing", Server.LOADS_THE_SAME),
    Damage("an error page after it", lambda data: data + _ERROR_PAGE, "EndMarkerMissing", Server.LOADS_THE_SAME),
    Damage("commands after it", lambda data: data + _COMMANDS, "EndMarkerMissing", Server.LOADS_THE_SAME),
    Damage("the header of a second one", lambda data: data + data[:9], "EndMarkerMissing", Server.LOADS_THE_SAME),
    # The one difference that no sum shows: after a whole file the sum is 0 again, as at the start.
    Damage("a second whole one after it", lambda data: data + data, VERIFIED, Server.LOADS_THE_SAME),
]
_TORN = [
    Damage("a lost block", lambda data: _replace_block(data, lambda a, b: b), "ChecksumMismatch", Server.REFUSES),
    Damage(
        "a zeroed block",
        lambda data: _replace_block(data, lambda a, b: bytes(len(a)) + b),
        "ChecksumMismatch",
        Server.REFUSES,
    ),
    Damage(
        "a block twice", lambda data: _replace_block(data, lambda a, b: a + a + b), "ChecksumMismatch", Server.REFUSES
    ),
    Damage("swapped blocks", lambda data: _replace_block(data, lambda a, b: b + a), "ChecksumMismatch", Server.REFUSES),
    Damage("its second half lost", lambda data: data[: len(data) // 2] + data[-9:], "ChecksumMismatch", Server.REFUSES),
    Damage("one bit turned", flip_witness, "ChecksumMismatch", Server.REFUSES),
    Damage(
        "line ends of another system", lambda data: data.replace(b"\n", b"\r\n"), "ChecksumMismatch", Server.REFUSES
    ),
    Damage("taken for text", lambda data: data.decode("utf-8", "replace").encode(), "EndMarkerMissing", Server.REFUSES),
    Damage(
        "taken for text of one byte a letter",
        lambda data: data.decode("latin-1").encode(),
        "EndMarkerMissing",
        Server.REFUSES,
    ),
]
DAMAGES = [*_NO_RDB_FILES, *_OTHER_VERSIONS, *_SUMS, *_TOO_MUCH, *_TORN]
