"""The table of what transfers take, against numbers that were worked out by hand."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.transfer import CopySettings
from tests.bench.transfer_costs import GIGABYTE, HEADER, MEBIBYTE, Legs, plan_transfer, table

FAST, SLOW = 75 * 10**6, 40 * 10**6


@pytest.mark.parametrize(
    "size_gb, rate, part_mib, parts, workers, legs, seconds",
    [
        (1, FAST, 16, 60, 1, 1, 13.3),
        (1, SLOW, 16, 60, 1, 1, 25.0),
        (100, FAST, 16, 5_961, 8, 8, 166.7),  # 12.5 GB each
        (100, SLOW, 16, 5_961, 8, 8, 312.5),
        (1_000, FAST, 96, 9_935, 8, 32, 1_666.7),  # 125 GB each, 40.5 GB in 540 s
        (1_000, SLOW, 96, 9_935, 8, 48, 3_125.0),  # 21.6 GB in 540 s
    ],
)
def test_parts_sandboxes_legs_and_time(
    size_gb: int, rate: int, part_mib: int, parts: int, workers: int, legs: int, seconds: float
) -> None:
    cost = plan_transfer(size_gb * GIGABYTE, rate)
    assert cost.part_size_bytes == part_mib * MEBIBYTE
    assert (cost.parts, cost.legs.workers, cost.legs.count) == (parts, workers, legs)
    assert cost.seconds == pytest.approx(seconds, abs=0.05)


def test_a_leg_ends_when_its_record_is_full() -> None:
    """19 GB are 1,133 parts: one leg at 75 MB/s, as 1,499 fit. 30 GB alone are 1,789 parts and 400 s: two legs."""
    alone = CopySettings(workers=1)
    assert plan_transfer(19 * GIGABYTE, FAST, alone).legs == Legs(workers=1, rounds=1)
    assert plan_transfer(30 * GIGABYTE, FAST, alone).legs == Legs(workers=1, rounds=2)


def test_the_money_for_a_gigabyte() -> None:
    """13.33 GB-seconds and one invocation; 63 PUTs and 60 GETs; 10 operations and 9,000 bytes."""
    cost = plan_transfer(GIGABYTE, FAST)
    assert cost.lambda_usd == pytest.approx(0.000_177_98, rel=1e-4)
    assert cost.requests_usd == pytest.approx(0.000_315 + 0.000_024)
    assert cost.engine_usd == pytest.approx(0.000_080 + 0.000_002_25)
    assert cost.usd == pytest.approx(0.000_599_23, rel=1e-4)


def test_the_money_for_a_terabyte() -> None:
    """13,333 GB-seconds, 37 invocations; 9,938 PUTs, 9,935 GETs; 45 operations and 1.49 MB."""
    cost = plan_transfer(1_000 * GIGABYTE, FAST)
    assert cost.lambda_usd == pytest.approx(0.177_784, rel=1e-4)
    assert cost.requests_usd == pytest.approx(0.049_690 + 0.003_974)
    assert cost.engine_usd == pytest.approx(0.000_360 + 0.000_372_6, rel=1e-4)


def test_several_sandboxes_cost_no_more_gigabyte_seconds_than_one() -> None:
    together, alone = (plan_transfer(100 * GIGABYTE, FAST, CopySettings(workers=workers)) for workers in (8, 1))
    assert together.seconds * 8 == pytest.approx(alone.seconds)
    assert together.lambda_usd == pytest.approx(alone.lambda_usd, rel=1e-3)


def test_twice_the_memory_costs_twice_as_much() -> None:
    once, twice = (plan_transfer(GIGABYTE, FAST, memory_megabytes=megabytes) for megabytes in (1_024, 2_048))
    assert twice.lambda_usd == pytest.approx(2 * once.lambda_usd, rel=0.01)


def test_the_table_has_a_row_for_each_size_and_rate() -> None:
    lines = table().splitlines()
    assert "\n".join(lines[:2]) == HEADER
    assert len(lines) == 2 + 6
    assert lines[2] == "| 1 GB | 75 MB/s | 16 MiB x 60 | 1 | 1 | 13 s | 0.0002 | 0.0003 | 0.0001 | 0.0006 |"
    assert len({line.count("|") for line in lines}) == 1
