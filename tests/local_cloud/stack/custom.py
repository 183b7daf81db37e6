"""Custom resources: a function of the stack is asked to make, change and remove them ("Custom resource reference")."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from tests.local_cloud.stack.parts import Kind, Made, Place, Properties, StackError, Standing, Wanted, keys
from tests.local_cloud.stack.response_desk import ResponseDesk
from tests.local_cloud.template_reader import TemplateError

MAX_ANSWER_BYTES = 4096
MAX_ID_BYTES = 1024
_TYPE = re.compile(r"Custom::[A-Za-z0-9_@-]{1,60}|AWS::CloudFormation::CustomResource")
_DEFAULT_TIMEOUT_S = 3600


def is_custom(resource_type: str) -> bool:
    """Return whether resources of this type are made by a function."""
    return _TYPE.fullmatch(resource_type) is not None


def custom_kind(desk: ResponseDesk) -> Kind:
    """Return how custom resources are made, changed and removed; their functions answer at this desk."""
    maker = _Maker(desk)
    required = keys("ServiceToken")
    return Kind(frozenset(), maker.make, maker.change, maker.remove, required=required, is_open=True)


class _Maker:
    def __init__(self, desk: ResponseDesk) -> None:
        self._desk = desk

    def make(self, place: Place, wanted: Wanted) -> Made:
        return self._ask(place, wanted, {"RequestType": "Create"})

    def change(self, place: Place, standing: Standing, wanted: Wanted) -> Made:
        before = {
            "RequestType": "Update",
            "PhysicalResourceId": standing.made.ref,
            "OldResourceProperties": _as_text(standing.wanted.properties),
        }
        return self._ask(place, wanted, before)

    def remove(self, place: Place, standing: Standing) -> None:
        removed = self._ask(place, standing.wanted, {"RequestType": "Delete", "PhysicalResourceId": standing.made.ref})
        if removed.ref != standing.made.ref:
            raise StackError(
                f"{standing.wanted.logical_id} was {standing.made.ref} and is called {removed.ref} in the answer to "
                "its deletion."
            )

    def _ask(self, place: Place, wanted: Wanted, request: Mapping[str, Any]) -> Made:
        properties = wanted.properties
        timeout_s = _timeout_s(wanted.logical_id, properties)
        token, url = self._desk.open()
        event = {
            **request,
            "ResponseURL": url,
            "StackId": place.stack_id,
            "RequestId": str(uuid.uuid4()),
            "ResourceType": wanted.resource.type,
            "LogicalResourceId": wanted.logical_id,
            "ResourceProperties": _as_text(properties),
        }
        started_at = time.monotonic()
        try:
            ended = _invoke(place, wanted.logical_id, properties["ServiceToken"], event)
        finally:
            bodies = self._desk.close(token)
        what = f"{request['RequestType']} of {wanted.logical_id}"
        if len(bodies) != 1 or time.monotonic() - started_at > timeout_s:
            raise StackError(f"{what}: {len(bodies)} answers came within {timeout_s:,} s, not one. {ended}")
        return _read(what, bodies[0], event)


def _timeout_s(logical_id: str, properties: Properties) -> int:
    timeout = str(properties.get("ServiceTimeout", _DEFAULT_TIMEOUT_S))
    if not timeout.isdigit() or not 1 <= int(timeout) <= 3600:
        raise TemplateError(f"ServiceTimeout of {logical_id} is {timeout}; 1 to 3600 seconds can be.")
    return int(timeout)


def _invoke(place: Place, logical_id: str, service_token: str, event: Mapping[str, Any]) -> str:
    """Run the function and return how that ended. CloudFormation would not wait for it, but for the answer only."""
    prefix = f"arn:aws:lambda:{place.region}:{place.account}:function:"
    if not str(service_token).startswith(prefix):
        raise TemplateError(f"ServiceToken of {logical_id} is {service_token}; a function of this region can be.")
    answer = place.client("lambda").invoke(FunctionName=service_token, Payload=json.dumps(event).encode())
    if "FunctionError" in answer:
        return f"The function failed: {answer['Payload'].read().decode()}"
    return "The function ended well; look whether its answer was refused."


def _read(what: str, body: bytes, event: Mapping[str, Any]) -> Made:
    if len(body) > MAX_ANSWER_BYTES:
        raise StackError(f"{what}: the answer has {len(body):,} bytes; {MAX_ANSWER_BYTES:,} can be.")
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise StackError(f"{what}: the answer {body!r} is not JSON: {error}.") from error
    if not isinstance(answer, dict):
        raise StackError(f"{what}: the answer {answer!r} is no JSON object.")
    for field in ("StackId", "RequestId", "LogicalResourceId"):
        if answer.get(field) != event[field]:
            raise StackError(f"{what}: the answer has the {field} {answer.get(field)!r}, not {event[field]!r}.")
    physical_id = answer.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not 1 <= len(physical_id.encode()) <= MAX_ID_BYTES:
        raise StackError(f"{what}: the answer has the PhysicalResourceId {physical_id!r}, which cannot be.")
    data = answer.get("Data") or {}
    if not isinstance(data, dict):
        raise StackError(f"{what}: Data of the answer is {data!r}, no JSON object.")
    if answer.get("Status") == "FAILED":
        raise StackError(f"{what} failed: {answer.get('Reason') or 'the answer lacks its Reason'}")
    if answer.get("Status") != "SUCCESS":
        raise StackError(f"{what}: the answer has the Status {answer.get('Status')!r}: SUCCESS or FAILED can be.")
    return Made(physical_id, data)


def _as_text(value: Any) -> Any:
    """Return a property as the function gets it: CloudFormation makes text of every number and truth."""
    if isinstance(value, Mapping):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
