"""What becomes of the rules when their stack is updated, and when it is deleted."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.demo.world import STACK, World
from tests.end_to_end.asking import Answer, make_rules, reconcile, told
from tests.end_to_end.by_hand import OWN_ROLE, held_exports, make_own_role, wait_until
from tests.local_cloud.deploy import DEFAULT_TEMPLATE, REPOSITORY

RECONCILING_LOG = f"/aws/lambda/{STACK}-reconcile-rules"
# One has a run going while the stack is updated, one is idle, one has lost its tags, one runs under a role of its own.
RULES = BUSY, IDLE, LOST, OWN = "busy", "idle", "lost", "own"


def function(rule: str) -> str:
    return f"{STACK}-rule-{rule}"


def configuration(world: World, rule: str, qualifier: str = "live") -> dict[str, Any]:
    found: dict[str, Any] = world.cloud.client("lambda").get_function_configuration(
        FunctionName=function(rule), Qualifier=qualifier
    )
    return found


def versions(world: World, rule: str) -> list[str]:
    listed = world.cloud.client("lambda").list_versions_by_function(FunctionName=function(rule))["Versions"]
    return sorted(version["Version"] for version in listed if version["Version"] != "$LATEST")


def asks_for_export(world: World, rule: str, backup: str) -> bool:
    lines = (json.loads(event["message"]) for event in world.log_events(rule))
    return any((line.get("event"), line.get("backup")) == ("ExportRequested", backup) for line in lines)


def reconcilings(world: World) -> list[str]:
    """The line of each reconciling so far."""
    events = world.cloud.client("logs").filter_log_events(logGroupName=RECONCILING_LOG)["events"]
    lines = (json.loads(event["message"]) for event in events)
    return [line["message"] for line in lines if line.get("event") == "Reconciled"]


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template of a release whose functions' code is another."""
    root = tmp_path_factory.mktemp("release")
    for folder in ("functions", "layers"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "functions" / "run_rule" / "release.py").write_text('"""What is new."""\n')
    return Path(shutil.copy(DEFAULT_TEMPLATE, root))


def deploy(world: World, template: Path, **parameters: str) -> None:
    world.deployment = world.cloud.deploy(
        stack=STACK, template=template, parameters=parameters, layer_note="next release"
    )


@pytest.fixture(scope="module")
def rules(world: World) -> dict[str, Answer]:
    """The rules' functions as they are before the update; one has lost its tags, and nobody knows whose it is."""
    make_rules(world, BUSY, IDLE, LOST)
    make_own_role(world)
    make_rules(world, OWN, role=OWN_ROLE)
    tags = {"Resource": arn_of_function(world, LOST), "TagKeys": ["rdbkeeper:stack", "rdbkeeper:rule"]}
    world.cloud.client("lambda").untag_resource(**tags)
    return {name: configuration(world, name) for name in RULES}


def arn_of_function(world: World, rule: str) -> str:
    return f"arn:aws:lambda:{world.cloud.region}:{world.cloud.account_id}:function:{function(rule)}"


@dataclass(frozen=True)
class Updated:
    """What was there when the stack had been updated, while the run still was going, and how that ended."""

    line: str
    functions: dict[str, Answer]
    while_going: Answer
    versions_while_going: list[str]
    ended: dict[str, Any]


@pytest.fixture(scope="module")
def updated(world: World, rules: dict[str, Answer], next_release: Path) -> Updated:
    """The stack gets new code, a new layer, more memory, and no role for rules any more, while a run is going."""
    backup = world.cloud.elasticache.take_automatic_backup(BUSY)
    with held_exports(world):
        execution = world.cloud.fire(STACK, BUSY)
        wait_until(lambda: asks_for_export(world, BUSY, backup), "an export")
        before = reconcilings(world)
        deploy(world, next_release, RunMemoryMegabytes="2048", AllowedRuleRoleArns="")
        (line,) = reconcilings(world)[len(before) :]
        functions = {name: configuration(world, name) for name in RULES}
        while_going = reconcile(world)
        versions_while_going = versions(world, BUSY)
    ended = world.cloud.wait_for_execution(execution)
    return Updated(line, functions, while_going, versions_while_going, ended)


def test_a_rule_may_run_under_a_role_of_its_own(world: World, rules: dict[str, Answer]) -> None:
    assert [rules[name]["Role"].rpartition("/")[2] for name in (OWN, IDLE)] == [
        OWN_ROLE,
        world.deployment.resources["RunRuleRole"],
    ]
    assert world.fire(OWN) == "SUCCEEDED"


