"""Retention in a run: what is not kept goes, after the copying, and never on account of a copy that is not there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rdbkeeper.domain.catalog import Mark, claim_key, mark_key
from rdbkeeper.domain.claim import make_claim
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import RunFailed, TableUnavailable, VaultDenied
from rdbkeeper.domain.outcome import Removals
from rdbkeeper.domain.retention import KEEP_EVERYTHING, OutgoingRetention, Retention
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.vault import StoreSum
from rdbkeeper.flows.runs import retain
from rdbkeeper.ports import Lock
from tests.fakes.engine import ProcessDied
from tests.fakes.rdb_files import rdb_file
from tests.flows.world import NIGHT, World, after_each

PATH = "redis/orders/"
MONTHLY = Cycle("custom", "UTC", cron="cron(30 2 1 * ? *)")


def world_of(nights: int, *, keeping: Retention = KEEP_EVERYTHING) -> World:
    """A rule that has copied that many nights, the last one this morning, and keeps from now on what is said."""
    world = World()
    wait_until_night(world, nights - 1)
    for night in range(nights):
        world.add_backup(f"b{night}", night)
    world.run()
    world.edit(retention=keeping)
    world.journal.lines.clear()
    return world


def wait_until_night(world: World, night: int) -> None:
    """Let it be an hour after that night's backup."""
    world.clock.advance((NIGHT + timedelta(days=night, hours=1) - world.clock.now()).total_seconds())


def held_ids(world: World) -> list[str]:
    return sorted(manifest.backup_id for manifest in world.manifests().values())


def test_what_is_not_kept_is_removed_with_its_data_the_oldest_first() -> None:
    world = world_of(5, keeping=Retention(keep_last=2))
    world.run()
    assert held_ids(world) == ["b3", "b4"]
    assert {key.split("/")[2] for key in world.data()} == {"20261123T021500Z-b3", "20261124T021500Z-b4"}
    removed = [line.fields["copy_id"] for line in world.journal.lines if line.event == "CopyRemoved"]
    assert [copy_id[-2:] for copy_id in removed] == ["b0", "b1", "b2"]


def test_the_line_and_each_removal_say_what_and_why() -> None:
    world = world_of(3, keeping=Retention(keep_last=2))
    size = len(world.data()[f"{PATH}20261120T021500Z-b0/0001.rdb"])
    world.run()
    assert f"0 failed, 1 removed ({size} B); next run" in world.report()
    line = next(line for line in world.journal.lines if line.event == "CopyRemoved")
    assert "retention does not keep it; it keeps only the last 2" in line.message
    assert (line.fields["reason"], line.fields["size_bytes"]) == ("NotKept", size)


def test_without_a_retention_nothing_goes_and_nothing_is_listed_twice() -> None:
    world = world_of(5)
    listed: list[str] = []
    after_each(world.vault, "catalog", lambda: listed.append("once more"))
    world.run()
    assert len(held_ids(world)) == 5
    assert len(listed) == 1


def test_a_retention_under_which_all_stays_lists_nothing_twice() -> None:
    world = world_of(5, keeping=Retention(keep_last=9))
    listed: list[str] = []
    after_each(world.vault, "catalog", lambda: listed.append("once more"))
    world.run()
    assert len(listed) == 1


def test_a_run_that_copied_lists_the_copies_once_more_for_retention_and_report_together() -> None:
    world = world_of(3, keeping=Retention(keep_last=9))
    world.add_backup("b3", 3)
    listed: list[str] = []
    after_each(world.vault, "catalog", lambda: listed.append("once more"))
    world.run()
    assert len(listed) == 2


def test_what_was_copied_just_now_lets_the_oldest_go() -> None:
    world = world_of(3, keeping=Retention(keep_last=3))
    world.add_backup("b3", 3)
    world.clock.advance(86400)
    world.run()
    assert held_ids(world) == ["b1", "b2", "b3"]


