"""The objects and uploads that a probe tries a store with."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of, status_of
from rdbkeeper.domain.errors import VaultError
from rdbkeeper.ports import StoredObject, Upload
from rdbkeeper.vaults.bucket import Bucket
from rdbkeeper.vaults.looking import find_object
from rdbkeeper.vaults.uploads import abort_upload

PREFIX = "rdbkeeper-probe/"


class Attempt(NamedTuple):
    """The answer to a call, or the code with which it was refused."""

    answer: dict[str, Any]
    refusal: str = ""


class Trial:
    """What is written below `place`, remembered until it is cleared; no sum or condition but those tried."""

    def __init__(self, bucket: Bucket, place: str, *, is_amazon: bool) -> None:
        self.bucket = bucket
        self.keys: set[str] = set()
        self._uploads: list[Upload] = []
        self._place = place
        self._is_amazon = is_amazon

    def key(self, name: str) -> str:
        return f"{self._place}{name}"

    def attempt(self, what: str, call: Callable[..., Any], **asked: Any) -> Attempt:
        """What the store answers to a call, or the code with which it refuses. Raises when that tells nothing of it.

        A store that does not know a header may well answer 500, each time; Amazon does not.
        """
        with self.bucket.errors(what):
            try:
                return Attempt(call(**asked))
            except ClientError as error:
                status = status_of(error)
                is_passing = status in (429, 503) or (status >= 500 and self._is_amazon)
                if status in (401, 403) or is_passing:
                    raise
                return Attempt({}, code_of(error) or str(status))

    def put(self, key: str, body: bytes, **more: Any) -> dict[str, Any]:
        """Write an object as manifests are written; raises what the store says."""
        with self.bucket.errors("Writing a probe's object"):
            return dict(self.bucket.client().put_object(**self.putting(key, body), **more))

    def putting(self, key: str, body: bytes) -> dict[str, Any]:
        """The parameters of a PutObject."""
        self.keys.add(key)
        return {**self.bucket.at(key), **self.bucket.small(), "Body": body, "ContentMD5": md5_base64(body)}

    def read(self, key: str) -> bytes:
        with self.bucket.errors("Reading a probe's object"):
            return bytes(self.bucket.client().get_object(**self.bucket.at(key))["Body"].read())

    def find(self, key: str) -> StoredObject | None:
        return find_object(self.bucket, key)

    def is_listed(self, key: str) -> bool:
        with self.bucket.errors("Listing a probe's objects"):
            listed = self.bucket.client().list_objects_v2(**self.bucket.itself, Prefix=key)
        return any(found["Key"] == key for found in listed.get("Contents", ()))

    def remove(self, key: str) -> None:
        with self.bucket.errors("Removing a probe's object"):
            self.bucket.client().delete_object(**self.bucket.at(key))
        self.keys.discard(key)

    def open(self, key: str, **more: Any) -> Upload | None:
        """Open an upload as data are written; None when the store refuses."""
        client = self.bucket.client()
        asked = {**self.bucket.at(key), **self.bucket.large(), **more}
        opened = self.attempt("Opening a probe's upload", client.create_multipart_upload, **asked)
        if opened.refusal:
            return None
        self.keys.add(key)
        self._uploads.append(Upload(key, opened.answer["UploadId"]))
        return self._uploads[-1]

    def abort(self, upload: Upload) -> None:
        abort_upload(self.bucket, upload)
        self._uploads.remove(upload)

    def completed(self, upload: Upload) -> None:
        """Note that an upload has become an object."""
        self._uploads.remove(upload)

    def clear(self) -> None:
        """Remove all of it; raises the first thing that went wrong, after the rest was tried."""
        problems: list[VaultError] = []
        steps = [partial(self.abort, upload) for upload in self._uploads]
        steps += [partial(self.remove, key) for key in sorted(self.keys)]
        for step in steps:
            try:
                step()
            except VaultError as error:
                problems.append(error)
        if problems:
            raise problems[0]


def md5_base64(body: bytes) -> str:
    """The value of Content-MD5."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
