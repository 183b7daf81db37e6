"""Backups on demand of the local ElastiCache: tags, keys, failures, and what is not exported."""

from __future__ import annotations

import pytest

from tests.contract.elasticache_place import Place, export, place, refused, status_of, wait_for

__all__ = ["place"]

KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
TAGS = [{"Key": "rdbkeeper:stack", "Value": "one"}, {"Key": "rdbkeeper:rule", "Value": "nightly"}]


def test_tags_of_a_snapshot_are_kept_until_it_goes(place: Place) -> None:
    created = place.cache.create_snapshot(SnapshotName="tagged", ReplicationGroupId="orders", Tags=TAGS)["Snapshot"]
    wait_for(lambda: status_of(place, "tagged") == "available")
    assert place.cache.list_tags_for_resource(ResourceName=created["ARN"])["TagList"] == TAGS
    place.cache.remove_tags_from_resource(ResourceName=created["ARN"], TagKeys=["rdbkeeper:rule"])
    assert place.cache.list_tags_for_resource(ResourceName=created["ARN"])["TagList"] == TAGS[:1]
    place.cache.delete_snapshot(SnapshotName="tagged")
    assert refused(place.cache.list_tags_for_resource, ResourceName=created["ARN"])[0] == "SnapshotNotFoundFault"


def test_a_snapshot_fails_or_is_held_as_a_test_says(place: Place) -> None:
    place.guard.fail_snapshots()
    place.cache.create_snapshot(SnapshotName="fails", CacheClusterId="scratch")
    wait_for(lambda: status_of(place, "fails") == "failed")
    place.cache.delete_snapshot(SnapshotName="fails")
    place.guard.hold_snapshots(True)
    place.cache.create_snapshot(SnapshotName="held", CacheClusterId="scratch")
    with pytest.raises(AssertionError, match="waited in vain"):
        wait_for(lambda: status_of(place, "held") != "creating", timeout_s=0.6)
    assert refused(place.cache.delete_snapshot, SnapshotName="held")[0] == "InvalidSnapshotState"
    place.guard.hold_snapshots(False)
    wait_for(lambda: status_of(place, "held") == "available")


def test_a_snapshot_with_a_disabled_key_is_not_exported(place: Place) -> None:
    place.cache.create_snapshot(SnapshotName="locked", CacheClusterId="scratch", KmsKeyId=KEY)
    wait_for(lambda: status_of(place, "locked") == "available")
    assert place.cache.describe_snapshots(SnapshotName="locked")["Snapshots"][0]["KmsKeyId"] == KEY
    place.guard.disable_key(KEY)
    found = refused(export, place=place, source="locked", target="locked")
    assert found == ("InvalidParameterValue", f"The KMS key {KEY} is disabled.")
    place.guard.disable_key(KEY, False)
    export(place, "locked", "locked")
    wait_for(lambda: status_of(place, "locked") == "available")


def test_a_group_with_data_tiering_is_backed_up_but_not_exported(place: Place) -> None:
    tiered = {"ReplicationGroupId": "tiered", "ReplicationGroupDescription": "x", "CacheNodeType": "cache.r6gd.xlarge"}
    assert refused(place.cache.create_replication_group, **tiered)[0] == "InvalidParameterCombination"
    made = place.cache.create_replication_group(**tiered, DataTieringEnabled=True)["ReplicationGroup"]
    assert made["DataTiering"] == "enabled"
    place.guard.take_manual_backup("tiered-now", "tiered")
    code, message = refused(export, place=place, source="tiered-now", target="x")
    assert (code, "data tiering" in message) == ("InvalidParameterValue", True)


def test_a_bucket_of_another_account_is_refused(place: Place) -> None:
    place.guard.take_manual_backup("foreign", "scratch")
    place.guard.disown("exports")
    found = refused(export, place=place, source="foreign", target="foreign")
    place.guard.disown("exports", False)
    assert found == ("InvalidParameterValue", "The S3 bucket exports is not owned by the authenticated user.")


def test_a_snapshot_that_expires_in_its_export_leaves_what_was_written(place: Place) -> None:
    place.guard.take_manual_backup("expiring", "orders")
    place.guard.hold_exports(True, after_files=1)
    export(place, "expiring", "cut")
    wait_for(lambda: place.s3.list_objects_v2(Bucket="exports", Prefix="cut-").get("KeyCount") == 1)
    place.guard.expire("expiring")
    place.guard.hold_exports(False)
    assert refused(place.cache.describe_snapshots, SnapshotName="expiring")[0] == "SnapshotNotFoundFault"
    assert place.s3.list_objects_v2(Bucket="exports", Prefix="cut-")["KeyCount"] == 1
    assert place.guard.problems == []


def test_a_throttled_call_is_answered_when_it_is_repeated(place: Place) -> None:
    place.guard.throttle("DescribeSnapshots", times=1)
    assert refused(place.cache.describe_snapshots) == ("Throttling", "Rate exceeded")
    assert "Snapshots" in place.cache.describe_snapshots()
