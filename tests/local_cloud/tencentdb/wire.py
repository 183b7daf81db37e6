"""What each action takes, and how requests and answers look: JSON both ways, errors in answers with status 200.

The parameters are those of the API's documentation, as far as they are done here; whatever is not in the table is
refused, not ignored. The codes are among "Common error codes" of Tencent Cloud API 3.0; the messages are believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

VERSION = "2018-04-12"

# "!" marks what is required.
_TAKEN: dict[str, dict[str, str]] = {
    "DescribeInstances": {
        "Limit": "integer",
        "Offset": "integer",
        "InstanceId": "string",
        "InstanceIds": "strings",
        "SearchKey": "string",
        "Status": "integers",
        "Type": "integer",
    },
    "DescribeInstanceBackups": {
        "InstanceId": "string",
        "InstanceName": "string",
        "Limit": "integer",
        "Offset": "integer",
        "BeginTime": "string",
        "EndTime": "string",
        "Status": "integers",
    },
    "DescribeBackupDetail": {"InstanceId": "string!", "BackupId": "string!"},
    "DescribeBackupUrl": {
        "InstanceId": "string!",
        "BackupId": "string!",
        "LimitType": "string",
        "VpcComparisonSymbol": "string",
        "IpComparisonSymbol": "string",
        "LimitVpc": "objects",
        "LimitIp": "strings",
    },
    "DescribeBackupDownloadRestriction": {},
    "ManualBackupInstance": {"InstanceId": "string!", "Remark": "string", "StorageDays": "integer"},
    "DescribeAutoBackupConfig": {"InstanceId": "string!"},
    "DescribeTaskInfo": {"TaskId": "integer!"},
}
ACTIONS = frozenset(_TAKEN)
_TYPES: dict[str, type] = {"string": str, "integer": int, "object": dict}


class ApiError(Exception):
    """What the service answers instead of a result."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def invalid(message: str) -> ApiError:
    """Return the error of a value that breaks a rule; the code that the redis service's actions document for it."""
    return ApiError("InvalidParameter.InvalidParameter", message)


def read_parameters(action: str, body: bytes) -> dict[str, Any]:
    """Return an action's parameters. Raises ApiError for unknown, missing and mistyped ones."""
    try:
        given = json.loads(body)
    except ValueError as error:
        raise ApiError("InvalidParameter", "The request's body is not JSON.") from error
    if not isinstance(given, dict):
        raise ApiError("InvalidParameter", "The request's body is not a JSON object.")
    taken = _TAKEN[action]
    for name, value in given.items():
        if name not in taken:
            raise ApiError("UnknownParameter", f"The parameter `{name}` is not recognized, or is not done here.")
        if not _fits(value, taken[name].removesuffix("!")):
            raise ApiError("InvalidParameter", f"The value type of parameter `{name}` is not valid.")
    for name, kind in taken.items():
        if kind.endswith("!") and name not in given:
            raise ApiError("MissingParameter", f"The request is missing a required parameter `{name}`.")
    return given


def _fits(value: Any, kind: str) -> bool:
    if kind.endswith("s"):
        return isinstance(value, list) and all(_fits(each, kind[:-1]) for each in value)
    return isinstance(value, _TYPES[kind]) and not isinstance(value, bool)


def write_answer(result: Mapping[str, Any], request_id: str) -> str:
    """Return the body of an answer."""
    return json.dumps({"Response": {**result, "RequestId": request_id}})


def write_error(error: ApiError, request_id: str) -> str:
    """Return the body of an answer that is an error."""
    return write_answer({"Error": {"Code": error.code, "Message": error.message}}, request_id)


def page(parameters: Mapping[str, Any], *, largest: int) -> slice:
    """Return which of all results one answer holds. Raises ApiError for a Limit or an Offset that does not fit."""
    limit, offset = parameters.get("Limit", 20), parameters.get("Offset", 0)
    if not 1 <= limit <= largest:
        raise invalid(f"Limit must be from 1 to {largest}: {limit}")
    if offset < 0 or offset % limit:
        raise invalid(f"Offset must be a multiple of Limit: {offset}, {limit}")
    return slice(offset, offset + limit)
