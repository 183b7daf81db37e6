"""A server that is reached directly, whose data are others whenever they are read, and the streams that it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from rdbkeeper.domain.backup import Consistency, EngineFacts, Instance, Shard
from rdbkeeper.domain.live import LiveFile, LiveFindings, LivePlan
from rdbkeeper.domain.source import Way
from tests.fakes.rdb_files import rdb_file
from tests.faults.streams import BrokenStream

if TYPE_CHECKING:
    from tests.faults.process import Process

LONGEST_STREAM_BYTES = 10_000


@cache
def _data(size_bytes: int, reading: int) -> bytes:
    return rdb_file(size_bytes, seed=5_000 + reading)


@dataclass
class ChangingServer:
    """`shards` by name, with the length of their files; `ways` in which they are read, full sync for the others.

    `files` are those that were given, by the number of the reading: no two hold the same bytes.
    """

    shards: dict[str, int] = field(default_factory=dict)
    ways: dict[str, Way] = field(default_factory=dict)
    measured_bytes: int | None = None
    files: list[tuple[str, bytes]] = field(default_factory=list)

    def find_instance(self, name: str) -> Instance:
        return Instance("redis", name, "redis", "available", True, 0, "")

    def measure(self) -> LivePlan:
        files = [
            LiveFile(Shard(shard), f"{shard}.test:6379", self._way(shard), self.measured_bytes or size_bytes, keys=7)
            for shard, size_bytes in self.shards.items()
        ]
        return LivePlan(EngineFacts(engine="redis", engine_version="7.2.4"), tuple(files), "as the server allows")

    def open_stream(self, file: LiveFile) -> ServerStream:
        data = _data(self.shards[file.shard.name], len(self.files))
        self.files.append((file.shard.name, data))
        return ServerStream(data, file.way)

    def _way(self, shard: str) -> Way:
        return self.ways.get(shard, Way.FULL_SYNC)


class ServerStream(BrokenStream):
    """One shard, in pieces."""

    def __init__(self, data: bytes, way: Way) -> None:
        super().__init__(data, most_bytes=40)
        self._way = way

    @property
    def findings(self) -> LiveFindings:
        if self._way is Way.LOGICAL:
            return LiveFindings(Consistency.LOGICAL, "each key was read by itself", keys=7)
        return LiveFindings(Consistency.POINT_IN_TIME, "read as a replica would")


class WatchedServerStream:
    """A server's stream that may break, and that ends with its process; `findings_of` is whom to ask afterwards."""

    def __init__(self, process: Process, stream: Any, findings_of: Any) -> None:
        self._process = process
        self._stream = stream
        self._findings_of = findings_of

    def readinto(self, buffer: memoryview, /) -> int:
        self._process.check_alive()
        count: int = self._stream.readinto(buffer)
        return count

    @property
    def findings(self) -> LiveFindings:
        self._process.check_alive()
        found: LiveFindings = self._findings_of.findings
        return found

    def close(self) -> None:
        self._stream.close()
