"""Backups that several sandboxes copy at once, and runs that hand over: real functions, roles and Redis files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup import Shard, StagedFile
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.selection import MOST_BACKUPS_PER_RUN
from rdbkeeper.domain.transfer import DEFAULT_PART_BYTES, FileTransfer, Piece, Transfer
from rdbkeeper.flows.runs.context import Ticket
from rdbkeeper.flows.runs.worker import write_share
from tests.demo.checks import load_and_compare, read_manifests
from tests.demo.world import STACK, Made, World
from tests.end_to_end.asking import ask, create_event, make_rules, send, show
from tests.end_to_end.by_hand import (
    OWN_ROLE,
    ago,
    grant_own_role,
    key,
    make_own_role,
    put_row,
    remove_row,
    wait_until,
)
from tests.local_cloud.dataset import digest
from tests.local_cloud.permissions.calls import Call
from tests.local_cloud.server import ACCOUNT_ID

WORKER = f"{STACK}-copy-leg"
# Three files of at least a part each; all of them together are above a threshold that a test can reach.
THREE_SHARDS = Made("carts", shards=3, ballast_bytes=0)
SPREAD_FROM_GIGABYTES = "0.000001"
NOW = datetime(2026, 10, 1, tzinfo=UTC)
WORKERS = 3


@pytest.fixture(scope="module", autouse=True)
def rule(world: World) -> None:
    """One rule, made after the prototype was told to share out whatever has more than a kilobyte."""
    share_out_from(world, SPREAD_FROM_GIGABYTES)
    world.make_instance(THREE_SHARDS)
    answer = ask(world, create_event(name="carts", source={"provider": "elasticache", "instance": "carts"}))
    assert "error" not in answer, answer


def share_out_from(world: World, gigabytes: str) -> None:
    client = world.cloud.client("lambda")
    name = f"{STACK}-run-rule"
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    variables |= {"RDBKEEPER_SPREAD_FROM_GIGABYTES": gigabytes, "RDBKEEPER_WORKERS_PER_RULE": str(WORKERS)}
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


@pytest.fixture(autouse=True)
def quiet(world: World) -> Iterator[None]:
    yield
    world.cloud.s3.faults.forgive()


def take_backup(world: World, name: str) -> str:
    """A manual backup of a time of its own."""
    world.cloud.elasticache.take_manual_backup(name, "carts", NOW + timedelta(hours=len(world.digests)))
    for number, port in enumerate(world.cloud.elasticache.ports("carts"), start=1):
        world.digests[name, f"{number:04d}"] = digest(port)
    return name


def worker_lines(world: World, backup: str) -> list[dict[str, Any]]:
    """What the workers logged about a backup; every line names the rule and the run."""
    pages = world.cloud.client("logs").get_paginator("filter_log_events")
    events = [event for page in pages.paginate(logGroupName=f"/aws/lambda/{WORKER}") for event in page["events"]]
    lines = [json.loads(event["message"]) for event in events]
    own = [line for line in lines if line.get("backup") == backup]
    assert all({"rule", "run"} <= line.keys() for line in own)
    return own


@contextmanager
def watched(world: World, watch: Callable[[str, Call], None]) -> Iterator[None]:
    """Tell `watch` of each call of the stack's functions before it is answered."""
    world.cloud.watchers.append(watch)
    try:
        yield
    finally:
        world.cloud.watchers.remove(watch)


def rule_lines(world: World, rule: str) -> list[dict[str, Any]]:
    return [json.loads(event["message"]) for event in world.log_events(rule)]


def manifest_of(world: World, backup: str) -> Any:
    (found,) = [manifest for manifest in read_manifests(world) if manifest["source"]["backup_id"] == backup]
    return found


def assert_whole(world: World, backup: str) -> None:
    """There is one copy of the backup, verified, each file of which a real server loads as it was."""
    manifest = manifest_of(world, backup)
    assert manifest["level"] == "verified"
    assert len(manifest["files"]) == THREE_SHARDS.shards
    assert all(load_and_compare(world, manifest, file, None) for file in manifest["files"])
    uploads = world.cloud.client("s3").list_multipart_uploads(Bucket=world.vault_bucket)
    assert "Uploads" not in uploads
    assert world.staged_objects() == []


def test_a_large_backup_is_copied_by_several_workers_in_the_name_of_its_run(world: World) -> None:
    name = take_backup(world, "spread")
    execution = world.cloud.fire(STACK, "carts")
    assert world.cloud.wait_for_execution(execution)["Status"] == "SUCCEEDED"
    lines = [line for line in worker_lines(world, name) if line.get("event") == "LegDone"]
    assert len(lines) == WORKERS
    assert {(line["rule"], line["run"]) for line in lines} == {("carts", execution.rsplit("/", 1)[-1])}
    assert_whole(world, name)


def test_a_worker_that_dies_costs_its_share_a_round_and_nothing_else(world: World) -> None:
    name = take_backup(world, "killed-worker")
    failures = world.cloud.functions.failures
    before = len(failures)

    killed: list[int] = []

    def kill_once(role: str, call: Call) -> None:
        if call.operation == "UploadPart" and not killed:
            killed.extend(world.cloud.functions.kill(WORKER))

    with watched(world, kill_once):
        assert world.fire("carts") == "SUCCEEDED"
    assert "Runtime.ExitError" in {failure.error.type for failure in failures[before:]}
    assert_whole(world, name)


