"""TencentDB as a source, before the local TencentDB: its lists, its links, and what is refused."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from rdbkeeper.aws.secrets import ApiKey
from rdbkeeper.domain.backup import Backup, BackupState, Instance, Shard, StagedFile
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupEncrypted,
    BackupGone,
    BackupQuotaUsed,
    DownloadRestricted,
    LinkMisanswered,
    LinkRefused,
    SourceDenied,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    StagedFileChanged,
)
from rdbkeeper.domain.source import SourceAccess
from rdbkeeper.entry.settings import StoreSettings
from rdbkeeper.entry.wiring import AwsAdapters
from rdbkeeper.ports import Source
from rdbkeeper.sources.tencentdb.answers import BackupDetail, read_detail
from rdbkeeper.sources.tencentdb.source import TencentDbSource
from tests.contract.tencentdb_place import NIGHT, REGION, Place, place, shared, wait_for
from tests.fakes.clock import FakeClock
from tests.local_cloud.tencentdb import TencentDB
from tests.local_cloud.tencentdb.backups import LISTED_TYPES
from tests.local_cloud.tencentdb.file_faults import FileFault

__all__ = ["place", "shared"]

NAME = "rdbkeeper-0123abcd-20261121021500"
TAGS = {"rdbkeeper:stack": "keeper", "rdbkeeper:rule": "orders"}


class Clock(FakeClock):
    """The machine's time, at which the service lives too; waiting takes none, and is counted."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.monotonic())


def source_of(
    place: Place, clock: Clock | None = None, region: str = REGION, key: ApiKey | None = None
) -> TencentDbSource:
    service = place.service
    return TencentDbSource(
        lambda: key or ApiKey(service.secret_id, service.secret_key),
        region,
        clock or Clock(),
        endpoint=f"http://{service.endpoint}",
        file_hosts=(service.file_host,),
        allows_private=True,
    )


@pytest.fixture
def source(place: Place) -> TencentDbSource:
    # What the test before asked for may still be in the making.
    wait_for(lambda: all(backup.status != 1 for backup in list(place.service._state.backups.values())))
    place.service._state.backups.clear()
    place.service.calls.clear()
    place.service.reads.clear()
    return source_of(place)


def instance_of(source: Source, name: str) -> Instance:
    found = source.find_instance(name)
    assert found is not None
    return found


def take(place: Place, source: TencentDbSource, **options: Any) -> Backup:
    backup_id = place.service.take_backup(place.orders, NIGHT, **options)
    listed = {backup.backup_id: backup for backup in source.backups(instance_of(source, place.orders))}
    return listed[backup_id]


def read(source: Source, file: StagedFile, first_byte: int = 0, length_bytes: int | None = None) -> bytes:
    length_bytes = file.size_bytes - first_byte if length_bytes is None else length_bytes
    stream, data = source.open_range(file, first_byte, length_bytes), b""
    buffer = memoryview(bytearray(length_bytes + 10))
    while count := stream.readinto(buffer):
        data += bytes(buffer[:count])
    stream.close()
    return data


def called(place: Place, action: str) -> int:
    return sum(call.action == action for call in place.service.calls)


# ------------------------------------------------------------------- instances


def test_instances_are_found_by_their_ids(place: Place, source: TencentDbSource) -> None:
    assert {each.name for each in source.instances()} == {place.orders, place.sessions}
    instance = instance_of(source, place.orders)
    assert (instance.provider, instance.engine, instance.status) == ("tencentdb", "redis", "running")
    assert (instance.backups_enabled, instance.backup_window) == (True, "02:00-03:00 (UTC+8)")
    assert source.find_instance("orders") is None
    assert source_of(place, region="ap-singapore").find_instance(place.orders) is None


def test_memcached_is_no_instance_that_has_backups(place: Place, source: TencentDbSource) -> None:
    cache = place.service.create_instance("cache", engine="Memcached")
    try:
        assert cache not in {each.name for each in source.instances()}
        with pytest.raises(SourceRefused, match="Memcached"):
            source.find_instance(cache)
    finally:
        place.service.remove_instance(cache)


# --------------------------------------------------------------------- backups


