"""Multipart uploads into a bucket.

Facts that this rests on: "CompleteMultipartUpload" in the S3 API reference as in botocore 1.44.5. If-None-Match: *
answers 412 when the key exists and 409 when another write of it is going; an upload with ChecksumType FULL_OBJECT and
CRC64NVME is refused at Complete unless the sum of the whole object agrees; MpuObjectSize likewise for its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of, tolerated
from rdbkeeper.domain.errors import ObjectExists, StoreMismatch
from rdbkeeper.domain.vault import StoreSum
from rdbkeeper.ports import Part, Upload
from rdbkeeper.vaults.bucket import Bucket
from rdbkeeper.vaults.looking import already_there, find_object
from rdbkeeper.vaults.parts import SeekableView
from rdbkeeper.vaults.store_errors import MISSING, PUTTING
from rdbkeeper.vaults.sums import BodySum, completing, expected_etag, opening

# What stores answer to the end of an upload that has ended: S3 names the upload, Ceph the key, others know no such
# call for what they do not have.
_GONE = {"NoSuchUpload", "MethodNotAllowed", "405", *MISSING}


def find_uploads(bucket: Bucket, prefix: str, opened_before: datetime | None) -> list[Upload]:
    """The uploads that are open below a prefix; none where the store cannot list them."""
    if not bucket.capabilities.lists_uploads:
        return []
    with bucket.errors(f"Looking for open uploads below {prefix}"):
        pages = bucket.client().get_paginator("list_multipart_uploads").paginate(**bucket.itself, Prefix=prefix)
        found = []
        with tolerated("NoSuchUpload"):  # some stores say so where none is open
            found = [upload for page in pages for upload in page.get("Uploads", ())]
    return [
        Upload(upload["Key"], upload["UploadId"])
        for upload in found
        if opened_before is None or upload["Initiated"] < opened_before
    ]


def open_upload(bucket: Bucket, key: str) -> Upload:
    """Begin an upload."""
    with bucket.errors(f"Opening an upload of {key}"):
        answer = bucket.client().create_multipart_upload(
            **bucket.at(key),
            ContentType="application/octet-stream",
            **opening(bucket.capabilities.sum),
            **bucket.large(),
        )
    return Upload(key, answer["UploadId"])


def put_part(bucket: Bucket, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
    """Put one part, with the sum that the store checks."""
    what = f"Putting part {number} of {upload.key}"
    body_sum = BodySum(bucket.capabilities.sum, body, crc64nvme)
    with bucket.errors(what, PUTTING):
        answer = bucket.client().upload_part(
            **bucket.at(upload.key),
            UploadId=upload.upload_id,
            PartNumber=number,
            Body=SeekableView(body),
            ContentLength=len(body),
            **body_sum.headers(),
        )
    body_sum.check(answer["ETag"], what)
    return Part(number, answer["ETag"], crc64nvme)


def complete_upload(bucket: Bucket, upload: Upload, parts: Sequence[Part], size_bytes: int, crc64nvme: int) -> None:
    """Make the object, only if there is none; what the store does not check is looked at before and after."""
    honours = bucket.capabilities
    what = f"Completing {upload.key}"
    if not honours.conditional_complete and find_object(bucket, upload.key) is not None:
        raise already_there(what)
    with bucket.errors(what):
        bucket.client().complete_multipart_upload(
            **bucket.at(upload.key),
            UploadId=upload.upload_id,
            **completing(honours.sum, parts, size_bytes, crc64nvme),
            **({"IfNoneMatch": "*"} if honours.conditional_complete else {}),
        )
    if honours.conditional_complete and honours.sum is StoreSum.CRC64NVME:
        return
    _check_object(bucket, upload.key, expected_etag(honours.sum, parts), size_bytes)


def _check_object(bucket: Bucket, key: str, etag: str | None, size_bytes: int) -> None:
    found = find_object(bucket, key)
    if found is not None and found.size_bytes != size_bytes:
        raise StoreMismatch(
            f"Completing {key} made an object of {found.size_bytes:,} bytes; {size_bytes:,} were put.",
            hint="Nothing was published. The next run looks at what is there, and replaces it.",
        )
    if found is None or (etag and found.etag != etag):
        raise ObjectExists(
            f"Completing {key} was overtaken: another object is there now.",
            hint="Something else writes to this place, and the store does not keep it from overwriting.",
        )


def abort_upload(bucket: Bucket, upload: Upload) -> None:
    """Give an upload up; one that is gone is no error."""
    with bucket.errors(f"Giving up an upload of {upload.key}"):
        try:
            bucket.client().abort_multipart_upload(**bucket.at(upload.key), UploadId=upload.upload_id)
        except ClientError as error:
            if code_of(error) not in _GONE:
                raise
