"""Locks copies once they are published: the data first, the manifest last.

So a locked manifest tells that the whole copy is locked. A lock that could not be set makes no copy a failure: the runs
of the next days look whether it is there, and set it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rdbkeeper.domain.catalog import CatalogEntry, manifest_key
from rdbkeeper.domain.copy import Manifest
from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.rule import Rule
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.ports import Clock, Journal, Vault

# From the second run after it was published on; a rule of long cycles has that one later than others.
LOOKED_AT_FOR = timedelta(days=3)
MOST_MENDED = 20
MOST_FAILED = 20
# A manifest's own moment is a little before the one at which the store has written it.
_SLACK = timedelta(hours=1)


def lock_copy(rule: Rule, vault: Vault, manifest: Manifest, published_at: datetime, journal: Journal) -> bool:
    """Lock a published copy for the vault's days from then on; False when that failed, which is logged."""
    if not _locks(vault):
        return True
    until = published_at + timedelta(days=vault.lock_days)
    try:
        for file in manifest.files:
            vault.lock_object(file.key, until)
        vault.lock_object(manifest_key(rule.place.path, manifest.copy_id, manifest.level), until)
    except RdbkeeperError as error:
        _tell_missing(journal, manifest.copy_id, error)
        return False
    except Exception as error:  # noqa: BLE001 - the copy is published; a defect here must not call it failed
        report_defect(journal, f"Locking {manifest.copy_id}", error)
        return False
    return True


def lock_what_is_not(
    rule: Rule, vault: Vault, entries: Sequence[CatalogEntry], clock: Clock, journal: Journal
) -> list[str]:
    """Lock the copies of the last days that an earlier run could not lock, the oldest first; returns their ids.

    Only so many in one run; how many are left for the next ones is logged.
    """
    if not _locks(vault):
        return []
    now = clock.now()
    since = now - LOOKED_AT_FOR - (rule.cycle.longest_gap(now) or timedelta())
    recent = [(one.published_at, one) for one in entries if one.published_at is not None and one.published_at > since]
    mended: list[str] = []
    failed = left = 0
    for published_at, entry in sorted(recent, key=lambda pair: (pair[0], pair[1].copy_id)):
        if entry.is_damaged or failed >= MOST_FAILED:
            continue
        try:
            if _is_locked(rule, vault, entry, published_at):
                continue
            if len(mended) >= MOST_MENDED:
                left += 1
                continue
            is_mended = _lock(rule, vault, entry, published_at, journal)
        except RdbkeeperError as error:
            _tell_missing(journal, entry.copy_id, error)
            is_mended = False
        mended += [entry.copy_id] if is_mended else []
        failed += not is_mended
    if left:
        message = f"{left} more copies are not locked as long as their vault says; the next runs go on with the oldest."
        journal.warning("LockMissing", message, left=left)
    return mended


def _is_locked(rule: Rule, vault: Vault, entry: CatalogEntry, published_at: datetime) -> bool:
    """True also for a copy that has been removed meanwhile: there is nothing to lock."""
    key = manifest_key(rule.place.path, entry.copy_id, entry.level)
    lock = vault.find_lock(key)
    until = lock.until if lock is not None else None
    if until is not None and until >= published_at + timedelta(days=vault.lock_days) - _SLACK:
        return True
    return vault.find_object(key) is None


def _lock(rule: Rule, vault: Vault, entry: CatalogEntry, published_at: datetime, journal: Journal) -> bool:
    key = manifest_key(rule.place.path, entry.copy_id, entry.level)
    manifest = Manifest.from_json(vault.read_object(key), key)
    if not lock_copy(rule, vault, manifest, published_at, journal):
        return False
    journal.info("LockMended", f"The copy {entry.copy_id} was not locked as long as its vault says; it is now.")
    return True


def _locks(vault: Vault) -> bool:
    return vault.lock_days > 0 and vault.capabilities.locks


def _tell_missing(journal: Journal, copy_id: str, error: RdbkeeperError) -> None:
    journal.error(
        "LockMissing",
        f"The copy {copy_id} is whole and could not be locked; the next run tries again: {error}",
        reason=error.code,
        copy_id=copy_id,
    )
