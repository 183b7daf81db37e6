"""A server in memory that is reached directly."""

from __future__ import annotations

from dataclasses import dataclass, field

from rdbkeeper.domain.backup import Consistency, EngineFacts, Instance, Shard
from rdbkeeper.domain.errors import RdbkeeperError, ServerLost
from rdbkeeper.domain.live import LiveFile, LiveFindings, LivePlan
from rdbkeeper.domain.source import Way


@dataclass
class MemoryLiveStream:
    """Gives a file in pieces; `lost_at` is where the server goes away."""

    data: bytes
    way: Way
    lost_at: int | None = None
    is_closed: bool = False
    _read: int = 0

    def readinto(self, buffer: memoryview, /) -> int:
        if self.lost_at is not None and self._read >= self.lost_at:
            raise ServerLost(f"The server went away after {self._read:,} bytes.")
        end = len(self.data) if self.lost_at is None else min(self.lost_at, len(self.data))
        piece = self.data[self._read : min(end, self._read + min(len(buffer), 4096))]
        buffer[: len(piece)] = piece
        self._read += len(piece)
        return len(piece)

    @property
    def findings(self) -> LiveFindings:
        assert self._read == len(self.data), "asked before its end"
        if self.way is Way.LOGICAL:
            return LiveFindings(Consistency.LOGICAL, "read key by key", keys=7)
        return LiveFindings(Consistency.POINT_IN_TIME, "read as a replica would")

    def close(self) -> None:
        self.is_closed = True


@dataclass
class MemoryLiveSource:
    """`files` by the shard's name; `failing` is what asking the server meets."""

    files: dict[str, bytes] = field(default_factory=dict)
    way: Way = Way.FULL_SYNC
    failing: RdbkeeperError | None = None
    size_bytes: int | None = None
    keys: int = 7
    lost_at: dict[str, int] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def find_instance(self, name: str) -> Instance | None:
        self._meet()
        return Instance("redis", name, "redis", "available", True, 0, "") if self.files else None

    def measure(self, name: str) -> LivePlan:
        self._meet()
        files = [
            LiveFile(Shard(shard), f"{shard}.test:6379", self.way, self.size_bytes or len(data), self.keys)
            for shard, data in self.files.items()
        ]
        return LivePlan(EngineFacts(engine="redis", engine_version="7.0.15"), tuple(files), f"the way is {self.way}")

    def open_stream(self, file: LiveFile) -> MemoryLiveStream:
        self._meet()
        self.opened.append(file.shard.name)
        return MemoryLiveStream(self.files[file.shard.name], file.way, self.lost_at.get(file.shard.name))

    def _meet(self) -> None:
        if self.failing is not None:
            raise self.failing
