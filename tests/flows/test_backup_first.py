"""Runs that ask the provider for a backup first: once, waited for, copied, and removed once its copy is verified."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup_first import BackupFirst, MadeBackup, name_backup
from rdbkeeper.domain.catalog import Mark, mark_key
from rdbkeeper.domain.errors import (
    BackupBusy,
    LeaseLost,
    RunFailed,
    SourceDenied,
    SourceUnavailable,
    TableDenied,
    TableUnavailable,
    VaultDenied,
)
from rdbkeeper.domain.outcome import Status
from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import SourceAccess
from rdbkeeper.flows.runs.context import made_tag
from tests.fakes.engine import ProcessDied, ReplayEngine
from tests.fakes.rdb_files import rdb_file
from tests.flows.world import World, after_each, make_rule

RULE = "orders-nightly"
OURS = {"rdbkeeper:stack": "rdbkeeper", "rdbkeeper:rule": RULE}


@pytest.fixture
def world() -> World:
    return new_world()


def new_world(**changes: object) -> World:
    return World(rule=make_rule(**{"backup_first": BackupFirst(), **changes}))


def next_name(world: World) -> str:
    """What a backup is called that a run asks for which begins now."""
    return name_backup(made_tag(world.stack_name, RULE), world.clock.now())


def asked(world: World) -> list[str]:
    return [name for _, name, _ in world.source.requests]


def listed(world: World) -> list[str]:
    instance = world.source.find_instance("orders")
    return [backup.backup_id for backup in world.source.backups(instance)] if instance else []


def on_record(world: World) -> list[MadeBackup]:
    return world.tables.runs.made_backups(RULE)


def run_again_after(world: World, engine: ReplayEngine, steps_done: int) -> None:
    engine.dies_after = steps_done
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    world.run(engine)


def _steps_of_a_whole_run() -> int:
    world = new_world()
    engine = world.engine()
    world.run(engine)
    return engine.steps_run


def test_a_run_asks_waits_copies_and_removes_what_it_had_made(world: World) -> None:
    name, before = next_name(world), world.clock.now()
    world.run()
    assert asked(world) == [name] and world.copied_backups() == [name]
    assert world.clock.now() > before, "it did not wait"
    assert listed(world) == []
    assert "MadeBackupRemoved" in world.journal.events()
    (manifest,) = world.manifests().values()
    assert (manifest.automatic, manifest.consistency, manifest.consistency_reason) == (False, "point-in-time", "")


def test_it_bears_the_tags_of_its_stack_and_rule(world: World) -> None:
    tags: list[dict[str, str]] = []
    after_each(world.source, "request_backup", lambda: tags.extend(world.source.tags.values()))
    world.run()
    assert tags == [OURS]


def test_the_providers_own_backups_are_copied_in_the_same_run(world: World) -> None:
    world.add_backup("automatic")
    name = next_name(world)
    world.run()
    assert sorted(world.copied_backups()) == sorted(["automatic", name])
    assert listed(world) == ["automatic"]


@pytest.mark.parametrize("steps_done", range(_steps_of_a_whole_run()))
def test_a_process_that_dies_after_any_step_has_asked_for_one_backup_and_removes_it(steps_done: int) -> None:
    world = new_world()
    run_again_after(world, world.engine(), steps_done)
    assert len(asked(world)) == 1 and world.copied_backups() == asked(world)
    assert listed(world) == []


@pytest.mark.parametrize("steps_done", range(_steps_of_a_whole_run()))
def test_what_a_run_that_is_given_up_had_made_is_copied_and_removed_by_the_next(steps_done: int) -> None:
    world = new_world()
    engine = world.engine()
    engine.dies_after = steps_done
    with pytest.raises(ProcessDied):
        world.run(engine)
    for _ in range(3):  # what nobody waited for is there by the second or the third
        world.clock.advance(3600)
        world.run()
    assert sorted(world.copied_backups()) == sorted(asked(world))
    assert listed(world) == []


def test_a_request_whose_answer_is_lost_is_not_made_twice(world: World) -> None:
    request, answers = world.source.request_backup, iter([True, False])

    def lose_the_answer(*args: object) -> None:
        request(*args)
        if next(answers):
            raise SourceUnavailable("the answer was lost")

    world.source.request_backup = lose_the_answer
    world.run()
    assert len(asked(world)) == 1 and world.copied_backups() == asked(world)


def test_a_backup_whose_copy_is_unchecked_stays_at_the_provider(world: World) -> None:
    world.source.data["orders"] = {"0001": rdb_file(300, checksum=False)}
    world.run()
    assert world.copied_backups() == asked(world) == listed(world)
    assert [made.is_removed for made in on_record(world)] == [False]


def test_a_backup_whose_copy_failed_stays_until_a_later_run_has_copied_it(world: World) -> None:
    world.source.cut_at["0001"] = 10
    name = next_name(world)
    with pytest.raises(RunFailed):
        world.run()
    assert listed(world) == [name]
    world.source.cut_at.clear()
    world.edit(backup_first=None)
    world.run()
    assert world.copied_backups() == [name] and listed(world) == []


def test_backups_of_others_stay_whatever_they_are_called(world: World) -> None:
    for name, tags in (
        ("rdbkeeper-00000000-20260101000000", {}),
        ("rdbkeeper-00000000-20260102000000", {**OURS, "rdbkeeper:rule": "another"}),
        ("before-the-release", OURS),
    ):
        world.source.add_backup("orders", name, world.clock.now(), {"0001": rdb_file()}, automatic=False)
        world.source.tags[name] = dict(tags)
    theirs = listed(world)
    world.run()
    world.run()
    assert listed(world) == theirs


def test_a_backup_that_has_lost_its_tags_stays_and_is_forgotten(world: World) -> None:
    name = next_name(world)
    after_each(world.source, "request_export", world.source.tags.clear)
    world.run()
    assert listed(world) == [name] and world.copied_backups() == [name]
    assert "MadeBackupStays" in world.journal.events() and on_record(world) == []


def test_a_backup_that_cannot_be_removed_now_is_removed_by_the_next_run(world: World) -> None:
    remove, failures = world.source.remove_backup, iter([SourceUnavailable("busy")])

    def fail_once(*args: object) -> bool:
        for error in failures:
            raise error
        return remove(*args)

    world.source.remove_backup = fail_once
    world.run()
    assert len(listed(world)) == 1 and "MadeBackupLeft" in world.journal.events()
    world.edit(backup_first=None)
    world.run()
    assert listed(world) == []


def test_what_was_removed_counts_for_its_day_and_is_forgotten_after_it(world: World) -> None:
    world.source.backups_a_day = 2
    for _ in range(2):
        world.run()
        world.clock.advance(4 * 3600)
    assert [made.is_removed for made in on_record(world)] == [True, True] and listed(world) == []
    asks_before = len(asked(world))
    after_each(world.source, "request_backup", lambda: pytest.fail("the provider was asked in vain"))
    with pytest.raises(RunFailed):
        world.run()
    del world.source.request_backup
    world.clock.advance(86_400)
    world.run()
    assert len(asked(world)) == asks_before + 1
    assert [made.name for made in on_record(world)] == asked(world)[-1:]


def test_a_used_up_quota_is_told_and_the_run_goes_on_scanning_and_fails_loudly(world: World) -> None:
    world.source.backups_a_day = 1
    world.run()
    world.add_backup("automatic")
    world.clock.advance(3600)
    refused = next_name(world)
    with pytest.raises(RunFailed):
        world.run()
    assert "automatic" in world.copied_backups()
    assert world.outcomes()[refused] == "BackupQuotaUsed"
    assert world.history()[0].outcomes[0].status is Status.FAILED


def test_manual_backups_of_others_count_for_the_quota(world: World) -> None:
    world.source.backups_a_day = 1
    world.source.add_backup("orders", "theirs", world.clock.now(), {"0001": rdb_file()}, automatic=False)
    with pytest.raises(RunFailed):
        world.run()
    assert asked(world) == []


def test_an_instance_that_is_busy_puts_the_backup_off_and_no_run_fails(world: World) -> None:
    world.add_backup("automatic")
    name = next_name(world)
    world.source.failing[name] = BackupBusy("It is being modified.")
    world.run()
    assert world.outcomes() == {name: "BackupBusy", "automatic": "Published"}
    assert [one.status for one in world.history()[0].outcomes if one.backup_id == name] == [Status.POSTPONED]


def test_a_backup_that_fails_at_the_provider_fails_the_run_and_is_removed(world: World) -> None:
    world.source.fails_to_make_next = True
    world.add_backup("automatic")
    name = next_name(world)
    with pytest.raises(RunFailed):
        world.run()
    assert world.copied_backups() == ["automatic"]
    assert [one.reason for one in world.history()[0].outcomes] == ["BackupNotMade", "Published"]
    assert "as failed" in world.history()[0].outcomes[0].detail
    assert name not in listed(world)


def test_a_backup_that_takes_too_long_is_given_up_and_copied_by_a_later_run(world: World) -> None:
    world.source.looks_until_made = 200
    name = next_name(world)
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes()[name] in ("BackupNotMade", "BackupInProgress")
    assert world.history()[0].outcomes[0].reason == "BackupNotMade"
    assert listed(world) == [name], "what is still being made must not be removed"
    world.source.looks_until_made = 0
    world.edit(backup_first=None)
    world.run()  # its clean-up looks at the backup, which is there by now
    world.run()
    assert world.copied_backups() == [name] and listed(world) == []


def test_a_missing_permission_is_an_outcome_and_blocks_the_rule(world: World) -> None:
    world.add_backup("automatic")
    world.source.failing[next_name(world)] = SourceDenied("No elasticache:CreateSnapshot.")
    with pytest.raises(RunFailed):
        world.run()
    assert world.copied_backups() == ["automatic"]
    block = world.status().block
    assert block is not None and block.code == "SourceDenied"


def test_an_instance_that_is_gone_puts_the_run_off(world: World) -> None:
    world.source.remove_instance("orders")
    assert world.run()["refused"] == "InstanceNotFound"
    assert asked(world) == []


def test_a_rule_that_asks_for_backups_needs_no_automatic_ones(world: World) -> None:
    world.source.set_retention("orders", 0)
    world.run()
    assert world.copied_backups() == asked(world) != []
    assert world.status().block is None


def test_a_run_that_lost_its_lease_while_it_waits_copies_and_removes_nothing(world: World) -> None:
    after_each(world.source, "request_backup", world.steal_lease)
    with pytest.raises(LeaseLost):
        world.run()
    assert len(asked(world)) == 1 and listed(world) == asked(world) and world.vault.objects == {}


def test_a_rule_that_is_deleted_meanwhile_ends_the_run(world: World) -> None:
    after_each(world.source, "request_backup", lambda: world.edit(state=RuleState.DELETING))
    assert world.run()["refused"] == "RuleGone"
    assert world.vault.objects == {}


def test_a_successor_asks_for_no_further_backup(world: World) -> None:
    world.run(request=RunRequest(chain="run-1", hand_overs=1))
    assert asked(world) == []


def test_an_audit_asks_for_no_backup(world: World) -> None:
    world.run(request=RunRequest(on_request=True, audits=True))
    assert asked(world) == []


def test_without_the_wish_nothing_is_asked_for_and_nothing_more_is_done() -> None:
    world = new_world(backup_first=None)
    world.add_backup("automatic")
    engine = world.engine()
    world.run(engine)
    assert asked(world) == []
    assert not [name for name, _ in engine.remembered if "backup" in name.split(" of ")[0]]


def test_a_run_by_hand_may_ask_for_a_backup_whatever_the_rule_says() -> None:
    world = new_world(backup_first=None)
    world.run(request=RunRequest(on_request=True, backs_up=True))
    assert world.copied_backups() == asked(world) and len(asked(world)) == 1
    assert listed(world) == []


def test_how_consistent_a_backup_is_goes_by_its_id_and_not_by_the_name_that_was_asked_for() -> None:
    world = new_world(backup_first=None)
    world.source.add_backup("orders", "8f3a", world.clock.now(), {"0001": rdb_file()}, automatic=False)
    made = MadeBackup("rdbkeeper-x", world.clock.now(), "8f3a", reason="writes could not be frozen: no")
    world.tables.runs.record_made_backup(RULE, made)
    world.run()
    (manifest,) = world.manifests().values()
    assert manifest.consistency_reason == "writes could not be frozen: no"


def test_a_record_of_what_never_came_to_be_is_dropped_once_it_cannot_come_any_more(world: World) -> None:
    world.tables.runs.record_made_backup(RULE, MadeBackup("rdbkeeper-x", world.clock.now()))
    world.run()
    assert "rdbkeeper-x" in [made.name for made in on_record(world)]
    world.clock.advance(timedelta(hours=23).total_seconds())
    world.run()
    assert "rdbkeeper-x" in [made.name for made in on_record(world)], "a listing may lack it"
    world.clock.advance(timedelta(hours=2).total_seconds())
    world.run()
    assert "rdbkeeper-x" not in [made.name for made in on_record(world)]


@pytest.mark.parametrize("age_days, is_known", [(34, True), (36, False)])
def test_what_has_no_verified_copy_after_long_is_told_and_forgotten(age_days: int, is_known: bool) -> None:
    world = new_world()
    world.source.data["orders"] = {"0001": rdb_file(300, checksum=False)}
    world.run()
    (made,) = on_record(world)
    old = replace(made, asked_at=made.asked_at - timedelta(days=age_days))
    world.tables.runs.record_made_backup(RULE, old)
    world.run()
    assert (made.name in [one.name for one in on_record(world)]) is is_known
    assert made.name in listed(world)


@pytest.mark.parametrize("hours, is_made", [(1, False), (4, True)])
def test_what_was_asked_for_long_ago_and_is_not_listed_uses_up_no_quota(
    world: World, hours: int, is_made: bool
) -> None:
    world.source.backups_a_day = 1
    asked_at = world.clock.now() - timedelta(hours=hours)
    world.tables.runs.record_made_backup(RULE, MadeBackup("rdbkeeper-x", asked_at))
    with nullcontext() if is_made else pytest.raises(RunFailed):
        world.run()
    assert (len(asked(world)) == 1) is is_made


def test_backups_that_cannot_be_copied_do_not_pile_up_at_the_provider(world: World) -> None:
    world.source.request_export = raising(SourceDenied("No elasticache:CopySnapshot."))
    for _ in range(6):
        with pytest.raises(RunFailed):
            world.run()
        world.clock.advance(86400)
    assert len(listed(world)) == 3
    assert world.history()[0].outcomes[0].reason == "BackupNotMade"


def test_a_run_that_waits_for_its_backup_is_in_its_rules_history(world: World) -> None:
    seen: list[list[str]] = []
    after_each(world.source, "find_requested_backup", lambda: seen.append([run.state for run in world.history()]))
    world.run()
    assert seen and all(states == ["going"] for states in seen)
    assert [run.state for run in world.history()] == ["succeeded"]


def test_what_another_rule_had_made_is_left_to_it(world: World) -> None:
    theirs = name_backup(made_tag(world.stack_name, "another"), world.clock.now())
    world.source.add_backup("orders", theirs, world.clock.now(), {"0001": rdb_file(300)}, automatic=False)
    world.run()
    assert theirs not in world.copied_backups()
    (line,) = [one for one in world.journal.lines if one.event == "BackupOutcome" and theirs in one.message]
    assert "Another rule had it made for itself" in line.message


def test_a_note_that_is_denied_is_told_and_the_backup_is_copied_all_the_same(world: World) -> None:
    record = world.tables.runs.record_made_backup

    def deny_the_note(rule: str, made: MadeBackup) -> None:
        if made.backup_id:
            raise TableDenied("No dynamodb:PutItem.")
        record(rule, made)

    world.tables.runs.record_made_backup = deny_the_note  # type: ignore[method-assign]
    with pytest.raises(RunFailed):
        world.run()
    assert [outcome.reason for outcome in world.history()[0].outcomes] == ["TableDenied", "Published"]


@pytest.mark.parametrize("error", [TableUnavailable("No answer."), TableDenied("No dynamodb:Query.")], ids=str)
def test_a_table_that_does_not_tell_what_was_made_fails_no_run_whose_copies_are_made(
    world: World, error: Exception
) -> None:
    find, copied = world.tables.runs.made_backups, world.copied_backups

    def fail_at_the_end(rule: str) -> list[MadeBackup]:
        if copied():
            raise error
        return find(rule)

    world.tables.runs.made_backups = fail_at_the_end  # type: ignore[method-assign]
    world.run()
    assert len(copied()) == 1 and "MadeBackupLeft" in world.journal.events()


def deny_removing(world: World) -> Callable[..., bool]:
    """Let no backup be removed; returns what removes them."""
    remove = world.source.remove_backup
    world.source.remove_backup = raising(SourceDenied("No elasticache:DeleteSnapshot."))
    return remove


def test_verified_backups_that_cannot_be_removed_keep_no_other_from_being_made(world: World) -> None:
    deny_removing(world)
    for _ in range(4):
        world.run()
        world.clock.advance(86_400)
    assert len(world.manifests()) == len(listed(world)) == 4
    assert [made.is_verified for made in on_record(world)] == [True] * 4


def test_a_backup_that_is_wanted_once_more_stays_at_its_provider_until_it_has_another_copy(world: World) -> None:
    remove = deny_removing(world)
    world.run()
    world.source.remove_backup = remove
    world.vault.objects.clear()
    world.edit(backup_first=None)
    put = world.vault.put_part
    world.vault.put_part = raising(VaultDenied("no"))
    with pytest.raises(RunFailed):
        world.run()
    assert len(listed(world)) == 1, "the only backup that is whole was removed"
    world.vault.put_part = put
    world.run()
    assert (len(world.manifests()), listed(world)) == (1, [])


@pytest.mark.parametrize("call", ["remove_backup", "find_requested_backup"])
def test_a_verified_backup_goes_from_its_provider_although_retention_took_its_copy(call: str) -> None:
    world = new_world(retention=Retention(keep_last=1))
    answer = getattr(world.source, call)

    def fail_once_copied(*args: Any) -> object:
        if world.manifests() and args[1] in {one.backup_id for one in world.manifests().values()}:
            raise SourceUnavailable("throttled")
        return answer(*args)

    setattr(world.source, call, fail_once_copied)
    for _ in range(2):
        world.run()
        world.clock.advance(86_400)
    assert len(world.manifests()) == 1 and len(listed(world)) == 2
    setattr(world.source, call, answer)
    world.run()
    assert listed(world) == []


def test_a_backup_that_is_seen_to_be_verified_later_on_is_known_so_from_then_on(world: World) -> None:
    remove = deny_removing(world)
    world.run()
    (made,) = on_record(world)
    world.tables.runs.record_made_backup(RULE, replace(made, is_verified=False))
    world.edit(backup_first=None)
    world.run()
    assert [one.is_verified for one in on_record(world)] == [True]
    world.vault.objects.clear()
    world.source.remove_backup = remove
    world.edit(retention=Retention(keep_last=0, keep_days=1))
    world.clock.advance(3 * 86_400)
    world.run()
    assert listed(world) == []


# Other stacks


def of_another_stack(world: World, name: str) -> None:
    """Another stack's rule of the same name has had a backup of that name made of the same instance."""
    taken_at = world.clock.now() - timedelta(minutes=5)
    world.source.add_backup("orders", name, taken_at, {"0001": rdb_file(300)}, automatic=False)
    world.source.tags[name] = {**OURS, "rdbkeeper:stack": "another"}


