"""A rule whose function's process is killed with SIGKILL, fifty times and more, and one quiet run after that."""

from __future__ import annotations

import compileall
import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.demo.checks import read_manifests
from tests.demo.world import World
from tests.end_to_end.conftest import ORDERS
from tests.end_to_end.killing import Killer, at_random, soon_after

pytestmark = pytest.mark.slow

RULE = "orders-nightly"
FUNCTION = f"rdbkeeper-rule-{RULE}"
PLACE = "redis/orders/"
FIRST_NIGHT = datetime(2026, 10, 1, 2, 15, tzinfo=UTC)
SEED = 20261001
KILLS = 50
MOST_KILLS = KILLS + 2
# A leg may begin ten times, so in one run a process may be killed nine times in the same leg.
MOST_KILLS_A_NIGHT = 9
MOST_NIGHTS = 16
# A run of one backup makes about eighty calls.
FIRST_CALLS, MOST_CALLS = 60, 24
# One call of each stage of a run, in the order in which a run comes to it.
STAGES = (
    "DescribeSnapshots",  # scan
    "CopySnapshot",  # ask for the export
    "CreateMultipartUpload",  # open the transfer
    "GetObject",  # copy: read
    "UploadPart",  # copy: put
    "CompleteMultipartUpload",  # publish: data
    "PutObject",  # publish: manifest
    "DeleteObject",  # let go of the export
    "UpdateItem",  # report
)
# What a run does, by calls that it makes then.
WORK = {
    "copying": {"GetObject", "UploadPart"},
    "publishing": {"CompleteMultipartUpload", "HeadObject", "PutObject"},
    "writing to the table": {"PutItem", "UpdateItem", "DeleteItem"},
    "noting that a step is done": {"CheckpointDurableExecution"},
}
LARGE_VALUE_BYTES = 20 * 1024 * 1024


@dataclass
class Nights:
    """Backups of the nights so far, each with the sum of each of its files, and how the night's run ended."""

    world: World
    backups: dict[str, dict[str, str]] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    def take_backups(self, count: int) -> None:
        """Take backups of a new night, each of other data."""
        for number in range(count):
            self.world.write_more(ORDERS)
            name = f"night-{len(self.backups):02d}"
            taken_at = FIRST_NIGHT + timedelta(days=len(self.ended), hours=number)
            elasticache = self.world.cloud.elasticache
            elasticache.take_manual_backup(name, ORDERS.instance, taken_at)
            files = elasticache.backup_files(name)
            self.backups[name] = {shard: _sum_of(file.read_bytes()) for shard, file in files.items()}

    def begin(self) -> str:
        return self.world.cloud.fire("rdbkeeper", RULE)

    def end(self, execution: str) -> None:
        self.ended.append(self.world.cloud.wait_for_execution(execution)["Status"])


@dataclass(frozen=True)
class Aftermath:
    """What the killing was, and what is there after the quiet run."""

    world: World
    nights: Nights
    hits: list[str]
    manifests: list[Mapping[str, Any]]


@pytest.fixture(scope="module")
def after(world: World) -> Aftermath:
    """Nights on which the function is killed, at every stage of a run and then at random, and a quiet one."""
    # The service waits before it repeats an invocation, ever longer; here that only takes time.
    world.cloud.executions.executor.RETRY_BACKOFF_SECONDS = 0.05
    world.make_instance(ORDERS)
    _make_first_shard_large(world)
    world.send("create_rule")
    nights = Nights(world)
    nights.end(nights.begin())
    # Some sixty processes are started from here on; none of them has to compile the code anew.
    compileall.compile_dir(world.cloud.functions.folder, quiet=2)
    chance = random.Random(SEED)
    killer = Killer(world.cloud, FUNCTION, world.deployment.resources["RunRuleRole"])
    _go_through(nights, killer, soon_after(STAGES, chance), count=1)
    while len(killer.hits) < KILLS and len(nights.ended) < MOST_NIGHTS:
        _go_through(nights, killer, at_random(chance, FIRST_CALLS, MOST_CALLS), count=chance.choice((1, 1, 1, 2)))
    nights.take_backups(1)
    nights.end(nights.begin())
    return Aftermath(world, nights, killer.hits, read_manifests(world))


def _go_through(nights: Nights, killer: Killer, moments: Iterator[Any], count: int) -> None:
    nights.take_backups(count)
    execution = nights.begin()
    killer.strike(execution, moments, min(MOST_KILLS_A_NIGHT, MOST_KILLS - len(killer.hits)))
    nights.end(execution)