def test_what_is_left_is_what_the_status_tells() -> None:
    world = world_of(4, keeping=Retention(keep_last=1))
    world.run()
    kept = world.status().kept
    assert kept.newest_copy == "20261123T021500Z-b3"
    assert kept.newest_verified_at == NIGHT + timedelta(days=3)


def test_a_removed_backup_that_is_still_at_its_source_is_not_copied_again() -> None:
    world = world_of(4, keeping=Retention(keep_last=1))
    world.run()
    before = dict(world.vault.objects)
    world.run()
    assert world.vault.objects == before
    assert world.outcomes()["b0"] == "NotKept"


def test_when_an_audit_last_read_a_removed_copy_is_struck_off() -> None:
    world = world_of(3, keeping=Retention(keep_last=2))
    for copy_id in ("20261120T021500Z-b0", "20261121T021500Z-b1"):
        world.tables.runs.record_check(world.rule.name, copy_id, NIGHT)
    world.run()
    assert list(world.tables.runs.checks(world.rule.name)) == ["20261121T021500Z-b1"]


# ---------------------------------------------------------------- what stays


def test_what_the_retention_before_still_keeps_stays_for_its_grace_period() -> None:
    world = world_of(4, keeping=Retention(keep_last=1))
    world.edit(outgoing=(OutgoingRetention(Retention(keep_last=3), world.clock.now() + timedelta(days=3)),))
    world.run()
    assert held_ids(world) == ["b1", "b2", "b3"]
    world.clock.advance(3 * 86400)
    world.edit(cycle=MONTHLY)  # so that it is not overdue, having no newer backups
    world.run()
    assert held_ids(world) == ["b3"]


def test_a_held_copy_stays_without_a_word() -> None:
    world = world_of(3, keeping=Retention(keep_last=1))
    world.vault.objects[mark_key(PATH, Mark.HOLD, "20261120T021500Z-b0")] = b"{}"
    world.run()
    assert held_ids(world) == ["b0", "b2"]
    assert "1 removed" in world.report()


def test_a_locked_copy_is_retained_until_its_lock_ends_and_that_is_no_failure() -> None:
    world = world_of(3, keeping=Retention(keep_last=1))
    world.vault.capabilities = replace(world.vault.capabilities, locks=True)
    until = world.clock.now() + timedelta(days=10)
    world.vault.locks[f"{PATH}manifests/20261120T021500Z-b0.verified.json"] = Lock(until)
    world.run()
    assert held_ids(world) == ["b0", "b2"]
    assert f", 1 retained until {until:%d %b %Y};" in world.report()
    line = next(line for line in world.journal.lines if line.event == "CopyRetained")
    assert line.level == "info" and "retained until" in line.message


def test_nothing_goes_while_the_rule_is_overdue() -> None:
    world = world_of(4, keeping=Retention(keep_days=1))
    world.clock.advance(10 * 86400)
    world.run()
    assert len(held_ids(world)) == 4
    assert "RetentionWaits" in world.journal.events()
    assert "nothing removed: the newest verified copy is" in world.report()


def test_a_paused_rule_whose_copies_grow_old_loses_none_of_them() -> None:
    world = world_of(4, keeping=Retention(keep_days=1))
    world.edit(state=RuleState.PAUSED)
    world.clock.advance(10 * 86400)
    world.run(request=RunRequest(on_request=True))
    assert len(held_ids(world)) == 4


@pytest.mark.parametrize(
    "stack_id, rule, left",
    [("another one", "orders-nightly", 5), ("this one", "orders-nightly", 2), ("this one", "orders-forever", 5)],
)
def test_nothing_goes_from_a_place_that_another_stack_or_rule_has_claimed(stack_id: str, rule: str, left: int) -> None:
    world = world_of(5, keeping=Retention(keep_last=2))
    claim = make_claim("rdbkeeper", stack_id, replace(world.rule, name=rule), world.clock.now())
    world.vault.create_object(claim_key(PATH), claim.to_json(), "application/json")
    world.run()
    assert len(held_ids(world)) == left
    told = [line.fields["reason"] for line in world.journal.lines if line.event == "RetentionFailed"]
    assert told == ["PlaceTaken"] * (left == 5)