def test_backups_of_other_months_and_states_are_listed_and_expired_ones_are_not(
    place: Place, source: TencentDbSource
) -> None:
    state = place.service._state
    made_at = datetime.now(UTC) - timedelta(days=100)
    with state.lock:
        state.instances[place.orders] = made_before = _made_at(state.instances[place.orders], made_at)
    assert made_before.created_at == made_at
    moments = [datetime.now(UTC).replace(microsecond=0) - timedelta(days=days) for days in (0, 29, 30, 31, 61, 95)]
    for moment in moments:
        place.service.take_backup(place.orders, moment)
    gone = place.service.take_backup(place.orders, NIGHT)
    place.service.expire_backup(gone)
    place.service.take_backup(place.sessions, NIGHT)
    instance = instance_of(source, place.orders)
    found = source.backups(instance)
    assert sorted(backup.taken_at for backup in found if backup.taken_at) == sorted(moments)
    assert source.count_backups(list(source.instances())) == {place.orders: 6, place.sessions: 1}


def _made_at(instance: Any, moment: datetime) -> Any:
    return replace(instance, created_at=moment)


def test_more_backups_than_a_page_holds_are_all_listed_once(place: Place, source: TencentDbSource) -> None:
    first = place.service.take_backup(place.sessions, NIGHT)
    with place.service._state.lock:
        known = place.service._state.backups[first]
        for number in range(150):
            place.service._state.backups[f"b{number}"] = replace(known, backup_id=f"b{number}")
    assert len(source.backups(instance_of(source, place.sessions))) == 151


@pytest.mark.parametrize(
    "status, state", [(1, BackupState.IN_PROGRESS), (3, BackupState.IN_PROGRESS), (4, BackupState.COMPLETE)]
)
def test_a_backup_that_a_process_has_is_not_complete(
    place: Place, source: TencentDbSource, status: int, state: BackupState
) -> None:
    backup = take(place, source)
    place.service.set_backup_status(backup.backup_id, status)
    (listed,) = source.backups(instance_of(source, place.orders))
    assert listed.state is state
    if state is BackupState.IN_PROGRESS:
        with pytest.raises(BackupBusy):
            source.request_export(listed, "attempt")
    place.service.set_backup_status(backup.backup_id, 2)


def test_an_instance_that_is_gone_has_no_backups(place: Place, source: TencentDbSource) -> None:
    short = place.service.create_instance("short")
    instance = instance_of(source, short)
    place.service.take_backup(short, NIGHT)
    place.service.remove_instance(short)
    assert source.backups(instance) == []
    assert source_of(place).backups(instance) == []
    assert source.count_backups([instance]) == {short: 0}


# ----------------------------------------------------------------------- files


def test_every_shard_s_file_is_read_as_it_is_stored(place: Place, source: TencentDbSource) -> None:
    backup = take(place, source)
    source.request_export(backup, "attempt")
    files = source.find_staged_files(backup, "attempt")
    assert [file.shard for file in files] == [Shard("0001"), Shard("0002")]
    for file, stored in zip(files, place.service.backup_files(backup.backup_id), strict=True):
        assert read(source, file) == stored.read_bytes()
        assert read(source, file, 3, 5) == stored.read_bytes()[3:8]
        assert StagedFile.from_record(file.as_record()) == file
    assert source.find_staged_files(backup, "another") == files
    source.discard_export(backup, "attempt")
    assert source.discard_leftovers(instance_of(source, place.orders), "", "", datetime.now(UTC)) == []


def test_another_process_reads_with_links_of_its_own_which_it_takes_once(place: Place, source: TencentDbSource) -> None:
    files = source.find_staged_files(take(place, source), "attempt")
    worker = source_of(place)
    place.service.calls.clear()
    for file in (*files, *files):
        assert read(worker, file)
    assert called(place, "DescribeBackupUrl") == 1


def test_a_file_whose_length_nobody_states_is_as_long_as_its_store_says(place: Place, source: TencentDbSource) -> None:
    backup = take(place, source)
    place.service.hide_sizes(backup.backup_id)
    files = source.find_staged_files(backup, "attempt")
    stored = place.service.backup_files(backup.backup_id)
    assert [file.size_bytes for file in files] == [path.stat().st_size for path in stored]


def test_a_backup_with_fewer_links_than_shards_is_not_readable_yet(place: Place, source: TencentDbSource) -> None:
    backup = take(place, source)
    files = place.service._state.get_backup(backup.backup_id).files
    place.service._state.change_backup(backup.backup_id, files=files[:1])
    with pytest.raises(BackupBusy, match="2 files"):
        source.find_staged_files(backup, "attempt")
    place.service._state.change_backup(backup.backup_id, files=(*files, _renamed(files[0])))
    with pytest.raises(SourceRefused, match="3 files"):
        source.find_staged_files(backup, "attempt")


