"""What the local ElastiCache Serverless exports, and how it says that it could not."""

from __future__ import annotations

import pytest

from tests.contract.elasticache_place import wait_for
from tests.contract.managed_place import digest_of, keys_in, make_export_bucket, refusal
from tests.contract.serverless_place import BUCKET, PRINCIPAL, Place, place
from tests.local_cloud.dataset import digest
from tests.local_cloud.elasticache.serverless import IN_A_FOLDER, NUMBERED

__all__ = ["place"]

KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("pattern", "name", "keys"),
    [
        (NUMBERED, "numbered", ["numbered-0001.rdb", "numbered-0002.rdb"]),
        (IN_A_FOLDER, "foldered", ["foldered/0001.rdb", "foldered/0002.rdb"]),
    ],
)
def test_an_export_writes_every_hidden_shard_under_the_snapshots_name(
    place: Place, pattern: str, name: str, keys: list[str]
) -> None:
    sources = [digest(port) for port in place.serverless.ports("carts")]
    place.serverless.take_manual_backup(name, "carts")
    place.serverless.name_exports(pattern)
    place.guard.hold_exports(True)
    try:
        assert place.export(name)["Status"] == "exporting"
        assert refusal(place.export, name=name)[0] == "InvalidServerlessCacheSnapshotStateFault"
        place.guard.hold_exports(False)
        place.wait_until_available(name)
    finally:
        place.guard.hold_exports(False)
        place.serverless.name_exports()
    assert keys_in(place.s3, BUCKET, name) == keys
    assert [digest_of(place.s3, BUCKET, key) for key in keys] == sources
    assert set(sources[0].types) == {"string", "list", "set", "hash", "zset", "stream"}


def test_an_export_may_go_on_without_its_snapshot_showing_it(place: Place) -> None:
    place.serverless.take_manual_backup("quiet", "carts")
    place.serverless.show_exports(False)
    place.guard.hold_exports(True, after_files=1)
    try:
        assert place.export("quiet")["Status"] == "available"
        wait_for(lambda: keys_in(place.s3, BUCKET, "quiet") == ["quiet-0001.rdb"])
        assert place.snapshot("quiet")["Status"] == "available"
        assert refusal(place.export, name="quiet")[0] == "InvalidServerlessCacheSnapshotStateFault"
    finally:
        place.guard.hold_exports(False)
        place.serverless.show_exports(True)
    wait_for(lambda: len(keys_in(place.s3, BUCKET, "quiet")) == 2)


def test_a_second_export_fails_in_an_event_while_an_object_remains(place: Place) -> None:
    place.serverless.take_manual_backup("twice", "carts")
    place.s3.put_object(Bucket=BUCKET, Key="twice-0002.rdb", Body=b"of a former attempt")
    place.export("twice")
    assert place.wait_for_failure("twice") == (
        "Failed to export snapshot for cache carts. Could not export snapshot to bucket 'serverless-exports' because "
        "there is already an object with the same name in the bucket."
    )
    place.wait_until_available("twice")
    assert keys_in(place.s3, BUCKET, "twice") == ["twice-0002.rdb"]
    place.s3.delete_object(Bucket=BUCKET, Key="twice-0002.rdb")
    place.export("twice")
    place.wait_until_available("twice")
    assert len(keys_in(place.s3, BUCKET, "twice")) == 2


def test_a_bucket_that_does_not_do_is_an_event(place: Place) -> None:
    make_export_bucket(place.s3, "serverless-half-granted", PRINCIPAL, ["s3:GetObject", "s3:ListBucket"])
    make_export_bucket(place.s3, "serverless-of-others", PRINCIPAL)
    place.guard.disown("serverless-of-others")
    for bucket, reason in {
        "serverless-no-such": "because bucket does not exist.",
        "serverless-half-granted": "because ElastiCache does not have permissions to the bucket.",
        "serverless-of-others": "because the bucket is not accessible.",
    }.items():
        name = place.serverless.take_manual_backup(f"to-{bucket}", "carts")
        place.export(name, bucket)
        assert place.wait_for_failure(name).endswith(reason)
        place.wait_until_available(name)


