"""What every source that reads servers directly keeps: in memory, one real server, a cluster of real servers."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.backup import Consistency
from rdbkeeper.domain.errors import ServerLost, SourceUnavailable, SyncRefused
from rdbkeeper.domain.live import LiveFile, LiveFindings, LivePlan
from rdbkeeper.domain.source import Way
from tests.contract.live_lab import Lab, doomed_lab, lab, read_file, read_whole, real_labs

__all__ = ["doomed_lab", "lab", "real_labs"]

WAYS = (Way.FULL_SYNC, Way.LOGICAL)


def test_a_server_is_the_instance_that_its_rule_says(lab: Lab) -> None:
    found = lab.source().find_instance("orders")
    assert (found.provider, found.name, found.engine) == ("redis", "orders", "redis")
    assert (found.status, found.available) == ("available", True)
    assert len(found.members) == lab.shards
    assert not found.backups_enabled, "nothing is listed by a server"


@pytest.mark.parametrize("way", WAYS)
def test_a_plan_names_every_shard_in_order_and_how_it_is_read(lab: Lab, way: Way) -> None:
    plan = lab.source(way).measure()
    assert [file.shard.name for file in plan.files] == [f"{number:04d}" for number in range(1, lab.shards + 1)]
    assert len({file.address for file in plan.files}) == lab.shards
    assert {file.way for file in plan.files} == {way}
    assert plan.engine.shard_count == lab.shards
    assert plan.reason


def test_a_plan_survives_being_written_down(lab: Lab) -> None:
    plan = lab.source().measure()
    assert LivePlan.from_record(plan.as_record()) == plan
    assert [LiveFile.from_record(file.as_record()) for file in plan.files] == list(plan.files)


@pytest.mark.parametrize("way", WAYS)
def test_every_shard_is_a_whole_file_and_no_longer_than_was_guessed(lab: Lab, way: Way) -> None:
    source = lab.source(way)
    for file in source.measure().files:
        assert len(read_file(source, file)) <= file.size_bytes


@pytest.mark.parametrize(
    "way, consistency", [(Way.FULL_SYNC, Consistency.POINT_IN_TIME), (Way.LOGICAL, Consistency.LOGICAL)]
)
def test_a_stream_says_at_its_end_how_consistent_it_is(lab: Lab, way: Way, consistency: Consistency) -> None:
    if way is Way.LOGICAL:
        lab.forbid_sync()
    source = lab.source()
    file = source.measure().files[0]
    stream = source.open_stream(file)
    with pytest.raises(ValueError, match="at its end"):
        _ = stream.findings
    read_whole(stream)
    findings = stream.findings
    stream.close()
    assert findings.consistency is consistency
    if way is Way.LOGICAL:
        assert findings.reason and findings.seconds > 0
        assert (findings.keys, findings.vanished) == (file.keys, 0)
    else:
        assert findings == LiveFindings(consistency, "the shard's data are of one moment")


def test_a_server_that_forbids_sync_is_read_key_by_key_unless_the_rule_demands_it(lab: Lab) -> None:
    lab.forbid_sync()
    plan = lab.source(Way.AUTO).measure()
    assert {file.way for file in plan.files} == {Way.LOGICAL}
    assert "SYNC" in plan.reason
    with pytest.raises(SyncRefused) as raised:
        lab.source(Way.FULL_SYNC).measure()
    assert not raised.value.retryable


def test_a_server_that_forbids_sync_only_after_it_was_measured_is_read_key_by_key(lab: Lab) -> None:
    source, demanding = lab.source(Way.AUTO), lab.source(Way.FULL_SYNC)
    file, demanded = source.measure().files[0], demanding.measure().files[0]
    assert file.way is Way.FULL_SYNC
    lab.forbid_sync()
    stream = source.open_stream(file)
    read_whole(stream)
    assert stream.findings.consistency is Consistency.LOGICAL
    assert "SYNC was refused" in stream.findings.reason
    with pytest.raises(SyncRefused):
        demanding.open_stream(demanded)


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_goes_away_leaves_no_whole_file(doomed_lab: Lab, way: Way) -> None:
    source = doomed_lab.source(way)
    stream = source.open_stream(source.measure().files[0])
    buffer = memoryview(bytearray(4096))
    assert stream.readinto(buffer)
    doomed_lab.lose_servers()
    for _ in range(2):
        with pytest.raises(ServerLost) as raised:
            read_whole(stream)
        assert not raised.value.retryable
    stream.close()


def test_a_server_that_is_not_there_is_unavailable(doomed_lab: Lab) -> None:
    source = doomed_lab.source()
    file = source.measure().files[0]
    doomed_lab.lose_servers()
    for ask in (
        lambda: source.find_instance("orders"),
        source.measure,
        lambda: source.open_stream(file),
    ):
        with pytest.raises(SourceUnavailable):
            ask()
