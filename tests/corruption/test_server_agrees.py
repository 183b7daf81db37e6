"""Our rulings beside a real server's: what we call verified it loads, what it refuses we never call verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corruption.damage import plan_flips, plan_truncations
from tests.corruption.other_damage import DAMAGES, Damage, Server, with_right_sum, with_version
from tests.corruption.real_files import RealFiles, find_version
from tests.corruption.rulings import UNCHECKED_ZERO, VERIFIED, rule_on
from tests.corruption.server_opinion import ask_server
from tests.corruption.test_nights import FILE_NUMBERS, sample

FIRST_VERSION_WITH_SUM = 5


def test_a_server_loads_what_we_call_verified(real_files: RealFiles, tmp_path: Path) -> None:
    for file in (*real_files.various, real_files.fixed):
        assert rule_on(file.data) == VERIFIED
        opinion = ask_server(tmp_path, file.data)
        assert (opinion.passes_check, opinion.holds) == (True, file.digest)


def test_a_server_loads_what_it_wrote_without_a_sum(real_files: RealFiles, tmp_path: Path) -> None:
    file = real_files.without_sum
    assert rule_on(file.data) == UNCHECKED_ZERO
    assert ask_server(tmp_path, file.data).holds == file.digest


@pytest.mark.parametrize("number", FILE_NUMBERS)
def test_a_server_refuses_flipped_bits_as_we_do(real_files: RealFiles, number: int, tmp_path: Path) -> None:
    file = real_files.various[number]
    for flip in sample(plan_flips(real_files.various), file, 20):
        opinion = ask_server(tmp_path, flip.data)
        if flip.region != "header":
            assert (opinion.passes_check, opinion.holds) == (False, None), flip.what
        elif opinion.holds is not None:
            # Its reader takes "001p" for version 1, which has no CRC, and so checks none; we refuse the header.
            assert opinion.holds == file.digest, flip.what
        assert rule_on(flip.data) != VERIFIED, flip.what


@pytest.mark.parametrize("number", FILE_NUMBERS)
def test_a_server_refuses_truncations_as_we_do(real_files: RealFiles, number: int, tmp_path: Path) -> None:
    for cut in sample(plan_truncations(real_files.various), real_files.various[number], 10):
        opinion = ask_server(tmp_path, cut.data)
        assert (opinion.passes_check, opinion.holds) == (False, None), cut.what
        assert rule_on(cut.data) != VERIFIED, cut.what


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_a_server_and_we_differ_only_where_it_is_known(real_files: RealFiles, damage: Damage, tmp_path: Path) -> None:
    opinion = ask_server(tmp_path, damage.apply(real_files.fixed.data))
    if opinion.holds is None:
        said = Server.REFUSES
    else:
        said = Server.LOADS_THE_SAME if opinion.holds == real_files.fixed.digest else Server.LOADS_OTHER_DATA
    assert (said, opinion.passes_check) == (damage.server, damage.server is not Server.REFUSES), opinion.words


def test_nothing_verified_is_refused_but_a_format_that_this_server_is_too_old_for() -> None:
    refused = [damage.name for damage in DAMAGES if damage.expected == VERIFIED and damage.server is Server.REFUSES]
    assert refused == ["a future version"]


def test_a_server_says_of_a_future_version_only_that_it_is_too_new(real_files: RealFiles, tmp_path: Path) -> None:
    data = with_right_sum(with_version(real_files.fixed.data, 99))
    assert "Can't handle RDB format version 99" in ask_server(tmp_path, data).words


def test_a_server_loads_every_version_with_a_sum_that_it_knows(real_files: RealFiles, tmp_path: Path) -> None:
    known = find_version(real_files.fixed.data[:9])
    assert known is not None
    # Formats with the other magic begin at 80.
    first = FIRST_VERSION_WITH_SUM if real_files.fixed.data.startswith(b"REDIS") else known
    for version in range(first, known + 1):
        older = with_right_sum(with_version(real_files.fixed.data, version))
        assert rule_on(older) == VERIFIED
        assert ask_server(tmp_path, older).holds == real_files.fixed.digest
