"""Removes one copy, in an order that may be cut off anywhere and in which a hold always counts.

The manifest is read, then the locks; a plan is written that names every object by key and tag; then it is looked once
more for a hold; then the manifest goes, then the data, then the plan. A hold writes its mark first and looks for a plan
afterwards, so one of the two always sees the other. For that a plan is one remover's alone, is as young as the removal,
and is taken away by nobody else while that one may be at work.

A plan that was not finished is finished where the manifest is gone, and dropped where it is still there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from rdbkeeper.domain.catalog import Catalog, CatalogEntry, FoundObject, Level, Mark, manifest_key, mark_key
from rdbkeeper.domain.copy import Manifest, data_prefix
from rdbkeeper.domain.errors import ManifestUnreadable, ObjectExists, RdbkeeperError, StoreMismatch
from rdbkeeper.domain.removal import PlannedObject, RemovalEnd, RemovalOutcome, RemovalPlan, plan_objects
from rdbkeeper.ports import Clock, Journal, Lock, Vault

MOST_FINISHED_AT_ONCE = 200
MOST_PLANS_TAKEN_OVER = 3


def remove_copy(
    vault: Vault,
    path: str,
    entry: CatalogEntry,
    *,
    reason: str,
    by: str,
    clock: Clock,
    journal: Journal,
    is_needed: Callable[[], bool] = lambda: False,
) -> RemovalOutcome:
    """Remove a copy whole, or not at all: a held, locked or unreadable one stays, and the outcome says why.

    `by` names one who is never at work twice at once, and who goes on where it was cut off; another's removal that was
    begun less than a quarter of an hour ago is left to that one. `is_needed` is asked shortly before the manifest goes:
    True keeps the copy.
    Raises VaultError when the vault does not do its part: then the plan stays, for a repeat or for `finish_removals`.
    """
    copy_id = entry.copy_id
    try:
        plan = _plan_removal(vault, path, entry, RemovalPlan(copy_id, reason, by, clock.now(), (), ()))
        if plan is None:
            return _remove_rest(vault, path, copy_id, clock, journal)
        if isinstance(plan, RemovalOutcome):
            return plan
        plan = _write_plan(vault, path, plan)
        if plan.by != by:
            detail = f"Removing it was begun by {plan.by} at {plan.at:%d %b %Y %H:%M} UTC"
            return RemovalOutcome(copy_id, RemovalEnd.UNDER_WAY, detail=detail)
    except ManifestUnreadable as error:
        return RemovalOutcome(copy_id, RemovalEnd.REFUSED, detail=str(error))
    stopped = _take_manifests(vault, path, plan, is_needed)
    return stopped or _remove_objects(vault, path, plan, journal)


def _plan_removal(
    vault: Vault, path: str, entry: CatalogEntry, wish: RemovalPlan
) -> RemovalPlan | RemovalOutcome | None:
    """The wish with all that is to go; what its lock says; or None where there is no manifest.

    Raises ManifestUnreadable.
    """
    manifests = _find_manifests(vault, path, entry.copy_id)
    if not manifests:
        return None
    keys = _read_data_keys(vault, path, entry.copy_id, manifests)
    listed = [found for found in vault.find_objects(data_prefix(path, entry.copy_id)) if found.key in keys]
    locked = _find_lock(vault, [*manifests, *listed], wish.at)
    if locked is not None:
        return _tell_lock(entry.copy_id, locked)
    marks = _find_damage(vault, path, entry)
    return replace(wish, manifests=plan_objects(manifests), objects=plan_objects([*listed, *marks]))


def _take_manifests(vault: Vault, path: str, plan: RemovalPlan, is_needed: Callable[[], bool]) -> RemovalOutcome | None:
    """Look a last time whether the copy must stay, then remove its manifests; None when they are gone."""
    stopped = RemovalOutcome(plan.copy_id, RemovalEnd.NEEDED) if is_needed() else None
    # The hold is the last to be looked for: nothing that takes its time may come in between.
    if vault.find_object(mark_key(path, Mark.HOLD, plan.copy_id)) is not None:
        stopped = RemovalOutcome(plan.copy_id, RemovalEnd.HELD)
    elif stopped is None:
        try:
            for manifest in plan.manifests:
                vault.remove_object(manifest.key, manifest.etag)
        except StoreMismatch as error:
            stopped = RemovalOutcome(plan.copy_id, RemovalEnd.REFUSED, detail=str(error))
        else:
            return None
    _drop_plan(vault, path, plan)
    return stopped


def remove_fragment(
    vault: Vault,
    path: str,
    copy_id: str,
    fragment: Sequence[FoundObject],
    *,
    reason: str,
    by: str,
    clock: Clock,
    journal: Journal,
) -> RemovalOutcome:
    """Remove objects of a copy that was never published, exactly these; none when it has been published meanwhile."""
    locked = _find_lock(vault, fragment, clock.now())
    if locked is not None:
        return _tell_lock(copy_id, locked)
    plan = _write_plan(vault, path, RemovalPlan(copy_id, reason, by, clock.now(), (), plan_objects(fragment)))
    if plan.by != by:
        return RemovalOutcome(copy_id, RemovalEnd.UNDER_WAY)
    if _find_manifests(vault, path, copy_id):
        _drop_plan(vault, path, plan)
        return RemovalOutcome(copy_id, RemovalEnd.REFUSED, detail="It has been published meanwhile.")
    return _remove_objects(vault, path, plan, journal)


def finish_removals(
    vault: Vault, path: str, catalog: Catalog, clock: Clock, journal: Journal
) -> tuple[RemovalOutcome, ...]:
    """Finish or drop the removals that were cut off; returns those that were finished.

    One that cannot be is logged and stays for the next time; one that may still be at work is left alone.
    """
    finished = []
    for copy_id in catalog.unfinished_removals[:MOST_FINISHED_AT_ONCE]:
        try:
            outcome = _finish(vault, path, copy_id, clock, journal)
        except RdbkeeperError as error:
            journal.warning("RemovalFailed", f"Finishing the removal of {copy_id} failed: {error}", reason=error.code)
            continue
        if outcome is not None:
            finished.append(outcome)
    return tuple(finished)


def is_staying(vault: Vault, path: str, entry: CatalogEntry) -> bool:
    """True while the copy's manifest is there and nobody has begun to remove it."""
    there = vault.find_object(manifest_key(path, entry.copy_id, entry.level)) is not None
    return there and vault.find_object(mark_key(path, Mark.REMOVAL, entry.copy_id)) is None


