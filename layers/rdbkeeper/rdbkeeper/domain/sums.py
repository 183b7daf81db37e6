"""What is known of a run of bytes that has passed: enough to check the whole that it is a piece of. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sums:
    """A run of bytes: how many, their two 64-bit sums, and the first and the last of them (at most nine each)."""

    size_bytes: int = 0
    crc64: int = 0
    crc64nvme: int = 0
    head: bytes = b""
    tail: bytes = b""


def composite_etag(part_etags: Sequence[str]) -> str:
    """The tag that a store gives the object that it makes of these parts, in quotes, where a part's tag is its MD5.

    It is the MD5 of the parts' MD5s, with their number behind it: so the parts' tags prove the whole object, where the
    store checked each part's MD5. Raises ValueError when one of the tags is no MD5 ("Checking object integrity", Amazon
    S3 user guide: they are none under KMS).
    """
    sums = [bytes.fromhex(etag.strip('"')) for etag in part_etags]
    if any(len(one) != _MD5_BYTES for one in sums):
        raise ValueError("the tag of a part is no MD5")
    return f'"{hashlib.md5(b"".join(sums), usedforsecurity=False).hexdigest()}-{len(sums)}"'


_MD5_BYTES = 16
