"""Instances, their backups, and the files that a backup is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class BackupState(StrEnum):
    """How far the provider is with a backup."""

    COMPLETE = "complete"
    IN_PROGRESS = "in progress"
    FAILED = "failed"


class Consistency(StrEnum):
    """How the data of a backup belong together; the first is the best.

    APPLICATION: writes were frozen around the backup. POINT_IN_TIME: each shard's data are those of one moment.
    LOGICAL: each key's value was read at a moment of its own.
    """

    APPLICATION = "application"
    POINT_IN_TIME = "point-in-time"
    LOGICAL = "logical"


@dataclass(frozen=True)
class Instance:
    """One managed Redis deployment as its provider describes it.

    `members` are the ids of its nodes: a provider may file a backup under a node in place of the instance. `status` is
    the provider's own word; `available` is False while nothing can be done with the instance or its backups.
    `data_tiering` is its word for whether part of the data lies on disk, "" where it says nothing.
    `backup_retention_days` is None where it makes automatic backups and was not asked how long it keeps them.
    """

    provider: str
    name: str
    engine: str
    status: str
    available: bool
    backup_retention_days: int | None
    backup_window: str
    members: tuple[str, ...] = ()
    data_tiering: str = ""

    @property
    def backups_enabled(self) -> bool:
        return self.backup_retention_days != 0

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "members": list(self.members)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Instance:
        return cls(**{**record, "members": tuple(record["members"])})


@dataclass(frozen=True)
class Shard:
    """One backup file's origin: the file's name without its ending, and the slots that it holds ("" where unknown)."""

    name: str
    slots: str = ""


def tiers_data(said: str) -> bool:
    """True where a provider says that part of the data lies on disk, which none exports ("Data tiering")."""
    return said.lower() in ("enabled", "true")


@dataclass(frozen=True)
class EngineFacts:
    """What is needed to make the same instance again; values are the provider's own words, "" where it gave none."""

    engine: str = ""
    engine_version: str = ""
    node_type: str = ""
    parameter_group: str = ""
    shard_count: int = 1
    cluster_mode: bool = False
    replicas_per_shard: int = 0
    port: int = 0
    subnet_group: str = ""
    automatic_failover: str = ""
    data_tiering: str = ""

    @property
    def tiers_data(self) -> bool:
        return tiers_data(self.data_tiering)

    def as_record(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> EngineFacts:
        return cls(**record)


@dataclass(frozen=True)
class Backup:
    """A point-in-time set of files, one a shard, as the provider lists it.

    `taken_at` (aware UTC) is the earliest shard's; None while the provider has not said it. `source_size` is how large
    the data are at the source, in the provider's own words; "" where it says nothing.
    `consistency_reason` says why its data belong together as they do, "" where that is the provider's ordinary way.
    """

    provider: str
    instance: str
    backup_id: str
    state: BackupState
    automatic: bool
    taken_at: datetime | None
    shards: tuple[Shard, ...]
    engine: EngineFacts
    source_size: str = ""
    consistency: Consistency = Consistency.POINT_IN_TIME
    consistency_reason: str = ""

    @property
    def copy_id(self) -> str:
        """The id that a copy of this backup has: `20261122T021500Z-automatic.orders`."""
        if self.taken_at is None:
            raise ValueError(f"backup {self.backup_id} has no time yet, so a copy of it has no id")
        return f"{self.taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{self.backup_id}"

    def with_consistency(self, consistency: Consistency, reason: str) -> Backup:
        """The same backup, as consistent as somebody saw to; what its provider leaves open is told as well."""
        reasons = "; ".join(one for one in (reason, self.consistency_reason) if one)
        return replace(self, consistency=consistency, consistency_reason=reasons)

    def as_record(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "instance": self.instance,
            "backup_id": self.backup_id,
            "state": self.state.value,
            "automatic": self.automatic,
            "taken_at": self.taken_at.astimezone(UTC).isoformat() if self.taken_at else None,
            "shards": [[shard.name, shard.slots] for shard in self.shards],
            "engine": self.engine.as_record(),
            "source_size": self.source_size,
            "consistency": self.consistency.value,
            "consistency_reason": self.consistency_reason,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Backup:
        return cls(
            provider=record["provider"],
            instance=record["instance"],
            backup_id=record["backup_id"],
            state=BackupState(record["state"]),
            automatic=record["automatic"],
            taken_at=datetime.fromisoformat(record["taken_at"]) if record["taken_at"] else None,
            shards=tuple(Shard(name, slots) for name, slots in record["shards"]),
            engine=EngineFacts.from_record(record["engine"]),
            source_size=record.get("source_size", ""),
            consistency=Consistency(record.get("consistency", Consistency.POINT_IN_TIME)),
            consistency_reason=record.get("consistency_reason", ""),
        )


@dataclass(frozen=True)
class StagedFile:
    """One backup file that can be read now: where it lies, how long it is, and the tag that pins those bytes."""

    shard: Shard
    key: str
    size_bytes: int
    etag: str

    def as_record(self) -> list[Any]:
        return [self.shard.name, self.shard.slots, self.key, self.size_bytes, self.etag]

    @classmethod
    def from_record(cls, record: list[Any]) -> StagedFile:
        name, slots, key, size_bytes, etag = record
        return cls(Shard(name, slots), key, size_bytes, etag)
