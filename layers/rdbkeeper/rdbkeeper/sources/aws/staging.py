"""The staging bucket: where exports land, to be read once and removed.

Facts that this rests on: "Exporting a backup" in the ElastiCache user guide and "Exporting a snapshot" in MemoryDB's:
an export writes one object a shard at the bucket's root, without a prefix, and overwrites nothing. An S3 object appears
whole or not at all; its LastModified and an answer's Date are of one clock, S3's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from rdbkeeper.aws.errors import Family, Worded, tolerated, translated
from rdbkeeper.aws.streams import BodyStream
from rdbkeeper.domain.backup import Shard, StagedFile
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
    StagedFileChanged,
)
from rdbkeeper.ports import ByteStream

_REDEPLOY = "Deploy the stack again: it makes the staging bucket and its policy."
# How the services refuse a bucket (CopySnapshot in the API references of ElastiCache and MemoryDB; "Serverless cache
# events"), the most specific first.
BUCKET_REFUSALS = (
    Worded(
        re.compile("(?i)outside of the region"),
        SourceRefused,
        "Exports go to a bucket in the instance's own region alone: deploy the stack in that region.",
    ),
    Worded(re.compile("(?i)bucket .*does not exist"), SourceRefused, _REDEPLOY),
    Worded(
        re.compile("(?i)not owned by the authenticated user|owner account id has changed"),
        SourceRefused,
        "Exports go to a bucket of the instance's own account alone: deploy the stack in that account, and let it make "
        "its own staging bucket.",
    ),
    Worded(
        re.compile("(?i)has not been granted|does not have permissions to the bucket|bucket is not accessible"),
        SourceRefused,
        "The staging bucket's policy must let the service write there, and for MemoryDB its Object Ownership must be "
        f"`bucket owner preferred`. {_REDEPLOY}",
    ),
    Worded(
        re.compile("(?i)does not have sufficient permissions|unable to validate the authenticated user"),
        SourceDenied,
        "Allow s3:ListAllMyBuckets on all buckets, and s3:GetBucketLocation, s3:ListBucket, s3:GetObject, s3:PutObject "
        "and s3:DeleteObject on the staging bucket, to this function's role; the stack's template grants them.",
    ),
)
_FAMILY = Family(
    SourceDenied,
    SourceUnavailable,
    SourceRefused,
    special={
        "PreconditionFailed": (
            StagedFileChanged,
            "Something else writes to the staging bucket. The next run asks anew.",
        ),
        "NoSuchKey": (
            BackupGone,
            "The staging bucket's lifecycle rule or a person removed it. The next run asks anew.",
        ),
        "NoSuchBucket": (SourceRefused, _REDEPLOY),
        "PermanentRedirect": (SourceRefused, f"The staging bucket is in another region. {_REDEPLOY}"),
    },
    service="s3",
)


@dataclass(frozen=True)
class StagedObject:
    """An object of the staging bucket; `written_at` is S3's own time, of whole seconds."""

    key: str
    size_bytes: int
    etag: str
    written_at: datetime

    def as_file(self, shard: Shard) -> StagedFile:
        return StagedFile(shard, self.key, self.size_bytes, self.etag)


@dataclass(frozen=True)
class Listing:
    """The objects that begin alike, in the order of their keys, and what S3 said the time was when it listed them."""

    objects: tuple[StagedObject, ...]
    date: str

    @property
    def at(self) -> datetime:
        return parsedate_to_datetime(self.date)


@dataclass(frozen=True)
class Document:
    """A small JSON object: what it says, the tag that pins it, when it was written, and S3's own time of now."""

    says: Any
    etag: str
    written_at: datetime
    at: datetime


class StagingBucket:
    """Lists, reads and removes what exports have staged."""

    def __init__(self, s3: Callable[[], Any], name: str) -> None:
        self._s3 = s3
        self.name = name

    def find_objects(self, prefix: str, what: str) -> Listing:
        """Every object whose key begins so; `what` says whose they are."""
        with translated(_FAMILY, f"Looking for {what}"):
            pages = list(self._s3().get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix))
        found = [
            StagedObject(one["Key"], int(one["Size"]), one["ETag"], one["LastModified"])
            for page in pages
            for one in page.get("Contents", ())
        ]
        return Listing(tuple(found), _date_of(pages[0]))

    def upload_keys(self, prefix: str) -> list[str]:
        """The keys of the uploads that are open for keys that begin so, the services' among them."""
        with translated(_FAMILY, "Looking for files that are being staged"):
            pages = self._s3().get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
            return [upload["Key"] for page in pages for upload in page.get("Uploads", ())]

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of a staged file, pinned by its tag."""
        what = f"Reading the staged file of shard {file.shard.name}"
        with translated(_FAMILY, what):
            answer = self._s3().get_object(
                Bucket=self.name,
                Key=file.key,
                Range=f"bytes={first_byte}-{first_byte + length_bytes - 1}",
                IfMatch=file.etag,
            )
        return BodyStream(answer["Body"], _FAMILY, what)

    def remove(self, key: str) -> None:
        """Remove exactly that object. One that is gone is no error."""
        with translated(_FAMILY, f"Removing the staged file {key}"):
            self._s3().delete_object(Bucket=self.name, Key=key)

    # ------------------------------------------------------------- documents

    def find_document(self, key: str) -> Document | None:
        """The JSON object under a key; what it says is None where that is no JSON."""
        with translated(_FAMILY, f"Reading {key} in the staging bucket"), tolerated("NoSuchKey"):
            answer = self._s3().get_object(Bucket=self.name, Key=key)
            body = answer["Body"].read()
            try:
                says = json.loads(body)
            except ValueError:
                says = None
            return Document(says, answer["ETag"], answer["LastModified"], parsedate_to_datetime(_date_of(answer)))
        return None

    def put_document(self, key: str, says: Any, replaces: str = "") -> None:
        """Write a JSON object: a new one, or in place of the one of that tag. BackupBusy when there is another."""
        condition = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        with translated(_CREATING, f"Writing {key} in the staging bucket"):
            body = json.dumps(says, sort_keys=True).encode()
            self._s3().put_object(Bucket=self.name, Key=key, Body=body, ContentType="application/json", **condition)

    def remove_document(self, key: str, etag: str) -> None:
        """Remove the JSON object of that tag; one that is gone, or another by now, is left at that."""
        with (
            translated(_FAMILY, f"Removing {key} in the staging bucket"),
            tolerated("NoSuchKey", "PreconditionFailed", "ConditionalRequestConflict"),
        ):
            self._s3().delete_object(Bucket=self.name, Key=key, IfMatch=etag)


_TAKEN = (BackupBusy, "Another rule, or another run, has just taken this backup's export. The next run asks again.")
_CREATING = Family(
    SourceDenied,
    SourceUnavailable,
    SourceRefused,
    special={
        **_FAMILY.special,
        # "PutObject": 412 when the condition does not hold, 409 when another write came between, 404 when what was to
        # be replaced is gone.
        **dict.fromkeys(("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"), _TAKEN),
    },
    service="s3",
)


def _date_of(answer: dict[str, Any]) -> str:
    return str(answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date", ""))
