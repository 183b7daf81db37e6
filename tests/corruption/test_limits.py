"""Where a file's own sum says nothing, or too much: rare, known, and never worse than these tests say."""

from __future__ import annotations

from pathlib import Path

from rdbkeeper.rdb.checksum import crc64_redis
from tests.corruption.forging import forge_checksum
from tests.corruption.other_damage import with_version
from tests.corruption.real_files import ANCHOR, RealFiles, load_digest
from tests.corruption.rulings import UNCHECKED_ZERO, VERIFIED, rule_on, unchecked_format
from tests.fakes.rdb_files import flip_bit, rdb_file


def with_checksum(real_files: RealFiles, wanted: int) -> bytes:
    """A file of a real server whose right CRC64 is that number."""
    data = real_files.fixed.data
    # Where the first forging put its eight bytes, the second may put others.
    return forge_checksum(data, data.index(b"anchor") + len(b"anchor") + 1, wanted)


def test_a_forged_sum_is_right_for_its_bytes() -> None:
    data = forge_checksum(rdb_file(5_000), 700, 0xFEED)
    assert crc64_redis(data[:-8]) == 0xFEED == int.from_bytes(data[-8:], "little")
    assert rule_on(data) == VERIFIED


def test_a_sum_of_one_bit_may_be_lost_and_the_file_is_then_unchecked(real_files: RealFiles) -> None:
    data = with_checksum(real_files, 1 << 20)
    assert rule_on(data) == VERIFIED
    assert rule_on(flip_bit(data, len(data) - 6, 4)) == UNCHECKED_ZERO


def test_a_file_whose_right_sum_is_zero_is_unchecked(real_files: RealFiles) -> None:
    assert rule_on(with_checksum(real_files, 0)) == UNCHECKED_ZERO


def test_a_version_turned_into_one_without_a_sum_is_at_best_unchecked(real_files: RealFiles) -> None:
    for version in (1, 2, 3, 4):
        damaged = with_version(with_checksum(real_files, 0xFF << 56 | 1), version)
        assert rule_on(damaged) == unchecked_format(damaged[:9].decode())
        assert rule_on(with_version(real_files.fixed.data, version)) == "EndMarkerMissing"


def test_zeros_after_a_whole_file_may_pass_and_the_file_loads_as_without_them(
    real_files: RealFiles, tmp_path: Path
) -> None:
    """One sum in 256 for each count: the CRC's byte in the end marker's place is 0xff, and zeros leave a 0 sum at 0."""
    data = with_checksum(real_files, 0x01FF01)
    assert rule_on(data + bytes(1)) == "EndMarkerMissing"
    assert rule_on(data + bytes(2)) == VERIFIED
    assert load_digest(tmp_path, data + bytes(2)) == load_digest(tmp_path, data)


def test_the_marked_string_is_where_it_was_forged(real_files: RealFiles) -> None:
    assert ANCHOR not in real_files.fixed.data
    assert with_checksum(real_files, 0x0123456789ABCDEF) == real_files.fixed.data