def test_a_clusters_backup_that_does_not_tell_its_shards_is_not_taken_for_whole(
    place: Place, source: TencentDbSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = take(place, source)
    assert backup.engine.cluster_mode
    files = place.service._state.get_backup(backup.backup_id).files
    place.service._state.change_backup(backup.backup_id, files=files[:1])
    monkeypatch.setattr("rdbkeeper.sources.tencentdb.source.read_detail", _without_shards)
    with pytest.raises(SourceRefused, match="is not told"):
        source.find_staged_files(backup, "attempt")
    just_taken = replace(backup, taken_at=datetime.now(UTC))
    with pytest.raises(BackupBusy, match="is not told"):
        source.find_staged_files(just_taken, "attempt")


def _without_shards(answer: dict[str, Any]) -> BackupDetail:
    return read_detail({name: value for name, value in answer.items() if name != "ShardNum"})


def _renamed(file: Any) -> Any:
    return replace(file, name=f"more-{file.name}")


def test_an_encrypted_backup_is_refused_before_anything_is_read(place: Place, source: TencentDbSource) -> None:
    backup = take(place, source, encrypted=True)
    for ask in (source.request_export, source.find_staged_files):
        with pytest.raises(BackupEncrypted, match="encrypted") as refused:
            ask(backup, "attempt")
        assert "Turn backup encryption off" in refused.value.hint
    assert place.service.reads == []


def test_an_expired_backup_is_gone(place: Place, source: TencentDbSource) -> None:
    backup = take(place, source)
    place.service.expire_backup(backup.backup_id)
    for ask in (source.request_export, source.find_staged_files):
        with pytest.raises(BackupGone):
            ask(backup, "attempt")


def test_downloads_within_the_private_network_only_are_refused_beforehand(
    place: Place, source: TencentDbSource
) -> None:
    backup = take(place, source)
    place.service.restrict_downloads("LimitOnlyIntranet")
    with pytest.raises(DownloadRestricted) as refused:
        source.request_export(backup, "attempt")
    assert "restriction of downloads" in refused.value.hint


def test_downloads_from_chosen_addresses_are_tried_and_explained(place: Place, source: TencentDbSource) -> None:
    backup = take(place, source)
    place.service.restrict_downloads("Customize", ips=["203.0.113.7"], ips_allowed=True)
    source.request_export(backup, "attempt")
    with pytest.raises(DownloadRestricted):
        source.find_staged_files(backup, "attempt")
    place.service.restrict_downloads("Customize", ips=["127.0.0.1"], ips_allowed=True)
    assert source.find_staged_files(backup, "attempt")


def test_a_restriction_that_comes_while_a_file_is_read_is_seen_with_the_next_link(
    place: Place, source: TencentDbSource
) -> None:
    file, *_ = source.find_staged_files(take(place, source), "attempt")
    place.service.restrict_downloads("LimitOnlyIntranet")
    with pytest.raises(SourceUnavailable):
        source.open_range(file, 0, 5)
    with pytest.raises(DownloadRestricted):
        source.open_range(file, 0, 5)


def test_a_link_that_is_over_in_the_middle_of_a_file_is_replaced(place: Place, source: TencentDbSource) -> None:
    backup = take(place, source)
    file, *_ = source.find_staged_files(backup, "attempt")
    place.service.fault(backup.backup_id, "expire", at=10)
    begun = read(source, file, 0, 10)
    with pytest.raises(SourceUnavailable):
        source.open_range(file, 10, 5)
    taken = called(place, "DescribeBackupUrl")
    assert begun + read(source, file, 10) == place.service.backup_files(backup.backup_id)[0].read_bytes()
    assert called(place, "DescribeBackupUrl") == taken + 1


def test_links_are_renewed_before_their_six_hours_are_over(place: Place) -> None:
    clock = Clock()
    source = source_of(place, clock)
    file, *_ = source.find_staged_files(take(place, source), "attempt")
    place.service.calls.clear()
    clock.advance(5 * 3600)
    read(source, file)
    assert called(place, "DescribeBackupUrl") == 0
    clock.advance(3600)
    read(source, file)
    assert called(place, "DescribeBackupUrl") == 1


@pytest.mark.parametrize(
    "fault, error",
    [
        ("gone", BackupGone),
        ("busy", SourceUnavailable),
        ("error-page", LinkMisanswered),
        ("ignore-range", LinkMisanswered),
        ("redirect", LinkRefused),
        ("changed", StagedFileChanged),
        ("cut", SourceUnavailable),
        ("short", LinkMisanswered),
        ("longer", LinkMisanswered),
        ("excess", LinkMisanswered),
    ],
)
def test_what_is_answered_in_place_of_a_range_is_an_error_of_its_kind(
    place: Place, source: TencentDbSource, fault: FileFault, error: type[SourceError]
) -> None:
    backup = take(place, source)
    file, *_ = source.find_staged_files(backup, "attempt")
    place.service.fault(backup.backup_id, fault)
    place.service.reads.clear()
    with pytest.raises(error) as caught:
        read(source, file)
    assert type(caught.value) is error
    assert caught.value.hint
    assert len(place.service.reads) == 1, "nothing is asked for twice, and nothing that another address has"


@pytest.mark.parametrize("fault", ["longer", "short", "error-page", "redirect", "excess"])
def test_a_file_that_is_not_what_was_declared_is_not_even_staged(
    place: Place, source: TencentDbSource, fault: FileFault
) -> None:
    backup = take(place, source)
    place.service.fault(backup.backup_id, fault, shard=2)
    with pytest.raises((LinkMisanswered, LinkRefused)):
        source.find_staged_files(backup, "attempt")


def test_a_file_with_a_byte_changed_on_the_way_is_left_to_its_checksum(place: Place, source: TencentDbSource) -> None:
    backup = take(place, source)
    file, *_ = source.find_staged_files(backup, "attempt")
    place.service.fault(backup.backup_id, "flip")
    assert len(read(source, file)) == file.size_bytes


def test_one_connection_serves_many_ranges(place: Place, source: TencentDbSource) -> None:
    file, *_ = source.find_staged_files(take(place, source), "attempt")
    source._files._pools.clear()
    for first_byte in range(10):
        read(source, file, first_byte, 5)
    (pool,) = source._files._pools.values()
    assert (pool.num_connections, pool.num_requests) == (1, 10)


# ------------------------------------------------------------------- on demand


@pytest.mark.parametrize("types", LISTED_TYPES, ids=str)
def test_a_backup_on_demand_is_known_in_every_form_in_which_lists_have_told_its_type(
    place: Place, source: TencentDbSource, types: tuple[str, str]
) -> None:
    place.service.set_listed_types(types)
    instance = instance_of(source, place.service.create_instance("fresh"))
    place.service.take_backup(instance.name)
    source.request_backup(instance, NAME, TAGS)
    found = source.find_requested_backup(instance, NAME)
    assert found is not None and not found.automatic
    source.request_backup(instance, NAME, TAGS)
    assert called(place, "ManualBackupInstance") == 1
    told = {backup.backup_id == found.backup_id: backup.automatic for backup in source.backups(instance)}
    assert told == {True: False, False: True}


def test_a_backup_on_demand_is_asked_for_once_and_found_by_its_name(place: Place, source: TencentDbSource) -> None:
    instance = instance_of(source, place.orders)
    assert source.find_requested_backup(instance, NAME) is None
    place.service.hold_backups(held=True)
    source.request_backup(instance, NAME, TAGS)
    source.request_backup(instance, NAME, TAGS)
    assert called(place, "ManualBackupInstance") == 1
    asked_for = source.find_requested_backup(instance, NAME)
    assert asked_for is not None
    assert (asked_for.state, asked_for.automatic) == (BackupState.IN_PROGRESS, False)
    place.service.hold_backups(held=False)

    def is_complete() -> bool:
        found = source.find_requested_backup(instance, NAME)
        return found is not None and found.state is BackupState.COMPLETE

    wait_for(is_complete)
    assert source.remove_backup(instance, NAME, TAGS) is False
    assert source.find_requested_backup(instance, NAME) is not None
    assert place.service._state.get_backup(asked_for.backup_id).storage_days == 7


def test_a_backup_on_demand_is_found_for_as_long_as_it_is_stored(place: Place) -> None:
    clock = Clock()
    source = source_of(place, clock)
    instance = instance_of(source, place.orders)
    source.request_backup(instance, NAME, TAGS)
    clock.advance(timedelta(days=7).total_seconds())
    assert source.find_requested_backup(instance, NAME) is not None


def test_a_backup_on_demand_counts_as_asked_for_when_nobody_knows(place: Place, source: TencentDbSource) -> None:
    """Whoever asked again would have two."""
    instance = instance_of(source, place.orders)
    place.service.refuse("ManualBackupInstance", "InternalError")
    source.request_backup(instance, NAME, TAGS)
    assert called(place, "ManualBackupInstance") == 1
    assert source.find_requested_backup(instance, NAME) is None


def test_a_backup_on_demand_that_was_not_even_begun_may_be_asked_for_again(
    place: Place, source: TencentDbSource
) -> None:
    instance = instance_of(source, place.orders)
    place.service.refuse("ManualBackupInstance", "RequestLimitExceeded")
    with pytest.raises(SourceUnavailable):
        source.request_backup(instance, NAME, TAGS)
    assert called(place, "ManualBackupInstance") == 1


@pytest.mark.parametrize(
    "code, error",
    [
        ("LimitExceeded", BackupQuotaUsed),
        ("ResourceUnavailable.InstanceLockedError", BackupBusy),
        ("UnauthorizedOperation.NoCAMAuthed", SourceDenied),
    ],
)
def test_a_backup_on_demand_that_is_refused_says_why(
    place: Place, source: TencentDbSource, code: str, error: type[SourceError]
) -> None:
    instance = instance_of(source, place.orders)
    place.service.refuse("ManualBackupInstance", code)
    with pytest.raises(error) as refused:
        source.request_backup(instance, NAME, TAGS)
    assert type(refused.value) is error


# --------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "action",
    [
        "DescribeInstances",
        "DescribeAutoBackupConfig",
        "DescribeInstanceBackups",
        "DescribeBackupDetail",
        "DescribeBackupDownloadRestriction",
        "DescribeBackupUrl",
    ],
)
def test_a_permission_that_is_lacking_is_named(place: Place, source: TencentDbSource, action: str) -> None:
    backup = take(place, source)
    place.service.refuse(action)
    with pytest.raises(SourceDenied) as denied:
        _read_all(source_of(place), place.orders, backup.backup_id)
    assert f"redis:{action}" in denied.value.hint


