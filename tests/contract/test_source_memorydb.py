"""What only MemoryDB has: names and words of its own, and details that must be asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rdbkeeper.domain.backup import BackupState
from rdbkeeper.domain.errors import BackupBusy, SourceRefused
from rdbkeeper.sources.memorydb.source import MemoryDbSource
from tests.contract.aws_source_places import MemoryDb, memorydb
from tests.contract.source_lab import FIRST_NIGHT, only_backup, pair, read, wait_for_files

__all__ = ["memorydb"]


def test_a_backup_list_of_several_pages_is_whole(memorydb: MemoryDb) -> None:
    names = [f"many-{number:02d}" for number in range(60)]
    for number, name in enumerate(names):
        memorydb.take_backup(name, FIRST_NIGHT + timedelta(hours=number))
    assert sorted(backup.backup_id for backup in memorydb.source.backups(pair(memorydb.source))) == names


def test_the_daily_backup_is_automatic_and_says_what_it_is_made_of(memorydb: MemoryDb) -> None:
    name = memorydb.cloud.memorydb.take_automatic_backup("pair", FIRST_NIGHT)
    backup = only_backup(memorydb.source)
    assert (backup.backup_id, backup.automatic, backup.taken_at) == (name, True, FIRST_NIGHT)
    facts = backup.engine
    assert (facts.node_type, facts.shard_count, facts.cluster_mode, facts.replicas_per_shard) == (
        "db.t4g.small",
        2,
        True,
        1,
    )
    assert [shard.slots for shard in backup.shards] == ["0-8191", "8192-16383"]


def test_another_clusters_backups_are_not_this_ones(memorydb: MemoryDb) -> None:
    memorydb.client.create_cluster(ClusterName="pair-b", NodeType="db.t4g.small", ACLName="open-access", NumShards=1)
    memorydb.cloud.memorydb.take_manual_backup("theirs", "pair-b", FIRST_NIGHT)
    instances = {instance.name: instance for instance in memorydb.source.instances()}
    assert memorydb.source.backups(instances["pair"]) == []
    assert memorydb.source.find_requested_backup(instances["pair"], "theirs") is None
    assert memorydb.source.count_backups(list(instances.values())) == {"pair": 0, "pair-b": 1}


def test_a_backup_being_made_is_in_progress(memorydb: MemoryDb) -> None:
    memorydb.hold_making(True)
    memorydb.client.create_snapshot(ClusterName="pair", SnapshotName="now")
    backup = only_backup(memorydb.source)
    assert (backup.state, backup.taken_at) == (BackupState.IN_PROGRESS, None)
    memorydb.hold_making(False)
    memorydb.wait_until_idle("now")
    assert only_backup(memorydb.source).state is BackupState.COMPLETE


def test_a_backup_that_is_being_exported_is_busy_for_another(memorydb: MemoryDb) -> None:
    memorydb.take_backup("night", FIRST_NIGHT)
    backup = only_backup(memorydb.source)
    memorydb.cloud.memorydb.hold_exports(True)
    memorydb.source.request_export(backup, "first")
    with pytest.raises(BackupBusy):
        memorydb.source.request_export(backup, "second")
    assert memorydb.source.find_staged_files(backup, "first") is None
    memorydb.cloud.memorydb.hold_exports(False)
    wait_for_files(memorydb.source, backup, "first")


def test_files_that_are_all_there_while_the_service_is_still_exporting_are_not_read_yet(memorydb: MemoryDb) -> None:
    memorydb.take_backup("night", FIRST_NIGHT)
    backup = only_backup(memorydb.source)
    memorydb.source.request_export(backup, "first")
    wait_for_files(memorydb.source, backup, "first")
    memorydb.cloud.memorydb.hold_exports(True)
    memorydb.source.request_export(backup, "second")
    assert memorydb.source.find_staged_files(backup, "first") is None
    memorydb.cloud.memorydb.hold_exports(False)
    wait_for_files(memorydb.source, backup, "second")


def test_what_is_staged_is_what_the_servers_saved(memorydb: MemoryDb) -> None:
    memorydb.take_backup("night", FIRST_NIGHT)
    backup = only_backup(memorydb.source)
    memorydb.source.request_export(backup, "attempt")
    files = wait_for_files(memorydb.source, backup, "attempt")
    saved = memorydb.cloud.memorydb.backup_files("night")
    for file in files:
        assert read(memorydb.source, file, 0, file.size_bytes) == saved[file.shard.name].read_bytes()


def test_a_bucket_without_acls_is_refused_with_what_to_do(memorydb: MemoryDb) -> None:
    memorydb.take_backup("night", FIRST_NIGHT)
    backup = only_backup(memorydb.source)
    memorydb.s3.create_bucket(Bucket="without-acls")
    source = MemoryDbSource(memorydb.client, lambda: memorydb.s3, "without-acls")
    with pytest.raises(SourceRefused) as refused:
        source.request_export(backup, "attempt")
    assert "Object Ownership" in refused.value.hint
