"""The objects and uploads that a probe tries a store with."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of, status_of
from rdbkeeper.domain.errors import VaultError, VaultUnavailable, VaultUnfit
from rdbkeeper.domain.vault import TRIAL_PREFIX
from rdbkeeper.ports import StoredObject, Upload
from rdbkeeper.vaults.bucket import Bucket
from rdbkeeper.vaults.looking import find_object
from rdbkeeper.vaults.uploads import abort_upload

PREFIX = TRIAL_PREFIX
_NAMES = frozenset(
    {"kept", "first", "summed", "summed-by-parts", "absent", "by-parts", "absent-by-parts"}
    | {"mark"}  # by which two vaults are found to have the same bucket
)
_LEFT = re.compile(rf"{PREFIX}[0-9a-f]{{32}}/(?:{'|'.join(sorted(_NAMES))})")


def is_left_by_probe(key: str) -> bool:
    """True for a key that nothing but a probe writes."""
    return _LEFT.fullmatch(key) is not None


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
        if name not in _NAMES:
            raise ValueError(f"{name} would never be swept up")
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
                is_store_asked = error.operation_name != "AssumeRole"  # a role that is not had tells nothing of it
                if status in (401, 403) or is_passing or not is_store_asked:
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

    def has(self, key: str, body: bytes, **more: Any) -> bool:
        """True when what is read is this, and no byte more: a store may send without end."""
        with self.bucket.errors("Reading a probe's object"), closing(self._open(key, more)) as stream:
            return bytes(stream.read(len(body) + 1)) == body

    def _open(self, key: str, more: dict[str, Any]) -> Any:
        return self.bucket.client().get_object(**self.bucket.at(key), **more)["Body"]

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
        """Open an upload as data are written; None when the store refuses. VaultUnfit for the storage class alone."""
        refusal = self._try_opening(key, {**self.bucket.large(), **more})
        if not refusal:
            return self._uploads[-1]
        storage_class = self.bucket.options.storage_class
        if self.bucket.large() != self.bucket.small() and not self._try_opening(key, {**self.bucket.small(), **more}):
            raise VaultUnfit(
                f"The store does not take objects of the storage class {storage_class} ({refusal}).",
                hint="Update the vault with a storage class that the store has; STANDARD is everywhere.",
            )
        return None

    def _try_opening(self, key: str, wanted: dict[str, Any]) -> str:
        """The code with which the store refuses to open an upload; "" when it is open."""
        create = self.bucket.client().create_multipart_upload
        opened = self.attempt("Opening a probe's upload", create, **self.bucket.at(key), **wanted)
        if not opened.refusal:
            self.keys.add(key)
            self._uploads.append(Upload(key, opened.answer["UploadId"]))
        return opened.refusal

    def abort(self, upload: Upload) -> None:
        abort_upload(self.bucket, upload)
        self._uploads.remove(upload)

    def completed(self, upload: Upload) -> None:
        """Note that an upload has become an object."""
        self._uploads.remove(upload)

    def clear(self) -> None:
        """Remove all of it; raises the first thing that went wrong, after the rest was tried.

        A store that does not answer is not asked again for each: the next probe removes what is left.
        """
        problems: list[VaultError] = []
        steps = [partial(self.abort, upload) for upload in self._uploads]
        steps += [partial(self.remove, key) for key in sorted(self.keys)]
        for step in steps:
            try:
                step()
            except VaultError as error:
                if isinstance(error, VaultUnavailable) and not isinstance(error.__cause__, ClientError):
                    raise
                problems.append(error)
        if problems:
            raise problems[0]


def md5_base64(body: bytes) -> str:
    """The value of Content-MD5."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
