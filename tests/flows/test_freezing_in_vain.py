"""Writes are frozen for nothing: neither for a backup that cannot be had, nor at an hour that nobody has chosen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup_first import BackupFirst, MadeBackup
from rdbkeeper.domain.errors import (
    BackupBusy,
    HookFailed,
    RunFailed,
    SourceDenied,
    SourceUnavailable,
    VaultDenied,
)
from rdbkeeper.domain.outcome import Status
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import NO_ACCESS, SourceAccess
from rdbkeeper.domain.status import Block
from tests.fakes.engine import ProcessDied
from tests.fakes.rdb_files import rdb_file
from tests.flows.desk import NAME, Desk, new_rule
from tests.flows.test_frozen_backups import (
    DEMANDING,
    HOOKS,
    RULE,
    Application,
    new_world,
    only_manifest,
    raising,
    reasons,
)
from tests.flows.world import World, make_rule

OWED = RunRequest(on_request=True, owed=True)
NOT_NOW = "writes are frozen at the rule's own time only"


# What is seen beforehand


def deny_the_vault(world: World) -> None:
    world.vault.catalog = raising(VaultDenied("No s3:ListBucket."))


def use_up_the_quota(world: World) -> None:
    world.source.backups_a_day = 1
    world.source.add_backup("orders", "theirs", world.clock.now(), {"0001": rdb_file()}, automatic=False)


def leave_three_uncopied(world: World) -> None:
    for number in range(3):
        taken_at = world.clock.now() - timedelta(days=number + 1)
        world.source.add_backup("orders", f"b{number}", taken_at, {"0001": rdb_file()}, automatic=False)
        world.tables.runs.record_made_backup(RULE, MadeBackup(f"b{number}", taken_at, f"b{number}"))


def tier_the_data(world: World) -> None:
    world.source.set_data_tiering("orders", "enabled")


def delete_the_instance(world: World) -> None:
    world.source.set_status("orders", "deleting", available=False)


def lose_the_instance(world: World) -> None:
    world.source.remove_instance("orders")


def deny_the_list(world: World) -> None:
    world.source.backups = raising(SourceDenied("No elasticache:DescribeSnapshots."))


OBSTACLES = [
    deny_the_vault,
    use_up_the_quota,
    leave_three_uncopied,
    tier_the_data,
    delete_the_instance,
    lose_the_instance,
    deny_the_list,
]


@pytest.mark.parametrize("wish", [HOOKS, DEMANDING, BackupFirst()], ids=["as it can", "demanding", "without hooks"])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_for_a_backup_that_cannot_be_had_nothing_is_frozen_and_none_is_asked_for(
    obstacle: Callable[[World], None], wish: BackupFirst
) -> None:
    world, application = new_world(wish)
    obstacle(world)
    with contextlib.suppress(RunFailed, VaultDenied, SourceDenied):
        world.run()
    assert not {"freeze", "ask"} & set(application.events) and world.source.requests == []
    assert world.tables.leases == {}


@pytest.mark.parametrize("obstacle", [delete_the_instance, lose_the_instance])
def test_a_run_whose_instance_is_away_is_put_off_and_fails_nobody(obstacle: Callable[[World], None]) -> None:
    world, _ = new_world()
    obstacle(world)
    assert "refused" in world.run()
    assert world.history()[0].state == "postponed"
    assert world.status().block is not None and world.status().block.owes_run


def test_a_vault_that_denies_is_what_the_run_fails_of() -> None:
    world, _ = new_world()
    deny_the_vault(world)
    with pytest.raises(VaultDenied):
        world.run()
    assert world.status().block is not None and world.status().block.code == "VaultDenied"


def test_an_instance_made_anew_without_data_tiering_is_backed_up_although_older_backups_have_it() -> None:
    world, _ = new_world()
    tier_the_data(world)
    old = world.source.add_backup("orders", "old", world.clock.now() - timedelta(days=40), {"0001": rdb_file()})
    world.source.set_engine(old, data_tiering="enabled")
    world.source.set_data_tiering("orders", "disabled")
    with contextlib.suppress(RunFailed):  # the old one cannot be exported
        world.run()
    assert len(world.source.requests) == 1
    assert only_manifest(world).consistency == "application"


# While writes are frozen


class Watched:
    """Which calls the provider had while writes were frozen, each with how long it was waited for at most."""

    def __init__(self, world: World, application: Application) -> None:
        self.calls: list[tuple[str, float | None]] = []
        adapters_source = world.adapters.source

        def source(provider: str, access: SourceAccess = NO_ACCESS, longest_call_s: float | None = None) -> Any:
            return Asked(adapters_source(provider, access), longest_call_s, self, application)

        world.adapters.source = source


class Asked:
    def __init__(self, port: Any, longest_call_s: float | None, watched: Watched, application: Application) -> None:
        self._port, self._longest_s, self._watched, self._application = port, longest_call_s, watched, application

    def __getattr__(self, name: str) -> Any:
        if self._application.is_frozen:
            self._watched.calls.append((name, self._longest_s))
        return getattr(self._port, name)


def test_while_writes_are_frozen_the_backup_is_asked_for_and_looked_at_and_nothing_else_is_done() -> None:
    world, application = new_world()
    watched = Watched(world, application)
    world.run()
    assert [name for name, _ in watched.calls] == ["request_backup", "find_requested_backup", "find_requested_backup"]
    assert {longest_s for _, longest_s in watched.calls} == {10}
    assert only_manifest(world).consistency == "application"


@pytest.mark.parametrize("call", ["request_backup", "find_requested_backup"])
def test_a_provider_that_hangs_keeps_writes_frozen_for_no_more_than_a_moment_longer(call: str) -> None:
    world, application = new_world()
    find_source, answer = world.adapters.source, getattr(world.source, call)

    def source(provider: str, access: SourceAccess = NO_ACCESS, longest_call_s: float | None = None) -> Any:
        def hang(*args: Any) -> Any:
            if not application.is_frozen:
                return answer(*args)
            world.clock.advance(185 if longest_call_s is None else longest_call_s)
            raise SourceUnavailable("No answer.")

        setattr(world.source, call, hang)
        return find_source(provider, access)

    world.adapters.source = source
    world.run()
    assert application.frozen_s <= 60 + 20 and not application.is_frozen
    assert only_manifest(world).consistency == "point-in-time"


@pytest.mark.parametrize("wish", [HOOKS, DEMANDING], ids=["as it can", "demanding"])
def test_what_took_all_of_the_time_to_freeze_is_thawed_before_anything_is_asked_for(wish: BackupFirst) -> None:
    world, application = new_world(wish)

    def freeze_slowly(payload: Any) -> None:
        application.freeze(payload)
        world.clock.advance(60)

    world.adapters.hooks.functions["stop"] = freeze_slowly
    with pytest.raises(RunFailed) if wish is DEMANDING else contextlib.nullcontext():
        world.run()
    assert application.events[:2] == ["freeze", "thaw"]
    if wish is DEMANDING:
        assert reasons(world) == ["HookFailed"] and world.source.requests == []
    else:
        assert "Freezing took as long" in only_manifest(world).consistency_reason


def test_a_process_that_dies_while_it_asks_has_asked_for_one_backup() -> None:
    world, application = new_world()
    request = world.source.request_backup

    def ask_and_die(*args: Any) -> None:
        world.source.request_backup = request
        request(*args)
        raise ProcessDied

    world.source.request_backup = ask_and_die
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    world.run(engine)
    assert len(world.source.requests) == 1 and not application.is_frozen
    assert only_manifest(world).consistency == "application"


# Runs that make up for others


def test_a_run_that_is_owed_has_its_backup_made_unfrozen_and_says_why() -> None:
    world, application = new_world()
    world.run(request=OWED)
    assert world.adapters.hooks.calls == [] and not application.is_frozen
    manifest = only_manifest(world)
    assert (manifest.consistency, manifest.consistency_reason) == ("point-in-time", NOT_NOW)


def test_a_run_that_is_owed_to_a_rule_that_demands_frozen_writes_asks_for_none_and_fails_nobody() -> None:
    world, _ = new_world(DEMANDING)
    world.add_backup("automatic")
    world.tables.rules.record_block(RULE, Block("SourceDenied", "No.", owes_run=True))
    world.run(request=OWED)
    assert world.adapters.hooks.calls == [] and world.source.requests == []
    waits, copied = world.history()[0].outcomes
    assert (waits.status, waits.reason) == (Status.POSTPONED, "WaitsForItsTime") and NOT_NOW in waits.detail
    assert copied.backup_id == "automatic" and world.status().block is None


def test_what_an_earlier_run_left_frozen_is_thawed_by_a_run_that_is_owed() -> None:
    world, application = new_world()
    engine = world.engine()
    engine.dies_after = 6
    with pytest.raises(ProcessDied):
        world.run(engine)
    assert application.is_frozen
    world.run(request=OWED)
    assert not application.is_frozen and application.events.count("freeze") == 1


def test_a_rule_without_hooks_has_its_backup_made_whoever_starts_the_run() -> None:
    world = World(rule=make_rule(backup_first=BackupFirst()))
    world.run(request=OWED)
    assert only_manifest(world).consistency_reason == ""


def test_a_run_by_hand_freezes() -> None:
    world, application = new_world()
    world.run(request=RunRequest(on_request=True))
    assert application.events[0] == "freeze"


@pytest.mark.parametrize(
    "block",
    [Block("SourceDenied", "m", owes_run=True), Block("InstanceNotAvailable", "m", owes_run=True), None],
    ids=["denied", "put off", "missed"],
)
def test_whatever_reconciling_starts_by_itself_is_owed(block: Block | None) -> None:
    desk = Desk()
    desk.register.create(new_rule(backup_first=BackupFirst()))
    desk.tables.rules.record_block(NAME, block)
    desk.clock.advance(timedelta(days=3, hours=3).total_seconds() if block is None else 3 * 3600)
    desk.reconcile().run()
    (wish,) = desk.fleet.wishes.values()
    assert RunRequest.from_record(wish) == OWED


# What fails a rule that demands frozen writes


@pytest.mark.parametrize("error", [BackupBusy("Snapshotting."), SourceUnavailable("No answer.")], ids=str)
def test_a_rule_that_demands_frozen_writes_fails_when_it_gets_no_backup(error: Exception) -> None:
    world, _ = new_world(DEMANDING)
    world.add_backup("automatic")
    world.source.request_backup = raising(error)
    with pytest.raises(RunFailed):
        world.run()
    assert [(one.status, one.reason) for one in world.history()[0].outcomes] == [
        (Status.FAILED, type(error).__name__),
        (Status.COPIED, "Published"),
    ]


def test_a_thaw_that_fails_is_told_beside_a_backup_that_cannot_be_had() -> None:
    world, _ = new_world()
    world.source.request_backup = raising(SourceDenied("No elasticache:CreateSnapshot."))
    world.adapters.hooks.functions["go-on"] = raising(HookFailed("No."))
    with pytest.raises(RunFailed):
        world.run()
    assert reasons(world) == ["HookFailed", "SourceDenied"]
