"""The local TencentDB's backups: listed as the service lists them, taken on demand, told of in detail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.tencentdb_place import NIGHT, Place, place, shared, wait_for
from tests.local_cloud.tencentdb import CHINA

__all__ = ["place", "shared"]

AROUND_THE_NIGHT = {"BeginTime": "2026-11-01 00:00:00", "EndTime": "2026-12-01 00:00:00"}


def listed(place: Place, **parameters: Any) -> list[str]:
    backups = place.call("DescribeInstanceBackups", **parameters)["BackupSet"]
    return [each["BackupId"] for each in backups]


def fresh(place: Place) -> str:
    return place.service.create_instance("fresh")


def take(place: Place, instance_id: str, count: int = 1, every: timedelta = timedelta(days=1)) -> list[str]:
    return [place.service.take_backup(instance_id, NIGHT - number * every) for number in range(count)]


def test_a_backup_is_listed_in_chinas_time_with_its_kind_and_size(place: Place) -> None:
    backup_id = place.service.take_backup(place.orders, NIGHT, kind="manual", remark="before the sale")
    (backup,) = place.call("DescribeInstanceBackups", InstanceId=place.orders, **AROUND_THE_NIGHT)["BackupSet"]
    assert backup["BackupId"] == backup_id
    assert (backup["StartTime"], backup["EndTime"]) == ("2026-11-21 02:15:00", "2026-11-21 02:15:02")
    assert (backup["BackupType"], backup["Remark"], backup["Status"]) == ("0", "before the sale", 2)
    assert backup["BackupSize"] == sum(path.stat().st_size for path in place.service.backup_files(backup_id))
    assert (backup["InstanceName"], backup["Encrypted"]) == ("orders", False)


def test_a_region_lists_its_own_instances_backups_only(place: Place) -> None:
    here = place.service.take_backup(place.sessions, NIGHT)
    there = place.service.take_backup(place.service.create_instance("far", region="ap-shanghai"), NIGHT)
    assert listed(place, region="ap-shanghai", **AROUND_THE_NIGHT) == [there]
    assert listed(place, InstanceName="sessions", **AROUND_THE_NIGHT) == [here]


def test_the_detail_counts_shards_and_turns_the_kind_round(place: Place) -> None:
    backup_id = place.service.take_backup(place.orders, NIGHT)
    detail = place.call("DescribeBackupDetail", InstanceId=place.orders, BackupId=backup_id)
    assert (detail["ShardNum"], detail["MemSize"], detail["BackupType"]) == (2, 1024, "0")
    assert (detail["Encrypted"], detail["DecryptKey"]) == (False, "")
    hidden = place.service.take_backup(place.orders, NIGHT, encrypted=True)
    detail = place.call("DescribeBackupDetail", InstanceId=place.orders, BackupId=hidden)
    assert (detail["Encrypted"], detail["KeyAlgorithm"]) == (True, "AES-256-CBC")
    assert all(not path.read_bytes().startswith(b"REDIS") for path in place.service.backup_files(hidden))


def test_pages_of_backups_are_the_newest_first(place: Place) -> None:
    instance_id = fresh(place)
    taken = take(place, instance_id, count=5)
    assert listed(place, InstanceId=instance_id, **AROUND_THE_NIGHT) == taken
    pages = [listed(place, InstanceId=instance_id, Limit=2, Offset=offset, **AROUND_THE_NIGHT) for offset in (0, 2, 4)]
    assert pages == [taken[:2], taken[2:4], taken[4:]]


def test_a_list_spans_30_days_at_most_and_the_last_30_when_no_times_are_given(place: Place) -> None:
    instance_id = fresh(place)
    now = datetime.now(UTC)
    recent = place.service.take_backup(instance_id, now - timedelta(days=29))
    old = place.service.take_backup(instance_id, now - timedelta(days=31))
    assert listed(place, InstanceId=instance_id) == [recent]
    begin, end = now - timedelta(days=40), now - timedelta(days=30)
    span = {"BeginTime": f"{begin.astimezone(CHINA):%F %T}", "EndTime": f"{end.astimezone(CHINA):%F %T}"}
    assert listed(place, InstanceId=instance_id, **span) == [old]
    for times in (
        {"BeginTime": "2026-10-01 00:00:00", "EndTime": "2026-10-31 00:00:01"},
        {"BeginTime": "2026-10-02 00:00:00", "EndTime": "2026-10-01 00:00:00"},
        {"BeginTime": "2026-10-01T00:00:00Z", "EndTime": "2026-10-02 00:00:00"},
        {"EndTime": "2026-10-2 0:00:00"},
    ):
        assert (
            place.refused("DescribeInstanceBackups", InstanceId=instance_id, **times)
            == "InvalidParameter.InvalidParameter"
        )
    assert listed(place, InstanceId=instance_id, BeginTime="2025-10-01 00:00:00", EndTime="2025-10-31 00:00:00") == []


def test_times_are_read_as_chinas_and_both_ends_count(place: Place) -> None:
    instance_id = fresh(place)
    (taken,) = take(place, instance_id)
    at = "2026-11-21 02:15:00"
    assert listed(place, InstanceId=instance_id, BeginTime=at, EndTime=at) == [taken]
    assert listed(place, InstanceId=instance_id, BeginTime="2026-11-21 02:15:01", EndTime="2026-11-22 00:00:00") == []


def test_only_normal_backups_are_listed_unless_others_are_asked_for(place: Place) -> None:
    instance_id = fresh(place)
    normal, locked, expired = take(place, instance_id, count=3)
    place.service.set_backup_status(locked, 1)
    place.service.expire_backup(expired)
    assert listed(place, InstanceId=instance_id, **AROUND_THE_NIGHT) == [normal]
    assert listed(place, InstanceId=instance_id, Status=[1, 2, -1], **AROUND_THE_NIGHT) == [normal, locked, expired]
    assert (
        place.refused("DescribeInstanceBackups", InstanceId=instance_id, Status=[9])
        == "InvalidParameter.InvalidParameter"
    )
    for backup_id in (locked, expired):
        assert (
            place.refused("DescribeBackupUrl", InstanceId=instance_id, BackupId=backup_id)
            == "ResourceUnavailable.BackupStatusInvalid"
        )


@pytest.mark.parametrize("action", ["DescribeBackupUrl", "DescribeBackupDetail"])
def test_a_backup_belongs_to_its_instance(place: Place, action: str) -> None:
    backup_id = place.service.take_backup(place.orders, NIGHT)
    assert place.refused(action, InstanceId=place.sessions, BackupId=backup_id) == (
        "InvalidParameterValue.BackupNotExists"
    )
    assert place.refused(action, InstanceId="crs-none", BackupId=backup_id) == "ResourceNotFound.InstanceNotExists"


def test_a_limit_beyond_100_is_refused(place: Place) -> None:
    assert place.refused("DescribeInstanceBackups", Limit=101) == "InvalidParameter.InvalidParameter"


def test_a_manual_backup_is_a_task_that_ends_with_a_normal_backup(place: Place) -> None:
    instance_id = fresh(place)
    place.service.engines(instance_id)[0].command("SET", "colour", "green")
    place.service.hold_backups(held=True)
    task_id = place.call("ManualBackupInstance", InstanceId=instance_id, Remark="by hand", StorageDays=3)["TaskId"]
    assert isinstance(task_id, int)
    wait_for(lambda: place.call("DescribeTaskInfo", TaskId=task_id)["Status"] == "running")
    assert listed(place, InstanceId=instance_id) == []
    (locked,) = place.call("DescribeInstanceBackups", InstanceId=instance_id, Status=[1])["BackupSet"]
    assert (locked["Locked"], locked["EndTime"]) == (1, "")
    assert place.refused("ManualBackupInstance", InstanceId=instance_id) == "ResourceUnavailable.InstanceLockedError"
    place.service.hold_backups(held=False)
    wait_for(lambda: place.call("DescribeTaskInfo", TaskId=task_id)["Status"] == "succeed")
    (backup,) = place.call("DescribeInstanceBackups", InstanceId=instance_id)["BackupSet"]
    assert (backup["BackupId"], backup["Remark"], backup["BackupType"]) == (locked["BackupId"], "by hand", "0")
    kept = datetime.fromisoformat(backup["ExpireTime"]) - datetime.fromisoformat(backup["StartTime"])
    assert kept == timedelta(days=3)
    assert b"colour" in place.service.backup_files(backup["BackupId"])[0].read_bytes()


def test_a_manual_backup_that_fails_leaves_no_backup(place: Place) -> None:
    instance_id = fresh(place)
    place.service.fail_next_backup(instance_id)
    task_id = place.call("ManualBackupInstance", InstanceId=instance_id)["TaskId"]
    wait_for(lambda: place.call("DescribeTaskInfo", TaskId=task_id)["Status"] == "failed")
    assert listed(place, InstanceId=instance_id, Status=[1, 2]) == []
    assert place.refused("DescribeTaskInfo", TaskId=task_id + 1) == "FailedOperation.FlowNotExists"


def test_manual_backups_are_refused_while_not_running_and_beyond_a_days_number(place: Place) -> None:
    instance_id = fresh(place)
    place.service.set_status(instance_id, 1)
    assert place.refused("ManualBackupInstance", InstanceId=instance_id) == "ResourceUnavailable.InstanceStatusAbnormal"
    place.service.set_status(instance_id, 2)
    assert place.refused("ManualBackupInstance", InstanceId=instance_id, StorageDays=1826) == (
        "InvalidParameter.InvalidParameter"
    )
    for _ in range(24):
        place.service.take_backup(instance_id, kind="manual")
    assert place.refused("ManualBackupInstance", InstanceId=instance_id) == "LimitExceeded"
