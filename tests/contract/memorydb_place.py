"""The local MemoryDB behind a server of its own, with an S3 and a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract.elasticache_place import wait_for
from tests.contract.guarded_server import guarded
from tests.contract.managed_place import make_export_bucket
from tests.local_cloud.dataset import fill
from tests.local_cloud.memorydb import MemoryDbGuard

REGION = "us-east-1"
PRINCIPAL = "us-east-1.memorydb-snapshot.amazonaws.com"
BUCKET = "memorydb-exports"
ACLS = "BucketOwnerPreferred"


@dataclass(frozen=True)
class Place:
    """A guard behind its own server, with a cluster `ledger` of two shards."""

    guard: MemoryDbGuard
    memorydb: Any
    s3: Any
    client: Callable[..., Any]

    def snapshot(self, name: str, *, detail: bool = True) -> Any:
        (snapshot,) = self.memorydb.describe_snapshots(SnapshotName=name, ShowDetail=detail)["Snapshots"]
        return snapshot

    def wait_until_available(self, name: str) -> None:
        wait_for(lambda: self.snapshot(name)["Status"] == "available")

    def create(self, name: str, **more: Any) -> Any:
        return self.memorydb.create_snapshot(SnapshotName=name, ClusterName="ledger", **more)["Snapshot"]

    def export(self, source: str, target: str, bucket: str = BUCKET, **more: Any) -> Any:
        return self.memorydb.copy_snapshot(
            SourceSnapshotName=source, TargetSnapshotName=target, TargetBucket=bucket, **more
        )["Snapshot"]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    s3: Any = None
    with MemoryDbGuard(REGION, lambda: s3, export_delay_s=0.1) as guard, guarded({"memorydb": guard}) as client:
        s3, memorydb = client("s3"), client("memorydb")
        memorydb.create_cluster(
            ClusterName="Ledger",
            NodeType="db.t4g.small",
            ACLName="open-access",
            NumShards=2,
            NumReplicasPerShard=1,
            SnapshotRetentionLimit=3,
            SnapshotWindow="02:00-03:00",
            Tags=[{"Key": "team", "Value": "shop"}],
        )
        fill(guard.ports("ledger"), seed=6)
        make_export_bucket(s3, BUCKET, PRINCIPAL, ownership=ACLS)
        yield Place(guard, memorydb, s3, client)
        assert guard.problems == []
