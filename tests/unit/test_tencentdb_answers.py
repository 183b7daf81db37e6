"""What TencentDB's answers mean, and what is not believed of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rdbkeeper.domain.backup import Backup, BackupState
from rdbkeeper.domain.errors import LinkMisanswered
from rdbkeeper.sources.tencentdb.answers import (
    is_asked_for,
    is_memcached,
    read_backups,
    read_detail,
    read_instance,
    read_links,
    read_time,
    write_time,
)
from rdbkeeper.sources.tencentdb.links import FilePlace
from tests.local_cloud.tencentdb.backups import LISTED_TYPES

LISTED = {
    "BackupId": "644364472-1165730000-302885824",
    "InstanceId": "crs-orders01",
    "StartTime": "2026-11-21 02:15:00",
    "EndTime": "2026-11-21 02:16:10",
    "BackupType": "1",
    "Status": 2,
    "Locked": 0,
    "Remark": "",
    "BackupSize": 5 * 2**20,
    "InstanceType": 18,
}
OURS = "rdbkeeper-0123abcd-20261121021500"
INSTANCE = {"InstanceId": "crs-orders01", "Status": 2, "Type": 18, "Engine": "Redis"}


def listed(**changes: Any) -> Backup:
    (backup,) = read_backups([{**LISTED, **changes}])
    return backup


def test_a_listed_backup_is_read_whole() -> None:
    backup = listed()
    assert (backup.provider, backup.instance, backup.state) == ("tencentdb", "crs-orders01", BackupState.COMPLETE)
    assert backup.copy_id == "20261120T181500Z-644364472-1165730000-302885824"
    assert (backup.engine.engine, backup.engine.engine_version, backup.engine.cluster_mode) == ("redis", "7.0", True)
    assert backup.source_size == "5 MB"
    assert Backup.from_record(backup.as_record()) == backup


@pytest.mark.parametrize("manual, automatic", LISTED_TYPES)
def test_a_backup_of_ours_is_manual_however_its_type_is_called_and_so_are_others_of_its_type(
    manual: str, automatic: str
) -> None:
    ours = {**LISTED, "BackupType": manual, "Remark": OURS}
    by_hand = {**LISTED, "BackupType": manual, "Remark": "by hand"}
    by_itself = {**LISTED, "BackupType": automatic, "Remark": None}
    assert [backup.automatic for backup in read_backups([by_itself, by_hand, ours])] == [True, False, False]


def test_without_a_backup_of_ours_the_list_tells_manual_from_automatic() -> None:
    for automatic in ("1", 1, "2", "systemBackupInstance"):  # 2: made by the provider when a setting was changed
        assert listed(BackupType=automatic).automatic
    for manual in ("0", 0, "manualBackupInstance"):
        assert not listed(BackupType=manual).automatic


@pytest.mark.parametrize("kind", ["0", "1", "manualBackupInstance", None])
def test_what_was_asked_for_is_known_by_its_remark_alone(kind: str | None) -> None:
    assert is_asked_for({**LISTED, "BackupType": kind, "Remark": OURS}, OURS)
    assert not is_asked_for({**LISTED, "BackupType": kind, "Remark": f"{OURS}2"}, OURS)


@pytest.mark.parametrize(
    "changes, state",
    [
        ({"Status": 4}, BackupState.COMPLETE),
        ({"Status": 1}, BackupState.IN_PROGRESS),
        ({"Status": 3}, BackupState.IN_PROGRESS),
        ({"Status": 77}, BackupState.IN_PROGRESS),
        ({"Locked": 1}, BackupState.IN_PROGRESS),
        ({"StartTime": ""}, BackupState.IN_PROGRESS),
        ({"StartTime": "0000-00-00 00:00:00"}, BackupState.IN_PROGRESS),
    ],
)
def test_only_what_is_normal_and_unlocked_counts_as_complete(changes: dict[str, Any], state: BackupState) -> None:
    assert listed(**changes).state is state


@pytest.mark.parametrize("status", [-1, -2])
def test_an_expired_backup_is_not_listed(status: int) -> None:
    assert read_backups([{**LISTED, "Status": status}]) == []


def test_times_are_china_s() -> None:
    moment = datetime(2026, 11, 20, 18, 15, tzinfo=UTC)
    assert read_time("2026-11-21 02:15:00") == moment
    assert write_time(moment) == "2026-11-21 02:15:00"
    assert read_time(None) is None


@pytest.mark.parametrize(
    "status, word, available",
    [
        (0, "initializing", False),
        (1, "in process", True),
        (2, "running", True),
        (-2, "isolated", False),
        (9, "status 9", False),
    ],
)
def test_an_instance_says_in_words_how_it_is(status: int, word: str, available: bool) -> None:
    instance = read_instance({**INSTANCE, "Status": status})
    assert (instance.status, instance.available) == (word, available)


def test_what_was_not_asked_is_not_answered_and_what_nobody_set_is_the_providers_default() -> None:
    assert (read_instance(INSTANCE).backup_retention_days, read_instance(INSTANCE).backups_enabled) == (None, True)
    assert read_instance(INSTANCE, {}).backup_retention_days == 7
    asked = read_instance(INSTANCE, {"BackupStorageDays": 30, "TimePeriod": "02:00-03:00"})
    assert (asked.backup_retention_days, asked.backup_window) == (30, "02:00-03:00 (UTC+8)")


def test_engines_are_told_by_their_numbers() -> None:
    assert read_instance({**INSTANCE, "Type": 19}).engine == "valkey"
    assert read_instance({**INSTANCE, "Type": 999}).engine == "redis"
    assert is_memcached({**INSTANCE, "Type": 200})
    assert is_memcached({**INSTANCE, "Engine": "Memcached"})
    assert not is_memcached(INSTANCE)


def test_details_tell_what_the_list_does_not() -> None:
    detail = read_detail({"Status": 2, "ShardNum": 3, "Encrypted": False, "DecryptKey": ""})
    assert (detail.shard_count, detail.is_encrypted, detail.is_complete, detail.is_gone) == (3, False, True, False)
    assert read_detail({"Status": -1}).is_gone
    assert not read_detail({"Status": 2, "Locked": 1}).is_complete


@pytest.mark.parametrize("said", [{"Encrypted": True}, {"Encrypted": "true"}, {"DecryptKey": "a2V5"}])
def test_encryption_is_noticed_however_it_is_said(said: dict[str, Any]) -> None:
    assert read_detail({"Status": 2, **said}).is_encrypted


def test_files_are_in_the_order_of_their_numbers() -> None:
    names = ["9-ignore-10-ignore.rdb", "9-ignore-2-ignore.rdb", "9-ignore-1-ignore.rdb"]
    infos = [{"FileName": name, "FileSize": 5, "DownloadUrl": f"https://h/{name}"} for name in names]
    assert [link.name for link in read_links({"BackupInfos": infos}, "b")] == names[::-1]
    assert read_links({}, "b") == ()


@pytest.mark.parametrize(
    "infos",
    [
        [{"FileName": "a", "DownloadUrl": ""}],
        [{"FileName": "", "DownloadUrl": "https://h/a"}],
        [{"FileName": "a", "DownloadUrl": "https://h/a"}, {"FileName": "a", "DownloadUrl": "https://h/b"}],
    ],
)
def test_links_that_name_no_file_are_refused(infos: list[dict[str, Any]]) -> None:
    with pytest.raises(LinkMisanswered):
        read_links({"BackupInfos": infos}, "b")


def test_a_link_is_in_no_representation() -> None:
    (link,) = read_links({"BackupInfos": [{"FileName": "a", "DownloadUrl": "https://h/a?sign=s3cret"}]}, "b")
    assert "s3cret" not in repr(link) + str(link)


def test_a_file_s_key_leads_back_to_it_whatever_its_name() -> None:
    place = FilePlace("crs-1", "678", "a/b %2F ü.rdb")
    assert FilePlace.from_key(place.key) == place
    assert place.key.count("/") == 2
