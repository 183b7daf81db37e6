"""What is known of a run of bytes that has passed: enough to check the whole that it is a piece of. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sums:
    """A run of bytes: how many, their two 64-bit sums, and the first and the last of them (at most nine each)."""

    size_bytes: int = 0
    crc64: int = 0
    crc64nvme: int = 0
    head: bytes = b""
    tail: bytes = b""