def test_what_a_rule_of_the_same_name_in_another_stack_had_made_is_left_to_it(world: World) -> None:
    theirs = name_backup(made_tag("another", RULE), world.clock.now())
    of_another_stack(world, theirs)
    world.run()
    assert theirs in listed(world) and theirs not in world.copied_backups()
    assert world.outcomes()[theirs] == "MadeByAnotherRule" and len(asked(world)) == 1


def test_what_another_stack_has_under_the_name_that_is_asked_for_is_not_taken_for_ours() -> None:
    world = new_world(backup_first=BackupFirst("stop", "go-on"))
    world.adapters.hooks.functions = dict.fromkeys(("stop", "go-on"), lambda _: None)
    name = next_name(world)
    of_another_stack(world, name)
    with pytest.raises(RunFailed):
        world.run()
    assert [outcome.reason for outcome in world.history()[0].outcomes] == ["SourceRefused", "Published"]
    assert {manifest.consistency for manifest in world.manifests().values()} == {"point-in-time"}
    assert listed(world) == [name]


# Another instance


def leave_a_backup(world: World) -> str:
    """A run has made a backup and could not copy it; returns its name."""
    name = next_name(world)
    request = world.source.request_export
    world.source.request_export = raising(SourceDenied("No elasticache:CopySnapshot."))
    with pytest.raises(RunFailed):
        world.run()
    world.source.request_export = request
    assert listed(world) == [name]
    return name


