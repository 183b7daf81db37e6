"""The two 64-bit sums of a stream: the RDB format's own, and the one that S3 keeps of a whole object.

Both come from anycrc: 10 GB/s for either (measured), wheels for x86-64 and arm64. A call holds the interpreter's
lock, so data are fed in slices.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

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


def combine_crc64_nvme(first: int, second: int, second_length: int) -> int:
    """The CRC-64/NVME of two pieces put together, from the sums of each and the second's length in bytes."""
    return int(_model("CRC64-NVME").combine(first, second, second_length))


def as_base64(crc: int) -> str:
    """A 64-bit sum as S3's headers carry it: big-endian, base64."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


def as_hex(crc: int) -> str:
    """A 64-bit sum as a manifest carries it: 16 hex digits."""
    return f"{crc:016x}"


def _feed(name: str, data: bytes | memoryview, crc: int) -> int:
    calc = _model(name).calc
    view = memoryview(data)
    for start in range(0, len(view), _SLICE_BYTES):
        crc = calc(view[start : start + _SLICE_BYTES], crc)
    return int(crc)
