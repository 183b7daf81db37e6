"""What S3 answers, row by row: a call, what was done before it, Amazon's answer, and the document that says so.

`S` in the sources stands for the Amazon S3 API reference, `U` for its user guide. s3_deviations.py lists the servers
that are known to answer otherwise, and how; test_s3_semantics.py asks each of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.domain.sums import composite_etag
from rdbkeeper.rdb.checksum import as_base64, crc64_nvme

BODY, OTHER = b"the body", b"another body"
PART = bytes(5 << 20)
NO_ETAG = '"00000000000000000000000000000000"'
SUMS = {"ChecksumMode": "ENABLED"}
TYPE = {"ChecksumType": "FULL_OBJECT"}
FULL = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}


def md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def nvme(body: bytes) -> dict[str, str]:
    return {"ChecksumCRC64NVME": as_base64(crc64_nvme(body))}


class Bench:
    """A bucket of its own for each row, and what rows do in it. Every answer is one word or number."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.client = client
        self.bucket = bucket
        self.opened = ""
        self.upload_id = ""
        self.listed: list[dict[str, Any]] = []

    def at(self, key: str = "k") -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": key}

    def ask(self, operation: str, **asked: Any) -> Any:
        """The code of the answer where it is an error, and the answer where it is none."""
        try:
            return getattr(self.client, operation)(**asked)
        except ClientError as error:
            return error.response["Error"]["Code"]

    def put(self, key: str = "k", body: bytes = BODY, **more: Any) -> Any:
        return said(self.ask("put_object", **self.at(key), Body=body, **more))

    def head(self, key: str = "k", **more: Any) -> Any:
        return self.ask("head_object", **self.at(key), **more)

    def get(self, key: str = "k", **more: Any) -> Any:
        answer = self.ask("get_object", **self.at(key), **more)
        return answer if isinstance(answer, str) else answer["Body"].read()

    def delete(self, key: str = "k", **more: Any) -> Any:
        return said(self.ask("delete_object", **self.at(key), **more))

    def keys(self, **more: Any) -> Any:
        answer = self.ask("list_objects_v2", Bucket=self.bucket, **more)
        return answer if isinstance(answer, str) else [found["Key"] for found in answer.get("Contents", ())]

    def begin(self, key: str = "k", **more: Any) -> Bench:
        answer = self.ask("create_multipart_upload", **self.at(key), **more)
        self.opened = said(answer)
        self.upload_id = answer if isinstance(answer, str) else answer["UploadId"]
        self.listed = []
        return self

    def part(self, number: int = 1, body: bytes = BODY, key: str = "k", **more: Any) -> Any:
        names = {**self.at(key), "UploadId": self.upload_id, "PartNumber": number}
        answer = self.ask("upload_part", **names, Body=body, **more)
        if isinstance(answer, str):
            return answer
        self.listed = [one for one in self.listed if one["PartNumber"] != number]
        self.listed.append({"PartNumber": number, "ETag": answer["ETag"]})
        return "ok"

    def complete(self, key: str = "k", listed: list[dict[str, Any]] | None = None, **more: Any) -> Any:
        parts = {"Parts": self.listed if listed is None else listed}
        names = {**self.at(key), "UploadId": self.upload_id}
        return said(self.ask("complete_multipart_upload", **names, MultipartUpload=parts, **more))

    def abort(self, key: str = "k") -> Any:
        return said(self.ask("abort_multipart_upload", **self.at(key), UploadId=self.upload_id))

    def uploads(self, prefix: str = "") -> Any:
        answer = self.ask("list_multipart_uploads", Bucket=self.bucket, Prefix=prefix)
        return answer if isinstance(answer, str) else [found["Key"] for found in answer.get("Uploads", ())]

    def told(self, name: str, **more: Any) -> Any:
        """What a HEAD says of the object under a name of the answer's."""
        answer = self.head(**more)
        return answer if isinstance(answer, str) else answer.get(name)

    def range(self, name: str) -> Any:
        """What the answer to a range says under a name."""
        answer = self.ask("get_object", **self.at(), Range="bytes=2-4")
        return answer["ResponseMetadata"]["HTTPStatusCode"] if name == "status" else answer.get(name)

    def page(self, **more: Any) -> Any:
        return self.ask("list_objects_v2", Bucket=self.bucket, **more)

    def lock_configuration(self) -> Any:
        answer = self.ask("get_object_lock_configuration", Bucket=self.bucket)
        return answer if isinstance(answer, str) else answer["ObjectLockConfiguration"].get("ObjectLockEnabled")


