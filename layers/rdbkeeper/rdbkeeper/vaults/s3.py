"""A vault in a bucket of Amazon S3, or of a store that speaks its protocol.

Facts that this rests on: "Conditional writes" and "Conditional deletes" in the Amazon S3 user guide. Where a store
honours no condition, what lies there is looked at before and after: two writers at once then notice each other as a
rule, and not always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of
from rdbkeeper.domain.catalog import Catalog, FoundObject, begin_of_marks, read_catalog
from rdbkeeper.domain.errors import StoreMismatch
from rdbkeeper.domain.vault import Capabilities, VaultOptions
from rdbkeeper.ports import ByteStream, Lock, Part, StoredObject, Upload
from rdbkeeper.rdb.checksum import crc64_nvme
from rdbkeeper.vaults import locks, looking, uploads
from rdbkeeper.vaults.bucket import Bucket
from rdbkeeper.vaults.store_errors import CHANGED_HINT, MISSING, PUTTING, READING
from rdbkeeper.vaults.sums import BodySum


class S3Vault:
    """The vault over an S3 client; `owner` is the account that the bucket must belong to, where it is known."""

    def __init__(
        self,
        client: Callable[[], Any],
        bucket: str,
        capabilities: Capabilities | None = None,
        options: VaultOptions | None = None,
        owner: str = "",
    ) -> None:
        self._bucket = Bucket(client, bucket, owner, capabilities or Capabilities(), options or VaultOptions())

    @property
    def capabilities(self) -> Capabilities:
        return self._bucket.capabilities

    @property
    def lock_days(self) -> int:
        return self._bucket.options.lock_days

    def catalog(self, path: str) -> Catalog:
        with self._bucket.errors(f"Listing the copies below {path}"):
            return read_catalog(path, self._list(Prefix=path, StartAfter=begin_of_marks(path)))

    def folders(self, prefix: str) -> list[str]:
        with self._bucket.errors(f"Listing what lies below {prefix or 'the root of the bucket'}"):
            pages = self._pages(Prefix=prefix, Delimiter="/")
            return [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", ())]

    def find_objects(self, prefix: str) -> list[FoundObject]:
        with self._bucket.errors(f"Listing the objects below {prefix or 'the root of the bucket'}"):
            return list(self._list(Prefix=prefix))

    def _list(self, **wanted: Any) -> Iterator[FoundObject]:
        for page in self._pages(**wanted):
            for found in page.get("Contents", ()):
                yield FoundObject(
                    found["Key"], int(found["Size"]), looking.quoted(found["ETag"]), found["LastModified"]
                )

    def _pages(self, **wanted: Any) -> Any:
        return self._bucket.client().get_paginator("list_objects_v2").paginate(**self._bucket.itself, **wanted)

    def find_object(self, key: str) -> StoredObject | None:
        return looking.find_object(self._bucket, key)

    def read_object(self, key: str) -> bytes:
        with self._bucket.errors(f"Reading {key}"):
            return bytes(self._bucket.client().get_object(**self._bucket.at(key))["Body"].read())

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> ByteStream:
        return looking.open_range(self._bucket, key, etag, first_byte, length_bytes)

    def create_object(self, key: str, body: bytes, content_type: str) -> None:
        honours = self.capabilities
        what = f"Creating {key}"
        if not honours.conditional_create and self.find_object(key) is not None:
            raise looking.already_there(what)
        body_sum = BodySum(honours.sum, body, crc64_nvme(body))
        with self._bucket.errors(what, PUTTING):
            answer = self._bucket.client().put_object(
                **self._bucket.at(key),
                Body=body,
                ContentType=content_type,
                **body_sum.headers(),
                **self._bucket.small(),
                **({"IfNoneMatch": "*"} if honours.conditional_create else {}),
            )
        body_sum.check(answer["ETag"], what)
        if not honours.conditional_create:
            found = self.find_object(key)
            if found is None or (found.etag, found.size_bytes) != (looking.quoted(answer["ETag"]), len(body)):
                raise looking.already_there(what)

    def find_uploads(self, prefix: str, opened_before: datetime | None = None) -> list[Upload]:
        return uploads.find_uploads(self._bucket, prefix, opened_before)

    def open_upload(self, key: str) -> Upload:
        return uploads.open_upload(self._bucket, key)

    def put_part(self, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        return uploads.put_part(self._bucket, upload, number, body, crc64nvme)

    def complete_upload(self, upload: Upload, parts: Sequence[Part], size_bytes: int, crc64nvme: int) -> None:
        uploads.complete_upload(self._bucket, upload, parts, size_bytes, crc64nvme)

    def abort_upload(self, upload: Upload) -> None:
        uploads.abort_upload(self._bucket, upload)

    def remove_object(self, key: str, etag: str) -> None:
        is_conditional = self.capabilities.conditional_delete
        if not is_conditional:
            found = self.find_object(key)
            if found is None:
                return
            if found.etag != etag:
                raise StoreMismatch(f"Removing {key} failed: it is another one now.", hint=CHANGED_HINT)
        with self._bucket.errors(f"Removing {key}", READING):
            try:
                self._bucket.client().delete_object(
                    **self._bucket.at(key), **({"IfMatch": etag} if is_conditional else {})
                )
            except ClientError as error:
                # A removal whose answer was lost is repeated by the SDK, and then there is nothing left to match.
                if code_of(error) not in MISSING and self.find_object(key) is not None:
                    raise

    def find_lock(self, key: str) -> Lock | None:
        return locks.find_lock(self._bucket, key)

    def lock_object(self, key: str, until: datetime) -> None:
        locks.lock_object(self._bucket, key, until)
