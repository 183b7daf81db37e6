"""Finds out whether a vault can be used, and what its store honours. Leaves nothing that anybody would see.

Sources: "HeadBucket", "GetBucketVersioning" and "GetObjectLockConfiguration" in the S3 API reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from uuid import uuid4

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of, status_of
from rdbkeeper.domain.errors import VaultDenied, VaultError, VaultRefused, VaultUnfit
from rdbkeeper.domain.vault import CLOSE_PROBE_S, LIGHT_PROBE_S, Capabilities, LockState, StoreSum, VaultBinding
from rdbkeeper.ports import ProbeFindings
from rdbkeeper.vaults.bucket import Bucket
from rdbkeeper.vaults.deadline import Deadline, in_time
from rdbkeeper.vaults.examination import Examination, find_lock_state
from rdbkeeper.vaults.trial import PREFIX, Trial, is_left_by_probe

_LEFT_BEHIND_AFTER = timedelta(hours=1)
_MOST_SKEW = timedelta(minutes=5)  # Amazon refuses what is signed a quarter of an hour off
_CLOSED = frozenset({"AccessDenied", "AllAccessDisabled", "403"})
_FOREIGN = " It may belong to somebody else."


class Connects(Protocol):
    """What a probe needs of connections."""

    def client(self, binding: VaultBinding) -> Any: ...

    def owner(self, binding: VaultBinding) -> str: ...


@dataclass(frozen=True)
class _Hurried:
    """Connections that are not had after a deadline; each call asks for its own."""

    connections: Connects
    deadline: Deadline

    def client(self, binding: VaultBinding) -> Any:
        self.deadline.check()
        return self.connections.client(binding)

    def owner(self, binding: VaultBinding) -> str:
        return self.connections.owner(binding)


def probe(
    connections: Connects, binding: VaultBinding, now: datetime, *, closely: bool, within_s: float | None = None
) -> ProbeFindings:
    """What the vault is found to be, within a minute, or two when looked at closely.

    Raises as `Adapters.probe_vault` says; VaultUnavailable too when time is over.
    """
    seconds = within_s or (CLOSE_PROBE_S if closely else LIGHT_PROBE_S)
    return in_time(seconds, lambda deadline: _probe(_Hurried(connections, deadline), binding, now, closely=closely))


def _probe(connections: Connects, binding: VaultBinding, now: datetime, *, closely: bool) -> ProbeFindings:
    bucket = _bucket(connections, binding)
    region, skew = _reach(bucket, binding, now)
    if binding.is_amazon and region != binding.region:
        bucket = _bucket(connections, replace(binding, region=region))
    with _trial(bucket, binding) as trial:
        _sweep(trial, now)
        kept = _keep_and_read(trial)
        _check_key_is_used(binding, kept)
        seen = Examination(trial, binding, now).run() if closely else None
        # A lock that is not known of would have removals hide what they must not touch, so this is asked every time.
        lock_state = None if closely else find_lock_state(trial)
    warnings = [*_about_connection(binding, skew), *_about_key(kept)]
    if seen is not None:
        warnings += _about_store(seen)
        warnings += _about_locks(binding, seen.lock_state)
    return ProbeFindings(region, seen, tuple(warnings), lock_state)


def _bucket(connections: Connects, binding: VaultBinding) -> Bucket:
    return Bucket(
        lambda: connections.client(binding), binding.bucket, connections.owner(binding), options=binding.options
    )


def _reach(bucket: Bucket, binding: VaultBinding, now: datetime) -> tuple[str, timedelta]:
    """The region of the bucket, and how far the store's clock is from ours."""
    what = f"Looking at the bucket {bucket.name}"
    try:
        with bucket.errors(what):
            # A listing first: what is wrong with it stands in its answer, and a HEAD's has no body.
            bucket.client().list_objects_v2(**bucket.itself, Prefix=PREFIX, MaxKeys=1)
            head = bucket.client().head_bucket(**bucket.itself)
    except VaultDenied as error:
        raise VaultDenied(error.message + (_FOREIGN if _is_closed(error) else ""), hint=error.hint) from error
    except VaultRefused as error:
        if isinstance(error.__cause__, ClientError) and status_of(error.__cause__) == 404:
            raise VaultRefused(
                f"There is no bucket {bucket.name} at {binding.endpoint or 'Amazon S3'}.",
                hint="Look at its name, endpoint and region, or make the bucket first.",
            ) from error
        raise
    headers = head["ResponseMetadata"].get("HTTPHeaders", {})
    told = str(head.get("BucketRegion") or headers.get("x-amz-bucket-region") or "")
    if binding.is_amazon and binding.region and told and told != binding.region:
        raise VaultRefused(
            f"The bucket {bucket.name} lies in {told}, not in {binding.region}.",
            hint=f"Write the region {told}, or leave it out to have it found.",
        )
    region = (told or binding.region) if binding.is_amazon else (binding.region or told)
    return region or "us-east-1", _skew(headers.get("date", ""), now)


