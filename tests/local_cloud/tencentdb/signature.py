"""Checks TC3-HMAC-SHA256, byte by byte, as "Signature v3" and "Common error codes" of Tencent Cloud API 3.0 say.

Believed, not documented: the order of the checks, and the code for a credential scope that does not fit.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.local_cloud.tencentdb.wire import ApiError

SERVICE = "redis"
MAX_SKEW_S = 300
_ALGORITHM = "TC3-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    _ALGORITHM + r" Credential=([^/,\s]+)/([0-9]{4}-[0-9]{2}-[0-9]{2})/([a-z0-9]+)/tc3_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Key:
    """A secret key; a temporary one goes with a token."""

    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Signed:
    """What of a request its signature covers; the names of headers are in lower case."""

    method: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def check_signature(request: Signed, keys: Mapping[str, Key], now: datetime) -> None:
    """Raise ApiError unless the request was signed with one of the keys, within five minutes of now."""
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise ApiError("AuthFailure.InvalidAuthorization", "The Authorization header does not meet the standard.")
    secret_id, date, service, names, signature = match.groups()
    signed_at = _signed_at(request.headers.get("x-tc-timestamp", ""))
    if abs((now - signed_at).total_seconds()) > MAX_SKEW_S:
        raise ApiError(
            "AuthFailure.SignatureExpire",
            "The signature has expired: Timestamp and the server's time may differ by five minutes at most.",
        )
    if service != SERVICE or date != f"{signed_at:%Y-%m-%d}" or not {"content-type", "host"} <= set(names.split(";")):
        raise ApiError("AuthFailure.InvalidAuthorization", "The credential's scope or signed headers do not fit.")
    key = keys.get(secret_id)
    if key is None:
        raise ApiError(
            "AuthFailure.SecretIdNotFound", "The SecretId is not found, please ensure that your SecretId is correct."
        )
    if not hmac.compare_digest(request.headers.get("x-tc-token", "").encode(), key.token.encode()):
        raise ApiError("AuthFailure.TokenFailure", "The token is not valid.")
    if not hmac.compare_digest(signature, _sign(request, key.secret_key, date, names)):
        raise ApiError(
            "AuthFailure.SignatureFailure",
            "The provided credentials could not be validated. Please check your signature is correct.",
        )


def _signed_at(timestamp: str) -> datetime:
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise ApiError("MissingParameter", "The request is missing a required parameter `Timestamp`.")
    return datetime.fromtimestamp(int(timestamp), UTC)


def _sign(request: Signed, secret_key: str, date: str, names: str) -> str:
    body = request.body
    if request.headers.get("x-tc-content-sha256") == "UNSIGNED-PAYLOAD":
        body = b"UNSIGNED-PAYLOAD"
    lines = [f"{name}:{request.headers.get(name, '').strip().lower()}\n" for name in sorted(names.split(";"))]
    digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join([request.method, "/", request.query, "".join(lines), names, digest])
    scope = f"{date}/{SERVICE}/tc3_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join([_ALGORITHM, request.headers["x-tc-timestamp"], scope, hashed])
    key = f"TC3{secret_key}".encode()
    for part in (date, SERVICE, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
