"""Keeps the copying of a run within the bandwidth that its rule allows."""

from __future__ import annotations

from threading import Lock

from rdbkeeper.ports import Clock

BYTES_PER_MEGABIT = 125_000  # a megabit is 1,000,000 bits, as networks count
# How much of an idle time may still be used: it evens out sleeps that last too long and reads that come in fits.
LONGEST_CREDIT_S = 0.1
# One sandbox moves 400 to 700 Mbit/s as others measured it: with less than this it only waits, and waiting is billed.
FULL_SHARE_MBPS = 100
# Parts that were begun when a leg's time is over are still ended, all at the pace of the cap.
LONGEST_END_S = 120


class Pace:
    """Lets bytes through at no more than a rate, to however many threads ask; None is no cap.

    From its first moment on it has never let through more than the rate allows. A pause is not made up for later:
    after one, at most a tenth of a second's worth or one asking's bytes pass at once, whichever is more.
    """

    def __init__(self, bytes_per_s: float | None, clock: Clock) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._lock = Lock()
        self._passed_until_s = clock.monotonic()

    @classmethod
    def of(cls, bandwidth_mbps: int, workers: int, clock: Clock) -> Pace:
        """The pace of one of so many sandboxes that share a rule's cap evenly; 0 is no cap."""
        return cls(bandwidth_mbps * BYTES_PER_MEGABIT / workers if bandwidth_mbps else None, clock)

    def take(self, size_bytes: int) -> None:
        """Wait until so many bytes may be read; whoever asked first goes first."""
        if self._bytes_per_s is None:
            return
        needed_s = size_bytes / self._bytes_per_s
        with self._lock:
            now_s = self._clock.monotonic()
            # What was read while the last bytes counted as passing must not be waited for a second time.
            credit_from_s = now_s - max(LONGEST_CREDIT_S, needed_s)
            self._passed_until_s = max(self._passed_until_s, credit_from_s) + needed_s
            wait_s = self._passed_until_s - now_s
        if wait_s > 0:
            self._clock.sleep(wait_s)


def lasts_s(size_bytes: int, bandwidth_mbps: int) -> float:
    """How long so many bytes take under a cap at least; 0 is no cap."""
    return size_bytes / (bandwidth_mbps * BYTES_PER_MEGABIT) if bandwidth_mbps else 0.0


def workers_under_cap(bandwidth_mbps: int, workers: int) -> int:
    """How many of `workers` sandboxes a cap keeps busy, at least one; 0 is no cap."""
    if not bandwidth_mbps:
        return workers
    return max(1, min(workers, bandwidth_mbps // FULL_SHARE_MBPS))


def lanes_under_cap(bandwidth_mbps: int, workers: int, lanes: int, part_size_bytes: int) -> int:
    """How many of `lanes` parts may be on their way at once so that they end soon after their leg; at least one."""
    if not bandwidth_mbps:
        return lanes
    in_time_bytes = bandwidth_mbps * BYTES_PER_MEGABIT * LONGEST_END_S / workers
    return max(1, min(lanes, int(in_time_bytes // part_size_bytes)))
