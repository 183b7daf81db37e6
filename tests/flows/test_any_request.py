"""Whatever is asked: the answer is a result or a typed error that JSON can carry, and an error has changed nothing."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rdbkeeper.domain import errors
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.status import Block
from rdbkeeper.domain.vault import VaultBinding
from rdbkeeper.entry.answers import answer
from rdbkeeper.entry.requests import ACTIONS, parse, parse_reconcile
from rdbkeeper.ports import Record
from tests.fakes.fleet import SETTINGS
from tests.fakes.rdb_files import rdb_file
from tests.flows.desk import ARCHIVIST, NAME, NOW, STAGING_BUCKET, Desk, new_rule

ACCOUNT = "000000000000"
COPY_ID = "20261120T030000Z-one"
NAMES = [NAME, "paused", "blocked", "half-made", "half-deleted", "old", "strange", "nobody"]
INSTANCES = ["orders", "sessions", "careless", "nowhere"]
# What a person who does nothing wrong can be refused with: all but NotOurs are RequestErrors.
REFUSALS = {error.__name__ for error in errors.RequestError.__subclasses__()} | {"NotOurs"}


# ---------------------------------------------------------------------- world


@cache
def _prepared() -> Desk:
    """Rules in every state, a run that is going, copies, a rule that was deleted, and somebody else's function."""
    desk = Desk()
    desk.source.add_instance("careless", retention_days=0)
    desk.source.add_backup("orders", "one", NOW - timedelta(days=1), {"0001": rdb_file()}, source_size="1 GB")
    desk.register.create(new_rule("old", prefix="old/"))
    desk.register.delete("old")
    desk.register.create(new_rule())
    desk.fire()
    desk.source.add_backup("orders", "two", NOW, {"0001": rdb_file(seed=2)})
    desk.leave_upload_open()
    desk.fleet.begin_run(NAME)
    for name in ("paused", "blocked"):
        desk.register.create(new_rule(name, instance="sessions", prefix=f"{name}/"))
    desk.register.pause("paused")
    desk.tables.rules.record_block("blocked", Block("VaultRefused", "It is gone.", "Make it."))
    for name, state in (("half-made", RuleState.CREATING), ("half-deleted", RuleState.DELETING)):
        rule = new_rule(name, state=state, prefix=f"{name}/")
        desk.tables.rules.create_rule(rule, desk.tables.registry_revision)
    desk.fleet.strangers.add(SETTINGS.function_name("strange"))
    for name in ("offsite", "spare"):
        desk.vaults.bind(VaultBinding(name, f"copies-{name}", NOW, role=f"arn:aws:iam::{ACCOUNT}:role/copies"))
    return desk


def new_world() -> Desk:
    desk = copy.deepcopy(_prepared())
    desk.journal.lines.clear()
    return desk


@cache
def untouched() -> Record:
    """Everything in a world of which nobody has asked anything."""
    return snapshot(new_world())


def snapshot(desk: Desk) -> Record:
    """Everything that a request could change, as it is at this moment."""
    of_tables = {one.name: getattr(desk.tables, one.name) for one in fields(desk.tables) if one.name != "clock"}
    of_fleet = {one.name: getattr(desk.fleet, one.name) for one in fields(desk.fleet) if one.name != "calls"}
    vault = (desk.vault.objects, desk.vault.uploads)
    return {**of_tables, **of_fleet, "vault": vault, "exports": (desk.source.exports, desk.source.staged)}


