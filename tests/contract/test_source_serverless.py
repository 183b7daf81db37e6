"""What only serverless caches have: exports without names, of a number of files that nobody knows beforehand."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rdbkeeper.domain.backup import Backup
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    NotExportable,
    RdbkeeperError,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
)
from rdbkeeper.sources.elasticache_serverless.claims import CLAIMS
from rdbkeeper.sources.elasticache_serverless.source import Quiet, ServerlessSource
from tests.contract.aws_source_places import AT_ONCE, Serverless, serverless, wait_for
from tests.contract.source_lab import FILES, FIRST_NIGHT, far_from_now, only_backup, pair, read, wait_for_files
from tests.local_cloud.elasticache.serverless import IN_A_FOLDER

__all__ = ["serverless"]

RULE, OTHER_RULE = "0a1b2c3d", "ffffffff"
CHAIN, LATER_CHAIN = "11111111", "22222222"
COPY = "0123456789ab"
OURS, LATER, THEIRS = f"{RULE}{CHAIN}{COPY}", f"{RULE}{LATER_CHAIN}{COPY}", f"{OTHER_RULE}{CHAIN}{COPY}"
CLAIM = f"{CLAIMS}night.json"


def listed(place: Serverless, name: str = "night", taken_at: datetime = FIRST_NIGHT) -> Backup:
    place.take_backup(name, taken_at)
    return find(place, name)


def find(place: Serverless, name: str) -> Backup:
    return next(one for one in place.source.backups(pair(place.source)) if one.backup_id == name)


def patient(place: Serverless, quiet: Quiet) -> ServerlessSource:
    """The same source, for which nothing may have come for so long."""
    return ServerlessSource(place.client, lambda: place.s3, place.bucket, quiet)


def refusing(place: Serverless, code: str) -> ServerlessSource:
    """The same source, whose wishes for exports are answered by that error."""

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(place.client, name)

        def export_serverless_cache_snapshot(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "ExportServerlessCacheSnapshot")

    return ServerlessSource(Refusing(), lambda: place.s3, place.bucket, AT_ONCE)


def put_claim(place: Serverless, attempt: str, **claim: object) -> None:
    """Put a claim there as an attempt would, or another."""
    body = json.dumps({"attempt": attempt, "instance": "pair", "taken_at": "2026-11-20T02:15:00+00:00", **claim})
    place.s3.put_object(Bucket=place.bucket, Key=CLAIM, Body=body.encode())


def files_of(place: Serverless, name: str) -> list[bytes]:
    return [path.read_bytes() for path in place.cloud.elasticache.serverless.backup_files(name)]


# --------------------------------------------------------------------- files and keys


@pytest.mark.parametrize("keys", ["{name}-{number:04d}.rdb", IN_A_FOLDER, "{name}_{number}.rdb", "{name}.{number}"])
@pytest.mark.parametrize("shows_status", [True, False])
def test_files_are_found_whatever_they_are_called(serverless: Serverless, keys: str, shows_status: bool) -> None:
    serverless.cloud.elasticache.serverless.name_exports(keys)
    serverless.cloud.elasticache.serverless.show_exports(shows_status)
    backup = listed(serverless)
    source = serverless.source if shows_status else patient(serverless, Quiet(timedelta(seconds=2)))
    source.request_export(backup, OURS)
    # Where no status is shown, a second file that came seconds after the first would be taken for another export's.
    wait_for(lambda: len(serverless.staged()) == len([CLAIM, *FILES]))
    files = wait_for_files(source, backup, OURS)
    assert [file.shard.name for file in files] == FILES
    assert [read(source, file, 0, file.size_bytes) for file in files] == files_of(serverless, "night")


def test_a_file_that_is_still_to_come_is_waited_for_where_the_status_says_so(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.cloud.elasticache.hold_exports(True, after_files=1)
    serverless.source.request_export(backup, OURS)
    wait_for(lambda: "night-0001.rdb" in serverless.staged())
    assert serverless.source.find_staged_files(backup, OURS) is None
    serverless.cloud.elasticache.hold_exports(False)
    assert len(wait_for_files(serverless.source, backup, OURS)) == 2


def test_a_file_that_is_still_to_come_is_waited_for_where_no_status_says_so(serverless: Serverless) -> None:
    serverless.cloud.elasticache.serverless.show_exports(False)
    source = patient(serverless, Quiet(timedelta(minutes=1)))
    backup = listed(serverless)
    serverless.cloud.elasticache.hold_exports(True, after_files=1)
    source.request_export(backup, OURS)
    wait_for(lambda: "night-0001.rdb" in serverless.staged())
    assert source.find_staged_files(backup, OURS) is None


def test_a_file_that_is_being_uploaded_is_waited_for(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.source.request_export(backup, OURS)
    wait_for_files(serverless.source, backup, OURS)
    upload = serverless.s3.create_multipart_upload(Bucket=serverless.bucket, Key="night-0003.rdb")["UploadId"]
    assert serverless.source.find_staged_files(backup, OURS) is None
    serverless.s3.abort_multipart_upload(Bucket=serverless.bucket, Key="night-0003.rdb", UploadId=upload)
    assert serverless.source.find_staged_files(backup, OURS) is not None


@pytest.mark.parametrize(("first", "second"), [("night", "night-2"), ("night-2", "night"), ("night-0001", "night")])
def test_backups_whose_names_begin_alike_are_exported_one_after_the_other(
    serverless: Serverless, first: str, second: str
) -> None:
    """`night-2.rdb` may be the second file of `night`, or the only one of `night-2`."""
    backups = {name: listed(serverless, name) for name in (first, second)}
    serverless.source.request_export(backups[first], OURS)
    files = wait_for_files(serverless.source, backups[first], OURS)
    for attempt in (OURS, THEIRS):
        with pytest.raises(BackupBusy):
            serverless.source.request_export(backups[second], attempt)
        assert serverless.source.find_staged_files(backups[second], attempt) is None
    assert serverless.source.find_staged_files(backups[first], OURS) == files
    serverless.source.discard_export(backups[first], OURS)
    serverless.source.request_export(backups[second], OURS)
    files = wait_for_files(serverless.source, backups[second], OURS)
    assert [file.key for file in files] == [f"{second}-0001.rdb", f"{second}-0002.rdb"]
    assert [read(serverless.source, file, 0, file.size_bytes) for file in files] == files_of(serverless, second)


def test_a_claim_of_a_name_that_begins_alike_is_heeded_before_any_file_is_there(serverless: Serverless) -> None:
    longer, shorter = listed(serverless, "night-2"), listed(serverless, "night")
    serverless.cloud.elasticache.hold_exports(True)
    serverless.source.request_export(longer, THEIRS)
    with pytest.raises(BackupBusy, match="begin alike"):
        serverless.source.request_export(shorter, OURS)
    assert serverless.staged() == [f"{CLAIMS}night-2.json"]


def test_backups_of_other_names_are_exported_side_by_side(serverless: Serverless) -> None:
    backups = [listed(serverless, name) for name in ("night", "nightly", "tonight")]
    for backup in backups:
        serverless.source.request_export(backup, OURS)
    for backup in backups:
        files = wait_for_files(serverless.source, backup, OURS)
        assert [file.key for file in files] == [f"{backup.backup_id}-0001.rdb", f"{backup.backup_id}-0002.rdb"]


def test_a_backup_that_is_called_as_our_own_files_begin_takes_none_of_them(serverless: Serverless) -> None:
    others = f"rdbkeeper-orders-{THEIRS}-0001.rdb"
    serverless.s3.put_object(Bucket=serverless.bucket, Key=others, Body=b"of a node-based cluster")
    backup = listed(serverless, "rdbkeeper")
    serverless.source.request_export(backup, OURS)
    files = wait_for_files(serverless.source, backup, OURS)
    assert [file.key for file in files] == ["rdbkeeper-0001.rdb", "rdbkeeper-0002.rdb"]
    serverless.source.discard_export(backup, OURS)
    assert serverless.staged() == [others]


# ----------------------------------------------------------------------------- claims


def test_another_rule_waits_until_the_export_is_let_go_of(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.source.request_export(backup, OURS)
    files = wait_for_files(serverless.source, backup, OURS)
    with pytest.raises(BackupBusy, match="Another rule"):
        serverless.source.request_export(backup, THEIRS)
    assert serverless.source.find_staged_files(backup, THEIRS) is None
    serverless.source.discard_export(backup, THEIRS)
    assert serverless.source.find_staged_files(backup, OURS) == files
    serverless.source.discard_export(backup, OURS)
    assert serverless.staged() == []
    serverless.source.request_export(backup, THEIRS)
    assert len(wait_for_files(serverless.source, backup, THEIRS)) == 2


def test_asking_again_while_it_goes_on_is_asking_once(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.cloud.elasticache.hold_exports(True)
    for _ in range(2):
        serverless.source.request_export(backup, OURS)
    serverless.cloud.elasticache.hold_exports(False)
    assert len(wait_for_files(serverless.source, backup, OURS)) == 2


def test_a_claim_without_an_export_is_followed_by_one_when_asked_again(serverless: Serverless) -> None:
    """The run was cut off between its claim and its wish."""
    backup = listed(serverless)
    serverless.s3.put_object(Bucket=serverless.bucket, Key="night-0009.rdb", Body=b"left by another")
    wait_for(lambda: _seconds_old(serverless, "night-0009.rdb") >= 1)
    put_claim(serverless, OURS)
    serverless.source.request_export(backup, OURS)
    files = wait_for_files(serverless.source, backup, OURS)
    assert [file.key for file in files] == ["night-0001.rdb", "night-0002.rdb"]


def test_an_earlier_run_of_the_same_rule_is_waited_for_a_while(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.source.request_export(backup, OURS)
    wait_for_files(serverless.source, backup, OURS)
    with pytest.raises(BackupBusy, match="An earlier run of this rule"):
        serverless.source.request_export(backup, LATER)
    assert len(serverless.staged()) == 3


@pytest.mark.parametrize(("former", "minutes"), [(OURS, 11), (THEIRS, 31 * 60)])
def test_what_a_former_attempt_left_goes_before_the_export_is_asked_for(
    serverless: Serverless, monkeypatch: pytest.MonkeyPatch, former: str, minutes: int
) -> None:
    backup = listed(serverless)
    for key in ("night-0001.rdb", "night-0007.rdb", "nightly.rdb"):
        serverless.s3.put_object(Bucket=serverless.bucket, Key=key, Body=b"left")
    put_claim(serverless, former)
    for name in ("OTHERS_END_AFTER", "OWN_ENDS_AFTER"):
        module = "rdbkeeper.sources.elasticache_serverless.claims"
        true = {"OTHERS_END_AFTER": 30 * 60, "OWN_ENDS_AFTER": 10}[name]
        monkeypatch.setattr(f"{module}.{name}", timedelta(minutes=true - minutes))
    serverless.source.request_export(backup, LATER)
    files = wait_for_files(serverless.source, backup, LATER)
    assert [read(serverless.source, file, 0, file.size_bytes) for file in files] == files_of(serverless, "night")
    assert sorted(serverless.staged()) == ["night-0001.rdb", "night-0002.rdb", "nightly.rdb", CLAIM]


def test_an_export_that_may_be_going_on_is_left_alone(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.cloud.elasticache.hold_exports(True, after_files=1)
    serverless.client.export_serverless_cache_snapshot(
        ServerlessCacheSnapshotName="night", S3BucketName=serverless.bucket
    )
    wait_for(lambda: serverless.staged() == ["night-0001.rdb"])
    with pytest.raises(BackupBusy, match="going on"):
        serverless.source.request_export(backup, OURS)
    assert serverless.staged() == ["night-0001.rdb"]


@pytest.mark.parametrize("sign", ["fresh", "uploading"])
def test_an_export_that_shows_no_status_is_known_by_its_files(serverless: Serverless, sign: str) -> None:
    backup, source = listed(serverless), serverless.source
    if sign == "fresh":
        source = patient(serverless, Quiet())
        serverless.s3.put_object(Bucket=serverless.bucket, Key="night-0001.rdb", Body=b"just come")
    else:
        serverless.s3.create_multipart_upload(Bucket=serverless.bucket, Key="night-0001.rdb")
    with pytest.raises(BackupBusy, match="going on"):
        source.request_export(backup, OURS)
    for upload in serverless.s3.list_multipart_uploads(Bucket=serverless.bucket).get("Uploads", ()):
        where = {"Bucket": serverless.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        serverless.s3.abort_multipart_upload(**where)


def test_a_name_that_was_used_again_is_another_backup(serverless: Serverless) -> None:
    first = listed(serverless)
    serverless.source.request_export(first, OURS)
    wait_for_files(serverless.source, first, OURS)
    serverless.lose_backup("night")
    listed(serverless, "night", FIRST_NIGHT + timedelta(days=1))
    for ask in (serverless.source.request_export, serverless.source.find_staged_files):
        with pytest.raises(BackupGone):
            ask(first, OURS)


def test_a_claim_that_says_nothing_is_waited_for_and_stays(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.s3.put_object(Bucket=serverless.bucket, Key=CLAIM, Body=b"not JSON")
    with pytest.raises(BackupBusy):
        serverless.source.request_export(backup, OURS)
    serverless.source.discard_export(backup, OURS)
    assert serverless.staged() == [CLAIM]


def test_a_refused_export_leaves_no_claim_of_a_busy_backup(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.cloud.elasticache.serverless.show_exports(False)
    serverless.cloud.elasticache.hold_exports(True)
    serverless.client.export_serverless_cache_snapshot(
        ServerlessCacheSnapshotName="night", S3BucketName=serverless.bucket
    )
    with pytest.raises(BackupBusy):
        serverless.source.request_export(backup, OURS)
    assert serverless.staged() == []


def test_leftovers_are_known_by_their_claim(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.source.request_export(backup, OURS)
    wait_for_files(serverless.source, backup, OURS)
    serverless.s3.put_object(Bucket=serverless.bucket, Key="tonight-0001.rdb", Body=b"somebody's")
    later = far_from_now(serverless)
    instance = pair(serverless.source)
    for rule, chain in ((OTHER_RULE, LATER_CHAIN), (RULE, CHAIN)):
        assert serverless.source.discard_leftovers(instance, rule, chain, later) == []
    names = serverless.source.discard_leftovers(instance, RULE, LATER_CHAIN, later)
    assert names == ["night-0001.rdb", "night-0002.rdb"]
    assert serverless.staged() == ["tonight-0001.rdb"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDenied", SourceDenied),
        ("InvalidParameterValue", SourceRefused),
        ("ServerlessCacheSnapshotNotFoundFault", BackupGone),
    ],
)
def test_a_refused_export_leaves_no_claim(serverless: Serverless, code: str, error: type[RdbkeeperError]) -> None:
    backup = listed(serverless)
    source = refusing(serverless, code)
    with pytest.raises(error):
        source.request_export(backup, OURS)
    assert serverless.staged() == []
    source.discard_export(backup, OURS)


def test_an_export_whose_answer_was_lost_keeps_its_claim(serverless: Serverless) -> None:
    backup = listed(serverless)
    source = refusing(serverless, "InternalFailure")
    with pytest.raises(SourceUnavailable):
        source.request_export(backup, OURS)
    source.discard_export(backup, OURS)
    assert serverless.staged() == [CLAIM]


def test_an_export_that_is_discarded_while_it_goes_on_keeps_its_claim(
    serverless: Serverless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last files would otherwise be taken for all of the next one's."""
    serverless.cloud.elasticache.serverless.show_exports(False)
    source = patient(serverless, Quiet())
    backup = listed(serverless)
    serverless.cloud.elasticache.hold_exports(True, after_files=1)
    source.request_export(backup, OURS)
    wait_for(lambda: "night-0001.rdb" in serverless.staged())
    source.discard_export(backup, OURS)
    assert serverless.staged() == [CLAIM]
    monkeypatch.setattr("rdbkeeper.sources.elasticache_serverless.claims.OWN_ENDS_AFTER", timedelta(0))
    with pytest.raises(BackupBusy, match="going on"):
        source.request_export(backup, LATER)