def raising(error: Exception) -> Callable[..., object]:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


def told_to_stay(world: World) -> list[str]:
    return [line.message for line in world.journal.lines if line.event == "MadeBackupStays"]


@pytest.mark.parametrize("backup_first", [None, BackupFirst()], ids=["no more", "goes on"])
def test_a_backup_of_the_instance_that_a_rule_pointed_at_before_is_told_and_forgotten(
    backup_first: BackupFirst | None,
) -> None:
    world = new_world()
    name = leave_a_backup(world)
    world.source.add_instance("sessions")
    edited = RuleEdit(instance="sessions").apply_to(world.rule, world.clock.now())
    world.edit(instance="sessions", former_places=edited.former_places, backup_first=backup_first)
    world.run()
    assert told_to_stay(world) == [
        f"The backup {name} stays at the provider: the rule no longer copies the backups of orders; remove it by hand."
    ]
    assert listed(world) == [name] and name not in [made.name for made in on_record(world)]


@pytest.mark.parametrize("is_old", [False, True], ids=["a record of today", "a record of before"])
def test_a_rule_that_reads_a_server_by_now_tells_what_it_had_made(is_old: bool) -> None:
    world = new_world()
    name = leave_a_backup(world)
    if is_old:
        (made,) = on_record(world)
        world.tables.runs.record_made_backup(RULE, replace(made, provider="", instance=""))
    access = {"address": "queue.example.com:6379"}
    edited = RuleEdit(provider="redis", access=access, ends_backup_first=True).apply_to(world.rule, world.clock.now())
    world.edit(provider="redis", access=edited.access, backup_first=None, has_former_copies=edited.has_former_copies)
    world.adapters.live.files = {"0001": rdb_file(300)}
    source = world.adapters.source
    world.adapters.source = lambda provider, *access: {"elasticache": source}[provider](provider, *access)
    world.run(request=RunRequest(on_request=is_old, backs_up=is_old))
    assert [name in line for line in told_to_stay(world)] == [True] and on_record(world) == []


