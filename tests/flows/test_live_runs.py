"""Runs that take a backup of their own, of a server that is reached directly: one stream a shard, one attempt."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rdbkeeper.domain.copy import Manifest
from rdbkeeper.domain.errors import (
    LeaseLost,
    RunFailed,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
    VaultDenied,
    VaultUnavailable,
)
from rdbkeeper.domain.live import LiveFile
from rdbkeeper.domain.outcome import Status
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import SourceAccess, Way
from rdbkeeper.domain.vault import StoreSum
from rdbkeeper.flows.runs import live
from rdbkeeper.flows.runs.publish import READ_BACK, STORE_CHECKS
from rdbkeeper.rdb.checksum import as_hex, crc64_nvme
from tests.fakes.engine import LARGEST_RESULT_BYTES, ProcessDied
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.flows.world import World, after_each, make_rule

RULE = "queue-hourly"
PART = 5000
DUE = RunRequest(scheduled_at="2026-11-21T03:00:00Z")
ONE = {"0001": rdb_file(2 * PART + 700)}
THREE = {f"000{number}": rdb_file(PART * number + 300, seed=number) for number in (1, 2, 3)}


def new_world(files: dict[str, bytes] | None, **changes: object) -> World:
    access = SourceAccess(address="queue.example.com:6379")
    world = World(rule=make_rule(RULE, **{"provider": "redis", "instance": "queue", "access": access, **changes}))
    world.adapters.live.files = files
    world.vault.smallest_part_bytes = 1
    return world


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "part_bytes_for", lambda file: PART)


def only_manifest(world: World) -> Manifest:
    (manifest,) = world.manifests().values()
    return manifest


def data_by_shard(world: World) -> dict[str, bytes]:
    return {key.rpartition("/")[2].removesuffix(".rdb"): body for key, body in world.data().items()}


def nothing_is_left(world: World) -> bool:
    return not (world.vault.objects or world.vault.uploads or world.tables.uploads.get(RULE) or world.tables.attempts)


def fails(world: World, **given: Any) -> str:
    """Let a run fail with its one backup; returns why."""
    with pytest.raises(RunFailed):
        world.run(**given)
    (outcome,) = world.history()[0].outcomes
    assert outcome.status is Status.FAILED
    return outcome.reason


def _steps_of_a_whole_run() -> int:
    world = new_world(THREE)
    engine = world.engine()
    world.run(engine, DUE)
    return engine.steps_run


@pytest.mark.parametrize("files", [ONE, THREE], ids=["one shard", "three shards"])
def test_every_shard_is_read_once_and_copied_byte_for_byte(files: dict[str, bytes]) -> None:
    world = new_world(files)
    world.run(request=DUE)
    assert data_by_shard(world) == files
    assert world.adapters.live.opened == list(files)
    assert all(stream.is_closed for stream in world.adapters.live.streams)
    manifest = only_manifest(world)
    assert manifest.copy_id == "20261121T030000Z-run-20261121T030000Z"
    assert (manifest.provider, manifest.automatic, manifest.level) == ("redis", False, "verified")
    assert manifest.engine.shard_count == len(files)


def test_the_sums_in_the_manifest_are_those_of_the_bytes() -> None:
    world = new_world(THREE)
    world.run(request=DUE)
    for file, data in zip(only_manifest(world).files, THREE.values(), strict=True):
        parts = [data[at : at + PART] for at in range(0, len(data), PART)]
        assert file.size_bytes == len(data) and file.part_size_bytes == PART
        assert file.crc64nvme == as_hex(crc64_nvme(data))
        assert list(file.part_sha256) == [hashlib.sha256(part).hexdigest() for part in parts]


@pytest.mark.parametrize("size_bytes", [PART - 1, PART, PART + 1, 2 * PART, 3 * PART])
def test_a_stream_of_any_length_around_the_parts_is_whole(size_bytes: int) -> None:
    world = new_world({"0001": rdb_file(size_bytes)})
    world.run(request=DUE)
    assert data_by_shard(world) == {"0001": rdb_file(size_bytes)}
    assert len(only_manifest(world).files[0].part_sha256) == -(-size_bytes // PART)


def test_a_server_without_a_key_is_copied_as_the_empty_file_that_it_sends() -> None:
    world = new_world({"0001": rdb_file(18)})
    world.run(request=DUE)
    assert only_manifest(world).size_bytes == 18


def test_a_stream_of_no_bytes_is_no_backup() -> None:
    world = new_world({"0001": b""})
    assert fails(world, request=DUE) == "NotAnRdbFile"
    assert nothing_is_left(world)


@pytest.mark.parametrize("damage", [lambda file: flip_bit(file, 100), lambda file: file[:-1]], ids=["bit", "end"])
def test_a_stream_that_is_no_whole_file_is_not_published(damage: Any) -> None:
    world = new_world({"0001": damage(ONE["0001"])})
    assert fails(world, request=DUE) in ("ChecksumMismatch", "EndMarkerMissing")
    assert nothing_is_left(world)


@pytest.mark.parametrize("store_sum", list(StoreSum))
def test_whatever_sums_a_store_keeps_the_copy_is_proved_with_them(store_sum: StoreSum) -> None:
    world = new_world(THREE)
    world.vault.capabilities = replace(world.vault.capabilities, sum=store_sum)
    world.run(request=DUE)
    checks = {file.checks[-1] for file in only_manifest(world).files}
    assert checks == {{**STORE_CHECKS, StoreSum.NONE: READ_BACK}[store_sum]}
    assert data_by_shard(world) == THREE and world.adapters.live.opened == list(THREE)
    assert world.vault.uploads == {} and not world.tables.uploads.get(RULE)


# Consistency


def test_a_full_sync_is_of_one_moment_and_says_why() -> None:
    world = new_world(ONE)
    world.run(request=DUE)
    manifest = only_manifest(world)
    assert manifest.consistency == "point-in-time"
    assert manifest.consistency_reason.endswith("full sync, as the server allows it")


def test_a_copy_made_key_by_key_says_so_in_its_manifest_and_in_the_outcome() -> None:
    world = new_world(THREE)
    world.adapters.live.forbids_sync = True
    world.adapters.live.vanished = 2
    world.run(request=DUE)
    manifest = only_manifest(world)
    assert manifest.consistency == "logical"
    assert "6 keys vanished" in manifest.consistency_reason and "knows no SYNC" in manifest.consistency_reason
    line = next(line for line in world.journal.lines if line.event == "BackupOutcome")
    assert "Consistency logical: 3 of 3 shards were read key by key" in line.message
    (outcome,) = world.history()[0].outcomes
    assert "Consistency logical" in outcome.detail


def test_a_copy_is_no_more_consistent_than_the_worst_of_its_shards() -> None:
    world = new_world(THREE)
    open_stream = world.adapters.live.open_stream

    def read_the_second_key_by_key(file: LiveFile) -> object:
        world.adapters.live.forbids_sync = file.shard.name == "0002"
        return open_stream(file)

    world.adapters.live.open_stream = read_the_second_key_by_key
    world.run(request=DUE)
    manifest = only_manifest(world)
    assert manifest.consistency == "logical" and "read key by key" in manifest.consistency_reason


def test_a_copy_whose_server_refused_sync_only_when_asked_does_not_say_that_it_allowed_it() -> None:
    world = new_world(ONE)
    open_stream = world.adapters.live.open_stream

    def refuse_sync(file: LiveFile) -> object:
        world.adapters.live.forbids_sync = True
        return open_stream(file)

    world.adapters.live.open_stream = refuse_sync
    world.run(request=DUE)
    manifest = only_manifest(world)
    assert manifest.consistency == "logical" and "SYNC was refused" in manifest.consistency_reason
    assert "full sync" not in manifest.consistency_reason


def test_a_copy_of_several_shards_says_how_far_apart_they_were_read() -> None:
    world = new_world(THREE)
    after_each(world.adapters.live, "open_stream", lambda: world.clock.advance(300))
    world.run(request=DUE)
    assert "their beginnings 10 min " in only_manifest(world).consistency_reason


def test_an_unchecked_copy_made_key_by_key_tells_both() -> None:
    world = new_world({"0001": rdb_file(PART, checksum=False)})
    world.adapters.live.forbids_sync = True
    world.run(request=DUE)
    (outcome,) = world.history()[0].outcomes
    unchecked = only_manifest(world).files[0].unchecked_reason
    assert unchecked and unchecked in outcome.detail and "Consistency logical" in outcome.detail


# One run, one backup


def test_a_timers_event_that_is_delivered_twice_makes_one_copy() -> None:
    world = new_world(ONE)
    world.run(request=DUE)
    world.clock.advance(600)
    world.run(request=DUE)
    assert len(world.manifests()) == 1 and len(world.adapters.live.opened) == 1
    assert world.outcomes() == {"run-20261121T030000Z": "AlreadyKept"}


def test_a_copy_that_a_person_removed_is_not_made_again_by_the_same_event() -> None:
    world = new_world(ONE)
    world.vault.objects["redis/queue/removed/20261121T030000Z-run-20261121T030000Z.json"] = b"{}"
    world.clock.advance(600)
    world.run(request=DUE)
    assert world.manifests() == {} and world.adapters.live.opened == []
    assert world.outcomes() == {"run-20261121T030000Z": "RemovedByPerson"}


def test_each_fire_and_each_run_by_hand_makes_a_copy_of_its_own() -> None:
    world = new_world(ONE)
    for scheduled_at in ("2026-11-21T03:00:00Z", "2026-11-21T04:00:00Z", "", "no time at all"):
        world.run(request=replace(DUE, scheduled_at=scheduled_at))
        world.clock.advance(3600)
    assert len(world.manifests()) == 4


def test_a_wish_for_a_backup_first_is_what_such_a_run_does_anyhow() -> None:
    world = new_world(ONE)
    world.run(request=RunRequest(on_request=True, backs_up=True))
    assert len(world.manifests()) == 1 and world.source.requests == []


# What breaks


@pytest.mark.parametrize("shard", THREE)
@pytest.mark.parametrize("at", [0, 1, PART - 1, PART, PART + 200])
def test_a_server_that_goes_away_in_mid_stream_leaves_nothing(shard: str, at: int) -> None:
    world = new_world(THREE)
    world.adapters.live.lost_at[shard] = at
    assert fails(world, request=DUE) == "ServerLost"
    assert nothing_is_left(world)
    assert world.adapters.live.opened.count(shard) == 1, "there is one attempt"
    assert all(stream.is_closed for stream in world.adapters.live.streams)
    world.adapters.live.lost_at.clear()
    world.clock.advance(3600)
    world.run(request=RunRequest(scheduled_at="2026-11-21T04:00:00Z"))
    assert data_by_shard(world) == THREE


def test_a_store_that_does_not_list_uploads_is_left_with_none_either() -> None:
    world = new_world(THREE)
    world.vault.capabilities = replace(world.vault.capabilities, lists_uploads=False)
    world.adapters.live.lost_at["0003"] = PART + 1
    assert fails(world, request=DUE) == "ServerLost"
    assert nothing_is_left(world)


def test_the_same_event_may_make_the_copy_that_failed_at_first() -> None:
    world = new_world(ONE)
    world.adapters.live.lost_at["0001"] = 100
    fails(world, request=DUE)
    world.adapters.live.lost_at.clear()
    world.run(request=DUE)
    assert len(world.manifests()) == 1


def test_a_key_that_cannot_be_written_down_fails_the_backup_once() -> None:
    world = new_world(ONE)
    world.adapters.live.undumpable_at["0001"] = PART + 1
    assert fails(world, request=DUE) == "KeyUndumpable"
    assert nothing_is_left(world) and world.adapters.live.opened == ["0001"]


def test_a_server_that_cannot_be_opened_is_tried_once() -> None:
    world = new_world(THREE)
    world.adapters.live.unreachable.add("0002")
    assert fails(world, request=DUE) == "SourceUnavailable"
    assert nothing_is_left(world)


@pytest.mark.parametrize("error", [VaultUnavailable("gone"), VaultDenied("no")], ids=["unavailable", "denied"])
def test_a_store_that_fails_in_mid_stream_costs_the_one_attempt_and_leaves_nothing(error: Any) -> None:
    world = new_world(THREE)
    put, calls = world.vault.put_part, 0

    def fail_the_second(*args: Any) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise error
        return put(*args)

    world.vault.put_part = fail_the_second
    assert fails(world, request=DUE) == error.code
    assert error.message in world.history()[0].outcomes[0].detail
    assert nothing_is_left(world) and world.adapters.live.opened == ["0001"]


@pytest.mark.parametrize("store_sum", list(StoreSum))
def test_a_process_that_dies_after_any_step_leaves_one_copy_or_nothing(store_sum: StoreSum) -> None:
    steps, steps_done = [""], 0
    while steps_done < len(steps):
        world = new_world(THREE)
        world.vault.capabilities = replace(world.vault.capabilities, sum=store_sum)
        engine = world.engine()
        engine.dies_after = steps_done
        with pytest.raises(ProcessDied):
            world.run(engine, DUE)
        engine.begin_invocation()
        try:
            world.run(engine, DUE)
            assert data_by_shard(world) == THREE and only_manifest(world).level == "verified"
        except RunFailed:
            assert nothing_is_left(world)
            assert world.history()[0].outcomes[0].reason == "LegNeverEnds"
        assert world.vault.uploads == {} and not world.tables.uploads.get(RULE) and world.tables.attempts == {}
        assert all(world.adapters.live.opened.count(shard) <= 1 for shard in THREE), "a stream was begun twice"
        steps, steps_done = [name for name, _ in engine.remembered], steps_done + 1


@pytest.mark.parametrize("steps_done", range(_steps_of_a_whole_run()))
def test_a_run_that_is_given_up_after_any_step_leaves_the_next_a_clean_table(steps_done: int) -> None:
    world = new_world(THREE)
    engine = world.engine()
    engine.dies_after = steps_done
    with pytest.raises(ProcessDied):
        world.run(engine, DUE)
    world.clock.advance(3600)
    world.run(request=RunRequest(scheduled_at="2026-11-21T04:00:00Z"))
    assert "run-20261121T040000Z" in world.copied_backups()
    assert world.vault.uploads == {}


def test_an_invocation_that_is_killed_in_mid_stream_does_not_begin_it_again() -> None:
    world = new_world(ONE)

    def die(*_: Any) -> object:
        raise ProcessDied

    put, world.vault.put_part = world.vault.put_part, die
    engine = world.engine()
    with pytest.raises(ProcessDied):
        world.run(engine, DUE)
    world.vault.put_part = put
    engine.begin_invocation()
    assert fails(world, engine=engine, request=DUE) == "LegNeverEnds"
    assert world.adapters.live.opened == ["0001"] and nothing_is_left(world)


def test_a_run_that_lost_its_lease_in_mid_stream_publishes_nothing() -> None:
    world = new_world(THREE)
    after_each(world.vault, "put_part", world.steal_lease)
    with pytest.raises(LeaseLost):
        world.run(request=DUE)
    assert world.vault.objects == {}
    del world.vault.put_part
    world.tables.leases.clear()
    world.clock.advance(3600)
    world.run(request=RunRequest(scheduled_at="2026-11-21T04:00:00Z"))
    assert world.vault.uploads == {} and len(world.manifests()) == 1


def test_a_rule_that_is_deleted_in_mid_stream_publishes_nothing() -> None:
    world = new_world(ONE)
    after_each(world.vault, "put_part", lambda: world.edit(state=RuleState.DELETING))
    assert world.run(request=DUE)["refused"] == "RuleGone"
    assert world.vault.objects == {} and world.vault.uploads == {}


def test_a_rule_that_is_deleted_between_two_shards_reads_no_further() -> None:
    world = new_world(THREE)
    after_each(world.adapters.live, "open_stream", lambda: world.edit(state=RuleState.DELETING))
    assert world.run(request=DUE)["refused"] == "RuleGone"
    assert world.adapters.live.opened == ["0001"] and world.vault.objects == {}


def test_a_rule_that_is_pointed_at_another_server_in_mid_stream_publishes_nothing_of_this_one() -> None:
    world = new_world(THREE)
    elsewhere = SourceAccess(address="another.example.com:6379")
    after_each(world.adapters.live, "open_stream", lambda: world.edit(access=elsewhere))
    assert world.run(request=DUE)["refused"] == "RuleChanged"
    assert world.vault.objects == {}


def test_a_rule_that_is_told_to_read_more_slowly_in_mid_stream_goes_on() -> None:
    world = new_world(ONE)
    slower = replace(world.rule.access, keys_per_second=500, secret="rdbkeeper/queue")
    after_each(world.adapters.live, "open_stream", lambda: world.edit(access=slower))
    world.run(request=DUE)
    assert len(world.manifests()) == 1


def test_a_copy_is_of_when_its_server_was_read_however_long_its_run_had_waited_before() -> None:
    world = new_world(ONE)
    world.tables.leases[RULE] = "a run that was stopped just now"
    world.executions.ended_at["a run that was stopped just now"] = world.clock.now()
    due = world.clock.now()
    world.run(request=DUE)
    manifest = only_manifest(world)
    assert manifest.taken_at >= due + timedelta(minutes=20) and manifest.backup_id == "run-20261121T030000Z"


# Too large, too slow, not there


def test_a_server_that_would_not_be_read_in_one_invocation_is_refused_beforehand() -> None:
    world = new_world(ONE, access=SourceAccess(address="queue:6379", keys_per_second=100))
    world.adapters.live.forbids_sync = True
    world.adapters.live.keys = 100 * 3600
    assert fails(world, request=DUE) == "ServerTooLarge"
    assert world.adapters.live.opened == [] and nothing_is_left(world)


def test_a_stream_that_is_longer_than_its_parts_can_be_counted_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_PARTS_OF_A_STREAM", 2)
    world = new_world(ONE)
    assert fails(world, request=DUE) == "ServerTooLarge"
    assert nothing_is_left(world) and world.adapters.live.opened == ["0001"]
    assert world.adapters.live.streams[0].is_closed


def test_a_stream_as_long_as_its_parts_can_just_be_counted_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_PARTS_OF_A_STREAM", 3)
    world = new_world({"0001": rdb_file(3 * PART)})
    world.run(request=DUE)
    assert len(world.manifests()) == 1


def test_a_stream_that_outlasts_its_invocation_is_broken_off_before_it_is_killed() -> None:
    world = new_world({"0001": rdb_file(60 * PART)})
    after_each(world.vault, "put_part", lambda: world.clock.advance(60))
    assert fails(world, request=DUE) == "CopyTooSlow"
    assert nothing_is_left(world)


def test_each_stream_begins_in_an_invocation_of_its_own() -> None:
    world = new_world(THREE)
    engine = world.engine()
    world.run(engine, DUE)
    assert engine.invocations >= 1 + len(THREE)


def test_a_cap_on_the_bandwidth_holds_for_streams() -> None:
    world = new_world({"0001": rdb_file(1_250_000)}, bandwidth_mbps=1)
    began_s = world.clock.monotonic()
    world.run(request=DUE)
    assert world.clock.monotonic() - began_s >= 9.8


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_memory_is_a_buffer_for_each_lane_and_one_more(lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted(bytearray):
        def __init__(self, size: int) -> None:
            made.append(size)
            super().__init__(size)

    monkeypatch.setattr(live, "bytearray", Counted, raising=False)
    world = new_world({"0001": rdb_file(9 * PART)})
    world.copying = replace(world.copying, lanes=lanes)
    world.run(request=DUE)
    assert data_by_shard(world) == {"0001": rdb_file(9 * PART)}
    assert made == [PART] * (lanes + 1)


@pytest.mark.parametrize("state", ["nobody answers", "a stranger answers", "it is loading", "it denies"])
def test_a_server_that_is_not_there_is_told_and_nothing_is_left(state: str) -> None:
    world = new_world(None if state == "nobody answers" else ONE)
    source = world.adapters.live
    source.is_stranger, source.is_loading = state == "a stranger answers", state == "it is loading"
    source.denied = SourceDenied("Its password is another.") if state == "it denies" else None
    if state == "it is loading":
        assert world.run(request=DUE)["refused"] == "InstanceNotAvailable"
    else:
        with pytest.raises(Exception, match=r"answers|password"):
            world.run(request=DUE)
        assert world.history()[0].state == "failed"
    assert nothing_is_left(world) and world.tables.leases == {}


def test_a_way_that_the_server_forbids_fails_without_a_stream() -> None:
    world = new_world(ONE)
    world.adapters.live.way, world.adapters.live.forbids_sync = Way.FULL_SYNC, True
    assert fails(world, request=DUE) == "SyncRefused"
    assert world.adapters.live.opened == []


REFUSED = SourceRefused("Asking queue:6379: the server does not speak TLS.", hint="Set `tls` to false.")


@pytest.mark.parametrize("wish", [Way.AUTO, Way.FULL_SYNC], ids=["refused", "sync refused"])
def test_a_server_that_says_no_blocks_its_rule_until_a_run_gets_through(wish: Way) -> None:
    world = new_world(ONE)
    server = world.adapters.live
    server.way, server.forbids_sync = wish, wish is Way.FULL_SYNC
    server.denied = None if server.forbids_sync else REFUSED
    with pytest.raises((RunFailed, SourceRefused)):
        world.run()
    block = world.status().block
    assert block is not None and block.code == ("SyncRefused" if server.forbids_sync else "SourceRefused")
    assert "Hint:" not in block.message
    server.denied, server.forbids_sync = None, False
    world.run()
    assert world.status().block is None


def test_a_server_that_only_falls_silent_blocks_nothing() -> None:
    world = new_world(ONE)
    world.adapters.live.denied = SourceUnavailable("Asking queue:6379: nothing answers.")
    with pytest.raises(SourceUnavailable):
        world.run()
    assert world.status().block is None


def test_the_longest_record_of_a_stream_is_small_enough_for_a_step() -> None:
    receipt = ['"' + "f" * 32 + '"', 2**64 - 1, "f" * 64]
    sums = [2**63, 2**64 - 1, 2**64 - 1, "f" * 18, "f" * 18]
    assert len(json.dumps([1, sums, [receipt] * live.MOST_PARTS_OF_A_STREAM])) + 2000 < LARGEST_RESULT_BYTES
