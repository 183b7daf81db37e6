"""Which copies somebody asks for: where they are looked for, and which of those there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from rdbkeeper.domain.catalog import CatalogEntry, Level, find_taken_at

_NO_MOMENT = datetime.min.replace(tzinfo=UTC)


class CopyState(StrEnum):
    """What can be said of a copy; a copy may be in several states. A damaged one is neither verified nor unchecked."""

    VERIFIED = "verified"
    UNCHECKED = "unchecked"
    DAMAGED = "damaged"
    HELD = "held"
    LOCKED = "locked"


@dataclass(frozen=True)
class RulePlace:
    """The present place of a rule."""

    rule: str


@dataclass(frozen=True)
class VaultPlace:
    """A place of a vault, whether a rule keeps its copies there or not."""

    vault: str
    prefix: str
    instance: str

    @property
    def path(self) -> str:
        return f"{self.prefix}{self.instance}/"


@dataclass(frozen=True)
class VaultPlaces:
    """Every place of a vault below a prefix; with an `instance`, those of instances of that name."""

    vault: str
    prefix: str = ""
    instance: str = ""


@dataclass(frozen=True)
class CopyFilter:
    """Which copies: taken at or after `since` and before `until` (aware UTC), in `state`; None where all are meant."""

    since: datetime | None = None
    until: datetime | None = None
    state: CopyState | None = None

    def admits(self, entry: CatalogEntry) -> bool:
        """True for a copy that is meant, as far as the catalog can tell: whether it is locked its store alone knows."""
        taken_at = entry.taken_at
        if (self.since or self.until) and taken_at is None:
            return False
        if self.since and taken_at and taken_at < self.since:
            return False
        if self.until and taken_at and taken_at >= self.until:
            return False
        return self.state in (None, CopyState.LOCKED) or self.state in find_states(entry)


def find_states(entry: CatalogEntry) -> tuple[CopyState, ...]:
    """The states of a copy that its catalog tells: all but locked."""
    level = CopyState.DAMAGED if entry.is_damaged else CopyState(entry.level.value)
    return (level, CopyState.HELD) if entry.is_held else (level,)


def count_states(entries: Iterable[CatalogEntry]) -> dict[str, int]:
    """How many copies there are, and how many in each state that a catalog tells."""
    counts = {"copies": 0, **{state.value: 0 for state in CopyState if state is not CopyState.LOCKED}}
    for entry in entries:
        counts["copies"] += 1
        for state in find_states(entry):
            counts[state.value] += 1
    return counts


def is_last_verified(entry: CatalogEntry, others: Iterable[CatalogEntry]) -> bool:
    """True when no other copy of the place is verified and whole as far as anybody knows, and this one is."""
    return _is_proven(entry) and not any(_is_proven(other) for other in others if other.copy_id != entry.copy_id)


def age_order(copy_id: str, path: str) -> tuple[datetime, str, str]:
    """What copies of several places are sorted by; backwards, the newest come first and what is no id of ours last."""
    return (find_taken_at(copy_id) or _NO_MOMENT, copy_id, path)


def write_page_mark(copy_id: str, path: str) -> str:
    """The mark after which the next page begins."""
    return f"{copy_id}/{path}"


def read_page_mark(mark: str) -> tuple[datetime, str, str]:
    """What `write_page_mark` wrote, as `age_order` sorts it; a copy's id alone will do where there is one place."""
    copy_id, _, path = mark.partition("/")
    return age_order(copy_id, path)


def _is_proven(entry: CatalogEntry) -> bool:
    return entry.level is Level.VERIFIED and not entry.is_damaged
