"""Events become commands that cannot be wrong, or typed errors that name the field."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest, RequestError, UnknownAction
from rdbkeeper.entry.requests import CreateRule, DeleteRule, GetRule, ListRules, parse

EVENTS = Path(__file__).parents[2] / "events"
NOW = datetime(2026, 11, 21, 3, 4, 5, 678, tzinfo=UTC)


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


def changed(path: str, value: object) -> dict[str, Any]:
    """The create event with one field set (or removed, where the value is Ellipsis)."""
    request = copy.deepcopy(event("create_rule"))
    *parents, last = path.split(".")
    target = request
    for parent in parents:
        target = target[parent]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return request


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_event_file_is_a_request(path: Path) -> None:
    parse(json.loads(path.read_text()), NOW)


def test_the_create_event_becomes_a_rule() -> None:
    command = parse(event("create_rule"), NOW)
    assert isinstance(command, CreateRule)
    assert command.rule.name == "orders-nightly"
    assert command.rule.cycle == Cycle("daily", "Asia/Tokyo", at="02:30")
    assert command.rule.created_at == datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC)


def test_the_other_events_become_their_commands() -> None:
    assert parse(event("get_rule"), NOW) == GetRule("orders-nightly")
    assert parse(event("delete_rule"), NOW) == DeleteRule("orders-nightly")
    assert parse(event("list_rules"), NOW) == ListRules()


def test_vault_and_prefix_may_be_left_out() -> None:
    command = parse(event("create_weekly_rule"), NOW)
    assert isinstance(command, CreateRule)
    assert (command.rule.vault, command.rule.prefix) == ("default", "")


@pytest.mark.parametrize("wrong", [None, [], "create", 7, True, [{"action": "list"}]])
def test_an_event_that_is_not_an_object_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidRequest, match="not an object"):
        parse(wrong, NOW)


@pytest.mark.parametrize("action", ["", "Create", "drop", "a" * 5000])
def test_an_unknown_action_is_refused(action: str) -> None:
    with pytest.raises(UnknownAction) as refused:
        parse({"action": action}, NOW)
    assert len(refused.value.message) < 200


WRONG = [
    ("action", ..., "action"),
    ("action", 7, "action"),
    ("rule", ..., "rule"),
    ("rule", "orders", "rule"),
    ("rule.name", ..., "rule.name"),
    ("rule.name", None, "rule.name"),
    ("rule.name", "", "name"),
    ("rule.name", "x" * 32, "name"),
    ("rule.name", "a/b", "name"),
    ("rule.name", "a\x07", "name"),
    ("rule.source", [], "rule.source"),
    ("rule.source.instance", 3, "rule.source.instance"),
    ("rule.source.region", "us-east-1", "rule.source.region"),
    ("rule.cycle", "daily", "rule.cycle"),
    ("rule.cycle.kind", "hourly", "cycle.kind"),
    ("rule.cycle.cron", "0 0 * * *", "rule.cycle.cron"),
    ("rule.cycle.time_zone", ..., "rule.cycle.time_zone"),
    ("rule.cycle.time_zone", "Tokyo", "cycle.time_zone"),
    ("rule.cycle", {"kind": "custom", "cron": "0 0 3 * * *", "time_zone": "UTC"}, "cycle.cron"),
    ("rule.cycle", {"kind": "weekly", "days": "MON", "time_zone": "UTC"}, "rule.cycle.days"),
    ("rule.cycle", {"kind": "weekly", "days": [1], "time_zone": "UTC"}, "rule.cycle.days"),
    ("rule.prefix", "/redis/", "prefix"),
    ("rule.prefix", "a/../b/", "prefix"),
    ("rule.prefix", None, "rule.prefix"),
    ("rule.vault", "elsewhere", "vault"),
    ("rule.state", "active", "rule.state"),
    ("rule.revision", 3, "rule.revision"),
    ("dry_run", True, "dry_run"),
]


@pytest.mark.parametrize("path, value, field", WRONG, ids=[f"{path}={str(value)[:20]}" for path, value, _ in WRONG])
def test_a_wrong_field_is_refused_by_name_with_a_hint(path: str, value: object, field: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse(changed(path, value), NOW)
    assert refused.value.field == field
    assert refused.value.hint


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_paths = ["action", "rule", "rule.name", "rule.source", "rule.source.instance", "rule.cycle", "rule.cycle.at"]


@settings(max_examples=300, deadline=None)
@given(st.one_of(_json, st.builds(changed, st.sampled_from([*_paths, "rule.cycle.kind", "rule.prefix"]), _json)))
def test_any_event_is_a_command_or_a_typed_error(anything: object) -> None:
    try:
        parse(anything, NOW)
    except RequestError as error:
        json.dumps(error.as_record())
