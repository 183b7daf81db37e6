"""The sources in AWS in front of the local cloud's stand-ins.

Exports go to the staging bucket of the deployed template in modules that use `deployment`, which takes a while, and
elsewhere to a bucket that is made like it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import pytest

from rdbkeeper.domain.backup import StagedFile
from rdbkeeper.sources.elasticache.source import ElastiCacheSource
from rdbkeeper.sources.elasticache_serverless.source import Quiet, ServerlessSource
from rdbkeeper.sources.memorydb.source import MemoryDbSource
from tests.contract.managed_place import REQUIRED_ACTIONS
from tests.local_cloud.server import LocalCloud

_BUCKET = "staged-exports"


class AtOnce(Quiet):
    """Waits for nothing: the stand-ins take tenths of a second for what takes minutes at AWS, and show their status."""

    def is_over(self, asked_at: datetime, written_at: Sequence[datetime], now: datetime) -> bool:
        return True


AT_ONCE = AtOnce()
S = TypeVar("S", ElastiCacheSource, MemoryDbSource, ServerlessSource)


@dataclass
class AwsPlace(Generic[S]):
    """A source, the service that it asks, and the bucket that exports go to."""

    tells_shards = True
    usual_status, stages, names_backups = "available", True, True
    source: S
    cloud: LocalCloud
    bucket: str

    @property
    def s3(self) -> Any:
        return self.cloud.client("s3")

    def now(self) -> datetime:
        return datetime.now(UTC)

    def overwrite(self, file: StagedFile) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=file.key, Body=b"another")

    def staged(self) -> list[str]:
        """What lies in the staging bucket."""
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", ())]

    def empty_bucket(self) -> None:
        for key in self.staged():
            self.s3.delete_object(Bucket=self.bucket, Key=key)


class ElastiCache(AwsPlace[ElastiCacheSource]):
    """Replication groups, in cluster mode."""

    @property
    def client(self) -> Any:
        return self.cloud.client("elasticache")

    def take_backup(self, name: str, taken_at: datetime) -> None:
        self.cloud.elasticache.take_manual_backup(name, "pair", taken_at)

    def lose_backup(self, name: str) -> None:
        self.cloud.elasticache.expire(name)

    def set_status(self, status: str, *, available: bool) -> None:
        self.cloud.elasticache.set_status("pair", status)

    def remove(self) -> None:
        self.client.delete_replication_group(ReplicationGroupId="pair")

    def hold_making(self, held: bool) -> None:
        self.cloud.elasticache.hold_snapshots(held)

    def fail_making(self) -> None:
        self.cloud.elasticache.fail_snapshots()

    def make(self) -> None:
        if "pair" not in self._groups():
            self.client.create_replication_group(
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

    def clear(self) -> None:
        self.cloud.elasticache.hold_exports(False)
        self.cloud.elasticache.hold_snapshots(False)
        if "pair" in self._groups():
            self.cloud.elasticache.set_status("pair", None)
        self.cloud.elasticache._snapshots._quota.forget()
        pages = self.client.get_paginator("describe_snapshots").paginate()
        for name in [one["SnapshotName"] for page in pages for one in page["Snapshots"]]:
            self.wait_until_idle(name)
            self.lose_backup(name)
        self.empty_bucket()

    def wait_until_idle(self, name: str) -> None:
        listed = self.client.describe_snapshots
        wait_for(lambda: listed(SnapshotName=name)["Snapshots"][0]["SnapshotStatus"] in ("available", "failed"))

    def _groups(self) -> list[str]:
        pages = self.client.get_paginator("describe_replication_groups").paginate()
        return [group["ReplicationGroupId"] for page in pages for group in page["ReplicationGroups"]]


class MemoryDb(AwsPlace[MemoryDbSource]):
    """Clusters of MemoryDB."""

    @property
    def client(self) -> Any:
        return self.cloud.client("memorydb")

    def take_backup(self, name: str, taken_at: datetime) -> None:
        self.cloud.memorydb.take_manual_backup(name, "pair", taken_at)

    def lose_backup(self, name: str) -> None:
        self.cloud.memorydb.expire(name)

    def set_status(self, status: str, *, available: bool) -> None:
        self.cloud.memorydb.set_status("pair", status)

    def remove(self) -> None:
        self.client.delete_cluster(ClusterName="pair")

    def hold_making(self, held: bool) -> None:
        self.cloud.memorydb.hold_snapshots(held)

    def fail_making(self) -> None:
        self.cloud.memorydb.fail_snapshots()

    def make(self) -> None:
        if "pair" not in self._clusters():
            self.client.create_cluster(
                ClusterName="pair",
                NodeType="db.t4g.small",
                ACLName="open-access",
                NumShards=2,
                NumReplicasPerShard=1,
                SnapshotRetentionLimit=7,
            )

    def clear(self) -> None:
        self.cloud.memorydb.hold_exports(False)
        self.cloud.memorydb.hold_snapshots(False)
        if "pair" in self._clusters():
            self.cloud.memorydb.set_status("pair", None)
        self.cloud.memorydb._snapshots._quota.forget()
        pages = self.client.get_paginator("describe_snapshots").paginate()
        for name in [one["Name"] for page in pages for one in page["Snapshots"]]:
            self.wait_until_idle(name)
            self.lose_backup(name)
        self.empty_bucket()

    def wait_until_idle(self, name: str) -> None:
        listed = self.client.describe_snapshots
        wait_for(lambda: listed(SnapshotName=name)["Snapshots"][0]["Status"] in ("available", "failed"))

    def _clusters(self) -> list[str]:
        return [cluster["Name"] for cluster in self.client.describe_clusters()["Clusters"]]


class Serverless(AwsPlace[ServerlessSource]):
    """Serverless caches, with two hidden shards."""

    tells_shards = False

    @property
    def client(self) -> Any:
        return self.cloud.client("elasticache")

    def take_backup(self, name: str, taken_at: datetime) -> None:
        self.cloud.elasticache.serverless.take_manual_backup(name, "pair", taken_at)

    def lose_backup(self, name: str) -> None:
        self.cloud.elasticache.serverless.expire(name)

    def set_status(self, status: str, *, available: bool) -> None:
        self.cloud.elasticache.serverless.set_status("pair", status.upper())

    def remove(self) -> None:
        self.client.delete_serverless_cache(ServerlessCacheName="pair")

    def hold_making(self, held: bool) -> None:
        self.cloud.elasticache.serverless.hold_snapshots(held)

    def fail_making(self) -> None:
        self.cloud.elasticache.serverless.fail_snapshots()

    def make(self) -> None:
        if "pair" not in self._caches():
            self.cloud.elasticache.serverless.set_servers(2)
            self.client.create_serverless_cache(
                ServerlessCacheName="pair", Engine="valkey", SnapshotRetentionLimit=7, DailySnapshotTime="02:00"
            )

    def clear(self) -> None:
        serverless = self.cloud.elasticache.serverless
        self.cloud.elasticache.hold_exports(False)
        serverless.hold_snapshots(False)
        wait_for(lambda: not serverless._exports._running)
        serverless.fail_exports()
        serverless.name_exports()
        serverless.show_exports(True)
        if "pair" in self._caches():
            serverless.set_status("pair", None)
        serverless._snapshots._quota.forget()
        self.cloud.elasticache._state.events.forget()
        pages = self.client.get_paginator("describe_serverless_cache_snapshots").paginate()
        names = [one["ServerlessCacheSnapshotName"] for page in pages for one in page["ServerlessCacheSnapshots"]]
        for name in names:
            self.wait_until_idle(name)
            self.lose_backup(name)
        self.empty_bucket()

    def wait_until_idle(self, name: str) -> None:
        def status() -> str:
            listed = self.client.describe_serverless_cache_snapshots(ServerlessCacheSnapshotName=name)
            return str(listed["ServerlessCacheSnapshots"][0]["Status"])

        wait_for(lambda: status() in ("available", "failed"))

    def _caches(self) -> list[str]:
        listed = self.client.describe_serverless_caches()["ServerlessCaches"]
        return [cache["ServerlessCacheName"] for cache in listed]


@contextmanager
def elasticache_place(request: pytest.FixtureRequest) -> Iterator[ElastiCache]:
    cloud, bucket = _cloud_and_bucket(request)
    source = ElastiCacheSource(cloud.client("elasticache"), lambda: cloud.client("s3"), bucket)
    yield from _made(ElastiCache(source, cloud, bucket))


@contextmanager
def memorydb_place(request: pytest.FixtureRequest) -> Iterator[MemoryDb]:
    cloud, bucket = _cloud_and_bucket(request)
    source = MemoryDbSource(cloud.client("memorydb"), lambda: cloud.client("s3"), bucket)
    yield from _made(MemoryDb(source, cloud, bucket))


@contextmanager
def serverless_place(request: pytest.FixtureRequest) -> Iterator[Serverless]:
    cloud, bucket = _cloud_and_bucket(request)
    source = ServerlessSource(cloud.client("elasticache"), lambda: cloud.client("s3"), bucket, AT_ONCE)
    yield from _made(Serverless(source, cloud, bucket))


@pytest.fixture
def elasticache(request: pytest.FixtureRequest) -> Iterator[ElastiCache]:
    with elasticache_place(request) as place:
        yield place


@pytest.fixture
def memorydb(request: pytest.FixtureRequest) -> Iterator[MemoryDb]:
    with memorydb_place(request) as place:
        yield place


@pytest.fixture
def serverless(request: pytest.FixtureRequest) -> Iterator[Serverless]:
    with serverless_place(request) as place:
        yield place


P = TypeVar("P", ElastiCache, MemoryDb, Serverless)


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _cloud_and_bucket(request: pytest.FixtureRequest) -> tuple[LocalCloud, str]:
    cloud: LocalCloud = request.getfixturevalue("cloud")
    if "deployment" in request.fixturenames:
        return cloud, request.getfixturevalue("deployment").resources["StagingBucket"]
    if _BUCKET not in [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]]:
        _make_bucket(cloud.client("s3"))
    return cloud, _BUCKET


def _make_bucket(s3: Any) -> None:
    s3.create_bucket(Bucket=_BUCKET)
    s3.put_bucket_ownership_controls(
        Bucket=_BUCKET, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    services = [f"us-east-1.{service}-snapshot.amazonaws.com" for service in ("elasticache", "memorydb")]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": services},
        "Action": REQUIRED_ACTIONS,
        "Resource": [f"arn:aws:s3:::{_BUCKET}", f"arn:aws:s3:::{_BUCKET}/*"],
    }
    s3.put_bucket_policy(Bucket=_BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def _made(place: P) -> Iterator[P]:
    place.make()
    try:
        yield place
    finally:
        place.clear()
