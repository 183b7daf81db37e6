"""Shows copies: which there are, read from their vault, and one of them with all that can be said of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from rdbkeeper.domain.catalog import Catalog, CatalogEntry, FoundObject, Mark, manifest_key, mark_key
from rdbkeeper.domain.console_links import download_lines, find_folder_link, find_object_link, verify_line
from rdbkeeper.domain.copy import CopiedFile, Manifest, data_prefix
from rdbkeeper.domain.copy_query import (
    CopyFilter,
    CopyState,
    RulePlace,
    VaultPlace,
    VaultPlaces,
    age_order,
    count_states,
    find_states,
    read_page_mark,
    write_page_mark,
)
from rdbkeeper.domain.errors import CopyNotFound, ManifestUnreadable, VaultDenied, VaultRefused
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.vault import VaultBinding
from rdbkeeper.flows.copies.marks import find_entry, find_mark
from rdbkeeper.flows.copies.places import OpenPlace, find_places, get_binding, get_place
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.ports import Lock, Record, Vault

MOST_LOCKS_READ = 1000
CALLS_AT_ONCE = 8
LARGEST_MANIFEST_SHOWN_BYTES = 3 << 20  # an answer has at most 6 MB ("Lambda quotas"), and shows each file twice


class Found(NamedTuple):
    """A copy of a catalog and where it lies."""

    entry: CatalogEntry
    place: OpenPlace

    @property
    def age(self) -> tuple[datetime, str, str]:
        return age_order(self.entry.copy_id, self.place.path)

    @property
    def mark(self) -> str:
        return write_page_mark(self.entry.copy_id, self.place.path)


@dataclass
class LockReading:
    """Reads the locks of copies as their manifests have them; `denied` is what kept one from being read."""

    now: datetime
    denied: VaultDenied | None = field(default=None)

    def read(self, found: Sequence[Found]) -> list[Lock | None]:
        """What locks each copy now, or None; none is asked for where the store has no locks."""
        asked = [(one.place.vault, manifest_key(one.place.path, one.entry.copy_id, one.entry.level)) for one in found]
        return self.read_objects(asked)

    def read_objects(self, asked: Sequence[tuple[Vault, str]]) -> list[Lock | None]:
        """The same of single objects."""
        if not any(vault.capabilities.locks for vault, _ in asked):
            return [None] * len(asked)
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            return list(pool.map(lambda one: self._read(*one), asked))

    def _read(self, vault: Vault, key: str) -> Lock | None:
        try:
            lock = vault.find_lock(key)
        except VaultRefused:  # removed since it was listed
            return None
        except VaultDenied as error:
            self.denied = error
            return None
        return lock if lock is not None and lock.holds(self.now) else None

    def notes(self) -> list[str]:
        return [f"Locks are not shown, as they could not be read: {self.denied}"] if self.denied else []


@dataclass(frozen=True)
class ShowCopies:
    """What a person may look at. Changes nothing."""

    context: RulesContext

    def list(self, where: RulePlace | VaultPlace | VaultPlaces, which: CopyFilter, after: str, limit: int) -> Record:
        """Some of the copies, the newest first; `next_after` is what to pass on for the next page, None at the end.

        Counts are of the whole places. A page of locked copies may be short or empty and still have a next one.
        """
        is_cut = False
        if isinstance(where, VaultPlaces):
            places, is_cut = find_places(self.context, where)
        else:
            places = [get_place(self.context, where)]
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            catalogs = list(pool.map(lambda place: place.vault.catalog(place.path), places))
        read = list(zip(places, catalogs, strict=True))
        if isinstance(where, VaultPlaces):  # a folder may be called `manifests` and hold none
            read = [(place, catalog) for place, catalog in read if catalog != Catalog()]
        meant = _select(read, which, after)
        reading = LockReading(self.context.clock.now())
        take = _take_locked if which.state is CopyState.LOCKED else _take
        shown, next_after = take(meant, limit, reading)
        checks = self._checks(places)
        return {
            "copies": [_describe(found, lock, checks) for found, lock in shown],
            "next_after": next_after,
            "places": [_describe_place(place, catalog) for place, catalog in read],
            "counts": count_states(entry for _, catalog in read for entry in catalog.entries),
            "notes": [*_notes(where, [catalog for _, catalog in read], is_cut=is_cut), *reading.notes()],
        }

    def get(self, where: RulePlace | VaultPlace, copy_id: str) -> Record:
        """One copy: its manifest, what of it is there, locks, marks, links, and lines to fetch and check it.

        Raises CopyNotFound. A manifest that cannot be read, or data that are missing, are shown as they are.
        """
        place = get_place(self.context, where)
        entry = find_entry(place, place.vault.catalog(place.path), copy_id)
        binding = get_binding(self.context, place.name)
        key = manifest_key(place.path, copy_id, entry.level)
        manifest, document, problems = _read_manifest(place, key, copy_id)
        there = {found.key: found for found in place.vault.find_objects(data_prefix(place.path, copy_id))}
        files = manifest.files if manifest else ()
        problems += _find_problems(files, there)
        locked = [key, *(file.key for file in files if file.key in there)]
        reading = LockReading(self.context.clock.now())
        locks = dict(zip(locked, reading.read_objects([(place.vault, one) for one in locked]), strict=True))
        described = _describe(Found(entry, place), locks[key], self._checks([place]))
        if problems:
            described["states"] = [CopyState.DAMAGED.value, *described["states"][1:]]
        return {
            "copy": {
                **described,
                "size_bytes": manifest.size_bytes if manifest else None,
                "problems": problems,
                "files": [_describe_file(file, there.get(file.key), locks.get(file.key), binding) for file in files],
                "other_objects": sorted(set(there) - {file.key for file in files}),
                "marks": _read_marks(place, copy_id),
                "manifest_key": key,
                "manifest": document,
                "links": {
                    "data": find_folder_link(binding, data_prefix(place.path, copy_id)),
                    "manifest": find_object_link(binding, key),
                },
                "commands": {
                    "download": download_lines(binding, data_prefix(place.path, copy_id), key, copy_id),
                    "verify": verify_line(binding, key),
                },
                "notes": reading.notes(),
            }
        }

    def _checks(self, places: Sequence[OpenPlace]) -> dict[str, datetime]:
        """When the copies of one rule were last read again; of several places nobody waits for that."""
        return self.context.runs.checks(places[0].rule) if len(places) == 1 and places[0].rule else {}


def _select(places: Iterable[tuple[OpenPlace, Catalog]], which: CopyFilter, after: str) -> list[Found]:
    """The copies that are meant and come after the mark, the newest first."""
    found = [Found(entry, place) for place, catalog in places for entry in catalog.entries if which.admits(entry)]
    last = read_page_mark(after) if after else None
    return sorted((one for one in found if last is None or one.age < last), key=lambda one: one.age, reverse=True)


Shown = tuple[list[tuple[Found, Lock | None]], str | None]


def _take(meant: Sequence[Found], limit: int, reading: LockReading) -> Shown:
    page = meant[:limit]
    shown = list(zip(page, reading.read(page), strict=True))
    return shown, page[-1].mark if len(meant) > limit else None


def _take_locked(meant: Sequence[Found], limit: int, reading: LockReading) -> Shown:
    """The locked ones: the store is asked about each copy, so a page looks at no more than so many."""
    able = [one for one in meant if one.place.vault.capabilities.locks]
    shown: list[tuple[Found, Lock | None]] = []
    looked = 0
    while looked < min(len(able), MOST_LOCKS_READ) and len(shown) < limit:
        batch = able[looked : looked + min(limit - len(shown), MOST_LOCKS_READ - looked)]
        shown += [(one, lock) for one, lock in zip(batch, reading.read(batch), strict=True) if lock is not None]
        looked += len(batch)
    return shown, able[looked - 1].mark if looked < len(able) else None


def _describe(found: Found, lock: Lock | None, checks: dict[str, datetime]) -> Record:
    entry, place = found
    states = [state.value for state in find_states(entry)]
    return {
        "copy_id": entry.copy_id,
        "vault": place.name,
        "path": place.path,
        "rule": place.rule or None,
        "taken_at": _moment(entry.taken_at),
        "level": entry.level.value,
        "states": [*states, CopyState.LOCKED.value] if lock else states,
        "published_at": _moment(entry.published_at),
        "last_checked_at": _moment(checks.get(entry.copy_id)),
        **_describe_lock(lock),
    }


def _describe_lock(lock: Lock | None) -> Record:
    return {
        "locked_until": _moment(lock.until) if lock else None,
        "legal_hold": lock is not None and lock.is_legal_hold,
    }


def _describe_place(place: OpenPlace, catalog: Catalog) -> Record:
    return {
        "vault": place.name,
        "path": place.path,
        "rule": place.rule or None,
        "counts": count_states(catalog.entries),
        "removed_by_people": len(catalog.removed),
    }


def _notes(where: RulePlace | VaultPlace | VaultPlaces, catalogs: Sequence[Catalog], *, is_cut: bool) -> list[str]:
    notes = []
    if is_cut:
        notes.append("The vault has more folders than one request opens: there may be more. Name a prefix to see them.")
    if isinstance(where, VaultPlaces) and not catalogs:
        notes.append("No place with copies was found there.")
    elif not any(catalog.entries for catalog in catalogs):
        notes.append("There are no copies there.")
    return notes


def _read_manifest(place: OpenPlace, key: str, copy_id: str) -> tuple[Manifest | None, Record | None, list[str]]:
    """The manifest, as it is read and as it is written, and what is wrong with it. CopyNotFound when it is gone."""
    try:
        body = place.vault.read_object(key)
    except VaultRefused:
        if place.vault.find_object(key) is None:
            raise CopyNotFound(f"The copy {copy_id} was removed while it was looked at.", field="copy_id") from None
        raise
    try:
        manifest = Manifest.from_json(body, key)
    except ManifestUnreadable as error:
        return None, None, [str(error)]
    document: Record = json.loads(body)
    if len(body) > LARGEST_MANIFEST_SHOWN_BYTES:
        document["files"] = [{**file, "part_sha256": "left out: look into the manifest"} for file in document["files"]]
    problems = [f"The manifest is that of {manifest.copy_id[:80]}."] if manifest.copy_id != copy_id else []
    return manifest, document, problems


def _find_problems(files: Iterable[CopiedFile], there: dict[str, FoundObject]) -> list[str]:
    problems = []
    for file in files:
        found = there.get(file.key)
        if found is None:
            problems.append(f"{file.name}.rdb is missing.")
        elif found.size_bytes != file.size_bytes:
            problems.append(f"{file.name}.rdb has {found.size_bytes:,} bytes; its manifest says {file.size_bytes:,}.")
    return problems


def _describe_file(file: CopiedFile, found: FoundObject | None, lock: Lock | None, binding: VaultBinding) -> Record:
    return {
        "name": file.name,
        "key": file.key,
        "size_bytes": file.size_bytes,
        "present": found is not None,
        "size_found_bytes": found.size_bytes if found else None,
        **_describe_lock(lock),
        "link": find_object_link(binding, file.key) if found else None,
    }


def _read_marks(place: OpenPlace, copy_id: str) -> Record:
    """What lies beside the copy, by kind: who put it there, when and why, as far as it says so."""
    found = {mark.value: find_mark(place.vault, mark_key(place.path, mark, copy_id)) for mark in Mark}
    return {kind: body for kind, body in found.items() if body is not None}


def _moment(moment: datetime | None) -> str | None:
    return write_moment(moment) if moment else None