@pytest.mark.parametrize("sign", ["file", "status"])
def test_what_comes_after_a_claim_that_follows_another_is_not_taken_for_its_own(
    serverless: Serverless, sign: str
) -> None:
    """The run was cut off between its claim and its wish, and the run before it was stopped while it exported."""
    backup = listed(serverless)
    put_claim(serverless, LATER, follows=True)
    serverless.cloud.elasticache.hold_exports(True, after_files=1 if sign == "file" else 0)
    serverless.cloud.elasticache.serverless.show_exports(sign == "status")
    serverless.client.export_serverless_cache_snapshot(
        ServerlessCacheSnapshotName="night", S3BucketName=serverless.bucket
    )
    wait_for(lambda: sign == "status" or "night-0001.rdb" in serverless.staged())
    with pytest.raises(BackupBusy):
        serverless.source.request_export(backup, LATER)
    assert CLAIM not in serverless.staged()


# --------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("reason", "error", "hint"),
    [
        ("ungranted", SourceRefused, "policy"),
        ("owner-changed", SourceRefused, "own account"),
        ("foreign", SourceRefused, "policy"),
        ("missing", SourceRefused, "Deploy the stack"),
        ("key", NotExportable, "key"),
        ("unknown", SourceRefused, "events"),
        ("taken", SourceRefused, "removes them"),
    ],
)
def test_an_export_that_fails_later_says_why(
    serverless: Serverless, reason: str, error: type[RdbkeeperError], hint: str
) -> None:
    serverless.cloud.elasticache.serverless.fail_exports(reason)
    backup = listed(serverless)
    serverless.source.request_export(backup, OURS)
    with pytest.raises(error, match="Could not export") as failed:
        wait_for_files(serverless.source, backup, OURS)
    assert type(failed.value) is error
    assert hint in failed.value.hint
    assert not failed.value.retryable


