"""Finds out whether a bucket that is to be bound is bound already, by another spelling of its store's endpoint."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

from rdbkeeper.domain.errors import BucketTaken, RdbkeeperError
from rdbkeeper.domain.vault import TRIAL_PREFIX, Capabilities, VaultBinding
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.ports import ProbeFindings, Vault


def check_bucket_is_no_other(context: RulesContext, wanted: VaultBinding, findings: ProbeFindings) -> None:
    """Raise BucketTaken when an object written through the new binding is seen through a vault that is bound.

    Only vaults whose bucket has the same name are looked at. One that does not answer is told of and keeps nobody from
    binding: claims keep the rules of both apart. Leaves nothing but, cut off, what the next probe removes.
    """
    named_so = [
        other for other in context.vaults.vaults() if other.name != wanted.name and other.bucket == wanted.bucket
    ]
    if not named_so:
        return
    vault = context.adapters.open_vault(wanted, findings.capabilities or Capabilities())
    key = f"{TRIAL_PREFIX}{uuid4().hex}/mark"
    try:
        vault.create_object(key, b"rdbkeeper looks whether two names are one bucket\n", "text/plain")
        for other in named_so:
            if _is_seen(context, other, key):
                at = wanted.endpoint or "Amazon S3"
                raise BucketTaken(
                    f"The bucket {wanted.bucket} at {at} is the vault {other.name} already, by another address.",
                    field="bucket",
                    hint=f"Point the rule at {other.name}; a `prefix` keeps rules apart within a bucket.",
                )
    finally:
        with suppress(RdbkeeperError):  # the next probe removes it
            _remove(vault, key)


def _is_seen(context: RulesContext, other: VaultBinding, key: str) -> bool:
    try:
        return context.adapters.vault(other.name).find_object(key) is not None
    except RdbkeeperError as error:
        context.journal.warning(
            "BucketNotCompared",
            f"Whether the bucket {other.bucket} is the vault {other.name} already cannot be told: {error}",
            vault=other.name,
            reason=error.code,
        )
        return False


def _remove(vault: Vault, key: str) -> None:
    stored = vault.find_object(key)
    if stored is not None:
        vault.remove_object(key, stored.etag)
