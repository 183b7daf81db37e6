"""What the bench of direct reads says is worked out rightly; nothing is measured here."""

from __future__ import annotations

import io

import pytest

from rdbkeeper.domain.backup import Consistency
from rdbkeeper.domain.errors import ChecksumMismatch, ServerLost
from rdbkeeper.domain.live import LiveFindings
from tests.bench import live_reads
from tests.bench.live_reads import CLI, OURS, Row, Run, ratio_of, read_verified
from tests.fakes.live_source import MemoryLiveStream
from tests.fakes.rdb_files import flip_bit, rdb_file

FINDINGS = LiveFindings(Consistency.POINT_IN_TIME, "full sync")


def run(seconds: float) -> Run:
    return Run(seconds, 1.0, 0, 0, 2.0)


def test_what_was_read_was_summed_and_passed_on_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_reads, "PART_BYTES", 10_000)
    for size_bytes in (9_999, 10_000, 10_001, 55_555):
        data, sink = rdb_file(size_bytes), io.BytesIO()
        assert read_verified(MemoryLiveStream(data, FINDINGS, None, 0), sink) == size_bytes
        assert sink.getvalue() == data


def test_a_damaged_file_makes_the_figure_worthless() -> None:
    with pytest.raises(ChecksumMismatch):
        read_verified(MemoryLiveStream(flip_bit(rdb_file(5_000), 2_000), FINDINGS, None, 0), io.BytesIO())


def test_a_server_that_goes_away_ends_the_bench() -> None:
    with pytest.raises(ServerLost):
        read_verified(MemoryLiveStream(rdb_file(5_000), FINDINGS, ServerLost("gone"), 4_096), io.BytesIO())


def test_a_ratio_is_that_of_runs_that_were_neighbours() -> None:
    assert ratio_of([run(1), run(10), run(3)], [run(2), run(10), run(1)]) == 1.0


def test_a_row_says_how_many_times_the_bases_throughput_it_has() -> None:
    base, ours = Row.of(CLI, [run(4)]), Row.of(OURS, [run(2)])
    assert ours.cells(8_000_000, base) == [OURS, "2.00", "4", "1.00", "2.00", "", "2.00 x"]
