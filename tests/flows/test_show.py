"""Showing rules, their runs, and what they would do."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from rdbkeeper.domain.backup import BackupState
from rdbkeeper.domain.backup_first import name_backup
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import (
    BackupsDisabled,
    InstanceNotFound,
    InvalidRequest,
    PlaceTaken,
    RdbkeeperError,
    RuleNotFound,
    VaultUnavailable,
)
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.status import block_for_missing_instance
from rdbkeeper.flows.runs.context import made_tag
from tests.fakes.fleet import SETTINGS
from tests.fakes.rdb_files import rdb_file
from tests.flows.desk import NAME, NOW, Desk, new_rule
from tests.flows.order import picture
from tests.flows.requests import AS_CREATED, BOTH_DAYS, MANUAL, half_deleted, made, paused

DAY_S = 86_400


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def add_backup(desk: Desk, backup_id: str, taken_at: datetime = NOW) -> None:
    desk.source.add_backup("orders", backup_id, taken_at, {"0001": rdb_file(200)}, source_size="1 GB")


def test_a_rule_is_shown_with_what_was_written_what_was_sent_and_how_it_is(desk: Desk) -> None:
    add_backup(desk, "automatic.orders-1")
    desk.fire()
    rule = desk.shown()
    assert rule["cycle"] == {"kind": "daily", "at": "02:30", "time_zone": "Asia/Tokyo"}
    assert rule["sent_to_scheduler"] == ["cron(30 2 * * ? *)"]
    assert len(rule["next_fire_times"]) == 5
    assert (rule["state"], rule["reason"], rule["hint"]) == ("active", "", "")
    assert rule["last_run"]["state"] == "succeeded" and "1 copied" in rule["last_run"]["line"]
    assert rule["newest_copy"] == "20261121T030000Z-automatic.orders-1"
    assert rule["newest_verified_at"] == "2026-11-21T03:00:00+00:00"


def test_a_rule_that_never_ran_says_so(desk: Desk) -> None:
    rule = desk.shown()
    assert (rule["last_run"], rule["newest_copy"], rule["newest_verified_at"]) == (None, None, None)


def test_a_rule_that_is_not_there_is_said_to_be_missing(desk: Desk) -> None:
    with pytest.raises(RuleNotFound):
        desk.show.get("nothing")
    with pytest.raises(RuleNotFound):
        desk.show.history("nothing", "", 10)
    with pytest.raises(RuleNotFound):
        desk.show.preview("nothing")


def test_rules_are_listed_by_name_in_pages(desk: Desk) -> None:
    for name in ("c", "a", "b", "d"):
        desk.register.create(new_rule(name, prefix=f"{name}/"))
    pages, after = [], ""
    while True:
        page = desk.show.list(after, 2)
        pages.append([rule["name"] for rule in page["rules"]])
        if page["next_after"] is None:
            break
        after = page["next_after"]
    assert pages == [["a", "b"], ["c", "d"], [NAME]]


def test_a_listed_rule_tells_its_state_last_run_newest_copy_and_next_fire(desk: Desk) -> None:
    add_backup(desk, "automatic.orders-1")
    desk.fire()
    [rule] = desk.show.list("", 10)["rules"]
    assert rule["state"] == "active"
    assert rule["last_run"]["state"] == "succeeded"
    assert rule["newest_copy"] == "20261121T030000Z-automatic.orders-1"
    assert rule["next_fire_times"] == ["2026-11-22T02:30:00+09:00"]


def test_no_rules_are_an_empty_page() -> None:
    assert Desk().show.list("", 10) == {"rules": [], "next_after": None}


def test_each_state_is_shown_in_one_word() -> None:
    desks = {name: Desk() for name in ("active", "creating", "deleting", "paused")}
    made(desks["active"])
    desks["creating"].tables.rules.create_rule(new_rule(), 0)
    half_deleted(desks["deleting"])
    paused(desks["paused"])
    assert {name: desk.shown()["state"] for name, desk in desks.items()} == {name: name for name in desks}


def test_a_blocked_rule_says_why_and_what_to_do(desk: Desk) -> None:
    desk.tables.rules.record_block(NAME, block_for_missing_instance(desk.rule()))
    rule = desk.shown()
    assert rule["state"] == "blocked"
    assert rule["reason"] == "InstanceNotFound: There is no instance orders in this region."
    assert "point it at another instance" in rule["hint"]


def test_a_paused_rule_is_shown_as_paused_whatever_else_is_the_matter(desk: Desk) -> None:
    desk.tables.rules.record_block(NAME, block_for_missing_instance(desk.rule()))
    desk.register.pause(NAME)
    desk.clock.advance(90 * DAY_S)
    assert desk.shown()["state"] == "paused"


def test_a_rule_without_a_new_copy_becomes_overdue_and_active_again_by_itself(desk: Desk) -> None:
    add_backup(desk, "automatic.orders-1")
    desk.fire()
    desk.clock.advance(2 * DAY_S + 5 * 3600)
    assert desk.shown()["state"] == "active"
    desk.clock.advance(3 * 3600)
    rule = desk.shown()
    assert rule["state"] == "overdue"
    assert rule["reason"] == (
        "The newest verified copy is of 21 Nov 2026 03:00 UTC; a newer one has been due for 2 h 0 min."
    )
    add_backup(desk, "automatic.orders-2", desk.clock.now())
    desk.fire()
    assert desk.shown()["state"] == "active"


def test_a_manual_rule_is_never_overdue() -> None:
    desk = Desk()
    desk.register.create(new_rule(cycle=MANUAL))
    desk.clock.advance(400 * DAY_S)
    assert desk.shown()["state"] == "active"


def test_a_run_under_which_the_rule_moved_leaves_its_former_place_in_the_notes(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(prefix="elsewhere/"))
    assert "copies go to elsewhere/orders/" in desk.shown()["notes"][0]


def test_history_shows_runs_with_what_became_of_each_backup_the_newest_first(desk: Desk) -> None:
    for day in range(3):
        add_backup(desk, f"automatic.orders-{day}", NOW + timedelta(days=day))
        desk.fire()
        desk.clock.advance(DAY_S)
    page = desk.show.history(NAME, "", 2)
    assert [run["outcomes"][-1]["backup_id"] for run in page["runs"]] == ["automatic.orders-2", "automatic.orders-1"]
    assert page["runs"][0]["outcomes"][0]["status"] == "copied"
    rest = desk.show.history(NAME, page["next_before"], 2)
    assert [run["outcomes"][0]["backup_id"] for run in rest["runs"]] == ["automatic.orders-0"]
    assert rest["next_before"] is None


def test_a_preview_tells_when_a_rule_fires_and_what_it_would_copy_and_changes_nothing(desk: Desk) -> None:
    add_backup(desk, "automatic.orders-1")
    desk.fire()
    add_backup(desk, "automatic.orders-2", NOW + timedelta(days=1))
    desk.source.add_backup("orders", "manual-1", None, {"0001": b""}, BackupState.IN_PROGRESS, automatic=False)
    before = picture(desk)
    desk.fleet.calls.clear()
    preview = desk.show.preview(NAME)
    assert len(preview["next_fire_times"]) == 10 and preview["sent_to_scheduler"] == ["cron(30 2 * * ? *)"]
    assert preview["would_copy"] == [
        {
            "backup_id": "automatic.orders-2",
            "copy_id": "20261122T030000Z-automatic.orders-2",
            "files": 1,
            "source_size": "1 GB",
        }
    ]
    assert {other["backup_id"]: other["reason"] for other in preview["others"]} == {
        "automatic.orders-1": "AlreadyKept",
        "manual-1": "BackupInProgress",
    }
    assert preview["retention"]["keeps"] == "everything" and preview["retention"]["would_remove"] == []
    assert picture(desk) == before and not desk.fleet.calls


def test_a_preview_and_a_run_leave_alone_what_another_rule_had_made_and_take_the_rules_own(desk: Desk) -> None:
    own, theirs = (name_backup(made_tag(SETTINGS.stack, rule), NOW) for rule in (NAME, "another"))
    add_backup(desk, own)
    add_backup(desk, theirs)
    preview = desk.show.preview(NAME)
    assert [one["backup_id"] for one in preview["would_copy"]] == [own]
    assert [(one["backup_id"], one["reason"]) for one in preview["others"]] == [(theirs, "MadeByAnotherRule")]
    desk.fire()
    copies = desk.vault.catalog(desk.rule().place.path).entries
    assert [entry.copy_id for entry in copies] == [f"20261121T030000Z-{own}"]


def test_a_preview_names_the_runs_that_clock_changes_cost(desk: Desk) -> None:
    wish = new_rule("second", prefix="a/", cycle=Cycle("daily", "Europe/Berlin", at="02:30"))
    notes = desk.show.preview_wish(wish)["notes"]
    assert any("28 Mar 2027 02:30 does not exist in Europe/Berlin" in note for note in notes)


def test_a_preview_of_a_blocked_rule_says_what_is_in_the_way(desk: Desk) -> None:
    desk.source.remove_instance("orders")
    preview = desk.show.preview(NAME)
    assert preview["blocked"]["code"] == "InstanceNotFound"
    assert preview["would_copy"] == []


def test_a_preview_of_a_wish_is_that_of_the_rule_that_comes_of_it(desk: Desk) -> None:
    wish = new_rule("second", instance="sessions", cycle=BOTH_DAYS, bandwidth_mbps=400)
    preview = desk.show.preview_wish(wish)
    assert preview["bandwidth_mbps"] == 400
    desk.register.create(wish)
    assert desk.show.preview("second") == preview


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"instance": "nowhere"}, InstanceNotFound),
        ({"instance": "careless"}, BackupsDisabled),
        ({}, PlaceTaken),
        ({"cycle": Cycle("custom", "UTC", cron="0 0 31 2 *")}, InvalidRequest),
        ({"role": "administrator"}, InvalidRequest),
    ],
)
def test_a_wish_that_would_be_refused_is_refused_in_its_preview(
    desk: Desk, changes: dict[str, object], error: type[RdbkeeperError]
) -> None:
    desk.source.add_instance("careless", retention_days=0)
    with pytest.raises(error):
        desk.show.preview_wish(new_rule("second", **changes))
    assert [rule.name for rule in desk.tables.rules.rules()] == [NAME]


def test_a_vault_that_does_not_answer_is_told(desk: Desk) -> None:
    desk.vault.failing["catalog"] = [VaultUnavailable("no answer")]
    with pytest.raises(VaultUnavailable):
        desk.show.preview(NAME)


def test_a_rule_that_is_half_made_is_shown_nevertheless() -> None:
    desk = Desk()
    desk.tables.rules.create_rule(new_rule(), 0)
    assert desk.rule().state is RuleState.CREATING
    assert desk.show.list("", 10)["rules"][0]["state"] == "creating"
