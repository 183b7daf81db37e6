"""How each service says that a call is not allowed.

Sources: "Common Errors" in the services' API references, "Troubleshoot access denied error messages" for the sentence.
"""

from __future__ import annotations

import json
import uuid
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from tests.local_cloud.s3_request import S3Error

_REST_JSON = ("lambda", "scheduler")


def refusal(service: str, request: Request, message: str) -> Response:
    """Return the service's own error for a call that is not allowed."""
    if service == "s3":
        return S3Error(403, "AccessDenied", message).response(request)
    if service in _REST_JSON:
        response = Response(json.dumps({"Message": message}), 403, content_type="application/json")
        response.headers["x-amzn-ErrorType"] = "AccessDeniedException"
        return response
    if request.headers.get("X-Amz-Target"):
        return _json_refusal(service, message)
    error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{escape(message)}</Message></Error>"
    body = f"<ErrorResponse>{error}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    return Response(body, 403, content_type="text/xml")


def _json_refusal(service: str, message: str) -> Response:
    # CloudWatch answers with the code that it had in its older protocol.
    code = "AccessDenied" if service == "monitoring" else "AccessDeniedException"
    body = json.dumps({"__type": code, "message": message})
    response = Response(body, 400, content_type="application/x-amz-json-1.0")
    response.headers["x-amzn-ErrorType"] = code
    return response