def test_a_copy_that_was_never_published_is_read_again_by_several_workers(world: World) -> None:
    name = take_backup(world, "half-published")
    world.cloud.s3.faults.deny("PutObject", "redis/carts/manifests/")
    assert world.fire("carts") == "FAILED"
    world.cloud.s3.faults.forgive()
    assert world.fire("carts") == "SUCCEEDED"
    runs = [line["run"] for line in worker_lines(world, name) if line.get("event") == "LegDone"]
    assert [runs.count(run) for run in dict.fromkeys(runs)] == [WORKERS, WORKERS]
    adopted = [line["backup"] for line in rule_lines(world, "carts") if line.get("event") == "FragmentAdopted"]
    assert adopted == [name] * THREE_SHARDS.shards
    assert_whole(world, name)


def test_a_run_that_must_not_call_workers_copies_alone_and_says_so(world: World) -> None:
    make_own_role(world)
    grant_own_role(world, without="CopyWithWorkers")
    give_role(world, OWN_ROLE)
    name = take_backup(world, "alone")
    assert world.fire("carts") == "SUCCEEDED"
    assert worker_lines(world, name) == []
    told = [line["backup"] for line in rule_lines(world, "carts") if line.get("event") == "CopiedAlone"]
    assert told == [name]
    assert_whole(world, name)
    give_role(world, "")


def give_role(world: World, role: str) -> None:
    send(world, "update", "carts", revision=show(world, "carts")["revision"], rule={"role": role})


@contextmanager
def lease_of_a_run(world: World) -> Iterator[str]:
    """The ARN of a run that holds the rule's lease for as long."""
    execution = f"arn:aws:lambda:us-east-1:{ACCOUNT_ID}:function:{STACK}-rule-carts:1/durable-execution/by-hand/1"
    put_row(world, key("rule#carts", "lease") | {"owner": {"S": execution}, "renewed_at": {"S": ago(hours=0)}})
    try:
        yield execution
    finally:
        remove_row(world, "rule#carts", "lease")


def ask_worker(world: World, execution: str, file: FileTransfer) -> Any:
    """What a worker answers to a share of one file, sent in the name of a run."""
    rule = Rule(
        name="carts",
        provider="elasticache",
        instance="carts",
        cycle=Cycle(kind="manual", time_zone="UTC"),
        created_at=NOW,
    )
    share = (Piece(file.name, 1, 1),)
    request = write_share(rule, Ticket("20261001T000000Z-gone", "gone", "1"), execution, Transfer((file,)), share, 1)
    answer = world.cloud.client("lambda").invoke(FunctionName=WORKER, Payload=json.dumps(request).encode())
    return json.loads(answer["Payload"].read())


STAGED = StagedFile(Shard("0001", ""), "no-such-file-0001.rdb", 100, '"etag"')
TO_COPY = FileTransfer(STAGED, "", "no-such-upload", DEFAULT_PART_BYTES)
TO_READ_AGAIN = FileTransfer(STAGED, "", "", DEFAULT_PART_BYTES, '"etag"')


@pytest.mark.parametrize("file, code", [(TO_COPY, "BackupGone"), (TO_READ_AGAIN, "StoreMismatch")])
def test_a_worker_tells_what_is_gone_from_what_it_must_not_read(world: World, file: FileTransfer, code: str) -> None:
    """As where somebody empties a bucket between a run's look at it and its workers' reading."""
    with lease_of_a_run(world) as execution:
        assert ask_worker(world, execution, file)["failed"]["code"] == code


def test_a_worker_does_nothing_for_a_run_that_has_lost_its_lease(world: World) -> None:
    with lease_of_a_run(world) as execution:
        answer = ask_worker(world, execution.replace("by-hand", "earlier"), TO_COPY)
    assert answer["failed"]["code"] == "LeaseLost"


def test_a_run_that_has_no_room_for_all_hands_the_rest_to_another(world: World) -> None:
    make_rules(world, "many")
    elasticache = world.cloud.elasticache
    for number in range(MOST_BACKUPS_PER_RUN + 1):
        elasticache.take_manual_backup(f"many-{number:02d}", "many", NOW + timedelta(hours=number))
    # Copying them all would take a minute: the first run fails at each, and the second one finds all well again.
    elasticache.deny("CopySnapshot")

    def allow_once_handed_over(role: str, call: Call) -> None:
        if (call.service, call.operation) == ("lambda", "Invoke"):
            elasticache.allow("CopySnapshot")

    with watched(world, allow_once_handed_over):
        first = world.cloud.fire(STACK, "many")
        assert world.cloud.wait_for_execution(first)["Status"] == "FAILED"
        wait_until(lambda: len(ended_runs(world, "many")) == 2, "the end of the second run")
    handed_over = [line["run"] for line in rule_lines(world, "many") if line.get("event") == "HandedOver"]
    assert handed_over == [first.rsplit("/", 1)[-1]]
    # The second one took what was left, and not what had failed a moment ago.
    copied = [manifest["source"]["backup_id"] for manifest in read_manifests(world) if manifest["rule"] == "many"]
    assert copied == [f"many-{MOST_BACKUPS_PER_RUN:02d}"]


def ended_runs(world: World, rule: str) -> list[Any]:
    return [run for run in world.send("rule_history", name=rule)["runs"] if run["state"] != "going"]