def _is_closed(denied: VaultDenied) -> bool:
    """True when it is the bucket that denies; not so for wrong keys, or a role that cannot be assumed."""
    error = denied.__cause__
    return isinstance(error, ClientError) and code_of(error) in _CLOSED and error.operation_name != "AssumeRole"


def _skew(date: str, now: datetime) -> timedelta:
    try:
        return abs(parsedate_to_datetime(date) - now)
    except (TypeError, ValueError):
        return timedelta(0)


@contextmanager
def _trial(bucket: Bucket, binding: VaultBinding) -> Iterator[Trial]:
    """Objects and uploads for the probe, which are all gone afterwards."""
    trial = Trial(bucket, f"{PREFIX}{uuid4().hex}/", is_amazon=binding.is_amazon)
    try:
        yield trial
    except BaseException:
        with suppress(VaultError):  # what went wrong first is what a person should read
            trial.clear()
        raise
    trial.clear()


def _sweep(trial: Trial, now: datetime) -> None:
    """Remove what a probe left that was cut off."""
    with trial.bucket.errors("Looking for what earlier probes left"):
        left = trial.bucket.client().list_objects_v2(**trial.bucket.itself, Prefix=PREFIX).get("Contents", ())
    trial.keys.update(
        found["Key"]
        for found in left
        # Somebody's own may lie there: nothing but what probes write is theirs to remove.
        if is_left_by_probe(found["Key"]) and found["LastModified"] < now - _LEFT_BEHIND_AFTER
    )


def _keep_and_read(trial: Trial) -> dict[str, Any]:
    """Write, read, list and remove a tiny object; returns the answer to its writing."""
    key, body = trial.key("kept"), b"rdbkeeper looks whether it can keep copies here"
    answer = trial.put(key, body)
    if not trial.has(key, body) or not trial.is_listed(key):
        raise VaultUnfit(
            f"The bucket {trial.bucket.name} does not show at once what was written to it.",
            hint="Copies can be kept only where a write is seen by the next read. Use another store.",
        )
    trial.remove(key)
    if trial.find(key) is not None:
        raise VaultUnfit(
            f"An object that was removed from the bucket {trial.bucket.name} is still there.",
            hint="Copies can be kept only where what is removed is gone. Use another store.",
        )
    return answer


def _check_key_is_used(binding: VaultBinding, kept: dict[str, Any]) -> None:
    """Raise VaultUnfit where a store takes the name of a key and does not use it, which nobody would notice."""
    if binding.options.kms_key and not _is_under_key(kept):
        raise VaultUnfit(
            "The store ignores the KMS key: what was written is not encrypted with it.",
            hint="Leave the key out and have the store encrypt by its own means, or use a store that knows KMS keys.",
        )


def _is_under_key(kept: dict[str, Any]) -> bool:
    return str(kept.get("ServerSideEncryption", "")).startswith("aws:kms")


def _about_connection(binding: VaultBinding, skew: timedelta) -> Iterator[str]:
    if binding.endpoint.startswith("http:"):
        yield "The endpoint is http: whoever can listen on the way reads every copy."
    if skew > _MOST_SKEW:
        minutes = int(skew.total_seconds() // 60)
        yield f"The store's clock is {minutes} minutes off ours; at 15 it may refuse everything."


def _about_key(kept: dict[str, Any]) -> Iterator[str]:
    if _is_under_key(kept):
        yield (
            "Objects are encrypted by a KMS key, and ElastiCache restores only from objects under SSE-S3: before a "
            "restore, copy them into a bucket without the key."
        )


def _about_store(honours: Capabilities) -> Iterator[str]:
    conditions = (honours.conditional_create, honours.conditional_complete, honours.conditional_delete)
    if not all(conditions):
        names = ("create only what is absent", "complete only what is absent", "remove only what is the same")
        ignored = " and ".join(name for name, is_kept in zip(names, conditions, strict=True) if not is_kept)
        yield (
            f"The store does not honour conditions (it does not {ignored}): each write is looked at before and after, "
            "but two writers at once could overwrite each other. Let one stack alone write to this bucket."
        )
    if honours.sum is StoreSum.NONE:
        yield "The store checks no sum of what is sent: each copy is read back once before it is published."
    if not honours.lists_uploads:
        yield "The store does not list open uploads: what a broken run leaves open has to be cleared by its own rules."
    if not honours.keeps_versions:
        yield "The bucket keeps no versions: what somebody overwrites or deletes by hand is gone."


def _about_locks(binding: VaultBinding, lock: LockState) -> Iterator[str]:
    wanted = binding.options.lock_days
    if wanted and not lock.is_enabled:
        yield f"Copies are to be locked for {wanted} days, and the bucket has no Object Lock: nothing will be locked."
    if lock.default_days > wanted:
        yield (
            f"The bucket locks every object for {lock.default_days} days by default, longer than the vault's "
            f"{wanted}: copies stay at least that long, and so do what probes and broken runs leave behind."
        )
