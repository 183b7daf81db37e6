"""Runs of a real function against real Redis servers, on nights when something is wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from tests.demo.checks import load_and_compare, read_manifests
from tests.demo.world import World, wait_until_available
from tests.end_to_end.conftest import ORDERS
from tests.local_cloud.dataset import digest

RULE = "orders-nightly"
FUNCTION = f"rdbkeeper-rule-{RULE}"
FIRST_NIGHT = datetime(2026, 10, 1, 2, 15, tzinfo=UTC)
_nights = count()


@pytest.fixture(scope="module", autouse=True)
def rule(world: World) -> None:
    """One rule for all nights; what a test makes of it, it undoes."""
    world.make_instance(ORDERS)
    world.send("create_rule")


@pytest.fixture(autouse=True)
def quiet(world: World) -> Iterator[None]:
    """Each test has backups of its own; it ends with a quiet cloud."""
    yield
    elasticache = world.cloud.elasticache
    elasticache.hold_exports(False)
    world.cloud.s3.faults.forgive()
    for name in world.listed_backups():
        wait_until_available(world.cloud.client("elasticache"), name)
        world.cloud.client("elasticache").delete_snapshot(SnapshotName=name)


def take_backup(world: World, name: str) -> str:
    """A manual backup of a night of its own, later than every earlier one."""
    taken_at = FIRST_NIGHT + timedelta(days=next(_nights))
    world.cloud.elasticache.take_manual_backup(name, "orders", taken_at)
    for number, port in enumerate(world.cloud.elasticache.ports("orders"), start=1):
        world.digests[name, f"{number:04d}"] = digest(port)
    return name


def log_lines(world: World) -> list[dict[str, str]]:
    """The rule's log without Lambda's own records; every line names rule, run and backup."""
    lines = [json.loads(event["message"]) for event in world.log_events(RULE)]
    own = [line for line in lines if not line.get("type", "").startswith("platform.")]
    assert all({"rule", "run", "backup"} <= line.keys() for line in own)
    return own


def outcomes(world: World) -> dict[str, str]:
    """The reason of each backup's last outcome, from the rule's log."""
    return {line["backup"]: line["reason"] for line in log_lines(world) if line.get("event") == "BackupOutcome"}


def reports(world: World) -> list[str]:
    return [line["message"] for line in log_lines(world) if line.get("event") == "RunFinished"]


def copied(world: World) -> list[str]:
    return [manifest["source"]["backup_id"] for manifest in read_manifests(world)]


def open_uploads(world: World) -> list[str]:
    found = world.cloud.client("s3").list_multipart_uploads(Bucket=world.vault_bucket)
    return [upload["Key"] for upload in found.get("Uploads", ())]


@pytest.mark.parametrize(("mode", "reason"), [("flip", "ChecksumMismatch"), ("truncate", "EndMarkerMissing")])
def test_a_damaged_file_is_a_failed_outcome_and_the_others_are_copied(world: World, mode: str, reason: str) -> None:
    bad, good = take_backup(world, f"bad-{mode}"), take_backup(world, f"good-{mode}")
    world.cloud.elasticache.damage(bad, "0002", mode)

    assert world.fire(RULE) == "FAILED"
    assert (outcomes(world)[bad], outcomes(world)[good]) == (reason, "Published")
    assert good in copied(world)
    assert bad not in copied(world)
    assert not any(f"-{bad}/" in key for key in world.vault_objects())
    assert open_uploads(world) == []
    assert world.staged_objects() == []

    world.cloud.elasticache.repair(bad)
    assert world.fire(RULE) == "SUCCEEDED"
    assert bad in copied(world)


def test_a_vault_that_denies_is_a_failed_outcome_and_the_next_run_tries_again(world: World) -> None:
    name = take_backup(world, "denied")
    world.cloud.s3.faults.deny("UploadPart")
    assert world.fire(RULE) == "FAILED"
    assert outcomes(world)[name] == "VaultDenied"
    assert name not in copied(world)
    assert open_uploads(world) == []

    world.cloud.s3.faults.forgive()
    assert world.fire(RULE) == "SUCCEEDED"
    assert name in copied(world)


def test_a_complete_whose_answer_is_lost_makes_one_copy(world: World) -> None:
    name = take_backup(world, "lost-answer")
    world.cloud.s3.faults.lose_answer_once("CompleteMultipartUpload")
    assert world.fire(RULE) == "SUCCEEDED"
    assert copied(world).count(name) == 1


def test_a_process_that_is_killed_while_it_runs_is_followed_by_one_whole_copy(world: World) -> None:
    name = take_backup(world, "killed")
    world.cloud.elasticache.hold_exports(True)
    execution = world.cloud.fire("rdbkeeper", RULE)
    wait_for_export_request(world, name)
    failures = world.cloud.functions.failures
    before = len(failures)
    # Between two looks at the export the process is idle; a kill counts once it has cut an invocation off.
    for _ in range(200):
        world.cloud.functions.kill(FUNCTION)
        if len(failures) > before:
            break
        time.sleep(0.05)
    assert len(failures) > before
    world.cloud.elasticache.hold_exports(False)

    assert world.cloud.wait_for_execution(execution)["Status"] == "SUCCEEDED"
    assert copied(world).count(name) == 1
    assert open_uploads(world) == []
    (manifest,) = [found for found in read_manifests(world) if found["source"]["backup_id"] == name]
    assert all(load_and_compare(world, manifest, file, None) for file in manifest["files"])


def wait_for_export_request(world: World, backup_id: str) -> None:
    """Return once the rule's function has asked for the export of this backup."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any((line.get("event"), line["backup"]) == ("ExportRequested", backup_id) for line in log_lines(world)):
            return
        time.sleep(0.05)
    raise AssertionError("the run did not ask for an export")


