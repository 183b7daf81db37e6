"""What the benches of copying say is worked out rightly; nothing is measured here."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdbkeeper.rdb.checksum import crc64_redis
from rdbkeeper.rdb.envelope import judge
from tests.bench import memory, throughput
from tests.bench.clients import BASE, CLIENTS, RAW_PUT
from tests.bench.data_file import write_strings, write_zeros
from tests.bench.markdown import median, table, times
from tests.bench.measuring import Command, Measured, measure
from tests.bench.sink import Request, Store

PART = 16 * memory.MEBIBYTE


def test_a_median_is_the_middle_or_between_the_two_in_the_middle() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5


def test_there_is_no_median_of_nothing() -> None:
    with pytest.raises(ValueError, match="no median"):
        median([])


def test_a_ratio_says_how_many_times_less_than_the_base_it_is() -> None:
    assert times(3.42, 1.96) == "1.74 x"


def test_a_table_is_padded_and_its_figures_stand_to_the_right() -> None:
    assert table(["client", "s"], [["a", "1.25"], ["longer one", "9"]]).splitlines() == [
        "| client     |    s |",
        "| ---------- | ---: |",
        "| a          | 1.25 |",
        "| longer one |    9 |",
    ]


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="as many cells"):
        table(["client", "s"], [["a"]])


def run(wall_s: float, cpu_s: float = 1.0, peak_rss_bytes: int = 1) -> Measured:
    return Measured(wall_s, cpu_s, peak_rss_bytes, "")


def test_a_row_holds_medians_and_processor_seconds_for_a_whole_gibibyte() -> None:
    row = throughput.Row.of("one", [run(1, 4), run(9, 6), run(2, 5)], throughput.GIBIBYTE // 2)
    assert (row.wall_s, row.cpu_s_per_gib) == (2, 10)


def test_ratios_are_to_the_base_and_the_floor_stands_last() -> None:
    walls = {BASE: 4.0, RAW_PUT: 0.5, "ours": 2.0}
    rows = [throughput.Row.of(name, [run(wall_s, wall_s)], throughput.GIBIBYTE) for name, wall_s in walls.items()]
    lines = throughput.show("a place", rows, throughput.GIBIBYTE).splitlines()[4:]
    assert [line.split("|")[1].strip() for line in lines] == ["ours", BASE, RAW_PUT]
    assert [line.split("|")[6].strip() for line in lines] == ["2.00 x", "1.00 x", "8.00 x"]


def test_a_client_that_is_as_fast_as_the_floor_makes_the_figures_worthless() -> None:
    rows = [throughput.Row.of(name, [run(wall_s)], 1) for name, wall_s in ((RAW_PUT, 1.0), ("a", 1.0), ("b", 1.1))]
    assert throughput._check_floor(rows) == ["a"]


def test_every_client_has_a_name_of_its_own() -> None:
    assert len({client.name for client in CLIENTS}) == len(CLIENTS)


def row(over_bytes: int, case: memory.Case = memory.CASES[0], written: tuple[str, ...] = ()) -> memory.Row:
    return memory.Row(case, 50, 50 + over_bytes, written)


def test_memory_is_bounded_by_the_parts_in_flight() -> None:
    assert memory.Case(64, 16).bound_bytes == 110_000_000
    large = memory.Case(1024, 44)
    assert large.bound_bytes == (large.lanes + 1) * 44 * memory.MEBIBYTE + 40_000_000


def test_a_peak_above_its_bound_and_a_file_that_was_written_are_told() -> None:
    assert row(110_000_000).defects == []
    assert row(110_000_001).defects == ["ABOVE"]
    assert row(1, written=("a part",)).defects == ["it wrote a part"]


def test_the_spread_compares_the_cases_with_the_smallest_parts_only() -> None:
    assert memory.spread([row(100), row(108), row(500, memory.Case(1024, 44))]) == pytest.approx(0.08)


@pytest.mark.parametrize("write", [write_strings, write_zeros])
@pytest.mark.parametrize("size_bytes", [5_000, 1_000_000, 1_048_577])
def test_a_file_for_the_bench_has_its_size_and_passes_every_check(
    write: type[object], size_bytes: int, tmp_path: Path
) -> None:
    path = tmp_path / "file.rdb"
    write(path, size_bytes)
    data = path.read_bytes()
    assert len(data) == size_bytes
    assert judge(data[:9], data[-9:], len(data), crc64_redis(data)).unchecked_reason == ""


def ask(store: Store, line: str, received_bytes: int = 0, **headers: str) -> tuple[str, str]:
    lines = "".join(f"\r\n{name.replace('_', '-')}: {value}" for name, value in headers.items())
    answer = store.answer(Request.parse(f"{line} HTTP/1.1{lines}".encode()), received_bytes)
    return answer.status, answer.encode(with_body=True).decode()


def test_the_sink_says_of_an_object_what_its_parts_were() -> None:
    store = Store()
    assert "<UploadId>upload-0</UploadId>" in ask(store, "POST /vault/key?uploads")[1]
    ask(store, "PUT /vault/key?partNumber=1&uploadId=upload-0", 7, content_length="7")
    ask(
        store,
        "PUT /vault/key?partNumber=2&uploadId=upload-0",
        99,
        content_length="99",
        x_amz_decoded_content_length="5",
    )
    ask(store, "POST /vault/key?uploadId=upload-0", 3, x_amz_checksum_crc64nvme="c3Vt", content_length="3")
    status, head = ask(store, "HEAD /vault/key")
    assert status == "200 OK" and "Content-Length: 12\r\n" in head and "x-amz-checksum-crc64nvme: c3Vt" in head
    assert store.body_bytes == 7 + 99 + 3


def test_the_sink_forgets_what_it_is_told_to() -> None:
    store = Store()
    ask(store, "PUT /vault/key", 4, content_length="4")
    assert '"objects": {"/vault/key": 4}' in ask(store, "GET /-/counts")[1]
    assert '{"body_bytes": 0, "objects": {}, "open": 0}' in ask(store, "DELETE /-/counts")[1]
    assert ask(store, "HEAD /vault/key")[0] == "404 Not Found"


def test_a_client_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no such bucket"):
        measure(Command(["sh", "-c", "echo no such bucket >&2; exit 3"], {"PATH": "/usr/bin:/bin"}))


def test_a_client_is_fed_and_its_answer_kept() -> None:
    measured = measure(Command(["cat"], {"PATH": "/usr/bin:/bin"}, feed=["echo", "some bytes"]))
    assert measured.output == "some bytes\n"
    assert measured.cpu_s >= 0 and measured.peak_rss_bytes > 0
