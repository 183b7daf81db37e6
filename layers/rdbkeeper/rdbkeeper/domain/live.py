"""What is known beforehand, and afterwards, of a server that is read directly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rdbkeeper.domain.backup import Consistency, EngineFacts, Shard
from rdbkeeper.domain.source import Way


@dataclass(frozen=True)
class LiveFile:
    """One stream to come: a shard, the node that it is read from, how, and how much there is, guessed from above.

    `way` is FULL_SYNC or LOGICAL. `size_bytes` is what the node's data take in its memory.
    """

    shard: Shard
    address: str
    way: Way
    size_bytes: int
    keys: int

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "shard": [self.shard.name, self.shard.slots], "way": self.way.value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> LiveFile:
        return cls(**{**record, "shard": Shard(*record["shard"]), "way": Way(record["way"])})


@dataclass(frozen=True)
class LivePlan:
    """What there is to read of an instance, a file a shard, and why in this way."""

    engine: EngineFacts
    files: tuple[LiveFile, ...]
    reason: str

    def as_record(self) -> dict[str, Any]:
        files = [file.as_record() for file in self.files]
        return {"engine": self.engine.as_record(), "files": files, "reason": self.reason}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> LivePlan:
        files = tuple(LiveFile.from_record(file) for file in record["files"])
        return cls(EngineFacts.from_record(record["engine"]), files, record["reason"])


@dataclass(frozen=True)
class LiveFindings:
    """What became of a stream that was read to its end: how consistent it is and why, and how many keys it holds.

    `keys` is None where a stream was not looked into.
    """

    consistency: Consistency
    reason: str
    keys: int | None = None
