"""Functions of rules that reach their server directly lie in the owner's network, and no others do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.demo.world import STACK, Made, World
from tests.end_to_end.asking import ask, create_event, make_rules, reconcile, send

DIRECT = {"provider": "redis", "instance": "sessions", "address": "10.0.0.5:6379", "tls": False}
SUBNETS = ["subnet-01234567", "subnet-89abcdef"]
GROUPS = ["sg-01234567"]


def deploy(world: World, subnets: list[str], groups: list[str]) -> None:
    parameters = {"VpcSubnetIds": ",".join(subnets), "VpcSecurityGroupIds": ",".join(groups)}
    world.deployment = world.cloud.deploy(stack=STACK, parameters=parameters)


def network(world: World, rule: str) -> tuple[list[str], list[str]]:
    """The subnets and security groups of the version that the rule's schedule starts."""
    found: dict[str, Any] = world.cloud.client("lambda").get_function_configuration(
        FunctionName=f"{STACK}-rule-{rule}", Qualifier="live"
    )
    config = found.get("VpcConfig", {})
    return sorted(config.get("SubnetIds", ())), sorted(config.get("SecurityGroupIds", ()))


@pytest.fixture(scope="module")
def rules(world: World) -> World:
    deploy(world, SUBNETS, GROUPS)
    make_rules(world, "orders")
    answer = ask(world, create_event(name="direct", source=DIRECT))
    assert "error" not in answer, answer
    return world


def test_only_the_rule_that_needs_the_network_is_in_it_and_nothing_is_left_to_repair(rules: World) -> None:
    assert network(rules, "direct") == (SUBNETS, GROUPS)
    assert network(rules, "orders") == ([], [])
    assert reconcile(rules, closely=True, dry_run=True)["would_change"] == []


def test_a_deploy_with_another_network_moves_it_there(rules: World) -> None:
    deploy(rules, SUBNETS[:1], GROUPS)
    assert network(rules, "direct") == (SUBNETS[:1], GROUPS)
    assert network(rules, "orders") == ([], [])


def test_half_a_network_moves_nothing_and_is_reported(rules: World) -> None:
    deploy(rules, SUBNETS, [])
    assert network(rules, "direct") == (SUBNETS[:1], GROUPS)
    reports = reconcile(rules)["reports"]
    assert [(report["rule"], report["code"]) for report in reports] == [("direct", "NetworkIncomplete")]
    refused = ask(rules, create_event(name="another", source=DIRECT | {"instance": "another"}))
    assert refused["error"]["field"] == "rule.source.provider"
    assert "no VpcSecurityGroupIds" in refused["error"]["message"]


def test_an_edit_to_a_managed_instance_takes_its_function_out(rules: World) -> None:
    deploy(rules, SUBNETS, GROUPS)
    rules.make_instance(Made("sessions", shards=1, ballast_bytes=0))
    revision = send(rules, "get", "direct")["rule"]["revision"]
    source = {"provider": "elasticache", "instance": "sessions"}
    send(rules, "update", "direct", revision=revision, rule={"source": source})
    assert network(rules, "direct") == ([], [])
