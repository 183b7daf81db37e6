"""Object Lock: what keeps an object from being deleted, and keeping one so.

Sources: "Locking objects with Object Lock"; "GetObjectRetention" and "PutObjectRetention" in the S3 API reference.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of, words_of
from rdbkeeper.ports import Lock
from rdbkeeper.vaults.bucket import Bucket

# An object that was never locked; a bucket that cannot lock.
NOT_LOCKED = frozenset(
    {"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfigurationError"}
)
# The answer for a bucket without Object Lock shares its code with every other request that is none: Amazon's words,
# and Ceph's.
_CANNOT_LOCK = ("Bucket is missing Object Lock Configuration", "bucket object lock not configured")


def find_lock(bucket: Bucket, key: str) -> Lock | None:
    """What keeps the object from being deleted, or None; VaultDenied when it must not be read."""
    if not bucket.capabilities.locks:
        return None
    with bucket.errors(f"Reading the lock of {key}"):
        retention = _ask(bucket, "get_object_retention", key).get("Retention", {})
        legal_hold = _ask(bucket, "get_object_legal_hold", key).get("LegalHold", {})
    until = retention.get("RetainUntilDate")
    is_held = legal_hold.get("Status") == "ON"
    return Lock(until, is_held) if until or is_held else None


def _ask(bucket: Bucket, operation: str, key: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = getattr(bucket.client(), operation)(**bucket.at(key))
    except ClientError as error:
        if code_of(error) in NOT_LOCKED or words_of(error).startswith(_CANNOT_LOCK):
            return {}
        raise
    return answer


def lock_object(bucket: Bucket, key: str, until: datetime) -> None:
    """Lock an object until then; one that is locked for as long stays as it is, for a lock is never shortened."""
    there = find_lock(bucket, key)
    if there is not None and there.until is not None and there.until >= until:
        return
    with bucket.errors(f"Locking {key}"):
        bucket.client().put_object_retention(
            **bucket.at(key),
            Retention={"Mode": bucket.options.lock_mode.value, "RetainUntilDate": until},
        )
