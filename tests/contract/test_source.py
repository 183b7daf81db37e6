"""What every source keeps: in memory, and ElastiCache in front of real Redis servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import boto3
import pytest
from botocore.stub import Stubber

from rdbkeeper.domain.backup import Backup, BackupState, EngineFacts, Instance, StagedFile
from rdbkeeper.domain.errors import BackupBusy, BackupGone, SourceDenied, SourceError, SourceRefused, StagedFileChanged
from rdbkeeper.ports import Source
from rdbkeeper.sources.elasticache import ElastiCacheSource
from tests.demo.world import wait_until_available
from tests.fakes.rdb_files import rdb_file
from tests.fakes.source import MemorySource
from tests.local_cloud.deploy import Deployment
from tests.local_cloud.server import LocalCloud

FIRST_NIGHT = datetime(2026, 11, 20, 2, 15, tzinfo=UTC)


class Provider(Protocol):
    """A source, and a way to make the provider take a backup."""

    source: Source

    def take_backup(self, name: str, taken_at: datetime) -> None: ...


@dataclass
class Memory:
    source: MemorySource

    def take_backup(self, name: str, taken_at: datetime) -> None:
        files = {"0001": rdb_file(300), "0002": rdb_file(400)}
        self.source.add_backup("pair", name, taken_at, files, automatic=False)


@dataclass
class ElastiCache:
    source: ElastiCacheSource
    cloud: LocalCloud

    def take_backup(self, name: str, taken_at: datetime) -> None:
        self.cloud.elasticache.take_manual_backup(name, "pair", taken_at)


def create_pair(cloud: LocalCloud) -> None:
    cloud.client("elasticache").create_replication_group(
        ReplicationGroupId="pair",
        ReplicationGroupDescription="two shards",
        Engine="redis",
        CacheNodeType="cache.t4g.small",
        CacheParameterGroupName="default.redis7.cluster.on",
        NumNodeGroups=2,
        ReplicasPerNodeGroup=1,
        AutomaticFailoverEnabled=True,
        SnapshotRetentionLimit=7,
    )


@pytest.fixture(scope="module")
def staging_bucket(cloud: LocalCloud, deployment: Deployment) -> str:
    create_pair(cloud)
    return deployment.resources["StagingBucket"]


@pytest.fixture
def elasticache(cloud: LocalCloud, staging_bucket: str) -> Iterator[ElastiCacheSource]:
    yield ElastiCacheSource(cloud.client("elasticache"), lambda: cloud.client("s3"), staging_bucket)
    cloud.elasticache.hold_exports(False)
    client = cloud.client("elasticache")
    for page in client.get_paginator("describe_snapshots").paginate():
        for snapshot in page["Snapshots"]:
            wait_until_available(client, snapshot["SnapshotName"])
            client.delete_snapshot(SnapshotName=snapshot["SnapshotName"])
    for staged in cloud.client("s3").list_objects_v2(Bucket=staging_bucket).get("Contents", ()):
        cloud.client("s3").delete_object(Bucket=staging_bucket, Key=staged["Key"])


@pytest.fixture(params=["memory", "elasticache"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    if request.param == "memory":
        source = MemorySource(looks_until_ready=2)
        source.add_instance("pair")
        yield Memory(source)
        return
    yield ElastiCache(request.getfixturevalue("elasticache"), request.getfixturevalue("cloud"))


def pair(source: Source) -> Instance:
    found = source.find_instance("pair")
    assert found is not None
    return found


def only_backup(source: Source) -> Backup:
    (backup,) = source.backups(pair(source))
    return backup


def wait_for_files(source: Source, backup: Backup, attempt: str) -> tuple[StagedFile, ...]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if (files := source.find_staged_files(backup, attempt)) is not None:
            return files
        time.sleep(0.02)
    raise AssertionError("the export did not become readable")


def read(source: Source, file: StagedFile, first_byte: int, length_bytes: int) -> bytes:
    stream, data = source.open_range(file, first_byte, length_bytes), b""
    buffer = memoryview(bytearray(length_bytes))
    while got := stream.readinto(buffer):
        data += bytes(buffer[:got])
    stream.close()
    return data


def test_an_instance_is_found_by_its_name(provider: Provider) -> None:
    instance = pair(provider.source)
    assert (instance.name, instance.backups_enabled) == ("pair", True)
    assert provider.source.find_instance("nowhere") is None
    assert "pair" in [listed.name for listed in provider.source.instances()]


def test_a_complete_backup_is_listed_with_its_shards_and_time(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    assert (backup.backup_id, backup.state, backup.automatic) == ("night", BackupState.COMPLETE, False)
    assert backup.taken_at == FIRST_NIGHT
    assert [shard.name for shard in backup.shards] == ["0001", "0002"]
    assert backup.copy_id == "20261120T021500Z-night"
    assert backup.engine.shard_count == 2
    assert Backup.from_record(backup.as_record()) == backup


def test_an_export_becomes_readable_whole(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    assert provider.source.find_staged_files(backup, "attempt") is None
    provider.source.request_export(backup, "attempt")
    files = wait_for_files(provider.source, backup, "attempt")
    assert [file.shard for file in files] == list(backup.shards)
    for file in files:
        data = read(provider.source, file, 0, file.size_bytes)
        assert len(data) == file.size_bytes
        assert data.startswith((b"REDIS", b"VALKEY"))
        assert read(provider.source, file, 3, 5) == data[3:8]


def test_asking_twice_for_an_export_is_asking_once(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    provider.source.request_export(backup, "attempt")
    files = wait_for_files(provider.source, backup, "attempt")
    provider.source.request_export(backup, "attempt")
    assert wait_for_files(provider.source, backup, "attempt") == files


def test_another_attempt_stages_files_of_its_own(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    staged = []
    for attempt in ("first", "second"):
        provider.source.request_export(backup, attempt)
        staged += wait_for_files(provider.source, backup, attempt)
    assert len({file.key for file in staged}) == 4


def test_discarded_files_are_gone_and_others_stay(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    for attempt in ("first", "second"):
        provider.source.request_export(backup, attempt)
        files = wait_for_files(provider.source, backup, attempt)
    provider.source.discard_export(backup, "second")
    provider.source.discard_export(backup, "second")
    with pytest.raises(BackupGone):
        provider.source.open_range(files[0], 0, 1)
    assert provider.source.find_staged_files(backup, "second") is None
    assert provider.source.find_staged_files(backup, "first") is not None


def test_a_staged_file_that_is_another_by_now_is_not_read(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    provider.source.request_export(backup, "attempt")
    file, *_ = wait_for_files(provider.source, backup, "attempt")
    if isinstance(provider, ElastiCache):
        bucket = provider.source._bucket
        provider.cloud.client("s3").put_object(Bucket=bucket, Key=file.key, Body=b"another")
    else:
        assert isinstance(provider.source, MemorySource)
        provider.source.staged[file.key] = b"another"
    with pytest.raises(StagedFileChanged):
        provider.source.open_range(file, 0, 5)


def test_an_export_of_a_backup_that_is_gone_is_refused(provider: Provider) -> None:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    if isinstance(provider, ElastiCache):
        provider.cloud.client("elasticache").delete_snapshot(SnapshotName="night")
    else:
        assert isinstance(provider.source, MemorySource)
        provider.source.remove_backup("pair", "night")
    with pytest.raises(BackupGone):
        provider.source.request_export(backup, "attempt")


# What only ElastiCache has


def test_a_backup_list_of_several_pages_is_whole(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    names = [f"many-{n:02d}" for n in range(60)]
    for n, name in enumerate(names):
        cloud.elasticache.take_manual_backup(name, "pair", FIRST_NIGHT + timedelta(hours=n))
    listed = [backup.backup_id for backup in elasticache.backups(pair(elasticache))]
    assert sorted(listed) == names


def test_an_instance_without_cluster_mode_has_its_backups_too(
    cloud: LocalCloud, elasticache: ElastiCacheSource
) -> None:
    cloud.client("elasticache").create_replication_group(
        ReplicationGroupId="single",
        ReplicationGroupDescription="one shard",
        Engine="redis",
        CacheNodeType="cache.t4g.small",
        NumCacheClusters=2,
        SnapshotRetentionLimit=1,
    )
    name = cloud.elasticache.take_automatic_backup("single", FIRST_NIGHT)
    instance = elasticache.find_instance("single")
    assert instance is not None
    (backup,) = elasticache.backups(instance)
    assert (backup.backup_id, backup.automatic, backup.engine.cluster_mode) == (name, True, False)
    assert len(backup.shards) == 1
    assert elasticache.backups(pair(elasticache)) == []


def test_a_node_of_its_own_is_an_instance_and_memcached_is_none(
    cloud: LocalCloud, elasticache: ElastiCacheSource
) -> None:
    client = cloud.client("elasticache")
    for cluster, engine in (("alone", "redis"), ("other", "memcached")):
        client.create_cache_cluster(
            CacheClusterId=cluster, Engine=engine, CacheNodeType="cache.t4g.small", NumCacheNodes=1
        )
    alone = elasticache.find_instance("alone")
    assert alone is not None
    assert not alone.backups_enabled
    assert elasticache.find_instance("other") is None
    listed = [instance.name for instance in elasticache.instances()]
    assert "alone" in listed
    assert "other" not in listed
    assert not any(name.startswith("pair-") for name in listed)


def test_a_member_of_a_group_is_no_instance_of_its_own(elasticache: ElastiCacheSource) -> None:
    assert elasticache.find_instance(pair(elasticache).members[0]) is None


def test_a_node_that_is_named_like_a_member_but_is_none_is_another_instance(
    cloud: LocalCloud, elasticache: ElastiCacheSource
) -> None:
    client = cloud.client("elasticache")
    for name, nodes in (("like", 1), ("like-001-x", 1)):
        client.create_replication_group(
            ReplicationGroupId=name,
            ReplicationGroupDescription="one shard",
            Engine="redis",
            CacheNodeType="cache.t4g.small",
            NumCacheClusters=nodes,
            SnapshotRetentionLimit=1,
        )
    client.create_cache_cluster(
        CacheClusterId="like-009",
        Engine="redis",
        CacheNodeType="cache.t4g.small",
        NumCacheNodes=1,
        SnapshotRetentionLimit=1,
    )
    mine = cloud.elasticache.take_automatic_backup("like", FIRST_NIGHT)
    cloud.elasticache.take_automatic_backup("like-009", FIRST_NIGHT)
    cloud.elasticache.take_automatic_backup("like-001-x", FIRST_NIGHT)
    instance = elasticache.find_instance("like")
    assert instance is not None
    assert [backup.backup_id for backup in elasticache.backups(instance)] == [mine]


def test_an_export_that_the_service_knows_by_our_name_was_asked_for_already() -> None:
    stub_client = boto3.client("elasticache", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    source = ElastiCacheSource(stub_client, lambda: None, "staging")
    backup = Backup("elasticache", "pair", "night", BackupState.COMPLETE, True, FIRST_NIGHT, (), EngineFacts())
    with Stubber(stub_client) as stub:
        stub.add_client_error("copy_snapshot", "SnapshotAlreadyExistsFault")
        source.request_export(backup, "attempt")
        stub.assert_no_pending_responses()


def test_files_that_are_all_there_while_the_service_is_still_exporting_are_not_read_yet(
    cloud: LocalCloud, elasticache: ElastiCacheSource
) -> None:
    cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache)
    elasticache.request_export(backup, "first")
    wait_for_files(elasticache, backup, "first")
    cloud.elasticache.hold_exports(True)
    elasticache.request_export(backup, "second")  # the backup is `exporting` again, and the first one's files are there
    assert elasticache.find_staged_files(backup, "first") is None
    cloud.elasticache.hold_exports(False)
    wait_for_files(elasticache, backup, "first")


def test_a_backup_being_made_is_in_progress(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    client = cloud.client("elasticache")
    client.create_snapshot(SnapshotName="now", ReplicationGroupId="pair")
    backup = only_backup(elasticache)
    wait_until_available(client, "now")
    assert (backup.state, backup.taken_at) == (BackupState.IN_PROGRESS, None)
    assert only_backup(elasticache).state is BackupState.COMPLETE


def test_a_backup_that_is_being_exported_is_busy_for_another(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache)
    cloud.elasticache.hold_exports(True)
    elasticache.request_export(backup, "first")
    with pytest.raises(BackupBusy):
        elasticache.request_export(backup, "second")
    assert elasticache.find_staged_files(backup, "first") is None
    cloud.elasticache.hold_exports(False)
    wait_for_files(elasticache, backup, "first")


def test_a_refused_export_says_what_the_service_said(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache)
    elsewhere = ElastiCacheSource(cloud.client("elasticache"), lambda: cloud.client("s3"), "no-such-bucket")
    with pytest.raises(SourceRefused, match="no-such-bucket"):
        elsewhere.request_export(backup, "attempt")


def test_a_denied_call_is_a_denied_source(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    cloud.elasticache.deny("DescribeSnapshots")
    with pytest.raises(SourceDenied) as denied:
        elasticache.backups(pair(elasticache))
    cloud.elasticache.allow("DescribeSnapshots")
    assert isinstance(denied.value, SourceError)
    assert "role" in denied.value.hint


def test_the_facts_for_making_the_instance_again_are_kept(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache)
    facts = backup.engine
    assert (facts.engine, facts.node_type, facts.cluster_mode) == ("redis", "cache.t4g.small", True)
    assert facts.engine_version
    assert facts.parameter_group == "default.redis7.cluster.on"
    assert facts.replicas_per_shard == 1
    assert [shard.slots for shard in backup.shards] == ["0-8191", "8192-16383"]
