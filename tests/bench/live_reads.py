"""How fast servers are read directly: `python -m tests.bench.live_reads`.

Full sync beside `redis-cli --rdb`, each as a process that reads one server to /dev/null, in shuffled rounds: ours sums
each part as a copy does, and judges the file, before it lets go of it. Then the same key by key: keys a second, and the
processor time that it takes of the server.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, NamedTuple

import anycrc  # loaded before the time is taken: a function loads it with its first part

from rdbkeeper.aws.clock import SystemClock
from rdbkeeper.domain.source import MOST_KEYS_PER_SECOND, SourceAccess, Way
from rdbkeeper.domain.sums import Sums
from rdbkeeper.ports import LiveStream
from rdbkeeper.rdb.checksum import join, sum_up
from rdbkeeper.rdb.envelope import judge
from rdbkeeper.sources.redis.source import RedisSource
from tests.bench.clients import environment
from tests.bench.markdown import median, table
from tests.bench.measuring import Command, measure
from tests.local_cloud.engines import Engine

LOADED = (anycrc,)
MEBIBYTE = 1 << 20
ROUNDS = 5
SIZE_MIB = 512
KEYS = 300_000
PART_BYTES = 16 * MEBIBYTE
VALUE_BYTES = 1_000
SMALL_VALUE_BYTES = 100
LEAST_RATIO = 0.9
"""How many times redis-cli's throughput ours is to be at least; the goal is once, and the rest is a machine's noise."""

CLI = "redis-cli --rdb"
OURS = "rdbkeeper, verified"


class NoLogin(NamedTuple):
    username: str = ""
    password: str = ""


@dataclass(frozen=True)
class Run:
    """One reading: its seconds, its own processor's, its peak of memory, its bytes, the server's processor seconds."""

    seconds: float
    cpu_s: float
    peak_rss_bytes: int
    size_bytes: int
    source_cpu_s: float


@contextmanager
def filled_server(keys: int, value_bytes: int) -> Iterator[Engine]:
    """A server with so many equal values, which it writes down as they are."""
    with Engine() as engine:
        engine.command("CONFIG", "SET", "rdbcompression", "no", "repl-diskless-sync-delay", "0")
        engine.command("DEBUG", "POPULATE", keys, "key", value_bytes)
        yield engine


def source_cpu_s(engine: Engine) -> float:
    """The processor seconds of a server and of the children that wrote its files, once the last of them has ended."""
    while engine.command("INFO", "persistence")["rdb_bgsave_in_progress"]:
        time.sleep(0.01)
    found = engine.command("INFO", "cpu")
    names = ("used_cpu_user", "used_cpu_sys", "used_cpu_user_children", "used_cpu_sys_children")
    return float(sum(found[name] for name in names))


def run_ours(engine: Engine, way: Way) -> Run:
    """Read a server in a process of its own; the seconds are those from the first question to the last byte."""
    before = source_cpu_s(engine)
    arguments = [sys.executable, "-m", "tests.bench.live_reads", "--read", str(engine.port), "--way", way.value]
    measured = measure(Command(arguments, environment()))
    told = json.loads(measured.output)
    return Run(
        told["seconds"], told["cpu_s"], measured.peak_rss_bytes, told["size_bytes"], source_cpu_s(engine) - before
    )


def run_cli(engine: Engine) -> Run:
    """Read a server by redis-cli, which writes to its standard output, and that is /dev/null."""
    before = source_cpu_s(engine)
    arguments = ["redis-cli", "-p", str(engine.port), "--rdb", "-"]
    # `measure` keeps what a program says, which would be the file.
    began_s, cpu_before = time.monotonic(), os.times()
    subprocess.run(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    seconds, cpu_after = time.monotonic() - began_s, os.times()
    cpu_s = sum(cpu_after[2:4]) - sum(cpu_before[2:4])
    return Run(seconds, cpu_s, 0, 0, source_cpu_s(engine) - before)


def read_verified(stream: LiveStream, sink: IO[bytes]) -> int:
    """Read a stream in parts into `sink`; while one part is read the one before is summed. Returns the length."""
    parts: SimpleQueue[memoryview | None] = SimpleQueue()
    free: SimpleQueue[bytearray] = SimpleQueue()
    for _ in range(2):
        free.put(bytearray(PART_BYTES))
    joined: list[Sums] = []

    def sum_parts() -> None:
        whole = None
        while (part := parts.get()) is not None:
            sums = sum_up(part)
            hashlib.sha256(part).hexdigest()
            sink.write(part)
            whole = sums if whole is None else join(whole, sums)
            free.put(part.obj)  # type: ignore[arg-type] # the buffer that the part lies in
        if whole is not None:
            joined.append(whole)

    worker = Thread(target=sum_parts)
    worker.start()
    try:
        is_open = True
        while is_open:
            buffer, filled = memoryview(free.get()), 0
            while filled < PART_BYTES and (count := stream.readinto(buffer[filled:])):
                filled += count
            is_open = filled == PART_BYTES
            if filled:
                parts.put(buffer[:filled])
    finally:
        parts.put(None)
        worker.join()
    sums = joined[0]
    verdict = judge(sums.head, sums.tail, sums.size_bytes, sums.crc64)
    if "crc64" not in verdict.checks:
        raise RuntimeError(f"the file was not verified: {verdict}")
    return sums.size_bytes


def read_once(port: int, way: Way) -> None:
    """Read the server on this port, and print what it took as JSON."""
    access = SourceAccess(address=f"127.0.0.1:{port}", tls=False, way=way, keys_per_second=MOST_KEYS_PER_SECOND)
    source = RedisSource(access, NoLogin, SystemClock())
    (file,) = source.measure().files
    began_s, cpu_before = time.monotonic(), time.process_time()
    stream = source.open_stream(file)
    with Path(os.devnull).open("wb", buffering=0) as sink:
        size_bytes = read_verified(stream, sink)
    took = {"seconds": time.monotonic() - began_s, "cpu_s": time.process_time() - cpu_before, "size_bytes": size_bytes}
    json.dump(took, sys.stdout)


@dataclass(frozen=True)
class Row:
    """A reader's medians."""

    name: str
    seconds: float
    cpu_s: float
    source_cpu_s: float
    peak_rss_bytes: float

    @classmethod
    def of(cls, name: str, runs: Sequence[Run]) -> Row:
        return cls(
            name,
            median(run.seconds for run in runs),
            median(run.cpu_s for run in runs),
            median(run.source_cpu_s for run in runs),
            median(run.peak_rss_bytes for run in runs),
        )

    def cells(self, size_bytes: int, base: Row) -> list[str]:
        """The row as the table shows it, with how many times `base`'s throughput it has."""
        return [
            self.name,
            f"{self.seconds:.2f}",
            f"{size_bytes / self.seconds / 1e6:.0f}",
            f"{self.cpu_s:.2f}",
            f"{self.source_cpu_s:.2f}",
            f"{self.peak_rss_bytes / MEBIBYTE:.0f}" if self.peak_rss_bytes else "",
            f"{base.seconds / self.seconds:.2f} x",
        ]


