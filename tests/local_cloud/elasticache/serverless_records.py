"""What the stand-in knows of serverless caches and their snapshots, and how that looks in an answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from tests.local_cloud.engines import Engine

ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class ServerlessCache:
    """A serverless cache and the servers that it hides; a Memcached one runs nothing."""

    name: str
    arn: str
    description: str
    engine: str
    major_version: str
    full_version: str
    created_at: datetime
    retention_days: int
    daily_snapshot_time: str
    kms_key_id: str
    engines: tuple[Engine, ...]

    @property
    def port(self) -> int:
        """Return the port of its endpoint, the first server's; Memcached has only its usual number."""
        return self.engines[0].port if self.engines else 11211


@dataclass(frozen=True)
class ServerlessSnapshot:
    """One snapshot; without a time, a size and files while it is creating. One of Memcached has no files here."""

    name: str
    arn: str
    status: str
    kind: Literal["automated", "manual"]
    cache: ServerlessCache
    kms_key_id: str
    taken_at: datetime | None = None
    expires_at: datetime | None = None
    used_bytes: int | None = None
    files: tuple[Path, ...] = ()


def describe_cache(cache: ServerlessCache, status: str) -> dict[str, Any]:
    """Return a ServerlessCache structure."""
    endpoint = {"Address": ADDRESS, "Port": cache.port}
    return {
        "ServerlessCacheName": cache.name,
        "Description": cache.description,
        "CreateTime": cache.created_at,
        "Status": status,
        "Engine": cache.engine,
        "MajorEngineVersion": cache.major_version,
        "FullEngineVersion": cache.full_version,
        "KmsKeyId": cache.kms_key_id or None,
        "StorageEncryptionType": "sse-kms" if cache.kms_key_id else "sse-elasticache",
        "SecurityGroupIds": [],
        "Endpoint": endpoint,
        "ReaderEndpoint": endpoint,
        "ARN": cache.arn,
        "SubnetIds": [],
        "SnapshotRetentionLimit": cache.retention_days,
        "DailySnapshotTime": cache.daily_snapshot_time or None,
        "NetworkType": "ipv4",
        "ConnectionType": "vpc",
    }


def describe_serverless_snapshot(snapshot: ServerlessSnapshot) -> dict[str, Any]:
    """Return a ServerlessCacheSnapshot structure; its size is a text of digits, as the model has it."""
    return {
        "ServerlessCacheSnapshotName": snapshot.name,
        "ARN": snapshot.arn,
        "KmsKeyId": snapshot.kms_key_id or None,
        "SnapshotType": snapshot.kind,
        "Status": snapshot.status,
        "CreateTime": snapshot.taken_at,
        "ExpiryTime": snapshot.expires_at,
        "BytesUsedForCache": None if snapshot.used_bytes is None else str(snapshot.used_bytes),
        "ServerlessCacheConfiguration": {
            "ServerlessCacheName": snapshot.cache.name,
            "Engine": snapshot.cache.engine,
            "MajorEngineVersion": snapshot.cache.major_version,
        },
    }