def test_a_bucket_elsewhere_or_a_snapshot_that_is_not_there_is_refused_at_once(place: Place) -> None:
    elsewhere = {"LocationConstraint": "eu-central-1"}
    place.s3.create_bucket(Bucket="serverless-far-away", CreateBucketConfiguration=elsewhere)
    place.serverless.take_manual_backup("stays", "carts")
    code, message = refusal(place.export, name="stays", bucket="serverless-far-away")
    assert (code, message) == ("InvalidParameterValue", "The S3 bucket serverless-far-away is outside of the region.")
    assert refusal(place.export, name="stays", bucket="Not_A_Bucket")[0] == "InvalidParameterValue"
    assert refusal(place.export, name="no-such")[0] == "ServerlessCacheSnapshotNotFoundFault"
    assert place.snapshot("stays")["Status"] == "available"


def test_a_snapshot_of_memcached_is_taken_but_not_exported(place: Place) -> None:
    asked = {"ServerlessCacheSnapshotName": "pages-now", "ServerlessCacheName": "pages"}
    place.cache.create_serverless_cache_snapshot(**asked)
    place.wait_until_available("pages-now")
    code, message = refusal(place.export, name="pages-now")
    assert (code, "Valkey and Redis OSS only" in message) == ("InvalidParameterValue", True)


def test_a_disabled_key_fails_the_export_and_is_named(place: Place) -> None:
    place.create("locked", KmsKeyId=KEY)
    place.wait_until_available("locked")
    assert place.snapshot("locked")["KmsKeyId"] == KEY
    place.guard.disable_key(KEY)
    try:
        place.export("locked")
        assert f"Customer Managed Key {KEY} because" in place.wait_for_failure("locked")
    finally:
        place.guard.disable_key(KEY, False)


def test_exports_fail_as_a_test_says(place: Place) -> None:
    place.serverless.take_manual_backup("failing", "carts")
    place.serverless.fail_exports("owner-changed")
    try:
        place.export("failing")
        assert "bucket owner account Id has changed" in place.wait_for_failure("failing")
    finally:
        place.serverless.fail_exports()
    place.wait_until_available("failing")
    assert keys_in(place.s3, BUCKET, "failing") == []


def test_a_snapshot_that_expires_in_its_export_leaves_what_was_written(place: Place) -> None:
    place.serverless.take_manual_backup("expiring", "carts")
    place.guard.hold_exports(True, after_files=1)
    try:
        place.export("expiring")
        wait_for(lambda: keys_in(place.s3, BUCKET, "expiring") == ["expiring-0001.rdb"])
        place.serverless.expire("expiring")
    finally:
        place.guard.hold_exports(False)
    assert place.wait_for_failure("expiring").endswith("Could not export snapshot to bucket 'serverless-exports'.")
    assert keys_in(place.s3, BUCKET, "expiring") == ["expiring-0001.rdb"]


def test_a_damaged_file_is_exported_damaged_until_it_is_repaired(place: Place) -> None:
    place.serverless.take_manual_backup("hurt", "carts")
    whole = place.serverless.backup_files("hurt")[1].read_bytes()
    place.serverless.damage("hurt", "0002", "truncate", 100)
    place.export("hurt")
    place.wait_until_available("hurt")
    assert place.s3.get_object(Bucket=BUCKET, Key="hurt-0002.rdb")["Body"].read() == whole[:100]
    for key in keys_in(place.s3, BUCKET, "hurt"):
        place.s3.delete_object(Bucket=BUCKET, Key=key)
    place.serverless.repair("hurt")
    place.export("hurt")
    place.wait_until_available("hurt")
    assert place.s3.get_object(Bucket=BUCKET, Key="hurt-0002.rdb")["Body"].read() == whole