def test_a_failure_of_an_earlier_export_is_not_this_ones(serverless: Serverless) -> None:
    serverless.cloud.elasticache.serverless.fail_exports("unknown")
    backup = listed(serverless)
    serverless.source.request_export(backup, OURS)
    with pytest.raises(SourceRefused):
        wait_for_files(serverless.source, backup, OURS)
    serverless.source.discard_export(backup, OURS)
    serverless.cloud.elasticache.serverless.fail_exports("")
    failed_at = serverless.now()
    wait_for(lambda: serverless.now() - failed_at > timedelta(seconds=1))
    serverless.source.request_export(backup, LATER)
    assert len(wait_for_files(serverless.source, backup, LATER)) == 2


def test_an_export_that_failed_half_way_is_not_taken_for_whole(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.source.request_export(backup, OURS)
    wait_for_files(serverless.source, backup, OURS)
    serverless.s3.delete_object(Bucket=serverless.bucket, Key="night-0002.rdb")
    note = serverless.cloud.elasticache._state.events.note
    note("serverless-cache-snapshot", "night", "Failed to export snapshot for cache pair. Could not export snapshot.")
    with pytest.raises(SourceRefused):
        serverless.source.find_staged_files(backup, OURS)


def test_our_own_files_in_the_way_of_a_second_export_are_no_failure(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.source.request_export(backup, OURS)
    files = wait_for_files(serverless.source, backup, OURS)
    serverless.client.export_serverless_cache_snapshot(
        ServerlessCacheSnapshotName="night", S3BucketName=serverless.bucket
    )
    serverless.wait_until_idle("night")
    assert wait_for_files(serverless.source, backup, OURS) == files


def test_files_in_the_way_of_an_export_that_follows_another_are_a_failure(
    serverless: Serverless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the last ones of an export whose first ones were removed."""
    backup = listed(serverless)
    put_claim(serverless, OURS)
    monkeypatch.setattr("rdbkeeper.sources.elasticache_serverless.claims.OWN_ENDS_AFTER", timedelta(0))
    serverless.source.request_export(backup, LATER)
    wait_for_files(serverless.source, backup, LATER)
    serverless.client.export_serverless_cache_snapshot(
        ServerlessCacheSnapshotName="night", S3BucketName=serverless.bucket
    )
    serverless.wait_until_idle("night")
    with pytest.raises(SourceRefused, match="object with the same name"):
        serverless.source.find_staged_files(backup, LATER)


def test_an_export_of_which_a_file_is_missing_is_waited_for(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.source.request_export(backup, OURS)
    wait_for_files(serverless.source, backup, OURS)
    serverless.s3.delete_object(Bucket=serverless.bucket, Key="night-0001.rdb")
    with pytest.raises(BackupBusy, match="number 1 is missing"):
        serverless.source.find_staged_files(backup, OURS)


def test_a_backup_that_expires_while_it_is_exported_is_gone(serverless: Serverless) -> None:
    backup = listed(serverless)
    serverless.cloud.elasticache.hold_exports(True, after_files=1)
    serverless.source.request_export(backup, OURS)
    wait_for(lambda: "night-0001.rdb" in serverless.staged())
    serverless.lose_backup("night")
    serverless.cloud.elasticache.hold_exports(False)
    with pytest.raises(BackupGone):
        wait_for_files(serverless.source, backup, OURS)
    serverless.source.discard_export(backup, OURS)
    assert serverless.staged() == []


# -------------------------------------------------------------------------- instances


def test_a_cache_of_memcached_is_no_instance_and_is_told_apart(serverless: Serverless) -> None:
    serverless.client.create_serverless_cache(ServerlessCacheName="pages", Engine="memcached")
    with pytest.raises(SourceRefused, match="pages runs memcached"):
        serverless.source.find_instance("pages")
    assert [instance.name for instance in serverless.source.instances()] == ["pair"]
    serverless.client.delete_serverless_cache(ServerlessCacheName="pages")


def test_a_list_of_several_pages_is_whole(serverless: Serverless) -> None:
    names = [f"many-{number:02d}" for number in range(55)]
    for number, name in enumerate(names):
        serverless.take_backup(name, FIRST_NIGHT + timedelta(hours=number))
    assert sorted(one.backup_id for one in serverless.source.backups(pair(serverless.source))) == names
    assert serverless.source.count_backups([pair(serverless.source)]) == {"pair": 55}


def test_the_daily_backup_is_automatic(serverless: Serverless) -> None:
    name = serverless.cloud.elasticache.serverless.take_automatic_backup("pair", FIRST_NIGHT)
    backup = only_backup(serverless.source)
    assert (backup.backup_id, backup.automatic, backup.taken_at) == (name, True, FIRST_NIGHT)
    assert (backup.engine.engine, backup.engine.cluster_mode) == ("valkey", True)
    assert pair(serverless.source).backup_window == "02:00"


def _seconds_old(place: Serverless, key: str) -> float:
    written_at: datetime = place.s3.head_object(Bucket=place.bucket, Key=key)["LastModified"]
    return (place.now() - written_at).total_seconds()
