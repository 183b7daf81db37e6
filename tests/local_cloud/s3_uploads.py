"""Multipart uploads as S3 keeps them; moto keeps the bytes."""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from werkzeug.wrappers import Request, Response

from tests.local_cloud.s3_request import S3Error
from tests.local_cloud.s3_sums import (
    ALGORITHMS,
    COMPOSITE,
    DEFAULT_ALGORITHM,
    FULL_OBJECT,
    Sum,
    combined,
    stated_sum,
    sum_of,
    type_for,
)

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_PARTS = 10_000
_INVALID_PART = (
    "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified "
    "entity tag may not match the part's entity tag."
)


class State(Enum):
    """What became of an upload."""

    OPEN = "open"
    COMPLETED = "completed"
    ABORTED = "aborted"


@dataclass(frozen=True)
class StoredPart:
    """A part as it was last put; `value` is its checksum under the upload's algorithm."""

    number: int
    etag: str
    size_bytes: int
    value: str
    put_at: dt.datetime


@dataclass(frozen=True)
class ListedPart:
    """A part as a Complete request names it."""

    number: int
    etag: str
    value: str | None


@dataclass
class KeptUpload:
    """One multipart upload, from Create to its end."""

    upload_id: str
    bucket: str
    key: str
    stated_algorithm: str | None
    type: str
    initiated_at: dt.datetime
    parts: dict[int, StoredPart] = field(default_factory=dict)
    state: State = State.OPEN
    completed_by: tuple[ListedPart, ...] = ()
    answer: Response | None = None

    @property
    def algorithm(self) -> str:
        """The algorithm that the parts are summed with: S3's own where Create named none."""
        return self.stated_algorithm or DEFAULT_ALGORITHM

    def check_part(self, number: int, stated: Sum | None) -> None:
        """Refuse a part that S3 would refuse, whatever its bytes."""
        if not 1 <= number <= MAX_PARTS:
            message = "Part number must be an integer between 1 and 10000, inclusive"
            raise S3Error(400, "InvalidArgument", message)
        expected = self.stated_algorithm
        needs_one = self.stated_algorithm is not None and self.type == COMPOSITE
        if (stated is None and needs_one) or (stated is not None and stated.algorithm != expected):
            actual = stated.algorithm if stated else None
            message = (
                f"Checksum Type mismatch occurred, expected checksum Type: {expected or 'null'}, "
                f"actual checksum Type: {actual or 'null'}"
            )
            raise S3Error(400, "InvalidRequest", message)

    def keep_part(self, number: int, etag: str, body: bytes, at: dt.datetime) -> StoredPart:
        """Remember the part as the one that holds for its number."""
        self.parts[number] = StoredPart(number, etag, len(body), sum_of(self.algorithm, body), at)
        return self.parts[number]

    def sum_of_object(self, listed: Sequence[ListedPart]) -> Sum:
        """Return the checksum of the object that the listed parts make."""
        parts = [(self.parts[part.number].value, self.parts[part.number].size_bytes) for part in listed]
        return Sum(self.algorithm, combined(self.algorithm, self.type, parts), self.type)

    def check_complete(self, request: Request, listed: Sequence[ListedPart]) -> None:
        """Refuse a Complete whose parts, total size or checksum do not agree with what was uploaded."""
        self._check_listed(listed)
        size_bytes = sum(self.parts[part.number].size_bytes for part in listed)
        announced = request.headers.get("x-amz-mp-object-size")
        if announced is not None and announced != str(size_bytes):
            message = f"The provided 'x-amz-mp-object-size' header value {announced} does not match {size_bytes}."
            raise S3Error(400, "InvalidRequest", message)
        wanted_type = request.headers.get("x-amz-checksum-type", self.type)
        if wanted_type != self.type:
            message = (
                f"The upload was created using the {self.type} checksum mode. The complete request must use the same "
                "checksum mode."
            )
            raise S3Error(400, "InvalidRequest", message)
        stated = stated_sum(request, is_composite=self.type == COMPOSITE)
        if stated is None:
            return
        if stated.algorithm != self.algorithm:
            message = f"Checksum Type mismatch occurred, expected checksum Type: {self.algorithm}"
            raise S3Error(400, "InvalidRequest", message)
        if stated.value.partition("-")[0] != self.sum_of_object(listed).value.partition("-")[0]:
            message = f"The {stated.algorithm} you specified did not match the calculated checksum."
            raise S3Error(400, "BadDigest", message)

    def _check_listed(self, listed: Sequence[ListedPart]) -> None:
        numbers = [part.number for part in listed]
        if numbers != sorted(set(numbers)):
            message = "The list of parts was not in ascending order. Parts must be ordered by part number."
            raise S3Error(400, "InvalidPartOrder", message)
        for part in listed:
            kept = self.parts.get(part.number)
            if kept is None or kept.etag.strip('"') != part.etag.strip('"'):
                raise S3Error(400, "InvalidPart", _INVALID_PART)
            if part.value is None and self.stated_algorithm and self.type == COMPOSITE:
                message = (
                    f"The upload was created using a {self.algorithm} checksum. The complete request must include "
                    f"the checksum for each part. It was missing for part {part.number} in the request."
                )
                raise S3Error(400, "InvalidRequest", message)
            if part.value is not None and part.value != kept.value:
                raise S3Error(400, "InvalidPart", _INVALID_PART)
        if any(self.parts[number].size_bytes < MIN_PART_BYTES for number in numbers[:-1]):
            message = "Your proposed upload is smaller than the minimum allowed size"
            raise S3Error(400, "EntityTooSmall", message)