def test_an_update_of_the_stack_reaches_every_rule(world: World, rules: dict[str, Answer], updated: Updated) -> None:
    for name in (BUSY, IDLE):
        before, after = rules[name], updated.functions[name]
        assert (before["Version"], after["Version"]) == ("1", "2")
        assert (before["MemorySize"], after["MemorySize"]) == (1024, 2048)
        assert [layer["Arn"] for layer in after["Layers"]] == [world.deployment.resources["RdbkeeperLayer"]]
        assert (after["Layers"] != before["Layers"], after["CodeSha256"] != before["CodeSha256"]) == (True, True)


def test_a_run_that_is_going_ends_on_the_version_that_it_began_with(world: World, updated: Updated) -> None:
    assert (updated.ended["Status"], updated.ended["Version"]) == ("SUCCEEDED", "1")
    assert any(key.startswith(f"{BUSY}/manifests/") for key in world.vault_objects())
    finished = [one for one in world.log_events(BUSY) if '"RunFinished"' in one["message"]]
    assert ["[1]" in one["logStreamName"] for one in finished] == [True]


def test_an_old_version_is_removed_when_no_run_needs_it_any_more(world: World, updated: Updated) -> None:
    assert told(updated.while_going["repairs"], IDLE) == [("VersionRemoved", function(IDLE))]
    assert told(updated.while_going["repairs"], BUSY) == []
    assert (versions(world, IDLE), updated.versions_while_going) == (["2"], ["1", "2"])
    assert told(reconcile(world)["repairs"], BUSY) == [("VersionRemoved", function(BUSY))]
    assert versions(world, BUSY) == ["2"]


def test_a_rule_that_cannot_follow_fails_no_update_and_is_told(
    world: World, rules: dict[str, Answer], updated: Updated
) -> None:
    assert updated.line == "4 rules checked, 4 repairs, 2 reports, 0 failed"
    assert told(updated.while_going["reports"], LOST) == [("NotOurs", function(LOST))]
    assert told(updated.while_going["reports"], OWN) == [("RoleNotAllowed", function(OWN))]
    for name in (LOST, OWN):
        assert updated.functions[name] | {"ResponseMetadata": {}} == rules[name] | {"ResponseMetadata": {}}
    assert world.fire(OWN) == "SUCCEEDED"


@pytest.fixture(scope="module")
def mended(world: World, updated: Updated, next_release: Path) -> list[str]:
    """The tags are put back, and the role is allowed again; the reconcilings that followed from that."""
    tags = {"rdbkeeper:stack": STACK, "rdbkeeper:rule": LOST}
    world.cloud.client("lambda").tag_resource(Resource=arn_of_function(world, LOST), Tags=tags)
    before = reconcilings(world)
    role = f"arn:aws:iam::{world.cloud.account_id}:role/{OWN_ROLE}"
    deploy(world, next_release, AllowedRuleRoleArns=role)
    return reconcilings(world)[len(before) :]


def test_rules_follow_once_what_kept_them_from_it_is_gone(world: World, mended: list[str]) -> None:
    assert len(mended) == 1
    assert [configuration(world, name)["MemorySize"] for name in (LOST, OWN)] == [2048, 2048]
    reconcile(world)
    assert reconcile(world, closely=True)["line"] == "4 rules checked, 0 repairs, 0 reports, 0 failed"


def test_an_update_that_changes_nothing_asks_for_no_reconciling(
    world: World, updated: Updated, next_release: Path
) -> None:
    before = reconcilings(world)
    deploy(world, next_release)
    assert reconcilings(world) == before


def copies_kept(world: World) -> dict[str, int]:
    """Everything in the vault but what only says who keeps copies there."""
    return {key: size for key, size in world.vault_objects().items() if not key.endswith("/claim.json")}


def test_with_the_stack_go_the_functions_schedules_and_alarms_and_nothing_that_somebody_may_want(
    world: World, mended: list[str]
) -> None:
    cloud = world.cloud
    cloud.elasticache.take_manual_backup("the-last-one", IDLE)
    cloud.elasticache.hold_exports(True)
    going = cloud.fire(STACK, IDLE)
    wait_until(lambda: asks_for_export(world, IDLE, "the-last-one"), "an export")
    kept, table = copies_kept(world), world.deployment.resources["Table"]
    assert kept

    cloud.delete_stack(world.deployment, unrelated_first=True)
    assert cloud.executions.status(going)["Status"] == "STOPPED"
    assert (world.function_names(), cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]) == ([], [])
    assert cloud.client("scheduler").list_schedules()["Schedules"] == []
    groups = cloud.client("logs").describe_log_groups()["logGroups"]
    assert [group["logGroupName"] for group in groups] == [f"/aws/lambda/{function(name)}" for name in RULES]
    assert copies_kept(world) == kept
    rows = cloud.client("dynamodb").scan(TableName=table)["Items"]
    assert sorted(row["sk"]["S"] for row in rows if row["pk"]["S"] == "rules") == sorted(RULES)
