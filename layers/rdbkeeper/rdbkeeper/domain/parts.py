"""How a file is cut into parts of one size; the last one may be smaller."""

from __future__ import annotations


def count_parts(size_bytes: int, part_size_bytes: int) -> int:
    """How many parts a file has; an empty one has one, of no bytes."""
    return max(1, -(-size_bytes // part_size_bytes))


def find_part_range(size_bytes: int, part_size_bytes: int, number: int) -> tuple[int, int]:
    """The first byte and the length of part `number` (from 1)."""
    first = (number - 1) * part_size_bytes
    return first, min(part_size_bytes, size_bytes - first)
