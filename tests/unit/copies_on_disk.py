"""Copies in a folder, as `aws s3 cp --recursive` brings them from a bucket."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from rdbkeeper.domain.backup import EngineFacts
from rdbkeeper.domain.catalog import manifest_key
from rdbkeeper.domain.copy import CopiedFile, Manifest, data_key
from rdbkeeper.rdb.checksum import as_hex, crc64_nvme

PLACE = "redis/orders/"
COPY_ID = "20261120T021500Z-automatic.orders"
PART_BYTES = 4096


def a_manifest(
    files: dict[str, bytes], *, copy_id: str = COPY_ID, part_bytes: int = PART_BYTES, unchecked_reason: str = ""
) -> Manifest:
    """The manifest of a copy of these files, by name."""
    taken_at = datetime(2026, 11, 20, 2, 15, tzinfo=UTC)
    return Manifest(
        copy_id=copy_id,
        rule="orders-nightly",
        provider="elasticache",
        instance="orders",
        backup_id=copy_id.partition("-")[2],
        automatic=True,
        taken_at=taken_at,
        copied_at=taken_at,
        engine=EngineFacts.from_record({}),
        files=tuple(_file(copy_id, name, body, part_bytes, unchecked_reason) for name, body in files.items()),
        made_by="rdbkeeper test",
    )


def _file(copy_id: str, name: str, body: bytes, part_bytes: int, unchecked_reason: str) -> CopiedFile:
    parts = [body[at : at + part_bytes] for at in range(0, max(1, len(body)), part_bytes)]
    return CopiedFile(
        name=name,
        key=data_key(PLACE, copy_id, name),
        slots="0-16383",
        size_bytes=len(body),
        rdb_version=body[:9].decode("ascii", "replace"),
        crc64=as_hex(int.from_bytes(body[-8:], "little")),
        crc64nvme=as_hex(crc64_nvme(body)),
        part_size_bytes=part_bytes,
        part_sha256=tuple(hashlib.sha256(part).hexdigest() for part in parts),
        checks=("length", "header", "end", "crc64", "store crc64nvme"),
        unchecked_reason=unchecked_reason,
    )


def put_copy(folder: Path, files: dict[str, bytes], manifest: Manifest) -> Path:
    """Write a copy below `folder`, which stands for its place; returns the path of its manifest."""
    data = folder / manifest.copy_id
    data.mkdir(parents=True)
    for name, body in files.items():
        (data / f"{name}.rdb").write_bytes(body)
    path = folder / manifest_key("", manifest.copy_id, manifest.level)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(manifest.to_json())
    return path
