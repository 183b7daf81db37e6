"""What a rule says of how its provider is reached."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.source import NO_ACCESS, PROVIDERS, SourceAccess, Way, check_access, name_missing
from tests.flows.world import make_rule

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
TENCENT = SourceAccess(region="ap-guangzhou", secret="rdbkeeper/tencent")
SERVER = SourceAccess(address="queue.example.com:6379")
WHOLE = SourceAccess("", "rdbkeeper/queue", "[fd00::1]:6380", tls=False, way=Way.LOGICAL, keys_per_second=500)
GOOD = {
    "elasticache": NO_ACCESS,
    "elasticache-serverless": NO_ACCESS,
    "memorydb": NO_ACCESS,
    "tencentdb": TENCENT,
    "redis": SERVER,
}


def of(provider: str, access: SourceAccess = NO_ACCESS, **changes: Any) -> Rule:
    return make_rule(provider=provider, access=access, **changes)


def refused_field(provider: str, access: SourceAccess) -> str:
    with pytest.raises(InvalidRequest) as refused:
        check_access(provider, access)
    assert refused.value.hint
    return refused.value.field


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_is_content_with_what_it_needs(provider: str) -> None:
    check_access(provider, GOOD[provider])
    assert of(provider, GOOD[provider]).is_live is (provider == "redis")


def test_a_server_may_say_all_that_there_is_to_say_of_it() -> None:
    check_access("redis", WHOLE)


@pytest.mark.parametrize("provider", ["elasticache", "elasticache-serverless", "memorydb"])
@pytest.mark.parametrize("name", ["region", "secret", "address", "tls", "way", "keys_per_second"])
def test_what_a_provider_has_no_use_for_is_refused_by_name(provider: str, name: str) -> None:
    said = {
        "region": "us-east-1",
        "secret": "rdbkeeper/a",
        "address": "a:1",
        "tls": False,
        "way": Way.LOGICAL,
        "keys_per_second": 500,
    }
    assert refused_field(provider, SourceAccess(**{name: said[name]})) == f"source.{name}"


@pytest.mark.parametrize(
    "provider, access, field",
    [
        ("tencentdb", NO_ACCESS, "region"),
        ("tencentdb", SourceAccess(region="ap-guangzhou"), "secret"),
        ("tencentdb", SourceAccess(secret="rdbkeeper/tencent"), "region"),
        ("tencentdb", replace(TENCENT, address="a:1"), "address"),
        ("tencentdb", replace(TENCENT, tls=False), "tls"),
        ("tencentdb", replace(TENCENT, region="Guangzhou"), "region"),
        ("tencentdb", replace(TENCENT, region="ap-guangzhou.evil.example"), "region"),
        ("tencentdb", replace(TENCENT, secret="tencent"), "secret"),
        ("tencentdb", replace(TENCENT, secret="rdbkeeper/"), "secret"),
        ("tencentdb", replace(TENCENT, secret="arn:aws:secretsmanager:x"), "secret"),
        ("redis", NO_ACCESS, "address"),
        ("redis", replace(SERVER, region="ap-guangzhou"), "region"),
        ("redis", replace(SERVER, keys_per_second=99), "keys_per_second"),
        ("redis", replace(SERVER, keys_per_second=1_000_001), "keys_per_second"),
        *(
            ("redis", SourceAccess(address=address), "address")
            for address in (
                "queue",
                "queue:",
                ":6379",
                "queue:0",
                "queue:65536",
                "queue:6379/0",
                "redis://queue:6379",
                "user:word@queue:6379",
                "-queue:6379",
                "fd00::1:6379",
                "a b:6379",
                "queue:6379\n",
                "ä:6379",
                "queue:٦",
                "[fd00:::::1]:6379",
                "[fe80::1]:6379",
                "[::]:6379",
                "[::ffff:169.254.169.254]:6379",
                "169.254.169.254:80",
                "100.100.100.200:80",
                "10.0.0:6379",
                "10.0.0.256:6379",
                "2852039166:80",
            )
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(provider: str, access: SourceAccess, field: str) -> None:
    assert refused_field(provider, access) == f"source.{field}"


def test_what_may_be_a_password_is_not_repeated() -> None:
    for access in (SourceAccess(address="me:hunter2@queue:6379"), replace(SERVER, secret="hunter2")):
        with pytest.raises(InvalidRequest) as refused:
            check_access("redis", access)
        assert "hunter2" not in str(refused.value)


def test_the_port_is_read_from_an_address() -> None:
    assert (SERVER.port, WHOLE.port) == (6379, 6380)


# Written down


@pytest.mark.parametrize("access", [NO_ACCESS, TENCENT, SERVER, WHOLE], ids=["none", "tencent", "server", "whole"])
def test_an_access_survives_being_written_down_among_a_sources_other_fields(access: SourceAccess) -> None:
    record = {"provider": "redis", "instance": "queue", **access.as_record()}
    assert SourceAccess.from_record(record) == access


def test_only_what_differs_from_the_defaults_is_written_down() -> None:
    assert NO_ACCESS.as_record() == {}
    assert SERVER.as_record() == {"address": "queue.example.com:6379"}


def test_a_rule_with_an_access_and_hooks_survives_being_written_down() -> None:
    rule = of("tencentdb", TENCENT, backup_first=BackupFirst("stop", "go-on", 60, demands_application=True))
    assert Rule.from_record(rule.as_record()) == rule
    server = of("redis", WHOLE)
    assert Rule.from_record(server.as_record()) == server


def test_a_rule_of_before_there_were_other_providers_is_read_as_it_was() -> None:
    record = make_rule().as_record()
    del record["backup_first"]
    old = Rule.from_record(record)
    assert old == make_rule() and old.access == NO_ACCESS and old.backup_first is None


# Edits


def edited(rule: Rule, **said: Any) -> Rule:
    return RuleEdit(**said).apply_to(rule, NOW)


def test_an_edit_of_one_field_leaves_the_others() -> None:
    rule = of("redis", WHOLE)
    assert edited(rule, access={"tls": True}).access == replace(WHOLE, tls=True)
    assert edited(rule, access={"keys_per_second": 10_000}).access == replace(WHOLE, keys_per_second=10_000)
    assert edited(rule, access={"tls": False}) is rule


def test_an_edit_of_the_access_keeps_the_place_and_counts_as_a_revision() -> None:
    rule = of("redis", WHOLE)
    after = edited(rule, access={"way": Way.AUTO})
    assert after.revision == rule.revision + 1 and after.former_places == ()


def test_with_another_provider_nothing_of_the_former_access_stays() -> None:
    assert edited(of("tencentdb", TENCENT), provider="memorydb").access == NO_ACCESS
    moved = edited(of("redis", WHOLE), provider="tencentdb", access={"region": "ap-guangzhou", "secret": "rdbkeeper/t"})
    assert moved.access == SourceAccess("ap-guangzhou", "rdbkeeper/t")
    same = edited(of("tencentdb", TENCENT), provider="tencentdb", access={"region": "ap-shanghai"})
    assert same.access == replace(TENCENT, region="ap-shanghai")


@pytest.mark.parametrize(
    "rule, said, field",
    [
        (of("elasticache"), {"provider": "tencentdb"}, "source.region"),
        (of("elasticache"), {"provider": "redis"}, "source.address"),
        (of("elasticache"), {"access": {"region": "us-east-1"}}, "source.region"),
        (of("redis", SERVER), {"access": {"address": "nowhere"}}, "source.address"),
        (of("redis", SERVER), {"backup_first": BackupFirst()}, "backup_first"),
        (
            of("memorydb", backup_first=BackupFirst()),
            {"provider": "redis", "access": {"address": "a:1"}},
            "backup_first",
        ),
    ],
    ids=["region", "address", "no use", "form", "asks", "asked"],
)
def test_an_edit_whose_rule_cannot_be_is_refused_by_field(rule: Rule, said: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        edited(rule, **said)
    assert refused.value.field == field


def test_backups_on_demand_begin_change_and_end_with_an_edit_that_says_so() -> None:
    rule = make_rule()
    asking = edited(rule, backup_first=BackupFirst())
    assert asking.backup_first == BackupFirst()
    assert edited(asking, bandwidth_mbps=7).backup_first == BackupFirst()
    hooks = BackupFirst("stop", "go-on")
    assert edited(asking, backup_first=hooks).backup_first == hooks
    assert edited(asking, ends_backup_first=True).backup_first is None
    assert edited(rule, ends_backup_first=True) is rule
    assert not rule.is_same_wish(asking)


@pytest.mark.parametrize(
    ("provider", "access", "says", "hints"),
    [
        ("elasticache", NO_ACCESS, "no elasticache instance orders in this region", "replication groups"),
        ("elasticache-serverless", NO_ACCESS, "in this region", "caches"),
        ("memorydb", NO_ACCESS, "in this region", "clusters"),
        ("tencentdb", SourceAccess(region="ap-beijing", secret="rdbkeeper/t"), "in ap-beijing", "`crs-...`"),
    ],
)
def test_an_instance_that_is_missing_is_told_in_its_provider_s_words(
    provider: str, access: SourceAccess, says: str, hints: str
) -> None:
    message, hint = name_missing(provider, "orders", access)
    assert says in message
    assert hints in hint


@pytest.mark.parametrize("address", ["10.0.0.5:6379", "127.0.0.1:6379", "[fd00::1]:6379", "[::1]:6379", "r1.cache:63"])
def test_an_address_that_can_be_a_server_s_is_taken(address: str) -> None:
    check_access("redis", SourceAccess(address=address))


@pytest.mark.parametrize("address", ["queue", "redis://queue:63", "me:word@queue:63", "fd00::1:63", "queue:70000"])
def test_whoever_writes_no_address_is_told_its_form_and_where_the_rest_goes(address: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_access("redis", SourceAccess(address=address))
    assert all(word in refused.value.hint for word in ("host:port alone", "65535", "brackets", "`tls`", "`secret`"))
