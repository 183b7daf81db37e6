"""What ElastiCache says of serverless caches, of their backups, and of exports that failed.

The API reference enumerates the statuses of a cache, in capitals, and neither those of a backup nor its types: words
are compared without case, a type that begins with `auto` is an automatic one, and any status but `available` and one
that says that it failed counts as in progress.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rdbkeeper.domain.backup import Backup, EngineFacts, Instance
from rdbkeeper.sources.backup_answers import state_of

PROVIDER = "elasticache-serverless"
ENGINES = ("redis", "valkey")
_UNAVAILABLE = frozenset({"creating", "create-failed", "deleting", "deleted"})
# "Serverless cache events": "Failed to export snapshot for cache <cache-name>. Could not export snapshot to ...".
_EXPORT_FAILED = re.compile(r"(?i)(failed to|could not) export")
# What every manifest says, as nothing here can prove it: neither a number nor an event tells of an export that is done.
_UNCOUNTED = "the provider does not tell how many files its export has; these are all that came"


def read_cache(cache: dict[str, Any]) -> Instance:
    """A serverless cache; the time of its daily backup stands for a window."""
    status = status_of(cache)
    return Instance(
        provider=PROVIDER,
        name=cache["ServerlessCacheName"],
        engine=engine_of(cache),
        status=status,
        available=status not in _UNAVAILABLE,
        backup_retention_days=int(cache.get("SnapshotRetentionLimit") or 0),
        backup_window=cache.get("DailySnapshotTime", ""),
    )


def engine_of(cache: dict[str, Any]) -> str:
    """The engine of a cache, in small letters: memcached is one of them."""
    return str(cache.get("Engine", "")).lower()


def owner_of(snapshot: dict[str, Any]) -> str:
    """The name of the cache that a backup is of; "" where it does not say."""
    return str(snapshot.get("ServerlessCacheConfiguration", {}).get("ServerlessCacheName", ""))


def read_backup(snapshot: dict[str, Any]) -> Backup:
    """A backup; its shards are not known before its export has made files of them."""
    configuration = snapshot.get("ServerlessCacheConfiguration", {})
    taken_at = taken_at_of(snapshot)
    status = status_of(snapshot)
    complete = status == "available" and taken_at is not None
    failed = "fail" in status
    size = str(snapshot.get("BytesUsedForCache") or "")
    return Backup(
        provider=PROVIDER,
        instance=owner_of(snapshot),
        backup_id=snapshot["ServerlessCacheSnapshotName"],
        state=state_of(is_complete=complete, has_failed=failed),
        automatic=str(snapshot.get("SnapshotType", "")).lower().startswith("auto"),
        taken_at=taken_at,
        shards=(),
        engine=EngineFacts(
            engine=str(configuration.get("Engine", "")).lower(),
            engine_version=configuration.get("MajorEngineVersion", ""),
            shard_count=0,  # it gives none; what its export makes says nothing of shards
            cluster_mode=True,
        ),
        source_size=f"{int(size):,} bytes" if size.isdecimal() else size,
        consistency_reason=_UNCOUNTED,
    )


def status_of(thing: dict[str, Any]) -> str:
    """The status of a cache or a backup, in small letters."""
    return str(thing.get("Status", "")).lower()


def taken_at_of(snapshot: dict[str, Any]) -> datetime | None:
    """When a backup was taken (aware UTC), to the second; None while nobody says."""
    taken_at: datetime | None = snapshot.get("CreateTime")
    return taken_at.astimezone(UTC).replace(microsecond=0) if taken_at is not None else None


def find_export_failure(events: Iterable[dict[str, Any]], snapshot: str, since: datetime) -> str | None:
    """What the service says of the newest export of that backup that failed since then, or None.

    An event names its backup by name, or by an ARN that ends in it.
    """
    failures = [
        (event["Date"], str(event["Message"]))
        for event in events
        if re.split("[:/]", str(event.get("SourceIdentifier", "")))[-1] == snapshot
        and _EXPORT_FAILED.search(str(event.get("Message", "")))
        and event.get("Date") is not None
        and event["Date"] >= since
    ]
    return max(failures)[1] if failures else None


def is_in_the_way(words: str) -> bool:
    """Whether an export failed since objects of its names were in the bucket."""
    return "object with the same name" in words


def is_named_after(text: str, snapshot: str) -> bool:
    """Whether a name, or an object's key, is that backup's name with something added: `b1-0001.rdb` and `b1/1` to `b1`.

    How the service names objects is not documented, but that they are named after the backup. `b10.rdb` is none of
    `b1`; `b1-2.rdb` may be, and may be of a backup `b1-2`.
    """
    return text.startswith(snapshot) and not text[len(snapshot) : len(snapshot) + 1].isalnum()
