"""A vault in an S3 bucket.

Facts that this rests on: "Conditional writes" and "Checking object integrity" in the Amazon S3 user guide, and the S3
API reference as in botocore 1.44.5. If-None-Match: * answers 412 when the key exists and 409 when another write of it
is going; a multipart upload with ChecksumType FULL_OBJECT and CRC64NVME is refused at Complete unless the sum of the
whole object agrees; MpuObjectSize likewise for its length.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import Family, code_of, translated
from rdbkeeper.aws.streams import BodyStream
from rdbkeeper.domain.catalog import Catalog, FoundObject, begin_of_marks, read_catalog
from rdbkeeper.domain.errors import (
    ObjectExists,
    StoreMismatch,
    UploadGone,
    VaultDenied,
    VaultRefused,
    VaultUnavailable,
)
from rdbkeeper.domain.vault import Capabilities, VaultOptions
from rdbkeeper.ports import ByteStream, Lock, Part, StoredObject, Upload
from rdbkeeper.rdb.checksum import as_base64, crc64_nvme

_EXISTS_HINT = "Nothing in a vault is overwritten. The next run looks at what is there, and adopts or replaces it."
_SUM_HINT = "The bytes changed on their way to the store. Nothing was published; the next run sends them again."
_FAMILY = Family(
    VaultDenied,
    VaultUnavailable,
    VaultRefused,
    special={
        "PreconditionFailed": (ObjectExists, _EXISTS_HINT),
        # Another write of this key is going, perhaps our own Complete, whose answer was lost: the next attempt sees
        # what became of it. The S3 API reference wants a new upload after a refused Complete; a run that gets no
        # further gives the old one up, and the next run opens another.
        "ConditionalRequestConflict": (VaultUnavailable, "The next attempt tries again."),
        "NoSuchUpload": (UploadGone, "The upload was completed or given up by somebody else."),
        "BadDigest": (StoreMismatch, _SUM_HINT),
        "InvalidPart": (StoreMismatch, _SUM_HINT),
    },
)
# The part is still at hand, so it is put again.
_PUTTING = replace(
    _FAMILY,
    special={
        **_FAMILY.special,
        "BadDigest": (
            VaultUnavailable,
            "The part was changed on its way to the store; the next attempt sends it again.",
        ),
    },
)
_CHANGED_HINT = "Something else writes to this place. The next run looks at what is there."
_READING = replace(
    _FAMILY,
    special={
        "PreconditionFailed": (StoreMismatch, _CHANGED_HINT),
        "NoSuchKey": (StoreMismatch, _CHANGED_HINT),
    },
)
# An object that was never locked, or a bucket that cannot lock ("GetObjectRetention" in the API reference).
_UNLOCKED = frozenset({"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError"})
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Vault:
    """The vault over an S3 client."""

    def __init__(
        self,
        client: Callable[[], Any],
        bucket: str,
        capabilities: Capabilities | None = None,
        options: VaultOptions | None = None,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._capabilities = capabilities or Capabilities()
        self._options = options or VaultOptions()

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def lock_days(self) -> int:
        return self._options.lock_days

    def catalog(self, path: str) -> Catalog:
        with translated(_FAMILY, f"Listing the copies below {path}"):
            return read_catalog(path, self._list(Prefix=path, StartAfter=begin_of_marks(path)))

    def folders(self, prefix: str) -> list[str]:
        with translated(_FAMILY, f"Listing what lies below {prefix or 'the root of the bucket'}"):
            pages = self._pages(Prefix=prefix, Delimiter="/")
            return [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", ())]

    def find_objects(self, prefix: str) -> list[FoundObject]:
        with translated(_FAMILY, f"Listing the objects below {prefix}"):
            return list(self._list(Prefix=prefix))

    def _list(self, **wanted: Any) -> Iterator[FoundObject]:
        for page in self._pages(**wanted):
            for found in page.get("Contents", ()):
                yield FoundObject(found["Key"], int(found["Size"]), found["ETag"], found["LastModified"])

    def _pages(self, **wanted: Any) -> Any:
        return self._client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, **wanted)

    def find_object(self, key: str) -> StoredObject | None:
        with translated(_FAMILY, f"Looking at {key}"):
            try:
                head = self._client().head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                raise
        return StoredObject(int(head["ContentLength"]), head["ETag"], _full_object_sum(head))

    def read_object(self, key: str) -> bytes:
        with translated(_FAMILY, f"Reading {key}"):
            return bytes(self._client().get_object(Bucket=self._bucket, Key=key)["Body"].read())

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> ByteStream:
        what = f"Reading {key} again"
        with translated(_READING, what):
            answer = self._client().get_object(
                Bucket=self._bucket,
                Key=key,
                Range=f"bytes={first_byte}-{first_byte + length_bytes - 1}",
                IfMatch=etag,
            )
        return BodyStream(answer["Body"], _READING, what)

    def create_object(self, key: str, body: bytes, content_type: str) -> None:
        with translated(_FAMILY, f"Creating {key}"):
            self._client().put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                IfNoneMatch="*",
                ChecksumCRC64NVME=as_base64(crc64_nvme(body)),
            )

    def find_uploads(self, prefix: str, opened_before: datetime | None = None) -> list[Upload]:
        if not self._capabilities.lists_uploads:
            return []
        with translated(_FAMILY, f"Looking for open uploads below {prefix}"):
            pages = self._client().get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=prefix)
            found = [upload for page in pages for upload in page.get("Uploads", ())]
        return [
            Upload(upload["Key"], upload["UploadId"])
            for upload in found
            if opened_before is None or upload["Initiated"] < opened_before
        ]

    def open_upload(self, key: str) -> Upload:
        with translated(_FAMILY, f"Opening an upload of {key}"):
            answer = self._client().create_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                ContentType="application/octet-stream",
                ChecksumAlgorithm="CRC64NVME",
                ChecksumType="FULL_OBJECT",
            )
        return Upload(key, answer["UploadId"])

    def put_part(self, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        with translated(_PUTTING, f"Putting part {number} of {upload.key}"):
            answer = self._client().upload_part(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                Body=_SeekableView(body),
                ContentLength=len(body),
                ChecksumCRC64NVME=as_base64(crc64nvme),
            )
        return Part(number, answer["ETag"], crc64nvme)

    def complete_upload(self, upload: Upload, parts: Sequence[Part], size_bytes: int, crc64nvme: int) -> None:
        listed = [
            {"PartNumber": part.number, "ETag": part.etag, "ChecksumCRC64NVME": as_base64(part.crc64nvme)}
            for part in parts
        ]
        with translated(_FAMILY, f"Completing {upload.key}"):
            self._client().complete_multipart_upload(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": listed},
                MpuObjectSize=size_bytes,
                ChecksumCRC64NVME=as_base64(crc64nvme),
                ChecksumType="FULL_OBJECT",
                IfNoneMatch="*",
            )

    def abort_upload(self, upload: Upload) -> None:
        with translated(_FAMILY, f"Giving up an upload of {upload.key}"):
            try:
                self._client().abort_multipart_upload(Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":
                    raise

    def remove_object(self, key: str, etag: str) -> None:
        with translated(_READING, f"Removing {key}"):
            try:
                self._client().delete_object(Bucket=self._bucket, Key=key, IfMatch=etag)
            except ClientError as error:
                # A removal whose answer was lost is repeated by the SDK, and then there is nothing left to match.
                if code_of(error) not in _MISSING and self.find_object(key) is not None:
                    raise

    def find_lock(self, key: str) -> Lock | None:
        if not self._capabilities.locks:
            return None
        with translated(_FAMILY, f"Reading the lock of {key}"):
            return _read_lock(self._ask_lock("get_object_retention", key), self._ask_lock("get_object_legal_hold", key))

    def _ask_lock(self, operation: str, key: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client(), operation)(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code_of(error) in _UNLOCKED:
                return {}
            raise
        return answer

    def lock_object(self, key: str, until: datetime) -> None:
        there = self.find_lock(key)
        if there is not None and there.until is not None and there.until >= until:
            return
        with translated(_FAMILY, f"Locking {key}"):
            self._client().put_object_retention(
                Bucket=self._bucket,
                Key=key,
                Retention={"Mode": self._options.lock_mode.value, "RetainUntilDate": until},
            )


_PIECE_BYTES = 1 << 20


class _SeekableView:
    """A part as a body that botocore can send, and send again, without copying it.

    `read` hands out a megabyte where less is asked for: its only reader is http.client, which asks for 16 KiB at a
    time and sends whatever it gets.
    """

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0

    def __len__(self) -> int:
        return len(self._view)

    def read(self, size: int | None = -1) -> memoryview:
        end = len(self._view) if size is None or size < 0 else self._position + max(size, _PIECE_BYTES)
        piece = self._view[self._position : end]
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, len(self._view))[whence]
        return self._position

    def tell(self) -> int:
        return self._position


def _full_object_sum(head: dict[str, Any]) -> int | None:
    if head.get("ChecksumType") != "FULL_OBJECT" or "ChecksumCRC64NVME" not in head:
        return None
    return int.from_bytes(base64.b64decode(head["ChecksumCRC64NVME"]), "big")


def _read_lock(retention: dict[str, Any], legal_hold: dict[str, Any]) -> Lock | None:
    until = retention.get("Retention", {}).get("RetainUntilDate")
    is_held = legal_hold.get("LegalHold", {}).get("Status") == "ON"
    return Lock(until, is_held) if until or is_held else None
