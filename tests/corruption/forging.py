"""Gives a file any CRC64 that a test wants, by choosing eight of its bytes. Pure.

The sum is linear over single bits, so the eight bytes are the answer to 64 equations with 64 unknowns.
"""

from __future__ import annotations

from rdbkeeper.rdb.checksum import crc64_redis

_BITS = 64


def forge_checksum(data: bytes, at: int, wanted: int) -> bytes:
    """The same file with eight bytes at `at` chosen, and its trailer set, so that its own CRC64 is `wanted`."""
    start, rest = data[:at], data[at + 8 : -8]
    state = crc64_redis(start)
    # What the eight bytes leave behind passes through the rest as through zeros; the rest adds its own sum.
    zeros = bytes(8 + len(rest))
    columns = [crc64_redis(zeros, 1 << bit) for bit in range(_BITS)]
    chosen = _solve(columns, wanted ^ crc64_redis(rest)) ^ state
    return start + chosen.to_bytes(8, "little") + rest + wanted.to_bytes(8, "little")


def _solve(columns: list[int], target: int) -> int:
    """The number whose bits say which columns add up, by exclusive or, to the target."""
    pivots: dict[int, tuple[int, int]] = {}
    for bit, column in enumerate(columns):
        value, used = _reduce(column, 1 << bit, pivots)
        pivots[value.bit_length()] = (value, used)
    left, used = _reduce(target, 0, pivots)
    assert left == 0, "the columns are independent, so every target can be reached"
    return used


def _reduce(value: int, used: int, pivots: dict[int, tuple[int, int]]) -> tuple[int, int]:
    while value and value.bit_length() in pivots:
        pivot, with_bits = pivots[value.bit_length()]
        value, used = value ^ pivot, used ^ with_bits
    return value, used
