"""Backups that runs ask for themselves, with writes frozen around them, by functions with their roles evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.demo.checks import load_and_compare, read_manifests
from tests.demo.hooks import change_hooks, is_frozen, make_hooks
from tests.demo.world import STACK, Made, World
from tests.end_to_end.asking import Answer, ask, create_event, make_rules, reconcile, send, told
from tests.end_to_end.by_hand import wait_until
from tests.end_to_end.conftest import DEMANDING, FALLING_BACK, FROZEN, HOOKED, HOOKS_OF, NO_HOOK

# Each rule, and its instance, is named after what becomes of its backup.
PLAIN = "plain"
INSTANCES = (*HOOKED, PLAIN)
BACKUP_FIRST: Mapping[str, Any] = {
    FROZEN: {**HOOKS_OF[FROZEN], "demands_application": True},
    FALLING_BACK: {**HOOKS_OF[FALLING_BACK], "freeze": NO_HOOK},
    DEMANDING: {**HOOKS_OF[DEMANDING], "demands_application": True},
}

FUNCTIONS = [name for names in HOOKS_OF.values() for name in names.values()]


@pytest.fixture(scope="module")
def ports(world: World) -> dict[str, tuple[int, ...]]:
    """The servers of each instance; each has a rule of its name; the last one is a cluster."""

    def make(name: str) -> None:
        if name in BACKUP_FIRST:
            make_rules(world, name, backup_first=BACKUP_FIRST[name])
            return
        world.make_instance(Made(name, shards=2, ballast_bytes=0))
        source = {"provider": "elasticache", "instance": name}
        answer = ask(world, create_event(name=name, source=source, prefix=""))
        assert "error" not in answer, answer

    with ThreadPoolExecutor(len(INSTANCES)) as pool:
        list(pool.map(make, INSTANCES))
    found = {name: world.cloud.elasticache.ports(name) for name in INSTANCES}
    make_hooks(world, found, [(DEMANDING, "freeze")], FUNCTIONS)
    return found


@pytest.fixture(scope="module")
def night(world: World, ports: dict[str, tuple[int, ...]]) -> dict[str, tuple[str, Answer]]:
    """By rule how its run ended and what history tells of it: of the timers' runs and of one that is asked for."""
    for name in INSTANCES:
        world.note_digests(name, ports[name])
    fired = {name: world.cloud.fire(STACK, name) for name in BACKUP_FIRST}
    asked = send(world, "backup_now", PLAIN)["run"]
    ended = {name: world.cloud.wait_for_execution(execution)["Status"] for name, execution in fired.items()}
    runs = {name: send(world, "history", name)["runs"][0] for name in BACKUP_FIRST}
    runs[PLAIN] = world.wait_for_run(PLAIN, asked)
    ended[PLAIN] = "SUCCEEDED" if runs[PLAIN]["state"] == "succeeded" else "FAILED"
    return {name: (ended[name], runs[name]) for name in INSTANCES}


def made_backups(world: World, instance: str) -> list[str]:
    """The backups that runs have asked for and that the provider still has."""
    pages = world.cloud.client("elasticache").get_paginator("describe_snapshots").paginate()
    snapshots = [snapshot for page in pages for snapshot in page["Snapshots"]]
    # With cluster mode off a backup is filed under a node: `frozen-001`.
    owners = {one["SnapshotName"]: one.get("ReplicationGroupId") or one["CacheClusterId"][:-4] for one in snapshots}
    own = [name for name, owner in owners.items() if owner == instance]
    return [name for name in own if name.startswith("rdbkeeper-")]


def manifests(world: World, rule: str) -> list[Mapping[str, Any]]:
    return [manifest for manifest in read_manifests(world) if manifest["rule"] == rule]


def reasons(run: Answer) -> dict[str, str]:
    """Each outcome's reason by its status."""
    return {outcome["status"]: outcome["reason"] for outcome in run["outcomes"]}


def test_a_backup_around_which_writes_were_frozen_is_consistent_for_its_application(
    world: World, night: dict[str, tuple[str, Answer]]
) -> None:
    status, run = night[FROZEN]
    assert (status, reasons(run)) == ("SUCCEEDED", {"copied": "Published"})
    (manifest,) = manifests(world, FROZEN)
    assert (manifest["consistency"], manifest["level"], manifest["source"]["automatic"]) == (
        "application",
        "verified",
        False,
    )
    assert HOOKS_OF[FROZEN]["freeze"] in manifest["consistency_reason"]
    assert all(load_and_compare(world, manifest, file, None) for file in manifest["files"])


