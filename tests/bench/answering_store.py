"""Some objects of a bucket, answered as Amazon S3 would: what a run asks for that removes a copy.

Sources: "HeadObject", "GetObject", "PutObject" and "DeleteObject" in the S3 API reference; "Conditional deletes" in the
user guide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest

_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>As asked.</Message></Error>'


@dataclass(frozen=True)
class Reply:
    """An answer of HTTP."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lying:
    """An object that lies there. Its body is b"" where nothing reads it."""

    etag: str
    size_bytes: int
    body: bytes = b""


class AnsweringStore:
    """`objects` are those by key, without quotes in their tags; nothing in it was ever locked."""

    def __init__(self, bucket: str, objects: dict[str, Lying]) -> None:
        self.objects = objects
        self._bucket = bucket

    def answers(self) -> Iterator[tuple[str, Callable[[AWSPreparedRequest], Reply]]]:
        """How each operation is answered, by its name."""
        yield "HeadObject", self._head
        yield "GetObject", self._get
        yield "PutObject", self._put
        yield "DeleteObject", self._delete
        for operation in ("GetObjectRetention", "GetObjectLegalHold"):
            yield operation, lambda _: _refuse("NoSuchObjectLockConfiguration", 404)

    def find(self, prefix: str) -> list[tuple[str, Lying]]:
        """What lies below a prefix, in the order of a listing."""
        return sorted((key, there) for key, there in self.objects.items() if key.startswith(prefix))

    def _head(self, request: AWSPreparedRequest) -> Reply:
        there = self.objects.get(self._key(request))
        return Reply(status=404) if there is None else Reply(headers=_headers(there))

    def _get(self, request: AWSPreparedRequest) -> Reply:
        there = self.objects.get(self._key(request))
        if there is None:
            return _refuse("NoSuchKey", 404)
        assert there.body, "nothing was to read the bytes of data"
        return Reply(there.body, headers=_headers(there))

    def _put(self, request: AWSPreparedRequest) -> Reply:
        key = self._key(request)
        body = request.body if isinstance(request.body, bytes) else request.body.read()
        if key in self.objects:
            return _refuse("PreconditionFailed", 412)
        self.objects[key] = Lying(hashlib.md5(body, usedforsecurity=False).hexdigest(), len(body), body)
        return Reply(headers={"ETag": f'"{self.objects[key].etag}"'})

    def _delete(self, request: AWSPreparedRequest) -> Reply:
        key, wanted = self._key(request), request.headers["If-Match"]
        wanted = (wanted.decode() if isinstance(wanted, bytes) else wanted).strip('"')
        if key not in self.objects:
            return _refuse("NoSuchKey", 404)
        if self.objects[key].etag != wanted:
            return _refuse("PreconditionFailed", 412)
        del self.objects[key]
        return Reply(status=204)

    def _key(self, request: AWSPreparedRequest) -> str:
        return unquote(urlsplit(request.url).path).removeprefix("/").removeprefix(f"{self._bucket}/")


def _headers(there: Lying) -> dict[str, str]:
    return {"ETag": f'"{there.etag}"', "Content-Length": str(there.size_bytes)}


def _refuse(code: str, status: int) -> Reply:
    return Reply(_ERROR.format(code=code).encode(), status)
