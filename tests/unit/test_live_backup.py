"""Servers that are read directly: the one backup of a run, and whether it can be taken in the one attempt there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rdbkeeper.domain.backup import Backup, BackupState, Consistency, EngineFacts, Shard
from rdbkeeper.domain.catalog import Catalog, CatalogEntry, Level
from rdbkeeper.domain.errors import ServerTooLarge
from rdbkeeper.domain.live import LiveFile, LiveFindings, LivePlan, join_findings
from rdbkeeper.domain.live_backup import assume_server, plan_live_backup
from rdbkeeper.domain.live_estimate import (
    FULL_SYNC_BYTES_PER_S,
    FULL_SYNC_DELAY_S,
    LOGICAL_BYTES_PER_S,
    LOGICAL_KEYS_PER_S,
    check_fits,
    estimate_s,
    part_bytes_for,
)
from rdbkeeper.domain.source import DEFAULT_KEYS_PER_SECOND, SourceAccess, Way
from rdbkeeper.domain.transfer import DEFAULT_PART_BYTES, MEBIBYTE, MOST_PARTS_OF_A_STREAM
from rdbkeeper.flows.runs.context import LONGEST_INVOCATION
from rdbkeeper.flows.runs.live import STREAM_RESERVE_S
from rdbkeeper.sources.redis.seen_keys import MOST_KEYS
from tests.flows.world import make_rule

NOW = datetime(2026, 11, 21, 3, 0, 7, tzinfo=UTC)
DUE = "2026-11-21T03:00:00Z"
RULE = make_rule(provider="redis", instance="queue", access=SourceAccess(address="queue:6379"))
EMPTY = Catalog((), frozenset(), ())
GIGABYTE = 10**9


def planned(
    catalog: Catalog = EMPTY, scheduled_at: str = DUE, started_at: datetime = NOW, now: datetime | None = None
) -> Backup:
    return plan_live_backup(RULE, assume_server("queue"), catalog, scheduled_at, started_at, now or started_at)


def full_sync(size_bytes: int) -> LiveFile:
    return LiveFile(Shard("0001", "0-16383"), "queue:6379", Way.FULL_SYNC, size_bytes, 1000)


def logical(size_bytes: int, keys: int) -> LiveFile:
    return replace(full_sync(size_bytes), way=Way.LOGICAL, keys=keys)


# The backup


def test_a_backup_is_called_by_when_it_was_due_and_taken_when_its_server_is_about_to_be_read() -> None:
    later = NOW + timedelta(minutes=20)
    backup = planned(now=later + timedelta(microseconds=7))
    assert (backup.backup_id, backup.taken_at, backup.automatic) == ("run-20261121T030000Z", later, False)
    assert backup.state is BackupState.COMPLETE and backup.shards == ()


@pytest.mark.parametrize(
    "scheduled_at, backup_id",
    [
        ("2026-11-21T12:00:00+09:00", "run-20261121T030000Z"),
        ("2026-11-21T03:00:00", "run-20261121T030000Z"),
        ("", "run-20261121T030007Z"),
        ("<aws.scheduler.scheduled-time>", "run-20261121T030007Z"),
    ],
)
def test_a_time_is_read_in_any_zone_and_what_is_none_is_when_the_run_began(scheduled_at: str, backup_id: str) -> None:
    assert planned(scheduled_at=scheduled_at).backup_id == backup_id


@pytest.mark.parametrize("is_removed", [False, True], ids=["kept", "removed by a person"])
def test_an_event_that_is_delivered_twice_means_the_copy_that_there_was(is_removed: bool) -> None:
    first = planned()
    entries = () if is_removed else (CatalogEntry(first.copy_id, Level.VERIFIED),)
    removed = frozenset({first.copy_id}) if is_removed else frozenset()
    again = planned(replace(EMPTY, entries=entries, removed=removed), started_at=NOW + timedelta(minutes=9))
    assert again.copy_id == first.copy_id


def test_another_fires_copy_is_another() -> None:
    catalog = replace(EMPTY, entries=(CatalogEntry(planned().copy_id, Level.VERIFIED),))
    later = planned(catalog, "2026-11-21T04:00:00Z", NOW + timedelta(hours=1))
    assert later.taken_at == NOW + timedelta(hours=1)


def test_a_server_that_nobody_asked_is_taken_to_be_there() -> None:
    server = assume_server("queue")
    assert server.available and server.name == "queue" and server.provider == "redis"


def test_a_plan_survives_being_written_down() -> None:
    plan = LivePlan(EngineFacts(engine="redis"), (full_sync(5), logical(7, 3)), "as the server allows it")
    assert LivePlan.from_record(plan.as_record()) == plan


def test_a_backup_survives_being_written_down_with_how_consistent_it_is() -> None:
    backup = replace(planned(), consistency=Consistency.LOGICAL, consistency_reason="read key by key")
    assert Backup.from_record(backup.as_record()) == backup
    old = {name: value for name, value in backup.as_record().items() if not name.startswith("consistency")}
    assert Backup.from_record(old).consistency is Consistency.POINT_IN_TIME


def test_what_a_provider_leaves_open_is_told_whatever_else_makes_a_backup_consistent() -> None:
    backup = replace(planned(), consistency_reason="these are all that came")
    frozen = backup.with_consistency(Consistency.APPLICATION, "writes were frozen")
    assert frozen.consistency is Consistency.APPLICATION
    assert frozen.consistency_reason == "writes were frozen; these are all that came"
    assert backup.with_consistency(Consistency.POINT_IN_TIME, "").consistency_reason == "these are all that came"
    assert planned().with_consistency(Consistency.POINT_IN_TIME, "").consistency_reason == ""


def test_the_order_of_consistencies_is_from_the_best_to_the_worst() -> None:
    assert list(Consistency) == [Consistency.APPLICATION, Consistency.POINT_IN_TIME, Consistency.LOGICAL]


ONE_MOMENT = LiveFindings(Consistency.POINT_IN_TIME, "the shard's data are of one moment")
BY_KEYS = LiveFindings(Consistency.LOGICAL, "read key by key over 60 s", 100, 2, 60.0)


def plan_of(way: Way, shards: int = 1, reason: str = "as the rule says") -> LivePlan:
    return LivePlan(EngineFacts(engine="redis"), (replace(full_sync(5), way=way),) * shards, reason)


@pytest.mark.parametrize(
    "one, way", [(ONE_MOMENT, Way.FULL_SYNC), (BY_KEYS, Way.LOGICAL)], ids=["full sync", "logical"]
)
def test_what_became_of_one_stream_is_told_as_it_is(one: LiveFindings, way: Way) -> None:
    assert join_findings([one], [NOW], plan_of(way)) == (one.consistency, f"{one.reason}. as the rule says")
    assert join_findings([one], [NOW], plan_of(way, reason="")) == (one.consistency, one.reason)
    assert LiveFindings.from_record(one.as_record()) == one


def test_shards_that_are_read_one_after_the_other_are_not_of_one_moment() -> None:
    began = [NOW, NOW + timedelta(minutes=4), NOW + timedelta(minutes=12)]
    consistency, reason = join_findings([ONE_MOMENT] * 3, began, plan_of(Way.FULL_SYNC, 3, ""))
    assert consistency is Consistency.POINT_IN_TIME
    assert reason == (
        "the shard's data are of one moment; the 3 shards were read one after the other, their beginnings 12 min 0 s "
        "apart"
    )


def test_the_durations_and_vanished_keys_of_all_shards_are_told() -> None:
    began = [NOW, NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)]
    consistency, reason = join_findings([BY_KEYS, ONE_MOMENT, BY_KEYS], began, plan_of(Way.FULL_SYNC, 3))
    assert consistency is Consistency.LOGICAL
    assert reason == (
        "2 of 3 shards were read key by key, over 2 min 0 s in all; 4 keys vanished meanwhile; the 3 shards were read "
        "one after the other, their beginnings 2 min 0 s apart; of the first of these: read key by key over 60 s"
    )


# Estimates


def test_a_full_sync_is_estimated_by_its_bytes() -> None:
    assert estimate_s(full_sync(FULL_SYNC_BYTES_PER_S * 60), 100, 0) == 60 + FULL_SYNC_DELAY_S


def test_reading_key_by_key_is_estimated_by_keys_or_bytes_whichever_takes_longer() -> None:
    assert estimate_s(logical(1000, 60_000), 1000, 0) == 60
    assert estimate_s(logical(LOGICAL_BYTES_PER_S * 90, 60_000), 1000, 0) == 90
    assert estimate_s(logical(1000, 60 * LOGICAL_KEYS_PER_S), 10**6, 0) == 60, "no faster than a function can"


def test_a_cap_counts_where_it_is_below_what_a_function_can() -> None:
    assert estimate_s(full_sync(60 * 125_000), 100, bandwidth_mbps=1) == 60 + FULL_SYNC_DELAY_S
    assert estimate_s(full_sync(FULL_SYNC_BYTES_PER_S), 100, bandwidth_mbps=100_000) == 1 + FULL_SYNC_DELAY_S


def test_an_empty_server_takes_no_time_but_what_it_waits_for_other_replicas() -> None:
    assert estimate_s(logical(0, 0), 1000, 0) == 0
    assert estimate_s(full_sync(0), 1000, 0) == FULL_SYNC_DELAY_S


def test_what_just_fits_is_read_and_what_does_not_is_refused() -> None:
    check_fits(full_sync(FULL_SYNC_BYTES_PER_S * 595), 1000, 0, longest_s=600)
    with pytest.raises(ServerTooLarge, match="would take 10 min 1 s; one attempt has 10 min 0 s"):
        check_fits(full_sync(FULL_SYNC_BYTES_PER_S * 596), 1000, 0, longest_s=600)


def test_the_page_about_sources_says_how_much_a_shard_may_hold() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text("utf-8")
    longest_s = LONGEST_INVOCATION.total_seconds() - STREAM_RESERVE_S
    by_sync, by_keys = (longest_s - FULL_SYNC_DELAY_S) * FULL_SYNC_BYTES_PER_S, longest_s * LOGICAL_BYTES_PER_S
    keys, most_keys = longest_s * DEFAULT_KEYS_PER_SECOND / 10**6, longest_s * LOGICAL_KEYS_PER_S / 10**6
    assert f"| {by_sync // GIGABYTE:.0f} GB | {by_keys // GIGABYTE:.0f} GB |" in page
    told = f"{keys:.1f} million at {DEFAULT_KEYS_PER_SECOND} `keys_per_second`, {most_keys:.0f} million from"
    assert f"{told} {LOGICAL_KEYS_PER_S} on; {MOST_KEYS // 10**6} million in one database" in page
    assert f"below {FULL_SYNC_BYTES_PER_S // 125_000}, or {LOGICAL_BYTES_PER_S // 125_000} key by key" in page


SYNC, PACE, CAP = "Allow SYNC", "Raise the rule's keys_per_second to 15000.", "Raise the rule's bandwidth_mbps"


@pytest.mark.parametrize(
    "file, keys_per_second, bandwidth_mbps, named",
    [
        (full_sync(40 * GIGABYTE), 10_000, 0, []),
        (full_sync(40 * GIGABYTE), 10_000, 400, []),
        (full_sync(20 * GIGABYTE), 10_000, 100, [CAP]),
        (logical(20 * GIGABYTE, 1000), 10_000, 0, [SYNC]),
        (logical(GIGABYTE, 9_000_000), 10_000, 0, [SYNC, PACE]),
        (logical(GIGABYTE, 9_000_000), 10_000, 1, []),
        (logical(GIGABYTE, 16_000_000), 25_000, 0, [SYNC]),
        (logical(GIGABYTE, 16_000_000), 1_000_000, 0, [SYNC]),
        (logical(12 * GIGABYTE, 1000), 10_000, 100, [CAP]),
        (logical(40 * GIGABYTE, 16_000_000), 10_000, 0, []),
    ],
)
def test_whoever_is_refused_is_told_what_would_help_and_nothing_else(
    file: LiveFile, keys_per_second: int, bandwidth_mbps: int, named: list[str]
) -> None:
    with pytest.raises(ServerTooLarge) as refused:
        check_fits(file, keys_per_second, bandwidth_mbps, longest_s=600)
    assert [remedy for remedy in (SYNC, PACE, CAP) if remedy in refused.value.hint] == named
    assert [word for word in ("SYNC", "keys_per_second", "bandwidth_mbps") if word in refused.value.hint] == [
        {SYNC: "SYNC", PACE: "keys_per_second", CAP: "bandwidth_mbps"}[remedy] for remedy in named
    ]
    assert "more shards" in refused.value.hint


@pytest.mark.parametrize("size_bytes", [0, 1, GIGABYTE, 11 * GIGABYTE, 12 * GIGABYTE, 500 * GIGABYTE])
def test_parts_are_whole_mebibytes_and_few_enough_for_twice_what_was_measured(size_bytes: int) -> None:
    part_bytes = part_bytes_for(full_sync(size_bytes))
    assert part_bytes >= DEFAULT_PART_BYTES and part_bytes % MEBIBYTE == 0
    assert 2 * size_bytes <= part_bytes * MOST_PARTS_OF_A_STREAM