# -------------------------------------------------------------------- requests

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.text("0123456789*/,-?LW# MON()crate", max_size=30)  # crons, nearly
    | st.sampled_from(["", "\ud800", "\x00", "../../etc", "ä" * 600, "x" * 100_000, "{instance}", "* * * * *"])
    | st.sampled_from(
        ["UTC", "posixrules", "America/../UTC", "24:00", "redis/", "redis/../", "MON", "daily", 10**30, -1]
    )
)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
_names = st.sampled_from(NAMES)
_pairs = st.fixed_dictionaries
_cycles = st.sampled_from(
    [
        {"kind": "daily", "at": "02:30", "time_zone": "Asia/Tokyo"},
        {"kind": "weekly", "days": ["SUN", "WED"], "at": "04:00", "time_zone": "Europe/Berlin"},
        {"kind": "custom", "cron": "0 3 1 * MON", "time_zone": "America/New_York"},
        {"kind": "custom", "cron": "rate(12 hours)", "time_zone": "UTC"},
        {"kind": "custom", "cron": "0 0 3 1 * MON *", "time_zone": "Asia/Shanghai"},
        {"kind": "custom", "cron": "0 0 31 2 *", "time_zone": "UTC"},
        {"kind": "manual"},
    ]
)
_reached = st.sampled_from(
    [
        {"provider": "elasticache"},
        {"provider": "elasticache-serverless"},
        {"provider": "memorydb"},
        {"provider": "tencentdb", "region": "ap-guangzhou", "secret": "rdbkeeper/tencent"},
        {"provider": "redis", "address": "queue:6379", "tls": False, "way": "logical", "keys_per_second": 500},
    ]
)
_sources = st.tuples(_reached, st.sampled_from(INSTANCES)).map(lambda pair: {**pair[0], "instance": pair[1]})
_backups_first = st.sampled_from(
    [False, True, {}, {"freeze": "stop", "thaw": "go-on:live", "longest_freeze_s": 60, "demands_application": True}]
)
_places = {
    "vault": st.sampled_from(["default", "offsite", "unheard-of"]),
    "prefix": st.sampled_from(["", "redis/", "redis/orders/", "new/", "old/"]),
    "role": st.sampled_from(["", ARCHIVIST, "not-allowed"]),
    "bandwidth_mbps": st.sampled_from([0, 1, 400, 100_000]),
    "backup_first": _backups_first,
}
_rules = _pairs({"name": _names, "source": _sources, "cycle": _cycles}, optional=_places)
_edits = _pairs({}, optional={"source": _sources, "cycle": _cycles, **_places})
_shared = _pairs(
    {
        "name": st.sampled_from(["{instance}-x", "{instance}", "x-{instance}-and-a-long-name"]),
        "source": _reached,
        "cycle": _cycles,
    },
    optional=_places,
)
_vaults = st.sampled_from(["default", "offsite", "spare", "unheard-of"])
_options = _pairs(
    {},
    optional={
        "kms_key": st.just(f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1"),
        "storage_class": st.sampled_from(["STANDARD", "STANDARD_IA"]),
        "lock_mode": st.just("COMPLIANCE"),
        "lock_days": st.sampled_from([0, 7, 3650]),
        "tags": st.just({"team": "platform"}),
    },
)
_copy = {"rule": _names, "copy_id": st.sampled_from([COPY_ID, "20261120T030000Z-none"])}
_limits = {"limit": st.integers(1, 200)}
_ids = {"request_id": st.sampled_from(["", "today", "x" * 32])}
_fields: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "create": _pairs({"rule": _rules}, optional={"take_over": st.booleans()}),
    "create_many": _pairs(
        {"rule": _shared, "instances": st.lists(st.sampled_from(INSTANCES), min_size=1, max_size=3, unique=True)}
    ),
    "get": _pairs({"name": _names}),
    "list": _pairs({}, optional={"after": _names, **_limits}),
    "update": _pairs({"name": _names, "revision": st.integers(1, 4), "rule": _edits}),
    "pause": _pairs({"name": _names}),
    "resume": _pairs({"name": _names}, optional={"run": st.sampled_from(["now", "next"]), **_ids}),
    "run": _pairs({"name": _names}, optional=_ids),
    "backup_now": _pairs({"name": _names}, optional=_ids),
    "delete": _pairs({"name": _names}),
    "preview": _pairs({"name": _names}) | _pairs({"rule": _rules}),
    "history": _pairs({"name": _names}, optional={"before": st.just("2026-11-21T03:00:00+00:00#x"), **_limits}),
    "instances": st.just({}) | _reached.map(dict),
    "copies": _pairs(
        {}, optional={"state": st.sampled_from(["verified", "held", "locked"]), "rule": _names, **_limits}
    ),
    "copy": _pairs(_copy),
    "hold": _pairs(_copy, optional={"note": st.just("ours")}),
    "release": _pairs(_copy),
    "delete_copy": _pairs({**_copy, "confirm": st.just(COPY_ID)}),
    "audit": _pairs({"rule": _names}, optional={"most_gigabytes": st.integers(1, 100), **_ids}),
    "bind_vault": _pairs(
        {"name": _vaults, "bucket": st.sampled_from(["copies-offsite", "more-copies", STAGING_BUCKET])},
        optional={"options": _options, "note": st.just("far")},
    ),
    "vaults": _pairs({}),
    "vault": _pairs({"name": _vaults}),
    "update_vault": _pairs(
        {"name": _vaults, "revision": st.integers(1, 2)}, optional={"options": _options, "note": st.just("near")}
    ),
    "unbind_vault": _pairs({"name": _vaults}),
    "probe_vault": _pairs({"name": _vaults}),
    "backups": _pairs({"instance": st.sampled_from(INSTANCES)}) | _sources,
}
_good = st.sampled_from(ACTIONS).flatmap(
    lambda action: _fields[action].map(lambda fields: {"action": action, **copy.deepcopy(fields)})
)


