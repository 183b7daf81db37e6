"""What keeps a rule from its work: it says why, puts its runs off, and goes on by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rdbkeeper.domain.errors import (
    FleetUnavailable,
    SourceDenied,
    SourceUnavailable,
    VaultDenied,
    VaultError,
    VaultUnavailable,
)
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.source import SourceAccess
from rdbkeeper.domain.status import Block
from rdbkeeper.ports import Record
from tests.fakes.rdb_files import rdb_file
from tests.flows.desk import NAME, NOW, Desk, new_rule
from tests.flows.disturbances import Meanwhile
from tests.flows.requests import AS_CREATED, made


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def codes(answer: Record, what: str = "repairs") -> list[str]:
    return [record["code"] for record in answer[what]]


def block(desk: Desk) -> Block | None:
    return desk.tables.rules.find_status(NAME).block


def stop(desk: Desk) -> None:
    desk.source.set_status("orders", "modifying", available=False)


def start_again(desk: Desk) -> None:
    desk.source.set_status("orders", "available", available=True)


def test_a_rule_whose_instance_is_stopped_is_blocked_until_it_is_available_again(desk: Desk) -> None:
    stop(desk)
    assert codes(desk.reconcile().run(), "reports") == ["RuleBlocked"]
    rule = desk.shown()
    assert rule["state"] == "blocked"
    assert rule["reason"].startswith("InstanceNotAvailable: The instance orders is not available: its status is mod")
    start_again(desk)
    assert codes(desk.reconcile().run()) == ["RuleUnblocked"]
    assert desk.shown()["state"] == "active"


def test_a_block_is_told_once(desk: Desk) -> None:
    stop(desk)
    desk.reconcile().run()
    assert codes(desk.reconcile().run(), "reports") == []


def test_a_rule_whose_instance_is_deleted_is_blocked_until_it_is_there_again(desk: Desk) -> None:
    desk.source.remove_instance("orders")
    desk.reconcile().run()
    assert desk.shown()["reason"].startswith("InstanceNotFound")
    desk.source.add_instance("orders")
    desk.reconcile().run()
    assert desk.shown()["state"] == "active"


def test_a_rule_whose_backups_were_switched_off_is_blocked_until_they_are_on_again(desk: Desk) -> None:
    desk.source.set_retention("orders", 0)
    desk.reconcile().run()
    assert desk.shown()["reason"].startswith("BackupsDisabled")
    desk.source.set_retention("orders", 1)
    desk.reconcile().run()
    assert desk.shown()["state"] == "active"
    assert not desk.fleet.going.get(NAME)


@pytest.mark.parametrize("gone", [True, False])
def test_runs_that_were_put_off_are_no_failures_and_are_caught_up_once(desk: Desk, gone: bool) -> None:
    if gone:
        desk.source.remove_instance("orders")
    else:
        stop(desk)
    for _ in range(3):
        desk.fire()
    assert {run["state"] for run in desk.show.history(NAME, "", 10)["runs"]} == {"postponed"}
    assert desk.shown()["state"] == "blocked"
    desk.reconcile().run()
    if gone:
        desk.source.add_instance("orders")
    else:
        start_again(desk)
    assert codes(desk.reconcile().run()) == ["RuleUnblocked", "RunCaughtUp"]
    assert len(desk.fleet.going[NAME]) == 1
    assert codes(desk.reconcile().run()) == []
    assert len(desk.fleet.going[NAME]) == 1


def test_a_run_that_was_put_off_is_still_owed_when_one_block_gives_way_to_another(desk: Desk) -> None:
    stop(desk)
    desk.fire()
    desk.source.remove_instance("orders")
    desk.reconcile().run()
    assert desk.shown()["reason"].startswith("InstanceNotFound")
    desk.source.add_instance("orders")
    assert "RunCaughtUp" in codes(desk.reconcile().run())


def test_a_run_that_gets_through_lets_the_rule_go_on_by_itself(desk: Desk) -> None:
    stop(desk)
    desk.fire()
    start_again(desk)
    desk.fire()
    assert desk.shown()["state"] == "active"
    assert codes(desk.reconcile().run()) == []


def test_a_paused_rule_owes_no_run(desk: Desk) -> None:
    stop(desk)
    desk.fire()
    desk.register.pause(NAME)
    start_again(desk)
    assert codes(desk.reconcile().run()) == ["RuleUnblocked"]
    assert not desk.fleet.going.get(NAME)


def test_a_run_that_cannot_be_caught_up_now_is_still_owed(desk: Desk) -> None:
    stop(desk)
    desk.fire()
    start_again(desk)
    desk.fleet.failing["start_run"] = [FleetUnavailable("no answer")]
    assert codes(desk.reconcile().run(), "failures") == ["FleetUnavailable"]
    assert desk.shown()["state"] == "blocked"
    assert "RunCaughtUp" in codes(desk.reconcile().run())


def fail_a_run(desk: Desk, error: VaultError) -> None:
    desk.vault.failing["catalog"] = [error] * 3
    with pytest.raises(type(error)):
        desk.fire()
    desk.vault.failing["catalog"] = [error]


def test_a_rule_whose_vault_does_not_answer_is_blocked_until_it_does(desk: Desk) -> None:
    fail_a_run(desk, VaultUnavailable("Listing copies failed: no answer."))
    assert desk.shown()["reason"].startswith("VaultUnavailable")
    assert codes(desk.reconcile().run()) == []  # still no answer
    assert desk.shown()["state"] == "blocked"
    assert codes(desk.reconcile().run()) == ["RuleUnblocked", "RunCaughtUp"]
    assert desk.shown()["state"] == "active"


def test_a_rule_that_lacks_a_permission_is_blocked_until_a_run_gets_through(desk: Desk) -> None:
    fail_a_run(desk, VaultDenied("Listing copies failed: AccessDenied.", hint="Compare the role with the template."))
    rule = desk.shown()
    assert (rule["state"], rule["hint"]) == ("blocked", "Compare the role with the template.")
    desk.vault.failing.clear()
    assert codes(desk.reconcile().run()) == []  # reconciling has another role, and cannot tell
    assert desk.shown()["state"] == "blocked"
    desk.fire()
    assert desk.shown()["state"] == "active"


def test_instances_that_cannot_be_listed_leave_blocks_as_they_are_and_everything_else_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise SourceUnavailable("DescribeReplicationGroups did not answer.")

    monkeypatch.setattr(desk.source, "instances", fail)
    desk.fleet.delete_alarm_by_hand(NAME)
    answer = desk.reconcile().run()
    assert codes(answer) == ["AlarmMade"]
    assert codes(answer, "failures") == ["SourceUnavailable"]
    assert desk.shown()["state"] == "active"


def test_instances_that_cannot_be_listed_say_whose_they_are_and_by_which_secret_they_were_asked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = SourceAccess(region="ap-guangzhou", secret="rdbkeeper/tencent")
    for number in range(12):
        name = f"carts-{number:02}"
        desk.register.create(new_rule(name, prefix=f"{name}/", provider="tencentdb", access=access))

    def fail() -> None:
        raise SourceDenied("Listing the instances failed: AuthFailure.", hint="Look at the secret.")

    monkeypatch.setattr(desk.source, "instances", fail)
    of_tencent, of_ours = desk.reconcile().run()["failures"]
    assert of_ours["message"].startswith(f"The instances of the rules {NAME} (elasticache) are not known: Listing")
    assert "carts-00, carts-01" in of_tencent["message"] and "carts-10" not in of_tencent["message"]
    assert "and 2 more (tencentdb, ap-guangzhou, the secret rdbkeeper/tencent)" in of_tencent["message"]
    assert of_tencent["code"] == "SourceDenied" and of_tencent["hint"] == "Look at the secret."


def test_one_blocked_rule_is_no_matter_of_the_others(desk: Desk) -> None:
    desk.register.create(new_rule("second", instance="sessions"))
    stop(desk)
    desk.reconcile().run()
    assert (desk.shown()["state"], desk.shown("second")["state"]) == ("blocked", "active")


def when_instances_are_listed(desk: Desk, act: object) -> Meanwhile:
    """Lets `act` happen late in a reconciling: when rules and statuses were read long ago."""

    def happen(_: int, call: str) -> None:
        if call == "MemorySource.instances":
            assert callable(act)
            act()

    return Meanwhile(happen)


def test_a_run_that_is_put_off_while_reconciling_is_owed_all_the_same(desk: Desk) -> None:
    stop(desk)
    desk.reconcile(when_instances_are_listed(desk, desk.fire).before).run()
    known = block(desk)
    assert known is not None and known.owes_run


def test_a_run_that_gets_through_while_reconciling_is_not_started_once_more(desk: Desk) -> None:
    stop(desk)
    desk.fire()
    start_again(desk)
    desk.reconcile(when_instances_are_listed(desk, desk.fire).before).run()
    assert not desk.fleet.going.get(NAME)
    assert desk.shown()["state"] == "active"


def test_a_rule_that_is_pointed_elsewhere_while_reconciling_is_judged_by_its_new_instance(desk: Desk) -> None:
    stop(desk)
    move = when_instances_are_listed(
        desk, lambda: desk.register.update(NAME, AS_CREATED, RuleEdit(instance="sessions"))
    )
    desk.reconcile(move.before).run()
    assert desk.shown()["state"] == "active"


def test_a_rule_that_is_deleted_while_reconciling_gets_no_block(desk: Desk) -> None:
    stop(desk)
    desk.reconcile(when_instances_are_listed(desk, lambda: desk.register.delete(NAME)).before).run()
    assert block(desk) is None


def test_a_copy_made_under_another_block_counts(desk: Desk) -> None:
    desk.source.add_backup("orders", "manual-1", NOW, {"0001": rdb_file(200)}, automatic=False)
    desk.source.set_retention("orders", 0)
    desk.fire()
    rule = desk.shown()
    assert rule["state"] == "blocked" and rule["newest_copy"] == "20261121T030000Z-manual-1"


def test_a_block_of_a_rule_that_was_edited_is_that_of_the_rule_as_it_is(desk: Desk) -> None:
    stop(desk)
    desk.reconcile().run()
    desk.register.update(NAME, AS_CREATED, RuleEdit(instance="sessions"))
    desk.reconcile().run()
    assert desk.shown()["state"] == "active"
    assert replace(desk.rule()).instance == "sessions"


@pytest.mark.parametrize("code", ["InstanceNotFound", "SourceRefused", "SyncRefused"])
def test_the_block_of_a_server_that_only_runs_can_see_is_not_taken_for_over(code: str) -> None:
    desk = Desk()
    server = {"provider": "redis", "access": SourceAccess(address="queue.test:6379")}
    desk.tables.rules.create_rule(new_rule(state=RuleState.ACTIVE, revision=AS_CREATED, **server), 0)
    desk.work().claim_place(desk.rule())
    desk.work().follow(NAME)
    gone = Block(code, "There is no instance orders in this region.", owes_run=True)
    desk.tables.rules.record_block(NAME, gone)
    assert codes(desk.reconcile().run()) == []  # at three o'clock no run is tried again
    assert block(desk) == gone
    desk.clock.advance(timedelta(hours=3).total_seconds())
    assert codes(desk.reconcile().run()) == ["RunRetried"]
