"""What an S3 request asks for, and S3's way of saying no."""

from __future__ import annotations

import ipaddress
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_KEY_BYTES = 1024

# The operations that each IAM action allows ("Required permissions for Amazon S3 API operations").
IAM_ACTIONS = {
    "s3:PutObject": {"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"},
    "s3:GetObject": {"GetObject", "HeadObject", "GetObjectAttributes"},
    "s3:DeleteObject": {"DeleteObject", "DeleteObjects"},
    "s3:ListBucket": {"ListObjects", "ListObjectsV2", "HeadBucket"},
    "s3:AbortMultipartUpload": {"AbortMultipartUpload"},
    "s3:ListMultipartUploadParts": {"ListParts"},
    "s3:ListBucketMultipartUploads": {"ListMultipartUploads"},
    "s3:GetBucketVersioning": {"GetBucketVersioning"},
    "s3:GetBucketObjectLockConfiguration": {"GetBucketObjectLock"},
    "s3:GetObjectLegalHold": {"GetObjectLegalHold"},
    "s3:GetObjectRetention": {"GetObjectRetention"},
    "s3:PutObjectRetention": {"PutObjectRetention"},
}


class S3Error(Exception):
    """An answer that is an error, in S3's words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message

    def response(self, request: Request) -> Response:
        """Return the error as S3 would send it; an answer to HEAD has no body."""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
            f"<Resource>{escape(request.path)}</Resource><RequestId>{uuid.uuid4().hex[:16].upper()}</RequestId></Error>"
        )
        empty = request.method == "HEAD"
        return Response("" if empty else body, status=self.status, content_type="application/xml")


@dataclass(frozen=True)
class S3Call:
    """One request, as the S3 API reference names it."""

    operation: str
    bucket: str
    key: str
    listed_prefix: str

    def is_for(self, action: str, bucket: str | None, key_prefix: str) -> bool:
        """Say whether the call is this action (`PutObject`, or IAM's `s3:PutObject`) below the prefix."""
        names = IAM_ACTIONS.get(action, set()) if action.startswith("s3:") else {action}
        below = (self.key or self.listed_prefix).startswith(key_prefix)
        return self.operation in names and bucket in (None, self.bucket) and below


def read_call(request: Request) -> S3Call:
    """Return what the request asks for; raise S3Error where it cannot be served here at all."""
    _refuse_virtual_hosts(request)
    bucket, _, key = request.path.lstrip("/").partition("/")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise S3Error(400, "KeyTooLongError", "Your key is too long")
    names = set(request.args)
    operation = _on_object(request, names) if key else _on_bucket(request, names) if bucket else "ListBuckets"
    return S3Call(operation, bucket, key, request.args.get("prefix", ""))


def _refuse_virtual_hosts(request: Request) -> None:
    host = request.host.rsplit(":", 1)[0].strip("[]")
    if host == "localhost":
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        message = f"The local cloud knows buckets by path only; this request came for the host {host}."
        raise S3Error(501, "NotImplemented", message) from None


def _on_object(request: Request, names: set[str]) -> str:
    if "uploadId" in names:
        copies = "x-amz-copy-source" in request.headers
        by_method = {
            "PUT": "UploadPartCopy" if copies else "UploadPart",
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
            "GET": "ListParts",
        }
        return by_method.get(request.method, "Unknown")
    if request.method == "POST":
        return "CreateMultipartUpload" if "uploads" in names else "Unknown"
    subresources = names & {"acl", "tagging", "retention", "legal-hold", "torrent"}
    if subresources:
        return f"{request.method.title()}Object{subresources.pop().title().replace('-', '')}"
    if request.method == "PUT" and "x-amz-copy-source" in request.headers:
        return "CopyObject"
    if request.method == "GET" and "attributes" in names:
        return "GetObjectAttributes"
    return f"{request.method.title()}Object"


def _on_bucket(request: Request, names: set[str]) -> str:
    if request.method == "POST" and "delete" in names:
        return "DeleteObjects"
    if request.method == "GET":
        if "uploads" in names:
            return "ListMultipartUploads"
        if "versions" in names:
            return "ListObjectVersions"
        if "list-type" in names:
            return "ListObjectsV2"
        if not names - {"prefix", "marker", "max-keys", "delimiter", "encoding-type"}:
            return "ListObjects"
    if request.method == "HEAD":
        return "HeadBucket"
    subresource = "".join(sorted(names - {"x-id"})).title().replace("-", "")
    return f"{request.method.title()}Bucket{subresource}"
