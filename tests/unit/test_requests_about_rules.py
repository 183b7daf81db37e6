"""What requests say of rules: the whole of one, an edit, or what many share."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest, RdbkeeperError, RequestError
from rdbkeeper.domain.retention import GRACE, KEEP_EVERYTHING, OutgoingRetention, Retention
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.source import SourceAccess, Way
from rdbkeeper.entry.requests import parse
from rdbkeeper.entry.rule_fields import MOST_RULES_AT_ONCE
from rdbkeeper.entry.rule_requests import CreateManyRules, CreateRule, PreviewWish, UpdateRule

NOW = datetime(2026, 11, 21, 3, 4, 5, 678, tzinfo=UTC)
DAILY = {"kind": "daily", "at": "02:30", "time_zone": "Asia/Tokyo"}
RULE = {
    "name": "orders-nightly",
    "source": {"provider": "elasticache", "instance": "orders"},
    "cycle": DAILY,
    "vault": "default",
    "prefix": "redis/",
    "role": "orders-reader",
    "bandwidth_mbps": 400,
}
MANY = {**RULE, "name": "{instance}-nightly", "source": {"provider": "elasticache"}}


def changed(rule: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The same with one field set, or removed where the value is Ellipsis."""
    result = copy.deepcopy(rule)
    *parents, last = path.split(".")
    target = result
    for parent in parents:
        target = target[parent]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return result


def created(rule: object) -> Rule:
    command = parse({"action": "create", "rule": rule}, NOW)
    assert isinstance(command, CreateRule)
    return command.rule


def edited(rule: object) -> RuleEdit:
    command = parse({"action": "update", "name": "a", "revision": 1, "rule": rule}, NOW)
    assert isinstance(command, UpdateRule)
    return command.edit


def created_many(instances: object, rule: object = MANY) -> list[tuple[str, Rule | RdbkeeperError]]:
    command = parse({"action": "create_many", "instances": instances, "rule": rule}, NOW)
    assert isinstance(command, CreateManyRules)
    return list(command.wanted)


# One rule


def test_a_rule_is_what_was_written_and_new() -> None:
    rule = created(RULE)
    assert rule.as_record() == {
        **RULE,
        "retention": {},
        "outgoing_retentions": [],
        "audit_every_days": 0,
        "backup_first": None,
        "state": "creating",
        "revision": 1,
        "created_at": "2026-11-21T03:04:05+00:00",
        "watched_since": "2026-11-21T03:04:05+00:00",
        "former_places": [],
        "has_former_copies": False,
    }


def test_vault_prefix_role_and_cap_may_be_left_out() -> None:
    rule = created({name: RULE[name] for name in ("name", "source", "cycle")})
    assert (rule.vault, rule.prefix, rule.role, rule.bandwidth_mbps) == ("default", "", "", 0)
    assert rule.state is RuleState.CREATING


def test_a_source_says_how_its_provider_is_reached() -> None:
    server = {"provider": "redis", "instance": "queue", "address": "[::1]:6379", "tls": False, "way": "full-sync"}
    rule = created({**RULE, "source": server})
    assert rule.is_live and rule.access == SourceAccess(address="[::1]:6379", tls=False, way=Way.FULL_SYNC)
    cloud = {"provider": "tencentdb", "instance": "crs-1", "region": "ap-guangzhou", "secret": "rdbkeeper/tencent"}
    assert created({**RULE, "source": cloud}).access == SourceAccess("ap-guangzhou", "rdbkeeper/tencent")
    assert created({**RULE, "source": cloud}).as_record()["source"] == cloud


def test_a_rule_may_ask_for_backups_with_hooks_and_without() -> None:
    assert created({**RULE, "backup_first": True}).backup_first == BackupFirst()
    assert created({**RULE, "backup_first": False}).backup_first is None
    hooks = {"freeze": "stop", "thaw": "go-on", "longest_freeze_s": 60, "demands_application": True}
    assert created({**RULE, "backup_first": hooks}).backup_first == BackupFirst("stop", "go-on", 60, True)


