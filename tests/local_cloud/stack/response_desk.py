"""Where the functions behind custom resources hand in their answers: presigned addresses, as CloudFormation gives out.

The bucket behind such an address takes one PUT whose headers are the signed ones; a Content-Type that was not signed
breaks the signature, which is the usual mistake.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from dataclasses import dataclass, field

from werkzeug.wrappers import Request, Response


@dataclass
class _Open:
    """An address that was given out, and what came in there."""

    signature: str
    bodies: list[bytes] = field(default_factory=list)


class ResponseDesk:
    """Gives out addresses and takes what is put there."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}

    def open(self) -> tuple[str, str]:
        """Return a new token, and the address at which an answer is taken until it is closed."""
        token, signature = secrets.token_urlsafe(16), secrets.token_hex(32)
        with self._lock:
            self._open[token] = _Open(signature)
        query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=7199&X-Amz-Signature={signature}"
        return token, f"{self._endpoint_url}/_local/responses/{token}?{query}"

    def close(self, token: str) -> list[bytes]:
        """Return the bodies that were put; from now on nothing is taken there."""
        with self._lock:
            return self._open.pop(token).bodies

    def answer(self, request: Request, token: str) -> Response:
        """Take a body, or refuse it as a presigned address of S3 would."""
        with self._lock:
            found = self._open.get(token)
            signature = request.args.get("X-Amz-Signature", "")
            if found is None or not hmac.compare_digest(signature, found.signature):
                return _refusal(403, "AccessDenied", "This address was not given out, or its time is over.")
            if request.method != "PUT":
                return _refusal(403, "SignatureDoesNotMatch", f"The address is signed for PUT, not {request.method}.")
            if request.headers.get("Content-Type"):
                reason = f"Content-Type {request.headers['Content-Type']} was not signed; it must be empty."
                return _refusal(403, "SignatureDoesNotMatch", reason)
            if "Content-Length" not in request.headers:
                return _refusal(411, "MissingContentLength", "The length of the body must be said beforehand.")
            found.bodies.append(request.get_data(cache=True))
        return Response(status=200)


def _refusal(status: int, code: str, message: str) -> Response:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(body, status, content_type="application/xml")
