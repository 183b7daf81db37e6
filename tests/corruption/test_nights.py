"""Damaged backups in whole runs: each fails by name and leaves nothing, and the whole ones beside it are copied."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.corruption.damage import Flip, Truncation, plan_flips, plan_truncations
from tests.corruption.nights import Delivery, wrong_nights
from tests.corruption.other_damage import DAMAGES
from tests.corruption.real_files import RealFile, RealFiles
from tests.corruption.rulings import UNCHECKED_ZERO, VERIFIED

FILE_NUMBERS = range(4)
# Parts as small as the files allow, so that most of them are copied in many.
PART_BYTES = {"rich": 32_768, "plain": 65_536, "small": 64, "empty": 16}


def sample(plan: Sequence[Flip | Truncation], file: RealFile, count: int) -> list[Flip | Truncation]:
    """Evenly from all that is planned for one file, its ends included."""
    of_file = [damage for damage in plan if damage.file is file]
    last = len(of_file) - 1
    return [of_file[round(number * last / (count - 1))] for number in range(count)]


def between_whole_ones(file: RealFile, deliveries: Sequence[Delivery]) -> list[Delivery]:
    return [
        Delivery("a whole one before", file.data, VERIFIED),
        *deliveries,
        Delivery("a whole one after", file.data, VERIFIED),
    ]


@pytest.mark.parametrize("number", FILE_NUMBERS)
def test_a_backup_with_a_flipped_bit_leaves_nothing(real_files: RealFiles, number: int) -> None:
    file = real_files.various[number]
    flips = sample(plan_flips(real_files.various), file, 74)
    deliveries = [Delivery(flip.what, flip.data, flip.expected) for flip in flips]
    assert list(wrong_nights(between_whole_ones(file, deliveries), PART_BYTES[file.name])) == []


@pytest.mark.parametrize("number", FILE_NUMBERS)
def test_a_backup_that_is_listed_cut_leaves_nothing(real_files: RealFiles, number: int) -> None:
    file = real_files.various[number]
    cuts = sample(plan_truncations(real_files.various), file, 36)
    deliveries = [Delivery(cut.what, cut.data, cut.expected) for cut in cuts]
    assert list(wrong_nights(between_whole_ones(file, deliveries), PART_BYTES[file.name])) == []


@pytest.mark.parametrize("number", FILE_NUMBERS)
def test_a_stream_that_ends_before_the_listed_length_leaves_nothing(real_files: RealFiles, number: int) -> None:
    file = real_files.various[number]
    cuts = sample(plan_truncations(real_files.various), file, 36)
    deliveries = [Delivery(cut.what, file.data, "StreamCutShort", cut.length_bytes) for cut in cuts]
    assert list(wrong_nights(between_whole_ones(file, deliveries), PART_BYTES[file.name])) == []


def test_other_damage_leaves_nothing_or_is_published_as_unchecked(real_files: RealFiles) -> None:
    data = real_files.fixed.data
    deliveries = [Delivery(damage.name, damage.apply(data), damage.expected) for damage in DAMAGES]
    assert list(wrong_nights(between_whole_ones(real_files.fixed, deliveries), 32_768)) == []


def test_a_server_that_writes_no_sum_gets_unchecked_copies(real_files: RealFiles) -> None:
    delivery = Delivery("written with rdbchecksum off", real_files.without_sum.data, UNCHECKED_ZERO)
    assert list(wrong_nights([delivery], 64)) == []
