"""What every source keeps: in memory, and the providers' in front of real Redis servers."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from rdbkeeper.domain.backup import Backup, BackupState
from rdbkeeper.domain.errors import BackupBusy, BackupGone, StagedFileChanged
from tests.contract.source_lab import (
    FILES,
    FIRST_NIGHT,
    Provider,
    naming_provider,
    only_backup,
    pair,
    provider,
    read,
    wait_for_files,
)

__all__ = ["naming_provider", "provider"]

pytestmark = pytest.mark.usefixtures("deployment")


def test_an_instance_is_found_by_its_name(provider: Provider) -> None:
    instance = pair(provider.source)
    assert (instance.name, instance.backups_enabled) == ("pair", True)
    assert (instance.status, instance.available) == (provider.usual_status, True)
    assert provider.source.find_instance("nowhere") is None
    assert "pair" in [listed.name for listed in provider.source.instances()]


@pytest.mark.parametrize(
    "status, available",
    [
        ("modifying", True),
        ("snapshotting", True),
        ("creating", False),
        ("deleting", False),
        ("create-failed", False),
    ],
)
def test_an_instance_says_how_it_is_and_whether_anything_can_be_done_with_it(
    provider: Provider, status: str, available: bool
) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    provider.set_status(status, available=available)
    listed = {instance.name: instance for instance in provider.source.instances()}
    for instance in (pair(provider.source), listed["pair"]):
        assert (instance.status, instance.available) == (status, available)
    assert provider.source.count_backups([pair(provider.source)]) == {"pair": 1}


def test_an_instance_that_was_deleted_is_not_found_and_its_manual_backups_stay(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    known = pair(provider.source)
    provider.remove()
    assert provider.source.find_instance("pair") is None
    assert "pair" not in [listed.name for listed in provider.source.instances()]
    assert [backup.backup_id for backup in provider.source.backups(known)] == ["night"]
    assert provider.source.count_backups([known]) == {"pair": 1}


def test_backups_are_counted_by_instance(provider: Provider) -> None:
    assert provider.source.count_backups([pair(provider.source)]) == {"pair": 0}
    for hours in range(3):
        provider.take_backup(f"night-{hours}", FIRST_NIGHT + timedelta(hours=hours))
    assert provider.source.count_backups([pair(provider.source)]) == {"pair": 3}
    assert provider.source.count_backups([]) == {}


def test_a_backup_says_how_large_it_is_at_the_source(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    assert re.fullmatch("[0-9,]+ (MB|bytes)", only_backup(provider.source).source_size)


def test_a_complete_backup_is_listed_with_its_shards_and_time(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    assert (backup.backup_id, backup.state, backup.automatic) == ("night", BackupState.COMPLETE, False)
    assert backup.taken_at == FIRST_NIGHT
    assert [shard.name for shard in backup.shards] == (FILES if provider.tells_shards else [])
    assert backup.copy_id == "20261120T021500Z-night"
    assert backup.engine.engine in ("redis", "valkey")
    assert (backup.engine.shard_count == 2) is provider.tells_shards
    assert Backup.from_record(backup.as_record()) == backup


def test_an_export_becomes_readable_whole(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    assert not provider.stages or provider.source.find_staged_files(backup, "attempt") is None
    provider.source.request_export(backup, "attempt")
    files = wait_for_files(provider.source, backup, "attempt")
    assert [file.shard.name for file in files] == FILES
    if provider.tells_shards:
        assert [file.shard for file in files] == list(backup.shards)
    for file in files:
        data = read(provider.source, file, 0, file.size_bytes)
        assert len(data) == file.size_bytes
        assert data.startswith((b"REDIS", b"VALKEY"))
        assert read(provider.source, file, 3, 5) == data[3:8]


def test_asking_twice_for_an_export_is_asking_once(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    provider.source.request_export(backup, "attempt")
    files = wait_for_files(provider.source, backup, "attempt")
    provider.source.request_export(backup, "attempt")
    assert wait_for_files(provider.source, backup, "attempt") == files


def test_what_was_discarded_can_be_asked_for_anew(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    for attempt in ("first", "second"):
        provider.source.request_export(backup, attempt)
        files = wait_for_files(provider.source, backup, attempt)
        assert [file.shard.name for file in files] == FILES
        provider.source.discard_export(backup, attempt)
        provider.source.discard_export(backup, attempt)
        if provider.stages:
            assert provider.source.find_staged_files(backup, attempt) is None
            with pytest.raises(BackupGone):
                provider.source.open_range(files[0], 0, 1)


def test_an_instance_without_backups_has_an_empty_list(provider: Provider) -> None:
    assert provider.source.backups(pair(provider.source)) == []


def test_a_backup_that_is_not_complete_is_not_exported(provider: Provider) -> None:
    provider.hold_making(True)
    provider.source.request_backup(pair(provider.source), "rdbkeeper-0a1b2c3d-20261121030000", {"owner": "us"})
    backup = only_backup(provider.source)
    assert backup.state is BackupState.IN_PROGRESS
    with pytest.raises((BackupBusy, BackupGone)):
        provider.source.request_export(backup, "attempt")


def test_another_attempt_stages_files_of_its_own(naming_provider: Provider) -> None:
    provider = naming_provider
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    staged = []
    for attempt in ("first", "second"):
        provider.source.request_export(backup, attempt)
        staged += wait_for_files(provider.source, backup, attempt)
    assert len({file.key for file in staged}) == 4


def test_discarded_files_are_gone_and_others_stay(naming_provider: Provider) -> None:
    provider = naming_provider
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    for attempt in ("first", "second"):
        provider.source.request_export(backup, attempt)
        files = wait_for_files(provider.source, backup, attempt)
    provider.source.discard_export(backup, "second")
    provider.source.discard_export(backup, "second")
    with pytest.raises(BackupGone):
        provider.source.open_range(files[0], 0, 1)
    assert provider.source.find_staged_files(backup, "second") is None
    assert provider.source.find_staged_files(backup, "first") is not None


def test_a_staged_file_that_is_another_by_now_is_not_read(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    provider.source.request_export(backup, "attempt")
    file, *_ = wait_for_files(provider.source, backup, "attempt")
    provider.overwrite(file)
    with pytest.raises(StagedFileChanged):
        provider.source.open_range(file, 0, 5)


def test_an_export_of_a_backup_that_is_gone_is_refused(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    provider.lose_backup("night")
    with pytest.raises(BackupGone):
        provider.source.request_export(backup, "attempt")
