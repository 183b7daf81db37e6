"""What goes wrong at AWS's services becomes an error of its kind, with a hint that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rdbkeeper.domain.backup import Backup, EngineFacts
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    NotExportable,
    RdbkeeperError,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
)
from tests.contract.aws_source_places import (
    ElastiCache,
    MemoryDb,
    Serverless,
    elasticache,
    elasticache_place,
    memorydb_place,
    serverless,
    serverless_place,
)
from tests.contract.source_lab import FIRST_NIGHT, only_backup, pair, wait_for_files
from tests.contract.test_source_on_demand import NAME, TAGS
from tests.local_cloud.elasticache import ElastiCacheGuard
from tests.local_cloud.memorydb import MemoryDbGuard

__all__ = ["elasticache", "serverless"]

Place = ElastiCache | MemoryDb | Serverless


@pytest.fixture(params=[elasticache_place, memorydb_place, serverless_place], ids=lambda make: make.__name__)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with request.param(request) as made:
        yield made


@pytest.fixture(params=[elasticache_place, memorydb_place], ids=lambda make: make.__name__)
def naming_place(request: pytest.FixtureRequest) -> Iterator[ElastiCache | MemoryDb]:
    with request.param(request) as made:
        yield made


def guard(place: Place) -> ElastiCacheGuard | MemoryDbGuard:
    return place.cloud.memorydb if isinstance(place, MemoryDb) else place.cloud.elasticache


OPERATIONS = {
    ElastiCache: [
        "DescribeReplicationGroups",
        "DescribeSnapshots",
        "CopySnapshot",
        "CreateSnapshot",
        "DeleteSnapshot",
        "ListTagsForResource",
    ],
    MemoryDb: ["DescribeClusters", "DescribeSnapshots", "CopySnapshot", "CreateSnapshot", "DeleteSnapshot", "ListTags"],
    Serverless: [
        "DescribeServerlessCaches",
        "DescribeServerlessCacheSnapshots",
        "ExportServerlessCacheSnapshot",
        "CreateServerlessCacheSnapshot",
        "DeleteServerlessCacheSnapshot",
        "DescribeEvents",
        "ListTagsForResource",
    ],
}


def do_everything(place: Place) -> None:
    """Make each kind of call once."""
    source = place.source
    instance = pair(source)
    source.backups(instance)
    source.request_backup(instance, NAME, TAGS)
    place.wait_until_idle(NAME)
    backup = only_backup(source)
    source.request_export(backup, "attempt")
    wait_for_files(source, backup, "attempt")
    source.discard_export(backup, "attempt")
    source.remove_backup(instance, NAME, TAGS)


@pytest.mark.parametrize("at", range(7))
def test_a_permission_that_is_lacking_is_named(place: Place, at: int) -> None:
    operation = OPERATIONS[type(place)][at % len(OPERATIONS[type(place)])]
    guard(place).deny(operation)
    try:
        with pytest.raises(SourceDenied) as denied:
            do_everything(place)
    finally:
        guard(place).allow(operation)
    service = "memorydb" if isinstance(place, MemoryDb) else "elasticache"
    assert f"Allow {service}:{operation} to this function's role" in denied.value.hint
    assert not denied.value.retryable


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_throttling_passes(place: Place, at: int) -> None:
    operation = OPERATIONS[type(place)][at]
    guard(place).throttle(operation, 100)
    try:
        with pytest.raises(SourceUnavailable) as throttled:
            do_everything(place)
    finally:
        guard(place).allow(operation)
    assert throttled.value.retryable


@pytest.mark.parametrize(
    ("trouble", "error", "hint"),
    [
        ("missing", SourceRefused, "Deploy the stack again"),
        ("elsewhere", SourceRefused, "own region"),
        ("foreign", SourceRefused, "own account"),
        ("ungranted", SourceRefused, "policy"),
    ],
)
def test_a_bucket_that_takes_no_exports_is_told_with_what_to_do(
    naming_place: ElastiCache | MemoryDb, trouble: str, error: type[RdbkeeperError], hint: str
) -> None:
    place = naming_place
    bucket = f"exports-{trouble}"
    # Other tests may have made it.
    buckets = {one["Name"] for one in place.s3.list_buckets()["Buckets"]}
    if trouble != "missing" and bucket not in buckets:
        where = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}} if trouble == "elsewhere" else {}
        place.s3.create_bucket(Bucket=bucket, **where)
    if trouble == "foreign":
        guard(place).disown(bucket)
    place.take_backup("night", FIRST_NIGHT)
    source = type(place.source)(place.client, lambda: place.s3, bucket)
    with pytest.raises(RdbkeeperError) as refused:
        source.request_export(only_backup(source), "attempt")
    assert type(refused.value) is error
    assert hint in refused.value.hint
    assert not refused.value.retryable


def test_a_serverless_cache_in_another_region_than_the_bucket_is_refused_at_once(serverless: Serverless) -> None:
    serverless.s3.create_bucket(Bucket="exports-abroad", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    serverless.take_backup("night", FIRST_NIGHT)
    source = type(serverless.source)(serverless.client, lambda: serverless.s3, "exports-abroad")
    with pytest.raises(SourceRefused) as refused:
        source.request_export(only_backup(source), "attempt")
    assert "own region" in refused.value.hint


@pytest.mark.parametrize("tiering", ["enabled", "true"])
def test_a_backup_with_tiered_data_is_refused_before_any_call(
    naming_place: ElastiCache | MemoryDb, tiering: str
) -> None:
    naming_place.take_backup("night", FIRST_NIGHT)
    backup = only_backup(naming_place.source)
    tiered = replace(backup, engine=EngineFacts(node_type="db.r6gd.xlarge", data_tiering=tiering))
    guard(naming_place).deny("CopySnapshot")
    try:
        with pytest.raises(NotExportable, match="r6gd") as refused:
            naming_place.source.request_export(tiered, "attempt")
    finally:
        guard(naming_place).allow("CopySnapshot")
    assert "data tiering" in refused.value.hint


def test_a_backup_under_a_key_that_is_disabled_cannot_be_exported(naming_place: ElastiCache | MemoryDb) -> None:
    owner = {"ClusterName": "pair"} if isinstance(naming_place, MemoryDb) else {"ReplicationGroupId": "pair"}
    key = "arn:aws:kms:us-east-1:000000000000:key/ours"
    naming_place.client.create_snapshot(SnapshotName="night", KmsKeyId=key, **owner)
    naming_place.wait_until_idle("night")
    guard(naming_place).disable_key(key)
    with pytest.raises(NotExportable) as refused:
        naming_place.source.request_export(only_backup(naming_place.source), "attempt")
    guard(naming_place).disable_key(key, False)
    assert "key" in refused.value.hint
    assert "000000000000" not in str(refused.value)


def test_a_backup_that_vanishes_is_gone(place: Place) -> None:
    backup = taken(place)
    place.lose_backup("night")
    with pytest.raises(BackupGone) as gone:
        place.source.request_export(backup, "attempt")
    assert "expired" in gone.value.hint
    assert not gone.value.retryable


def test_what_is_being_worked_on_is_busy(naming_place: ElastiCache | MemoryDb) -> None:
    backup = taken(naming_place)
    guard(naming_place).hold_exports(True)
    naming_place.source.request_export(backup, "first")
    with pytest.raises(BackupBusy) as busy:
        naming_place.source.request_export(backup, "second")
    assert busy.value.retryable


def taken(place: Place) -> Backup:
    place.take_backup("night", FIRST_NIGHT)
    return only_backup(place.source)
