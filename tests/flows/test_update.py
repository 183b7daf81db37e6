"""Editing a rule as somebody read it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import (
    BackupsDisabled,
    FleetDenied,
    FleetUnavailable,
    InstanceNotFound,
    InvalidRequest,
    NotOurs,
    PlaceTaken,
    RdbkeeperError,
    RevisionStale,
    RuleNotFound,
    RuleNotReady,
    VaultNotFound,
)
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.status import Block
from rdbkeeper.entry.requests import parse
from rdbkeeper.entry.rule_requests import UpdateRule
from tests.flows.desk import ALARM, ARCHIVIST, FUNCTION, NAME, NOW, Desk, new_rule
from tests.flows.order import disorders, picture
from tests.flows.requests import AS_CREATED, BOTH_DAYS, MANUAL, half_deleted, made, paused

WEEKLY = Cycle("weekly", "Europe/Berlin", at="04:00", days=("SUN",))
MOVE = RuleEdit(instance="sessions", prefix="elsewhere/")


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def test_an_edited_cycle_reaches_the_timer(desk: Desk) -> None:
    answer = desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=WEEKLY))
    assert answer["rule"]["cycle"]["kind"] == "weekly"
    assert answer["rule"]["revision"] == 3
    assert answer["rule"]["next_fire_times"][0] == "2026-11-22T04:00:00+01:00"
    assert desk.fleet.schedules[NAME].expression == "cron(0 4 ? * SUN *)"
    assert disorders(desk) == []


def test_what_an_edit_does_not_mention_stays(desk: Desk) -> None:
    before = desk.rule()
    desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=WEEKLY))
    assert desk.rule() == replace(before, cycle=WEEKLY, revision=3)


def test_a_cycle_that_needs_a_second_schedule_gets_it_and_gives_it_back(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=BOTH_DAYS))
    assert sorted(desk.fleet.schedules) == [NAME, f"{NAME}_weekday"]
    desk.register.update(NAME, 3, RuleEdit(cycle=WEEKLY))
    assert sorted(desk.fleet.schedules) == [NAME]
    assert disorders(desk) == []


def test_a_rule_that_becomes_manual_loses_its_timer_and_its_alarm_until_it_has_a_cycle_again(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=MANUAL))
    assert not desk.fleet.schedules and not desk.fleet.alarms
    answer = desk.register.update(NAME, 3, RuleEdit(cycle=WEEKLY))
    assert answer["made"]["schedules"] == [NAME] and answer["made"]["alarm"] == ALARM
    assert disorders(desk) == []


def test_a_changed_instance_or_prefix_says_what_follows(desk: Desk) -> None:
    desk.vault.objects["redis/orders/x/0001.rdb"] = b"a copy"
    rule = desk.register.update(NAME, AS_CREATED, MOVE)["rule"]
    assert rule["notes"] == [
        "From the next run on, copies go to elsewhere/sessions/.",
        "Those made before stay at redis/orders/, where this rule no longer looks, until a person removes them.",
        "A run that was going when the rule was edited stops before it publishes anything more.",
    ]
    assert list(desk.vault.objects) == ["redis/orders/x/0001.rdb", "elsewhere/sessions/claim.json"]
    assert disorders(desk) == []


def test_a_rule_that_keeps_its_place_says_that_copies_of_the_former_instance_lie_there(desk: Desk) -> None:
    rule = desk.register.update(NAME, AS_CREATED, RuleEdit(provider="redis", access={"address": "orders:6379"}))["rule"]
    notes = ["Copies of the former instance lie in this place and fall under its retention."]
    assert rule["notes"] == desk.shown()["notes"]
    assert [note for note in rule["notes"] if "copies stay, whatever" not in note] == notes
    assert rule["former_places"] == []


def test_what_a_server_said_no_to_is_no_block_any_more_once_it_is_asked_otherwise(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(provider="redis", access={"address": "orders:6379"}))
    desk.tables.rules.record_block(NAME, Block("SourceRefused", "The server does not speak TLS."))
    assert desk.shown()["state"] == "blocked"
    assert desk.register.update(NAME, 3, RuleEdit(access={"tls": False}))["rule"]["state"] == "active"


def test_a_rule_that_is_pointed_elsewhere_is_not_overdue_for_what_it_never_saw(desk: Desk) -> None:
    desk.clock.advance(30 * 86400)
    assert desk.shown()["state"] == "overdue"
    assert desk.register.update(NAME, AS_CREATED, MOVE)["rule"]["state"] == "active"


def test_a_rule_that_moves_back_no_longer_counts_that_place_as_a_former_one(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(prefix="elsewhere/"))
    rule = desk.register.update(NAME, 3, RuleEdit(prefix="redis/"))["rule"]
    assert rule["former_places"] == ["elsewhere/orders/"]


def test_a_rule_may_move_within_its_own_place(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(prefix="redis/orders/"))
    assert desk.rule().place.path == "redis/orders/orders/"


def test_the_place_that_a_rule_left_is_free_for_another(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(prefix="elsewhere/"))
    desk.register.create(new_rule("second"))
    with pytest.raises(PlaceTaken):
        desk.register.update(NAME, 3, RuleEdit(prefix="redis/"))


def test_a_role_is_given_by_a_new_version_to_which_the_alias_moves(desk: Desk) -> None:
    answer = desk.register.update(NAME, AS_CREATED, RuleEdit(role=ARCHIVIST))
    assert answer["made"]["version"] == 2
    assert list(desk.function().versions) == [1, 2]
    assert [repair["code"] for repair in desk.reconcile().run()["repairs"]] == ["VersionRemoved"]
    assert disorders(desk) == []


def test_a_run_in_flight_ends_on_the_version_it_began_with_which_then_goes(desk: Desk) -> None:
    run = desk.fleet.begin_run(NAME)
    desk.register.update(NAME, AS_CREATED, RuleEdit(role=ARCHIVIST))
    assert list(desk.function().versions) == [1, 2]
    assert desk.function().alias_version == 2
    assert desk.reconcile().run()["repairs"] == []  # it waits
    desk.fleet.end_run(run)
    assert [repair["code"] for repair in desk.reconcile().run()["repairs"]] == ["VersionRemoved"]
    assert list(desk.function().versions) == [2]


def test_a_cap_is_set_shown_and_taken_away_and_nothing_is_made_anew_for_it(desk: Desk) -> None:
    fleet = deepcopy((desk.fleet.functions, desk.fleet.schedules, desk.fleet.alarms))
    answer = desk.register.update(NAME, AS_CREATED, RuleEdit(bandwidth_mbps=400))
    assert answer["rule"]["bandwidth_mbps"] == desk.rule().bandwidth_mbps == 400
    assert (desk.fleet.functions, desk.fleet.schedules, desk.fleet.alarms) == fleet
    assert desk.register.update(NAME, 3, RuleEdit(bandwidth_mbps=0))["rule"]["bandwidth_mbps"] == 0


def test_a_stale_revision_is_refused_and_the_one_that_is_there_is_told(desk: Desk) -> None:
    desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=WEEKLY))
    before = picture(desk)
    with pytest.raises(RevisionStale, match="revision 3 by now, and you read revision 2") as refused:
        desk.register.update(NAME, AS_CREATED, RuleEdit(prefix="elsewhere/"))
    assert refused.value.field == "revision"
    assert picture(desk) == before


def test_a_revision_that_there_never_was_is_refused(desk: Desk) -> None:
    with pytest.raises(RevisionStale):
        desk.register.update(NAME, 7, RuleEdit(prefix="elsewhere/"))


def test_an_edit_that_is_sent_again_gives_the_same_result(desk: Desk) -> None:
    first = desk.register.update(NAME, AS_CREATED, MOVE)
    desk.clock.advance(60)
    assert desk.register.update(NAME, AS_CREATED, MOVE) == first


def test_an_edit_that_says_what_is_so_already_changes_nothing(desk: Desk) -> None:
    answer = desk.register.update(NAME, AS_CREATED, RuleEdit(prefix="redis/", instance="orders"))
    assert answer["rule"]["revision"] == AS_CREATED
    assert desk.rule().former_places == ()


def test_an_edit_of_a_paused_rule_leaves_its_timer_off() -> None:
    desk = Desk()
    paused(desk)
    desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=BOTH_DAYS))
    assert [schedule.enabled for schedule in desk.fleet.schedules.values()] == [False, False]
    assert desk.rule().state is RuleState.PAUSED


@pytest.mark.parametrize(
    "edit, error, field",
    [
        (RuleEdit(instance="nowhere"), InstanceNotFound, "source.instance"),
        (RuleEdit(instance="careless"), BackupsDisabled, "source.instance"),
        (RuleEdit(prefix="taken/"), PlaceTaken, "prefix"),
        (RuleEdit(prefix="no slash"), InvalidRequest, "prefix"),
        (RuleEdit(cycle=Cycle("custom", "UTC", cron="0 0 31 2 *")), InvalidRequest, "cycle.cron"),
        (RuleEdit(role="administrator"), InvalidRequest, "role"),
        (RuleEdit(vault="nowhere"), VaultNotFound, "vault"),
        (RuleEdit(vault="No Where"), InvalidRequest, "vault"),
        (RuleEdit(provider="nobody"), InvalidRequest, "source.provider"),
    ],
)
def test_a_refused_edit_changes_nothing(desk: Desk, edit: RuleEdit, error: type[RdbkeeperError], field: str) -> None:
    desk.source.add_instance("careless", retention_days=0)
    desk.register.create(new_rule("second", prefix="taken/"))
    before, revision = picture(desk), desk.tables.registry_revision
    desk.fleet.calls.clear()
    with pytest.raises(error) as refused:
        desk.register.update(NAME, AS_CREATED, edit)
    assert refused.value.field == field and refused.value.hint
    assert not desk.fleet.calls
    assert picture(desk) == before
    assert (desk.rule().revision, desk.tables.registry_revision) == (AS_CREATED, revision)


def test_an_edit_of_nothing_is_refused(desk: Desk) -> None:
    with pytest.raises(RuleNotFound):
        desk.register.update("nothing", 1, RuleEdit(cycle=WEEKLY))


def test_a_rule_that_is_being_made_or_deleted_is_not_edited() -> None:
    deleted, begun = Desk(), Desk()
    half_deleted(deleted)
    begun.tables.rules.create_rule(new_rule(), 0)
    for desk, state in ((deleted, "deleting"), (begun, "creating")):
        before = picture(desk)
        with pytest.raises(RuleNotReady, match=state):
            desk.register.update(NAME, desk.rule().revision, RuleEdit(cycle=WEEKLY))
        assert picture(desk) == before


def test_the_name_cannot_change() -> None:
    edit = {"action": "update", "name": NAME, "revision": 2, "rule": {"prefix": "a/"}}
    assert isinstance(parse(edit, NOW), UpdateRule)
    with pytest.raises(InvalidRequest, match="name cannot change"):
        parse({**edit, "rule": {"name": "another"}}, NOW)


@pytest.mark.parametrize(
    "edit, call",
    [
        (RuleEdit(cycle=BOTH_DAYS), "put_schedule"),
        (RuleEdit(cycle=MANUAL), "remove_alarm"),
        (RuleEdit(role=ARCHIVIST), "update_function"),
        (RuleEdit(role=ARCHIVIST), "release"),
    ],
)
def test_an_edit_that_the_fleet_cannot_follow_is_undone(desk: Desk, edit: RuleEdit, call: str) -> None:
    before = picture(desk)
    desk.fleet.failing[call] = [FleetDenied(f"{call} failed: AccessDenied.")]
    with pytest.raises(FleetDenied):
        desk.register.update(NAME, AS_CREATED, edit)
    assert picture(desk) == before
    assert disorders(desk) == []
    assert "ChangeUndone" in desk.journal.events()


def test_an_edit_that_was_undone_can_be_sent_again_with_the_revision_that_is_there_now(desk: Desk) -> None:
    desk.fleet.failing["put_schedule"] = [FleetUnavailable("no answer")]
    with pytest.raises(FleetUnavailable):
        desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=WEEKLY))
    with pytest.raises(RevisionStale):
        desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=WEEKLY))
    assert desk.register.update(NAME, desk.rule().revision, RuleEdit(cycle=WEEKLY))["rule"]["state"] == "active"
    assert disorders(desk) == []


def test_an_edit_whose_undoing_fails_says_so_and_is_settled_by_reconciling(desk: Desk) -> None:
    before = picture(desk)
    desk.fleet.failing_after["put_schedule"] = [FleetUnavailable("no answer"), FleetUnavailable("no answer")]
    with pytest.raises(FleetUnavailable):
        desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=WEEKLY))
    assert "UndoCutOff" in desk.journal.events()
    desk.reconcile().run()
    assert picture(desk) == before
    assert disorders(desk) == []


def test_a_rule_whose_function_is_a_strangers_by_now_is_not_edited_and_the_stranger_is_left_alone(desk: Desk) -> None:
    desk.fleet.functions.clear()
    desk.fleet.strangers.add(FUNCTION)
    with pytest.raises(NotOurs):
        desk.register.update(NAME, AS_CREATED, RuleEdit(cycle=WEEKLY))
    assert desk.rule().cycle != WEEKLY
    assert desk.fleet.schedules[NAME].expression == "cron(30 2 * * ? *)"
