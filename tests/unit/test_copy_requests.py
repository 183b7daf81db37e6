"""Requests about copies become commands that cannot be wrong, or typed errors that name the field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rdbkeeper.domain.copy_query import CopyFilter, CopyState, RulePlace, VaultPlace, VaultPlaces
from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.entry.copy_requests import (
    COPY_READERS,
    AuditCopies,
    Copies,
    CopyCommand,
    DeleteCopy,
    HoldCopy,
    ReleaseCopy,
    ShowCopy,
)
from rdbkeeper.entry.json_object import JsonObject

EVENTS = Path(__file__).parents[2] / "events"
NOW = datetime(2026, 11, 21, 3, 4, tzinfo=UTC)
COPY = "20261122T021500Z-automatic.orders"
NIGHTLY = RulePlace("orders-nightly")
ALL = CopyFilter()


def asked(action: str, **fields: object) -> CopyCommand:
    request = JsonObject.of(fields, "", "")
    command = COPY_READERS[action](request, NOW)
    request.refuse_the_rest()
    return command


def refused(action: str, **fields: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        asked(action, **fields)
    return caught.value


@pytest.mark.parametrize(
    "name, command",
    [
        (
            "list_copies",
            Copies(NIGHTLY, CopyFilter(datetime(2026, 11, 1, tzinfo=UTC), None, CopyState.VERIFIED), "", 50),
        ),
        ("list_copies_of_vault", Copies(VaultPlaces("default"), ALL, "", 50)),
        ("get_copy", ShowCopy(NIGHTLY, COPY)),
        ("get_copy_without_rule", ShowCopy(VaultPlace("default", "redis/", "orders"), COPY)),
        ("hold_copy", HoldCopy(NIGHTLY, COPY, "before the migration")),
        ("release_copy", ReleaseCopy(NIGHTLY, COPY)),
        ("delete_copy", DeleteCopy(NIGHTLY, COPY, COPY, "holds test data")),
        ("audit_copies", AuditCopies("orders-nightly", "", 100)),
    ],
)
def test_the_events_become_their_commands(name: str, command: CopyCommand) -> None:
    fields: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    assert asked(**fields) == command


@pytest.mark.parametrize(
    "fields, where",
    [
        ({}, VaultPlaces("default")),
        ({"vault": "offsite"}, VaultPlaces("offsite")),
        ({"instance": "orders"}, VaultPlaces("default", "", "orders")),
        ({"prefix": "redis/"}, VaultPlaces("default", "redis/")),
        ({"prefix": "redis/", "instance": "orders"}, VaultPlace("default", "redis/", "orders")),
        ({"prefix": "", "instance": "orders"}, VaultPlace("default", "", "orders")),
        ({"rule": "orders-nightly"}, NIGHTLY),
    ],
)
def test_copies_are_looked_for_in_one_place_or_in_all_of_a_vault(fields: dict[str, str], where: object) -> None:
    assert asked("copies", **fields) == Copies(where, ALL, "", 50)


def test_a_place_without_a_prefix_lies_at_the_root_of_its_bucket() -> None:
    command = asked("copy", instance="orders", copy_id=COPY)
    assert isinstance(command, ShowCopy)
    assert command.where == VaultPlace("default", "", "orders")
    assert command.where.path == "orders/"


@pytest.mark.parametrize(
    "said, since",
    [
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T02:15:00Z", datetime(2026, 11, 22, 2, 15, tzinfo=UTC)),
        ("2026-11-22T11:15:00+09:00", datetime(2026, 11, 22, 2, 15, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_day_or_a_moment_with_its_offset(said: str, since: datetime) -> None:
    assert asked("copies", rule="a", **{"from": said}) == Copies(RulePlace("a"), CopyFilter(since), "", 50)


def test_the_day_to_is_meant_as_well() -> None:
    command = asked("copies", rule="a", **{"from": "2026-11-22", "to": "2026-11-22"})
    assert isinstance(command, Copies)
    assert command.which == CopyFilter(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("said", ["yesterday", "2026-13-01", "2026-11-22T02:15:00", "9999-12-31", "x" * 999, 7, None])
def test_a_time_that_is_none_is_refused(name: str, said: object) -> None:
    if (name, said) == ("from", "9999-12-31"):
        return  # a day, and the last one that there is
    assert refused("copies", rule="a", **{name: said}).field == name


def test_no_time_between_from_and_to_is_refused() -> None:
    assert refused("copies", rule="a", **{"from": "2026-11-22", "to": "2026-11-21"}).field == "to"


@pytest.mark.parametrize("state", [state.value for state in CopyState])
def test_every_state_can_be_asked_for(state: str) -> None:
    command = asked("copies", rule="a", state=state)
    assert isinstance(command, Copies) and command.which.state == CopyState(state)


@pytest.mark.parametrize("copy_id", ["", "a/b", "a\nb", "\x00", "x" * 513, 7, None, ..., "\ud800"], ids=repr)
@pytest.mark.parametrize("action", ["copy", "hold", "release", "delete_copy"])
def test_what_is_no_copys_id_is_refused(action: str, copy_id: object) -> None:
    fields = {} if copy_id is ... else {"copy_id": copy_id}
    error = refused(action, rule="a", **fields)
    assert error.field == "copy_id"
    assert len(error.message) < 200


@pytest.mark.parametrize("action", ["copy", "hold", "release", "delete_copy"])
@pytest.mark.parametrize(
    "where, field",
    [
        ({}, "rule"),
        ({"vault": "default"}, "rule"),
        ({"rule": "Orders"}, "rule"),
        ({"rule": "a", "vault": "default"}, "vault"),
        ({"rule": "a", "instance": "orders"}, "instance"),
        ({"instance": "-"}, "instance"),
        ({"instance": "a/b"}, "instance"),
        ({"instance": "orders", "vault": "The Vault"}, "vault"),
        ({"instance": "orders", "prefix": "redis"}, "prefix"),
        ({"instance": "orders", "prefix": "../"}, "prefix"),
    ],
)
def test_a_place_that_is_none_is_refused(action: str, where: dict[str, str], field: str) -> None:
    assert refused(action, copy_id=COPY, **where).field == field


@pytest.mark.parametrize(
    "action, fields, field",
    [
        ("copies", {"rule": "a", "state": "lost"}, "state"),
        ("copies", {"rule": "a", "limit": 0}, "limit"),
        ("copies", {"rule": "a", "limit": 201}, "limit"),
        ("copies", {"rule": "a", "after": "x" * 1025}, "after"),
        ("copies", {"rule": "a", "after": "\x00"}, "after"),
        ("copies", {"rule": "a", "copy_id": COPY}, "copy_id"),
        ("hold", {"rule": "a", "copy_id": COPY, "note": "two\nlines"}, "note"),
        ("hold", {"rule": "a", "copy_id": COPY, "note": "x" * 501}, "note"),
        ("delete_copy", {"rule": "a", "copy_id": COPY, "confirm": True}, "confirm"),
        ("delete_copy", {"rule": "a", "copy_id": COPY, "note": 7}, "note"),
        ("audit", {}, "rule"),
        ("audit", {"rule": "a", "most_gigabytes": 0}, "most_gigabytes"),
        ("audit", {"rule": "a", "most_gigabytes": None}, "most_gigabytes"),
        ("audit", {"rule": "a", "request_id": "a b"}, "request_id"),
    ],
)
def test_other_fields_that_are_wrong_are_named(action: str, fields: dict[str, object], field: str) -> None:
    assert refused(action, **fields).field == field


def test_what_is_left_out_has_a_default() -> None:
    assert asked("audit", rule="a") == AuditCopies("a", "", None)
    assert asked("delete_copy", rule="a", copy_id=COPY) == DeleteCopy(RulePlace("a"), COPY, "", "")
