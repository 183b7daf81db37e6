"""Copies are locked after they are published, the manifest last; a lock that is missing is told and mended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rdbkeeper.domain.cycle import Cycle
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


@pytest.mark.parametrize("days, locks", [(3, 3), (4, 0)])
def test_a_lock_is_looked_for_three_days_beyond_the_rules_cycle(world: World, days: int, locks: int) -> None:
    world.run()
    world.vault.locks.clear()
    world.clock.advance(days * 86400)
    world.run()
    assert len(world.vault.locks) == locks


def test_a_weekly_rule_mends_locks_in_its_next_run(world: World) -> None:
    world.edit(cycle=Cycle("weekly", "UTC", at="02:30", days=("SUN",)))
    world.run()
    world.vault.locks.clear()
    world.clock.advance(7 * 86400)
    world.run()
    assert len(world.vault.locks) == 3


def test_twenty_locks_are_mended_in_a_run_the_oldest_first_until_none_is_left(world: World) -> None:
    for night in range(1, 45):
        world.add_backup(f"b{night:02}", night)
    world.run()
    world.vault.locks.clear()
    told: list[int] = []
    for locked in (20, 40, 45):
        world.journal.lines.clear()
        world.run()
        manifests = sorted(world.manifests())[:locked]
        assert sorted(key for key in world.vault.locks if "/manifests/" in key) == manifests
        told += [line.fields["left"] for line in world.journal.lines if line.event == "LockMissing"]
    assert told == [25, 5]


def test_locks_that_cannot_be_set_are_tried_at_twenty_copies_at_most(world: World) -> None:
    for night in range(1, 45):
        world.add_backup(f"b{night:02}", night)
    world.run()
    world.vault.locks.clear()
    world.vault.failing["find_lock"] = [VaultDenied("Reading the lock was denied.") for _ in range(45)]
    world.run()
    assert len(world.vault.failing["find_lock"]) == 25


def test_a_lock_that_must_not_be_read_is_told_and_keeps_nothing_from_being_copied(world: World) -> None:
    world.run()
    world.add_backup("b1", 1)
    world.vault.failing["find_lock"] = [VaultDenied("Reading the lock was denied.")]
    world.run()
    assert world.copied_backups() == ["b0", "b1"]
    assert "LockMissing" in world.journal.events()
