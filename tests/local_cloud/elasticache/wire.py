"""The AWS query protocol from the service's side, driven by botocore's model of one service.

A request is a form (`Action=...&Version=...&Tags.Tag.1.Key=...`), an answer is XML. What the model does not
know is refused on the way in, and is a programming error on the way out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import botocore.session
from botocore.model import ListShape, OperationModel, Shape, StructureShape

from tests.local_cloud.managed.errors import Call, ServiceError

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class QueryService:
    """Reads requests and writes answers of one query-protocol service."""

    def __init__(self, service: str) -> None:
        self._model = botocore.session.get_session().get_service_model(service)
        self._namespace = str(self._model.metadata["xmlNamespace"])
        self._statuses = {
            str(shape.metadata["error"]["code"]): int(shape.metadata["error"]["httpStatusCode"])
            for shape in self._model.error_shapes
            if "error" in shape.metadata
        }
        self._statuses |= {"AccessDenied": 403, "OptInRequired": 403}

    def read(self, body: bytes) -> Call:
        """Parse a request's body. Raises ServiceError when the model does not allow it."""
        form = _read_form(body)
        action = form.pop("Action", None)
        if not action:
            raise ServiceError("MissingAction", "The request is missing an action.")
        version = form.pop("Version", None)
        if action not in self._model.operation_names or version != self._model.api_version:
            raise ServiceError("InvalidAction", f"Could not find operation {action} for version {version}")
        shape = self._operation(action).input_shape
        if shape is None:
            return Call(action, {})
        return Call(action, _read_value(shape, _tree(form), ""))

    def write(self, operation: str, result: Mapping[str, Any], request_id: str) -> bytes:
        """Return the XML of a successful answer. Raises KeyError for a member that the model lacks."""
        root = ET.Element(f"{operation}Response", {"xmlns": self._namespace})
        shape = self._operation(operation).output_shape
        if shape is not None:
            wrapper = shape.serialization.get("resultWrapper")
            _write_value(shape, result, ET.SubElement(root, wrapper) if wrapper else root)
        metadata = ET.SubElement(root, "ResponseMetadata")
        ET.SubElement(metadata, "RequestId").text = request_id
        return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))

    def write_error(self, error: ServiceError, request_id: str) -> tuple[int, bytes]:
        """Return the HTTP status and the XML of an error; the status is what the model states for its code."""
        root = ET.Element("ErrorResponse", {"xmlns": self._namespace})
        parts = ET.SubElement(root, "Error")
        for tag, text in (("Type", "Sender"), ("Code", error.code), ("Message", error.message)):
            ET.SubElement(parts, tag).text = _NOT_XML.sub("?", text)
        ET.SubElement(root, "RequestId").text = request_id
        body = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return self._statuses.get(error.code, 400), bytes(body)

    def _operation(self, name: str) -> OperationModel:
        return self._model.operation_model(name)


def _read_form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body))
    except ValueError as error:
        raise ServiceError("MalformedQueryString", f"The body is not a form: {error}") from error
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form:
            raise ServiceError("MalformedQueryString", f"The parameter {name} appears twice.")
        if _NOT_XML.search(value):
            raise ServiceError("InvalidParameterValue", f"The parameter {name} has control characters.")
        form[name] = value
    return form


def _tree(form: Mapping[str, str]) -> dict[str, Any]:
    """Turn {"Tags.Tag.1.Key": "a"} into {"Tags": {"Tag": {"1": {"Key": "a"}}}}."""
    tree: dict[str, Any] = {}
    for name, value in form.items():
        *path, last = name.split(".")
        node = tree
        for step in path:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise ServiceError("MalformedQueryString", f"{name} goes below a plain value.")
        if last in node:
            raise ServiceError("MalformedQueryString", f"{name} is both a value and a structure.")
        node[last] = value
    return tree


def _read_value(shape: Shape, node: Any, path: str) -> Any:
    if isinstance(shape, StructureShape):
        return _read_structure(shape, node, path)
    if isinstance(shape, ListShape):
        return _read_list(shape, node, path)
    if not isinstance(node, str):
        raise ServiceError("MalformedQueryString", f"{path} must be one value.")
    return _read_scalar(shape, node, path)


def _read_structure(shape: StructureShape, node: Any, path: str) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise ServiceError("MalformedQueryString", f"{path} must be a structure.")
    wire_names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
    unknown = sorted(set(node) - set(wire_names))
    if unknown:
        raise ServiceError("InvalidQueryParameter", f"Unknown parameter {_join(path, unknown[0])}.")
    found = {
        wire_names[name]: _read_value(shape.members[wire_names[name]], child, _join(path, name))
        for name, child in node.items()
    }
    for name in shape.required_members:
        if found.get(name) in (None, ""):
            raise ServiceError("MissingParameter", f"The parameter {_join(path, name)} must be provided.")
    return found


def _read_list(shape: ListShape, node: Any, path: str) -> list[Any]:
    if node == "":
        return []
    if not shape.serialization.get("flattened"):
        member_name = shape.member.serialization.get("name", "member")
        if not isinstance(node, dict) or set(node) != {member_name}:
            raise ServiceError("MalformedQueryString", f"{path} must be a list of {member_name}.")
        node = node[member_name]
    if not isinstance(node, dict) or set(node) != {str(number + 1) for number in range(len(node))}:
        raise ServiceError("MalformedQueryString", f"The items of {path} must be numbered from 1.")
    return [_read_value(shape.member, node[str(number + 1)], f"{path}.{number + 1}") for number in range(len(node))]


def _read_scalar(shape: Shape, text: str, path: str) -> Any:
    if shape.type_name == "boolean":
        if text not in ("true", "false"):
            raise ServiceError("InvalidParameterValue", f"{path} must be true or false, not {text!r}.")
        return text == "true"
    if shape.type_name in ("integer", "long"):
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ServiceError("InvalidParameterValue", f"{path} must be a whole number, not {text!r}.")
        return int(text)
    if shape.type_name == "timestamp":
        return _read_time(text, path)
    if shape.type_name != "string":
        raise ServiceError("InvalidParameterValue", f"{path}: a {shape.type_name} is not understood here.")
    allowed = shape.metadata.get("enum")
    if allowed and text not in allowed:
        raise ServiceError("InvalidParameterValue", f"{path} must be one of {', '.join(allowed)}.")
    return text


def _read_time(text: str, path: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ServiceError("InvalidParameterValue", f"{path} must be a time in ISO 8601, not {text!r}.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _write_value(shape: Shape, value: Any, element: ET.Element) -> None:
    if isinstance(shape, StructureShape):
        for name, part in value.items():
            member = shape.members[name]
            if part is not None:
                tag = member.serialization.get("name", name)
                _write_value(member, part, ET.SubElement(element, tag))
    elif isinstance(shape, ListShape):
        for item in value:
            tag = shape.member.serialization.get("name", "member")
            _write_value(shape.member, item, ET.SubElement(element, tag))
    else:
        element.text = _write_scalar(shape, value)


def _write_scalar(shape: Shape, value: Any) -> str:
    expected: dict[str, type] = {"boolean": bool, "integer": int, "timestamp": datetime, "string": str}
    if not isinstance(value, expected[shape.type_name]):
        raise TypeError(f"{shape.name} must be a {shape.type_name}, not {value!r}")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
