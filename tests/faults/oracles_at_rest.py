"""What must hold of copies at rest: what is removed, marked, locked and said of them, asked after each call.

Nothing here uses what is under test: which copies a retention keeps is worked out in `reference`, which bytes are
damaged by comparing them with those that were published.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rdbkeeper.domain.catalog import CatalogEntry, Level
from tests.faults.fault import Kind
from tests.faults.reading import Reading, Seen, copy_id_of, place_of
from tests.faults.reference import KnownCopy, are_too_old, find_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.execution import Execution
    from tests.faults.process import Process
    from tests.faults.world import World

DAY = timedelta(days=1)
SKEW = timedelta(minutes=5)  # of a process's clock, and of what a run takes for itself
CALLS_OF_A_REMOVAL = 15  # from looking for the copies that stay to removing a manifest
MOST_CALLS_WITH_OLD_RULE = 20  # from reading the rule to the plan of a removal
_FLIPS = (Kind.FLIP_FIRST, Kind.FLIP_MIDWAY, Kind.FLIP_LAST)


class OraclesAtRest:
    """Knows the copies that were published, and looks at whatever is done to them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.published: dict[str, dict[str, bytes]] = {}  # a manifest's key, and the data under it by key
        self.held: set[str] = set()  # manifests whose copies a person was told to be held
        self.removed_by_person: set[str] = set()
        self.spoiled: set[str] = set()  # data that somebody destroyed or damaged by hand
        self.others_uploads: set[str] = set()
        self._seen: dict[str, Seen] = defaultdict(Seen)
        self._effects = 0  # removals that had one
        self._spoiled_at = -1  # the number of the event at which somebody destroyed or damaged data by hand
        self._taken_at = -1  # and at which somebody took away a whole copy, or its manifest
        self._reading = Reading()
        self._locks: dict[str, Any] = {}
        self._plans: dict[str, dict[str, Any]] = {}
        self._events = 0
        self._claimed_at: dict[str, int] = {}  # by place: when another stack took it over

    def check(self, holds: bool, otherwise: str) -> None:
        self._world.oracles.check(holds, otherwise)

    # ------------------------------------------------------------ what is there

    def known_copies(self, path: str) -> tuple[KnownCopy, ...]:
        """The copies of a place as they truly are."""
        objects = self._world.the_vault.objects
        copies = []
        for key in self.published:
            if not key.startswith(f"{path}manifests/") or key not in objects:
                continue
            copy_id = copy_id_of(key)
            taken_at = CatalogEntry(copy_id, Level.VERIFIED).taken_at
            assert taken_at is not None
            is_damaged, is_held = (f"{path}{mark}/{copy_id}.json" in objects for mark in ("damaged", "holds"))
            copies.append(KnownCopy(copy_id, taken_at, ".verified." in key, is_damaged, is_held))
        return tuple(copies)

    def is_whole(self, manifest: str) -> bool:
        """Whether all of a copy's data are there, byte for byte."""
        objects = self._world.the_vault.objects
        return all(objects.get(key) == body for key, body in self.published[manifest].items())

    def _is_present(self, manifest: str) -> bool:
        """Whether a verified copy is there, as far as anybody can tell who does not read it."""
        objects = self._world.the_vault.objects
        place, copy_id = place_of(manifest), copy_id_of(manifest)
        is_counted = ".verified." in manifest and f"{place}damaged/{copy_id}.json" not in objects
        data = self.published[manifest]
        return is_counted and all(len(objects.get(key, b"")) == len(body) for key, body in data.items())

    def published_ids(self) -> set[str]:
        """The ids of all copies whose manifests are there."""
        return {copy_id_of(key) for key in self.published}

    def manifest_of(self, place: str, copy_id: str) -> str | None:
        """The key of a copy's manifest, or None where it was not published."""
        keys = (f"{place}manifests/{copy_id}.{level}.json" for level in ("verified", "unchecked"))
        return next((key for key in keys if key in self.published), None)

    # -------------------------------------------------------------- by whomever

    def note_people(self, spoiled: str = "") -> None:
        """Somebody has removed or damaged something by hand: what is gone is not published any more."""
        self._events += 1
        if spoiled:
            self.spoiled.add(spoiled)
            self._spoiled_at = self._events
        self._effects = len(self._world.the_vault.removed)
        for manifest in [key for key in self.published if key not in self._world.the_vault.objects]:
            self._taken_at = self._events
            del self.published[manifest]
            self.held.discard(manifest)

    def claim_for_another_stack(self, place: str) -> None:
        """Another stack takes a place over: what lies there is its own from now on."""
        claim = {"stack": "another", "stack_name": "another", "rule": "r", "claimed_at": "2026-11-20T00:00:00Z"}
        self._world.the_vault.objects[f"{place}claim.json"] = json.dumps(claim).encode()
        self._claimed_at.setdefault(place, self._events)

    @property
    def has_lost_copies(self) -> bool:
        """True when somebody took away a copy, or its manifest, at any time."""
        return self._taken_at >= 0

    def is_claimed(self, place: str) -> bool:
        """True when a place is another stack's."""
        return place in self._claimed_at

    def after_call(self, process: Process, label: str, given: tuple[Any, ...], answer: Any) -> None:
        """Note what an execution was shown."""
        self._events += 1
        seen = self._seen[process.execution.arn]
        seen.calls_since_rule += 1
        if label == "vault.catalog":
            seen.copies, seen.listed_at = self.known_copies(given[0]), self._events
        elif label == "rules.find_rule":
            seen.rule, seen.calls_since_rule = answer, 0
        elif label in ("source.find_instance", "live.find_instance"):
            seen.found_instance = answer is not None

    # -------------------------------------------------------------- marks, plans

    def after_create(self, process: Process | None, key: str, body: bytes) -> None:
        """Look at a mark or a plan that was written; `process` is None where a person did."""
        folder, name = key.split("/")[-2:]
        place, copy_id = key[: -len(f"{folder}/{name}")], name.removesuffix(".json")
        if folder == "removals":
            self._locks.update(self._world.the_vault.locks)
            self._plans[key] = json.loads(body)
            if process is not None:
                self._check_plan(process, place, copy_id, self._plans[key])
        elif folder == "damaged":
            self._check_damage(place, copy_id)
        else:
            is_mark = folder in ("holds", "removed")
            if folder == "removed" and process is None:
                self.removed_by_person.add(copy_id)
            self.check(is_mark and process is None, f"{key} was created by a run and is no manifest, mark or plan")

    def _check_plan(self, process: Process, place: str, copy_id: str, plan: dict[str, Any]) -> None:
        planned = [one["key"] for one in (*plan["manifests"], *plan["objects"])]
        own = (f"{place}{copy_id}/", f"{place}manifests/{copy_id}.", f"{place}damaged/{copy_id}.json")
        self.check(all(key.startswith(own) for key in planned), f"the plan to remove {copy_id} names other objects")
        self.check(plan["copy_id"] == copy_id, f"the plan to remove {copy_id} names another copy")
        if not plan["manifests"]:
            self._check_fragment(place, copy_id, planned)
            return
        manifest = self.manifest_of(place, copy_id)
        if manifest is None:
            return  # it went a moment ago
        there = self._world.the_vault.objects
        left = {key for key in self.published[manifest] if key in there} - set(planned)
        self.check(not left, f"the plan to remove {copy_id} leaves {sorted(left)}")
        self._check_decision(process, place, copy_id)

    def _check_fragment(self, place: str, copy_id: str, planned: list[str]) -> None:
        vault = self._world.the_vault
        latest = self._world.clock.now() - DAY + SKEW
        young = [key for key in planned if key in vault.objects and vault.written_at.get(key, latest) > latest]
        self.check(not young, f"{young} are removed as fragments and are younger than a day")

    def _check_decision(self, process: Process, place: str, copy_id: str) -> None:
        """A run may only plan to remove what no retention in force keeps, while its rule gets new copies."""
        seen, now = self._seen[process.execution.arn], process.clock.now()
        rule = seen.rule
        if rule is None:
            self.check(False, f"{copy_id} is to be removed by a run that has not read its rule")
            return
        self.check(
            seen.calls_since_rule <= MOST_CALLS_WITH_OLD_RULE,
            f"{copy_id} is to be removed by what the rule said long ago",
        )
        self.check(seen.found_instance, f"{copy_id} is to be removed and its source is gone")
        is_theirs = self._claimed_at.get(place, seen.listed_at) < seen.listed_at
        self.check(not is_theirs, f"{copy_id} is to be removed and is another stack's by now")
        retentions = [rule.retention.as_record()]
        retentions += [one.retention.as_record() for one in rule.outgoing if one.until > now]
        zone = rule.cycle.time_zone
        # What was marked as damaged since the listing counts from when the mark was there.
        reasons = []
        for copies in (seen.copies, self.known_copies(place)):
            is_kept = copy_id in find_kept(copies, retentions, zone, now)
            is_too_old = are_too_old(copies, rule.cycle.kind, now - SKEW)
            reasons.append("which a retention keeps" if is_kept else "and no newer one is new" if is_too_old else "")
        self.check(not all(reasons), f"{copy_id} is to be removed, {reasons[0]}")

    def _check_damage(self, place: str, copy_id: str) -> None:
        manifest = self.manifest_of(place, copy_id)
        struck = self._world.injector.struck
        flips = sum(fault.kind in _FLIPS and where == "vault.open_range" for fault, where, _ in struck)
        if manifest is not None and flips < 2:  # what is read again may be damaged on its way a second time
            self.check(not self.is_whole(manifest), f"{copy_id} is marked as damaged and is whole")

    # ------------------------------------------------------------------ removals

    def after_remove(self, process: Process | None, key: str, etag: str) -> bool:
        """Look at a removal; returns False where nothing was there to be removed."""
        vault = self._world.the_vault
        if len(vault.removed) == self._effects:
            return False
        self._effects = len(vault.removed)
        self._events += 1
        folder = key.split("/")[-2]
        if folder == "manifests":
            self._check_removed_manifest(process, key, etag)
        elif folder == "removals":
            self._check_dropped_plan(key)
        elif folder == "damaged":
            self._check_mended(key, etag)
        elif folder in ("holds", "removed"):
            self.check(process is None, f"{key} was removed and is a person's")
            self.removed_by_person.discard(
                key.rsplit("/", maxsplit=1)[-1].removesuffix(".json") if folder == "removed" else ""
            )
        else:
            self._check_removed_data(process, key, etag)
        lock = self._locks.get(key)
        self.check(lock is None or not lock.holds(self._world.clock.now()), f"{key} was removed and is locked")
        return True

    def is_of_a_copy(self, key: str) -> bool:
        """Whether the plan by which data went was one to remove a copy, and not what never became one."""
        place, copy_id = key.rsplit("/", 2)[0] + "/", key.split("/")[-2]
        return bool(self._plans.get(f"{place}removals/{copy_id}.json", {}).get("manifests"))

    def _find_plan(self, place: str, copy_id: str) -> dict[str, Any] | None:
        body = self._world.the_vault.objects.get(f"{place}removals/{copy_id}.json")
        plan: dict[str, Any] | None = json.loads(body) if body is not None else None
        return plan

    def _is_planned(self, place: str, copy_id: str, key: str, etag: str) -> bool:
        plan = self._find_plan(place, copy_id) or {"manifests": [], "objects": []}
        return any((one["key"], one["etag"]) == (key, etag) for one in (*plan["manifests"], *plan["objects"]))

    def _check_removed_manifest(self, process: Process | None, key: str, etag: str) -> None:
        place, copy_id = place_of(key), copy_id_of(key)
        self.check(self._is_planned(place, copy_id, key, etag), f"{key} was removed without a plan that names it")
        self.check(key not in self.held, f"{copy_id} was removed and is held")
        if key not in self.published:
            return
        locked = [one for one in (key, *self.published[key]) if self._is_locked(one)]
        self.check(not locked, f"{copy_id} was removed and {locked} are locked")
        was_present = self._is_present(key)
        del self.published[key]
        left = any(self._is_present(one) for one in self.published if place_of(one) == place)
        if process is None:
            self._taken_at = self._events
        elif was_present and not left:
            # Only the keepers' manifests are looked for before each removal; all of their data once, beforehand.
            listed_at = self._seen[process.execution.arn].listed_at
            is_excused = self._spoiled_at > listed_at or self._events - self._taken_at < CALLS_OF_A_REMOVAL
            self.check(is_excused, f"{copy_id} was removed, the last verified copy that is present")

    def _is_locked(self, key: str) -> bool:
        lock = self._locks.get(key)
        return lock is not None and lock.holds(self._world.clock.now())

    def _check_removed_data(self, process: Process | None, key: str, etag: str) -> None:
        place, copy_id = key.rsplit("/", 2)[0] + "/", key.split("/")[-2]
        self.check(key.endswith(".rdb"), f"{key} was removed and is no data")
        there = [one for one in self._world.the_vault.objects if one.startswith(f"{place}manifests/{copy_id}.")]
        self.check(not there, f"{key} was removed under its manifest")
        is_copying = process is not None and copy_id in self._world.oracles.attempts.values()
        is_planned = self._is_planned(place, copy_id, key, etag)
        self.check(is_planned or is_copying, f"{key} was removed without a plan that names it")

    def _check_dropped_plan(self, key: str) -> None:
        """A plan may go when nothing of it was done, or all of it."""
        place, copy_id = key.partition("removals/")[0], key.rsplit("/", maxsplit=1)[-1].removesuffix(".json")
        objects = self._world.the_vault.objects
        is_there = any(one.startswith(f"{place}manifests/{copy_id}.") for one in objects)
        if is_there or self._world.oracles.has_struck(Kind.COPY_TAKEN, Kind.MANIFEST_TAKEN):
            return
        planned = {(one["key"], one["etag"]) for one in self._plans.get(key, {}).get("objects", ())}
        etag_at = self._world.the_vault._etag_at
        left = [one for one, etag in planned if one in objects and etag_at(one) == etag]
        self.check(not left, f"the plan to remove {copy_id} was dropped and {sorted(left)} are left")

    def _check_mended(self, key: str, etag: str) -> None:
        place, copy_id = key.partition("damaged/")[0], key.rsplit("/", maxsplit=1)[-1].removesuffix(".json")
        manifest = self.manifest_of(place, copy_id)
        if manifest is not None and not self._is_planned(place, copy_id, key, etag):
            is_spoiled = self._world.oracles.has_struck(Kind.KEEPER_DAMAGED, Kind.KEEPER_TAKEN)
            self.check(is_spoiled or self.is_whole(manifest), f"the mark of {copy_id} was removed and it is damaged")

    # --------------------------------------------------------------------- locks

    def after_lock(self, key: str) -> None:
        """A manifest is locked when all of its data are."""
        self._locks.update(self._world.the_vault.locks)
        if "/manifests/" in key and key in self.published:
            lock = self._locks[key]
            behind = [one for one in self.published[key] if not self._is_locked_for(one, lock.until)]
            self.check(not behind, f"{key} is locked and {behind} are not, or not as long")

    def _is_locked_for(self, key: str, until: datetime) -> bool:
        lock = self._locks.get(key)
        is_gone = key not in self._world.the_vault.objects
        return is_gone or (lock is not None and lock.until is not None and lock.until >= until)

    # -------------------------------------------------------------------- audits

    def forget_reading(self, key: str) -> None:
        """What was read of an object says nothing of the one that is there from now on."""
        self._reading.forget(key)

    def was_read_by_one(self, key: str, size_bytes: int) -> bool:
        """Whether an execution has read an object whole, rightly."""
        return self._reading.covers_by_any(key, size_bytes)

    def told_of_reading(self, process: Process, given: tuple[Any, ...]) -> Callable[[int, memoryview], None] | None:
        """Who is to be told which bytes of an object an execution has read."""
        key, first_byte = given[0], given[2]
        there = self._world.the_vault.objects.get(key)  # what is not published yet may be read back
        body = next((data[key] for data in self.published.values() if key in data), there)
        return None if body is None else self._reading.listener(process.execution.arn, key, first_byte, body)

    def check_recorded(self, process: Process, copy_id: str) -> None:
        """Only what was read whole by this very run, and was right, is told to be checked."""
        manifest = self._find_manifest(process.execution, copy_id)
        for key, body in self.published.get(manifest or "", {}).items():
            was_read = self._reading.covers(process.execution.arn, key, len(body))
            self.check(was_read, f"{copy_id} is told to be checked and was not read whole")

    def _find_manifest(self, execution: Execution, copy_id: str) -> str | None:
        """The manifest of a copy in the place that an execution knows for its rule's."""
        rule = self._seen[execution.arn].rule
        return self.manifest_of(rule.place.path, copy_id) if rule is not None else None

    # -------------------------------------------------------------------- uploads

    def after_abort(self, process: Process, upload_id: str) -> None:
        opened_at = self._world.the_vault.opened_at.get(upload_id)
        if upload_id in self.others_uploads and opened_at is not None:
            age = process.clock.now() - opened_at
            self.check(age > DAY - SKEW, "another stack's upload was given up that is younger than a day")

    def check_told(self, event: str, copy_id: str, execution: Execution) -> None:
        """What a line says of a copy at rest is true."""
        if event == "CopyRemoved":
            is_there = self._find_manifest(execution, copy_id) is not None
            self.check(not is_there, f"{copy_id} is told to be removed and is there")
