"""What is known beforehand, and afterwards, of a server that is read directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rdbkeeper.domain.backup import Consistency, EngineFacts, Shard
from rdbkeeper.domain.outcome import human_duration
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

    `keys` is None where a stream was not looked into. `vanished` are the keys that were gone when they were to be read,
    `seconds` is how long the reading took; both of a logical reading only.
    """

    consistency: Consistency
    reason: str
    keys: int | None = None
    vanished: int = 0
    seconds: float = 0.0

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "consistency": self.consistency.value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> LiveFindings:
        return cls(**{**record, "consistency": Consistency(record["consistency"])})


def join_findings(
    findings: Sequence[LiveFindings], began: Sequence[datetime], plan: LivePlan
) -> tuple[Consistency, str]:
    """How consistent a backup is whose streams were read one after the other, and why: as the worst of them.

    `began` says when each was begun. What the plan's reason says is left out where it was not kept to: a server that
    refuses SYNC only once it is asked is read key by key, and its findings say so.
    """
    order = list(Consistency)
    worst = max(findings, key=lambda found: order.index(found.consistency))
    why = [worst.reason]
    if len(findings) > 1:
        apart = human_duration((max(began) - min(began)).total_seconds())
        one_by_one = f"the {len(findings)} shards were read one after the other, their beginnings {apart} apart"
        if worst.consistency is Consistency.LOGICAL:
            why = [*_tell_logical(findings), one_by_one, f"of the first of these: {worst.reason}"]
        else:
            why = [*dict.fromkeys(found.reason for found in findings), one_by_one]
    reason = "; ".join(why)
    fell_back = worst.consistency is Consistency.LOGICAL and any(file.way is Way.FULL_SYNC for file in plan.files)
    return worst.consistency, reason if fell_back or not plan.reason else f"{reason}. {plan.reason}"


def _tell_logical(findings: Sequence[LiveFindings]) -> list[str]:
    """What all shards that were read key by key have in common."""
    logical = [found for found in findings if found.consistency is Consistency.LOGICAL]
    seconds, vanished = sum(found.seconds for found in logical), sum(found.vanished for found in logical)
    told = f"{len(logical)} of {len(findings)} shards were read key by key, over {human_duration(seconds)} in all"
    return [told, *([f"{vanished:,} keys vanished meanwhile"] if vanished else [])]
