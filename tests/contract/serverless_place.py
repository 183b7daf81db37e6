"""The local ElastiCache Serverless behind a server of its own, with an S3 and two caches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract.elasticache_place import wait_for
from tests.contract.guarded_server import guarded
from tests.contract.managed_place import make_export_bucket
from tests.local_cloud.dataset import fill
from tests.local_cloud.elasticache import ElastiCacheGuard
from tests.local_cloud.elasticache.serverless import Serverless

REGION = "us-east-1"
PRINCIPAL = "us-east-1.elasticache-snapshot.amazonaws.com"
BUCKET = "serverless-exports"
SNAPSHOTS = "serverless-cache-snapshot"


@dataclass(frozen=True)
class Place:
    """A guard behind its own server: a cache `carts` with two hidden shards, and `pages` of Memcached."""

    guard: ElastiCacheGuard
    cache: Any
    s3: Any

    @property
    def serverless(self) -> Serverless:
        return self.guard.serverless

    def snapshot(self, name: str) -> Any:
        listed = self.cache.describe_serverless_cache_snapshots(ServerlessCacheSnapshotName=name)
        (snapshot,) = listed["ServerlessCacheSnapshots"]
        return snapshot

    def wait_until_available(self, name: str) -> None:
        wait_for(lambda: self.snapshot(name)["Status"] == "available")

    def create(self, name: str, **more: Any) -> Any:
        return self.cache.create_serverless_cache_snapshot(
            ServerlessCacheSnapshotName=name, ServerlessCacheName="carts", **more
        )["ServerlessCacheSnapshot"]

    def export(self, name: str, bucket: str = BUCKET) -> Any:
        return self.cache.export_serverless_cache_snapshot(ServerlessCacheSnapshotName=name, S3BucketName=bucket)[
            "ServerlessCacheSnapshot"
        ]

    def messages(self, name: str) -> list[str]:
        events = self.cache.describe_events(SourceType=SNAPSHOTS, SourceIdentifier=name)["Events"]
        return [event["Message"] for event in events]

    def wait_for_failure(self, name: str) -> str:
        wait_for(lambda: "Failed to export" in self.messages(name)[-1])
        return self.messages(name)[-1]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    s3: Any = None
    with ElastiCacheGuard(REGION, lambda: s3, export_delay_s=0.1) as guard, guarded({"elasticache": guard}) as client:
        s3, cache = client("s3"), client("elasticache")
        guard.serverless.set_servers(2)
        cache.create_serverless_cache(
            ServerlessCacheName="Carts",
            Engine="valkey",
            Description="two hidden shards",
            SnapshotRetentionLimit=3,
            DailySnapshotTime="02:00",
            Tags=[{"Key": "team", "Value": "shop"}],
        )
        cache.create_serverless_cache(ServerlessCacheName="pages", Engine="memcached")
        fill(guard.serverless.ports("carts"), seed=5)
        make_export_bucket(s3, BUCKET, PRINCIPAL)
        yield Place(guard, cache, s3)
        assert guard.problems == []
