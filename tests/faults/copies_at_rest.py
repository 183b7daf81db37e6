"""Copies that lie in the vault of a world from its beginning, made of true bytes; and what else can lie there."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from rdbkeeper.domain.backup import Backup
from rdbkeeper.domain.catalog import manifest_key
from rdbkeeper.domain.copy import CopiedFile, Manifest, data_key
from rdbkeeper.rdb.checksum import crc64_nvme
from tests.faults.oracles import has_crc
from tests.faults.world import PART_BYTES, TrueBackup, World

PLACE = "redis/orders/"
COPIED_AFTER = timedelta(hours=1)


def add_copy(world: World, backup_id: str, nights: float, files: dict[str, bytes], *, is_listed: bool = False) -> str:
    """A whole, published copy of a backup that its source lists no more, or still; returns the copy's id."""
    true = world.add_backup(backup_id, nights, files)
    if not is_listed:
        world.the_source.lose_backup("orders", backup_id)
    publish(world, true)
    return true.backup.copy_id


def publish(world: World, true: TrueBackup) -> None:
    """Put a backup's files and its manifest there, as a run before would have."""
    backup, vault = true.backup, world.the_vault
    assert backup.taken_at is not None
    manifest = _describe(backup, true.files)
    key = manifest_key(PLACE, backup.copy_id, manifest.level)
    data = {data_key(PLACE, backup.copy_id, name): body for name, body in true.files.items()}
    for one, body in {**data, key: manifest.to_json()}.items():
        vault.objects[one] = body
        vault.written_at[one] = backup.taken_at + COPIED_AFTER
    world.oracles.adopt(key, data)


def _describe(backup: Backup, files: dict[str, bytes]) -> Manifest:
    assert backup.taken_at is not None
    return Manifest(
        copy_id=backup.copy_id,
        rule="nightly",
        provider=backup.provider,
        instance=backup.instance,
        backup_id=backup.backup_id,
        automatic=backup.automatic,
        taken_at=backup.taken_at,
        copied_at=backup.taken_at + COPIED_AFTER,
        engine=backup.engine,
        files=tuple(_describe_file(backup, name, body) for name, body in files.items()),
        made_by="rdbkeeper before",
    )


def _describe_file(backup: Backup, name: str, body: bytes) -> CopiedFile:
    parts = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)]
    return CopiedFile(
        name=name,
        key=data_key(PLACE, backup.copy_id, name),
        slots="0-16383",
        size_bytes=len(body),
        rdb_version=body[:9].decode(),
        crc64=body[-8:][::-1].hex(),
        crc64nvme=f"{crc64_nvme(body):016x}",
        part_size_bytes=PART_BYTES,
        part_sha256=tuple(hashlib.sha256(part).hexdigest() for part in parts),
        checks=("length", "header", "end", *(["crc64"] if has_crc(body) else [])),
        unchecked_reason="" if has_crc(body) else "no CRC",
    )


def mark(world: World, folder: str, copy_id: str) -> str:
    """Put a mark beside a copy, as written long ago; returns its key."""
    key = f"{PLACE}{folder}/{copy_id}.json"
    world.the_vault.objects[key] = json.dumps({"copy_id": copy_id, "made_by": "rdbkeeper before"}).encode()
    world.the_vault.written_at[key] = world.clock.now() - timedelta(days=2)
    if folder == "holds":
        world.oracles.at_rest.held |= {one for one in world.oracles.at_rest.published if f"/{copy_id}." in one}
    return key


def spoil(world: World, key: str, body: bytes | None) -> None:
    """Somebody, or the store, changes data under their manifest, or removes them (None)."""
    vault = world.the_vault
    if body is None:
        vault.objects.pop(key, None)
        vault.written_at.pop(key, None)
    else:
        vault.objects[key] = body
    world.oracles.at_rest.note_people(spoiled=key)


def leave_fragment(world: World, backup_id: str, nights: float, files: dict[str, bytes], age: timedelta) -> str:
    """Data of a copy that was never published, so old; of a backup that its source lists no more. Returns its id."""
    true = world.add_backup(backup_id, nights, files)
    world.the_source.lose_backup("orders", backup_id)
    for name, body in files.items():
        key = data_key(PLACE, true.backup.copy_id, name)
        world.the_vault.objects[key] = body
        world.the_vault.written_at[key] = world.clock.now() - age
    return true.backup.copy_id


def begin_removal(world: World, copy_id: str, *, manifest_went: bool, data_went: int = 0) -> None:
    """A removal that was cut off two days ago: its plan is there, and what it came to remove is not."""
    vault, at_rest = world.the_vault, world.oracles.at_rest
    manifest = next(key for key in at_rest.published if f"/{copy_id}." in key)
    data = list(at_rest.published[manifest])

    def plan(keys: list[str]) -> list[dict[str, object]]:
        return [{"key": key, "etag": vault._etag_at(key), "size_bytes": len(vault.objects[key])} for key in keys]

    at = world.clock.now() - timedelta(days=2)
    document = {
        "format": "rdbkeeper-removal/1",
        "copy_id": copy_id,
        "reason": "it went",
        "by": "the retention of nightly",
        "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "manifests": plan([manifest]),
        "objects": plan(data),
    }
    key = f"{PLACE}removals/{copy_id}.json"
    vault.objects[key] = json.dumps(document).encode()
    vault.written_at[key] = at
    at_rest.after_create(None, key, vault.objects[key])
    if manifest_went:
        del vault.objects[manifest]
        for one in data[:data_went]:
            del vault.objects[one]
        at_rest.note_people()


def stage_leftovers(world: World) -> None:
    """What an export of a rule's earlier chain of runs staged three days ago, and was never discarded."""
    of_rule = hashlib.sha256(b"nightly").hexdigest()[:8]
    key = f"orders-{of_rule}0badcafe{'0' * 12}-0001.rdb"
    world.the_source.staged[key] = b"left"
    world.the_source.staged_at[key] = world.clock.now() - timedelta(days=3)
