"""Instances of the other managed kinds, made and filled: for `make run` and the tests of sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.local_cloud.dataset import fill

if TYPE_CHECKING:
    from tests.local_cloud.server import LocalCloud


def make_serverless_cache(
    cloud: LocalCloud, name: str, *, servers: int = 2, engine: str = "valkey", ballast_bytes: int = 0, seed: int = 1
) -> tuple[int, ...]:
    """Make a serverless cache with so many hidden shards, filled with every type, and return its servers' ports."""
    serverless = cloud.elasticache.serverless
    serverless.set_servers(servers)
    try:
        cloud.client("elasticache").create_serverless_cache(
            ServerlessCacheName=name, Engine=engine, SnapshotRetentionLimit=7, DailySnapshotTime="02:00"
        )
    finally:
        serverless.set_servers(1)
    ports = serverless.ports(name)
    fill(ports, seed=seed, ballast_bytes=ballast_bytes)
    return ports


def make_memorydb_cluster(
    cloud: LocalCloud, name: str, *, shards: int = 2, engine: str = "redis", ballast_bytes: int = 0, seed: int = 1
) -> tuple[int, ...]:
    """Make a MemoryDB cluster with so many shards, filled with every type, and return its servers' ports."""
    cloud.client("memorydb").create_cluster(
        ClusterName=name,
        NodeType="db.t4g.small",
        ACLName="open-access",
        Engine=engine,
        NumShards=shards,
        NumReplicasPerShard=1,
        SnapshotRetentionLimit=7,
        SnapshotWindow="02:00-03:00",
    )
    ports = cloud.memorydb.ports(name)
    fill(ports, seed=seed, ballast_bytes=ballast_bytes)
    return ports
