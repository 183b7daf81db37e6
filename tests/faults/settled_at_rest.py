"""What must have come true of copies at rest once faults have stopped: retention is exact, nothing is unfinished."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.rule import Rule
from tests.faults.reference import KnownCopy, are_too_old, find_kept
from tests.faults.world import World

RUN_TIME = timedelta(hours=2)  # of the quiet run before
LOCKED_FOR = timedelta(days=3)  # as long after publishing a missing lock is looked for
DAY = timedelta(days=1)


def find_worthwhile(world: World, rule: Rule, copy_ids: set[str]) -> set[str]:
    """Those of these backups that nobody removed and that the rule's retention would keep as copies."""
    if world.oracles.at_rest.removed_by_person:
        copy_ids = copy_ids - world.oracles.at_rest.removed_by_person
    if rule.retention.keeps_everything:
        return copy_ids
    there = world.oracles.at_rest.known_copies(rule.place.path)
    known = {copy.copy_id for copy in there}
    now = world.clock.now()
    # Of which level a copy will be is known once it is made: one is only missed that would stay in any case.
    worthwhile = copy_ids
    for is_verified in (True, False):
        fresh = [KnownCopy(one, _taken_at(one), is_verified) for one in sorted(copy_ids - known)]
        kept = find_kept((*there, *fresh), [rule.retention.as_record()], rule.cycle.time_zone, now)
        worthwhile = worthwhile & (kept | known)
    return worthwhile


def check_at_rest(world: World, rule: Rule) -> None:
    """Raise Violation unless a rule's place holds what it should, and nothing that runs left behind."""
    if not world.runs_by_itself(rule):
        return  # no run got as far
    if not world.oracles.at_rest.is_claimed(rule.place.path):
        _check_retention(world, rule)
    _check_leftovers(world, rule)
    _check_locks(world, rule)
    _check_audits(world, rule)
    _check_marks(world, rule)


def _check_retention(world: World, rule: Rule) -> None:
    """Everything there is kept by something: what a retention does not keep is held, locked, or waits with reason."""
    before = world.clock.now() - RUN_TIME
    copies = world.oracles.at_rest.known_copies(rule.place.path)
    retentions = [rule.retention.as_record()]
    retentions += [one.retention.as_record() for one in rule.outgoing if one.until > before]
    kept = find_kept(copies, retentions, rule.cycle.time_zone, before)
    left = [copy.copy_id for copy in copies if copy.copy_id not in kept]
    left = [copy_id for copy_id in left if not _is_locked(world, rule, copy_id, before)]
    left = [copy_id for copy_id in left if copy_id not in _find_fetched_again(world, rule, copies, left)]
    waits = are_too_old(copies, rule.cycle.kind, before)
    world.oracles.check(not left or waits, f"no retention keeps {left} and nothing removes them")


def _find_fetched_again(world: World, rule: Rule, copies: tuple[KnownCopy, ...], left: list[str]) -> set[str]:
    """Unchecked copies that would be made anew by each run if they went, as their backups are at the source still.

    Before a backup is copied it is taken for one with a sum, and as such it would stay.
    """
    listed = {
        backup.copy_id for backup in world.the_source._backups.get(rule.instance, ()) if backup.taken_at is not None
    }
    fresh = {
        copy.copy_id for copy in copies if copy.copy_id in left and copy.copy_id in listed and not copy.is_verified
    }
    found = set()
    for together in (fresh, *({one} for one in fresh)):
        there = [replace(copy, is_verified=copy.is_verified or copy.copy_id in together) for copy in copies]
        kept = find_kept(there, [rule.retention.as_record()], rule.cycle.time_zone, world.clock.now())
        found |= together & kept
    return found


