"""What somebody does behind the stack's back: with its table, its roles, and the things that its rules run on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.scheduler.models import scheduler_backends

from tests.demo.world import STACK, World
from tests.local_cloud.permissions.record import RECORD

OWN_ROLE = "runs-of-some-rules"


def wait_until(happened: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
    """Return once it has happened. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} has not happened after {timeout_s:.0f} s.")
        time.sleep(0.05)


@contextmanager
def held_exports(world: World) -> Iterator[None]:
    """Keep every run that copies something going for as long."""
    world.cloud.elasticache.hold_exports(True)
    try:
        yield
    finally:
        world.cloud.elasticache.hold_exports(False)


# The table


def write_into_rule(world: World, name: str, **texts: str) -> None:
    """Write fields of a rule's record straight into the table."""
    for field, text in texts.items():
        world.cloud.client("dynamodb").update_item(
            TableName=world.deployment.resources["Table"],
            Key=key("rules", name),
            UpdateExpression="SET #rule.#field = :text",
            ExpressionAttributeNames={"#rule": "rule", "#field": field},
            ExpressionAttributeValues={":text": {"S": text}},
        )


def key(partition: str, sort: str) -> dict[str, Any]:
    """A key of the table, as DynamoDB writes it."""
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def read_row(world: World, partition: str, sort: str) -> dict[str, Any] | None:
    """A row of the table as DynamoDB writes it, or None."""
    table = world.deployment.resources["Table"]
    found = world.cloud.client("dynamodb").get_item(TableName=table, Key=key(partition, sort), ConsistentRead=True)
    row: dict[str, Any] | None = found.get("Item")
    return row


def put_row(world: World, row: dict[str, Any]) -> None:
    world.cloud.client("dynamodb").put_item(TableName=world.deployment.resources["Table"], Item=row)


def remove_row(world: World, partition: str, sort: str) -> None:
    table = world.deployment.resources["Table"]
    world.cloud.client("dynamodb").delete_item(TableName=table, Key=key(partition, sort))


# The fleet


def change_schedule(world: World, name: str, **changes: str) -> None:
    """Change a schedule, in a later second than the stack did: Scheduler's lists tell no less."""
    scheduler = world.cloud.client("scheduler")
    found = scheduler.get_schedule(GroupName=STACK, Name=name)
    changed_at = found["LastModificationDate"].replace(microsecond=0)
    wait_until(lambda: datetime.now(UTC).replace(microsecond=0) > changed_at, "the next second")
    kept = ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "State", "Target")
    scheduler.update_schedule(GroupName=STACK, Name=name, **{field: found[field] for field in kept} | changes)


def ago(**age: float) -> str:
    """A moment so many days or hours ago, as the table writes it."""
    return (datetime.now(UTC) - timedelta(**age)).isoformat(timespec="seconds")


def make_older(world: World, name: str, **age: float) -> None:
    """Let a rule be as if it had been made, and its schedule been set, so many days or hours ago."""
    then = ago(**age)
    write_into_rule(world, name, created_at=then, watched_since=then)
    cloud = world.cloud
    schedule = scheduler_backends[cloud.account_id][cloud.region].schedule_groups[STACK].schedules[name]
    schedule.last_modified_date = datetime.fromisoformat(then).timestamp()
    sent = read_row(world, "sent", name)
    assert sent is not None
    sent["schedules"]["M"][name]["M"]["modified_at"]["S"] = then
    put_row(world, sent)


# Roles


def make_own_role(world: World) -> None:
    """Make the role that the stack allows its rules, which may do what the stack's own may."""
    world.cloud.client("iam").create_role(RoleName=OWN_ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST))
    grant_own_role(world)


def grant_own_role(world: World, *, without: str = "") -> None:
    """Give that role the policies of the stack's own, less one statement."""
    iam = world.cloud.client("iam")
    role = world.deployment.resources["RunRuleRole"]
    documents = [iam.get_role_policy(RoleName=role, PolicyName="run-rule")["PolicyDocument"]]
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)
        documents.append(found["PolicyVersion"]["Document"])
    for number, document in enumerate(documents):
        document["Statement"] = [one for one in document["Statement"] if one["Sid"] != without]
        iam.put_role_policy(RoleName=OWN_ROLE, PolicyName=f"part-{number}", PolicyDocument=json.dumps(document))


@contextmanager
def refused_on_purpose() -> Iterator[None]:
    """Let what policies refuse meanwhile not count as something that the stack's functions lack."""
    before = set(RECORD.refusals)
    yield
    RECORD.refusals.intersection_update(before)


_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}
