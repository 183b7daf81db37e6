"""Links to backup files: addresses with COS's request signature in their query, good for a time.

The form (`?sign=` with the whole signature encoded once more) is that of the example in "DescribeBackupUrl"; how the
signature is made is "Request Signature" of COS; the errors are those of COS's "403 Error for COS Access".
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from urllib.parse import parse_qs, quote

# Whose key signs is the service's business; this one is nobody's.
_ACCESS_KEY_ID = "AKIDlocalcloudfiles"
_SECRET_KEY = b"local-cloud-files"


class FileError(Exception):
    """What the store of the files answers instead of a file."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def expired() -> FileError:
    """Return the answer to a link whose time is over."""
    return FileError(403, "AccessDenied", "Request has expired")


def access_denied() -> FileError:
    """Return the answer to whom a file is not for."""
    return FileError(403, "AccessDenied", "Access Denied.")


def no_such_key() -> FileError:
    """Return the answer when a file is not there."""
    return FileError(404, "NoSuchKey", "The specified key does not exist.")


def make_link(host: str, path: str, valid_from: datetime, valid_until: datetime) -> tuple[str, str]:
    """Return an address that reads one file until its time is over, and the signature that it holds."""
    key_time = f"{int(valid_from.timestamp())};{int(valid_until.timestamp())}"
    signature = _signature("GET", path, key_time)
    parts = {
        "q-sign-algorithm": "sha1",
        "q-ak": _ACCESS_KEY_ID,
        "q-sign-time": key_time,
        "q-key-time": key_time,
        "q-header-list": "",
        "q-url-param-list": "",
        "q-signature": signature,
    }
    sign = "&".join(f"{name}={value}" for name, value in parts.items())
    return f"http://{host}{quote(path)}?sign={quote(sign, safe='')}", signature


def check_link(method: str, path: str, sign: str | None, now: datetime) -> str:
    """Return the signature that a request came with. Raises FileError unless it is right and still good."""
    if not sign:
        raise access_denied()
    parts = {name: values[0] for name, values in parse_qs(sign, keep_blank_values=True).items()}
    if parts.get("q-ak") != _ACCESS_KEY_ID:
        raise FileError(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")
    key_time = parts.get("q-key-time", "")
    if parts.get("q-signature") != _signature(method, path, key_time) or parts.get("q-sign-time") != key_time:
        raise FileError(403, "SignatureDoesNotMatch", "The signature does not match the request.")
    if now.timestamp() >= int(key_time.partition(";")[2]):
        raise expired()
    return parts["q-signature"]


def _signature(method: str, path: str, key_time: str) -> str:
    key = hmac.new(_SECRET_KEY, key_time.encode(), hashlib.sha1).hexdigest()
    http_string = f"{method.lower()}\n{path}\n\n\n"
    hashed = hashlib.sha1(http_string.encode(), usedforsecurity=False).hexdigest()
    return hmac.new(key.encode(), f"sha1\n{key_time}\n{hashed}\n".encode(), hashlib.sha1).hexdigest()
