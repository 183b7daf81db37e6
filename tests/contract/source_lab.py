"""A source and its provider, with which every contract of a source is held; in memory and in the local cloud."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from rdbkeeper.domain.backup import Backup, Instance, StagedFile
from rdbkeeper.ports import Source
from rdbkeeper.sources.elasticache import ElastiCacheSource
from tests.demo.world import wait_until_available
from tests.fakes.rdb_files import rdb_file
from tests.fakes.source import MemorySource
from tests.local_cloud.deploy import Deployment
from tests.local_cloud.server import LocalCloud

FIRST_NIGHT = datetime(2026, 11, 20, 2, 15, tzinfo=UTC)


class Provider(Protocol):
    """A source, and what happens at the provider without it."""

    source: Source

    def take_backup(self, name: str, taken_at: datetime) -> None: ...

    def set_status(self, status: str, *, available: bool) -> None: ...

    def remove(self) -> None: ...


@dataclass
class Memory:
    source: MemorySource

    def take_backup(self, name: str, taken_at: datetime) -> None:
        files = {"0001": rdb_file(300), "0002": rdb_file(400)}
        self.source.add_backup("pair", name, taken_at, files, automatic=False, source_size="2 MB")

    def set_status(self, status: str, *, available: bool) -> None:
        self.source.set_status("pair", status, available=available)

    def remove(self) -> None:
        self.source.remove_instance("pair")


@dataclass
class ElastiCache:
    source: ElastiCacheSource
    cloud: LocalCloud

    def take_backup(self, name: str, taken_at: datetime) -> None:
        self.cloud.elasticache.take_manual_backup(name, "pair", taken_at)

    def set_status(self, status: str, *, available: bool) -> None:
        self.cloud.elasticache.set_status("pair", status)

    def remove(self) -> None:
        self.cloud.client("elasticache").delete_replication_group(ReplicationGroupId="pair")


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


def replication_groups(client: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("describe_replication_groups").paginate()
    return [group for page in pages for group in page["ReplicationGroups"]]


@pytest.fixture(scope="module")
def staging_bucket(cloud: LocalCloud, deployment: Deployment) -> str:
    create_pair(cloud)
    return deployment.resources["StagingBucket"]


@pytest.fixture
def elasticache(cloud: LocalCloud, staging_bucket: str) -> Iterator[ElastiCacheSource]:
    yield ElastiCacheSource(cloud.client("elasticache"), lambda: cloud.client("s3"), staging_bucket)
    cloud.elasticache.hold_exports(False)
    client = cloud.client("elasticache")
    if not any(group["ReplicationGroupId"] == "pair" for group in replication_groups(client)):
        create_pair(cloud)
    cloud.elasticache.set_status("pair", None)
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
