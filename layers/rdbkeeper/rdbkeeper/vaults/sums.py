"""The sum that goes with each body, of the kind that its store checks; and what the store says of it afterwards.

Sources: "Checking object integrity" in the Amazon S3 user guide; "PutObject" and "UploadPart" in its API reference: a
body that does not agree with Content-MD5 is refused, and without KMS a part's tag is its MD5. A store that does not
know a checksum header may refuse the request for it, or sign it wrongly, so none is sent that it does not check.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from rdbkeeper.domain.errors import VaultUnavailable
from rdbkeeper.domain.sums import composite_etag
from rdbkeeper.domain.vault import StoreSum
from rdbkeeper.ports import Part
from rdbkeeper.rdb.checksum import as_base64


class BodySum:
    """What is sent with one body, a part's or a small object's, so that its store checks it."""

    def __init__(self, kind: StoreSum, body: bytes | memoryview, crc64nvme: int) -> None:
        self._md5 = hashlib.md5(body, usedforsecurity=False) if kind is StoreSum.PART_MD5 else None
        self._crc64nvme = crc64nvme if kind is StoreSum.CRC64NVME else None

    def headers(self) -> dict[str, Any]:
        """The parameters of a PutObject or UploadPart."""
        if self._md5 is not None:
            return {"ContentMD5": base64.b64encode(self._md5.digest()).decode()}
        return {} if self._crc64nvme is None else {"ChecksumCRC64NVME": as_base64(self._crc64nvme)}

    def check(self, etag: str, what: str) -> None:
        """Raise VaultUnavailable, for it is sent again, when the store answers with another MD5."""
        if self._md5 is not None and etag.strip('"') != self._md5.hexdigest():
            raise VaultUnavailable(
                f"{what} failed: the store answered with another MD5 than that of the bytes.",
                hint="The next attempt sends them again. If it repeats, probe the vault.",
            )


def opening(kind: StoreSum) -> dict[str, Any]:
    """The parameters of a CreateMultipartUpload."""
    return {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"} if kind is StoreSum.CRC64NVME else {}


def completing(kind: StoreSum, parts: Sequence[Part], size_bytes: int, crc64nvme: int) -> dict[str, Any]:
    """The parameters of a CompleteMultipartUpload."""
    listed: list[dict[str, Any]] = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
    if kind is not StoreSum.CRC64NVME:
        return {"MultipartUpload": {"Parts": listed}}
    for entry, part in zip(listed, parts, strict=True):
        entry["ChecksumCRC64NVME"] = as_base64(part.crc64nvme)
    return {
        "MultipartUpload": {"Parts": listed},
        "MpuObjectSize": size_bytes,
        "ChecksumCRC64NVME": as_base64(crc64nvme),
        "ChecksumType": "FULL_OBJECT",
    }


def expected_etag(kind: StoreSum, parts: Sequence[Part]) -> str | None:
    """The tag that the object of these parts must get; None where its store promises none."""
    if kind is not StoreSum.PART_MD5:
        return None
    try:
        return composite_etag([part.etag for part in parts])
    except ValueError:
        return None
