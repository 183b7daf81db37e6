"""CloudWatch Logs in front of moto: moto keeps log groups and events, this refuses what moto takes unseen."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any

from moto.logs.models import LogsBackend, logs_backends
from werkzeug.wrappers import Request, Response

from tests.local_cloud.front import Forward
from tests.local_cloud.paging import BadTokenError, cut_page

# "PutRetentionPolicy": the numbers of days that events can be kept.
RETENTION_DAYS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)
_NAME = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_MOST_GROUPS = 50


class LogsError(Exception):
    """A parameter that Logs refuses."""


class LogsGuard:
    """Answers every request to CloudWatch Logs."""

    def __init__(self, region: str, account_id: str) -> None:
        self._region = region
        self._account_id = account_id
        # Held by whoever looks at moto's own log groups or adds to them, beside requests.
        self.lock = threading.RLock()

    def handle(self, request: Request, forward: Forward) -> Response:
        """Answer one request."""
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        try:
            asked = json.loads(request.get_data(cache=True) or b"{}")
            with self.lock:
                if operation == "DescribeLogGroups":
                    return self._describe(asked)
                if operation == "CreateLogGroup":
                    _check_new(asked)
                elif operation == "PutRetentionPolicy":
                    _check_retention(asked.get("retentionInDays"))
                answer = forward(request)
                if operation == "DeleteLogGroup" and answer.status_code == 200:
                    # A group made later under the same name does not begin with the tags of this one.
                    arn = f"arn:aws:logs:{self._region}:{self._account_id}:log-group:{asked['logGroupName']}"
                    self._backend.tagger.delete_all_tags_for_resource(arn)
                return answer
        except LogsError as error:
            body = {"__type": "InvalidParameterException", "message": str(error)}
            return Response(json.dumps(body), 400, content_type="application/x-amz-json-1.1")

    @property
    def _backend(self) -> LogsBackend:
        return logs_backends[self._account_id][self._region]

    def _describe(self, asked: Mapping[str, Any]) -> Response:
        others = sorted(set(asked) - {"limit", "logGroupNamePrefix", "nextToken"})
        if others:
            raise LogsError(f"The local cloud finds no log groups by {', '.join(others)}.")
        prefix = asked.get("logGroupNamePrefix")
        if prefix is not None and not _NAME.fullmatch(prefix):
            raise LogsError(f"logGroupNamePrefix {prefix!r} cannot begin a log group's name.")
        size = asked.get("limit", _MOST_GROUPS)
        if not 1 <= size <= _MOST_GROUPS:
            raise LogsError(f"limit is {size}; 1 to {_MOST_GROUPS} can be.")
        found = [group for name, group in sorted(self._backend.groups.items()) if name.startswith(prefix or "")]
        try:
            page = cut_page(found, asked.get("nextToken"), size)
        except BadTokenError as error:
            raise LogsError(f"nextToken: {error}") from error
        shown = {"logGroups": [group.to_describe_dict() for group in page.items]}
        following = {"nextToken": page.next_token} if page.next_token else {}
        return Response(json.dumps(shown | following), content_type="application/x-amz-json-1.1")


def _check_new(asked: Mapping[str, Any]) -> None:
    name = str(asked.get("logGroupName"))
    if not _NAME.fullmatch(name) or name.startswith("aws/"):
        raise LogsError(f"logGroupName {name!r}: 1 to 512 of A-Z, a-z, 0-9, ._-/# can be, but not aws/ in front.")
    tags = asked.get("tags") or {}
    if len(tags) > 50:
        raise LogsError(f"tags: {len(tags)} are given, a log group can have 50.")
    for key, value in tags.items():
        if not (1 <= len(key) <= 128 and len(value) <= 256) or key.lower().startswith("aws:"):
            raise LogsError(f"tags: {key!r} with the value {value!r} cannot be a tag.")


def _check_retention(days: object) -> None:
    if days not in RETENTION_DAYS:
        raise LogsError(f"retentionInDays is {days!r}; {', '.join(map(str, sorted(RETENTION_DAYS)))} can be.")
