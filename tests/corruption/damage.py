"""Bit flips and truncations from fixed seeds, and what has to be said of each. Pure.

What is expected follows from the place of the damage and the format's rules, not from the code under test.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.corruption.real_files import RealFile, find_version
from tests.corruption.rulings import UNCHECKED_ZERO, Trial, unchecked_format

FLIPS = 2_000
TRUNCATIONS = 500
_HEADER, _TRAILER = 9, 9
_NEAR_AN_END_BYTES = 40


@dataclass(frozen=True)
class Flip:
    """One bit of one file."""

    file: RealFile
    at: int
    bit: int

    @property
    def region(self) -> str:
        from_end = len(self.file.data) - self.at
        if self.at < _HEADER:
            return "header"
        if from_end > _TRAILER:
            return "body"
        return "end marker" if from_end == _TRAILER else "checksum"

    @property
    def data(self) -> bytes:
        """The file with the bit turned."""
        data = bytearray(self.file.data)
        data[self.at] ^= 1 << self.bit
        return bytes(data)

    @property
    def expected(self) -> str:
        if self.region == "header":
            return _expected_of_header(self.data)
        return "EndMarkerMissing" if self.region == "end marker" else "ChecksumMismatch"

    @property
    def what(self) -> str:
        return f"bit {self.bit} of byte {self.at} of {self.file.name}, in its {self.region}"


@dataclass(frozen=True)
class Truncation:
    """The first bytes of one file."""

    file: RealFile
    length_bytes: int

    @property
    def data(self) -> bytes:
        return self.file.data[: self.length_bytes]

    @property
    def expected(self) -> str:
        data = self.data
        if len(data) < _HEADER:
            return "NotAnRdbFile"
        if len(data) < _HEADER + _TRAILER or data[-_TRAILER] != 0xFF:
            return "EndMarkerMissing"
        return "ChecksumMismatch" if any(data[-8:]) else UNCHECKED_ZERO

    @property
    def what(self) -> str:
        return f"the first {self.length_bytes} of {len(self.file.data)} bytes of {self.file.name}"


def plan_flips(files: Sequence[RealFile], count: int = FLIPS) -> list[Flip]:
    """Every bit of every header, end marker and checksum, and for the rest random bits of the bodies, evenly."""
    flips = []
    for number, file in enumerate(files):
        size_bytes = len(file.data)
        edges = [*range(_HEADER), *range(size_bytes - _TRAILER, size_bytes)]
        flips += [Flip(file, at, bit) for at in edges for bit in range(8)]
        body_count = count // len(files) - len(edges) * 8
        places = random.Random(f"flips/{number}").sample(range(_HEADER * 8, (size_bytes - _TRAILER) * 8), body_count)
        flips += [Flip(file, place // 8, place % 8) for place in places]
    return flips


def plan_truncations(files: Sequence[RealFile], count: int = TRUNCATIONS) -> list[Truncation]:
    """Every length near both ends of every file, and for the rest random ones between, in the long files in turn."""
    lengths = []
    for file in files:
        size_bytes = len(file.data)
        near_the_end = range(max(_NEAR_AN_END_BYTES, size_bytes - _NEAR_AN_END_BYTES), size_bytes)
        lengths.append({*range(_NEAR_AN_END_BYTES), *near_the_end})
    chance = random.Random("truncations")
    long = [number for number, file in enumerate(files) if len(file.data) > 10_000]
    while (missing := count - sum(len(of_file) for of_file in lengths)) > 0:
        number = long[missing % len(long)]
        lengths[number].add(chance.randrange(_NEAR_AN_END_BYTES, len(files[number].data) - _NEAR_AN_END_BYTES))
    return [
        Truncation(file, length) for file, of_file in zip(files, lengths, strict=True) for length in sorted(of_file)
    ]


def as_trials(damages: Sequence[Flip | Truncation]) -> Iterator[Trial]:
    """Each damage with its bytes, made only when its turn comes: together they would be hundreds of megabytes."""
    return (Trial(damage.what, damage.data, damage.expected) for damage in damages)


def _expected_of_header(data: bytes) -> str:
    version = find_version(data[:_HEADER])
    if not version:
        return "NotAnRdbFile"
    if version >= 5:
        return "ChecksumMismatch"
    # A format without a CRC ends with its marker; here the CRC's last byte stands in that place.
    return unchecked_format(data[:_HEADER].decode()) if data[-1] == 0xFF else "EndMarkerMissing"