def opened(request: Request, upload_id: str, bucket: str, key: str, at: dt.datetime) -> KeptUpload:
    """Return a new upload as the Create request's headers describe it."""
    algorithm, type_ = wanted_checksum(request)
    return KeptUpload(upload_id, bucket, key, algorithm, type_, at)


def wanted_checksum(request: Request) -> tuple[str | None, str]:
    """Return the algorithm and type that a Create request asks for; refuse what S3 does not have."""
    algorithm = request.headers.get("x-amz-checksum-algorithm", "").lower() or None
    wanted_type = request.headers.get("x-amz-checksum-type")
    if algorithm is None:
        if wanted_type is not None:
            message = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            raise S3Error(400, "InvalidRequest", message)
        return None, FULL_OBJECT
    if algorithm not in ALGORITHMS:
        message = "Checksum algorithm provided is unsupported. Please try again with any of the valid types."
        raise S3Error(400, "InvalidRequest", message)
    return algorithm, type_for(algorithm, wanted_type)


def listed_parts(body: bytes) -> tuple[ListedPart, ...]:
    """Return the parts that a Complete request's body names."""
    malformed = S3Error(
        400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
    )
    try:
        root = ET.fromstring(body)  # noqa: S314 - from this machine's own tests
        parts = tuple(_listed(part) for part in root if _name(part) == "Part")
    except (ET.ParseError, ValueError, KeyError) as error:
        raise malformed from error
    if not parts:
        raise malformed
    return parts


def _listed(part: ET.Element) -> ListedPart:
    fields = {_name(child): (child.text or "").strip() for child in part}
    sums = [value for name, value in fields.items() if name.startswith("Checksum")]
    return ListedPart(int(fields["PartNumber"]), fields["ETag"], sums[0] if sums else None)


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def with_checksum(answer: bytes, whole: Sum) -> bytes:
    """Return a Complete answer that also says the object's checksum, as S3's does."""
    extra = f"<Checksum{whole.algorithm.upper()}>{whole.value}</Checksum{whole.algorithm.upper()}>"
    extra += f"<ChecksumType>{whole.type}</ChecksumType>"
    end = b"</CompleteMultipartUploadResult>"
    if end not in answer:
        raise AssertionError(f"moto's answer to CompleteMultipartUpload has another form than known: {answer!r}")
    return answer.replace(end, extra.encode() + end)


def same_parts(one: Sequence[ListedPart], other: Sequence[ListedPart]) -> bool:
    """Say whether two Complete requests name the same parts."""
    return [replace(part, etag=part.etag.strip('"'), value=None) for part in one] == [
        replace(part, etag=part.etag.strip('"'), value=None) for part in other
    ]
