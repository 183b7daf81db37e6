"""RDB files of any size, made by hand: a header, bytes that mean nothing, an end marker and a right CRC64."""

from __future__ import annotations

import random

from rdbkeeper.rdb.checksum import crc64_redis


def rdb_file(size_bytes: int = 100, seed: int = 1, magic: bytes = b"REDIS0011", checksum: bool = True) -> bytes:
    """A file of exactly that size that passes every check on header, end and CRC64."""
    filler = random.Random(seed).randbytes(size_bytes - len(magic) - 9)
    body = magic + filler + b"\xff"
    return body + (crc64_redis(body).to_bytes(8, "little") if checksum else bytes(8))


def flip_bit(data: bytes, at: int, bit: int = 0) -> bytes:
    """The same bytes with one bit turned."""
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
