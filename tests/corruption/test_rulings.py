"""What is said of damaged files once all their bytes have passed: no damage is ever called verified."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from rdbkeeper.domain.errors import ChecksumMismatch, NotAnRdbFile
from rdbkeeper.flows.runs import publish
from rdbkeeper.rdb.envelope import Verdict, judge, read_version
from tests.corruption.damage import FLIPS, TRUNCATIONS, as_trials, plan_flips, plan_truncations
from tests.corruption.other_damage import DAMAGES, Damage
from tests.corruption.real_files import RealFiles, find_version
from tests.corruption.rulings import UNCHECKED_ZERO, VERIFIED, Trial, rule_on, wrong_rulings


def test_whole_files_are_verified_and_those_without_a_sum_are_not(real_files: RealFiles) -> None:
    assert {rule_on(file.data) for file in (*real_files.various, real_files.fixed)} == {VERIFIED}
    assert rule_on(real_files.without_sum.data) == UNCHECKED_ZERO


def test_2000_flipped_bits_are_each_found(real_files: RealFiles) -> None:
    flips = plan_flips(real_files.various)
    assert len({(flip.file.name, flip.at, flip.bit) for flip in flips}) == FLIPS
    assert Counter(flip.region for flip in flips) == {"header": 288, "body": 1424, "end marker": 32, "checksum": 256}
    assert list(wrong_rulings(as_trials(flips))) == []
    assert VERIFIED not in {flip.expected for flip in flips}


def test_500_truncations_are_each_found(real_files: RealFiles) -> None:
    cuts = plan_truncations(real_files.various)
    assert len({(cut.file.name, cut.length_bytes) for cut in cuts}) == TRUNCATIONS
    assert list(wrong_rulings(as_trials(cuts))) == []
    assert VERIFIED not in {cut.expected for cut in cuts}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_other_damage_is_found_or_called_unchecked(real_files: RealFiles, damage: Damage) -> None:
    data = damage.apply(real_files.fixed.data)
    assert data != real_files.fixed.data
    assert rule_on(data) == damage.expected


def other_trials(real_files: RealFiles) -> Iterator[Trial]:
    return (Trial(damage.name, damage.apply(real_files.fixed.data), damage.expected) for damage in DAMAGES)


# Mistakes that a judge could make; each has to be noticed by the trials above.


def skips_the_header(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    return judge(b"REDIS0011", trailer, size_bytes, crc64)


def skips_the_end_marker(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    return judge(header, b"\xff" + trailer[1:], size_bytes, crc64)


def skips_the_length(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    return judge(header, trailer if size_bytes > 17 else b"\xff" + bytes(8), 18, crc64)


def ignores_the_sum(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    return judge(header, trailer, size_bytes, 0)


def compares_half_of_the_sum(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    return judge(header, trailer, size_bytes, crc64 & ((1 << 32) - 1) if size_bytes < 1000 else 0)


def takes_zeros_for_a_sum(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    return replace(judge(header, trailer, size_bytes, crc64), unchecked_reason="", checks=("crc64",))


def refuses_zeros(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    if not any(trailer[1:]):
        raise ChecksumMismatch("The sum is zero.", hint="None.")
    return judge(header, trailer, size_bytes, crc64)


def refuses_what_is_newer_than_it(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    if (find_version(header) or 0) > 90:
        raise NotAnRdbFile("The format is unknown.", hint="None.")
    return judge(header, trailer, size_bytes, crc64)


def believes_that_old_formats_have_a_sum(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    return judge(b"REDIS0005" if header == b"REDIS0004" else header, trailer, size_bytes, crc64)


def believes_that_no_format_has_a_sum(header: bytes, trailer: bytes, size_bytes: int, crc64: int) -> Verdict:
    read_version(header)
    return judge(b"REDIS0004", trailer, size_bytes, crc64)


MISTAKES = [
    skips_the_header,
    skips_the_end_marker,
    skips_the_length,
    ignores_the_sum,
    compares_half_of_the_sum,
    takes_zeros_for_a_sum,
    refuses_zeros,
    refuses_what_is_newer_than_it,
    believes_that_old_formats_have_a_sum,
    believes_that_no_format_has_a_sum,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_judge_with_a_mistake_is_found_out(
    real_files: RealFiles, mistake: Callable[..., Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "judge", mistake)
    trials = [
        *other_trials(real_files),
        *as_trials(plan_flips(real_files.various[2:], 1_000)),
        *as_trials(plan_truncations(real_files.various)[:100]),
    ]
    assert list(wrong_rulings(trials))