def test_a_rule_that_was_resumed_loses_no_copy_that_it_had_kept_for_being_overdue() -> None:
    world = world_of(4, keeping=Retention(keep_days=1))
    world.clock.advance(10 * 86400)
    world.edit(watched_since=world.clock.now())
    world.run()
    assert len(held_ids(world)) == 4
    assert "nothing removed: the newest verified copy is" in world.report()


@pytest.mark.parametrize("hours, left", [(28, 1), (30, 4)])
def test_a_manual_rule_removes_while_its_newest_copy_is_of_the_last_thirty_hours(hours: int, left: int) -> None:
    world = world_of(4, keeping=Retention(keep_days=2))
    world.edit(cycle=Cycle("manual", "UTC"))
    world.clock.advance(hours * 3600)  # the newest is an hour old already
    world.run(request=RunRequest(on_request=True))
    assert len(held_ids(world)) == left


def test_a_manual_rule_that_copied_a_new_backup_lets_the_old_copies_go() -> None:
    world = world_of(4, keeping=Retention(keep_days=7))
    world.edit(cycle=Cycle("manual", "UTC"))
    wait_until_night(world, 60)
    world.run(request=RunRequest(on_request=True))
    assert len(held_ids(world)) == 4
    world.add_backup("new", 60)
    world.run(request=RunRequest(on_request=True))
    assert held_ids(world) == ["new"]


@pytest.mark.parametrize("late_by_days, left", [(0, 2), (10, 5)])
def test_where_no_copy_is_verified_the_newest_of_all_tells_whether_others_may_go(late_by_days: int, left: int) -> None:
    world = World()
    world.vault.capabilities = replace(world.vault.capabilities, sum=StoreSum.NONE)
    wait_until_night(world, 4)
    for night in range(5):
        world.add_backup(f"b{night}", night, {"0001": rdb_file(200, seed=night, checksum=False)})
    world.run()
    for night in range(5):
        world.source.lose_backup("orders", f"b{night}")
    world.edit(retention=Retention(keep_last=2))
    world.clock.advance(late_by_days * 86400)
    world.run()
    assert len(held_ids(world)) == left
    assert ("nothing removed: the newest copy (none is verified) is" in world.report()) == bool(late_by_days)


def test_nothing_goes_when_the_instance_is_gone() -> None:
    world = world_of(4, keeping=Retention(keep_last=1))
    world.source.remove_instance("orders")
    world.run()
    assert len(held_ids(world)) == 4


def test_a_run_that_hands_over_leaves_retention_to_the_one_that_follows() -> None:
    world = world_of(3, keeping=Retention(keep_last=52))
    for night in range(3, 63):
        world.add_backup(f"b{night}", night)
    wait_until_night(world, 62)
    world.run()
    assert len(held_ids(world)) == 53
    assert "CopyRemoved" not in world.journal.events()
    (_, event), *_ = world.executions.successors.values()
    world.run(request=RunRequest.from_record(event))
    assert len(held_ids(world)) == 52


def test_an_unchecked_copy_whose_backup_would_be_copied_again_stays_until_that_has_left_the_source() -> None:
    """It is known to be unchecked only once it was copied, and so it would be copied and removed in every run."""
    world = World()
    wait_until_night(world, 9)
    world.add_backup("old", 0)
    world.add_backup("bare", 1, {"0001": rdb_file(200, checksum=False)})
    world.add_backup("new", 9)
    world.edit(retention=Retention(keep_last=1, keep_weekly=2))
    world.run()
    assert held_ids(world) == ["bare", "new"]
    world.run()
    assert held_ids(world) == ["bare", "new", "old"]  # the verified one of its week, for lack of another
    parts_put = world.vault.parts_put
    world.run()
    assert world.vault.parts_put == parts_put
    world.source.lose_backup("orders", "bare")
    world.run()
    assert held_ids(world) == ["new", "old"]