def _check_leftovers(world: World, rule: Rule) -> None:
    vault, path = world.the_vault, rule.place.path
    plans = [key for key in vault.objects if key.startswith(f"{path}removals/")]
    world.oracles.check(not plans, f"removals are left unfinished: {plans}")
    published = world.oracles.at_rest.published_ids()
    if not published:
        return  # where there is no manifest at all, somebody may have removed them: nothing goes
    long_ago = world.clock.now() - DAY - RUN_TIME
    for key in vault.objects:
        if key.endswith(".rdb") and key.startswith(path) and key.split("/")[-2] not in published:
            written_at = vault.written_at.get(key)
            lock = vault.locks.get(key)
            is_old = written_at is not None and written_at < long_ago and not (lock and lock.holds(long_ago))
            world.oracles.check(not is_old, f"{key} is a fragment of days ago and lies there still")
    old = [key for key, at in world.the_source.staged_at.items() if key in world.the_source.staged and at < long_ago]
    world.oracles.check(not old, f"staged files of days ago are left: {old}")


def _check_locks(world: World, rule: Rule) -> None:
    vault = world.the_vault
    if not (vault.lock_days and vault.capabilities.locks):
        return
    since = world.clock.now() - LOCKED_FOR
    for manifest, data in world.oracles.at_rest.published.items():
        written_at = vault.written_at.get(manifest)
        if not manifest.startswith(rule.place.path) or written_at is None or written_at < since:
            continue
        if not data.keys() <= vault.objects.keys():
            continue  # what is not whole is not locked whole
        until = written_at + timedelta(days=vault.lock_days) - RUN_TIME
        for key in (manifest, *(one for one in data if one in vault.objects)):
            lock = vault.locks.get(key)
            is_locked = lock is not None and lock.until is not None and lock.until >= until
            world.oracles.check(is_locked, f"{key} is not locked")


def _check_audits(world: World, rule: Rule) -> None:
    """What a rule that audits every day holds was read again, and what is damaged is called so."""
    at_rest = world.oracles.at_rest
    is_asked = rule.audit_every_days or world.request.audits
    if not is_asked or world.operations_weigh > 1:
        return  # where one backup fills a run, a bad one leaves no room for audits
    latest = world.clock.now() - timedelta(days=rule.audit_every_days) - RUN_TIME - DAY
    checks = world.tables.runs.checks(rule.name)
    for copy in at_rest.known_copies(rule.place.path):
        manifest = at_rest.manifest_of(rule.place.path, copy.copy_id)
        assert manifest is not None
        is_whole = at_rest.is_whole(manifest)
        if is_whole or copy.is_damaged:
            world.oracles.check(is_whole is not copy.is_damaged, f"{copy.copy_id} is marked as damaged and is whole")
        written_at = world.the_vault.written_at.get(manifest, world.clock.now())
        if written_at < latest:
            world.oracles.check(is_whole or copy.is_damaged, f"{copy.copy_id} is damaged and nobody has noticed")
            checked_at = checks.get(copy.copy_id, written_at)
            world.oracles.check(not is_whole or checked_at >= latest, f"{copy.copy_id} was to be audited")
    gone = set(checks) - {copy.copy_id for copy in at_rest.known_copies(rule.place.path)}
    world.oracles.check(not gone, f"checks of {sorted(gone)} are on record, which are gone")


def _check_marks(world: World, rule: Rule) -> None:
    """No mark says anything of a copy that is gone, other than that a person removed it."""
    path, objects = rule.place.path, world.the_vault.objects
    for key in objects:
        folder, _, name = key.removeprefix(path).partition("/")
        if key.startswith(path) and folder == "removed":
            copy_id = name.removesuffix(".json")
            is_there = world.oracles.at_rest.manifest_of(path, copy_id) is not None
            world.oracles.check(not is_there, f"{copy_id} is marked as removed and is there")


def _is_locked(world: World, rule: Rule, copy_id: str, now: datetime) -> bool:
    path = rule.place.path
    own = (f"{path}{copy_id}/", f"{path}manifests/{copy_id}.")
    return any(key.startswith(own) and lock.holds(now) for key, lock in world.the_vault.locks.items())


def _taken_at(copy_id: str) -> datetime:
    taken_at = CatalogEntry(copy_id, Level.VERIFIED).taken_at
    assert taken_at is not None
    return taken_at
