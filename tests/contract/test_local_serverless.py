"""Serverless caches and their snapshots in the local ElastiCache, as an unchanged boto3 sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.elasticache_place import wait_for
from tests.contract.managed_place import refusal
from tests.contract.serverless_place import SNAPSHOTS, Place, place

__all__ = ["place"]

LONG_AGO = datetime(2026, 3, 1, 2, 15, tzinfo=UTC)
TAGS = [{"Key": "rdbkeeper:stack", "Value": "one"}, {"Key": "rdbkeeper:rule", "Value": "nightly"}]


def test_caches_are_listed_with_what_they_are(place: Place) -> None:
    carts, pages = place.cache.describe_serverless_caches()["ServerlessCaches"]
    assert (carts["ServerlessCacheName"], carts["Status"], carts["Engine"]) == ("carts", "available", "valkey")
    assert (carts["SnapshotRetentionLimit"], carts["DailySnapshotTime"]) == (3, "02:00")
    assert carts["ARN"] == "arn:aws:elasticache:us-east-1:000000000000:serverlesscache:carts"
    assert carts["FullEngineVersion"].startswith(carts["MajorEngineVersion"] + ".")
    assert carts["Endpoint"]["Port"] == place.serverless.ports("carts")[0]
    assert (pages["ServerlessCacheName"], pages["Engine"]) == ("pages", "memcached")
    (one,) = place.cache.describe_serverless_caches(ServerlessCacheName="CARTS")["ServerlessCaches"]
    assert one == carts


def test_a_snapshot_is_creating_at_first_and_then_says_when_it_was_taken(place: Place) -> None:
    busy = {"ServerlessCacheSnapshotName": "carts-now"}
    place.serverless.hold_snapshots(True)
    try:
        created = place.create("Carts-Now", Tags=TAGS)
        assert (created["ServerlessCacheSnapshotName"], created["Status"]) == ("carts-now", "creating")
        assert not {"CreateTime", "ExpiryTime", "BytesUsedForCache"} & set(created)
        assert refusal(place.create, name="carts-again")[0] == "InvalidServerlessCacheStateFault"
        code = "InvalidServerlessCacheSnapshotStateFault"
        assert refusal(place.export, name="carts-now")[0] == code
        assert refusal(place.cache.delete_serverless_cache_snapshot, **busy)[0] == code
    finally:
        place.serverless.hold_snapshots(False)
    place.wait_until_available("carts-now")
    snapshot = place.snapshot("carts-now")
    assert snapshot["SnapshotType"] == "manual"
    assert abs(datetime.now(UTC) - snapshot["CreateTime"]) < timedelta(seconds=30)
    assert "ExpiryTime" not in snapshot
    assert int(snapshot["BytesUsedForCache"]) > 1000
    assert snapshot["ServerlessCacheConfiguration"]["ServerlessCacheName"] == "carts"
    wait_for(lambda: place.messages("carts-now") == ["Snapshot carts-now created for cache carts."])


def test_tags_of_a_snapshot_are_kept_until_it_goes(place: Place) -> None:
    arn = place.create("carts-tagged", Tags=TAGS)["ARN"]
    place.wait_until_available("carts-tagged")
    assert place.cache.list_tags_for_resource(ResourceName=arn)["TagList"] == TAGS
    place.cache.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "more", "Value": "yes"}])
    place.cache.remove_tags_from_resource(ResourceName=arn, TagKeys=["rdbkeeper:rule"])
    listed = place.cache.list_tags_for_resource(ResourceName=arn)["TagList"]
    assert {tag["Key"] for tag in listed} == {"rdbkeeper:stack", "more"}
    place.cache.delete_serverless_cache_snapshot(ServerlessCacheSnapshotName="carts-tagged")
    code, _ = refusal(place.cache.list_tags_for_resource, ResourceName=arn)
    assert code == "ServerlessCacheSnapshotNotFoundFault"
    place.serverless.take_manual_backup("carts-tagged", "carts")
    assert place.cache.list_tags_for_resource(ResourceName=arn)["TagList"] == []


def test_an_automatic_snapshot_says_when_it_expires(place: Place) -> None:
    name = place.serverless.take_automatic_backup("carts", LONG_AGO)
    assert name == "automatic.carts-2026-03-01-02-15"
    snapshot = place.snapshot(name)
    assert (snapshot["SnapshotType"], snapshot["CreateTime"]) == ("automated", LONG_AGO)
    assert snapshot["ExpiryTime"] == LONG_AGO + timedelta(days=3)
    place.serverless.expire(name)
    missing = {"ServerlessCacheSnapshotName": name}
    code, _ = refusal(place.cache.describe_serverless_cache_snapshots, **missing)
    assert code == "ServerlessCacheSnapshotNotFoundFault"


def test_snapshots_are_paged_by_next_token_and_filtered_by_type(place: Place) -> None:
    names = {place.serverless.take_automatic_backup("carts", LONG_AGO + timedelta(days=day)) for day in range(7)}
    asked = {"ServerlessCacheName": "carts", "SnapshotType": "automated"}
    first = place.cache.describe_serverless_cache_snapshots(**asked, MaxResults=3)
    assert (len(first["ServerlessCacheSnapshots"]), bool(first["NextToken"])) == (3, True)
    pages = place.cache.get_paginator("describe_serverless_cache_snapshots").paginate(
        **asked, PaginationConfig={"PageSize": 3}
    )
    listed = [each["ServerlessCacheSnapshotName"] for page in pages for each in page["ServerlessCacheSnapshots"]]
    assert (set(listed), len(listed)) == (names, 7)


def test_a_snapshot_that_fails_says_so_in_its_status_and_in_an_event(place: Place) -> None:
    place.serverless.fail_snapshots()
    place.create("carts-failed")
    wait_for(lambda: place.snapshot("carts-failed")["Status"] == "failed")
    wait_for(lambda: place.messages("carts-failed") != [])
    assert "creation failed because of an internal error" in place.messages("carts-failed")[0]
    place.cache.delete_serverless_cache_snapshot(ServerlessCacheSnapshotName="carts-failed")


def test_a_held_snapshot_stays_creating(place: Place) -> None:
    place.serverless.hold_snapshots(True)
    try:
        place.create("carts-held")
        with pytest.raises(AssertionError, match="waited in vain"):
            wait_for(lambda: place.snapshot("carts-held")["Status"] != "creating", timeout_s=0.6)
    finally:
        place.serverless.hold_snapshots(False)
    place.wait_until_available("carts-held")


def test_events_are_those_of_the_span_that_is_asked_for(place: Place) -> None:
    place.serverless.take_manual_backup("carts-noted", "carts")
    now = datetime.now(UTC)
    asked = {"SourceType": SNAPSHOTS, "SourceIdentifier": "carts-noted"}
    (event,) = place.cache.describe_events(**asked, Duration=5)["Events"]
    assert (event["SourceIdentifier"], event["SourceType"]) == ("carts-noted", SNAPSHOTS)
    assert abs(now - event["Date"]) < timedelta(seconds=30)
    assert place.cache.describe_events(**asked, StartTime=event["Date"] - timedelta(minutes=1))["Events"] == [event]
    assert place.cache.describe_events(**asked, StartTime=now + timedelta(minutes=1), Duration=5)["Events"] == []
    assert place.cache.describe_events(**asked, EndTime=now - timedelta(minutes=5))["Events"] == []
    (created,) = place.cache.describe_events(SourceType="serverless-cache", SourceIdentifier="carts")["Events"]
    assert created["Message"] == "Cache carts is created and ready to use."


def test_events_may_name_a_snapshot_by_its_arn(place: Place) -> None:
    place.serverless.name_in_events(by_arn=True)
    try:
        place.serverless.take_manual_backup("carts-by-arn", "carts")
    finally:
        place.serverless.name_in_events(by_arn=False)
    arn = place.snapshot("carts-by-arn")["ARN"]
    assert place.messages(arn) == ["Snapshot carts-by-arn created for cache carts."]
    assert place.messages("carts-by-arn") == []


def test_events_are_paged_by_marker(place: Place) -> None:
    for number in range(21):
        place.serverless.expire(place.serverless.take_manual_backup(f"paged-{number}", "pages"))
    first = place.cache.describe_events(SourceType=SNAPSHOTS, MaxRecords=20)
    assert (len(first["Events"]), bool(first["Marker"])) == (20, True)
    pages = place.cache.get_paginator("describe_events").paginate(
        SourceType=SNAPSHOTS, PaginationConfig={"PageSize": 20}
    )
    listed = [event["SourceIdentifier"] for page in pages for event in page["Events"]]
    assert sum(name.startswith("paged-") for name in listed) == 21


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("describe_serverless_caches", {"ServerlessCacheName": "no"}, "ServerlessCacheNotFoundFault"),
        ("describe_serverless_caches", {"MaxResults": 51}, "InvalidParameterValue"),
        ("describe_serverless_cache_snapshots", {"MaxResults": 51}, "InvalidParameterValue"),
        ("describe_serverless_cache_snapshots", {"NextToken": "!"}, "InvalidParameterValue"),
        ("describe_serverless_cache_snapshots", {"SnapshotType": "user"}, "InvalidParameterValue"),
        ("describe_serverless_cache_snapshots", {"ServerlessCacheName": "no"}, "ServerlessCacheNotFoundFault"),
        (
            "create_serverless_cache_snapshot",
            {"ServerlessCacheSnapshotName": "x", "ServerlessCacheName": "no"},
            "ServerlessCacheNotFoundFault",
        ),
        (
            "create_serverless_cache_snapshot",
            {"ServerlessCacheSnapshotName": "a.b", "ServerlessCacheName": "carts"},
            "InvalidParameterValue",
        ),
        (
            "delete_serverless_cache_snapshot",
            {"ServerlessCacheSnapshotName": "no"},
            "ServerlessCacheSnapshotNotFoundFault",
        ),
        ("describe_events", {"SourceIdentifier": "carts"}, "InvalidParameterCombination"),
        ("describe_events", {"MaxRecords": 10}, "InvalidParameterValue"),
        ("describe_events", {"Duration": 15 * 24 * 60}, "InvalidParameterValue"),
        ("describe_events", {"StartTime": LONG_AGO}, "InvalidParameterValue"),
    ],
)
def test_errors_carry_the_services_own_codes(
    place: Place, operation: str, parameters: dict[str, Any], code: str
) -> None:
    assert refusal(getattr(place.cache, operation), **parameters)[0] == code


def test_a_cache_that_is_not_available_is_not_snapshotted(place: Place) -> None:
    place.serverless.set_status("carts", "MODIFYING")
    try:
        (cache,) = place.cache.describe_serverless_caches(ServerlessCacheName="carts")["ServerlessCaches"]
        assert cache["Status"] == "MODIFYING"
        assert refusal(place.create, name="carts-modified")[0] == "InvalidServerlessCacheStateFault"
    finally:
        place.serverless.set_status("carts", None)


def test_a_throttled_call_is_answered_when_it_is_repeated(place: Place) -> None:
    place.guard.throttle("DescribeServerlessCaches", times=1)
    assert refusal(place.cache.describe_serverless_caches) == ("Throttling", "Rate exceeded")
    assert place.cache.describe_serverless_caches()["ServerlessCaches"]


def test_the_quota_counts_what_was_asked_for_though_it_was_deleted_since(place: Place) -> None:
    place.cache.create_serverless_cache(ServerlessCacheName="counted", Engine="redis")
    for number in range(22):
        place.serverless.take_manual_backup(f"counted-{number}", "counted")
    place.serverless.take_manual_backup("counted-long-ago", "counted", LONG_AGO)
    for name in ("counted-23", "counted-24"):
        asked = {"ServerlessCacheSnapshotName": name, "ServerlessCacheName": "counted"}
        place.cache.create_serverless_cache_snapshot(**asked)
        place.wait_until_available(name)
        place.cache.delete_serverless_cache_snapshot(ServerlessCacheSnapshotName=name)
    over = {"ServerlessCacheSnapshotName": "counted-over", "ServerlessCacheName": "counted"}
    code, _ = refusal(place.cache.create_serverless_cache_snapshot, **over)
    assert code == "ServerlessCacheSnapshotQuotaExceededFault"


def test_a_deleted_cache_takes_its_automatic_snapshots_with_it(place: Place) -> None:
    place.cache.create_serverless_cache(ServerlessCacheName="brief", Engine="redis", SnapshotRetentionLimit=1)
    place.serverless.take_automatic_backup("brief", LONG_AGO)
    place.serverless.take_manual_backup("brief-kept", "brief")
    place.cache.delete_serverless_cache(ServerlessCacheName="brief")
    listed = place.cache.describe_serverless_cache_snapshots(ServerlessCacheName="brief")["ServerlessCacheSnapshots"]
    assert [each["ServerlessCacheSnapshotName"] for each in listed] == ["brief-kept"]