# ---------------------------------------------------------------- keepers


@pytest.mark.parametrize("harm", ["gone", "cut", "unreadable", "names no file", "another copy's manifest"])
def test_a_newest_copy_that_is_not_whole_is_marked_and_protects_nothing(harm: str) -> None:
    world = world_of(4, keeping=Retention(keep_last=1))
    newest = "20261123T021500Z-b3"
    if harm == "gone":
        del world.vault.objects[f"{PATH}{newest}/0001.rdb"]
    elif harm == "cut":
        world.vault.objects[f"{PATH}{newest}/0001.rdb"] = b"REDIS"
    else:
        key = f"{PATH}manifests/{newest}.verified.json"
        spoilt = {
            "unreadable": b"nonsense",
            "names no file": replace(world.manifests()[key], files=()).to_json(),
            "another copy's manifest": world.vault.objects[key.replace(newest, "20261122T021500Z-b2")],
        }
        world.vault.objects[key] = spoilt[harm]
    world.run()
    kept = [entry.copy_id for entry in world.vault.catalog(PATH).entries if not entry.is_damaged]
    assert kept == ["20261122T021500Z-b2"]
    assert world.vault.catalog(PATH).find(newest) is not None
    line = next(line for line in world.journal.lines if line.event == "CopyDamaged")
    assert line.level == "error" and newest in line.message
    assert world.status().kept.newest_verified_at == NIGHT + timedelta(days=2)


def test_copies_that_were_brought_to_another_prefix_are_whole_there_and_not_removed() -> None:
    world = world_of(4, keeping=Retention(keep_last=1))
    world.vault.objects = {key.replace(PATH, "prod/orders/"): body for key, body in world.vault.objects.items()}
    world.edit(prefix="prod/")
    world.run()
    assert [entry.is_damaged for entry in world.vault.catalog("prod/orders/").entries] == [False] * 4
    assert "3 cannot be removed" in world.report()


def test_when_the_newest_that_is_there_is_too_old_nothing_goes() -> None:
    """With its newest copies lost the rule is overdue, and what is left is all there is."""
    world = world_of(8, keeping=Retention(keep_last=1))
    for night in range(3, 8):
        gone = next(key for key in world.data() if key.endswith(f"-b{night}/0001.rdb"))
        del world.vault.objects[gone]
    world.run()
    assert len(held_ids(world)) == 8
    kept = [entry.copy_id[-2:] for entry in world.vault.catalog(PATH).entries if not entry.is_damaged]
    assert kept == ["b0", "b1", "b2", "b3", "b4"]  # with b5 it was overdue, and looked no further
    assert "RetentionWaits" in world.journal.events()


def test_when_too_many_keepers_are_lost_nothing_goes() -> None:
    world = world_of(14, keeping=Retention(keep_last=1))
    world.edit(cycle=MONTHLY)
    for key in world.data():
        if not key.endswith("-b0/0001.rdb"):
            del world.vault.objects[key]
    world.run()
    assert len(held_ids(world)) == 14
    assert "10 newest copies are not whole" in world.report()


def test_an_unchecked_copy_that_is_not_whole_protects_no_other() -> None:
    world = World()
    for night in range(3):
        world.add_backup(f"b{night}", night, {"0001": rdb_file(200, seed=night, checksum=False)})
    world.run()
    wait_until_night(world, 2)
    world.edit(retention=Retention(keep_last=1))
    del world.vault.objects[f"{PATH}20261122T021500Z-b2/0001.rdb"]
    for night in range(3):
        world.source.lose_backup("orders", f"b{night}")
    world.run()
    kept = [entry.copy_id[-2:] for entry in world.vault.catalog(PATH).entries if not entry.is_damaged]
    assert kept == ["b1"]


