"""A source that reads servers directly, and its servers: in memory, one real server, a cluster of three real ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from rdbkeeper.aws.clock import SystemClock
from rdbkeeper.domain.live import LiveFile
from rdbkeeper.domain.source import MOST_KEYS_PER_SECOND, SourceAccess, Way
from rdbkeeper.ports import Clock, LiveSource, LiveStream
from rdbkeeper.rdb.checksum import crc64_redis
from rdbkeeper.rdb.envelope import judge
from rdbkeeper.sources.redis.source import RedisSource
from tests.fakes.live_source import MemoryLiveSource
from tests.fakes.rdb_files import rdb_file
from tests.local_cloud.dataset import fill
from tests.local_cloud.engines import Engine, join_cluster
from tests.local_cloud.redis_server import ServerBinary

MORE_THAN_SOCKETS_HOLD = 24 * 1024 * 1024
ROOM_BYTES = 1 << 20


class Login(NamedTuple):
    username: str = ""
    password: str = ""


def real_source(
    port: int,
    way: Way = Way.AUTO,
    *,
    tls: bool = False,
    login: Login | None = None,
    clock: Clock | None = None,
    keys_per_second: int = MOST_KEYS_PER_SECOND,
    host: str = "127.0.0.1",
    longest_s: float = 600,
) -> RedisSource:
    """The source over a real server on this machine."""
    secret = "rdbkeeper/reader" if login and any(login) else ""
    access = SourceAccess("", secret, f"{host}:{port}", tls, way, keys_per_second)
    return RedisSource(access, lambda: login or Login(), clock or SystemClock(), longest_s)


@contextmanager
def running(
    server: ServerBinary | None = None, *, filled: bool = True, ballast_bytes: int = 0, shards: int = 0
) -> Iterator[list[Engine]]:
    """One server, or a cluster of so many shards, with every type in it; diskless replication begins at once."""
    with ExitStack() as started:
        engines = [started.enter_context(Engine(server=server, cluster_mode=shards > 0)) for _ in range(max(1, shards))]
        if shards:
            join_cluster(engines)
        for engine in engines:
            engine.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        if filled:
            fill([engine.port for engine in engines] if shards else engines[0].port, ballast_bytes=ballast_bytes)
        yield engines


def read_whole(stream: LiveStream, room: int = ROOM_BYTES) -> bytes:
    """A stream's file, read to its end."""
    data, buffer = bytearray(), memoryview(bytearray(room))
    while count := stream.readinto(buffer):
        data += buffer[:count]
    return bytes(data)


def read_file(source: LiveSource, file: LiveFile) -> bytes:
    """A shard's file, which passes every check on RDB files."""
    stream = source.open_stream(file)
    data = read_whole(stream)
    stream.close()
    assert "crc64" in judge(data[:9], data[-9:], len(data), crc64_redis(data)).checks
    return data


@contextmanager
def loaded(data: bytes, folder: Path, server: ServerBinary | None = None) -> Iterator[Engine]:
    """A second server that holds what a file holds."""
    path = folder / "read.rdb"
    path.write_bytes(data)
    with Engine(rdb=path, server=server) as engine:
        yield engine


class Lab(Protocol):
    """A source as its rule's `way` wants it, and what happens to its servers without it."""

    shards: int

    def source(self, way: Way = Way.AUTO) -> LiveSource: ...
    def forbid_sync(self) -> None: ...
    def lose_servers(self) -> None: ...


@dataclass
class MemoryLab:
    shards: int = 2
    made: list[MemoryLiveSource] = field(default_factory=list)
    forbids_sync: bool = False

    def source(self, way: Way = Way.AUTO) -> LiveSource:
        files = {f"{number:04d}": rdb_file(50_000, seed=number) for number in range(1, self.shards + 1)}
        self.made.append(MemoryLiveSource(files, way, forbids_sync=self.forbids_sync))
        return self.made[-1]

    def forbid_sync(self) -> None:
        self.forbids_sync = True
        for source in self.made:
            source.forbids_sync = True

    def lose_servers(self) -> None:
        for source in self.made:
            source.lost_at = dict.fromkeys(source.files or (), 4096)
            for stream in source.streams:
                stream._error, stream._at = source._broken("0001")
            source.files = None


@dataclass
class RealLab:
    engines: list[Engine]

    @property
    def shards(self) -> int:
        return len(self.engines)

    def source(self, way: Way = Way.AUTO) -> LiveSource:
        return real_source(self.engines[0].port, way)

    def forbid_sync(self) -> None:
        for engine in self.engines:
            engine.command("ACL", "SETUSER", "default", "-sync", "-psync")

    def lose_servers(self) -> None:
        for engine in self.engines:
            with suppress(ProcessLookupError):
                os.kill(engine.process_id or 0, signal.SIGKILL)


KINDS = {"one server": 0, "cluster": 3}


@pytest.fixture(scope="module")
def real_labs() -> Iterator[dict[str, RealLab]]:
    """One server and one cluster, for all tests that leave them alive."""
    with ExitStack() as started:
        yield {kind: RealLab(started.enter_context(running(shards=shards))) for kind, shards in KINDS.items()}


@pytest.fixture(params=["memory", *KINDS])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    if request.param == "memory":
        yield MemoryLab()
        return
    found = request.getfixturevalue("real_labs")[request.param]
    yield found
    for engine in found.engines:
        engine.command("ACL", "SETUSER", "default", "+sync", "+psync")


@pytest.fixture(params=["memory", *KINDS])
def doomed_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab whose servers may be lost, and hold more than is on its way at any time."""
    if request.param == "memory":
        yield MemoryLab()
        return
    with running(shards=KINDS[request.param], ballast_bytes=MORE_THAN_SOCKETS_HOLD) as engines:
        yield RealLab(engines)