def said(answer: Any) -> Any:
    return answer if isinstance(answer, str) else "ok"


@dataclass(frozen=True)
class Row:
    """`call` is asked after `before`; `amazon` is Amazon's answer, as `source` has it."""

    name: str
    source: str
    call: Callable[[Bench], Any]
    amazon: Any
    before: Callable[[Bench], Any] = lambda bench: None
    locks: bool = False


def _two_parts(bench: Bench) -> None:
    bench.begin(**FULL)
    bench.part(1, PART, **nvme(PART))
    bench.part(2, BODY, **nvme(BODY))


def _plain_part(bench: Bench) -> None:
    bench.begin()
    bench.part()


def _completed(bench: Bench) -> None:
    _plain_part(bench)
    bench.complete()


def _aborted(bench: Bench) -> None:
    _plain_part(bench)
    bench.abort()


def _put(bench: Bench) -> None:
    bench.put()


def _put_some(bench: Bench) -> None:
    for key in ("a/1", "a/2", "a/b/3", "c"):
        bench.put(key)


def _locked(bench: Bench) -> None:
    bench.put(ContentMD5=md5(BODY))
    _retain(bench, 2)


def _retain(bench: Bench, days: int, **more: Any) -> Any:
    until = (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    return said(bench.ask("put_object_retention", **bench.at(), Retention=retention, **more))


def _in_two_steps(*steps: Callable[[Bench], Any]) -> Callable[[Bench], Any]:
    """The answers of several steps, one after the other."""
    return lambda bench: [step(bench) for step in steps]


def _version(bench: Bench) -> str:
    return str(bench.told("VersionId"))


WHOLE = nvme(PART + BODY)
ROWS = (
    # -- writing and reading one object
    Row("a write is read at once", "U: Amazon S3 data consistency model", lambda b: b.get(), BODY, _put),
    Row("a write is listed at once", "U: Amazon S3 data consistency model", lambda b: b.keys(), ["k"], _put),
    Row("the tag is the MD5", "S: Object (ETag)", lambda b: b.told("ETag"), etag(BODY), _put),
    Row("the length is told", "S: HeadObject", lambda b: b.told("ContentLength"), len(BODY), _put),
    Row(
        "an empty object is one",
        "S: PutObject",
        _in_two_steps(lambda b: b.put(body=b""), lambda b: b.get()),
        ["ok", b""],
    ),
    Row("a missing object", "S: GetObject (NoSuchKey)", lambda b: b.get(), "NoSuchKey"),
    Row("a missing object's head has no code", "S: HeadObject (404)", lambda b: b.head(), "404"),
    Row(
        "a missing bucket",
        "S: Error responses (NoSuchBucket)",
        lambda b: Bench(b.client, "no-such").keys(),
        "NoSuchBucket",
    ),
    Row("a missing bucket's head", "S: HeadBucket (404)", lambda b: b.ask("head_bucket", Bucket="no-such"), "404"),
    Row("a write into a missing bucket", "S: PutObject", lambda b: Bench(b.client, "no-such").put(), "NoSuchBucket"),
    Row("a second write replaces", "S: PutObject", lambda b: (b.put(body=OTHER), b.get())[1], OTHER, _put),
    Row(
        "a key with blanks and umlauts",
        "U: Naming Amazon S3 objects",
        lambda b: (b.put("ä b+c%/d"), b.keys())[1],
        ["ä b+c%/d"],
    ),
    Row("a key of 1,024 bytes", "U: Naming Amazon S3 objects", lambda b: b.put("a/" * 500 + "k" * 24), "ok"),
    Row(
        "a key of 1,025 bytes",
        "S: Error responses (KeyTooLongError)",
        lambda b: b.put("a/" * 500 + "k" * 25),
        "KeyTooLongError",
    ),
    Row(
        "the storage class is told",
        "S: PutObject",
        lambda b: (b.put(StorageClass="STANDARD_IA"), b.told("StorageClass"))[1],
        "STANDARD_IA",
    ),
    Row(
        "an unknown storage class",
        "S: Error responses (InvalidStorageClass)",
        lambda b: b.put(StorageClass="STANDARD_X"),
        "InvalidStorageClass",
    ),
    Row(
        "the content type is kept",
        "S: PutObject",
        lambda b: (b.put(ContentType="text/x"), b.told("ContentType"))[1],
        "text/x",
    ),
    # -- sums
    Row("a wrong Content-MD5", "S: PutObject (BadDigest)", lambda b: b.put(ContentMD5=md5(OTHER)), "BadDigest"),
    Row(
        "a Content-MD5 that is none",
        "S: Error responses (InvalidDigest)",
        lambda b: b.put(ContentMD5="bm9uZQ=="),
        "InvalidDigest",
    ),
    Row("a wrong CRC64NVME", "U: Checking object integrity", lambda b: b.put(**nvme(OTHER)), "BadDigest"),
    Row(
        "after a wrong sum nothing is there",
        "U: Checking object integrity",
        lambda b: (b.put(**nvme(OTHER)), b.keys())[1],
        [],
    ),
    Row(
        "a right CRC64NVME is told",
        "S: HeadObject",
        lambda b: (b.put(**nvme(BODY)), b.told("ChecksumCRC64NVME", **SUMS))[1],
        nvme(BODY)["ChecksumCRC64NVME"],
    ),
    Row(
        "a sum is told only when asked",
        "S: HeadObject (ChecksumMode)",
        lambda b: (b.put(**nvme(BODY)), b.told("ChecksumCRC64NVME"))[1],
        None,
    ),
    Row(
        "without a sum S3 makes CRC64NVME",
        "U: Checking object integrity",
        lambda b: b.told("ChecksumCRC64NVME", **SUMS),
        nvme(BODY)["ChecksumCRC64NVME"],
        _put,
    ),
    Row(
        "the sum of an object is of the whole",
        "U: Checking object integrity",
        lambda b: b.told("ChecksumType", **SUMS),
        "FULL_OBJECT",
        _put,
    ),
    # -- conditions
    Row("create what is absent", "U: Conditional writes", lambda b: b.put(IfNoneMatch="*"), "ok"),
    Row(
        "create what is there",
        "U: Conditional writes",
        lambda b: b.put(body=OTHER, IfNoneMatch="*"),
        "PreconditionFailed",
        _put,
    ),
    Row(
        "a refused create changes nothing",
        "U: Conditional writes",
        lambda b: (b.put(body=OTHER, IfNoneMatch="*"), b.get())[1],
        BODY,
        _put,
    ),
    Row(
        "create again after a removal",
        "U: Conditional writes",
        lambda b: (b.delete(), b.put(IfNoneMatch="*"))[1],
        "ok",
        _put,
    ),
    Row(
        "replace what is the same", "U: Conditional writes", lambda b: b.put(body=OTHER, IfMatch=etag(BODY)), "ok", _put
    ),
    Row(
        "replace what is another",
        "U: Conditional writes",
        lambda b: b.put(body=OTHER, IfMatch=NO_ETAG),
        "PreconditionFailed",
        _put,
    ),
    Row("replace what is absent", "U: Conditional writes", lambda b: b.put(IfMatch=NO_ETAG), "NoSuchKey"),
    Row(
        "create unless of a tag",
        "S: PutObject (If-None-Match: * only)",
        lambda b: b.put(IfNoneMatch=NO_ETAG),
        "NotImplemented",
    ),
    Row("read what is the same", "S: GetObject (If-Match)", lambda b: b.get(IfMatch=etag(BODY)), BODY, _put),
    Row(
        "read what is another", "S: GetObject (If-Match)", lambda b: b.get(IfMatch=NO_ETAG), "PreconditionFailed", _put
    ),
    Row("look at what is another", "S: HeadObject (If-Match)", lambda b: said(b.head(IfMatch=NO_ETAG)), "412", _put),
    Row(
        "remove what is the same",
        "U: Conditional deletes",
        lambda b: (b.delete(IfMatch=etag(BODY)), b.keys())[1],
        [],
        _put,
    ),
    Row(
        "remove what is another",
        "U: Conditional deletes",
        lambda b: b.delete(IfMatch=NO_ETAG),
        "PreconditionFailed",
        _put,
    ),
    Row(
        "a refused removal removes nothing",
        "U: Conditional deletes",
        lambda b: (b.delete(IfMatch=NO_ETAG), b.keys())[1],
        ["k"],
        _put,
    ),
    Row("remove what is absent", "S: DeleteObject", lambda b: b.delete(), "ok"),
    Row("remove by tag what is absent", "U: Conditional deletes", lambda b: b.delete(IfMatch=NO_ETAG), "NoSuchKey"),
    # -- ranges
    Row("a range", "S: GetObject (Range)", lambda b: b.get(Range="bytes=2-4"), BODY[2:5], _put),
    Row("a range answers 206", "S: GetObject (Range)", lambda b: b.range("status"), 206, _put),
    Row(
        "a range says which it is",
        "S: GetObject (Content-Range)",
        lambda b: b.range("ContentRange"),
        f"bytes 2-4/{len(BODY)}",
        _put,
    ),
    Row(
        "a range that goes beyond the end is cut",
        "S: GetObject (Range)",
        lambda b: b.get(Range="bytes=6-99"),
        BODY[6:],
        _put,
    ),
    Row(
        "a range behind the end",
        "S: Error responses (InvalidRange)",
        lambda b: b.get(Range="bytes=99-"),
        "InvalidRange",
        _put,
    ),
    Row(
        "a range of what is another",
        "S: GetObject (If-Match)",
        lambda b: b.get(Range="bytes=0-1", IfMatch=NO_ETAG),
        "PreconditionFailed",
        _put,
    ),
    # -- listings
    Row(
        "a listing is in the order of bytes",
        "S: ListObjectsV2",
        lambda b: b.keys(),
        ["a/1", "a/2", "a/b/3", "c"],
        _put_some,
    ),
    Row("a listing below a prefix", "S: ListObjectsV2 (Prefix)", lambda b: b.keys(Prefix="a/b"), ["a/b/3"], _put_some),
    Row(
        "a listing after a key",
        "S: ListObjectsV2 (StartAfter)",
        lambda b: b.keys(Prefix="a/", StartAfter="a/:"),
        ["a/b/3"],
        _put_some,
    ),
    Row("a listing in pages", "S: ListObjectsV2 (MaxKeys)", lambda b: b.keys(MaxKeys=2), ["a/1", "a/2"], _put_some),
    Row(
        "a page says that there are more",
        "S: ListObjectsV2 (IsTruncated)",
        lambda b: b.page(MaxKeys=2)["IsTruncated"],
        True,
        _put_some,
    ),
    Row(
        "a listing of folders",
        "S: ListObjectsV2 (Delimiter)",
        lambda b: [one["Prefix"] for one in b.page(Delimiter="/")["CommonPrefixes"]],
        ["a/"],
        _put_some,
    ),
    Row("a listed tag has quotes", "S: Object (ETag)", lambda b: b.page()["Contents"][0]["ETag"], etag(BODY), _put),
    # -- uploads
    Row(
        "an upload shows no object",
        "U: Uploading and copying objects using multipart upload",
        lambda b: b.keys(),
        [],
        _plain_part,
    ),
    Row("an open upload is listed", "S: ListMultipartUploads", lambda b: b.uploads(), ["k"], _plain_part),
    Row("without uploads none is listed", "S: ListMultipartUploads", lambda b: b.uploads(), []),
    Row(
        "uploads are listed below a prefix",
        "S: ListMultipartUploads (Prefix)",
        lambda b: (b.begin("a/x"), b.uploads("a/"))[1],
        ["a/x"],
        _plain_part,
    ),
    Row(
        "parts become an object", "S: CompleteMultipartUpload", lambda b: (b.complete(), b.get())[1], BODY, _plain_part
    ),
    Row(
        "the tag of parts is the MD5 of their MD5s",
        "U: Checking object integrity",
        lambda b: b.told("ETag"),
        composite_etag([etag(BODY)]),
        _completed,
    ),
    Row("a completed upload is no longer listed", "S: CompleteMultipartUpload", lambda b: b.uploads(), [], _completed),
    Row(
        "a part put again replaces the first",
        "S: UploadPart",
        lambda b: (b.part(1, OTHER), b.complete(), b.get())[2],
        OTHER,
        _plain_part,
    ),
    Row(
        "a wrong Content-MD5 of a part",
        "S: UploadPart (BadDigest)",
        lambda b: b.part(ContentMD5=md5(OTHER)),
        "BadDigest",
        lambda b: b.begin(),
    ),
    Row(
        "a wrong CRC64NVME of a part",
        "U: Checking object integrity",
        lambda b: b.part(**nvme(OTHER)),
        "BadDigest",
        lambda b: b.begin(**FULL),
    ),
    Row(
        "the sum of the whole object",
        "U: Checking object integrity",
        lambda b: (b.complete(**WHOLE, **TYPE), b.told("ChecksumCRC64NVME", **SUMS))[1],
        WHOLE["ChecksumCRC64NVME"],
        _two_parts,
    ),
    Row(
        "a wrong sum of the whole object",
        "U: Checking object integrity",
        lambda b: b.complete(**nvme(OTHER), **TYPE),
        "BadDigest",
        _two_parts,
    ),
    Row(
        "a wrong length of the whole object",
        "S: CompleteMultipartUpload (MpuObjectSize)",
        lambda b: b.complete(MpuObjectSize=7),
        "InvalidRequest",
        _two_parts,
    ),
    Row(
        "after a refused Complete nothing is there",
        "S: CompleteMultipartUpload",
        lambda b: (b.complete(**nvme(OTHER), **TYPE), b.keys())[1],
        [],
        _two_parts,
    ),
    Row("complete what is absent", "U: Conditional writes", lambda b: b.complete(IfNoneMatch="*"), "ok", _plain_part),
    Row(
        "complete what is there",
        "U: Conditional writes",
        lambda b: (b.put(body=OTHER), b.complete(IfNoneMatch="*"))[1],
        "PreconditionFailed",
        _plain_part,
    ),
    Row(
        "a refused Complete overwrites nothing",
        "U: Conditional writes",
        lambda b: (b.put(body=OTHER), b.complete(IfNoneMatch="*"), b.get())[2],
        OTHER,
        _plain_part,
    ),
    Row(
        "a Complete of a part that was not put",
        "S: CompleteMultipartUpload (InvalidPart)",
        lambda b: b.complete(listed=[{"PartNumber": 1, "ETag": NO_ETAG}]),
        "InvalidPart",
        _plain_part,
    ),
    Row(
        "a Complete out of order",
        "S: CompleteMultipartUpload (InvalidPartOrder)",
        lambda b: b.complete(listed=b.listed[::-1]),
        "InvalidPartOrder",
        _two_parts,
    ),
    Row(
        "a small part before the last",
        "S: CompleteMultipartUpload (EntityTooSmall)",
        lambda b: (b.part(2), b.complete())[1],
        "EntityTooSmall",
        _plain_part,
    ),
    Row("part number 0", "S: UploadPart (partNumber)", lambda b: b.part(0), "InvalidArgument", lambda b: b.begin()),
    Row(
        "part number 10,001",
        "S: UploadPart (partNumber)",
        lambda b: b.part(10_001),
        "InvalidArgument",
        lambda b: b.begin(),
    ),
    Row("an aborted upload is no longer listed", "S: AbortMultipartUpload", lambda b: b.uploads(), [], _aborted),
    Row("a part of an aborted upload", "S: UploadPart (NoSuchUpload)", lambda b: b.part(2), "NoSuchUpload", _aborted),
    Row(
        "a Complete of an aborted upload",
        "S: CompleteMultipartUpload (NoSuchUpload)",
        lambda b: b.complete(),
        "NoSuchUpload",
        _aborted,
    ),
    Row(
        "an abort of an aborted upload",
        "S: AbortMultipartUpload (NoSuchUpload)",
        lambda b: b.abort(),
        "NoSuchUpload",
        _aborted,
    ),
    Row(
        "a part of another key's upload",
        "S: UploadPart (NoSuchUpload)",
        lambda b: b.part(key="another"),
        "NoSuchUpload",
        _plain_part,
    ),
    Row(
        "a Complete that is repeated succeeds again",
        "S: CompleteMultipartUpload",
        lambda b: b.complete(),
        "ok",
        _completed,
    ),
    Row(
        "a sum of the whole of a kind that has none",
        "U: Checking object integrity",
        lambda b: b.begin(ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT").opened,
        "InvalidRequest",
    ),
    # -- versions and locks
    Row(
        "a bucket with Object Lock keeps versions",
        "U: Locking objects with Object Lock",
        lambda b: b.ask("get_bucket_versioning", Bucket=b.bucket).get("Status"),
        "Enabled",
        locks=True,
    ),
    Row(
        "a bucket says that it can lock",
        "S: GetObjectLockConfiguration",
        lambda b: b.lock_configuration(),
        "Enabled",
        locks=True,
    ),
    Row(
        "a bucket that cannot lock says so",
        "S: GetObjectLockConfiguration",
        lambda b: b.lock_configuration(),
        "ObjectLockConfigurationNotFoundError",
    ),
    Row(
        "a lock in a bucket that cannot lock",
        "S: PutObjectRetention (InvalidRequest)",
        lambda b: _retain(b, 2),
        "InvalidRequest",
        _put,
    ),
    Row(
        "an object that was never locked",
        "S: GetObjectRetention",
        lambda b: said(b.ask("get_object_retention", **b.at())),
        "NoSuchObjectLockConfiguration",
        _put,
        locks=True,
    ),
    Row(
        "a lock is lengthened",
        "U: Locking objects with Object Lock",
        lambda b: _retain(b, 3),
        "ok",
        _locked,
        locks=True,
    ),
    Row(
        "a lock is not shortened",
        "U: Locking objects with Object Lock",
        lambda b: _retain(b, 1),
        "AccessDenied",
        _locked,
        locks=True,
    ),
    Row(
        "a plain delete hides a locked object",
        "U: Locking objects with Object Lock",
        lambda b: (b.delete(), b.head())[1],
        "404",
        _locked,
        locks=True,
    ),
    Row(
        "a locked version is not deleted",
        "U: Locking objects with Object Lock",
        lambda b: b.delete(VersionId=_version(b)),
        "AccessDenied",
        _locked,
        locks=True,
    ),
)