_HEADER = ("reader", "seconds", "MB/s", "CPU s", "CPU s of the server", "peak MiB", f"times `{CLI}`")


def compare_full_sync(size_mib: int, rounds: int, order: random.Random) -> tuple[str, float]:
    """The table of both readers, and how many times redis-cli's throughput ours is."""
    runs: dict[str, list[Run]] = {CLI: [], OURS: []}
    with filled_server(size_mib * MEBIBYTE // VALUE_BYTES, VALUE_BYTES) as engine:
        for _ in range(rounds):
            for name in order.sample(sorted(runs), len(runs)):
                runs[name].append(run_cli(engine) if name == CLI else run_ours(engine, Way.FULL_SYNC))
    size_bytes = runs[OURS][0].size_bytes
    rows = {name: Row.of(name, found) for name, found in runs.items()}
    shown = table(_HEADER, [row.cells(size_bytes, rows[CLI]) for row in rows.values()])
    return shown, ratio_of(runs[CLI], runs[OURS])


def ratio_of(base: Sequence[Run], ours: Sequence[Run]) -> float:
    """How many times the throughput of `base` ours is: the median of the rounds, whose two runs were neighbours."""
    return median(one.seconds / other.seconds for one, other in zip(base, ours, strict=True))


def measure_logical(keys: int, rounds: int) -> str:
    """The table of the logical way."""
    with filled_server(keys, SMALL_VALUE_BYTES) as engine:
        row = Row.of("key by key", [run_ours(engine, Way.LOGICAL) for _ in range(rounds)])
    share = row.source_cpu_s / row.seconds
    header = ("way", "keys", "seconds", "keys/s", "CPU s", "CPU s of the server", "its share of a core", "peak MiB")
    cells = [row.name, f"{keys:,}", f"{row.seconds:.2f}", f"{keys / row.seconds:,.0f}", f"{row.cpu_s:.2f}"]
    cells += [f"{row.source_cpu_s:.2f}", f"{share:.0%}", f"{row.peak_rss_bytes / MEBIBYTE:.0f}"]
    return table(header, [cells])


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; returns 1 when redis-cli is faster than ours."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.live_reads", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--size-mib", type=int, default=SIZE_MIB)
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--read", type=int, metavar="PORT", help="read this server once; for the bench's own use")
    parser.add_argument("--way", type=Way, default=Way.FULL_SYNC)
    asked = parser.parse_args(arguments)
    if asked.read:
        read_once(asked.read, asked.way)
        return 0
    _tell(f"## Servers that are read directly\n\n{asked.rounds} shuffled rounds, medians, to /dev/null.")
    ratio = LEAST_RATIO
    if shutil.which("redis-cli"):
        shown, ratio = compare_full_sync(asked.size_mib, asked.rounds, random.Random(1))
        _tell(f"### Full sync, {asked.size_mib:,} MiB\n\n{shown}\n\nRound by round: {ratio:.2f} x.")
        if ratio < LEAST_RATIO:
            _tell(f"Ours has {ratio:.2f} times redis-cli's throughput; the bound is {LEAST_RATIO:g}: BROKEN")
    else:
        _tell("Full sync is left out: redis-cli is not on PATH.")
    _tell(f"### Key by key\n\n{measure_logical(asked.keys, asked.rounds)}")
    return 1 if ratio < LEAST_RATIO else 0


if __name__ == "__main__":
    sys.exit(main())