@pytest.mark.parametrize("how", ["its manifest is gone", "its removal is planned"])
def test_a_keeper_that_a_person_removes_meanwhile_is_looked_for_before_each_removal(how: str) -> None:
    world = world_of(6, keeping=Retention(keep_last=2))
    keeper = "20261125T021500Z-b5"

    def remove_keeper() -> None:
        if len(world.manifests()) != 5:
            return
        if how == "its manifest is gone":
            del world.vault.objects[f"{PATH}manifests/{keeper}.verified.json"]
        else:
            world.vault.objects[mark_key(PATH, Mark.REMOVAL, keeper)] = b"{}"

    after_each(world.vault, "remove_object", remove_keeper)
    world.run()
    assert [name for name in held_ids(world) if name != "b5"] == ["b3", "b4"]


# ---------------------------------------------------------------- edits meanwhile


def test_a_retention_that_is_widened_meanwhile_counts_at_once() -> None:
    world = world_of(6, keeping=Retention(keep_last=2))

    def widen() -> None:
        if len(world.manifests()) == 5 and world.rule.retention.keep_last == 2:
            world.edit(retention=Retention(keep_last=4))

    after_each(world.vault, "remove_object", widen)
    world.run()
    assert held_ids(world) == ["b2", "b3", "b4", "b5"]
    assert "2 removed" in world.report()


def test_a_rule_that_is_pointed_elsewhere_meanwhile_removes_nothing_more() -> None:
    world = world_of(6, keeping=Retention(keep_last=2))

    def move() -> None:
        if len(world.manifests()) == 5 and world.rule.prefix == "redis/":
            world.edit(prefix="elsewhere/")

    after_each(world.vault, "remove_object", move)
    world.run()
    assert held_ids(world) == ["b1", "b2", "b3", "b4", "b5"]
    assert "1 removed" in world.report()
    assert "RetentionFailed" in world.journal.events()


def test_a_rule_that_is_deleted_meanwhile_removes_nothing_more() -> None:
    world = world_of(6, keeping=Retention(keep_last=2))

    def delete() -> None:
        if len(world.manifests()) == 5 and world.rule.state is RuleState.ACTIVE:
            world.edit(state=RuleState.DELETING)

    after_each(world.vault, "remove_object", delete)
    world.run()
    assert len(held_ids(world)) == 5


def test_a_run_that_lost_its_lease_removes_nothing_more() -> None:
    world = world_of(6, keeping=Retention(keep_last=2))
    after_each(world.vault, "remove_object", world.steal_lease)
    with pytest.raises(Exception, match="no longer holds"):
        world.run()
    assert len(held_ids(world)) == 5


# ---------------------------------------------------------------- failures


def test_one_copy_that_cannot_be_removed_keeps_no_other_and_fails_no_run() -> None:
    world = world_of(4, keeping=Retention(keep_last=1))
    world.vault.objects[f"{PATH}manifests/20261120T021500Z-b0.verified.json"] = b"nonsense"
    report = world.run()
    assert len(world.vault.catalog(PATH).entries) == 2
    assert report["failed"] == 0
    assert "2 removed" in report["line"] and "1 cannot be removed" in report["line"]
    assert "RemovalFailed" in world.journal.events()


def test_copies_that_cannot_be_removed_keep_no_others_from_going() -> None:
    world = world_of(12, keeping=Retention(keep_last=2))
    for night, manifest in enumerate(sorted(world.manifests())[:7]):
        world.vault.objects[manifest] = b"nonsense"
        assert manifest.endswith(f"-b{night}.verified.json")
    line = world.run()["line"]
    assert [one.copy_id.split("-b")[1] for one in world.vault.catalog(PATH).entries] == [*"0123456", "10", "11"]
    assert "3 removed" in line and "7 cannot be removed" in line and "the next run" not in line
    removed = [line.fields["copy_id"][-2:] for line in world.journal.lines if line.event == "CopyRemoved"]
    assert removed == ["b7", "b8", "b9"]


