"""Deleting rules: what they run on goes, their copies and their log stay."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.backup_first import MadeBackup
from rdbkeeper.domain.errors import FleetUnavailable, NameTaken, PlaceTaken, RuleNotFound
from rdbkeeper.domain.rule import RuleState
from tests.fakes.rdb_files import rdb_file
from tests.flows.desk import ALARM, FUNCTION, LOG_GROUP, NAME, NOW, Desk, new_rule
from tests.flows.order import disorders, picture
from tests.flows.requests import BOTH_DAYS, half_deleted, made

DAY_S = 86_400


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def test_a_deleted_rule_leaves_its_copies_and_its_log(desk: Desk) -> None:
    desk.vault.objects["redis/orders/x/0001.rdb"] = b"a copy"
    answer = desk.register.delete(NAME)
    assert answer == {
        "deleted": NAME,
        "stopped_runs": 0,
        "copies_stay_at": {"vault": "default", "path": "redis/orders/"},
    }
    assert desk.nothing_was_made() and disorders(desk) == []
    assert list(desk.fleet.log_groups) == [LOG_GROUP]
    assert list(desk.vault.objects) == ["redis/orders/x/0001.rdb"]


def test_backups_that_its_runs_had_made_and_that_are_still_there_are_told(desk: Desk) -> None:
    now, record = desk.clock.now(), desk.tables.runs.record_made_backup
    record(NAME, MadeBackup("rdbkeeper-a", now, provider="memorydb", instance="carts"))
    record(NAME, MadeBackup("rdbkeeper-b", now))
    record(NAME, MadeBackup("rdbkeeper-c", now, is_removed=True))
    stay = [
        {"provider": "memorydb", "instance": "carts", "backup": "rdbkeeper-a"},
        {"provider": "elasticache", "instance": "orders", "backup": "rdbkeeper-b"},
    ]
    assert desk.register.delete(NAME)["backups_stay_at"] == stay
    told = [line.message for line in desk.journal.lines if line.event == "MadeBackupStays"]
    assert len(told) == 2 and "rdbkeeper-a" in told[0]
    assert desk.register.delete(NAME)["backups_stay_at"] == stay, "the same request gives the same result"


def test_what_uses_something_goes_before_it(desk: Desk) -> None:
    desk.fleet.calls.clear()
    desk.register.delete(NAME)
    looks = ("look_closely", "prototype", "find_going_run")
    assert [call for call in desk.fleet.calls if call not in looks] == [
        "remove_schedule",
        "stop_runs",
        "remove_function",
        "remove_alarm",
    ]


def test_both_schedules_of_a_rule_go() -> None:
    desk = Desk()
    desk.register.create(new_rule(cycle=BOTH_DAYS))
    desk.register.delete(NAME)
    assert not desk.fleet.schedules


def test_a_run_that_is_going_is_stopped_and_its_uploads_are_given_up(desk: Desk) -> None:
    desk.fleet.begin_run(NAME)
    desk.leave_upload_open()
    assert desk.register.delete(NAME)["stopped_runs"] == 1
    assert not desk.fleet.going and not desk.vault.uploads


def test_an_upload_that_cannot_be_given_up_does_not_keep_a_rule_from_being_deleted(desk: Desk) -> None:
    desk.leave_upload_open()
    desk.vault.denies_aborts = True
    desk.register.delete(NAME)
    assert desk.nothing_was_made()
    assert "UploadLeft" in desk.journal.events()


@pytest.mark.parametrize("call", ["find_going_run", "remove_schedule", "remove_alarm", "stop_runs", "remove_function"])
def test_a_delete_that_was_cut_off_stays_on_record_and_is_finished_by_sending_it_again(desk: Desk, call: str) -> None:
    desk.fleet.failing[call] = [FleetUnavailable("no answer")]
    with pytest.raises(FleetUnavailable):
        desk.register.delete(NAME)
    assert desk.rule().state is RuleState.DELETING
    desk.register.delete(NAME)
    assert desk.nothing_was_made() and disorders(desk) == []


def test_a_delete_that_is_sent_again_gives_the_same_answer_for_thirty_days(desk: Desk) -> None:
    desk.fleet.begin_run(NAME)
    first = desk.register.delete(NAME)
    desk.clock.advance(29 * DAY_S)
    assert desk.register.delete(NAME) == first
    desk.clock.advance(2 * DAY_S)
    with pytest.raises(RuleNotFound):
        desk.register.delete(NAME)


def test_a_delete_that_is_sent_again_takes_away_what_has_appeared_since(desk: Desk) -> None:
    function = desk.function()
    desk.register.delete(NAME)
    desk.fleet.functions[FUNCTION] = function  # by a request that was on its way
    desk.register.delete(NAME)
    assert desk.nothing_was_made()


def test_a_rule_that_never_was_cannot_be_deleted(desk: Desk) -> None:
    before = picture(desk)
    with pytest.raises(RuleNotFound):
        desk.register.delete("nothing")
    assert picture(desk) == before


def test_a_rule_that_is_being_deleted_keeps_its_name_and_its_place() -> None:
    desk = Desk()
    half_deleted(desk)
    with pytest.raises(NameTaken, match="deleting"):
        desk.register.create(new_rule())
    with pytest.raises(PlaceTaken):
        desk.register.create(new_rule("second"))


def test_a_rule_that_is_being_made_can_be_deleted() -> None:
    desk = Desk()
    desk.tables.rules.create_rule(new_rule(), 0)
    desk.register.delete(NAME)
    assert desk.nothing_was_made()


def test_what_is_a_strangers_by_now_is_left_alone_and_the_rule_is_deleted(desk: Desk) -> None:
    desk.fleet.functions.clear()
    desk.fleet.alarms.clear()
    desk.fleet.strangers |= {FUNCTION, ALARM}
    desk.fleet.going[NAME] = ["a stranger's execution"]
    desk.register.delete(NAME)
    assert desk.nothing_was_made()
    assert desk.fleet.going == {NAME: ["a stranger's execution"]}
    assert desk.fleet.strangers == {FUNCTION, ALARM}
    assert "NotOurs" in desk.journal.events()


def test_a_rule_of_the_same_name_begins_anew(desk: Desk) -> None:
    desk.source.add_backup("orders", "automatic.orders-1", NOW, {"0001": rdb_file(200)})
    desk.fire()
    desk.register.delete(NAME)
    rule = desk.register.create(new_rule())["rule"]
    assert (rule["last_run"], rule["newest_copy"]) == (None, None)
    assert desk.show.history(NAME, "", 10)["runs"] == []
    assert disorders(desk) == []
    assert desk.register.delete(NAME)["deleted"] == NAME