def test_a_rule_for_a_server_that_is_reached_directly_has_no_backups_to_ask_for() -> None:
    server = {"provider": "redis", "instance": "queue", "address": "queue:6379"}
    with pytest.raises(InvalidRequest) as refused:
        created({**RULE, "source": server, "backup_first": True})
    assert refused.value.field == "rule.backup_first"


def test_many_rules_share_how_their_provider_is_reached() -> None:
    source = {"provider": "tencentdb", "region": "ap-guangzhou", "secret": "rdbkeeper/tencent"}
    ((_, rule), _) = created_many(["crs-1", "crs-2"], {**MANY, "source": source, "backup_first": True})
    assert isinstance(rule, Rule)
    assert rule.access == SourceAccess("ap-guangzhou", "rdbkeeper/tencent")
    assert rule.backup_first == BackupFirst()


def test_a_retention_is_read_and_what_it_leaves_out_keeps_nothing() -> None:
    rule = created({**RULE, "retention": {"keep_days": 7, "keep_monthly": 12}, "audit_every_days": 90})
    assert rule.retention == Retention(keep_days=7, keep_monthly=12)
    assert rule.audit_every_days == 90


def test_what_lies_in_the_place_of_a_new_rule_with_a_retention_stays_for_the_grace_period() -> None:
    now = NOW.replace(microsecond=0)
    rule = created({**RULE, "retention": {"keep_days": 7}})
    assert rule.outgoing == (OutgoingRetention(KEEP_EVERYTHING, now + GRACE),)
    for everything in ({}, {"keep_days": 0}):
        assert created({**RULE, "retention": everything}).outgoing == ()


def test_an_edit_may_say_a_retention_or_that_everything_is_kept_again() -> None:
    assert edited({"retention": {"keep_last": 3}}).retention == Retention(keep_last=3)
    assert edited({"retention": {}}).retention == KEEP_EVERYTHING
    assert edited({"audit_every_days": 0}) == RuleEdit(audit_every_days=0)
    assert edited({}) == RuleEdit()


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "create", "rule": RULE},
        {"action": "create_many", "rule": MANY, "instances": ["orders"]},
        {"action": "update", "name": "a", "revision": 1, "rule": {}},
    ],
    ids=lambda fields: str(fields["action"]),
)
def test_a_place_is_taken_over_only_when_that_is_said(fields: dict[str, Any]) -> None:
    for said, wanted in (({}, False), ({"take_over": False}, False), ({"take_over": True}, True)):
        command = parse({**fields, **said}, NOW)
        assert isinstance(command, CreateRule | CreateManyRules | UpdateRule)
        assert command.take_over is wanted
    for wrong in ("yes", 1, None):
        with pytest.raises(InvalidRequest) as refused:
            parse({**fields, "take_over": wrong}, NOW)
        assert refused.value.field == "take_over"


@pytest.mark.parametrize(
    "given, cycle",
    [
        (DAILY, Cycle("daily", "Asia/Tokyo", at="02:30")),
        ({"kind": "weekly", "days": ["SUN"], "time_zone": "UTC"}, Cycle("weekly", "UTC", at="00:00", days=("SUN",))),
        ({"kind": "custom", "cron": "rate(1 hour)", "time_zone": "UTC"}, Cycle("custom", "UTC", cron="rate(1 hour)")),
        ({"kind": "manual"}, Cycle("manual", "UTC")),
        ({"kind": "manual", "time_zone": "Asia/Tokyo"}, Cycle("manual", "Asia/Tokyo")),
    ],
)
def test_each_kind_of_cycle_is_read_with_its_own_fields(given: dict[str, Any], cycle: Cycle) -> None:
    assert created({**RULE, "cycle": given}).cycle == cycle


