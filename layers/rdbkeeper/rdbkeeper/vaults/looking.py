"""What lies under a key, and its bytes.

Facts that this rests on: "HeadObject" and "GetObject" in the S3 API reference. Stores there are that ignore If-Match,
or answer to a range with the whole object; so the tag and the length of each answer are compared with what was wanted.
"""

from __future__ import annotations

import base64
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of
from rdbkeeper.aws.streams import BodyStream
from rdbkeeper.domain.errors import ObjectExists, StoreMismatch
from rdbkeeper.domain.vault import StoreSum
from rdbkeeper.ports import ByteStream, StoredObject
from rdbkeeper.vaults.bucket import Bucket
from rdbkeeper.vaults.store_errors import CHANGED_HINT, EXISTS_HINT, MISSING, READING


def find_object(bucket: Bucket, key: str) -> StoredObject | None:
    """What lies under a key, or None."""
    knows_sums = bucket.capabilities.sum is StoreSum.CRC64NVME
    with bucket.errors(f"Looking at {key}"):
        try:
            head = bucket.client().head_object(**bucket.at(key), **({"ChecksumMode": "ENABLED"} if knows_sums else {}))
        except ClientError as error:
            if code_of(error) in MISSING:
                return None
            raise
    return StoredObject(
        int(head["ContentLength"]), quoted(head["ETag"]), _full_object_sum(head) if knows_sums else None
    )


def quoted(etag: str) -> str:
    """A tag as S3 writes it: some stores leave the quotes out, in listings alone."""
    return etag if etag.endswith('"') else f'"{etag}"'


def _full_object_sum(head: dict[str, Any]) -> int | None:
    if head.get("ChecksumType") != "FULL_OBJECT" or "ChecksumCRC64NVME" not in head:
        return None
    return int.from_bytes(base64.b64decode(head["ChecksumCRC64NVME"]), "big")


def open_range(bucket: Bucket, key: str, etag: str, first_byte: int, length_bytes: int) -> ByteStream:
    """Open a range of the object of that tag; StoreMismatch when it is another, or when the answer is another range."""
    what = f"Reading {key} again"
    last_byte = first_byte + length_bytes - 1
    with bucket.errors(what, READING):
        answer = bucket.client().get_object(
            **bucket.at(key),
            Range=f"bytes={first_byte}-{last_byte}",
            **({"IfMatch": etag} if bucket.capabilities.conditional_read else {}),
        )
    problem = _problem_of(answer, etag, first_byte, length_bytes)
    if problem:
        answer["Body"].close()
        raise StoreMismatch(f"{what} failed: {problem}.", hint=CHANGED_HINT)
    return BodyStream(answer["Body"], READING, what)


def _problem_of(answer: dict[str, Any], etag: str, first_byte: int, length_bytes: int) -> str:
    if quoted(str(answer.get("ETag"))) != etag:
        return "it is another object now"
    if answer.get("ContentLength") != length_bytes:
        return f"{length_bytes:,} bytes were wanted, and the store sends {answer.get('ContentLength', 0):,}"
    told = str(answer.get("ContentRange", ""))  # some stores send the range and do not tell it
    if told and not told.startswith(f"bytes {first_byte}-{first_byte + length_bytes - 1}/"):
        return f"the store sends another range: {told[:80]!r}"
    return ""


def already_there(what: str) -> ObjectExists:
    """The error for a write that would replace something."""
    return ObjectExists(f"{what} failed: something is there already.", hint=EXISTS_HINT)
