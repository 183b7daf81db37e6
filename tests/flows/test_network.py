"""Where the functions of rules lie that reach their server directly, as rules are made and edited."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rdbkeeper.domain.catalog import Level, manifest_key
from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.fleet.settings import Network
from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.source import SourceAccess
from rdbkeeper.domain.status import Block
from tests.flows.desk import NAME, Desk, new_rule
from tests.flows.order import picture

NETWORK = Network(("subnet-1",), ("sg-1",))
LIVE: dict[str, Any] = {"provider": "redis", "access": SourceAccess(address="redis.internal:6379")}
LIVE_EDIT: dict[str, Any] = {"provider": "redis", "access": {"address": "redis.internal:6379"}}


def desk_in(network: Network) -> Desk:
    desk = Desk()
    desk.fleet.settings = replace(desk.fleet.settings, network=network)
    return desk


def test_a_rule_whose_network_is_but_half_there_is_refused_and_nothing_is_made() -> None:
    desk = desk_in(Network(subnet_ids=("subnet-1",)))
    before = picture(desk)
    with pytest.raises(InvalidRequest, match="no VpcSecurityGroupIds"):
        desk.register.create(new_rule(**LIVE))
    assert picture(desk) == before


def test_other_rules_are_made_whatever_the_network_is() -> None:
    desk = desk_in(Network(subnet_ids=("subnet-1",)))
    desk.register.create(new_rule())
    assert desk.function().settings.subnet_ids == ()


def test_an_edit_to_a_server_and_back_moves_the_function_into_the_network_and_out_again() -> None:
    desk = desk_in(NETWORK)
    made = desk.register.create(new_rule())["rule"]
    for edit, subnet_ids in ((RuleEdit(**LIVE_EDIT), ("subnet-1",)), (RuleEdit(provider="elasticache"), ())):
        made = desk.register.update(NAME, made["revision"], edit)["rule"]
        assert desk.function().settings.subnet_ids == subnet_ids
        assert desk.function().versions[desk.function().alias_version].settings.subnet_ids == subnet_ids


def test_an_edit_to_a_server_is_refused_while_the_network_is_but_half_there() -> None:
    desk = desk_in(Network(security_group_ids=("sg-1",)))
    made = desk.register.create(new_rule())["rule"]
    with pytest.raises(InvalidRequest, match="no VpcSubnetIds"):
        desk.register.update(NAME, made["revision"], RuleEdit(**LIVE_EDIT))


def test_a_changed_network_is_followed_by_the_next_reconciling() -> None:
    desk = desk_in(NETWORK)
    desk.tables.rules.create_rule(new_rule(**LIVE), 0)
    desk.clock.advance(3600)
    desk.reconcile().run()
    assert desk.function().settings.subnet_ids == ("subnet-1",)
    desk.fleet.settings = replace(desk.fleet.settings, network=Network(("subnet-2",), ("sg-1",)))
    desk.reconcile().run()
    assert desk.function().settings.subnet_ids == ("subnet-2",)


def test_another_address_keeps_the_copies_for_a_while_says_so_and_lifts_what_was_said_of_the_former_one() -> None:
    desk = desk_in(NETWORK)
    made = desk.register.create(new_rule(retention=Retention(keep_last=1), **LIVE))["rule"]
    for copy_id in ("20261119T030000Z-run-1", "20261120T030000Z-run-2"):
        desk.vault.objects[manifest_key(desk.rule().place.path, copy_id, Level.VERIFIED)] = b"{}"
    desk.tables.rules.record_block(NAME, Block("SourceDenied", "Its password is another.", "Look at the secret."))
    answer = desk.register.update(NAME, made["revision"], RuleEdit(access={"address": "other.internal:6379"}))
    assert "Until 2026-11-24T03:00:00+00:00 all copies stay, whatever the retention says." in answer["rule"]["notes"]
    assert answer["removes_from"] == "2026-11-24T03:00:00+00:00" and answer["will_remove_count"] == 2
    assert desk.tables.rules.find_status(NAME).block is None
