"""A bucket in memory, as strict as S3 about sums, lengths, conditions and uploads.

Its capabilities say what it checks and tells: with less than S3's, it takes what a wrong sum or length comes with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rdbkeeper.domain.catalog import Catalog, FoundObject, begin_of_marks, read_catalog
from rdbkeeper.domain.errors import (
    ObjectExists,
    RdbkeeperError,
    StoreMismatch,
    UploadGone,
    VaultDenied,
    VaultRefused,
    VaultUnavailable,
)
from rdbkeeper.domain.sums import composite_etag
from rdbkeeper.domain.vault import Capabilities, StoreSum
from rdbkeeper.ports import Clock, Lock, Part, StoredObject, Upload
from rdbkeeper.rdb.checksum import crc64_nvme
from tests.fakes.clock import FakeClock
from tests.fakes.source import BytesStream

SMALLEST_PART_BYTES = 5 << 20


@dataclass
class MemoryVault:
    """`failing` maps a method's name to errors that its next calls raise, one each; `lost` to answers that get lost."""

    clock: Clock = field(default_factory=FakeClock)
    objects: dict[str, bytes] = field(default_factory=dict)
    written_at: dict[str, datetime] = field(default_factory=dict)
    locks: dict[str, Lock] = field(default_factory=dict)
    capabilities: Capabilities = field(default_factory=Capabilities)
    lock_days: int = 0
    opened_at: dict[str, datetime] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)
    failing: dict[str, list[RdbkeeperError]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    without_sum: set[str] = field(default_factory=set)
    denies_aborts: bool = False
    parts_put: int = 0
    smallest_part_bytes: int = SMALLEST_PART_BYTES
    _next_upload: int = 0
    _uploaded: dict[str, tuple[bytes, str]] = field(default_factory=dict)

    def catalog(self, path: str) -> Catalog:
        self._fail("catalog")
        return read_catalog(path, [found for found in self._list(path) if found.key > begin_of_marks(path)])

    def folders(self, prefix: str) -> list[str]:
        self._fail("folders")
        below = (key.removeprefix(prefix) for key in self.objects if key.startswith(prefix))
        return sorted({f"{prefix}{name.partition('/')[0]}/" for name in below if "/" in name})

    def find_objects(self, prefix: str) -> list[FoundObject]:
        self._fail("find_objects")
        return self._list(prefix)

    def _list(self, prefix: str) -> list[FoundObject]:
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        return [FoundObject(key, len(self.objects[key]), self._etag_at(key), self._written_at(key)) for key in keys]

    def _written_at(self, key: str) -> datetime:
        # What a test put there by itself was written when somebody first looks.
        return self.written_at.setdefault(key, self.clock.now())

    def find_object(self, key: str) -> StoredObject | None:
        self._fail("find_object")
        data = self.objects.get(key)
        if data is None:
            return None
        tells_sum = self.capabilities.sum is StoreSum.CRC64NVME and key not in self.without_sum
        return StoredObject(len(data), self._etag_at(key), crc64_nvme(data) if tells_sum else None)

    def read_object(self, key: str) -> bytes:
        if key not in self.objects:
            raise VaultRefused(f"Reading {key} failed: there is none.")
        return self.objects[key]

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> BytesStream:
        data = self.objects.get(key)
        if data is None or self._etag_at(key) != etag:
            raise StoreMismatch(f"Reading {key} again failed: it is another one now.")
        return BytesStream(data[first_byte : first_byte + length_bytes])

    def create_object(self, key: str, body: bytes, content_type: str) -> None:
        self._fail("create_object")
        if key in self.objects:
            raise ObjectExists(f"Creating {key} failed: it exists.")
        self.objects[key] = bytes(body)
        self.written_at[key] = self.clock.now()

    def find_uploads(self, prefix: str, opened_before: datetime | None = None) -> list[Upload]:
        if not self.capabilities.lists_uploads:
            return []
        return [
            Upload(key, upload_id)
            for upload_id, (key, _) in self.uploads.items()
            if key.startswith(prefix) and (opened_before is None or self._opened_at(upload_id) < opened_before)
        ]

    def _opened_at(self, upload_id: str) -> datetime:
        return self.opened_at.setdefault(upload_id, self.clock.now())

    def open_upload(self, key: str) -> Upload:
        self._fail("open_upload")
        self._next_upload += 1
        upload_id = f"upload-{self._next_upload}"
        self.uploads[upload_id] = (key, {})
        self.opened_at[upload_id] = self.clock.now()
        return Upload(key, upload_id)

    def put_part(self, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        self._fail("put_part")
        parts = self._parts(upload)
        if self.capabilities.sum is StoreSum.CRC64NVME and crc64_nvme(body) != crc64nvme:
            raise VaultUnavailable(f"Putting part {number} of {upload.key} failed: its sum does not agree.")
        parts[number] = bytes(body)
        self.parts_put += 1
        return Part(number, self._etag_of(parts[number]), crc64nvme)

    def complete_upload(self, upload: Upload, parts: Sequence[Part], size_bytes: int, crc64nvme: int) -> None:
        self._fail("complete_upload")
        stored = self._parts(upload)
        if upload.key in self.objects:
            raise ObjectExists(f"Completing {upload.key} failed: it exists.")
        bodies = [stored.get(part.number, b"") for part in parts]
        if [self._etag_of(body) for body in bodies] != [part.etag for part in parts]:
            raise StoreMismatch(f"Completing {upload.key} failed: a part is not what was put.")
        if any(len(body) < self.smallest_part_bytes for body in bodies[:-1]):
            raise VaultRefused(f"Completing {upload.key} failed: a part is too small.")
        data = b"".join(bodies)
        checks = self.capabilities.sum is StoreSum.CRC64NVME
        if checks and (len(data) != size_bytes or crc64_nvme(data) != crc64nvme):
            raise StoreMismatch(f"Completing {upload.key} failed: length or sum does not agree.")
        self.objects[upload.key] = data
        if self.capabilities.sum is not StoreSum.NONE:
            self._uploaded[upload.key] = (data, composite_etag([part.etag for part in parts]))
        self.written_at[upload.key] = self.clock.now()
        del self.uploads[upload.upload_id]
        self._fail("complete_upload after its effect")
        if len(data) != size_bytes:
            raise StoreMismatch(f"Completing {upload.key} made an object of another length.")

    def abort_upload(self, upload: Upload) -> None:
        if self.denies_aborts:
            raise VaultDenied(f"Giving up an upload of {upload.key} failed: AccessDenied.")
        self.uploads.pop(upload.upload_id, None)

    def remove_object(self, key: str, etag: str) -> None:
        data = self.objects.get(key)
        if data is None:
            return
        if self._etag_at(key) != etag:
            raise StoreMismatch(f"Removing {key} failed: it is another one now.")
        del self.objects[key]
        self.written_at.pop(key, None)
        self.locks.pop(key, None)
        self.without_sum.discard(key)
        self.removed.append(key)

    def find_lock(self, key: str) -> Lock | None:
        self._fail("find_lock")
        return self.locks.get(key) if self.capabilities.locks else None

    def lock_object(self, key: str, until: datetime) -> None:
        self._fail("lock_object")
        if key not in self.objects or not self.capabilities.locks:
            raise VaultRefused(f"Locking {key} failed: there is none, or its bucket has no Object Lock.")
        there = self.locks.get(key, Lock())
        if there.until is None or there.until < until:
            self.locks[key] = Lock(until, there.is_legal_hold)

    def _parts(self, upload: Upload) -> dict[int, bytes]:
        key, parts = self.uploads.get(upload.upload_id, ("", {}))
        if key != upload.key:
            raise UploadGone(f"The upload of {upload.key} is no longer open.")
        return parts

    def _etag_at(self, key: str) -> str:
        data, etag = self._uploaded.get(key, (b"", ""))
        # What a test changed by itself is another object.
        return etag if data is self.objects[key] else self._etag_of(self.objects[key])

    def _etag_of(self, data: bytes) -> str:
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        # Where a store promises no sum, its tags are none.
        return f'"opaque-{md5}"' if self.capabilities.sum is StoreSum.NONE else f'"{md5}"'

    def _fail(self, method: str) -> None:
        if self.failing.get(method):
            raise self.failing[method].pop(0)