def test_backups_of_another_instance_do_not_count_for_the_quota(world: World) -> None:
    world.source.backups_a_day = 1
    other = MadeBackup("rdbkeeper-x", world.clock.now(), provider="elasticache", instance="sessions")
    world.tables.runs.record_made_backup(RULE, other)
    world.run()
    assert len(asked(world)) == 1


def test_a_backup_whose_copy_is_known_to_be_damaged_stays_at_the_provider(world: World) -> None:
    remove = world.source.remove_backup
    world.source.remove_backup = raising(SourceUnavailable("busy"))
    world.run()
    (manifest,) = world.manifests().values()
    mark = mark_key(world.rule.place.path, Mark.DAMAGED, manifest.copy_id)
    world.vault.objects[mark] = b"{}"
    world.source.remove_backup = remove
    world.edit(backup_first=None)
    world.run()
    assert listed(world) == [manifest.backup_id]
    del world.vault.objects[mark]
    world.run()
    assert listed(world) == []


# Providers that do not know a backup by its name


def new_world_elsewhere() -> World:
    access = SourceAccess(region="ap-guangzhou", secret="rdbkeeper/tencent")
    return new_world(provider="tencentdb", access=access)


def ask_and_die(world: World) -> Callable[..., None]:
    request = world.source.request_backup

    def ask(*args: Any) -> None:
        world.source.request_backup = request
        request(*args)
        raise ProcessDied

    return ask


