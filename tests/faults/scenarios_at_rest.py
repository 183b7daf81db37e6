"""The worlds in which copies lie there already: to be kept or removed, read again, locked, finished and tidied up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from rdbkeeper.domain.retention import OutgoingRetention, Retention
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.vault import Capabilities, StoreSum
from rdbkeeper.ports import Lock
from tests.fakes.rdb_files import flip_bit
from tests.faults.copies_at_rest import (
    PLACE,
    add_copy,
    begin_removal,
    leave_fragment,
    mark,
    spoil,
    stage_leftovers,
)
from tests.faults.scenarios import file_of, scenario
from tests.faults.world import DAILY, World

AT_REST: list[str] = []  # the names of these scenarios
_PLAIN = Capabilities(
    StoreSum.NONE,
    conditional_create=False,
    conditional_complete=False,
    conditional_delete=False,
    conditional_read=False,
    lists_uploads=False,
    keeps_versions=False,
)


def _at_rest(make: object) -> object:
    AT_REST.append(make.__name__)  # type: ignore[attr-defined]
    return scenario(make)  # type: ignore[arg-type]


def _world(**rule: object) -> World:
    world = World()
    world.add_rule(**{"cycle": DAILY, **rule})  # type: ignore[arg-type]
    return world


def _add_old_copies(world: World, count: int) -> list[str]:
    return [add_copy(world, f"old{number}", -9 + number, {"0001": file_of(40, 20 + number)}) for number in range(count)]


@_at_rest
def the_last_copy_is_kept() -> World:
    world = _world(retention=Retention(keep_last=1))
    _add_old_copies(world, 3)
    world.add_backup("new", 6, {"0001": file_of(50, 1)})
    return world


@_at_rest
def copies_of_every_standing() -> World:
    """One held, one locked, one damaged and marked, one unchecked, some plain; nothing new at the source."""
    world = _world(retention=Retention(keep_last=1, keep_days=3))
    world.the_vault.capabilities = Capabilities(locks=True)
    held, locked, damaged, _ = _add_old_copies(world, 4)
    add_copy(world, "unchecked", -4, {"0001": file_of(40, 30, checksum=False)})
    add_copy(world, "present", 6, {"0001": file_of(40, 31), "0002": file_of(60, 32)}, is_listed=True)
    mark(world, "holds", held)
    until = world.clock.now() + timedelta(days=30)
    for key in (f"{PLACE}{locked}/0001.rdb", f"{PLACE}manifests/{locked}.verified.json"):
        world.the_vault.locks[key] = Lock(until)
    mark(world, "damaged", damaged)
    spoil(world, f"{PLACE}{damaged}/0001.rdb", flip_bit(file_of(40, 22), 15))
    return world


@_at_rest
def a_narrower_retention_is_under_way() -> World:
    world = _world(retention=Retention(keep_last=1))
    _add_old_copies(world, 2)
    add_copy(world, "old2", 7, {"0001": file_of(40, 22)})
    outgoing = OutgoingRetention(Retention(keep_last=2), world.clock.now() + timedelta(days=1, hours=6))
    world.edit("nightly", outgoing=(outgoing,))
    return world


@_at_rest
def the_newest_copy_has_lost_its_data() -> World:
    world = _world(retention=Retention(keep_last=1))
    for number in range(2):
        add_copy(world, f"old{number}", 5 + number, {"0001": file_of(40, 20 + number)})
    newest = add_copy(world, "newest", 7, {"0001": file_of(40, 33), "0002": file_of(50, 34)})
    spoil(world, f"{PLACE}{newest}/0002.rdb", None)
    return world


@_at_rest
def an_overdue_rule_with_old_copies() -> World:
    world = _world(retention=Retention(keep_last=1))
    _add_old_copies(world, 2)
    return world


@_at_rest
def removals_that_were_cut_off() -> World:
    world = _world(retention=Retention(keep_last=1))
    begun, emptied, half = (
        add_copy(world, f"gone{number}", -9 + number, {"0001": file_of(40, 40 + number), "0002": file_of(41, number)})
        for number in range(3)
    )
    add_copy(world, "kept", 6, {"0001": file_of(40, 31)}, is_listed=True)
    begin_removal(world, begun, manifest_went=False)
    begin_removal(world, emptied, manifest_went=True)
    begin_removal(world, half, manifest_went=True, data_went=1)
    return world


@_at_rest
def what_was_left_behind() -> World:
    world = _world()
    add_copy(world, "present", 5, {"0001": file_of(40, 53)})  # where there is no manifest at all, nothing goes
    leave_fragment(world, "old", -3, {"0001": file_of(40, 50), "0002": file_of(41, 51)}, timedelta(days=3))
    leave_fragment(world, "young", 0, {"0001": file_of(42, 52)}, timedelta(hours=20))
    stage_leftovers(world)
    upload = world.the_vault.open_upload(f"{PLACE}20261101T000000Z-others/0001.rdb")
    world.oracles.at_rest.others_uploads.add(upload.upload_id)
    world.add_backup("one", 6, {"0001": file_of(50, 1)})
    return world


@_at_rest
def copies_that_are_due_for_an_audit() -> World:
    world = _world(audit_every_days=1)
    add_copy(world, "whole", -5, {"0001": file_of(100, 60), "0002": file_of(40, 61)})
    damaged = add_copy(world, "damaged", -4, {"0001": file_of(150, 62)})
    spoil(world, f"{PLACE}{damaged}/0001.rdb", flip_bit(file_of(150, 62), 100))
    mended = add_copy(world, "mended", -3, {"0001": file_of(50, 63)})
    mark(world, "damaged", mended)
    add_copy(world, "unchecked", -2, {"0001": file_of(50, 64, checksum=False)})
    return world


@_at_rest
def an_audit_that_a_person_asks_for() -> World:
    world = _world()
    world.request = RunRequest(on_request=True, audits=True)
    add_copy(world, "whole", -5, {"0001": file_of(100, 60)})
    damaged = add_copy(world, "damaged", -4, {"0001": file_of(50, 62)})
    spoil(world, f"{PLACE}{damaged}/0001.rdb", None)
    return world


@_at_rest
def a_vault_that_locks() -> World:
    world = _world()
    world.the_vault.capabilities = Capabilities(locks=True)
    world.the_vault.lock_days = 5
    world.add_backup("one", 6, {"0001": file_of(50, 1), "0002": file_of(60, 2)})
    return world


@_at_rest
def a_store_that_sums_parts_alone() -> World:
    world = _world(retention=Retention(keep_last=1))
    world.the_vault.capabilities = replace(_PLAIN, sum=StoreSum.PART_MD5, lists_uploads=True)
    add_copy(world, "old", -5, {"0001": file_of(40, 20)})
    world.add_backup("one", 6, {"0001": file_of(100, 1)})
    return world


@_at_rest
def a_store_that_promises_nothing() -> World:
    world = _world()
    world.the_vault.capabilities = _PLAIN
    world.add_backup("one", 6, {"0001": file_of(100, 1)})
    return world
