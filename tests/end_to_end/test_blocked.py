"""A rule that cannot do its work says why, and goes on by itself when the cause is gone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest

from tests.demo.world import STACK, Made, World
from tests.end_to_end.asking import Answer, ask, make_rules, reconcile, send, show, told
from tests.end_to_end.by_hand import OWN_ROLE, grant_own_role, make_own_role, wait_until

ORDERS, SESSIONS = Made("orders", shards=1, ballast_bytes=0), Made("sessions", shards=1, ballast_bytes=0)


@pytest.fixture(scope="module", autouse=True)
def rules(world: World) -> None:
    """Two rules under the stack's own role and one under another, each of the name of its instance."""
    make_rules(world, "orders", "sessions")
    make_own_role(world)
    make_rules(world, "carts", role=OWN_ROLE)


@pytest.fixture(autouse=True)
def healed(world: World) -> Iterator[None]:
    """Each test ends with nothing wrong."""
    yield
    world.cloud.s3.faults.forgive()
    world.cloud.elasticache.set_status("orders", None)
    assert reconcile(world)["failures"] == []
    assert {rule["state"] for rule in ask(world, {"action": "list"})["rules"]} == {"active"}


def history(world: World, rule: str) -> dict[str, Answer]:
    """The rule's runs by their ids: those of one second are in no order."""
    return {run["run"]: run for run in send(world, "history", rule)["runs"]}


def fire(world: World, rule: str) -> tuple[str, Answer]:
    """Fire the rule's timer; returns how the execution ended, and its run as history tells it."""
    execution = world.cloud.fire(STACK, rule)
    status = world.cloud.wait_for_execution(execution)["Status"]
    return status, history(world, rule)[execution.rsplit("/", 1)[-1]]


def wait_for_owed_run(world: World, rule: str, before: Collection[str]) -> Mapping[str, Any]:
    """The run that was not there before, once it has ended."""
    wait_until(lambda: len(history(world, rule)) > len(before), f"a run of {rule}")
    (run,) = set(history(world, rule)) - set(before)
    return world.wait_for_run(rule, run)


def check_blocked(world: World, rule: str, code: str) -> None:
    shown = show(world, rule)
    assert (shown["state"], shown["reason"].partition(":")[0]) == ("blocked", code)
    assert shown["hint"]


def test_a_run_is_put_off_while_the_instance_is_not_available_and_caught_up_afterwards(world: World) -> None:
    world.take_backup(ORDERS)
    world.cloud.elasticache.set_status("orders", "incompatible-network")
    status, run = fire(world, "orders")
    assert (status, run["state"], "put off" in run["line"]) == ("SUCCEEDED", "postponed", True)
    assert reconcile(world)["repairs"] == []
    check_blocked(world, "orders", "InstanceNotAvailable")

    before = history(world, "orders")
    world.cloud.elasticache.set_status("orders", None)
    assert told(reconcile(world)["repairs"], "orders") == [("RuleUnblocked", "orders"), ("RunCaughtUp", "orders")]
    owed = wait_for_owed_run(world, "orders", before)
    assert (owed["state"], [outcome["status"] for outcome in owed["outcomes"]]) == ("succeeded", ["copied"])
    assert show(world, "orders")["state"] == "active"


def test_a_run_is_put_off_when_the_instance_is_deleted_and_caught_up_when_it_is_made_again(world: World) -> None:
    world.cloud.client("elasticache").delete_replication_group(ReplicationGroupId="sessions")
    status, run = fire(world, "sessions")
    assert (status, run["state"]) == ("SUCCEEDED", "postponed")
    assert reconcile(world)["repairs"] == []
    check_blocked(world, "sessions", "InstanceNotFound")

    world.make_instance(SESSIONS)
    backup = world.take_backup(SESSIONS)
    repairs = told(reconcile(world)["repairs"], "sessions")
    assert repairs == [("RuleUnblocked", "sessions"), ("RunCaughtUp", "sessions")]
    owed = wait_for_owed_run(world, "sessions", [run["run"]])
    assert [(outcome["backup_id"], outcome["status"]) for outcome in owed["outcomes"]] == [(backup, "copied")]


def test_a_rule_whose_instance_makes_no_backups_any_more_says_so_and_copies_what_there_is(world: World) -> None:
    client = world.cloud.client("elasticache")
    client.modify_replication_group(ReplicationGroupId="orders", SnapshotRetentionLimit=0, ApplyImmediately=True)
    world.cloud.elasticache.take_manual_backup("the-last-one", "orders")
    answer = reconcile(world)
    assert (answer["repairs"], told(answer["reports"], "orders")) == ([], [("RuleBlocked", "orders")])
    status, run = fire(world, "orders")
    assert (status, [outcome["backup_id"] for outcome in run["outcomes"]]) == ("SUCCEEDED", ["the-last-one"])
    check_blocked(world, "orders", "BackupsDisabled")

    before = history(world, "orders")
    client.modify_replication_group(ReplicationGroupId="orders", SnapshotRetentionLimit=7, ApplyImmediately=True)
    assert told(reconcile(world)["repairs"], "orders") == [("RuleUnblocked", "orders")]
    assert (show(world, "orders")["state"], history(world, "orders")) == ("active", before)


def test_a_rule_whose_vault_is_out_of_reach_says_so_and_its_run_is_caught_up(world: World) -> None:
    world.cloud.s3.faults.fail_next("ListObjectsV2", n=1_000, status=404, code="NoSuchBucket")
    status, run = fire(world, "orders")
    assert (status, run["state"]) == ("FAILED", "failed")
    assert reconcile(world)["repairs"] == []
    check_blocked(world, "orders", "VaultOffline")

    before = history(world, "orders")
    world.cloud.s3.faults.forgive()
    assert told(reconcile(world)["repairs"], "orders") == [("RuleUnblocked", "orders"), ("RunCaughtUp", "orders")]
    assert wait_for_owed_run(world, "orders", before)["state"] == "succeeded"


def test_a_rule_whose_role_lacks_a_permission_says_so_until_a_run_gets_through(world: World) -> None:
    grant_own_role(world, without="DefaultVault")
    assert fire(world, "carts")[0] == "FAILED"
    check_blocked(world, "carts", "VaultDenied")

    grant_own_role(world)
    # What a rule's role may do is only known when it does it; reconciling lets it try every few hours.
    assert fire(world, "carts")[0] == "SUCCEEDED"
    assert show(world, "carts")["state"] == "active"


def test_a_rule_that_is_pointed_at_another_instance_is_no_longer_blocked_by_the_first(world: World) -> None:
    world.cloud.elasticache.set_status("sessions", "incompatible-network")
    assert fire(world, "sessions")[1]["state"] == "postponed"
    check_blocked(world, "sessions", "InstanceNotAvailable")
    spare = Made("spare", shards=1, ballast_bytes=0)
    world.make_instance(spare)
    backup = world.take_backup(spare)
    edit = {"source": {"provider": "elasticache", "instance": "spare"}}
    edited = send(world, "update", "sessions", revision=show(world, "sessions")["revision"], rule=edit)["rule"]
    assert (edited["state"], edited["former_places"]) == ("active", ["sessions/"])
    assert [outcome["backup_id"] for outcome in fire(world, "sessions")[1]["outcomes"]] == [backup]