def test_deleting_a_rule_stops_its_run_and_leaves_no_upload(world: World) -> None:
    name = take_backup(world, "deleted")
    world.cloud.elasticache.hold_exports(True)
    execution = world.cloud.fire("rdbkeeper", RULE)
    wait_for_export_request(world, name)
    answer = world.send("delete_rule")
    assert answer["stopped_runs"] == 1
    assert world.cloud.wait_for_execution(execution)["Status"] == "STOPPED"
    assert name not in copied(world)
    assert open_uploads(world) == []
    world.send("create_rule")


def test_a_second_timer_does_nothing_while_a_run_is_going(world: World) -> None:
    name = take_backup(world, "twice")
    world.cloud.elasticache.hold_exports(True)
    first = world.cloud.fire("rdbkeeper", RULE)
    wait_for_export_request(world, name)
    second = world.cloud.fire("rdbkeeper", RULE)
    ended = world.cloud.wait_for_execution(second)
    assert json.loads(ended["Result"])["refused"] == "RunIsGoing"
    world.cloud.elasticache.hold_exports(False)
    assert world.cloud.wait_for_execution(first)["Status"] == "SUCCEEDED"
    assert copied(world).count(name) == 1


def test_the_report_is_one_line_in_the_log(world: World) -> None:
    take_backup(world, "reported")
    world.fire(RULE)
    (line,) = reports(world)[-1:]
    assert line.startswith("orders-nightly: 1 backup found, 0 already kept, 1 copied (2 files, ")
    assert "verified, 0 failed; next run " in line
    assert line.endswith(" 02:30 Asia/Tokyo")


def test_a_file_without_a_manifest_that_is_not_the_backup_s_is_removed_and_copied_again(world: World) -> None:
    name = take_backup(world, "half-published")
    world.cloud.s3.faults.deny("PutObject", "redis/orders/manifests/")
    assert world.fire(RULE) == "FAILED"
    left = sorted(key for key in world.vault_objects() if f"-{name}/" in key)
    assert len(left) == 2
    world.cloud.s3.faults.forgive()
    world.cloud.client("s3").put_object(Bucket=world.vault_bucket, Key=left[0], Body=b"somebody else's")

    assert world.fire(RULE) == "SUCCEEDED"
    assert copied(world).count(name) == 1
    events = {line.get("key"): line["event"] for line in log_lines(world) if line.get("event", "").startswith("Frag")}
    assert events == {left[0]: "FragmentRemoved", left[1]: "FragmentAdopted"}


def test_deleting_a_rule_ends_the_upload_that_its_run_could_not_end(world: World) -> None:
    name = take_backup(world, "left-open")
    world.cloud.s3.faults.deny("UploadPart")
    world.cloud.s3.faults.deny("AbortMultipartUpload")
    assert world.fire(RULE) == "FAILED"
    assert outcomes(world)[name] == "VaultDenied"
    assert open_uploads(world)
    world.cloud.s3.faults.forgive()

    world.send("delete_rule")
    assert open_uploads(world) == []
    world.send("create_rule")