def test_what_a_process_that_died_may_have_asked_for_is_not_asked_for_again_where_that_makes_two() -> None:
    world = new_world_elsewhere()
    world.source.request_backup = ask_and_die(world)
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine)
    find = world.source.find_requested_backup
    looks = iter([None, None])  # it is not listed at once
    world.source.find_requested_backup = lambda *args: next(looks, find(*args))
    after_each(world.source, "request_backup", lambda: pytest.fail("it was asked for twice"))
    engine.begin_invocation()
    world.run(engine)
    assert world.copied_backups() == asked(world) and len(asked(world)) == 1


def test_what_nobody_asked_for_in_the_end_is_asked_for_when_it_is_not_listed_for_long() -> None:
    world = new_world_elsewhere()
    world.source.request_backup = raising_once(world)
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    began = world.clock.now()
    world.run(engine)
    assert world.copied_backups() == asked(world) and len(asked(world)) == 1
    assert world.source.requests[0][2] - began >= timedelta(minutes=30)


def test_what_was_refused_before_it_was_asked_for_is_asked_for_again() -> None:
    world = new_world_elsewhere()
    request, failures = world.source.request_backup, iter([SourceUnavailable("No connection.")])

    def fail_once(*args: object) -> None:
        for error in failures:
            raise error
        request(*args)

    world.source.request_backup = fail_once
    began = world.clock.now()
    world.run()
    assert world.copied_backups() == asked(world) and len(asked(world)) == 1
    assert world.clock.now() - began < timedelta(minutes=10)


def test_where_a_name_makes_it_one_a_process_that_died_before_asking_has_asked_in_the_end(world: World) -> None:
    world.source.request_backup = raising_once(world)
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    world.run(engine)
    assert world.copied_backups() == asked(world) and len(asked(world)) == 1


def raising_once(world: World) -> Callable[..., None]:
    request = world.source.request_backup

    def die(*_: object) -> None:
        world.source.request_backup = request
        raise ProcessDied

    return die


def test_a_provider_elsewhere_is_asked_as_its_rule_says() -> None:
    access = SourceAccess(region="ap-guangzhou", secret="rdbkeeper/tencent")
    world = new_world(provider="tencentdb", access=access)
    given: list[SourceAccess] = []
    source: Callable[..., object] = world.adapters.source
    world.adapters.source = lambda provider, reached: given.append(reached) or source(provider, reached)
    world.run()
    assert set(given) == {access} and len(asked(world)) == 1