WRONG = [
    ("name", ..., "rule.name"),
    ("name", None, "rule.name"),
    ("name", "", "rule.name"),
    ("name", "x" * 32, "rule.name"),
    ("name", "a/b", "rule.name"),
    ("name", "a\x07", "rule.name"),
    ("source", ..., "rule.source"),
    ("source", [], "rule.source"),
    ("source.provider", ..., "rule.source.provider"),
    ("source.provider", "memcached", "rule.source.provider"),
    ("source.instance", ..., "rule.source.instance"),
    ("source.instance", 3, "rule.source.instance"),
    ("source.instance", "a--b", "rule.source.instance"),
    ("source.region", "us-east-1", "rule.source.region"),
    ("source.region", 7, "rule.source.region"),
    ("source.zone", "us-east-1a", "rule.source.zone"),
    ("source.address", "orders.example.com:6379", "rule.source.address"),
    ("source.tls", False, "rule.source.tls"),
    ("source.tls", "yes", "rule.source.tls"),
    ("source.way", "backwards", "rule.source.way"),
    ("source.way", 1, "rule.source.way"),
    ("source.keys_per_second", 99, "rule.source.keys_per_second"),
    ("source.keys_per_second", 1_000_001, "rule.source.keys_per_second"),
    ("source.keys_per_second", 20_000, "rule.source.keys_per_second"),
    ("cycle", ..., "rule.cycle"),
    ("cycle", "daily", "rule.cycle"),
    ("cycle.kind", ..., "rule.cycle.kind"),
    ("cycle.kind", "hourly", "rule.cycle.kind"),
    ("cycle.at", ..., "rule.cycle.at"),
    ("cycle.at", "24:00", "rule.cycle.at"),
    ("cycle.cron", "0 0 * * *", "rule.cycle.cron"),
    ("cycle.time_zone", ..., "rule.cycle.time_zone"),
    ("cycle.time_zone", "Tokyo", "rule.cycle.time_zone"),
    ("cycle", {"kind": "manual", "at": "02:30"}, "rule.cycle.at"),
    ("cycle", {"kind": "custom", "time_zone": "UTC"}, "rule.cycle.cron"),
    ("cycle", {"kind": "custom", "cron": "0 0 3 * * *", "time_zone": "UTC"}, "rule.cycle.cron"),
    ("cycle", {"kind": "custom", "cron": "rate(0 hours)", "time_zone": "UTC"}, "rule.cycle.cron"),
    ("cycle", {"kind": "custom", "cron": "\ud800 * * * *", "time_zone": "UTC"}, "rule.cycle.cron"),
    ("cycle", {"kind": "weekly", "days": [], "time_zone": "UTC"}, "rule.cycle.days"),
    ("cycle", {"kind": "weekly", "days": "MON", "time_zone": "UTC"}, "rule.cycle.days"),
    ("cycle", {"kind": "weekly", "days": [1], "time_zone": "UTC"}, "rule.cycle.days"),
    ("cycle", {"kind": "weekly", "days": ["Monday"], "time_zone": "UTC"}, "rule.cycle.days"),
    ("cycle", {"kind": "weekly", "days": ["\ud800"], "time_zone": "UTC"}, "rule.cycle.days"),
    ("prefix", "/redis/", "rule.prefix"),
    ("prefix", "a/../b/", "rule.prefix"),
    ("prefix", None, "rule.prefix"),
    ("vault", "else where", "rule.vault"),
    ("vault", 7, "rule.vault"),
    ("role", "arn:aws:iam::000000000000:role/reader", "rule.role"),
    ("role", "path/reader", "rule.role"),
    ("role", None, "rule.role"),
    ("bandwidth_mbps", -1, "rule.bandwidth_mbps"),
    ("bandwidth_mbps", 100_001, "rule.bandwidth_mbps"),
    ("bandwidth_mbps", 12.5, "rule.bandwidth_mbps"),
    ("bandwidth_mbps", "400", "rule.bandwidth_mbps"),
    ("bandwidth_mbps", True, "rule.bandwidth_mbps"),
    ("bandwidth_mbps", None, "rule.bandwidth_mbps"),
    ("retention", 7, "rule.retention"),
    ("retention", {"keep_days": 0.5}, "rule.retention.keep_days"),
    ("retention", {"keep_days": 3651}, "rule.retention.keep_days"),
    ("retention", {"keep_last": -1}, "rule.retention.keep_last"),
    ("retention", {"keep_yearly": True}, "rule.retention.keep_yearly"),
    ("retention", {"keep_hourly": 24}, "rule.retention.keep_hourly"),
    ("audit_every_days", 3651, "rule.audit_every_days"),
    ("audit_every_days", "90", "rule.audit_every_days"),
    ("backup_first", "yes", "rule.backup_first"),
    ("backup_first", [], "rule.backup_first"),
    ("backup_first", {"hook": "stop"}, "rule.backup_first.hook"),
    ("backup_first", {"freeze": "stop"}, "rule.backup_first.thaw"),
    ("backup_first", {"thaw": "go-on"}, "rule.backup_first.freeze"),
    ("backup_first", {"freeze": "a b", "thaw": "go-on"}, "rule.backup_first.freeze"),
    ("backup_first", {"freeze": "stop", "thaw": ""}, "rule.backup_first.thaw"),
    ("backup_first", {"freeze": "stop", "thaw": "go-on", "longest_freeze_s": 0}, "rule.backup_first.longest_freeze_s"),
    (
        "backup_first",
        {"freeze": "stop", "thaw": "go-on", "longest_freeze_s": 3601},
        "rule.backup_first.longest_freeze_s",
    ),
    ("backup_first", {"demands_application": True}, "rule.backup_first.demands_application"),
    ("backup_first", {"demands_application": 1}, "rule.backup_first.demands_application"),
    ("backup_first", {"longest_freeze_s": 300}, "rule.backup_first.longest_freeze_s"),
    ("backup_first", {"demands_application": False}, "rule.backup_first.demands_application"),
    ("source.username", "rdbkeeper", "rule.source.username"),
    ("source.password", "hunter2", "rule.source.password"),
    ("state", "active", "rule.state"),
    ("revision", 3, "rule.revision"),
    ("created_at", "2026-11-21", "rule.created_at"),
    ("former_places", [], "rule.former_places"),
]
IDS = [f"{path}={str(value)[:25]!a}" for path, value, _ in WRONG]