@st.composite
def _spoilt(draw: st.DrawFn, good: st.SearchStrategy[Any]) -> Any:
    """A good request of which one or two places are dropped, replaced, renamed, or given company."""
    request = draw(good)
    for _ in range(draw(st.integers(1, 2))):
        *parents, last = draw(st.sampled_from([path for path in _places_in(request) if path != ("action",)] or [("",)]))
        target = request
        for parent in parents:
            target = target[parent]
        match draw(st.sampled_from(["drop", "replace", "replace", "replace", "rename", "add", "wrap"])):
            case "drop" if last in target or isinstance(target, list):
                del target[last]
            case "rename" if isinstance(target, dict) and last in target:
                target[draw(st.text(max_size=8) | st.just("\udfff"))] = target.pop(last)
            case "wrap" if last in target:
                target[last] = draw(st.sampled_from([[target[last]], {"value": target[last]}]))
            case "add" if isinstance(target, dict):
                target[draw(st.sampled_from(["name", "rule", "limit", "state", ""]))] = draw(_json)
            case _:
                target[last] = draw(_json)
    return request


def _places_in(value: Any) -> list[tuple[Any, ...]]:
    """The path to everything within a request."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    return [path for key, one in inside for path in ((key,), *((key, *rest) for rest in _places_in(one)))]


def _any_of(examples: int) -> settings:
    return settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )


# ----------------------------------------------------------------------- tests


def ask(desk: Desk, event: Any, seconds_left: float = 900.0) -> Record:
    """As functions/manage_rules answers."""
    return answer(desk.journal, lambda: desk.actions().serve(parse(event, desk.clock.now()), lambda: seconds_left))


def ask_to_reconcile(desk: Desk, event: Any) -> Record:
    """As functions/reconcile_rules answers when nobody but people ask."""

    def serve() -> Record:
        command = parse_reconcile(event)
        return desk.reconcile().run(closely=command.closely, dry_run=command.dry_run)

    return answer(desk.journal, serve)


def check_answer(desk: Desk, before: Record, told: Record) -> None:
    written = json.dumps(told, ensure_ascii=False, allow_nan=False)
    assert len(written.encode()) < 6 * (1 << 20)  # Lambda takes no more
    for shown in (written, desk.journal.text()):
        assert ACCOUNT not in shown and "arn:aws" not in shown, "an account's number is nobody's business"
    for error in [told["error"]] if "error" in told else []:
        assert set(error) == {"code", "message", "hint", "field"}
        assert error["code"] in REFUSALS
        assert error["message"] and error["hint"]
        assert snapshot(desk) == before, "an error has changed something"
    for item in told.get("results", ()):
        assert item.get("error", {"code": "NotOurs"})["code"] in REFUSALS
        assert len(item["name"]) <= 80


@_any_of(200)
@given(_json)
def test_anything_is_answered(event: Any) -> None:
    desk = new_world()
    check_answer(desk, untouched(), ask(desk, event))


@_any_of(450)
@given(_spoilt(_good))
def test_a_request_with_something_wrong_is_answered(event: Any) -> None:
    desk = new_world()
    check_answer(desk, untouched(), ask(desk, event))


@_any_of(300)
@given(_good, st.sampled_from([900.0, 900.0, 10.0]))
def test_a_request_with_nothing_wrong_is_answered(event: Any, seconds_left: float) -> None:
    desk = new_world()
    check_answer(desk, untouched(), ask(desk, event, seconds_left))
    looks = ("get", "list", "preview", "history", "instances", "backups", "copies", "copy", "vaults", "vault")
    if event["action"] in looks:
        assert snapshot(desk) == untouched(), "looking has changed something"


@_any_of(60)
@given(st.lists(_good, min_size=2, max_size=5))
def test_requests_after_one_another_are_answered(events: list[Any]) -> None:
    desk = new_world()
    for event in events:
        before = copy.deepcopy(snapshot(desk))
        check_answer(desk, before, ask(desk, event))


_reconciling = _pairs({"action": st.just("reconcile")}, optional={"closely": st.booleans(), "dry_run": st.booleans()})


@_any_of(80)
@given(_json | _spoilt(_reconciling.map(dict)) | _reconciling)
def test_any_wish_to_reconcile_is_answered(event: Any) -> None:
    desk = new_world()
    told = ask_to_reconcile(desk, event)
    check_answer(desk, untouched(), told)
    if "would_change" in told:
        assert snapshot(desk) == untouched(), "a dry run has changed something"


@pytest.mark.parametrize("action", ACTIONS)
def test_of_the_good_requests_of_every_action_some_are_served(action: str) -> None:
    served = []

    @_any_of(30)
    @given(_fields[action])
    def ask_for_it(said: Any) -> None:
        served.append("error" not in ask(new_world(), {"action": action, **copy.deepcopy(said)}))

    ask_for_it()
    assert any(served)


def test_a_snapshot_sees_each_change() -> None:
    desk = new_world()
    assert snapshot(desk) == untouched()
    desk.fleet.point_alias_by_hand(NAME, 0)
    assert snapshot(desk) != untouched()
    desk = new_world()
    desk.tables.rules.replace_rule(replace(desk.rule(), prefix="x/", revision=9), desk.rule().revision)
    assert snapshot(desk) != untouched()
