"""What the local ElastiCache exports: real RDB files, checked by loading them into a second server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.contract.elasticache_place import Place, export, make_bucket, place, refused, status_of, wait_for
from tests.local_cloud.dataset import digest, fill
from tests.local_cloud.engines import Engine, EngineError, load

__all__ = ["place"]


def test_an_export_writes_one_whole_file_a_shard_and_leaves_no_record(place: Place) -> None:
    fill(place.guard.ports("orders"), seed=7)
    sources = [digest(port) for port in place.guard.ports("orders")]
    place.guard.take_manual_backup("orders-filled", "orders")
    place.guard.hold_exports(True)
    try:
        assert export(place, "orders-filled", "Attempt-1")["SnapshotStatus"] == "exporting"
        assert refused(export, place=place, source="orders-filled", target="attempt-2")[0] == "InvalidSnapshotState"
    finally:
        place.guard.hold_exports(False)
    wait_for(lambda: status_of(place, "orders-filled") == "available")
    listed = place.s3.list_objects_v2(Bucket="exports", Prefix="attempt-1")["Contents"]
    assert [each["Key"] for each in listed] == ["attempt-1-0001.rdb", "attempt-1-0002.rdb"]
    assert refused(place.cache.describe_snapshots, SnapshotName="attempt-1")[0] == "SnapshotNotFoundFault"
    for listing, source in zip(listed, sources, strict=True):
        assert digest_of(place, listing["Key"]) == source
        assert set(source.types) == {"string", "list", "set", "hash", "zset", "stream"}
    assert sources[0] != sources[1]
    assert place.guard.problems == []


def digest_of(place: Place, key: str) -> Any:
    with Engine() as scratch:
        rdb = Path(scratch.bgsave()).with_name(key)
        rdb.write_bytes(place.s3.get_object(Bucket="exports", Key=key)["Body"].read())
        with load(rdb) as copy:
            return digest(copy.port)


def test_a_one_shard_export_holds_all_databases(place: Place) -> None:
    (port,) = place.guard.ports("sessions")
    fill(port, seed=3)
    source = digest(port)
    place.guard.take_manual_backup("sessions-filled", "sessions")
    export(place, "sessions-filled", "sessions-filled")
    wait_for(lambda: status_of(place, "sessions-filled") == "available")
    assert digest_of(place, "sessions-filled-0001.rdb") == source
    assert set(source.keys_per_database) == {0, 1, 7, 15}


def test_an_export_refuses_what_the_service_refuses(place: Place) -> None:
    place.guard.take_manual_backup("orders-refused", "orders")
    make_bucket(place.s3, "half-granted", ["s3:GetObject", "s3:List*", "s3:GetBucketAcl"])
    place.s3.create_bucket(Bucket="ungranted")
    place.s3.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    place.s3.put_object(Bucket="exports", Key="taken-0002.rdb", Body=b"x")
    expected = {
        "no-such-bucket": "The S3 bucket no-such-bucket does not exist.",
        "far-away": "The S3 bucket far-away is outside of the region.",
        "half-granted": "ElastiCache has not been granted WRITE permissions s3:PutObject on the S3 Bucket.",
        "ungranted": "ElastiCache has not been granted READ permissions s3:ListBucket, s3:GetObject on the S3 Bucket.",
        "exports": "The S3 bucket exports already contains an object with key taken-0002.rdb.",
    }
    for bucket, message in expected.items():
        found = refused(export, place=place, source="orders-refused", target="Taken", bucket=bucket)
        assert found == ("InvalidParameterValue", message)
    assert refused(export, place=place, source="no-such", target="x")[0] == "SnapshotNotFoundFault"
    assert refused(export, place=place, source="orders-refused", target="a/b")[0] == "InvalidParameterValue"
    assert status_of(place, "orders-refused") == "available"


def test_held_exports_do_not_finish_until_they_are_released(place: Place) -> None:
    place.guard.take_manual_backup("orders-held", "orders")
    place.guard.hold_exports(True)
    try:
        export(place, "orders-held", "held")
        time.sleep(0.5)
        assert status_of(place, "orders-held") == "exporting"
        assert "Contents" not in place.s3.list_objects_v2(Bucket="exports", Prefix="held")
        assert refused(place.cache.delete_snapshot, SnapshotName="orders-held")[0] == "InvalidSnapshotState"
    finally:
        place.guard.hold_exports(False)
    wait_for(lambda: status_of(place, "orders-held") == "available")
    assert len(place.s3.list_objects_v2(Bucket="exports", Prefix="held")["Contents"]) == 2


@pytest.mark.parametrize("mode", ["flip", "truncate"])
def test_a_damaged_export_differs_and_no_server_loads_it(place: Place, mode: Any, tmp_path: Path) -> None:
    place.guard.take_manual_backup(f"orders-{mode}", "orders")
    place.guard.damage(f"orders-{mode}", "0002", mode)
    export(place, f"orders-{mode}", mode)
    wait_for(lambda: status_of(place, f"orders-{mode}") == "available")
    for group_id in ("0001", "0002"):
        body = place.s3.get_object(Bucket="exports", Key=f"{mode}-{group_id}.rdb")["Body"].read()
        (tmp_path / group_id).write_bytes(body)
    load(tmp_path / "0001").stop()
    with pytest.raises(EngineError):
        load(tmp_path / "0002").stop()
    place.guard.repair(f"orders-{mode}")
    export(place, f"orders-{mode}", f"{mode}-repaired")
    wait_for(lambda: status_of(place, f"orders-{mode}") == "available")
    body = place.s3.get_object(Bucket="exports", Key=f"{mode}-repaired-0002.rdb")["Body"].read()
    assert body != (tmp_path / "0002").read_bytes()


def test_a_denied_operation_answers_access_denied_until_it_is_allowed(place: Place) -> None:
    place.guard.deny("DescribeSnapshots")
    try:
        code, message = refused(place.cache.describe_snapshots)
    finally:
        place.guard.allow("DescribeSnapshots")
    assert (code, "elasticache:DescribeSnapshots" in message) == ("AccessDenied", True)
    assert place.cache.describe_snapshots()["Snapshots"]
