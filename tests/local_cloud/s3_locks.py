"""Object Lock and KMS keys as S3 has them; moto keeps an object's lock, and answers and enforces it otherwise.

Sources: "Locking objects with Object Lock"; "GetObjectRetention", "GetObjectLegalHold", "PutObjectRetention" and
"PutBucketVersioning" in the S3 API reference. What is said of a key in another region is what people report.
"""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET
from typing import Any

from moto.s3.models import FakeKey, s3_backends
from werkzeug.wrappers import Request, Response

from tests.local_cloud.s3_request import NAMESPACE, S3Call, S3Error

_KEY = "x-amz-server-side-encryption-aws-kms-key-id"
_PROTECTED = S3Error(403, "AccessDenied", "Access Denied because object protected by object lock.")
_NO_LOCK = S3Error(
    404, "NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration"
)


class Locks:
    """What S3 says and refuses for the sake of locks."""

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id

    def check(self, call: S3Call, request: Request) -> None:
        """Raise S3Error where a request would undo a lock, or asks for one or for a key that cannot be had."""
        bucket = self._buckets.get(call.bucket)
        if bucket is None:
            return
        locks = bool(bucket.object_lock_enabled)
        if call.operation == "PutBucketVersioning" and locks and b"Suspended" in request.get_data(cache=True):
            message = (
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
            )
            raise S3Error(409, "InvalidBucketState", message)
        asks_for_lock = any(name.lower().startswith("x-amz-object-lock-") for name, _ in request.headers)
        if call.operation in ("PutObject", "CreateMultipartUpload") and asks_for_lock and not locks:
            raise S3Error(400, "InvalidRequest", "Bucket is missing Object Lock Configuration")
        if call.operation == "DeleteObject" and "versionId" in request.args:
            found = self._find(call, request)
            bypasses = request.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
            if found is not None and found.is_locked(bypasses):
                raise _PROTECTED
        region = (request.headers.get(_KEY) or "").split(":")[3:4]
        if region and region != [bucket.region_name]:
            raise S3Error(400, "KMS.NotFoundException", f"Invalid arn {region[0]}")

    def read_retention(self, call: S3Call, request: Request) -> Response:
        """Answer GetObjectRetention."""
        found = self._get(call, request)
        if not found.lock_mode:
            raise _NO_LOCK
        return _answer("Retention", Mode=found.lock_mode, RetainUntilDate=found.lock_until)

    def read_legal_hold(self, call: S3Call, request: Request) -> Response:
        """Answer GetObjectLegalHold."""
        found = self._get(call, request)
        if not found.lock_legal_status:
            raise _NO_LOCK
        return _answer("LegalHold", Status=found.lock_legal_status)

    def put_retention(self, call: S3Call, request: Request) -> Response:
        """Answer PutObjectRetention."""
        found = self._get(call, request)
        mode, until = _wanted(request.get_data(cache=True))
        now = dt.datetime.now(dt.UTC)
        if until <= now:
            raise S3Error(400, "InvalidArgument", "The retain until date must be in the future!")
        bypasses = request.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
        if found.lock_mode and found.lock_until:
            before = dt.datetime.fromisoformat(found.lock_until)
            is_weaker = until < before or (mode, found.lock_mode) == ("GOVERNANCE", "COMPLIANCE")
            if before > now and is_weaker and not (bypasses and found.lock_mode == "GOVERNANCE"):
                raise _PROTECTED
        found.lock_mode, found.lock_until = mode, f"{until.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        return Response(status=200)

    @property
    def _buckets(self) -> Any:
        return s3_backends[self._account_id]["aws"].buckets

    def _get(self, call: S3Call, request: Request) -> FakeKey:
        bucket = self._buckets.get(call.bucket)
        if bucket is None:
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist")
        if not bucket.object_lock_enabled:
            raise S3Error(400, "InvalidRequest", "Bucket is missing Object Lock Configuration")
        found = self._find(call, request)
        if found is None:
            raise S3Error(404, "NoSuchKey", "The specified key does not exist.")
        return found

    def _find(self, call: S3Call, request: Request) -> FakeKey | None:
        version = request.args.get("versionId")
        return s3_backends[self._account_id]["aws"].get_object(call.bucket, call.key, version_id=version)


def _wanted(body: bytes) -> tuple[str, dt.datetime]:
    malformed = S3Error(400, "MalformedXML", "The XML you provided was not well-formed or did not validate")
    try:
        root = ET.fromstring(body)  # noqa: S314 - from this machine's own tests
        texts = {element.tag.rpartition("}")[2]: element.text or "" for element in root}
        until = dt.datetime.fromisoformat(texts["RetainUntilDate"])
    except (ET.ParseError, KeyError, ValueError) as error:
        raise malformed from error
    if texts.get("Mode") not in ("GOVERNANCE", "COMPLIANCE"):
        raise malformed
    return texts["Mode"], until


def _answer(name: str, **members: str | None) -> Response:
    body = "".join(f"<{member}>{value}</{member}>" for member, value in members.items())
    return Response(f'<{name} xmlns="{NAMESPACE}">{body}</{name}>', content_type="application/xml")
