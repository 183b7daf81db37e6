"""What a run leaves on record: its report, what keeps the rule from its work, and what an edit under it does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from rdbkeeper.domain.errors import LeaseLost, RunFailed, SourceDenied, VaultDenied, VaultUnavailable
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.status import RunState, show
from tests.flows.world import NIGHT, World, after_each


@pytest.fixture
def world() -> World:
    return World()


def shown(world: World) -> str:
    return show(world.rule, world.status(), world.clock.now()).state


def raising(error: Exception) -> Callable[..., object]:
    def raise_it(*_: object) -> object:
        raise error

    return raise_it


def test_a_run_is_in_the_history_with_what_became_of_each_backup(world: World) -> None:
    world.add_backup("one")
    world.run()
    (run,) = world.history()
    assert run.state is RunState.SUCCEEDED
    assert run.line == world.report()
    assert [(outcome.backup_id, outcome.status.value) for outcome in run.outcomes] == [("one", "copied")]
    assert run.ended_at is not None and run.ended_at >= run.started_at


def test_a_run_that_is_going_is_on_record_as_such(world: World) -> None:
    states = []
    after_each(world.source, "backups", lambda: states.append(world.history()[0].state))
    world.run()
    assert states == [RunState.GOING]


def test_a_run_that_failed_is_on_record_with_its_line(world: World) -> None:
    world.add_backup("one", files={"0001": b"no rdb file at all, but long enough to be one"})
    with pytest.raises(RunFailed):
        world.run()
    (run,) = world.history()
    assert run.state is RunState.FAILED
    assert run.outcomes[0].reason == "NotAnRdbFile"


def test_the_newest_copies_are_on_record_once_a_run_has_ended(world: World) -> None:
    world.add_backup("one", 0)
    world.add_backup("two", 1)
    world.run()
    kept = world.status().kept
    assert kept.newest_copy == "20261121T021500Z-two"
    assert kept.newest_verified_at == NIGHT + timedelta(days=1)


def test_a_copy_that_somebody_removed_is_not_called_the_newest(world: World) -> None:
    world.add_backup("one", 0)
    world.add_backup("two", 1)
    world.run()
    for key in [key for key in world.vault.objects if "two" in key]:
        del world.vault.objects[key]
    world.source.lose_backup("orders", "two")
    world.run()
    assert world.status().kept.newest_copy == "20261120T021500Z-one"


@pytest.mark.parametrize("code", ["InstanceNotFound", "InstanceNotAvailable"])
def test_an_instance_that_is_gone_or_not_available_puts_the_run_off(world: World, code: str) -> None:
    world.add_backup("one")
    if code == "InstanceNotFound":
        world.source.remove_instance("orders")
    else:
        world.source.set_status("orders", "deleting", available=False)
    assert world.run()["refused"] == code
    assert [run.state for run in world.history()] == [RunState.POSTPONED]
    assert shown(world) == "blocked"
    assert world.status().block.owes_run  # type: ignore[union-attr]
    assert world.tables.leases == {} and world.vault.objects == {}


def test_a_rule_is_active_again_once_its_instance_is_back(world: World) -> None:
    world.source.set_status("orders", "creating", available=False)
    world.run()
    world.source.set_status("orders", "available", available=True)
    world.add_backup("one")
    world.run()
    assert shown(world) == "active"
    assert world.copied_backups() == ["one"]


def test_backups_that_were_switched_off_block_the_rule_but_what_is_there_is_copied(world: World) -> None:
    world.source.add_instance("orders", retention_days=0)
    world.add_backup("manual")
    world.run()
    assert world.copied_backups() == ["manual"]
    assert shown(world) == "blocked"
    assert world.status().block.code == "BackupsDisabled"  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [VaultDenied("no"), VaultUnavailable("gone")], ids=["denied", "unreachable"])
def test_a_vault_that_cannot_be_used_blocks_the_rule_until_a_run_gets_through(world: World, error: Exception) -> None:
    catalog = world.vault.catalog
    world.vault.catalog = raising(error)  # type: ignore[method-assign, assignment]
    with pytest.raises(type(error)):
        world.run()
    assert shown(world) == "blocked"
    assert world.status().block.code == type(error).__name__  # type: ignore[union-attr]
    world.vault.catalog = catalog  # type: ignore[method-assign]
    world.add_backup("one")
    world.run()
    assert shown(world) == "active"


def test_a_missing_permission_at_the_source_blocks_the_rule(world: World) -> None:
    world.source.backups = raising(SourceDenied("no"))  # type: ignore[method-assign, assignment]
    with pytest.raises(SourceDenied):
        world.run()
    assert shown(world) == "blocked"


def test_a_lost_lease_is_no_reason_to_block_the_rule(world: World) -> None:
    world.add_backup("one")
    after_each(world.tables.runs, "remember_uploads", world.steal_lease)
    with pytest.raises(LeaseLost):
        world.run()
    assert world.status().block is None


def test_a_paused_rule_copies_nothing_by_its_timer(world: World) -> None:
    world.add_backup("one")
    world.edit(state=RuleState.PAUSED)
    assert world.run()["refused"] == "RulePaused"
    assert world.vault.objects == {} and world.history() == []


def test_a_paused_rule_runs_when_it_is_asked_to(world: World) -> None:
    world.add_backup("one")
    world.edit(state=RuleState.PAUSED)
    world.run(request=RunRequest(on_request=True))
    assert world.copied_backups() == ["one"]


@pytest.mark.parametrize("change", [{"prefix": "elsewhere/"}, {"instance": "carts"}])
@pytest.mark.parametrize(
    "port, method", [("vault", "open_upload"), ("vault", "put_part"), ("source", "request_export")]
)
def test_a_rule_that_is_pointed_elsewhere_during_its_run_gets_nothing_published_by_it(
    world: World, change: dict[str, str], port: str, method: str
) -> None:
    world.add_backup("one")
    world.add_backup("two", 1)
    edits: list[str] = []

    def edit_once() -> None:
        if not edits:
            edits.append("edited")
            world.edit(**change)

    after_each(getattr(world, port), method, edit_once)
    assert world.run()["refused"] == "RuleChanged"
    assert world.vault.objects == {} and world.vault.uploads == {}
    assert world.tables.leases == {}
    assert world.history()[0].state is RunState.POSTPONED


def test_an_edit_of_the_cycle_alone_lets_the_run_go_on(world: World) -> None:
    world.add_backup("one")
    after_each(world.vault, "put_part", lambda: world.edit(role="other"))
    world.run()
    assert world.copied_backups() == ["one"]


def test_a_fragment_is_not_removed_for_a_rule_that_was_pointed_elsewhere(world: World) -> None:
    world.add_backup("one")
    key = "redis/orders/20261120T021500Z-one/0001.rdb"
    world.vault.create_object(key, b"a fragment", "application/octet-stream")
    after_each(world.source, "request_export", lambda: world.edit(prefix="elsewhere/"))
    assert world.run()["refused"] == "RuleChanged"
    assert list(world.vault.objects) == [key]
