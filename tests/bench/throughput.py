"""How fast our copy is beside the tools that people use: `python -m tests.bench.throughput`.

All copy the same file from the same server to the same places, in shuffled rounds, each as a process from its start to
its end. A client's figures are those of its own processes: neither the source nor the store, nor the curl that feeds a
client which reads its standard input.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import ceph as ceph_server
from tests.bench.clients import BASE, CLIENTS, RAW_PUT, Client, Place, environment
from tests.bench.data_file import write_strings
from tests.bench.markdown import describe_machine, median, table, times
from tests.bench.measuring import Command, Measured, measure
from tests.bench.servers import FileSource, counting_sink, end_on_signal, file_source, why_not
from tests.bench.versions import find_versions, sha256_bytes_per_s

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
ROUNDS = 5
SIZE_MIB = 1024
_HEADER = ("client", "seconds", "MB/s", "CPU s/GiB", "peak MiB", f"times `{BASE}`", "its CPU")


@dataclass(frozen=True)
class Row:
    """A client's medians over all rounds."""

    client: str
    wall_s: float
    cpu_s_per_gib: float
    peak_rss_bytes: float

    @classmethod
    def of(cls, client: str, runs: Sequence[Measured], size_bytes: int) -> Row:
        cpu_s = median(run.cpu_s for run in runs)
        return cls(
            client,
            median(run.wall_s for run in runs),
            cpu_s / size_bytes * GIBIBYTE,
            median(run.peak_rss_bytes for run in runs),
        )

    def cells(self, size_bytes: int, base: Row | None) -> list[str]:
        """The row as the table shows it; the ratios say how many times faster, and cheaper, than `base` it is."""
        return [
            self.client,
            f"{self.wall_s:.2f}",
            f"{size_bytes / self.wall_s / 1e6:.0f}",
            f"{self.cpu_s_per_gib:.2f}",
            f"{self.peak_rss_bytes / MEBIBYTE:.0f}",
            times(base.wall_s, self.wall_s) if base else "",
            times(base.cpu_s_per_gib, self.cpu_s_per_gib) if base else "",
        ]


@dataclass(frozen=True)
class Target:
    """A place, how to make it empty and check what came, and the clients that it can serve."""

    place: Place
    clear: Callable[[], None]
    check: Callable[[int], None]
    clients: tuple[Client, ...]


def show(target: str, rows: Sequence[Row], size_bytes: int) -> str:
    """A place's table, the fastest first, the floor at the end."""
    base = next((row for row in rows if row.client == BASE), None)
    ordered = sorted(rows, key=lambda row: (row.client == RAW_PUT, row.wall_s))
    return f"### To {target}\n\n{table(_HEADER, [row.cells(size_bytes, base) for row in ordered])}"


def run_rounds(target: Target, source: FileSource, rounds: int, order: random.Random) -> list[Row]:
    """Every client in every round, in an order of the round's own; each run's bytes are counted at the far end."""
    runs: dict[str, list[Measured]] = defaultdict(list)
    for _ in range(rounds):
        for client in order.sample(target.clients, len(target.clients)):
            target.clear()
            runs[client.name].append(measure(_in_environment(client.command(source, target.place))))
            target.check(source.size_bytes)
    return [Row.of(name, measured, source.size_bytes) for name, measured in runs.items()]


def _in_environment(command: Command) -> Command:
    return Command(command.arguments, environment(), command.feed)


def _targets(folder: Path, size_bytes: int, wanted: Sequence[str], clients: Sequence[Client]) -> Iterator[Target]:
    """The places that are wanted and can be had, one at a time; the next begins when the one before has ended."""
    with ExitStack() as servers:
        if "sink" in wanted:
            sink = servers.enter_context(counting_sink(folder))
            place = Place("a sink that only counts", sink.endpoint, "vault", "Other", keeps_sums=True)
            yield Target(place, sink.forget, sink.check, tuple(clients))
    missing = ceph_server.missing_programs()
    if "ceph" in wanted and not missing:
        with ceph_server.ceph(folder, 2 * size_bytes, environment()) as ceph:
            place = Place("Ceph RGW", ceph.endpoint, ceph_server.BUCKET, "Ceph", keeps_sums=False)
            on_ceph = tuple(client for client in clients if client.name != RAW_PUT)
            yield Target(place, lambda: None, ceph.check_and_clear, on_ceph)
    elif "ceph" in wanted:
        _tell(f"Ceph is left out: {', '.join(missing)} not installed (Debian: radosgw ceph-mon ceph-osd ceph-common).")


def _usable(names: Sequence[str]) -> list[Client]:
    usable = []
    for client in CLIENTS:
        missing = client.missing()
        if names and client.name not in names:
            continue
        if missing:
            _tell(f"{client.name} is left out: {', '.join(missing)} is not there.")
        else:
            usable.append(client)
    return usable


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _check_floor(rows: Sequence[Row]) -> list[str]:
    """The clients that were not slower than the raw put: the sink, or the source, was then what was measured."""
    floor = next((row.wall_s for row in rows if row.client == RAW_PUT), 0.0)
    return [row.client for row in rows if row.client != RAW_PUT and row.wall_s <= floor]


def scratch_folder(needed_bytes: int) -> Path:
    """A new folder, in memory where there is room for what the bench keeps."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it
    in_memory = memory.is_dir() and shutil.disk_usage(memory).free > 2 * needed_bytes
    return Path(tempfile.mkdtemp(prefix="rdbkeeper-bench-", dir=memory if in_memory else None))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.throughput", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--size-mib", type=int, default=SIZE_MIB)
    parser.add_argument("--seed", type=int, default=1, help="of the rounds' order and of the file")
    parser.add_argument("--to", nargs="+", choices=("sink", "ceph"), default=["sink", "ceph"])
    parser.add_argument("--clients", nargs="+", choices=[client.name for client in CLIENTS], default=[])
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table for each place; returns 1 when a measurement cannot be trusted."""
    asked = _parse(arguments)
    if why_not():
        sys.stdout.write(f"Throughput is left out: {why_not()}.\n")
        return 0
    end_on_signal()
    size_bytes = asked.size_mib * MEBIBYTE
    folder = scratch_folder(size_bytes)
    clients, untrusted = _usable(asked.clients), []
    try:
        _tell(_heading(asked.size_mib, asked.rounds))
        with file_source(folder, partial(write_strings, size_bytes=size_bytes, seed=asked.seed)) as source:
            for target in _targets(folder, size_bytes, asked.to, clients):
                rows = run_rounds(target, source, asked.rounds, random.Random(asked.seed))
                _tell(f"\n{show(target.place.name, rows, size_bytes)}")
                untrusted += _check_floor(rows)
    finally:
        shutil.rmtree(folder)
    for name in untrusted:
        _tell(f"{name} was as fast as the raw put, so the sink or the source was measured.")
    return 1 if untrusted else 0


def _heading(size_mib: int, rounds: int) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in find_versions(environment()).items())
    return (
        f"## Throughput\n\n{describe_machine()}. SHA-256 on one core: {sha256_bytes_per_s() / 1e6:.0f} MB/s.\n"
        f"{versions}.\nOne RDB file of {size_mib:,} MiB over HTTP, {rounds} shuffled rounds, medians."
    )


if __name__ == "__main__":
    sys.exit(main())
