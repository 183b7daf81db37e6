"""The Lambda API's forms: errors, answers, and the ways to name a function."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from werkzeug.wrappers import Request, Response

LATEST = "$LATEST"

_STATUS = {
    "DurableExecutionAlreadyStartedException": 409,
    "PreconditionFailedException": 412,
    "RequestTooLargeException": 413,
    "ResourceConflictException": 409,
    "ResourceNotFoundException": 404,
    "ServiceException": 500,
}
_FUNCTION = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]+))?"
)


class LambdaError(Exception):
    """An error as the Lambda API answers it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        return _STATUS.get(self.code, 400)


def invalid(message: str) -> LambdaError:
    """Return the error for a parameter that cannot be."""
    return LambdaError("InvalidParameterValueException", message)


def not_found(what: str) -> LambdaError:
    """Return the error for something that does not exist."""
    return LambdaError("ResourceNotFoundException", f"{what} does not exist. Look at its name, version or alias.")


def conflict(message: str) -> LambdaError:
    """Return the error for something that cannot be done now."""
    return LambdaError("ResourceConflictException", message)


def json_answer(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with a JSON body."""
    return bytes_answer(json.dumps(data).encode(), status, headers)


def bytes_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with this body, which is JSON already."""
    response = Response(body, status=status, content_type="application/json")
    response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
    response.headers.update(headers or {})
    return response


def error_answer(error: LambdaError) -> Response:
    """Return an error in the form that an SDK understands."""
    body = {
        "Type": "User" if error.status < 500 else "Service",
        "Message": error.message,
        "message": error.message,
    }
    return json_answer(body, error.status, {"x-amzn-ErrorType": error.code})


def json_body(request: Request) -> dict[str, Any]:
    """Return the request's JSON object, empty when there is no body."""
    data = request.get_data(cache=True)
    try:
        body = json.loads(data) if data else {}
    except ValueError as error:
        raise LambdaError("SerializationException", f"The request's body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise LambdaError("SerializationException", "The request's body is not a JSON object.")
    return body


def path_segments(request: Request) -> list[str]:
    """Return the decoded parts of the path as it was sent: a slash within a part stays within it."""
    raw = str(request.environ.get("RAW_URI") or request.path).split("?", 1)[0]
    return [unquote(part) for part in raw.split("/") if part]


@dataclass(frozen=True)
class FunctionRef:
    """A function as a request names it: by name, partial ARN or ARN, with or without a qualifier."""

    name: str
    qualifier: str | None


def parse_function(text: str, qualifier: str | None, *, region: str, account_id: str) -> FunctionRef:
    """Return the function that a request means; raises when the parts contradict each other or are elsewhere."""
    found = _FUNCTION.fullmatch(text)
    if found is None:
        raise invalid(f"{text!r} is neither a function's name nor its ARN.")
    if found["region"] not in (None, region) or found["account"] not in (None, account_id):
        raise not_found(f"Function {text} in region {region} and account {account_id}")
    in_name = found["qualifier"]
    if in_name and qualifier and in_name != qualifier:
        raise invalid(f"The function is named with qualifier {in_name}, the request asks for {qualifier}.")
    return FunctionRef(found["name"], in_name or qualifier)
