"""A server in memory that is read directly: its shards' files come as streams, once, and may break."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rdbkeeper.domain.backup import Consistency, EngineFacts, Instance, Shard
from rdbkeeper.domain.errors import (
    KeyUndumpable,
    RdbkeeperError,
    ServerLost,
    SourceRefused,
    SourceUnavailable,
    SyncRefused,
)
from rdbkeeper.domain.live import LiveFile, LiveFindings, LivePlan
from rdbkeeper.domain.source import Way

MOST_AT_ONCE_BYTES = 4096


class MemoryLiveStream:
    """A shard's bytes, and what breaks them off; as strict as a socket: it is read once, and tells at its end."""

    def __init__(self, data: bytes, findings: LiveFindings, error: RdbkeeperError | None, at: int) -> None:
        self._data = memoryview(data)
        self._findings = findings
        self._error = error
        self._at = at
        self._read = 0
        self._is_whole = False
        self.is_closed = False

    def readinto(self, buffer: memoryview, /) -> int:
        assert not self.is_closed, "a stream that was closed is read"
        assert len(buffer), "nothing can be read into no room"
        if self._error is not None and self._read >= self._at:
            raise self._error
        end = len(self._data) if self._error is None else min(len(self._data), self._at)
        piece = self._data[self._read : min(end, self._read + MOST_AT_ONCE_BYTES, self._read + len(buffer))]
        buffer[: len(piece)] = piece
        self._read += len(piece)
        self._is_whole = not piece
        return len(piece)

    def close(self) -> None:
        self.is_closed = True

    @property
    def findings(self) -> LiveFindings:
        if not self._is_whole:
            raise ValueError("what became of a stream is known at its end")
        return self._findings


@dataclass
class MemoryLiveSource:
    """One server or cluster, or none while `files` is None.

    `forbids_sync`: SYNC is refused, and known to be beforehand. `lost_at` and `undumpable_at` break a shard's stream
    there; `unreachable` shards cannot be opened; `denied` is raised by whatever is asked, and of a stranger that it is
    no Redis. `way` is what the rule says. `opened` are the shards that were opened, in order; `streams` what came of
    it.
    """

    files: dict[str, bytes] | None = None
    way: Way = Way.AUTO
    keys: int = 100
    engine: EngineFacts = field(default_factory=lambda: EngineFacts(engine="redis", engine_version="7.0.15", port=6379))
    forbids_sync: bool = False
    is_loading: bool = False
    is_stranger: bool = False
    denied: RdbkeeperError | None = None
    lost_at: dict[str, int] = field(default_factory=dict)
    undumpable_at: dict[str, int] = field(default_factory=dict)
    unreachable: set[str] = field(default_factory=set)
    vanished: int = 0
    opened: list[str] = field(default_factory=list)
    streams: list[MemoryLiveStream] = field(default_factory=list)
    _measured: set[LiveFile] = field(default_factory=set)

    # The port

    def find_instance(self, name: str) -> Instance:
        self._answer()
        status = "loading" if self.is_loading else "available"
        addresses = () if self.is_loading else tuple(file.address for file in self._files(Way.FULL_SYNC))
        return Instance("redis", name, self.engine.engine, status, not self.is_loading, 0, "", addresses)

    def measure(self) -> LivePlan:
        self._answer()
        if self.is_loading:
            raise _unavailable("it is loading its data")
        if self.way is Way.LOGICAL:
            way, reason = Way.LOGICAL, "key by key, as the rule says"
        elif not self.forbids_sync:
            said = "the rule says" if self.way is Way.FULL_SYNC else "the server allows it"
            way, reason = Way.FULL_SYNC, f"full sync, as {said}"
        elif self.way is Way.FULL_SYNC:
            raise SyncRefused("Asking server:6379 for all its data is of no use: the server knows no SYNC.")
        else:
            way, reason = Way.LOGICAL, "key by key, since the server knows no SYNC"
        files = self._files(way)
        self._measured |= set(files)
        return LivePlan(replace(self.engine, shard_count=len(files)), files, reason)

    def open_stream(self, file: LiveFile) -> MemoryLiveStream:
        assert file in self._measured, f"{file} was not measured"
        data, name = self._answer()[file.shard.name], file.shard.name
        if name in self.unreachable:
            raise _unavailable("nothing answers")
        if file.way is Way.FULL_SYNC and self.forbids_sync and self.way is Way.FULL_SYNC:
            raise SyncRefused("Asking for all data of server:6379: it says ERR unknown command 'SYNC'.")
        self.opened.append(name)
        error, at = self._broken(name)
        stream = MemoryLiveStream(data, self._findings(file), error, at)
        self.streams.append(stream)
        return stream

    # Private

    def _answer(self) -> dict[str, bytes]:
        if self.denied is not None:
            raise self.denied
        if self.is_stranger:
            raise SourceRefused("Asking server:6379: something that is neither Redis nor Valkey answers there.")
        if self.files is None:
            raise _unavailable("nothing answers")
        return self.files

    def _files(self, way: Way) -> tuple[LiveFile, ...]:
        files = self._answer()
        slots = "0-16383" if len(files) == 1 else ""
        return tuple(
            LiveFile(
                Shard(name, slots if self.engine.cluster_mode else ""), f"node-{name}:6379", way, len(data), self.keys
            )
            for name, data in files.items()
        )

    def _broken(self, name: str) -> tuple[RdbkeeperError | None, int]:
        if name in self.lost_at:
            return ServerLost(f"Reading node-{name}:6379: the connection was closed."), self.lost_at[name]
        if name in self.undumpable_at:
            return KeyUndumpable("The key `graph` (5 bytes) of graphdata cannot be dumped."), self.undumpable_at[name]
        return None, 0

    def _findings(self, file: LiveFile) -> LiveFindings:
        if file.way is Way.FULL_SYNC and not self.forbids_sync:
            return LiveFindings(Consistency.POINT_IN_TIME, "the shard's data are of one moment")
        vanished = f"; {self.vanished} keys vanished meanwhile" if self.vanished else ""
        why = ", since SYNC was refused" if file.way is Way.FULL_SYNC else ""
        reason = f"read key by key over 1 s{why}: each key is of its own moment{vanished}"
        return LiveFindings(Consistency.LOGICAL, reason, self.keys, self.vanished, 1.0)


def _unavailable(why: str) -> SourceUnavailable:
    return SourceUnavailable(f"Asking server:6379: {why}.", hint="Look at the server, and at the way to it.")
