"""The AWS JSON protocol from the service's side, driven by botocore's model of MemoryDB.

A request names its operation in `X-Amz-Target` and has a JSON body. What the model does not know is refused on the
way in, and is a programming error on the way out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import botocore.session
from botocore.model import ListShape, Shape, StructureShape
from werkzeug.wrappers import Request

from tests.local_cloud.managed.errors import Call, ServiceError

INVALID = "InvalidParameterValueException"
_TYPES: dict[str, type] = {"boolean": bool, "integer": int, "timestamp": datetime, "string": str}


class JsonService:
    """Reads requests and writes answers of one service that speaks AWS JSON."""

    def __init__(self, service: str) -> None:
        self._model = botocore.session.get_session().get_service_model(service)
        self._prefix = str(self._model.metadata["targetPrefix"])
        self.content_type = f"application/x-amz-json-{self._model.metadata['jsonVersion']}"

    def read(self, request: Request) -> Call:
        """Parse a request. Raises ServiceError when the protocol or the model does not allow it."""
        prefix, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
        if prefix != self._prefix or operation not in self._model.operation_names:
            raise ServiceError("UnknownOperationException", f"{operation or request.path} is no operation.")
        if request.headers.get("Content-Type") != self.content_type:
            raise ServiceError("UnknownOperationException", f"The content type must be {self.content_type}.")
        try:
            body = json.loads(request.get_data(cache=True))
        except ValueError as error:
            raise ServiceError("SerializationException", f"The body is not JSON: {error}") from error
        shape = self._model.operation_model(operation).input_shape
        return Call(operation, _read_value(shape, body, "") if shape else {})

    def write(self, operation: str, result: Mapping[str, Any]) -> bytes:
        """Return the JSON of a successful answer. Raises KeyError for a member that the model lacks."""
        shape = self._model.operation_model(operation).output_shape
        return json.dumps(_write_value(shape, result)).encode()

    def write_error(self, error: ServiceError) -> bytes:
        """Return the JSON of an error; its status is 400 whatever it is."""
        return json.dumps({"__type": error.code, "message": error.message}).encode()


def _read_value(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(shape, StructureShape):
        return _read_structure(shape, value, path)
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            raise ServiceError("SerializationException", f"{path} must be a list.")
        if len(value) > int(shape.metadata.get("max", len(value))):
            raise ServiceError(INVALID, f"{path} has too many items.")
        return [_read_value(shape.member, item, f"{path}.{number}") for number, item in enumerate(value, start=1)]
    expected = _TYPES[shape.type_name]
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise ServiceError("SerializationException", f"{path} must be a {shape.type_name}.")
    if isinstance(value, str):
        _check_text(shape, value, path)
    return value


def _read_structure(shape: StructureShape, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ServiceError("SerializationException", f"{path or 'The body'} must be a structure.")
    unknown = sorted(set(value) - set(shape.members))
    if unknown:
        raise ServiceError("SerializationException", f"Unknown parameter {_join(path, unknown[0])}.")
    found = {
        name: _read_value(shape.members[name], part, _join(path, name))
        for name, part in value.items()
        if part is not None
    }
    for name in shape.required_members:
        if found.get(name) in (None, ""):
            raise ServiceError(INVALID, f"The parameter {_join(path, name)} must be provided.")
    return found


def _check_text(shape: Shape, text: str, path: str) -> None:
    allowed = shape.metadata.get("enum")
    if allowed and text not in allowed:
        raise ServiceError(INVALID, f"{path} must be one of {', '.join(allowed)}.")
    if len(text) > int(shape.metadata.get("max", len(text))):
        raise ServiceError(INVALID, f"{path} is too long.")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, text):
        raise ServiceError(INVALID, f"{path} must match {pattern}: {text!r}")


def _write_value(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        return {name: _write_value(shape.members[name], part) for name, part in value.items() if part is not None}
    if isinstance(shape, ListShape):
        return [_write_value(shape.member, item) for item in value]
    if not isinstance(value, _TYPES[shape.type_name]):
        raise TypeError(f"{shape.name} must be a {shape.type_name}, not {value!r}")
    return value.timestamp() if isinstance(value, datetime) else value


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
