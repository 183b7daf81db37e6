"""The rules function as a person calls it: events in, answers out, and nothing changed on an error."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.demo.world import EVENTS, World

CREATE: dict[str, Any] = json.loads((EVENTS / "create_rule.json").read_text())


def invoke(world: World, event: object) -> dict[str, Any]:
    answer = world.cloud.client("lambda").invoke(
        FunctionName="rdbkeeper-manage-rules", Payload=json.dumps(event).encode()
    )
    assert "FunctionError" not in answer, answer["Payload"].read()
    payload: dict[str, Any] = json.loads(answer["Payload"].read())
    return payload


def everything(world: World) -> tuple[object, ...]:
    """What a request could have changed."""
    cloud = world.cloud
    rows = cloud.client("dynamodb").scan(TableName=world.deployment.resources["Table"])["Items"]
    functions = [found["FunctionName"] for found in cloud.client("lambda").list_functions()["Functions"]]
    schedules = cloud.client("scheduler").list_schedules(GroupName="rdbkeeper")["Schedules"]
    return sorted(map(str, rows)), sorted(functions), [found["Name"] for found in schedules]


def create_event(**changes: object) -> dict[str, Any]:
    event = copy.deepcopy(CREATE)
    event["rule"].update(changes)
    return event


WRONG = {
    "no object": ([], "InvalidRequest", ""),
    "unknown action": ({"action": "explode"}, "UnknownAction", "action"),
    "unknown field": (create_event(colour="red"), "InvalidRequest", "rule.colour"),
    "wrong type": (create_event(name=7), "InvalidRequest", "rule.name"),
    "empty name": (create_event(name=""), "InvalidRequest", "name"),
    "long name": (create_event(name="a" * 32), "InvalidRequest", "name"),
    "name with a path": (create_event(name="../a"), "InvalidRequest", "name"),
    "name with a control character": (create_event(name="a\u0000b"), "InvalidRequest", "name"),
    "prefix from the root": (create_event(prefix="/redis/"), "InvalidRequest", "prefix"),
    "prefix that climbs": (create_event(prefix="redis/../"), "InvalidRequest", "prefix"),
    "cron with seconds": (
        create_event(cycle={"kind": "custom", "cron": "0 30 2 * * *", "time_zone": "UTC"}),
        "InvalidRequest",
        "cycle.cron",
    ),
    "unknown zone": (
        create_event(cycle={"kind": "daily", "at": "02:30", "time_zone": "Mars/Base"}),
        "InvalidRequest",
        "cycle.time_zone",
    ),
    "no such instance": (
        create_event(source={"provider": "elasticache", "instance": "nowhere"}),
        "InstanceNotFound",
        "source.instance",
    ),
    "no such rule": ({"action": "delete", "name": "nothing"}, "RuleNotFound", "name"),
}


@pytest.mark.parametrize(("event", "code", "field"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_request_is_answered_with_code_field_and_hint_and_changes_nothing(
    world: World, event: object, code: str, field: str
) -> None:
    before = everything(world)
    error = invoke(world, event)["error"]
    assert (error["code"], error["field"]) == (code, field)
    assert error["message"]
    assert error["hint"]
    assert everything(world) == before


def test_an_instance_without_backups_is_refused(world: World) -> None:
    client = world.cloud.client("elasticache")
    client.modify_replication_group(ReplicationGroupId="orders", SnapshotRetentionLimit=0, ApplyImmediately=True)
    before = everything(world)
    error = invoke(world, CREATE)["error"]
    client.modify_replication_group(ReplicationGroupId="orders", SnapshotRetentionLimit=7, ApplyImmediately=True)
    assert error["code"] == "BackupsDisabled"
    assert everything(world) == before


def test_a_rule_lives_from_create_to_delete(world: World) -> None:
    before = everything(world)
    created = invoke(world, CREATE)
    assert created["made"]["function"] == "rdbkeeper-rule-orders-nightly"
    assert created["rule"]["state"] == "active"

    shown = invoke(world, {"action": "get", "name": "orders-nightly"})["rule"]
    assert shown == created["rule"]
    assert [rule["name"] for rule in invoke(world, {"action": "list"})["rules"]] == ["orders-nightly"]

    again = invoke(world, CREATE)["error"]
    assert (again["code"], again["field"]) == ("NameTaken", "name")
    place = invoke(world, create_event(name="second"))["error"]
    assert (place["code"], place["field"]) == ("PlaceTaken", "prefix")

    deleted = invoke(world, {"action": "delete", "name": "orders-nightly"})
    assert deleted["copies_stay_at"] == {"vault": "default", "path": "redis/orders/"}
    after = everything(world)
    assert after[1:] == before[1:]
    assert invoke(world, {"action": "list"}) == {"rules": []}
