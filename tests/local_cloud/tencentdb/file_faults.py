"""What can go wrong while a backup file is read, switched on by a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

FileFault = Literal[
    "expire",  # the link that a request at or behind `at` comes with is over from then on; another link is good
    "gone",  # the backup expires when a request at or behind `at` comes
    "busy",  # 503 SlowDown to a request at or behind `at`
    "error-page",  # 200 with a page of HTML instead
    "ignore-range",  # 200 with the whole file, whatever the range
    "redirect",  # 302 to `location`
    "changed",  # the file is another one, with another ETag, from a request at or behind `at` on
    "cut",  # the connection ends at `at`, before what was promised
    "short",  # the file ends at `at`, without a word
    "longer",  # the file is 1,000 bytes longer than DescribeBackupUrl says
    "excess",  # an answer to a range carries 64 bytes more than the range
    "flip",  # the byte at `at` is another one
]
_ONCE = ("expire", "busy", "cut")
_IN_THE_MIDDLE = ("cut", "short", "flip")
LONGER_BYTES = 1000
EXCESS_BYTES = 64
_CHUNK_BYTES = 64 * 1024


@dataclass
class Fault:
    """One fault of one file; `left` counts how often it still happens, None is always."""

    mode: FileFault
    at: int
    location: str
    left: int | None


class FileFaults:
    """The faults that are switched on, by the paths of the files."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, list[Fault]] = {}

    def add(
        self, path: str, mode: FileFault, *, size_bytes: int, at: int | None, times: int | None, location: str
    ) -> None:
        """Switch one on; see TencentDB.fault."""
        if mode not in get_args(FileFault):
            raise ValueError(f"{mode} is none of {get_args(FileFault)}")
        if at is None:
            at = size_bytes // 2 if mode in _IN_THE_MIDDLE else 0
        if times is None and mode in _ONCE:
            times = 1
        with self._lock:
            self._faults.setdefault(path, []).append(Fault(mode, at, location, times))

    def clear(self, paths: Sequence[str] | None = None) -> None:
        """Switch off all faults of some files, or of all."""
        with self._lock:
            for path in list(self._faults) if paths is None else paths:
                self._faults.pop(path, None)

    def strike(self, path: str, mode: FileFault, first: int, last: int | None = None) -> Fault | None:
        """Return the fault of that mode that happens to a request from byte `first` on, and count it.

        With `last`, the fault happens only when its place lies from `first` to `last`.
        """
        with self._lock:
            for fault in self._faults.get(path, ()):
                there = fault.at <= first if last is None else first <= fault.at <= last
                if fault.mode == mode and fault.left != 0 and there:
                    fault.left = fault.left and fault.left - 1
                    return fault
        return None


@dataclass(frozen=True)
class Content:
    """A stored file as it is sent: whole, or shorter, longer or with one byte changed."""

    stored: Path
    size_bytes: int
    end: int | None = None
    flipped: int | None = None
    extra_bytes: int = 0

    @property
    def length(self) -> int:
        """Return how long the file seems to be."""
        return (self.size_bytes if self.end is None else min(self.end, self.size_bytes)) + self.extra_bytes

    def chunks(self, first: int, length: int) -> Iterator[bytes]:
        """Yield the bytes from `first` on; those behind the stored file's end are zeros."""
        with self.stored.open("rb") as content:
            content.seek(first)
            while length > 0:
                chunk = content.read(min(length, _CHUNK_BYTES)) or bytes(min(length, _CHUNK_BYTES))
                yield self._flip(chunk, first)
                first += len(chunk)
                length -= len(chunk)

    def _flip(self, chunk: bytes, first: int) -> bytes:
        if self.flipped is None or not first <= self.flipped < first + len(chunk):
            return chunk
        changed = bytearray(chunk)
        changed[self.flipped - first] ^= 0xFF
        return bytes(changed)