def _make_first_shard_large(world: World) -> None:
    """Let one file have two parts, and the others one."""
    value = random.Random(SEED).randbytes(LARGE_VALUE_BYTES)
    with world.cloud.elasticache.engines(ORDERS.instance)[0].client() as client:
        names = client.execute_command("SCAN", 0, "COUNT", 1000)[1]
        # A key that is named by the shard's own tag lies in the shard.
        tag = next(name.partition(b"}")[0] for name in names if name.startswith(b"{"))
        client.set(tag + b"}:large", value)


def _sum_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_process_at_work_was_killed_fifty_times_at_every_stage_of_a_run(after: Aftermath) -> None:
    failures = after.world.cloud.functions.failures
    assert len(after.hits) >= KILLS
    assert [work for work, calls in WORK.items() if not calls & set(after.hits)] == []
    assert [failed.error.message for failed in failures if "signal: killed" not in failed.error.message] == []
    assert len(after.nights.ended) > 4


def test_every_run_came_to_a_good_end_all_the_same(after: Aftermath) -> None:
    assert set(after.nights.ended) == {"SUCCEEDED"}


def test_each_backup_has_one_verified_copy(after: Aftermath) -> None:
    copied = [manifest["source"]["backup_id"] for manifest in after.manifests]
    assert sorted(copied) == sorted(after.nights.backups)
    assert {manifest["level"] for manifest in after.manifests} == {"verified"}


def test_each_copied_file_is_the_backup_s_byte_for_byte(after: Aftermath) -> None:
    for manifest in after.manifests:
        sums = {file["name"]: _sum_of(after.world.read(file["key"])) for file in manifest["files"]}
        assert [len(file["part_sha256"]) for file in manifest["files"]] == [2, 1]
        assert sums == after.nights.backups[manifest["source"]["backup_id"]]


def test_nothing_else_lies_in_the_vault_and_nothing_was_written_twice(after: Aftermath) -> None:
    wanted = {file["key"] for manifest in after.manifests for file in manifest["files"]}
    wanted |= {f"{PLACE}manifests/{manifest['copy_id']}.verified.json" for manifest in after.manifests}
    wanted.add(f"{PLACE}claim.json")
    assert set(after.world.vault_objects()) == wanted
    pages = after.world.cloud.client("s3").get_paginator("list_object_versions")
    found = list(pages.paginate(Bucket=after.world.vault_bucket, Prefix=PLACE))
    assert sum(len(page.get("Versions", ())) for page in found) == len(wanted)
    assert sum(len(page.get("DeleteMarkers", ())) for page in found) == 0


def test_no_upload_and_no_staged_file_is_left(after: Aftermath) -> None:
    for bucket in ("VaultBucket", "StagingBucket"):
        name = after.world.deployment.resources[bucket]
        assert after.world.cloud.client("s3").list_multipart_uploads(Bucket=name).get("Uploads", []) == []
    assert after.world.staged_objects() == []


def test_the_table_holds_no_lease_no_upload_and_no_attempt(after: Aftermath) -> None:
    table = after.world.deployment.resources["Table"]
    rows = after.world.cloud.client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]
    own = [row["sk"]["S"] for row in rows if row["pk"]["S"] == f"rule#{RULE}"]
    assert [name for name in own if not name.startswith("run#")] == []
    assert len(own) == len(after.nights.ended)


def test_the_history_tells_each_run_once_and_each_backup_in_the_run_that_copied_it(after: Aftermath) -> None:
    runs = after.world.send("rule_history", name=RULE)["runs"]
    assert [run["state"] for run in runs] == ["succeeded"] * len(after.nights.ended)
    copied = [outcome["backup_id"] for run in runs for outcome in run["outcomes"] if outcome["status"] == "copied"]
    assert sorted(copied) == sorted(after.nights.backups)


def test_the_quiet_run_s_line_is_true(after: Aftermath) -> None:
    lines = [json.loads(event["message"]) for event in after.world.log_events(RULE)]
    line = [line["message"] for line in lines if line.get("event") == "RunFinished"][-1]
    found = len(after.nights.backups)
    assert line.startswith(f"{RULE}: {found} backups found, {found - 1} already kept, 1 copied (2 files, ")
    assert "verified, 0 failed; next run " in line