@pytest.mark.parametrize("path, value, field", WRONG, ids=IDS)
@pytest.mark.parametrize("action", ["create", "preview"])
def test_a_wrong_field_is_refused_by_name_with_a_hint(action: str, path: str, value: object, field: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse({"action": action, "rule": changed(RULE, path, value)}, NOW)
    assert refused.value.field == field
    assert refused.value.hint


def test_a_preview_reads_the_rule_as_create_does() -> None:
    assert parse({"action": "preview", "rule": RULE}, NOW) == PreviewWish(created(RULE))


# An edit


@pytest.mark.parametrize(
    "given, edit",
    [
        ({}, RuleEdit()),
        ({"cycle": DAILY}, RuleEdit(cycle=Cycle("daily", "Asia/Tokyo", at="02:30"))),
        ({"prefix": ""}, RuleEdit(prefix="")),
        ({"role": ""}, RuleEdit(role="")),
        ({"bandwidth_mbps": 400}, RuleEdit(bandwidth_mbps=400)),
        ({"bandwidth_mbps": 0}, RuleEdit(bandwidth_mbps=0)),
        ({"vault": "default"}, RuleEdit(vault="default")),
        ({"source": {"instance": "carts"}}, RuleEdit(instance="carts")),
        ({"source": {"provider": "elasticache"}}, RuleEdit(provider="elasticache")),
        ({"source": {}}, RuleEdit()),
        ({"source": {"region": "ap-guangzhou"}}, RuleEdit(access={"region": "ap-guangzhou"})),
        ({"source": {"tls": True, "way": "logical"}}, RuleEdit(access={"tls": True, "way": Way.LOGICAL})),
        ({"backup_first": True}, RuleEdit(backup_first=BackupFirst())),
        ({"backup_first": False}, RuleEdit(ends_backup_first=True)),
        ({"backup_first": None}, RuleEdit(ends_backup_first=True)),
        ({"backup_first": {}}, RuleEdit(backup_first=BackupFirst())),
        (
            {"backup_first": {"freeze": "stop", "thaw": "go-on:live", "longest_freeze_s": 60}},
            RuleEdit(backup_first=BackupFirst("stop", "go-on:live", 60)),
        ),
    ],
    ids=str,
)
def test_an_edit_says_only_what_it_names(given: dict[str, Any], edit: RuleEdit) -> None:
    assert edited(given) == edit


@pytest.mark.parametrize(
    "given, field",
    [
        ({"name": "another"}, "rule.name"),
        ({"prefix": None}, "rule.prefix"),
        ({"role": 7}, "rule.role"),
        ({"bandwidth_mbps": None}, "rule.bandwidth_mbps"),
        ({"bandwidth_mbps": 0.5}, "rule.bandwidth_mbps"),
        ({"source": "orders"}, "rule.source"),
        ({"source": {"instance": None}}, "rule.source.instance"),
        ({"source": {"region": 7}}, "rule.source.region"),
        ({"source": {"zone": "x"}}, "rule.source.zone"),
        ({"source": {"way": "backwards"}}, "rule.source.way"),
        ({"backup_first": {"freeze": "stop"}}, "rule.backup_first.thaw"),
        ({"backup_first": {"longest_freeze_s": 600}}, "rule.backup_first.longest_freeze_s"),
        ({"cycle": None}, "rule.cycle"),
        ({"cycle": {"at": "02:30"}}, "rule.cycle.kind"),
        ({"cycle": {"kind": "daily", "time_zone": "UTC"}}, "rule.cycle.at"),
        ({"state": "paused"}, "rule.state"),
        ({"revision": 2}, "rule.revision"),
    ],
    ids=str,
)
def test_a_wrong_edit_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        edited(given)
    assert refused.value.field == field
    assert refused.value.hint


def test_a_name_cannot_be_edited_not_even_to_itself() -> None:
    with pytest.raises(InvalidRequest, match="cannot change"):
        edited({"name": "a"})


# Many rules


def test_each_instance_gets_a_rule_named_after_it() -> None:
    wanted = created_many(["orders", "carts"])
    assert [name for name, _ in wanted] == ["orders-nightly", "carts-nightly"]
    assert [rule.place.path for _, rule in wanted if isinstance(rule, Rule)] == ["redis/orders/", "redis/carts/"]
    assert wanted[0][1] == created(RULE)


def test_what_is_wrong_with_one_instance_is_said_where_it_is_and_the_others_are_rules() -> None:
    wanted = dict(created_many(["orders", "a" * 25, "Orders", "carts"]))
    errors = {name: found.field for name, found in wanted.items() if isinstance(found, RdbkeeperError)}
    assert errors == {f"{'a' * 25}-nightly": "rule.name", "Orders-nightly": "rule.name"}
    assert [name for name, found in wanted.items() if isinstance(found, Rule)] == ["orders-nightly", "carts-nightly"]


def test_an_instance_that_is_none_is_repeated_in_short() -> None:
    ((name, error),) = created_many(["x" * 100_000])
    assert isinstance(error, InvalidRequest)
    assert len(name) == 80
    assert len(str(error)) < 500


WRONG_MANY = [
    ([], MANY, "instances"),
    (["orders", "orders"], MANY, "instances"),
    ([f"i{number}" for number in range(MOST_RULES_AT_ONCE + 1)], MANY, "instances"),
    ("orders", MANY, "instances"),
    ([7], MANY, "instances"),
    (["\ud800"], MANY, "instances"),
    (None, MANY, "instances"),
    (["orders"], changed(MANY, "name", "nightly"), "rule.name"),
    (["orders"], changed(MANY, "name", "{instance}" * 9), "rule.name"),
    (["orders"], changed(MANY, "name", ...), "rule.name"),
    (["orders"], changed(MANY, "source.instance", "orders"), "rule.source.instance"),
    (["orders"], changed(MANY, "cycle.kind", "hourly"), "rule.cycle.kind"),
    (["orders"], changed(MANY, "prefix", 7), "rule.prefix"),
    (["orders"], changed(MANY, "state", "paused"), "rule.state"),
    (["orders"], {**MANY, "source": {"provider": "redis", "address": "queue:6379"}}, "rule.source.provider"),
    (["orders"], 7, "rule"),
]


@pytest.mark.parametrize("instances, rule, field", WRONG_MANY, ids=[str(number) for number in range(len(WRONG_MANY))])
def test_what_many_rules_share_is_refused_as_a_whole(instances: object, rule: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        created_many(instances, rule)
    assert refused.value.field == field
    assert refused.value.hint


def test_as_many_rules_as_may_be_are_taken_at_once() -> None:
    assert len(created_many([f"i{number}" for number in range(MOST_RULES_AT_ONCE)])) == 99


# What is shown of what was sent


PASTED = [
    ("name", "redis://:hunter2@queue:6379"),
    ("source.instance", "redis://:hunter2@queue:6379"),
    ("role", "arn:aws:iam::000000000000:role/hunter2"),
    ("backup_first", {"freeze": "arn:aws:lambda:us-east-1:000000000000:function:hunter2", "thaw": "go-on"}),
    ("source.password", "hunter2"),
]


@pytest.mark.parametrize(("path", "value"), PASTED, ids=[path for path, _ in PASTED])
def test_an_address_or_an_arn_in_the_wrong_field_is_not_repeated(path: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        created(changed(RULE, path, value))
    assert not {"hunter2", "000000000000"} & set(re.split("[^0-9a-z]", str(refused.value)))
    assert refused.value.field.removeprefix("rule.").startswith(path)


def test_an_address_among_many_instances_is_not_repeated() -> None:
    ((name, error),) = created_many(["redis://:hunter2@queue:6379"])
    assert isinstance(error, InvalidRequest) and "hunter2" not in f"{name} {error}"


def test_what_is_only_misspelt_is_shown() -> None:
    with pytest.raises(InvalidRequest, match="'Orders' is not the name of an instance"):
        created(changed(RULE, "source.instance", "Orders"))


@pytest.mark.parametrize("wish", [None, BackupFirst(), BackupFirst("stop", "go-on", 60)], ids=str)
def test_what_is_answered_of_backups_on_demand_can_be_sent_back(wish: BackupFirst | None) -> None:
    answered = wish.as_record() if wish else None
    assert created({**RULE, "backup_first": answered}).backup_first == wish


def test_a_wish_for_backups_that_is_of_no_kind_is_told_every_kind() -> None:
    with pytest.raises(InvalidRequest, match="a text, not true, false or an object"):
        created({**RULE, "backup_first": "true"})


def test_whoever_leads_a_rule_to_a_server_is_told_what_to_send_with_it() -> None:
    server = {"provider": "redis", "instance": "queue", "address": "queue:6379"}
    with pytest.raises(InvalidRequest) as refused:
        created({**RULE, "source": server, "backup_first": True})
    assert '"backup_first": false' in refused.value.hint
    created({**RULE, "source": server, "backup_first": False})


HOW_TO_NAME = {
    "elasticache": "replication group",
    "elasticache-serverless": "the cache",
    "memorydb": "the cluster",
    "tencentdb": "`crs-...`",
    "redis": "Choose a name",
}


@pytest.mark.parametrize("provider", HOW_TO_NAME)
def test_what_is_no_instance_is_told_how_its_provider_names_one(provider: str) -> None:
    fields = {"region": "ap-guangzhou", "secret": "rdbkeeper/t"} if provider == "tencentdb" else {}
    fields |= {"address": "queue:6379"} if provider == "redis" else {}
    with pytest.raises(InvalidRequest) as refused:
        created({**RULE, "source": {"provider": provider, "instance": "queue.example.com", **fields}})
    assert HOW_TO_NAME[provider] in refused.value.hint
    assert ("replication group" in refused.value.hint) is (provider == "elasticache")
