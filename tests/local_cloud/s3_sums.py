"""The checksums of "Checking object integrity for data uploads in Amazon S3", computed and compared."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anycrc
from werkzeug.wrappers import Request

from tests.local_cloud.s3_request import S3Error

_CRC_MODELS = {
    "crc32": (anycrc.Model("CRC32"), 4),
    "crc32c": (anycrc.Model("CRC32C"), 4),
    "crc64nvme": (anycrc.Model("CRC64-NVME"), 8),
}
_HASHES: Mapping[str, Callable[[bytes], bytes]] = {
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}
_SIZES_BYTES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}
ALGORITHMS = tuple(_SIZES_BYTES)
FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"
_TYPES = {
    "crc32": {COMPOSITE, FULL_OBJECT},
    "crc32c": {COMPOSITE, FULL_OBJECT},
    "crc64nvme": {FULL_OBJECT},
    "sha1": {COMPOSITE},
    "sha256": {COMPOSITE},
}
# What S3 sums by itself where the request names no algorithm.
DEFAULT_ALGORITHM = "crc64nvme"


@dataclass(frozen=True)
class Sum:
    """A checksum as S3 shows it: `value` is base64, with `-parts` behind it when it is composite."""

    algorithm: str
    value: str
    type: str = FULL_OBJECT

    @property
    def headers(self) -> dict[str, str]:
        """The answer headers that carry it."""
        return {f"x-amz-checksum-{self.algorithm}": self.value, "x-amz-checksum-type": self.type}


def sum_of(algorithm: str, data: bytes) -> str:
    """Return the data's checksum in base64."""
    if algorithm in _HASHES:
        return base64.b64encode(_HASHES[algorithm](data)).decode()
    model, size_bytes = _CRC_MODELS[algorithm]
    return base64.b64encode(model.calc(data).to_bytes(size_bytes, "big")).decode()


def combined(algorithm: str, type_: str, parts: Sequence[tuple[str, int]]) -> str:
    """Return the checksum of an object from its parts' checksums (base64) and sizes in bytes."""
    if type_ == COMPOSITE:
        digests = b"".join(base64.b64decode(value) for value, _ in parts)
        return f"{sum_of(algorithm, digests)}-{len(parts)}"
    model, size_bytes = _CRC_MODELS[algorithm]
    whole = 0
    for value, part_bytes in parts:
        whole = model.combine(whole, int.from_bytes(base64.b64decode(value), "big"), part_bytes)
    return base64.b64encode(whole.to_bytes(size_bytes, "big")).decode()


def type_for(algorithm: str, wanted: str | None) -> str:
    """Return the checksum type of an upload, or refuse one that the algorithm does not have."""
    if wanted is None:
        return FULL_OBJECT if algorithm == "crc64nvme" else COMPOSITE
    if wanted not in _TYPES[algorithm]:
        message = f"The {wanted} checksum type cannot be used with the {algorithm} checksum algorithm."
        raise S3Error(400, "InvalidRequest", message)
    return wanted


def stated_sum(request: Request, *, is_composite: bool = False) -> Sum | None:
    """Return the one checksum that the request's headers state; refuse two, or one that is not well formed."""
    stated = {name: request.headers[f"x-amz-checksum-{name}"] for name in ALGORITHMS if _states(request, name)}
    if len(stated) > 1:
        message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        raise S3Error(400, "InvalidRequest", message)
    for algorithm, value in stated.items():
        bare = value.partition("-")[0] if is_composite else value
        if not _is_base64_of(bare, _SIZES_BYTES[algorithm]):
            raise S3Error(400, "InvalidRequest", f"Value for x-amz-checksum-{algorithm} header is invalid.")
        return Sum(algorithm, value)
    return None


def _states(request: Request, algorithm: str) -> bool:
    return f"x-amz-checksum-{algorithm}" in request.headers


def _is_base64_of(value: str, size_bytes: int) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == size_bytes
    except binascii.Error:
        return False


def verified_sum(request: Request) -> Sum | None:
    """Check the body against everything that the headers say about it; return the checksum that they state."""
    body = request.get_data(cache=True)
    _refuse_chunked(request)
    _check_md5(request, body)
    _check_payload_hash(request, body)
    stated = stated_sum(request)
    announced = request.headers.get("x-amz-sdk-checksum-algorithm")
    if announced and stated is None:
        message = (
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found."
        )
        raise S3Error(400, "InvalidRequest", message)
    if announced and stated and announced.lower() != stated.algorithm:
        message = "Value for x-amz-sdk-checksum-algorithm header does not match the checksum header."
        raise S3Error(400, "InvalidRequest", message)
    if stated and sum_of(stated.algorithm, body) != stated.value:
        message = f"The {stated.algorithm.upper()} you specified did not match the calculated checksum."
        raise S3Error(400, "BadDigest", message)
    return stated


def _refuse_chunked(request: Request) -> None:
    streaming = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    if streaming or "aws-chunked" in request.headers.get("Content-Encoding", ""):
        message = "The local cloud does not read aws-chunked bodies; over http boto3 sends plain ones."
        raise S3Error(501, "NotImplemented", message)


def _check_md5(request: Request, body: bytes) -> None:
    stated = request.headers.get("Content-MD5")
    if stated is None:
        return
    if not _is_base64_of(stated, 16):
        raise S3Error(400, "InvalidDigest", "The Content-MD5 you specified is not valid.")
    if base64.b64decode(stated) != hashlib.md5(body, usedforsecurity=False).digest():
        raise S3Error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")


def _check_payload_hash(request: Request, body: bytes) -> None:
    stated = request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    if stated != "UNSIGNED-PAYLOAD" and stated != hashlib.sha256(body).hexdigest():
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise S3Error(400, "XAmzContentSHA256Mismatch", message)
