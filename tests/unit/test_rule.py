"""Rules and their places."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.rule import Rule
from tests.flows.world import make_rule

BAD_NAMES = [
    "",
    "Orders",
    "1orders",
    "-orders",
    "orders_nightly",
    "a" * 32,
    "a/b",
    "../a",
    "a\x00",
    "a\n",
    "ä",
    "a b",
]
BAD_PREFIXES = [
    "/",
    "/redis/",
    "redis",
    "a//b/",
    "../",
    "a/../b/",
    "./",
    "a/./",
    "a b/",
    "a\x00/",
    "ä/",
    "a" * 512 + "/",
]
BAD_INSTANCES = ["", "Orders", "orders-", "a--b", "1orders", "a" * 41, "a/b", "a.b", "a\n"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_not_one_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(name)
    assert refused.value.field == "name"


@pytest.mark.parametrize("name", ["a", "orders-nightly", "a" * 31, "a-", "a1"])
def test_a_name_of_the_right_form_is_taken(name: str) -> None:
    assert make_rule(name).name == name


@pytest.mark.parametrize("prefix", BAD_PREFIXES)
def test_a_prefix_that_is_not_one_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(prefix=prefix)
    assert refused.value.field == "prefix"


@pytest.mark.parametrize("instance", BAD_INSTANCES)
def test_an_instance_that_is_not_one_is_refused(instance: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(instance=instance)
    assert refused.value.field == "source.instance"


@pytest.mark.parametrize(
    "field, change", [("source.provider", {"provider": "memcached"}), ("vault", {"vault": "elsewhere"})]
)
def test_an_unknown_provider_or_vault_is_refused(field: str, change: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_rule(**change)
    assert refused.value.field == field


@pytest.mark.parametrize("prefix, path", [("", "orders/"), ("redis/", "redis/orders/"), ("a/b/", "a/b/orders/")])
def test_a_place_names_the_instance(prefix: str, path: str) -> None:
    assert make_rule(prefix=prefix).place.path == path


def test_a_rule_survives_being_written_down() -> None:
    rule = make_rule()
    assert Rule.from_record(rule.as_record()) == rule