def _read_all(source: Source, name: str, backup_id: str) -> None:
    instance = instance_of(source, name)
    backup = next(each for each in source.backups(instance) if each.backup_id == backup_id)
    source.request_export(backup, "attempt")
    for file in source.find_staged_files(backup, "attempt"):
        read(source, file)


def test_a_wrong_key_is_denied(place: Place, source: TencentDbSource) -> None:
    for key in (ApiKey("AKIDnobody", "x"), ApiKey(place.service.secret_id, "wrong")):
        with pytest.raises(SourceDenied) as denied:
            source_of(place, key=key).find_instance(place.orders)
        assert "secret" in denied.value.hint


def test_a_temporary_key_is_used_with_its_token(place: Place, source: TencentDbSource) -> None:
    place.service.add_temporary_key("AKIDforatime", "temporary", "token")
    assert source_of(place, key=ApiKey("AKIDforatime", "temporary", "token")).find_instance(place.orders)
    with pytest.raises(SourceDenied):
        source_of(place, key=ApiKey("AKIDforatime", "temporary")).find_instance(place.orders)


@pytest.mark.parametrize("by", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_clock_that_is_off_is_said_to_be(place: Place, source: TencentDbSource, by: timedelta) -> None:
    place.service.skew_clock(by)
    with pytest.raises(SourceUnavailable) as skewed:
        source.find_instance(place.orders)
    assert "clock" in skewed.value.hint


def test_an_unknown_region_is_refused(place: Place, source: TencentDbSource) -> None:
    with pytest.raises(SourceRefused) as refused:
        source_of(place, region="mars-north").find_instance(place.orders)
    assert "region" in refused.value.hint


def test_throttling_passes_with_a_pause(place: Place) -> None:
    clock = Clock()
    place.service.refuse("DescribeInstances", "RequestLimitExceeded", times=2)
    assert source_of(place, clock).find_instance(place.orders)
    assert clock.monotonic() == 2.5
    place.service.refuse("DescribeInstances", "RequestLimitExceeded", times=3)
    with pytest.raises(SourceUnavailable):
        source_of(place, clock).find_instance(place.orders)


def test_a_service_that_does_not_answer_is_unavailable(place: Place, source: TencentDbSource) -> None:
    nowhere = TencentDbSource(
        lambda: ApiKey("AKIDx", "x"), REGION, Clock(), endpoint="http://127.0.0.1:1", allows_private=True
    )
    with pytest.raises(SourceUnavailable, match="got no answer: ConnectionError"):
        nowhere.find_instance(place.orders)


# ----------------------------------------------------------------------- wiring


class Secrets:
    """Stands in for the client of Secrets Manager."""

    def __init__(self, service: TencentDB) -> None:
        self.asked: list[str] = []
        self._pair = {"secret_id": service.secret_id, "secret_key": service.secret_key}

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - the service's name
        self.asked.append(SecretId)
        return {"SecretString": json.dumps(self._pair)}


def test_a_source_is_made_of_the_stack_s_settings_and_a_rule_s_secret(place: Place) -> None:
    environment = {
        "RDBKEEPER_TABLE": "table",
        "RDBKEEPER_VAULT_BUCKET": "vault",
        "RDBKEEPER_STAGING_BUCKET": "staging",
        "RDBKEEPER_ALLOW_PRIVATE_ENDPOINTS": "true",
        "RDBKEEPER_TENCENT_ENDPOINT": f"http://{place.service.endpoint}",
        "RDBKEEPER_TENCENT_FILE_HOSTS": f".myqcloud.com,{place.service.file_host}",
    }
    secrets = Secrets(place.service)
    adapters = AwsAdapters(StoreSettings.from_environment(environment), {"secretsmanager": secrets}.get)  # type: ignore[arg-type]  # no other client is asked for
    access = SourceAccess(region=REGION, secret="rdbkeeper/tencent")
    source = adapters.source("tencentdb", access)
    backup_id = place.service.take_backup(place.orders, NIGHT)
    _read_all(source, place.orders, backup_id)
    assert adapters.source("tencentdb", access) is source
    assert secrets.asked == ["rdbkeeper/tencent"]
    assert adapters.source("tencentdb", SourceAccess(region="ap-singapore", secret="rdbkeeper/tencent")) is not source


# ---------------------------------------------------------------------- secrets


@pytest.fixture
def own_place() -> Iterator[Place]:
    """A service that a test may break."""
    with TencentDB() as service:
        yield Place(service, "", service.create_instance("orders", cluster_shards=2))


def test_nothing_that_a_failing_run_says_holds_a_key_or_a_link(
    own_place: Place, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    service, source = own_place.service, source_of(own_place)
    backup = take(own_place, source)
    file, *_ = source.find_staged_files(backup, "attempt")
    said: list[str] = [repr(source), repr(file), repr(file.as_record())]
    for fault in get_args(FileFault):
        service.fault(backup.backup_id, fault)
        said += _fail(lambda: read(source, file))
        said += _fail(lambda: source.find_staged_files(backup, "attempt"))
        service.repair(backup.backup_id)
        service.set_backup_status(backup.backup_id, 2)
    service.restrict_downloads("LimitOnlyIntranet")
    said += _fail(lambda: source.find_staged_files(backup, "attempt"))
    service.restore()
    for code in ("AuthFailure.SignatureFailure", "UnauthorizedOperation", "InternalError", "InvalidParameter"):
        service.refuse("DescribeBackupUrl", code)
        said += _fail(lambda: source.find_staged_files(backup, "attempt"))
    service.restore()
    strict = source_of(own_place)
    strict._files._hosts._allowed = (".myqcloud.com",)
    said += _fail(lambda: strict.find_staged_files(backup, "attempt"))
    for server in service._servers[::-1]:
        server.close()
        said += _fail(lambda: read(source, file))
        said += _fail(lambda: source.find_staged_files(backup, "attempt"))
    assert len(said) > 25
    output = capfd.readouterr()
    everything = "\n".join([*said, caplog.text, output.out, output.err])
    for never in ("sign=", "q-sign", "q-ak", "AKID", service.secret_key, "Authorization", "TC3-HMAC", "DownloadUrl"):
        assert never not in everything, never


def _fail(attempt: Callable[[], object]) -> list[str]:
    try:
        attempt()
    except SourceError as error:
        return ["".join(traceback.format_exception(error, chain=True)), repr(error), repr(_chain(error))]
    return []


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and all that led to it, whether it would be printed or not."""
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