def find_plan(vault: Vault, path: str, copy_id: str) -> RemovalPlan | None:
    """The plan of a removal that was begun and is not finished, or None. Raises ManifestUnreadable for what is none."""
    key = mark_key(path, Mark.REMOVAL, copy_id)
    if vault.find_object(key) is None:
        return None
    plan = RemovalPlan.from_json(vault.read_object(key), key)
    own = (f"{data_prefix(path, copy_id)}", *(manifest_key(path, copy_id, level) for level in Level))
    own = (*own, mark_key(path, Mark.DAMAGED, copy_id))
    if plan.copy_id != copy_id or not all(p.key.startswith(own) for p in (*plan.manifests, *plan.objects)):
        raise ManifestUnreadable(
            f"The plan of a removal {key} names objects that are not that copy's.",
            hint="Something other than rdbkeeper wrote or moved it. Nothing is removed by it; look at it, and remove "
            "it by hand.",
        )
    return plan


def _finish(vault: Vault, path: str, copy_id: str, clock: Clock, journal: Journal) -> RemovalOutcome | None:
    plan = find_plan(vault, path, copy_id)
    if plan is None:
        return None
    if _find_manifests(vault, path, copy_id):
        # While its writer may be at work a hold must find the plan, or it would take itself to have been in time.
        if not plan.is_at_work(clock.now()):
            _drop_plan(vault, path, plan)
            journal.warning(
                "RemovalDropped", f"Removing {copy_id} was begun and cut off before anything was removed; it stays."
            )
        return None
    outcome = _remove_objects(vault, path, plan, journal)
    journal.warning(
        "RemovalFinished", f"Removing {copy_id} had been cut off; what it was to remove is gone now.", copy_id=copy_id
    )
    return outcome


def _remove_rest(vault: Vault, path: str, copy_id: str, clock: Clock, journal: Journal) -> RemovalOutcome:
    """The manifest is gone: an earlier attempt of ours may have been cut off after it, or another one ended."""
    finished = _finish(vault, path, copy_id, clock, journal)
    return finished or RemovalOutcome(copy_id, RemovalEnd.GONE)


def _find_manifests(vault: Vault, path: str, copy_id: str) -> list[FoundObject]:
    """The manifests of exactly that copy: one, or both where an earlier version left both."""
    keys = [manifest_key(path, copy_id, level) for level in Level]
    common = keys[0][: -len(f"{next(iter(Level)).value}.json")]
    return [found for found in vault.find_objects(common) if found.key in keys]


