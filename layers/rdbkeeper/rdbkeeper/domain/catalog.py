"""The catalog of one place: its copies, and the marks beside them, as the names of the objects tell.

Below a place, `{prefix}{instance}/`, lie

    {copy_id}/{file}.rdb                 the data
    manifests/{copy_id}.{level}.json     a copy exists from when this does
    holds/{copy_id}.json                 a person's hold: no removal
    damaged/{copy_id}.json               an audit found that the copy's bytes are no longer those of its manifest
    removals/{copy_id}.json              a removal that has been decided and is not finished
    removed/{copy_id}.json               a person removed the copy: its backup is not fetched again
    claim.json                           which stack keeps its copies here

A copy's id begins with a digit and the names of the marks do not, so one listing that begins after the digits reads
all of them and no data: one list call per 1,000.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property

_MOMENT = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class Level(StrEnum):
    """How far a copy was checked: whatever lacks a checksum of the source's own is unchecked."""

    VERIFIED = "verified"
    UNCHECKED = "unchecked"


class Mark(StrEnum):
    """What can be said of a copy by an object beside it."""

    HOLD = "holds"
    DAMAGED = "damaged"
    REMOVAL = "removals"
    REMOVED = "removed"


@dataclass(frozen=True)
class FoundObject:
    """An object as a listing shows it; `written_at` is aware UTC."""

    key: str
    size_bytes: int
    etag: str
    written_at: datetime


@dataclass(frozen=True)
class CatalogEntry:
    """One copy as its manifest's name and its marks tell it; `published_at` is when its manifest was written."""

    copy_id: str
    level: Level
    published_at: datetime | None = None
    is_held: bool = False
    is_damaged: bool = False

    @cached_property
    def taken_at(self) -> datetime | None:
        """When the backup was taken (aware UTC), as the copy's id begins; None where it is no id of ours."""
        return find_taken_at(self.copy_id)


@dataclass(frozen=True)
class Catalog:
    """What lies in a place: its copies by id, the copies that people removed, and the removals that are unfinished."""

    entries: tuple[CatalogEntry, ...] = ()
    removed: frozenset[str] = frozenset()
    unfinished_removals: tuple[str, ...] = ()

    def find(self, copy_id: str) -> CatalogEntry | None:
        """The copy of that id, or None."""
        return next((entry for entry in self.entries if entry.copy_id == copy_id), None)


def find_taken_at(copy_id: str) -> datetime | None:
    """When the backup of that copy was taken (aware UTC); None where it is no id of ours."""
    moment = copy_id.partition("-")[0]
    if not _MOMENT.fullmatch(moment):
        return None
    try:
        return datetime.fromisoformat(moment).astimezone(UTC)
    except ValueError:
        return None


def read_catalog(path: str, listed: Iterable[FoundObject]) -> Catalog:
    """The catalog that a listing of a place shows; what is no name of ours is left out.

    Where both of a copy's manifests exist, the verified one counts.
    """
    manifests: dict[str, tuple[Level, datetime]] = {}
    marked: dict[Mark, set[str]] = {mark: set() for mark in Mark}
    for found in listed:
        folder, _, name = found.key.removeprefix(path).partition("/")
        if folder == "manifests":
            manifest = _find_manifest(name)
            if manifest is not None and manifests.get(manifest[0], ("",))[0] != Level.VERIFIED:
                manifests[manifest[0]] = (manifest[1], found.written_at)
        elif folder in marked and name.endswith(".json") and "/" not in name:
            marked[Mark(folder)].add(name.removesuffix(".json"))
    entries = (
        CatalogEntry(copy_id, level, written_at, copy_id in marked[Mark.HOLD], copy_id in marked[Mark.DAMAGED])
        for copy_id, (level, written_at) in sorted(manifests.items())
    )
    return Catalog(tuple(entries), frozenset(marked[Mark.REMOVED]), tuple(sorted(marked[Mark.REMOVAL])))


def begin_of_marks(path: str) -> str:
    """The key after which a listing of a place shows its manifests and marks and no data: `:` follows the digits."""
    return f"{path}:"


def manifests_prefix(path: str) -> str:
    """Where the manifests of a place lie."""
    return f"{path}manifests/"


def manifest_key(path: str, copy_id: str, level: Level) -> str:
    """The key of one manifest; the level is in the name, so that a listing tells it."""
    return f"{manifests_prefix(path)}{copy_id}.{level.value}.json"


def mark_key(path: str, mark: Mark, copy_id: str) -> str:
    """The key of a mark of one copy."""
    return f"{path}{mark.value}/{copy_id}.json"


def claim_key(path: str) -> str:
    """The key of the object that tells which stack keeps its copies at a place."""
    return f"{path}claim.json"


def _find_manifest(name: str) -> tuple[str, Level] | None:
    for level in Level:
        ending = f".{level.value}.json"
        if name.endswith(ending) and "/" not in name:
            return name.removesuffix(ending), level
    return None
