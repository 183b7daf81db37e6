"""The pace at which bytes are let through under a rule's cap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Condition, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdbkeeper.flows.runs.pace import BYTES_PER_MEGABIT, Pace, lanes_under_cap, workers_under_cap
from tests.fakes.clock import FakeClock

KIBIBYTE = 1 << 10
MEBIBYTE = 1 << 20
capped = settings(max_examples=200, deadline=None, derandomize=True)


class SharedClock:
    """A clock for so many threads: when all that are left sleep, it moves to when the first one wakes."""

    def __init__(self, threads: int) -> None:
        self._awake = threads
        self._elapsed_s = 0.0
        self._wakes: list[float] = []
        self._moved = Condition()

    def now(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC)

    def monotonic(self) -> float:
        with self._moved:
            return self._elapsed_s

    def sleep(self, seconds: float) -> None:
        with self._moved:
            wake = self._elapsed_s + seconds
            self._wakes.append(wake)
            self._leave()
            self._moved.wait_for(lambda: self._elapsed_s >= wake)

    def end_thread(self) -> None:
        with self._moved:
            self._leave()

    def _leave(self) -> None:
        self._awake -= 1
        if self._awake or not self._wakes:
            return
        self._elapsed_s = max(self._elapsed_s, min(self._wakes))
        self._awake = sum(wake <= self._elapsed_s for wake in self._wakes)
        self._wakes = [wake for wake in self._wakes if wake > self._elapsed_s]
        self._moved.notify_all()


def read(pace: Pace, clock: FakeClock, piece_bytes: int, pieces: int, reading_s: float = 0.0) -> float:
    """Read so many pieces, each taking the source so long; returns the bytes a second."""
    before = clock.monotonic()
    for _ in range(pieces):
        pace.take(piece_bytes)
        clock.advance(reading_s)
    return piece_bytes * pieces / (clock.monotonic() - before)


@capped
@given(
    bandwidth_mbps=st.integers(1, 10_000),
    piece_bytes=st.integers(4 * KIBIBYTE, MEBIBYTE),
    seconds=st.floats(2, 30),
    source=st.floats(0, 0.9),
)
def test_any_rate_is_kept_within_five_percent_whatever_the_pieces(
    bandwidth_mbps: int, piece_bytes: int, seconds: float, source: float
) -> None:
    """`source` is how long it takes to read a piece, in shares of what the cap gives it."""
    clock = FakeClock()
    wanted = bandwidth_mbps * BYTES_PER_MEGABIT
    slot_s = piece_bytes / wanted
    pieces = max(20, min(2_000, round(seconds / slot_s)))
    rate = read(Pace(wanted, clock), clock, piece_bytes, pieces, source * slot_s)
    assert 0.95 * wanted <= rate <= wanted * 1.000_001


@capped
@given(st.integers(1, 10_000), st.lists(st.integers(1, MEBIBYTE), min_size=1, max_size=60))
def test_no_more_has_passed_at_any_moment_than_the_rate_allows(bandwidth_mbps: int, pieces: list[int]) -> None:
    clock = FakeClock()
    pace = Pace(bandwidth_mbps * BYTES_PER_MEGABIT, clock)
    passed = 0
    for piece_bytes in pieces:
        pace.take(piece_bytes)
        passed += piece_bytes
        assert passed <= bandwidth_mbps * BYTES_PER_MEGABIT * clock.monotonic() * 1.000_001


def test_a_source_slower_than_the_cap_is_not_slowed_down_further() -> None:
    clock = FakeClock()
    pace = Pace(MEBIBYTE, clock)
    pace.take(MEBIBYTE)
    clock.advance(3.0)
    for _ in range(5):
        before = clock.monotonic()
        pace.take(MEBIBYTE)
        assert clock.monotonic() == before
        clock.advance(3.0)


def test_a_pause_is_not_made_up_for_later() -> None:
    clock = FakeClock()
    pace = Pace(10 * MEBIBYTE, clock)
    clock.advance(3_600)
    rate = read(pace, clock, 64 * KIBIBYTE, 320)  # two seconds' worth
    assert 10 * MEBIBYTE <= rate <= 1.06 * 10 * MEBIBYTE


def test_a_sleep_that_lasts_too_long_is_made_up_for() -> None:
    class LateClock(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds + 0.03)

    clock = LateClock()
    rate = read(Pace(100 * MEBIBYTE, clock), clock, MEBIBYTE, 1_000)
    assert rate == pytest.approx(100 * MEBIBYTE, rel=0.01)


@pytest.mark.parametrize("threads", [2, 4, 8])
@pytest.mark.parametrize("reading_s", [0.0, 0.1, 0.015])
def test_several_threads_share_one_rate_evenly(threads: int, reading_s: float) -> None:
    clock = SharedClock(threads)
    wanted = 100 * MEBIBYTE
    pace = Pace(wanted, clock)
    taken = [0] * threads

    def work(number: int) -> None:
        while clock.monotonic() < 10:
            pace.take(MEBIBYTE)
            taken[number] += 1
            if reading_s:
                clock.sleep(reading_s)
        clock.end_thread()

    run_all(threads, work)
    reachable = min(wanted, threads * MEBIBYTE / reading_s if reading_s else wanted)
    assert sum(taken) * MEBIBYTE <= wanted * clock.monotonic() * 1.000_001
    assert sum(taken) * MEBIBYTE >= 0.85 * reachable * 10
    assert max(taken) - min(taken) <= 0.05 * max(taken) + 2


def run_all(threads: int, work: Callable[[int], None]) -> None:
    workers = [Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
        assert not worker.is_alive()


def test_without_a_cap_nothing_waits() -> None:
    clock = FakeClock()
    for pace in (Pace(None, clock), Pace.of(0, 8, clock)):
        pace.take(1 << 40)
    assert clock.monotonic() == 0


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_the_cap_is_shared_evenly_by_the_sandboxes_at_work(workers: int) -> None:
    clock = FakeClock()
    rate = read(Pace.of(80, workers, clock), clock, 100_000, 100)
    assert rate * workers == pytest.approx(10_000_000)


@pytest.mark.parametrize(
    "bandwidth_mbps, workers", [(0, 8), (1, 1), (99, 1), (100, 1), (200, 2), (799, 7), (800, 8), (100_000, 8)]
)
def test_no_more_sandboxes_work_than_the_cap_keeps_busy(bandwidth_mbps: int, workers: int) -> None:
    assert workers_under_cap(bandwidth_mbps, 8) == workers


@pytest.mark.parametrize("bandwidth_mbps, lanes", [(0, 4), (1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (1_000, 4)])
def test_under_a_low_cap_fewer_parts_are_on_their_way_at_once(bandwidth_mbps: int, lanes: int) -> None:
    """120 seconds of 1 Mbit/s are 15 MB, not quite a part of 16 MiB."""
    assert lanes_under_cap(bandwidth_mbps, 1, 4, 16 * MEBIBYTE) == lanes
    assert lanes_under_cap(bandwidth_mbps * 8, 8, 4, 16 * MEBIBYTE) == lanes
