"""Copies are locked after they are published, the manifest last; a lock that is missing is told and mended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rdbkeeper.domain.errors import VaultDenied
from tests.fakes.rdb_files import rdb_file
from tests.flows.world import World, after_each

PATH = "redis/orders/"
DAYS = timedelta(days=30)
COPY = "20261120T021500Z-b0"
MANIFEST = f"{PATH}manifests/{COPY}.verified.json"


@pytest.fixture
def world(world: World) -> World:
    """A vault that locks for 30 days, and one backup of two files."""
    world.vault.capabilities = replace(world.vault.capabilities, locks=True)
    world.vault.lock_days = 30
    world.add_backup("b0", 0, {"0001": rdb_file(200), "0002": rdb_file(300)})
    return world


def lock_ends(world: World) -> dict[str, datetime | None]:
    return {key: lock.until for key, lock in world.vault.locks.items()}


def test_the_data_are_locked_and_then_the_manifest_for_the_vaults_days(world: World) -> None:
    locked: list[str] = []
    after_each(world.vault, "lock_object", lambda: locked.append([*world.vault.locks][-1]))
    world.run()
    assert locked == [f"{PATH}{COPY}/0001.rdb", f"{PATH}{COPY}/0002.rdb", MANIFEST]
    published_at = world.manifests()[MANIFEST].copied_at
    assert lock_ends(world) == dict.fromkeys(locked, published_at + DAYS)


def test_nothing_is_locked_before_the_copy_exists(world: World) -> None:
    after_each(world.vault, "lock_object", lambda: seen.append(MANIFEST in world.vault.objects))
    seen: list[bool] = []
    world.run()
    assert seen == [True, True, True]


@pytest.mark.parametrize("what", ["no days", "no locks"])
def test_a_vault_that_does_not_lock_is_not_asked_to(world: World, what: str) -> None:
    if what == "no days":
        world.vault.lock_days = 0
    else:
        world.vault.capabilities = replace(world.vault.capabilities, locks=False)
    world.run()
    world.run()
    assert not world.vault.locks
    assert "LockMissing" not in world.journal.events()


@pytest.mark.parametrize("call", [0, 1, 2])
def test_a_lock_that_could_not_be_set_fails_no_copy_and_is_set_by_the_next_run(world: World, call: int) -> None:
    calls = iter(range(9))
    lock = world.vault.lock_object

    def lock_or_fail(key: str, until: datetime) -> None:
        if next(calls, -1) == call:
            raise VaultDenied(f"Locking {key} was denied.")
        lock(key, until)

    world.vault.lock_object = lock_or_fail
    world.run()
    assert world.copied_backups() == ["b0"]
    assert "LockMissing" in world.journal.events()
    assert len(world.vault.locks) == call
    world.run()
    assert len(world.vault.locks) == 3
    assert "LockMended" in world.journal.events()


def test_copies_that_are_locked_are_looked_at_and_not_locked_again(world: World) -> None:
    world.run()
    before = dict(world.vault.locks)
    world.clock.advance(3600)
    world.run()
    assert world.vault.locks == before
    assert "LockMended" not in world.journal.events()


def test_copies_of_more_than_three_days_ago_are_looked_at_no_more(world: World) -> None:
    world.run()
    world.vault.locks.clear()
    world.clock.advance(3 * 86400)
    world.run()
    assert not world.vault.locks


def test_at_most_twenty_copies_are_looked_at(world: World) -> None:
    for night in range(1, 25):
        world.add_backup(f"b{night}", night)
    world.run()
    looked: list[str] = []
    after_each(world.vault, "find_lock", lambda: looked.append("looked"))
    world.run()
    assert len(looked) == 20


def test_a_lock_that_must_not_be_read_is_told_and_keeps_nothing_from_being_copied(world: World) -> None:
    world.run()
    world.add_backup("b1", 1)
    world.vault.failing["find_lock"] = [VaultDenied("Reading the lock was denied.")]
    world.run()
    assert world.copied_backups() == ["b0", "b1"]
    assert "LockMissing" in world.journal.events()
