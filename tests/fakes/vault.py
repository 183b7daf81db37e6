"""A bucket in memory, as strict as S3 about sums, lengths, conditions and uploads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from rdbkeeper.domain.copy import CatalogEntry, find_catalog_entry, manifests_prefix
from rdbkeeper.domain.errors import (
    ObjectExists,
    RdbkeeperError,
    StoreMismatch,
    UploadGone,
    VaultDenied,
    VaultRefused,
    VaultUnavailable,
)
from rdbkeeper.ports import Part, StoredObject, Upload
from rdbkeeper.rdb.checksum import crc64_nvme
from tests.fakes.source import BytesStream

SMALLEST_PART_BYTES = 5 << 20


@dataclass
class MemoryVault:
    """`failing` maps a method's name to errors that its next calls raise, one each; `lost` to answers that get lost."""

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)
    failing: dict[str, list[RdbkeeperError]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    without_sum: set[str] = field(default_factory=set)
    denies_aborts: bool = False
    parts_put: int = 0
    smallest_part_bytes: int = SMALLEST_PART_BYTES
    _next_upload: int = 0

    def catalog(self, path: str) -> list[CatalogEntry]:
        self._fail("catalog")
        keys = sorted(key for key in self.objects if key.startswith(manifests_prefix(path)))
        entries = (find_catalog_entry(path, key) for key in keys)
        return [entry for entry in entries if entry is not None]

    def find_object(self, key: str) -> StoredObject | None:
        self._fail("find_object")
        data = self.objects.get(key)
        if data is None:
            return None
        return StoredObject(len(data), _etag(data), None if key in self.without_sum else crc64_nvme(data))

    def read_object(self, key: str) -> bytes:
        if key not in self.objects:
            raise VaultRefused(f"Reading {key} failed: there is none.")
        return self.objects[key]

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> BytesStream:
        data = self.objects.get(key)
        if data is None or _etag(data) != etag:
            raise StoreMismatch(f"Reading {key} again failed: it is another one now.")
        return BytesStream(data[first_byte : first_byte + length_bytes])

    def create_object(self, key: str, body: bytes, content_type: str) -> None:
        self._fail("create_object")
        if key in self.objects:
            raise ObjectExists(f"Creating {key} failed: it exists.")
        self.objects[key] = bytes(body)

    def find_uploads(self, prefix: str) -> list[Upload]:
        return [Upload(key, upload_id) for upload_id, (key, _) in self.uploads.items() if key.startswith(prefix)]

    def open_upload(self, key: str) -> Upload:
        self._fail("open_upload")
        self._next_upload += 1
        upload_id = f"upload-{self._next_upload}"
        self.uploads[upload_id] = (key, {})
        return Upload(key, upload_id)

    def put_part(self, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        self._fail("put_part")
        parts = self._parts(upload)
        if crc64_nvme(body) != crc64nvme:
            raise VaultUnavailable(f"Putting part {number} of {upload.key} failed: its sum does not agree.")
        parts[number] = bytes(body)
        self.parts_put += 1
        return Part(number, _etag(parts[number]), crc64nvme)

    def complete_upload(self, upload: Upload, parts: Sequence[Part], size_bytes: int, crc64nvme: int) -> None:
        self._fail("complete_upload")
        stored = self._parts(upload)
        if upload.key in self.objects:
            raise ObjectExists(f"Completing {upload.key} failed: it exists.")
        bodies = [stored.get(part.number, b"") for part in parts]
        if [_etag(body) for body in bodies] != [part.etag for part in parts]:
            raise StoreMismatch(f"Completing {upload.key} failed: a part is not what was put.")
        if any(len(body) < self.smallest_part_bytes for body in bodies[:-1]):
            raise VaultRefused(f"Completing {upload.key} failed: a part is too small.")
        data = b"".join(bodies)
        if len(data) != size_bytes or crc64_nvme(data) != crc64nvme:
            raise StoreMismatch(f"Completing {upload.key} failed: length or sum does not agree.")
        self.objects[upload.key] = data
        del self.uploads[upload.upload_id]
        self._fail("complete_upload after its effect")

    def abort_upload(self, upload: Upload) -> None:
        if self.denies_aborts:
            raise VaultDenied(f"Giving up an upload of {upload.key} failed: AccessDenied.")
        self.uploads.pop(upload.upload_id, None)

    def remove_object(self, key: str, etag: str) -> None:
        data = self.objects.get(key)
        if data is None:
            return
        if _etag(data) != etag:
            raise StoreMismatch(f"Removing {key} failed: it is another one now.")
        del self.objects[key]
        self.without_sum.discard(key)
        self.removed.append(key)

    def _parts(self, upload: Upload) -> dict[int, bytes]:
        key, parts = self.uploads.get(upload.upload_id, ("", {}))
        if key != upload.key:
            raise UploadGone(f"The upload of {upload.key} is no longer open.")
        return parts

    def _fail(self, method: str) -> None:
        if self.failing.get(method):
            raise self.failing[method].pop(0)


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
