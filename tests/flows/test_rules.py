"""Registering, showing and deleting rules, over a world in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import (
    BackupsDisabled,
    FleetDenied,
    FleetUnavailable,
    InstanceNotFound,
    InvalidRequest,
    NameTaken,
    NotOurs,
    PlaceTaken,
    RuleBusy,
    RuleNotFound,
)
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.flows.rules import Rules
from rdbkeeper.ports import Provisioned, Upload
from tests.fakes.adapters import MemoryAdapters
from tests.fakes.clock import FakeClock
from tests.fakes.fleet import MemoryFleet
from tests.fakes.journal import ListJournal
from tests.fakes.table import MemoryRuleTable
from tests.flows.world import make_rule


@dataclass
class Office:
    """Where rules are managed."""

    table: MemoryRuleTable = field(default_factory=MemoryRuleTable)
    fleet: MemoryFleet = field(default_factory=MemoryFleet)
    adapters: MemoryAdapters = field(default_factory=MemoryAdapters)
    journal: ListJournal = field(default_factory=ListJournal)

    def __post_init__(self) -> None:
        for name in ("orders", "sessions"):
            self.adapters.the_source.add_instance(name)
        self.rules = Rules(self.table, self.fleet, self.adapters, self.journal, FakeClock())

    def nothing_was_changed(self) -> bool:
        return not (self.table.rules() or self.fleet.functions or self.fleet.schedules)


@pytest.fixture
def office() -> Office:
    return Office()


def new_rule(name: str = "orders-nightly", **changes: object) -> Rule:
    return make_rule(name, **{"state": RuleState.CREATING, **changes})


def test_a_created_rule_has_its_function_its_schedule_and_its_log_group(office: Office) -> None:
    answer = office.rules.create(new_rule())
    assert answer["made"] == {
        "function": "rdbkeeper-rule-orders-nightly",
        "version": "1",
        "log_group": "/aws/lambda/rdbkeeper-rule-orders-nightly",
        "schedules": ["orders-nightly"],
    }
    assert office.fleet.schedules == {"orders-nightly": "cron(30 2 * * ? *)"}
    assert office.table.rules()[0].state is RuleState.ACTIVE


def test_the_answer_tells_what_was_sent_and_the_next_five_times(office: Office) -> None:
    rule = office.rules.create(new_rule())["rule"]
    assert rule["cycle"] == {"kind": "daily", "at": "02:30", "time_zone": "Asia/Tokyo"}
    assert rule["sent_to_scheduler"] == ["cron(30 2 * * ? *)"]
    assert rule["next_fire_times"][0] == "2026-11-22T02:30:00+09:00"
    assert len(rule["next_fire_times"]) == 5


def test_a_cron_with_both_day_fields_gets_two_schedules(office: Office) -> None:
    cycle = Cycle(kind="custom", cron="0 3 1 * MON", time_zone="UTC")
    office.rules.create(new_rule(cycle=cycle))
    assert office.fleet.schedules == {
        "orders-nightly": "cron(0 3 1 * ? *)",
        "orders-nightly_weekday": "cron(0 3 ? * MON *)",
    }


def test_a_name_that_is_taken_is_refused_and_the_rule_stays(office: Office) -> None:
    office.rules.create(new_rule())
    with pytest.raises(NameTaken) as refused:
        office.rules.create(new_rule(instance="sessions", prefix="elsewhere/"))
    assert refused.value.field == "name"
    assert office.table.rules()[0].instance == "orders"
    assert len(office.fleet.functions) == 1


@pytest.mark.parametrize(
    "prefix, instance",
    [("redis/", "orders"), ("redis/orders/", "sessions"), ("redis/orders/deeper/", "sessions")],
)
def test_a_place_that_meets_another_rules_is_refused(office: Office, prefix: str, instance: str) -> None:
    office.rules.create(new_rule())
    with pytest.raises(PlaceTaken, match="orders-nightly") as refused:
        office.rules.create(new_rule("second", prefix=prefix, instance=instance))
    assert refused.value.field == "prefix"
    assert list(office.fleet.functions) == ["rdbkeeper-rule-orders-nightly"]


def test_a_place_above_anothers_is_refused(office: Office) -> None:
    office.rules.create(new_rule(prefix="sessions/deeper/"))
    with pytest.raises(PlaceTaken):
        office.rules.create(new_rule("second", prefix="", instance="sessions"))


def test_neighbouring_places_are_no_conflict(office: Office) -> None:
    office.adapters.the_source.add_instance("orders2")
    office.rules.create(new_rule(prefix=""))
    office.rules.create(new_rule("second", prefix="", instance="orders2"))
    office.rules.create(new_rule("third", prefix="redis/"))
    assert len(office.fleet.functions) == 3


def test_an_instance_that_does_not_exist_is_refused(office: Office) -> None:
    with pytest.raises(InstanceNotFound) as refused:
        office.rules.create(new_rule(instance="nowhere"))
    assert refused.value.field == "source.instance"
    assert office.nothing_was_changed()


def test_an_instance_without_backups_is_refused(office: Office) -> None:
    office.adapters.the_source.add_instance("careless", retention_days=0)
    with pytest.raises(BackupsDisabled):
        office.rules.create(new_rule(instance="careless"))
    assert office.nothing_was_changed()


def test_a_cron_that_never_fires_is_refused(office: Office) -> None:
    with pytest.raises(InvalidRequest, match="never fires"):
        office.rules.create(new_rule(cycle=Cycle(kind="custom", cron="0 0 31 2 *", time_zone="UTC")))
    assert office.nothing_was_changed()


@pytest.mark.parametrize("where", ["provision", "provision halfway"])
def test_a_create_that_fails_changes_nothing(office: Office, where: str) -> None:
    office.fleet.failing[where] = [FleetDenied("CreateFunction failed: AccessDenied.")]
    with pytest.raises(FleetDenied):
        office.rules.create(new_rule())
    assert office.nothing_was_changed()


def test_a_create_whose_undoing_fails_says_so_and_is_undone_by_a_delete(office: Office) -> None:
    office.fleet.failing["provision halfway"] = [FleetUnavailable("no answer")]
    office.fleet.failing["remove_schedules"] = [FleetUnavailable("no answer")]
    with pytest.raises(FleetUnavailable):
        office.rules.create(new_rule())
    assert "UndoCutOff" in office.journal.events()
    office.rules.delete("orders-nightly")
    assert office.nothing_was_changed()


def test_a_create_that_was_cut_off_is_finished_by_sending_it_again(office: Office) -> None:
    office.table.create_rule(new_rule(), 0)
    office.rules.create(new_rule())
    assert office.table.rules()[0].state is RuleState.ACTIVE
    assert office.fleet.schedules


def test_two_people_who_create_at_once_do_not_get_one_place(office: Office) -> None:
    table = office.table
    read = table.registry_revision

    def read_then_somebody_creates() -> int:
        revision = read()
        if not table.rules():
            table.create_rule(make_rule("somebody-elses"), revision)
        return revision

    table.registry_revision = read_then_somebody_creates
    with pytest.raises(PlaceTaken, match="somebody-elses"):
        office.rules.create(new_rule())


def test_a_busy_registry_is_said_to_be_busy(office: Office) -> None:
    office.table.registry_revision = lambda: -1
    with pytest.raises(RuleBusy):
        office.rules.create(new_rule())


def test_rules_are_listed_by_name(office: Office) -> None:
    office.rules.create(new_rule("b", instance="orders"))
    office.rules.create(new_rule("a", instance="sessions"))
    assert [rule["name"] for rule in office.rules.list()["rules"]] == ["a", "b"]
    assert office.rules.get("a")["rule"]["source"]["instance"] == "sessions"


def test_a_rule_that_is_not_there_is_said_to_be_missing(office: Office) -> None:
    for act in (office.rules.get, office.rules.delete):
        with pytest.raises(RuleNotFound):
            act("nothing")


def test_a_deleted_rule_leaves_its_copies_and_its_log(office: Office) -> None:
    office.rules.create(new_rule())
    office.adapters.the_vault.objects["redis/orders/x/0001.rdb"] = b"a copy"
    answer = office.rules.delete("orders-nightly")
    assert answer["copies_stay_at"] == {"vault": "default", "path": "redis/orders/"}
    assert office.nothing_was_changed()
    assert office.fleet.log_groups == {"/aws/lambda/rdbkeeper-rule-orders-nightly"}
    assert list(office.adapters.the_vault.objects) == ["redis/orders/x/0001.rdb"]


def test_a_delete_removes_the_schedule_then_stops_runs_then_removes_the_function(office: Office) -> None:
    office.rules.create(new_rule())
    office.fleet.going["orders-nightly"] = ["an execution"]
    office.fleet.calls.clear()
    assert office.rules.delete("orders-nightly")["stopped_runs"] == 1
    assert office.fleet.calls == ["remove_schedules", "stop_runs", "remove_function"]


def test_the_uploads_of_a_deleted_rule_are_given_up(office: Office) -> None:
    office.rules.create(new_rule())
    upload: Upload = office.adapters.the_vault.open_upload("redis/orders/x/0001.rdb")
    office.table.remember_uploads("orders-nightly", [upload])
    office.rules.delete("orders-nightly")
    assert office.adapters.the_vault.uploads == {}


@pytest.mark.parametrize("where", ["remove_schedules", "stop_runs", "remove_function"])
def test_a_delete_that_was_cut_off_is_finished_by_sending_it_again(office: Office, where: str) -> None:
    office.rules.create(new_rule())
    office.fleet.failing[where] = [FleetUnavailable("no answer")]
    with pytest.raises(FleetUnavailable):
        office.rules.delete("orders-nightly")
    assert office.table.rules()[0].state is RuleState.DELETING
    office.rules.delete("orders-nightly")
    assert office.nothing_was_changed()


def test_a_rule_that_is_being_deleted_keeps_its_name_and_place(office: Office) -> None:
    office.rules.create(new_rule())
    active = office.table.rules()[0]
    office.table.replace_rule(replace(active, state=RuleState.DELETING, revision=9), active.revision)
    with pytest.raises(NameTaken, match="deleting"):
        office.rules.create(new_rule())


def test_a_function_name_that_is_a_strangers_is_refused_before_anything_is_written(office: Office) -> None:
    office.fleet.strangers.add("rdbkeeper-rule-orders-nightly")
    office.fleet.going["orders-nightly"] = ["a stranger's execution"]
    with pytest.raises(NotOurs):
        office.rules.create(new_rule())
    assert office.nothing_was_changed()
    assert office.fleet.going == {"orders-nightly": ["a stranger's execution"]}


def test_a_rule_whose_function_is_a_strangers_by_now_can_still_be_deleted(office: Office) -> None:
    office.rules.create(new_rule())
    office.fleet.functions.clear()
    office.fleet.strangers.add("rdbkeeper-rule-orders-nightly")
    office.fleet.going["orders-nightly"] = ["a stranger's execution"]
    office.rules.delete("orders-nightly")
    assert office.nothing_was_changed()
    assert office.fleet.going == {"orders-nightly": ["a stranger's execution"]}
    assert "FunctionLeftAlone" in office.journal.events()


def during_provision(office: Office, act: Callable[[], object]) -> None:
    """Let `act` happen when the next provisioning has made everything."""
    provision = office.fleet.provision

    def provision_then_act(rule: Rule) -> Provisioned:
        made = provision(rule)
        office.fleet.provision = provision
        act()
        return made

    office.fleet.provision = provision_then_act


def test_a_delete_during_a_create_leaves_no_function_behind(office: Office) -> None:
    provision = office.fleet.provision

    def provision_after_the_delete(rule: Rule) -> Provisioned:
        office.rules.delete("orders-nightly")
        return provision(rule)

    office.fleet.provision = provision_after_the_delete
    with pytest.raises(RuleBusy):
        office.rules.create(new_rule())
    assert office.nothing_was_changed()


def test_a_create_that_was_sent_twice_at_once_ends_as_one_rule(office: Office) -> None:
    during_provision(office, lambda: office.rules.create(new_rule()))
    assert office.rules.create(new_rule())["rule"]["state"] == "active"
    assert len(office.table.rules()) == 1


def test_a_failed_create_does_not_take_down_what_the_same_request_sent_again_has_made(office: Office) -> None:
    provision = office.fleet.provision

    def fail_after_the_other_has_finished(rule: Rule) -> Provisioned:
        office.fleet.provision = provision
        office.rules.create(new_rule())
        raise FleetUnavailable("ResourceConflictException")

    office.fleet.provision = fail_after_the_other_has_finished
    with pytest.raises(FleetUnavailable):
        office.rules.create(new_rule())
    assert office.table.rules()[0].state is RuleState.ACTIVE
    assert office.fleet.schedules
    assert "UndoLeft" in office.journal.events()


def test_an_upload_that_cannot_be_aborted_does_not_keep_a_rule_from_being_deleted(office: Office) -> None:
    office.rules.create(new_rule())
    upload = office.adapters.the_vault.open_upload("redis/orders/x/0001.rdb")
    office.table.remember_uploads("orders-nightly", [upload])
    office.adapters.the_vault.denies_aborts = True
    office.rules.delete("orders-nightly")
    assert office.nothing_was_changed()
    assert "UploadLeft" in office.journal.events()
