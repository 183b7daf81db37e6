"""What a store keeps as a sum decides how a copy is checked, what it may be called, and what of it can be adopted."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from rdbkeeper.domain.errors import RunFailed, VaultDenied
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.domain.vault import StoreSum
from tests.fakes.engine import ProcessDied
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.flows.world import World, after_each

PATH = "redis/orders/"
KEY = f"{PATH}20261120T021500Z-b0/0001.rdb"
PART = 1000


def world_with(store_sum: StoreSum) -> World:
    """One backup of three parts, and a vault whose store keeps that sum of what it holds."""
    world = World()
    world.copying = CopySettings(part_size_bytes=PART, lanes=1)
    world.vault.smallest_part_bytes = PART
    world.vault.capabilities = replace(world.vault.capabilities, sum=store_sum)
    world.add_backup("b0", 0, {"0001": rdb_file(2 * PART + 500)})
    return world


def only_file(world: World) -> tuple[str, tuple[str, ...], str]:
    """The level in the manifest's name, and the only file's checks and why it is unchecked."""
    (key, manifest), *_ = world.manifests().items()
    return key.split(".")[-2], manifest.files[0].checks, manifest.files[0].unchecked_reason


@pytest.mark.parametrize(
    "store_sum, check", [(StoreSum.CRC64NVME, "store crc64nvme"), (StoreSum.PART_MD5, "store md5 of parts")]
)
def test_a_store_that_keeps_a_sum_proves_the_copy_with_it(store_sum: StoreSum, check: str) -> None:
    world = world_with(store_sum)
    world.run()
    level, checks, unchecked_reason = only_file(world)
    assert (level, checks[-1], unchecked_reason) == ("verified", check, "")


def test_from_a_store_that_keeps_no_sum_the_copy_is_read_back_before_it_counts() -> None:
    world = world_with(StoreSum.NONE)
    read: list[str] = []
    after_each(world.vault, "open_range", lambda: read.append("a part"))
    world.run()
    level, checks, unchecked_reason = only_file(world)
    assert (level, checks[-1], unchecked_reason) == ("verified", "read back whole", "")
    assert len(read) == 3
    assert "FragmentAdopted" not in world.journal.events()
    assert not world.tables.runs.remembered_uploads(world.rule.name)


def test_the_time_that_reading_back_takes_is_told() -> None:
    world = world_with(StoreSum.NONE)
    after_each(world.vault, "open_range", lambda: world.clock.advance(5))
    world.run()
    (outcome,) = world.history()[0].outcomes
    assert outcome.seconds == 15


def test_without_a_sum_of_its_own_a_file_is_held_against_what_was_sent() -> None:
    world = world_with(StoreSum.NONE)
    world.add_backup("b1", 1, {"0001": rdb_file(2 * PART + 500, checksum=False)})
    key = f"{PATH}20261121T021500Z-b1/0001.rdb"
    after_each(
        world.vault,
        "complete_upload",
        lambda: (
            key in world.vault.objects and world.vault.objects.update({key: flip_bit(world.vault.objects[key], 1700)})
        ),
    )
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"b0": "Published", "b1": "StoreMismatch"}


@pytest.mark.parametrize("steps", range(4, 10))
def test_a_run_that_dies_after_any_step_reads_back_what_is_left(steps: int) -> None:
    world = world_with(StoreSum.NONE)
    engine = world.engine()
    engine.dies_after = steps
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    world.run(engine)
    assert only_file(world)[0] == "verified"


@pytest.mark.parametrize("store_sum", list(StoreSum))
def test_a_store_that_damages_what_it_is_sent_is_found_out(store_sum: StoreSum) -> None:
    world = world_with(store_sum)
    complete = world.vault.complete_upload

    def complete_and_damage(*given: object) -> None:
        complete(*given)
        world.vault.objects[KEY] = flip_bit(world.vault.objects[KEY], 1700)

    world.vault.complete_upload = complete_and_damage
    with pytest.raises(RunFailed):
        world.run()
    assert not world.manifests()
    assert world.outcomes()["b0"] in ("StoreMismatch", "ChecksumMismatch")


def test_a_store_without_sums_that_cuts_what_it_is_sent_is_found_out() -> None:
    world = world_with(StoreSum.NONE)
    after_each(world.vault, "complete_upload", lambda: world.vault.objects.update({KEY: world.vault.objects[KEY][:-1]}))
    with pytest.raises(RunFailed):
        world.run()
    assert not world.manifests()


@pytest.mark.parametrize("store_sum", list(StoreSum))
def test_data_without_a_manifest_are_read_again_and_adopted_when_they_are_whole(store_sum: StoreSum) -> None:
    world = world_with(store_sum)
    leave_without_manifest(world)
    parts_put = world.vault.parts_put
    world.run()
    level, checks, _ = only_file(world)
    assert world.vault.parts_put == parts_put
    assert "FragmentAdopted" in world.journal.events()
    assert level == "verified"  # the reading has shown every byte of it
    assert checks[-1] == ("store crc64nvme" if store_sum is StoreSum.CRC64NVME else "read back whole")


@pytest.mark.parametrize("store_sum", list(StoreSum))
def test_data_without_a_manifest_that_are_damaged_are_replaced(store_sum: StoreSum) -> None:
    world = world_with(store_sum)
    leave_without_manifest(world)
    whole = world.vault.objects[KEY]
    world.vault.objects[KEY] = flip_bit(whole, 1700)
    world.run()
    assert world.vault.objects[KEY] == whole
    assert "FragmentRemoved" in world.journal.events()
    assert len(world.manifests()) == 1


@pytest.mark.parametrize("store_sum", [StoreSum.PART_MD5, StoreSum.NONE])
def test_data_that_are_another_object_after_they_were_read_are_not_adopted(store_sum: StoreSum) -> None:
    world = world_with(store_sum)
    leave_without_manifest(world)
    whole = world.vault.objects[KEY]
    reads = 0

    def swap_after_reading() -> None:
        nonlocal reads
        reads += 1
        if reads == 3:  # its three parts
            world.vault.objects[KEY] = flip_bit(whole, 1700)

    after_each(world.vault, "open_range", swap_after_reading)
    with pytest.raises(RunFailed):
        world.run()
    assert not world.manifests()


def leave_without_manifest(world: World) -> None:
    """Let a run complete its upload, and not come to write the manifest."""
    create = world.vault.create_object

    def fail(*_: object) -> None:
        raise VaultDenied("Creating was denied.")

    world.vault.create_object = fail
    with contextlib.suppress(RunFailed):
        world.run()
    world.vault.create_object = create
    assert KEY in world.vault.objects and not world.manifests()
