"""An answer that comes in drops, or never ends, is not waited for."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import SourceRefused
from rdbkeeper.sources.redis.patience import ANSWER_TIMEOUT_S, MOST_ANSWER_BYTES, SILENT_TIMEOUT_S, PatientSocket
from tests.fakes.clock import FakeClock


class Dripping:
    """Sends so many bytes after so many seconds, for ever."""

    def __init__(self, clock: FakeClock, seconds: float, count: int = 1) -> None:
        self.timeouts: list[float] = []
        self._clock = clock
        self._seconds = seconds
        self._count = count

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(seconds)

    def recv(self, _: int) -> bytes:
        self._clock.advance(self._seconds)
        return bytes(self._count)

    def recv_into(self, buffer: bytearray) -> int:
        self._clock.advance(self._seconds)
        return min(self._count, len(buffer))


def receive_for_ever(patient: PatientSocket) -> None:
    while True:
        patient.recv(1)


def test_an_answer_in_drops_is_over_in_time() -> None:
    clock = FakeClock()
    raw = Dripping(clock, 25)
    patient = PatientSocket(raw, clock)
    with pytest.raises(TimeoutError):
        receive_for_ever(patient)
    assert clock.monotonic() < ANSWER_TIMEOUT_S + 25
    assert raw.timeouts == [SILENT_TIMEOUT_S, ANSWER_TIMEOUT_S - 25, ANSWER_TIMEOUT_S - 50]


def test_the_next_answer_has_its_own_time_but_all_have_one_together() -> None:
    clock = FakeClock()
    patient = PatientSocket(Dripping(clock, 50), clock, until=120)
    for _ in range(3):
        patient.begin_answer()
        patient.recv_into(bytearray(9))
    patient.begin_answer()
    with pytest.raises(TimeoutError):
        patient.recv_into(bytearray(9))


def test_an_answer_without_an_end_is_refused_and_the_next_counts_anew() -> None:
    clock, piece = FakeClock(), MOST_ANSWER_BYTES // 4
    patient = PatientSocket(Dripping(clock, 0, piece), clock)
    for _ in range(2):
        for _ in range(4):
            patient.recv(piece)
        patient.begin_answer()
    with pytest.raises(SourceRefused, match="more than"):
        receive_for_ever(patient)
