"""So many keys are asked for at once that their answers stay small, whatever is wrong with what they weigh."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkeeper.sources.redis.window import LARGE_BYTES, MOST_BYTES, Window

SMALL = 100


def grown(keys: int = 10_000) -> Window:
    """A window that has seen so many small answers."""
    window = Window()
    for _ in range(keys):
        window.saw([SMALL], [SMALL])
    return window


def read(keys: int, size_of: Callable[[int], int], weight_of: Callable[[int], int]) -> list[int]:
    """How many bytes were on their way together, each time that keys were asked for."""
    window, weights, at, together = Window(), [weight_of(number) for number in range(keys)], 0, []
    while at < keys:
        count = window.fit(weights, at)
        sizes = [size_of(number) for number in range(at, at + count)]
        window.saw(sizes, weights[at : at + count])
        together.append(sum(sizes))
        at += count
    return together


def test_the_first_key_is_asked_for_alone() -> None:
    assert Window().fit([SMALL] * 100, 0) == 1


def test_a_window_grows_while_answers_are_small_and_no_further_than_there_are_keys() -> None:
    assert [grown(seen).fit([SMALL] * 1_000, 0) for seen in (7, 16, 80, 800, 100_000)] == [1, 2, 10, 100, 256]
    assert grown().fit([SMALL] * 10, 7) == 3


def test_many_small_keys_take_few_questions() -> None:
    assert len(read(100_000, lambda _: SMALL, lambda _: SMALL)) < 500


def test_a_large_key_is_asked_for_alone_wherever_it_stands() -> None:
    weights = [SMALL] * 5 + [LARGE_BYTES + 1] + [SMALL] * 5
    assert [grown().fit(weights, start) for start in (0, 5, 6)] == [5, 1, 5]


def test_keys_that_weigh_much_together_are_not_asked_for_together() -> None:
    assert grown().fit([LARGE_BYTES] * 100, 0) == MOST_BYTES // LARGE_BYTES


def test_a_large_value_that_was_weighed_rightly_changes_nothing() -> None:
    window = grown()
    window.saw([5_000_000], [5_000_100])
    assert window.fit([SMALL] * 1_000, 0) == 256


@pytest.mark.parametrize("weight", [0, SMALL, LARGE_BYTES])
def test_a_large_value_that_was_weighed_wrong_makes_a_window_begin_anew(weight: int) -> None:
    window = grown()
    window.saw([SMALL, LARGE_BYTES + 1, SMALL], [SMALL, weight, SMALL])
    assert window.fit([SMALL] * 1_000, 0) == 1


@given(st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(0, 2_000_000)), min_size=1, max_size=60))
def test_every_key_has_its_turn_and_rightly_weighed_ones_stay_small_together(keys: list[tuple[int, int]]) -> None:
    window, at = grown(), 0
    weights = [max(size, weight) for size, weight in keys]
    while at < len(keys):
        count = window.fit(weights, at)
        assert 1 <= count <= len(keys) - at
        assert count == 1 or sum(weights[at : at + count]) <= MOST_BYTES
        window.saw([size for size, _ in keys[at : at + count]], weights[at : at + count])
        at += count


def test_values_that_are_all_weighed_wrong_come_one_at_a_time() -> None:
    assert read(300, lambda _: 4_000_000, lambda _: SMALL) == [4_000_000] * 300


def test_one_large_value_in_a_hundred_that_nobody_weighed_rarely_comes_with_another() -> None:
    chance = random.Random(1)
    sizes = [20_000_000 if chance.random() < 0.01 else SMALL for _ in range(20_000)]
    several = [together for together in read(20_000, sizes.__getitem__, lambda _: LARGE_BYTES) if together > 30_000_000]
    assert len(several) < 0.1 * sizes.count(20_000_000)
    assert max(several, default=0) < 70_000_000
