"""Requests to the functions of the stack, as a person sends them, and what the answers say."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.demo.world import EVENTS, STACK, Made, World

Answer = dict[str, Any]


def read_event(name: str) -> Answer:
    """A file of events/."""
    event: Answer = json.loads((EVENTS / f"{name}.json").read_text())
    return event


CREATE = read_event("create_rule")


def ask(world: World, event: object, function: str = "manage-rules") -> Answer:
    """The answer to a request, which may be an error of the stack's own."""
    answer = world.cloud.client("lambda").invoke(FunctionName=f"{STACK}-{function}", Payload=json.dumps(event).encode())
    payload: Answer = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


def send(world: World, action: str, name: str, **fields: object) -> Answer:
    """The answer to a request about one rule, which must be served."""
    answer = ask(world, {"action": action, "name": name, **fields})
    assert "error" not in answer, answer
    return answer


def create_event(**changes: object) -> Answer:
    """events/create_rule.json with some of the rule's fields changed."""
    event = copy.deepcopy(CREATE)
    event["rule"].update(changes)
    return event


def make_rules(world: World, *names: str, **fields: object) -> None:
    """Make instances of one shard, and for each a nightly rule of its name; both at once take no longer than one."""
    for name in names:
        world.make_instance(Made(name, shards=1, ballast_bytes=0))
    rule = {"name": "{instance}", "source": {"provider": "elasticache"}, "cycle": CREATE["rule"]["cycle"], **fields}
    answer = ask(world, {"action": "create_many", "instances": names, "rule": rule})
    assert answer["created"] == len(names), answer


def show(world: World, name: str) -> Answer:
    """One rule as it is shown."""
    rule: Answer = send(world, "get", name)["rule"]
    return rule


def reconcile(world: World, *, closely: bool = False, dry_run: bool = False) -> Answer:
    """Ask for the fleet to be made equal to the rules."""
    event = {"action": "reconcile", "closely": closely, "dry_run": dry_run}
    answer = ask(world, event, "reconcile-rules")
    assert "error" not in answer, answer
    return answer


def told(records: list[Answer], rule: str) -> list[tuple[str, str]]:
    """What is told of a rule: each record's code and target."""
    return sorted((record["code"], record["target"]) for record in records if record["rule"] == rule)
