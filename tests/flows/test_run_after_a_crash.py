"""What a run finds and leaves when processes die, runs overlap, and answers get lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rdbkeeper.domain.errors import LeaseLost, RunFailed, VaultUnavailable
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.flows.runs.copy import MOST_LEG_ATTEMPTS
from rdbkeeper.ports import Upload
from tests.fakes.engine import ProcessDied
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.flows.world import World, after_each

ONE = "redis/orders/20261120T021500Z-one/0001.rdb"


def _steps_of_a_whole_run() -> int:
    world = World()
    _two_backups(world)
    engine = world.engine()
    world.run(engine)
    return engine.steps_run


def _two_backups(world: World) -> None:
    world.add_backup("one", 0, {"0001": rdb_file(300), "0002": rdb_file(400)})
    world.add_backup("two", 1)


@pytest.mark.parametrize("steps_done", range(_steps_of_a_whole_run()))
def test_a_process_that_dies_after_any_step_is_followed_by_one_whole_copy(steps_done: int) -> None:
    world = World()
    _two_backups(world)
    engine = world.engine()
    engine.dies_after = steps_done
    with pytest.raises(ProcessDied):
        world.run(engine)

    engine.begin_invocation()
    world.run(engine)

    assert sorted(world.copied_backups()) == ["one", "two"]
    assert len(world.data()) == 3
    assert world.vault.uploads == {} and world.source.staged == {}
    assert world.tables.leases == {} and world.tables.uploads.get("orders-nightly", []) == []


@pytest.mark.parametrize("steps_done", range(_steps_of_a_whole_run()))
def test_a_run_that_is_given_up_after_any_step_is_mended_by_the_next_run(steps_done: int) -> None:
    world = World()
    _two_backups(world)
    engine = world.engine()
    engine.dies_after = steps_done
    with pytest.raises(ProcessDied):
        world.run(engine)

    world.run()

    assert sorted(world.copied_backups()) == ["one", "two"]
    assert len(world.data()) == 3
    assert world.vault.uploads == {}


def test_a_leg_that_kills_every_invocation_is_given_up_at_last(world: World) -> None:
    world.add_backup("deadly", 0)
    world.add_backup("good", 1)
    put, deaths = world.vault.put_part, 0

    def die(upload: Upload, *args: Any) -> object:
        nonlocal deaths
        if "deadly" in upload.key:
            deaths += 1
            raise ProcessDied
        return put(upload, *args)

    world.vault.put_part = die
    engine = world.engine()
    for _ in range(MOST_LEG_ATTEMPTS):
        with pytest.raises(ProcessDied):
            world.run(engine)
        engine.begin_invocation()
    with pytest.raises(RunFailed):
        world.run(engine)

    assert deaths == MOST_LEG_ATTEMPTS
    assert world.outcomes() == {"deadly": "LegNeverEnds", "good": "Published"}
    assert world.vault.uploads == {}
    assert world.tables.attempts == {}


def test_a_run_does_nothing_while_another_is_going(world: World) -> None:
    world.add_backup("one")
    world.tables.leases["orders-nightly"] = "somebody"
    world.executions.going.add("somebody")
    assert world.run()["refused"] == "RunIsGoing"
    assert world.vault.objects == {}
    assert world.tables.leases["orders-nightly"] == "somebody"


def test_a_lease_whose_execution_has_ended_is_taken_over(world: World) -> None:
    world.add_backup("one")
    world.tables.leases["orders-nightly"] = "an execution that ended"
    world.run()
    assert "LeaseTakenOver" in world.journal.events()
    assert world.copied_backups() == ["one"]


def test_a_run_that_lost_its_lease_stops_before_its_next_write_and_leaves_no_upload(world: World) -> None:
    world.add_backup("one")
    after_each(world.vault, "put_part", world.steal_lease)
    with pytest.raises(LeaseLost):
        world.run()
    assert world.vault.objects == {} and world.vault.uploads == {}
    assert world.tables.leases["orders-nightly"] == "somebody else"


def test_a_run_that_lost_its_lease_before_a_leg_puts_no_part(world: World) -> None:
    world.add_backup("one")
    after_each(world.tables.runs, "remember_uploads", world.steal_lease)
    with pytest.raises(LeaseLost):
        world.run()
    assert world.vault.parts_put == 0


def test_a_run_that_lost_its_lease_just_before_the_manifest_writes_none(world: World) -> None:
    world.add_backup("one")
    after_each(world.vault, "complete_upload", world.steal_lease)
    with pytest.raises(LeaseLost):
        world.run()
    assert world.manifests() == {}


def test_a_rule_that_is_deleted_during_its_run_publishes_nothing_more(world: World) -> None:
    world.add_backup("one")
    put = world.vault.put_part

    def delete_the_rule(*args: object) -> object:
        world.edit(state=RuleState.DELETING)
        return put(*args)

    world.vault.put_part = delete_the_rule
    assert world.run()["refused"] == "RuleGone"
    assert world.vault.objects == {}


def test_a_run_of_a_rule_that_is_gone_does_nothing(world: World) -> None:
    world.tables.rules.remove_rule("orders-nightly", 1, {})
    assert world.run()["refused"] == "RuleGone"


def test_an_upload_that_a_dead_run_left_open_is_given_up(world: World) -> None:
    upload = world.vault.open_upload("redis/orders/old/0001.rdb")
    world.tables.runs.remember_uploads("orders-nightly", [upload])
    world.run()
    assert world.vault.uploads == {}
    assert world.tables.runs.remembered_uploads("orders-nightly") == []


def test_an_upload_of_the_same_key_that_nobody_remembers_is_given_up(world: World) -> None:
    world.add_backup("one")
    world.vault.open_upload(ONE)
    world.run()
    assert world.vault.uploads == {}


def test_a_complete_whose_answer_is_lost_is_not_done_twice(world: World) -> None:
    world.add_backup("one")
    world.vault.failing["complete_upload after its effect"] = [VaultUnavailable("the answer was lost")]
    world.run()
    assert world.copied_backups() == ["one"]
    assert "AnswerLost" in world.journal.events()


def test_whole_data_without_a_manifest_is_adopted_without_sending_it_again(world: World) -> None:
    files = world.add_backup("one")
    world.vault.objects[ONE] = files["0001"]
    world.run()
    assert world.vault.parts_put == 0
    assert "FragmentAdopted" in world.journal.events()
    assert world.copied_backups() == ["one"]


FRAGMENTS = {
    "damaged": lambda file: flip_bit(file, 100),
    "of another length": lambda file: file[:-1],
    "empty": lambda file: b"",
}


@pytest.mark.parametrize("damage", FRAGMENTS.values(), ids=FRAGMENTS.keys())
def test_data_without_a_manifest_that_is_not_whole_is_replaced(world: World, damage: Callable[[bytes], bytes]) -> None:
    files = world.add_backup("one")
    world.vault.objects[ONE] = damage(files["0001"])
    world.run()
    assert world.vault.removed == [ONE]
    assert world.data() == {ONE: files["0001"]}
    assert "FragmentRemoved" in world.journal.events()


def test_whole_data_of_which_the_store_keeps_no_sum_is_replaced(world: World) -> None:
    files = world.add_backup("one")
    world.vault.objects[ONE] = files["0001"]
    world.vault.without_sum.add(ONE)
    world.run()
    assert world.vault.removed == [ONE]
    assert world.copied_backups() == ["one"]


def test_data_whose_copy_was_published_meanwhile_is_not_removed(world: World) -> None:
    files = world.add_backup("one")
    world.vault.objects[ONE] = flip_bit(files["0001"], 100)
    open_range = world.vault.open_range

    def somebody_publishes(*args: Any) -> object:
        world.vault.objects["redis/orders/manifests/20261120T021500Z-one.unchecked.json"] = b"{}"
        return open_range(*args)

    world.vault.open_range = somebody_publishes
    with pytest.raises(RunFailed):
        world.run()
    assert world.vault.removed == []
    assert world.outcomes() == {"one": "ObjectExists"}


def test_data_that_no_crc_can_vouch_for_is_replaced_rather_than_adopted(world: World) -> None:
    file = rdb_file(300, checksum=False)
    world.add_backup("one", 0, {"0001": file})
    world.vault.objects[ONE] = flip_bit(file, 100)
    world.run()
    assert world.data() == {ONE: file}


def test_the_same_manifest_written_by_an_earlier_attempt_counts(world: World) -> None:
    world.add_backup("one")
    create = world.vault.create_object

    def create_and_lose_the_answer(*args: object) -> None:
        create(*args)
        world.vault.create_object = create
        raise VaultUnavailable("the answer was lost")

    world.vault.create_object = create_and_lose_the_answer
    world.run()
    assert world.copied_backups() == ["one"]


def test_something_else_under_the_key_of_the_data_is_never_overwritten(world: World) -> None:
    world.add_backup("one")
    put = world.vault.put_part

    def somebody_writes(upload: Upload, *args: object) -> object:
        world.vault.objects[ONE] = b"somebody else's"
        return put(upload, *args)

    world.vault.put_part = somebody_writes
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"one": "StoreMismatch"}
    assert world.vault.objects == {ONE: b"somebody else's"}
