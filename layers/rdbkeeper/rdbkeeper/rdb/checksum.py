"""The two 64-bit sums of a stream: the RDB format's own, and the one that S3 keeps of a whole object.

Both come from anycrc: 10 GB/s for either (measured), wheels for x86-64 and arm64. A call holds the interpreter's
lock, so data are fed in slices.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from rdbkeeper.domain.sums import Sums
from rdbkeeper.rdb.envelope import HEADER_BYTES, TRAILER_BYTES

_SLICE_BYTES = 1 << 20


@cache
def _model(name: str) -> Any:
    # Imported where it is used: most handlers sum nothing.
    import anycrc

    return anycrc.Model(name)


def crc64_redis(data: bytes | memoryview, crc: int = 0) -> int:
    """The CRC-64 that ends an RDB file (Jones polynomial, reflected, start 0), carried on from `crc`."""
    return _feed("CRC64-REDIS", data, crc)


def crc64_nvme(data: bytes | memoryview, crc: int = 0) -> int:
    """The CRC-64/NVME that S3 keeps as a full-object checksum, carried on from `crc`."""
    return _feed("CRC64-NVME", data, crc)


def sum_up(data: memoryview) -> Sums:
    """The sums of one piece, which know nothing of what comes before it."""
    return Sums(
        size_bytes=len(data),
        crc64=crc64_redis(data),
        crc64nvme=crc64_nvme(data),
        head=bytes(data[:HEADER_BYTES]),
        tail=bytes(data[-TRAILER_BYTES:]),
    )


def join(first: Sums, second: Sums) -> Sums:
    """The sums of two pieces put together, from those of each."""
    if not first.size_bytes:
        return second
    return Sums(
        size_bytes=first.size_bytes + second.size_bytes,
        crc64=_combine("CRC64-REDIS", first.crc64, second.crc64, second.size_bytes),
        crc64nvme=_combine("CRC64-NVME", first.crc64nvme, second.crc64nvme, second.size_bytes),
        head=(first.head + second.head)[:HEADER_BYTES],
        tail=(first.tail + second.tail)[-TRAILER_BYTES:],
    )


def as_base64(crc: int) -> str:
    """A 64-bit sum as S3's headers carry it: big-endian, base64."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


def as_hex(crc: int) -> str:
    """A 64-bit sum as a manifest carries it: 16 hex digits."""
    return f"{crc:016x}"


def _combine(name: str, first: int, second: int, second_bytes: int) -> int:
    return int(_model(name).combine(first, second, second_bytes))


def _feed(name: str, data: bytes | memoryview, crc: int) -> int:
    calc = _model(name).calc
    view = memoryview(data)
    for start in range(0, len(view), _SLICE_BYTES):
        crc = calc(view[start : start + _SLICE_BYTES], crc)
    return int(crc)