def test_a_rule_whose_hook_is_missing_falls_back_and_its_copy_says_so(
    world: World, night: dict[str, tuple[str, Answer]]
) -> None:
    status, run = night[FALLING_BACK]
    assert (status, reasons(run)) == ("SUCCEEDED", {"less consistent": "HookMissing", "copied": "Published"})
    (manifest,) = manifests(world, FALLING_BACK)
    assert manifest["consistency"] == "point-in-time"
    assert "writes could not be frozen" in manifest["consistency_reason"]
    assert NO_HOOK in manifest["consistency_reason"]


def test_a_rule_that_demands_what_cannot_be_had_fails_and_asks_for_no_backup(
    world: World, night: dict[str, tuple[str, Answer]]
) -> None:
    status, run = night[DEMANDING]
    assert (status, reasons(run)) == ("FAILED", {"failed": "ConsistencyMissed"})
    assert "Hint: " in run["outcomes"][0]["detail"]
    assert manifests(world, DEMANDING) == []


def test_a_backup_that_is_asked_for_now_is_made_and_copied_by_a_rule_that_makes_none_itself(
    world: World, night: dict[str, tuple[str, Answer]]
) -> None:
    status, run = night[PLAIN]
    assert (status, reasons(run)) == ("SUCCEEDED", {"copied": "Published"})
    (manifest,) = manifests(world, PLAIN)
    assert manifest["consistency"] == "point-in-time"
    assert all(load_and_compare(world, manifest, file, None) for file in manifest["files"])
    assert world.fire(PLAIN) == "SUCCEEDED"
    assert len(manifests(world, PLAIN)) == 1


@pytest.mark.usefixtures("night")
def test_what_runs_have_made_is_gone_at_the_provider_once_it_is_copied(world: World) -> None:
    assert {name: made_backups(world, name) for name in INSTANCES} == {name: [] for name in INSTANCES}


@pytest.mark.usefixtures("night")
def test_no_writes_are_left_frozen(ports: dict[str, tuple[int, ...]]) -> None:
    assert {name: is_frozen(ports[name][0]) for name in INSTANCES} == dict.fromkeys(INSTANCES, False)


@pytest.mark.usefixtures("night")
def test_the_hourly_look_thaws_what_a_stopped_run_has_left_frozen_as_soon_as_it_can(
    world: World, ports: dict[str, tuple[int, ...]]
) -> None:
    world.cloud.elasticache.hold_snapshots(True)
    try:
        execution = world.cloud.fire(STACK, FROZEN)
        wait_until(lambda: bool(made_backups(world, FROZEN)), "a backup")
        assert told(reconcile(world)["repairs"], FROZEN) == []
        assert is_frozen(ports[FROZEN][0])

        world.cloud.client("lambda").stop_durable_execution(DurableExecutionArn=execution)
        assert world.cloud.wait_for_execution(execution)["Status"] == "STOPPED"
        change_hooks(world, ports, [(FROZEN, "thaw")], HOOKS_OF[FROZEN].values())
        failures = [(failure["rule"], failure["code"]) for failure in reconcile(world)["failures"]]
        assert (failures, is_frozen(ports[FROZEN][0])) == ([(FROZEN, "HookFailed")], True)

        change_hooks(world, ports, names=HOOKS_OF[FROZEN].values())
        assert told(reconcile(world)["repairs"], FROZEN) == [("WritesThawed", FROZEN)]
        assert not is_frozen(ports[FROZEN][0])
    finally:
        world.cloud.elasticache.hold_snapshots(False)


def test_a_rule_is_refused_whose_hooks_are_not_both_there(world: World) -> None:
    answer = ask(
        world,
        {
            "action": "create",
            "rule": {
                "name": "half",
                "source": {"provider": "elasticache", "instance": PLAIN},
                "cycle": {"kind": "manual"},
                "backup_first": {"freeze": HOOKS_OF[FROZEN]["freeze"]},
            },
        },
    )
    assert answer["error"]["field"] == "rule.backup_first.thaw"
