"""Which operation of which service a request is, and with which parameters: read by botocore's models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import botocore.session
from botocore.model import OperationModel, ServiceModel
from werkzeug.wrappers import Request

from tests.local_cloud.lambda_api import path_segments
from tests.local_cloud.s3_request import read_call

_CREDENTIAL = re.compile(
    r"(?:Credential=|^)(?P<key>[^/,\s]+)/\d{8}/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request"
)
_REST_JSON = ("lambda", "scheduler")
# Headers of an S3 request that need more than the operation's own permission.
_S3_HEADERS = re.compile(
    r"if-match|x-amz-(copy-source|acl|grant-.*|tagging|object-lock-.*|bypass-governance-retention"
    r"|server-side-encryption-aws-kms-key-id)"
)


class UnknownCallError(Exception):
    """A request whose permissions nobody has written down here."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: its permissions are not known. Add it to tests/local_cloud/permissions.")


@dataclass(frozen=True)
class Signer:
    """Who signed a request, for which region and service."""

    access_key: str
    region: str
    service: str


@dataclass(frozen=True)
class Call:
    """One request, as the service's API reference names it; the service as its signature does."""

    service: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def signer_of(request: Request) -> Signer | None:
    """Return who signed the request, None when nobody did."""
    credential = request.headers.get("Authorization") or request.args.get("X-Amz-Credential") or ""
    found = _CREDENTIAL.search(credential)
    return Signer(found["key"], found["region"], found["service"].lower()) if found else None


def read(service: str, request: Request) -> Call:
    """Return what the request asks for; raise UnknownCallError where that cannot be told."""
    if service == "s3":
        return _read_s3(request)
    if service in _REST_JSON:
        return _read_rest(service, request)
    if target := request.headers.get("X-Amz-Target"):
        return Call(service, target.rpartition(".")[2], json.loads(request.get_data(cache=True) or b"{}"))
    form = dict(parse_qsl(request.get_data(cache=True).decode("utf-8", "replace"), keep_blank_values=True))
    if "Action" not in form:
        raise UnknownCallError(f"{service}: {request.method} {request.path}")
    return Call(service, form.pop("Action"), form)


def _read_s3(request: Request) -> Call:
    call = read_call(request)
    parameters = {"Bucket": call.bucket, "Key": call.key, "Prefix": call.listed_prefix}
    parameters["VersionId"] = request.args.get("versionId", "")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Call("s3", call.operation, parameters | {key: headers[key] for key in headers if _S3_HEADERS.match(key)})


@dataclass(frozen=True)
class _Route:
    operation: str
    method: str
    parts: tuple[str, ...]
    query: Mapping[str, str]

    def labels(self, request: Request, segments: list[str]) -> dict[str, str] | None:
        """Return what stands in the path's labels, None when the request is for another operation."""
        if (self.method, len(self.parts)) != (request.method, len(segments)):
            return None
        if any(request.args.get(name) != value for name, value in self.query.items()):
            return None
        labels = {}
        for part, segment in zip(self.parts, segments, strict=True):
            if part.startswith("{"):
                labels[part.strip("{+}")] = segment
            elif part != segment:
                return None
        return labels


@cache
def _model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


@cache
def _routes(service: str) -> list[_Route]:
    routes = [_route(_model(service).operation_model(name)) for name in _model(service).operation_names]
    # The most words first: a word must not be taken for what a label could hold.
    return sorted(routes, key=lambda route: (sum("{" in part for part in route.parts), -len(route.query)))


def _route(operation: OperationModel) -> _Route:
    path, _, query = operation.http["requestUri"].partition("?")
    parts = tuple(part for part in path.split("/") if part)
    return _Route(operation.name, operation.http["method"], parts, dict(parse_qsl(query)))


def _read_rest(service: str, request: Request) -> Call:
    segments = path_segments(request)
    for route in _routes(service):
        labels = route.labels(request, segments)
        if labels is not None:
            return Call(service, route.operation, _parameters(service, route.operation, request, labels))
    raise UnknownCallError(f"{service}: {request.method} {request.path}")


def _parameters(service: str, operation: str, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
    shape = _model(service).operation_model(operation).input_shape
    if shape is None:
        return {}
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire_name = member.serialization.get("name", name)
        if member.serialization.get("location") == "uri":
            found[name] = labels[wire_name]
        elif member.serialization.get("location") == "querystring" and wire_name in request.args:
            values = request.args.getlist(wire_name)
            found[name] = values if member.type_name == "list" else values[0]
    if shape.serialization.get("payload") is None and (body := request.get_data(cache=True)):
        found.update(json.loads(body))
    return found
