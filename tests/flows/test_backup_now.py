"""Asking for a backup by hand, and what previews, listings and reconciling say of each kind of source."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.errors import (
    InvalidRequest,
    RuleNotFound,
    RunIsGoing,
    SourceDenied,
    SourceUnavailable,
    VaultDenied,
)
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import NO_ACCESS, SourceAccess
from rdbkeeper.entry.requests import parse
from rdbkeeper.flows.runs.context import run_id_of
from rdbkeeper.ports import Record
from tests.fakes.rdb_files import rdb_file
from tests.flows.desk import NAME, NOW, Desk, new_rule
from tests.flows.requests import made, paused

SERVER = SourceAccess(address="queue.example.com:6379")
TENCENT = SourceAccess(region="ap-guangzhou", secret="rdbkeeper/tencent")
TENCENT_SAID = {"provider": "tencentdb", "region": "ap-guangzhou", "secret": "rdbkeeper/tencent"}


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def ask(desk: Desk, action: str, **said: Any) -> Record:
    return desk.actions().serve(parse({"action": action, **said}, desk.clock.now()), lambda: 900.0)


def wishes(desk: Desk) -> list[RunRequest]:
    """What the runs that were started by hand were asked for."""
    return [RunRequest.from_record(wish or {"requested": True}) for wish in desk.fleet.wishes.values()]


# By hand


@pytest.mark.parametrize("backup_first", [None, BackupFirst()], ids=["without", "with"])
def test_a_backup_by_hand_starts_a_run_that_asks_for_one(backup_first: BackupFirst | None) -> None:
    desk = Desk()
    desk.register.create(new_rule(backup_first=backup_first))
    answer = ask(desk, "backup_now", name=NAME)
    assert wishes(desk) == [RunRequest(on_request=True, backs_up=True)]
    assert answer["run"] == run_id_of(desk.fleet.going[NAME][0])
    assert "A run with a backup of its own" in desk.journal.text()


def test_a_paused_rule_may_be_backed_up_by_hand() -> None:
    desk = Desk()
    paused(desk)
    ask(desk, "backup_now", name=NAME)
    assert wishes(desk) == [RunRequest(on_request=True, backs_up=True)]


def test_a_rule_for_a_server_that_is_read_directly_may_be_backed_up_by_hand() -> None:
    desk = Desk()
    desk.register.create(new_rule(provider="redis", instance="queue", access=SERVER))
    assert ask(desk, "backup_now", name=NAME)["rule"] == NAME


def test_the_same_request_sent_twice_is_one_run(desk: Desk) -> None:
    first = ask(desk, "backup_now", name=NAME, request_id="before-the-release")
    assert ask(desk, "backup_now", name=NAME, request_id="before-the-release") == first
    assert len(desk.fleet.going[NAME]) == 1


def test_the_request_id_of_an_ordinary_run_is_not_that_of_one_with_a_backup(desk: Desk) -> None:
    plain = ask(desk, "run", name=NAME, request_id="today")
    desk.fleet.end_run(desk.fleet.going[NAME][0])
    assert ask(desk, "backup_now", name=NAME, request_id="today")["run"] != plain["run"]


def test_while_a_run_is_going_no_backup_is_asked_for(desk: Desk) -> None:
    desk.fleet.begin_run(NAME)
    with pytest.raises(RunIsGoing):
        ask(desk, "backup_now", name=NAME)


def test_a_rule_that_is_not_there_cannot_be_backed_up(desk: Desk) -> None:
    with pytest.raises(RuleNotFound):
        ask(desk, "backup_now", name="nobody")


# Looking


def test_a_preview_says_that_runs_take_backups(desk: Desk) -> None:
    assert desk.show.preview(NAME)["takes_backups"] is False
    assert desk.show.preview_wish(new_rule("b", prefix="b/", backup_first=BackupFirst()))["takes_backups"] is True
    server = desk.show.preview_wish(new_rule("c", provider="redis", instance="queue", access=SERVER))
    assert server["takes_backups"] is True and server["blocked"] is None
    assert desk.adapters.live.opened == []


def test_a_preview_says_in_words_which_backups_no_list_shows_yet(desk: Desk) -> None:
    (said,) = desk.show.preview_wish(new_rule("c", provider="redis", instance="queue", access=SERVER))["notes"]
    assert said.startswith("The server was not asked. Each run takes a backup of its own")
    (said,) = desk.show.preview_wish(new_rule("b", prefix="b/", backup_first=BackupFirst()))["notes"]
    assert said.startswith("Each run asks for a backup of its own first")
    assert desk.show.preview(NAME)["notes"] == []


def test_instances_and_backups_are_listed_where_the_request_says(desk: Desk) -> None:
    desk.source.add_backup("orders", "one", NOW, {"0001": rdb_file()})
    given: list[tuple[str, SourceAccess]] = []
    source = desk.adapters.source

    def remember(provider: str, access: SourceAccess = NO_ACCESS) -> object:
        given.append((provider, access))
        return source(provider, access)

    desk.adapters.source = remember
    listed = ask(desk, "instances", **TENCENT_SAID)
    assert [one["instance"] for one in listed["instances"]] == ["orders", "sessions"]
    backups = ask(desk, "backups", instance="orders", **TENCENT_SAID)
    assert len(backups["backups"]) == 1
    assert set(given) == {("tencentdb", TENCENT)}


@pytest.mark.parametrize("action, said", [("instances", {}), ("backups", {"instance": "queue"})])
def test_nothing_can_be_listed_of_servers_that_are_read_directly(desk: Desk, action: str, said: Record) -> None:
    with pytest.raises(InvalidRequest, match="nothing to list"):
        ask(desk, action, provider="redis", **said)


def test_a_rule_for_such_a_server_is_registered_without_asking_it() -> None:
    desk = Desk()
    desk.adapters.live.denied = SourceDenied("Only functions in its network reach it.")
    desk.register.create(new_rule(provider="redis", instance="queue", access=SERVER))
    assert desk.shown()["state"] == "active"


def test_a_rule_may_be_registered_without_automatic_backups_when_it_asks_for_its_own(desk: Desk) -> None:
    desk.source.set_retention("sessions", 0)
    desk.register.create(new_rule("second", instance="sessions", backup_first=BackupFirst()))
    assert desk.shown("second")["state"] == "active"
    desk.reconcile().run()
    assert desk.shown("second")["state"] == "active"


def test_an_edit_of_how_an_instance_is_reached_looks_for_it_there() -> None:
    desk = Desk()
    desk.register.create(new_rule(provider="tencentdb", access=TENCENT))
    given: list[SourceAccess] = []
    source = desk.adapters.source
    desk.adapters.source = lambda provider, access: given.append(access) or source(provider, access)
    desk.register.update(NAME, desk.rule().revision, RuleEdit(access={"region": "ap-shanghai"}))
    assert SourceAccess("ap-shanghai", "rdbkeeper/tencent") in given
    assert desk.rule().access == SourceAccess("ap-shanghai", "rdbkeeper/tencent")


# Reconciling


@pytest.fixture
def mixed() -> Desk:
    """Rules of four providers; two of one kind of access share a listing."""
    desk = Desk()
    desk.source.add_instance("carts")
    for name, said in {
        "a-cache": {"instance": "orders"},
        "b-cloud": {"provider": "tencentdb", "instance": "sessions", "access": TENCENT},
        "c-cloud": {"provider": "tencentdb", "instance": "carts", "access": TENCENT},
        "d-cloud": {
            "provider": "tencentdb",
            "instance": "orders",
            "access": SourceAccess("ap-shanghai", "rdbkeeper/tencent"),
        },
        "e-server": {"provider": "redis", "instance": "queue", "access": SERVER},
        "f-server": {"provider": "redis", "instance": "jobs", "access": SourceAccess(address="jobs:6379")},
    }.items():
        desk.register.create(new_rule(name, prefix=f"{name}/", **said))
    return desk


def listings(desk: Desk) -> list[tuple[str, str]]:
    """Which providers were asked for their instances, and in which region, from here on."""
    asked: list[tuple[str, str]] = []
    source = desk.adapters.source

    def remember(provider: str, access: SourceAccess = NO_ACCESS) -> object:
        asked.append((provider, access.region))
        return source(provider, access)

    desk.adapters.source = remember
    return asked


def test_instances_are_listed_once_for_each_way_to_reach_them_and_servers_never(mixed: Desk) -> None:
    asked = listings(mixed)
    mixed.reconcile().run()
    assert asked == [("elasticache", ""), ("tencentdb", "ap-guangzhou"), ("tencentdb", "ap-shanghai")]


def states(desk: Desk) -> dict[str, str]:
    return {rule["name"]: rule["state"] for rule in desk.show.list("", 100)["rules"]}


@pytest.mark.parametrize("provider, region", [("elasticache", ""), ("tencentdb", "ap-guangzhou")])
def test_a_provider_that_cannot_be_listed_keeps_no_other_rule_from_being_settled(
    mixed: Desk, provider: str, region: str
) -> None:
    for instance in ("orders", "sessions", "carts"):
        mixed.source.set_status(instance, "modifying", available=False)
    source = mixed.adapters.source

    def fail_for_one(of: str, access: SourceAccess = NO_ACCESS) -> object:
        if (of, access.region) == (provider, region):
            raise SourceUnavailable("No answer.")
        return source(of, access)

    mixed.adapters.source = fail_for_one
    answer = mixed.reconcile().run()
    assert [failure["code"] for failure in answer["failures"]] == ["SourceUnavailable"]
    unseen = {"elasticache": {"a-cache"}, "tencentdb": {"b-cloud", "c-cloud"}}[provider]
    lists = {"a-cache", "b-cloud", "c-cloud", "d-cloud"}
    assert {name for name, state in states(mixed).items() if state == "blocked"} == lists - unseen


def test_a_secret_that_cannot_be_read_keeps_no_other_rule_from_being_settled(mixed: Desk) -> None:
    source = mixed.adapters.source

    def deny(of: str, access: SourceAccess = NO_ACCESS) -> object:
        if access.secret:
            raise SourceDenied("The secret rdbkeeper/tencent may not be read.")
        return source(of, access)

    mixed.adapters.source = deny
    mixed.source.set_status("orders", "modifying", available=False)
    mixed.reconcile().run()
    assert states(mixed)["a-cache"] == "blocked" and states(mixed)["b-cloud"] == "active"


def test_rules_for_servers_are_blocked_by_their_vault_alone(mixed: Desk) -> None:
    mixed.adapters.live.denied = SourceDenied("Nobody may ask it from here.")
    assert mixed.reconcile().run()["failures"] == []
    assert states(mixed)["e-server"] == states(mixed)["f-server"] == "active"
    mixed.adapters.probes["default"] = VaultDenied("no")
    mixed.clock.advance(86_400)
    mixed.reconcile().run()
    assert states(mixed)["e-server"] == "blocked"


STRANGERS = {"freeze": "somebody-elses", "thaw": "go-on"}


def test_hooks_that_the_stack_does_not_allow_are_refused_to_whoever_makes_previews_or_edits_a_rule(desk: Desk) -> None:
    source, cycle = {"provider": "elasticache", "instance": "sessions"}, {"kind": "manual"}
    rule = {"name": "a", "source": source, "cycle": cycle, "backup_first": STRANGERS}
    edit = {"name": NAME, "revision": desk.rule().revision, "rule": {"backup_first": STRANGERS}}
    for action, said in (("create", {"rule": rule}), ("preview", {"rule": rule}), ("update", edit)):
        with pytest.raises(InvalidRequest, match="somebody-elses") as refused:
            ask(desk, action, **said)
        assert refused.value.field == "rule.backup_first.freeze"
    assert [one.name for one in desk.tables.rules.rules()] == [NAME] and desk.rule().backup_first is None


def test_an_edit_of_something_else_does_not_ask_whether_the_hooks_are_still_allowed(desk: Desk) -> None:
    desk.register.update(NAME, desk.rule().revision, RuleEdit(backup_first=BackupFirst("stop", "go-on")))
    desk.fleet.settings = replace(desk.fleet.settings, hook_function_arns=())
    desk.register.update(NAME, desk.rule().revision, RuleEdit(bandwidth_mbps=7))
    assert desk.rule().bandwidth_mbps == 7


def test_a_backup_by_hand_that_finds_a_run_going_says_that_none_was_asked_for(desk: Desk) -> None:
    ask(desk, "run", name=NAME)
    with pytest.raises(RunIsGoing) as refused:
        ask(desk, "backup_now", name=NAME)
    assert "No backup was asked for; send it again" in refused.value.hint
    with pytest.raises(RunIsGoing) as refused:
        ask(desk, "run", name=NAME, request_id="another")
    assert "copies whatever is there" in refused.value.hint


@pytest.mark.parametrize("at_fault", ["secret", "region"])
def test_a_secret_or_a_region_that_is_at_fault_is_named_as_it_stands_in_the_request(desk: Desk, at_fault: str) -> None:
    def refuse(*_: object) -> None:
        raise SourceDenied("It is wrong.", field=at_fault)

    desk.source.find_instance = refuse
    source = {"instance": "carts", **TENCENT_SAID}
    rule = {"name": "a", "source": source, "cycle": {"kind": "manual"}}
    edit = {"name": NAME, "revision": desk.rule().revision, "rule": {"source": source}}
    for action, said in (("create", {"rule": rule}), ("preview", {"rule": rule}), ("update", edit)):
        with pytest.raises(SourceDenied) as refused:
            ask(desk, action, **said)
        assert refused.value.field == f"rule.source.{at_fault}"
    many = {"name": "{instance}-a", "source": TENCENT_SAID, "cycle": {"kind": "manual"}}
    (result,) = ask(desk, "create_many", instances=["carts"], rule=many)["results"]
    assert result["error"]["field"] == f"rule.source.{at_fault}"
    with pytest.raises(SourceDenied) as refused:
        ask(desk, "backups", instance="carts", **TENCENT_SAID)
    assert refused.value.field == at_fault
