"""One run per rule at a time, also when a run was stopped and an invocation of it lives on."""

from __future__ import annotations

from datetime import timedelta

from rdbkeeper.domain.rule import RuleState
from rdbkeeper.flows.runs.context import LONGEST_INVOCATION
from rdbkeeper.flows.runs.lease import GRACE
from tests.flows.world import World

OTHER = "arn:aws:lambda:::function:f:1/durable-execution/other/1"


def stop_other(world: World, ago: timedelta) -> None:
    """Another run held the lease and was stopped."""
    world.tables.leases["orders-nightly"] = OTHER
    world.executions.ended_at[OTHER] = world.clock.now() - ago


def test_a_run_waits_until_the_last_invocation_of_a_stopped_run_must_be_over(world: World) -> None:
    world.add_backup("one")
    stop_other(world, timedelta(minutes=1))
    began = world.clock.now()
    world.run()
    assert world.copied_backups() == ["one"]
    assert world.clock.now() - began >= LONGEST_INVOCATION * GRACE - timedelta(minutes=1)
    assert world.journal.events().index("LeaseCooling") < world.journal.events().index("LeaseTakenOver")


def test_nothing_is_touched_while_a_run_waits_for_the_lease(world: World) -> None:
    world.add_backup("one")
    world.vault.open_upload("redis/orders/old/0001.rdb")
    stop_other(world, timedelta(minutes=1))
    find_end = world.executions.find_end
    seen = []

    def look(execution: str) -> object:
        seen.append((world.tables.leases["orders-nightly"], len(world.vault.objects), len(world.vault.uploads)))
        return find_end(execution)

    world.executions.find_end = look
    world.run()
    assert len(seen) > 5
    assert set(seen) == {(OTHER, 0, 1)}


def test_a_lease_whose_owner_ended_long_ago_is_taken_at_once(world: World) -> None:
    world.add_backup("one")
    stop_other(world, LONGEST_INVOCATION * GRACE)
    began = world.clock.now()
    world.run()
    assert world.clock.now() - began < timedelta(minutes=5)
    assert world.copied_backups() == ["one"]


def test_a_run_that_waits_gives_way_to_one_that_took_the_lease_meanwhile(world: World) -> None:
    world.add_backup("one")
    stop_other(world, timedelta(minutes=1))
    find_end = world.executions.find_end

    def overtake(execution: str) -> object:
        answer = find_end(execution)
        world.tables.leases["orders-nightly"] = "a third run"
        world.executions.going.add("a third run")
        return answer

    world.executions.find_end = overtake
    assert world.run()["refused"] == "RunIsGoing"
    assert world.vault.objects == {}


def test_a_rule_that_is_deleted_while_a_run_waits_ends_the_run(world: World) -> None:
    stop_other(world, timedelta(minutes=1))
    find_end = world.executions.find_end

    def delete(execution: str) -> object:
        world.edit(state=RuleState.DELETING)
        world.executions.find_end = find_end
        return find_end(execution)

    world.executions.find_end = delete
    assert world.run()["refused"] == "RuleGone"


def test_a_rule_that_is_paused_while_a_run_waits_ends_the_run(world: World) -> None:
    stop_other(world, timedelta(minutes=1))
    find_end = world.executions.find_end

    def pause(execution: str) -> object:
        world.edit(state=RuleState.PAUSED)
        world.executions.find_end = find_end
        return find_end(execution)

    world.executions.find_end = pause
    assert world.run()["refused"] == "RulePaused"
