"""Events become commands that cannot be wrong, or typed errors that name the field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest, RequestError, UnknownAction
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.source import PROVIDERS, SourceAccess
from rdbkeeper.entry.requests import ACTIONS, Command, ReconcileFleet, parse, parse_reconcile
from rdbkeeper.entry.rule_requests import (
    RULE_READERS,
    BackUpNow,
    CreateRule,
    DeleteRule,
    GetRule,
    ListBackups,
    ListInstances,
    ListRules,
    PauseRule,
    PreviewRule,
    PreviewWish,
    ResumeRule,
    RunRule,
    ShowHistory,
    UpdateRule,
)
from rdbkeeper.entry.vault_requests import VAULT_READERS

EVENTS = Path(__file__).parents[2] / "events"
NOW = datetime(2026, 11, 21, 3, 4, 5, 678, tzinfo=UTC)


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


def asked(action: str, **fields: object) -> Command:
    return parse({"action": action, **fields}, NOW)


# The files that people start from


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_event_file_is_a_request(path: Path) -> None:
    given = json.loads(path.read_text())
    if given["action"] == "reconcile":
        parse_reconcile(given)
    else:
        parse(given, NOW)


def test_the_event_files_show_every_action() -> None:
    shown = {json.loads(path.read_text())["action"] for path in EVENTS.glob("*.json")}
    assert shown == {*ACTIONS, "reconcile"}


def test_the_create_event_becomes_a_rule() -> None:
    command = parse(event("create_rule"), NOW)
    assert isinstance(command, CreateRule)
    assert (command.rule.name, command.rule.instance, command.rule.prefix) == ("orders-nightly", "orders", "redis/")
    assert command.rule.cycle == Cycle("daily", "Asia/Tokyo", at="02:30")
    assert command.rule.created_at == datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_there_is_an_event_for_each_provider(provider: str) -> None:
    name = {"elasticache": "create_rule", "elasticache-serverless": "create_rule_serverless"}.get(
        provider, f"create_rule_{provider}"
    )
    command = parse(event(name), NOW)
    assert isinstance(command, CreateRule)
    assert command.rule.provider == provider


def test_an_event_shows_how_writes_are_frozen() -> None:
    command = parse(event("create_rule_memorydb"), NOW)
    assert isinstance(command, CreateRule)
    assert command.rule.backup_first == BackupFirst("ledger-writes", "ledger-writes")


def test_a_listing_says_how_its_provider_is_reached() -> None:
    reached = {"provider": "tencentdb", "region": "ap-guangzhou", "secret": "rdbkeeper/tencent"}
    access = SourceAccess("ap-guangzhou", "rdbkeeper/tencent")
    assert asked("instances", **reached) == ListInstances("tencentdb", access)
    assert asked("backups", instance="crs-1", **reached) == ListBackups("tencentdb", "crs-1", access)


@pytest.mark.parametrize("action", ["instances", "backups"])
@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"provider": "redis"}, "provider"),
        ({"provider": "redis", "address": "queue:6379"}, "provider"),
        ({"provider": "memcached"}, "provider"),
        ({"provider": "tencentdb", "secret": "rdbkeeper/tencent"}, "region"),
        ({"provider": "tencentdb", "region": "ap-guangzhou"}, "secret"),
        ({"provider": "tencentdb", "region": "ap-guangzhou", "secret": "theirs/tencent"}, "secret"),
        ({"provider": "elasticache", "region": "us-east-1"}, "region"),
        ({"provider": "memorydb", "secret": "rdbkeeper/tencent"}, "secret"),
    ],
    ids=str,
)
def test_a_listing_that_cannot_be_is_refused_by_field(action: str, wrong: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(action, **({"instance": "orders"} if action == "backups" else {}), **wrong)
    assert refused.value.field == field
    assert "theirs/tencent" not in str(refused.value)


@pytest.mark.parametrize(
    "name, command",
    [
        ("get_rule", GetRule("orders-nightly")),
        ("delete_rule", DeleteRule("orders-nightly")),
        ("list_rules", ListRules("", 100)),
        ("update_rule", UpdateRule("orders-nightly", 2, RuleEdit(cycle=Cycle("daily", "Asia/Tokyo", at="04:00")))),
        ("pause_rule", PauseRule("orders-nightly")),
        ("resume_rule", ResumeRule("orders-nightly", run_now=True, request_id="")),
        ("run_rule", RunRule("orders-nightly", "")),
        ("backup_now", BackUpNow("orders-nightly", "")),
        ("preview_rule", PreviewRule("orders-nightly")),
        ("rule_history", ShowHistory("orders-nightly", "", 10)),
        ("list_instances", ListInstances("elasticache")),
        ("list_backups", ListBackups("elasticache", "orders")),
    ],
)
def test_the_other_events_become_their_commands(name: str, command: Command) -> None:
    assert parse(event(name), NOW) == command


def test_the_preview_of_a_new_rule_holds_the_rule() -> None:
    command = parse(event("preview_new_rule"), NOW)
    assert isinstance(command, PreviewWish)
    assert command.rule.name == "orders-last-friday"


# What may be left out


@pytest.mark.parametrize(
    "action, fields, command",
    [
        ("list", {}, ListRules("", 100)),
        ("history", {"name": "a"}, ShowHistory("a", "", 20)),
        ("resume", {"name": "a"}, ResumeRule("a", run_now=False, request_id="")),
        ("resume", {"name": "a", "run": "next"}, ResumeRule("a", run_now=False, request_id="")),
        ("run", {"name": "a"}, RunRule("a", "")),
        ("instances", {}, ListInstances("elasticache")),
        ("backups", {"instance": "orders"}, ListBackups("elasticache", "orders")),
        ("update", {"name": "a", "revision": 1, "rule": {}}, UpdateRule("a", 1, RuleEdit())),
    ],
)
def test_what_is_left_out_has_a_default(action: str, fields: dict[str, Any], command: Command) -> None:
    assert asked(action, **fields) == command


def test_pages_go_on_from_what_the_last_one_said() -> None:
    assert asked("list", after="orders-nightly", limit=1) == ListRules("orders-nightly", 1)
    mark = "2026-11-21T03:00:00+00:00#1c0f"
    assert asked("history", name="a", before=mark, limit=200) == ShowHistory("a", mark, 200)


# What is refused


@pytest.mark.parametrize("wrong", [None, [], "create", 7, True, 0.5, [{"action": "list"}]])
def test_an_event_that_is_not_an_object_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidRequest, match="not an object"):
        parse(wrong, NOW)


@pytest.mark.parametrize("action", ["", "Create", "drop", "reconcile", "a" * 5000, "\x00"])
def test_an_unknown_action_is_refused_and_the_known_ones_are_named(action: str) -> None:
    with pytest.raises(UnknownAction, match="unknown") as refused:
        parse({"action": action}, NOW)
    assert len(refused.value.message) < 200
    assert all(known in refused.value.hint for known in ACTIONS)


UNNAMED = ("create", "create_many", "list", "instances", "backups", "vaults")
NAMED = [action for action in (*RULE_READERS, *VAULT_READERS) if action not in UNNAMED]


@pytest.mark.parametrize("action", NAMED)
@pytest.mark.parametrize("name", [..., None, 7, "", "Orders", "a" * 32, "a b", "a\n", ["a"]], ids=str)
def test_a_name_that_is_none_is_refused_wherever_one_belongs(action: str, name: object) -> None:
    fields: dict[str, Any] = {"revision": 1, "rule": {}} if action == "update" else {}
    if name is not ...:
        fields["name"] = name
    with pytest.raises(InvalidRequest) as refused:
        asked(action, **fields)
    assert refused.value.field == "name"
    assert refused.value.hint


WRONG = [
    ("list", {"limit": 0}, "limit"),
    ("list", {"limit": 201}, "limit"),
    ("list", {"limit": True}, "limit"),
    ("list", {"limit": "10"}, "limit"),
    ("list", {"limit": 10.0}, "limit"),
    ("list", {"limit": 10**4000}, "limit"),
    ("list", {"limit": None}, "limit"),
    ("list", {"after": 7}, "after"),
    ("list", {"after": "a" * 513}, "after"),
    ("list", {"after": "ä"}, "after"),
    ("list", {"after": "a\x00"}, "after"),
    ("list", {"before": "a"}, "before"),
    ("list", {"name": "a"}, "name"),
    ("get", {"name": "a", "limit": 1}, "limit"),
    ("update", {"name": "a", "rule": {}}, "revision"),
    ("update", {"name": "a", "revision": 0, "rule": {}}, "revision"),
    ("update", {"name": "a", "revision": 1.5, "rule": {}}, "revision"),
    ("update", {"name": "a", "revision": 1}, "rule"),
    ("update", {"name": "a", "revision": 1, "rule": "b"}, "rule"),
    ("resume", {"name": "a", "run": "later"}, "run"),
    ("resume", {"name": "a", "run": True}, "run"),
    ("resume", {"name": "a", "run": "now", "request_id": "a b"}, "request_id"),
    ("pause", {"name": "a", "run": "now"}, "run"),
    ("run", {"name": "a", "request_id": "x" * 33}, "request_id"),
    ("run", {"name": "a", "request_id": "a/b"}, "request_id"),
    ("run", {"name": "a", "request_id": 7}, "request_id"),
    ("preview", {"name": "a", "rule": {}}, "rule.name"),
    ("history", {"name": "a", "limit": -1}, "limit"),
    ("history", {"name": "a", "before": "x" * 513}, "before"),
    ("history", {"name": "a", "after": "b"}, "after"),
    ("instances", {"provider": "memcached"}, "provider"),
    ("instances", {"provider": 7}, "provider"),
    ("backups", {}, "instance"),
    ("backups", {"instance": ""}, "instance"),
    ("backups", {"instance": "a_b"}, "instance"),
    ("backups", {"instance": "a" * 41}, "instance"),
    ("backups", {"instance": "orders", "provider": ""}, "provider"),
    ("get", {"name": "a", "": 1}, ""),
]


@pytest.mark.parametrize("action, fields, field", WRONG, ids=[f"{one[0]}-{str(one[1])[:30]}" for one in WRONG])
def test_a_wrong_field_is_refused_by_name_with_a_hint(action: str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as refused:
        asked(action, **fields)
    assert refused.value.field == field
    assert refused.value.hint
    assert len(str(refused.value)) < 500


def test_the_longest_request_id_and_name_make_a_run_name_that_lambda_takes() -> None:
    command = asked("run", name="a" * 31, request_id="x" * 32)
    assert isinstance(command, RunRule)
    assert len(f"{command.name}-{command.request_id}") == 64


def test_half_a_character_is_refused_because_no_answer_could_hold_it() -> None:
    half = json.loads('"\\ud800"')
    for fields in ({"name": half}, {"name": "a", half: 1}):
        with pytest.raises(InvalidRequest) as refused:
            asked("get", **fields)
        json.dumps(refused.value.as_record(), ensure_ascii=False).encode()


# Reconciling


@pytest.mark.parametrize(
    "fields, command",
    [
        ({}, ReconcileFleet(closely=False, dry_run=False)),
        ({"closely": True}, ReconcileFleet(closely=True, dry_run=False)),
        ({"dry_run": True, "closely": False}, ReconcileFleet(closely=False, dry_run=True)),
    ],
)
def test_reconciling_is_asked_for_in_one_way(fields: dict[str, bool], command: ReconcileFleet) -> None:
    assert parse_reconcile({"action": "reconcile", **fields}) == command


@pytest.mark.parametrize(
    "wrong, field",
    [
        (None, ""),
        ([], ""),
        ({}, "action"),
        ({"action": "create"}, "action"),
        ({"action": 7}, "action"),
        ({"action": "reconcile", "closely": "yes"}, "closely"),
        ({"action": "reconcile", "dry_run": 1}, "dry_run"),
        ({"action": "reconcile", "dry_run": None}, "dry_run"),
        ({"action": "reconcile", "name": "a"}, "name"),
    ],
    ids=str,
)
def test_a_wrong_wish_to_reconcile_is_refused_by_name(wrong: object, field: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_reconcile(wrong)
    assert refused.value.field == field
    assert refused.value.hint