def test_a_store_that_refuses_only_the_oldest_copies_lets_the_others_go() -> None:
    world = world_of(12, keeping=Retention(keep_last=2))
    remove = world.vault.remove_object

    def deny_the_oldest(key: str, etag: str) -> None:
        if any(f"-b{night}.verified" in key for night in range(6)):
            raise VaultDenied("Removing was denied.")
        remove(key, etag)

    world.vault.remove_object = deny_the_oldest
    world.run()
    assert held_ids(world) == ["b0", "b1", "b10", "b11", "b2", "b3", "b4", "b5"]


def test_a_vault_that_lets_nothing_be_removed_is_told_and_asked_no_more_than_six_times() -> None:
    world = world_of(9, keeping=Retention(keep_last=1))
    world.vault.failing["create_object"] = [VaultDenied("Creating was denied.") for _ in range(20)]
    report = world.run()
    assert len(held_ids(world)) == 9
    assert "removing 6 failed, the next run tries again" in report["line"]
    assert len(world.vault.failing["create_object"]) == 14


def test_a_failing_listing_fails_retention_and_not_the_run() -> None:
    world = world_of(4, keeping=Retention(keep_last=1))
    after_each(world.tables.rules, "record_block", lambda: world.vault.failing.update(catalog=[VaultDenied("No.")]))
    report = world.run()
    assert len(held_ids(world)) == 4
    assert "nothing removed: VaultDenied" in report["line"]
    assert "RetentionFailed" in world.journal.events()


def test_a_failing_backup_is_loud_and_retention_is_done_all_the_same() -> None:
    world = world_of(4, keeping=Retention(keep_last=2))
    world.add_backup("bad", 4, {"0001": b"no RDB file at all, whatever its length may be" * 3})
    with pytest.raises(RunFailed, match="2 removed"):
        world.run()
    assert held_ids(world) == ["b2", "b3"]


def test_a_table_that_keeps_old_checks_fails_nothing() -> None:
    world = world_of(3, keeping=Retention(keep_last=2))

    def fail(*_: object) -> None:
        raise TableUnavailable("The table does not answer.")

    world.tables.runs.forget_checks = fail
    world.run()
    assert held_ids(world) == ["b1", "b2"]
    assert "RecordLeft" in world.journal.events()


# ---------------------------------------------------------------- rounds


def test_more_than_one_round_holds_is_removed_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(9, keeping=Retention(keep_last=2))
    after_each(world.vault, "remove_object", lambda: world.clock.advance(200))
    engine = world.engine()
    world.run(engine)
    assert held_ids(world) == ["b7", "b8"]
    assert "7 removed" in world.report()
    assert engine.invocations > 2


def test_one_run_removes_so_many_and_the_next_one_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retain, "MOST_REMOVED", 3)
    world = world_of(9, keeping=Retention(keep_last=2))
    world.run()
    assert "3 removed" in world.report() and "the next run removes more" in world.report()
    assert len(held_ids(world)) == 6
    world.run()
    world.run()
    assert held_ids(world) == ["b7", "b8"]


@pytest.mark.parametrize("steps", range(1, 9))
def test_a_run_that_dies_after_any_step_removes_what_it_should_when_it_goes_on(steps: int) -> None:
    world = world_of(5, keeping=Retention(keep_last=2))
    engine = world.engine()
    engine.dies_after = steps
    try:
        world.run(engine)
    except ProcessDied:
        engine.begin_invocation()
        world.run(engine)
    assert held_ids(world) == ["b3", "b4"]


def test_what_was_done_is_read_back_as_it_was_written() -> None:
    done = Removals(3, 99, 1, NIGHT, 2, "why", True, True, settled=("a", "b"), refused=4, failed_in_row=2)
    assert Removals.from_record(done.as_record()) == done
