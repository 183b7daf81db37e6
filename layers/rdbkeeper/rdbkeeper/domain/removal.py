"""The plan of a removal, written before anything is removed, and what became of one. Pure.

A plan names every object by its exact key and tag, so whoever finishes it after a crash removes those and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rdbkeeper.domain.catalog import FoundObject
from rdbkeeper.domain.documents import read_document, reading, write_document
from rdbkeeper.domain.moments import write_moment

PLAN_FORMAT = "rdbkeeper-removal/1"
# No invocation lasts longer ("Timeout", Lambda quotas), so nobody is at work on a plan of that age.
LONGEST_AT_WORK = timedelta(minutes=15)


@dataclass(frozen=True)
class PlannedObject:
    """An object that is to go: this key with this tag, and no other."""

    key: str
    etag: str
    size_bytes: int


@dataclass(frozen=True)
class RemovalPlan:
    """What a removal is to take away, why, by whom, and when it was decided (aware UTC).

    `by` is one who is never at work twice at once: all others leave the plan alone while that one is at work.
    `manifests` go first; there are none where `objects` are what a copy left that was never published.
    """

    copy_id: str
    reason: str
    by: str
    at: datetime
    manifests: tuple[PlannedObject, ...]
    objects: tuple[PlannedObject, ...]

    @property
    def size_bytes(self) -> int:
        return sum(planned.size_bytes for planned in self.objects)

    def is_at_work(self, now: datetime) -> bool:
        """True while whoever wrote the plan may still be removing."""
        return now - self.at < LONGEST_AT_WORK

    def to_json(self) -> bytes:
        """The document: UTF-8 JSON, indented, as a person may have to read it."""
        document = {
            "format": PLAN_FORMAT,
            "copy_id": self.copy_id,
            "reason": self.reason,
            "by": self.by,
            "at": write_moment(self.at),
            "manifests": [vars(planned) for planned in self.manifests],
            "objects": [vars(planned) for planned in self.objects],
        }
        return write_document(document)

    @classmethod
    def from_json(cls, body: bytes, key: str) -> RemovalPlan:
        """The plan that `to_json` wrote. Raises ManifestUnreadable, naming `key`, for anything else."""
        hint = (
            "Something other than rdbkeeper wrote or changed it. Nothing is removed by it; look at it, and "
            "remove it by hand."
        )
        with reading(f"the plan of a removal {key}", hint):
            document = read_document(body, PLAN_FORMAT)
            return cls(
                copy_id=document["copy_id"],
                reason=document["reason"],
                by=document["by"],
                at=datetime.fromisoformat(document["at"]),
                manifests=tuple(PlannedObject(**planned) for planned in document["manifests"]),
                objects=tuple(PlannedObject(**planned) for planned in document["objects"]),
            )


def plan_objects(found: Iterable[FoundObject]) -> tuple[PlannedObject, ...]:
    """Objects as listed, to be removed as they are."""
    return tuple(PlannedObject(one.key, one.etag, one.size_bytes) for one in found)


class RemovalEnd(StrEnum):
    """How a removal ended."""

    REMOVED = "removed"
    GONE = "gone"  # there was no such copy any more
    HELD = "held"
    LOCKED = "locked"
    UNDER_WAY = "under way"  # somebody else is at it, or was cut off at it a moment ago
    NEEDED = "needed"  # what was to outlive it is no longer there
    REFUSED = "refused"  # what lies there is not what could be removed safely; `detail` tells


@dataclass(frozen=True)
class RemovalOutcome:
    """One removal: how it ended and how many bytes of data went.

    `retained_until` (aware UTC) is when the store's lock ends, None also for a legal hold, which has no end. `left` are
    the keys of objects that are others than those that were planned, and stay.
    """

    copy_id: str
    end: RemovalEnd
    size_bytes: int = 0
    retained_until: datetime | None = None
    detail: str = ""
    left: tuple[str, ...] = ()
