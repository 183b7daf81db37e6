"""The copies that are to outlive the others: which they are, and whether they are there."""

from __future__ import annotations

from collections.abc import Sequence

from rdbkeeper.domain.audit import Damage, Fault, Finding, find_manifest_fault
from rdbkeeper.domain.catalog import CatalogEntry, Level, Mark, manifest_key, mark_key
from rdbkeeper.domain.copy import Manifest, data_key, data_prefix
from rdbkeeper.domain.errors import ManifestUnreadable, ObjectExists
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.ports import Vault


def whole_copies(entries: Sequence[CatalogEntry]) -> list[CatalogEntry]:
    """The copies that count for something: all but those that are marked as damaged."""
    return [entry for entry in entries if not entry.is_damaged]


def find_keepers(entries: Sequence[CatalogEntry]) -> list[CatalogEntry]:
    """The newest whole copy and the newest verified one, which stay whatever is asked."""
    whole = [entry for entry in whole_copies(entries) if entry.taken_at is not None]
    verified = [entry for entry in whole if entry.level is Level.VERIFIED]
    newest = [max(some, key=lambda entry: entry.copy_id) for some in (whole, verified) if some]
    return list(dict.fromkeys(newest))


def find_absence(vault: Vault, path: str, entry: CatalogEntry) -> Finding | None:
    """What of a copy is not there; None when its manifest is one, and all its files are there in their lengths."""
    key = manifest_key(path, entry.copy_id, entry.level)
    if vault.find_object(key) is None:
        return Finding(Fault.MANIFEST, "", "Its manifest is gone.")
    try:
        manifest = Manifest.from_json(vault.read_object(key), key)
    except ManifestUnreadable as error:
        return Finding(Fault.MANIFEST, "", error.message)
    fault = find_manifest_fault(manifest, entry.copy_id)
    if fault is not None:
        return fault
    sizes = {found.key: found.size_bytes for found in vault.find_objects(data_prefix(path, entry.copy_id))}
    for file in manifest.files:
        # As an audit does: copies that were brought here from another place name the keys that they had there.
        key = data_key(path, entry.copy_id, file.name)
        if key not in sizes:
            return Finding(Fault.MISSING_FILE, file.name, f"{key} is gone.")
        if sizes[key] != file.size_bytes:
            detail = f"{key} has {sizes[key]:,} bytes in place of {file.size_bytes:,}."
            return Finding(Fault.WRONG_LENGTH, file.name, detail)
    return None


def mark_damaged(context: RunContext, vault: Vault, path: str, entry: CatalogEntry, what: Finding) -> None:
    """Mark a copy whose data are not all there, and tell it; one whose manifest is gone as well is no copy any more."""
    if vault.find_object(manifest_key(path, entry.copy_id, entry.level)) is None:
        return
    damage = Damage(entry.copy_id, context.run_id, context.clock.now(), (what,))
    try:
        vault.create_object(mark_key(path, Mark.DAMAGED, entry.copy_id), damage.to_json(), "application/json")
    except ObjectExists:
        return
    context.journal.error(
        "CopyDamaged",
        f"The copy {entry.copy_id} is not whole: {what.detail} No other copy is removed on its account; look at the "
        "objects' versions and at what else writes to the bucket.",
        copy_id=entry.copy_id,
    )
