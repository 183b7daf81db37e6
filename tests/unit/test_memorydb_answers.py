"""What is read from MemoryDB's answers: clusters and their backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup import BackupState
from rdbkeeper.sources.memorydb.answers import owner_of, read_backup, read_cluster

NIGHT = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)


def shard(name: str, seconds: int | None = 0, size: str = "7 MB") -> dict[str, Any]:
    taken = {} if seconds is None else {"SnapshotCreationTime": NIGHT + timedelta(seconds=seconds)}
    return {"Name": name, "Configuration": {"Slots": "0-8191", "ReplicaCount": 1}, "Size": size, **taken}


def snapshot(*shards: dict[str, Any], **others: Any) -> dict[str, Any]:
    configuration = {"Name": "ledger", "NodeType": "db.t4g.small", "Engine": "Valkey", "NumShards": 2, "Port": 6379}
    whole = {"Name": "night", "Status": "available", "Source": "manual", "DataTiering": "false"}
    return whole | {"ClusterConfiguration": {**configuration, "Shards": list(shards)}} | others


def test_a_backup_was_taken_when_its_earliest_shard_was() -> None:
    backup = read_backup(snapshot(shard("0002", 3), shard("0001", 5)))
    assert backup.taken_at == NIGHT + timedelta(seconds=3)
    assert [each.name for each in backup.shards] == ["0001", "0002"]
    assert (backup.state, backup.instance, backup.source_size) == (BackupState.COMPLETE, "ledger", "14 MB")
    assert (backup.engine.engine, backup.engine.shard_count, backup.engine.data_tiering) == ("valkey", 2, "false")


@pytest.mark.parametrize(
    ("status", "shards", "state"),
    [
        ("available", [shard("0001")], BackupState.COMPLETE),
        ("Available", [shard("0001")], BackupState.COMPLETE),
        ("available", [shard("0001"), shard("0002", None)], BackupState.IN_PROGRESS),
        ("available", [], BackupState.IN_PROGRESS),
        ("creating", [shard("0001")], BackupState.IN_PROGRESS),
        ("copying", [shard("0001")], BackupState.IN_PROGRESS),
        ("failed", [], BackupState.FAILED),
    ],
)
def test_a_backup_is_complete_when_it_is_available_and_every_shard_has_its_time(
    status: str, shards: list[dict[str, Any]], state: BackupState
) -> None:
    assert read_backup(snapshot(*shards, Status=status)).state is state


@pytest.mark.parametrize(("source", "automatic"), [("automated", True), ("manual", False)])
def test_a_backup_says_who_took_it(source: str, automatic: bool) -> None:
    assert read_backup(snapshot(shard("0001"), Source=source)).automatic is automatic


@pytest.mark.parametrize(
    ("status", "available"),
    [("available", True), ("Available", True), ("updating", True), ("Creating", False), ("deleting", False)],
)
def test_a_cluster_is_available_unless_its_status_rules_it_out(status: str, available: bool) -> None:
    instance = read_cluster({"Name": "ledger", "Status": status, "SnapshotRetentionLimit": 3})
    assert (instance.available, instance.backups_enabled, instance.engine) == (available, True, "redis")


def test_a_backup_names_its_cluster() -> None:
    assert (owner_of(snapshot()), owner_of({})) == ("ledger", "")


@pytest.mark.parametrize("said", [{"DataTiering": "true"}, {"DataTiering": "false"}, {}], ids=str)
def test_a_cluster_says_whether_it_tiers_its_data(said: dict[str, Any]) -> None:
    assert read_cluster({"Name": "ledger", **said}).data_tiering == said.get("DataTiering", "")
