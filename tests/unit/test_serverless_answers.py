"""What is read from ElastiCache's answers about serverless caches, and when an export counts as done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup import BackupState, Shard, StagedFile
from rdbkeeper.domain.errors import BackupBusy
from rdbkeeper.sources.aws.staging import StagedObject
from rdbkeeper.sources.elasticache_serverless.answers import (
    find_export_failure,
    is_named_after,
    owner_of,
    read_backup,
    read_cache,
)
from rdbkeeper.sources.elasticache_serverless.exports import Quiet, as_files, check_no_gap

NIGHT = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def snapshot(**others: Any) -> dict[str, Any]:
    whole = {
        "ServerlessCacheSnapshotName": "night",
        "SnapshotType": "manual",
        "Status": "available",
        "CreateTime": NIGHT + timedelta(microseconds=250_000),
        "BytesUsedForCache": "1048576",
        "ServerlessCacheConfiguration": {
            "ServerlessCacheName": "carts",
            "Engine": "valkey",
            "MajorEngineVersion": "8",
        },
    }
    return {name: value for name, value in (whole | others).items() if value is not None}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("available", BackupState.COMPLETE),
        ("AVAILABLE", BackupState.COMPLETE),
        ("creating", BackupState.IN_PROGRESS),
        ("exporting", BackupState.IN_PROGRESS),
        ("a word of next year", BackupState.IN_PROGRESS),
        ("", BackupState.IN_PROGRESS),
        ("failed", BackupState.FAILED),
        ("CREATE-FAILED", BackupState.FAILED),
    ],
)
def test_a_backup_is_complete_only_when_it_is_available(status: str, state: BackupState) -> None:
    assert read_backup(snapshot(Status=status)).state is state


def test_a_backup_without_a_time_is_in_progress_whatever_its_status_says() -> None:
    backup = read_backup(snapshot(CreateTime=None))
    assert (backup.state, backup.taken_at) == (BackupState.IN_PROGRESS, None)


@pytest.mark.parametrize(
    ("kind", "automatic"), [("automated", True), ("AUTOMATIC", True), ("manual", False), (None, False)]
)
def test_only_what_says_so_is_automatic(kind: str | None, automatic: bool) -> None:
    assert read_backup(snapshot(SnapshotType=kind)).automatic is automatic


def test_a_backup_tells_its_cache_its_time_to_the_second_and_its_size() -> None:
    backup = read_backup(snapshot())
    assert (backup.instance, backup.taken_at, backup.source_size) == ("carts", NIGHT, "1,048,576 bytes")
    assert (backup.engine.engine, backup.engine.engine_version, backup.shards) == ("valkey", "8", ())
    assert read_backup(snapshot(BytesUsedForCache=None)).source_size == ""


def test_a_backup_says_that_nobody_tells_how_many_files_it_has() -> None:
    assert "does not tell how many files" in read_backup(snapshot()).consistency_reason


@pytest.mark.parametrize(
    ("status", "available"),
    [("AVAILABLE", True), ("available", True), ("MODIFYING", True), ("CREATING", False), ("CREATE-FAILED", False)],
)
def test_a_cache_is_available_unless_its_status_rules_it_out(status: str, available: bool) -> None:
    cache = {"ServerlessCacheName": "carts", "Engine": "valkey", "Status": status, "DailySnapshotTime": "02:00"}
    instance = read_cache(cache)
    assert (instance.available, instance.status, instance.backup_window) == (available, status.lower(), "02:00")
    assert not instance.backups_enabled


def test_a_backup_says_of_shards_nothing_as_the_provider_does() -> None:
    assert read_backup(snapshot()).engine.shard_count == 0


def test_a_backup_names_its_cache() -> None:
    assert (owner_of(snapshot()), owner_of({})) == ("carts", "")


@pytest.mark.parametrize(
    ("key", "is_so"),
    [
        ("b1.rdb", True),
        ("b1-0001.rdb", True),
        ("b1_1", True),
        ("b1/0001.rdb", True),
        ("b1", True),
        ("b10.rdb", False),
        ("b1a-0001.rdb", False),
        ("ab1.rdb", False),
    ],
)
def test_an_object_is_named_after_a_backup_when_its_name_is_followed_by_no_letter_or_digit(
    key: str, is_so: bool
) -> None:
    assert is_named_after(key, "b1") is is_so


def event(words: str, **others: Any) -> dict[str, Any]:
    return {"SourceIdentifier": "night", "Message": words, "Date": NIGHT, **others}


FAILED = "Failed to export snapshot for cache carts. Could not export snapshot to bucket 'staging'."


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (event(FAILED), FAILED),
        (event(FAILED, SourceIdentifier="arn:aws:elasticache:us-east-1::serverlesscachesnapshot:night"), FAILED),
        (event(FAILED, SourceIdentifier="another-night"), None),
        (event(FAILED, Date=NIGHT - timedelta(seconds=1)), None),
        (event(FAILED, Date=None), None),
        (event("Snapshot night created for cache carts."), None),
        (event("Failed to create snapshot for cache carts."), None),
        ({}, None),
    ],
)
def test_a_failed_export_is_one_of_this_backup_since_it_was_asked_for(told: dict[str, Any], found: str | None) -> None:
    assert find_export_failure([told], "night", NIGHT) == found


def test_the_newest_failure_is_told() -> None:
    older, newer = event(f"{FAILED} Once."), event(f"{FAILED} Again.", Date=NIGHT + MINUTE)
    for order in ([older, newer], [newer, older]):
        assert find_export_failure(order, "night", NIGHT) == newer["Message"]


@pytest.mark.parametrize(
    ("came_after_min", "now_min", "is_over"),
    [
        ([0.5], 5.4, False),
        ([0.5], 5.5, True),
        ([1, 191 / 60], 5.7, False),  # the longest pause is not all: the next may be longer
        ([6], 11.9, False),  # the first came after six minutes, so another may
        ([6], 12, True),
        ([6, 8], 13.9, False),
        ([6, 8], 14, True),
        ([8, 6], 14, True),  # in any order
        ([1, 41], 80.9, False),  # however long that is
        ([1, 41], 81, True),
        ([], 5, True),
    ],
)
def test_an_export_is_quiet_when_nothing_has_come_for_as_long_as_its_longest_pause(
    came_after_min: list[float], now_min: float, is_over: bool
) -> None:
    written_at = [NIGHT + minutes * MINUTE for minutes in came_after_min]
    assert Quiet().is_over(NIGHT, written_at, NIGHT + now_min * MINUTE) is is_over


def test_files_are_in_the_order_of_their_keys_and_rdb_files_alone_where_there_are_some() -> None:
    objects = [StagedObject(key, 9, key, NIGHT) for key in ("night-2.rdb", "night-1.rdb", "night.done")]
    named = [(file.shard.name, file.key) for file in as_files(objects)]
    assert named == [("0001", "night-1.rdb"), ("0002", "night-2.rdb")]
    assert [file.key for file in as_files(objects[2:])] == ["night.done"]


def staged(*keys: str) -> list[StagedFile]:
    return [StagedFile(Shard(f"{number:04d}"), key, 9, key) for number, key in enumerate(keys, start=1)]


@pytest.mark.parametrize(
    "keys",
    [
        ("night-0001.rdb",),
        ("night-0002.rdb", "night-0001.rdb"),
        ("night-0.rdb", "night-1.rdb"),
        ("night/0001.rdb", "night/0002.rdb"),
        ("night-of3-1.rdb", "night-of3-2.rdb"),
        ("night.rdb",),
        ("night-redis7.rdb",),
        ("night-0.rdb", "night-5461.rdb", "night-10923.rdb"),  # slots
        ("night-3-16.rdb", "night-4-17.rdb"),  # nobody knows what these are
        ("night-a.rdb", "night-b.rdb"),
    ],
)
def test_files_that_may_be_all_are_taken_for_all(keys: tuple[str, ...]) -> None:
    check_no_gap(staged(*keys), "night")


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        (("night-0003.rdb", "night-0004.rdb", "night-0005.rdb"), 1),
        (("night-0005.rdb",), 1),
        (("night-0001.rdb", "night-0003.rdb"), 2),
        (("night/1.rdb", "night/2.rdb", "night/4.rdb"), 3),
        (("night-0.rdb", "night-2.rdb"), 1),
    ],
)
def test_numbered_files_of_which_one_is_missing_are_not_all(keys: tuple[str, ...], missing: int) -> None:
    with pytest.raises(BackupBusy, match=f"number {missing} is missing"):
        check_no_gap(staged(*keys), "night")