def _read_data_keys(vault: Vault, path: str, copy_id: str, manifests: Iterable[FoundObject]) -> set[str]:
    """The keys of the copy's data as its manifests name them. Raises ManifestUnreadable also for keys elsewhere."""
    keys: set[str] = set()
    for found in manifests:
        manifest = Manifest.from_json(vault.read_object(found.key), found.key)
        named = {file.key for file in manifest.files}
        if manifest.copy_id != copy_id or not all(key.startswith(data_prefix(path, copy_id)) for key in named):
            raise ManifestUnreadable(
                f"The manifest {found.key} names objects that are not that copy's.",
                hint="It was moved there or changed by hand, so nothing is removed by it.",
            )
        keys |= named
    return keys


def _find_lock(vault: Vault, objects: Iterable[FoundObject], now: datetime) -> Lock | None:
    """The lock that holds longest, or None. A plain delete would hide even a locked object, so it is asked first."""
    if not vault.capabilities.locks:
        return None
    locks = [lock for found in objects if (lock := vault.find_lock(found.key)) is not None and lock.holds(now)]
    return max(locks, key=lambda lock: (lock.is_legal_hold, lock.until or now), default=None)


def describe_lock(lock: Lock) -> str:
    """How a lock that holds keeps its copy, to follow "the copy is"."""
    if lock.until is None or lock.is_legal_hold:
        return "under a legal hold in its store"
    return f"retained until {lock.until:%d %b %Y %H:%M} UTC by its store"


def _tell_lock(copy_id: str, lock: Lock) -> RemovalOutcome:
    until = None if lock.is_legal_hold else lock.until
    return RemovalOutcome(copy_id, RemovalEnd.LOCKED, retained_until=until, detail=describe_lock(lock))


def _find_damage(vault: Vault, path: str, entry: CatalogEntry) -> list[FoundObject]:
    """The mark of damage, which must not outlive its copy: a later copy of the same backup would bear it."""
    if not entry.is_damaged:
        return []
    key = mark_key(path, Mark.DAMAGED, entry.copy_id)
    return [found for found in vault.find_objects(key) if found.key == key]


def _write_plan(vault: Vault, path: str, plan: RemovalPlan) -> RemovalPlan:
    """Put the plan down; returns the one that counts: ours, or that of a removal which another one has begun.

    One that is taken over is written anew: by its old time a hold would think that nobody is at work on it.
    """
    key = mark_key(path, Mark.REMOVAL, plan.copy_id)
    for _ in range(MOST_PLANS_TAKEN_OVER):
        try:
            vault.create_object(key, plan.to_json(), "application/json")
        except ObjectExists:
            there = find_plan(vault, path, plan.copy_id)
        else:
            return plan
        if there is not None and there.to_json() == plan.to_json():
            return plan  # ours: its answer was lost, and it was sent again
        if there is not None and there.by != plan.by and there.is_at_work(plan.at):
            return there
        if there is not None:
            _drop_plan(vault, path, there)
    return replace(plan, by="others, one after the other")


def _drop_plan(vault: Vault, path: str, plan: RemovalPlan) -> None:
    """Take away that very plan; one that somebody else has put in its place stays."""
    key = mark_key(path, Mark.REMOVAL, plan.copy_id)
    found = vault.find_object(key)
    there = find_plan(vault, path, plan.copy_id) if found is not None else None
    if found is None or there is None or there.to_json() != plan.to_json():
        return
    with suppress(StoreMismatch):
        vault.remove_object(key, found.etag)


def _remove_objects(vault: Vault, path: str, plan: RemovalPlan, journal: Journal) -> RemovalOutcome:
    """Remove the data, exactly as planned, and then the plan."""
    left = tuple(planned.key for planned in plan.objects if not _remove_object(vault, planned, journal))
    _drop_plan(vault, path, plan)
    size_bytes = sum(planned.size_bytes for planned in plan.objects if planned.key not in left)
    return RemovalOutcome(plan.copy_id, RemovalEnd.REMOVED, size_bytes, left=left)


def _remove_object(vault: Vault, planned: PlannedObject, journal: Journal) -> bool:
    """False for what is another object by now: nobody decided that it should go."""
    try:
        vault.remove_object(planned.key, planned.etag)
    except StoreMismatch as error:
        journal.warning("ObjectLeft", f"{planned.key} is not what was to be removed, so it stays: {error}")
        return False
    return True
