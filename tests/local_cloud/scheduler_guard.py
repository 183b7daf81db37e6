"""EventBridge Scheduler in front of moto: moto keeps schedules, this refuses what moto takes unseen."""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, scheduler_backends
from werkzeug.wrappers import Request, Response

from tests.local_cloud.front import Forward, with_body
from tests.local_cloud.paging import BadTokenError, cut_page
from tests.local_cloud.scheduler_roles import check_role
from tests.local_cloud.scheduler_rules import FunctionTarget, SchedulerError, check_name, check_schedule, invalid

_REGION = re.compile(r"Credential=[^/,\s]+/\d{8}/([a-z0-9-]+)/scheduler/")
# What UpdateSchedule sets where the request says nothing ("UpdateSchedule" in the API reference: it replaces all).
_DEFAULTS = {"State": "ENABLED", "ScheduleExpressionTimezone": "UTC", "ActionAfterCompletion": "NONE"}

_PAGE = 100
# A millisecond: what a date of this service tells apart.
_TICK_S = 0.001

Now = Callable[[], dt.datetime]
IsDurable = Callable[[str], bool]
TargetExists = Callable[[str, str | None], bool]


@dataclass(frozen=True)
class _Answered:
    """A request that was served under a client token, and its answer."""

    body: Mapping[str, Any]
    answer: bytes


class SchedulerGuard:
    """Answers every request to Scheduler.

    `is_durable(function_name)` and `target_exists(function_name, qualifier)` ask Lambda's stand-in about a target; a
    question that cannot be asked counts as answered well. `check_roles=False` takes any role. `now` is the clock.
    """

    def __init__(
        self,
        account_id: str = "000000000000",
        is_durable: IsDurable | None = None,
        target_exists: TargetExists | None = None,
        *,
        check_roles: bool = True,
        now: Now = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._account_id = account_id
        self._is_durable = is_durable
        self._target_exists = target_exists
        self._check_roles = check_roles
        self._now = now
        self._lock = threading.RLock()
        self._answered: dict[tuple[str, str, str, str], _Answered] = {}

    def handle(self, request: Request, forward: Forward) -> Response:
        """Answer one request as Scheduler would."""
        collection, _, name = request.path.strip("/").partition("/")
        try:
            with self._lock:
                if collection == "schedules" and name:
                    return self._on_schedule(name, request, forward)
                if collection == "schedules" and request.method == "GET":
                    return self._list(request)
                if collection == "schedule-groups" and name:
                    return self._on_group(name, request, forward)
            return forward(request)
        except SchedulerError as error:
            response = _json_answer({"Message": error.message}, error.status)
            response.headers["x-amzn-ErrorType"] = error.code
            return response

    def _list(self, request: Request) -> Response:
        asked = request.args
        _check_size(asked.get("MaxResults"))
        if "ScheduleGroup" in asked:
            self._get_group(request, asked["ScheduleGroup"])
        found = [
            schedule
            for group in self._backend(request).schedule_groups.values()
            for schedule in group.schedules.values()
            if asked.get("ScheduleGroup") in (None, group.name)
            and asked.get("State") in (None, schedule.state)
            and schedule.name.startswith(asked.get("NamePrefix", ""))
        ]
        try:
            page = cut_page(found, asked.get("NextToken"), int(asked.get("MaxResults", _PAGE)))
        except BadTokenError as error:
            raise invalid(f"NextToken: {error}") from error
        following = {"NextToken": page.next_token} if page.next_token else {}
        return _json_answer({"Schedules": [_summary(one) for one in page.items]} | following)

    def _on_schedule(self, name: str, request: Request, forward: Forward) -> Response:
        if request.method in ("POST", "PUT"):
            return self._write(name, request, forward)
        group = request.args.get("groupName", "default")
        self._get_group(request, group)
        if request.method == "DELETE":
            response = forward(request)
            if response.status_code == 200:
                self._forget(group, name)
            return response
        return forward(request)

    def _on_group(self, name: str, request: Request, forward: Forward) -> Response:
        groups = self._backend(request).schedule_groups
        if request.method == "POST":
            check_name("Name", name)
            if name in groups:
                raise SchedulerError("ConflictException", f"Schedule group {name} already exists.", 409)
            return forward(request)
        self._get_group(request, name)
        if request.method == "DELETE":
            if name == "default":
                raise invalid("The default schedule group cannot be deleted.")
            for schedule in list(groups[name].schedules):
                self._forget(name, schedule)
        return forward(request)

    def _write(self, name: str, request: Request, forward: Forward) -> Response:
        body = _body_of(request)
        group = body.get("GroupName", "default")
        target = check_schedule(name, body, self._now())
        self._get_group(request, group)
        token = body.get("ClientToken")
        key = (request.method, group, name, str(token))
        if token is not None and key in self._answered:
            return self._answer_again(key, body)
        self._check_target(target)
        if self._check_roles:
            group_arn = self._backend(request).schedule_groups[group].arn
            check_role(self._account_id, body["Target"]["RoleArn"], group_arn, target.arn)
        self._check_conflict(request, group, name)
        response = self._keep(request, group, name, {**_DEFAULTS, **body}, forward)
        if response.status_code == 200 and token is not None:
            self._answered[key] = _Answered(body, response.get_data())
        return response

    def _keep(self, request: Request, group: str, name: str, schedule: Mapping[str, Any], forward: Forward) -> Response:
        kept = self._backend(request).schedule_groups[group].schedules
        changed_at = kept[name].last_modified_date if name in kept else 0.0
        response = forward(with_body(request, json.dumps(schedule).encode()))
        if response.status_code == 200:
            # moto leaves this one out of an update.
            kept[name].action_after_completion = schedule["ActionAfterCompletion"]
            kept[name].last_modified_date = max(kept[name].last_modified_date, changed_at + _TICK_S)
        return response

    def _answer_again(self, key: tuple[str, str, str, str], body: Mapping[str, Any]) -> Response:
        answered = self._answered[key]
        if answered.body != body:
            raise SchedulerError("ConflictException", "The ClientToken was used with other parameters.", 409)
        return Response(answered.answer, content_type="application/json")

    def _check_conflict(self, request: Request, group: str, name: str) -> None:
        exists = name in self._backend(request).schedule_groups[group].schedules
        if request.method == "POST" and exists:
            raise SchedulerError("ConflictException", f"Schedule {name} already exists.", 409)
        if request.method == "PUT" and not exists:
            raise SchedulerError("ResourceNotFoundException", f"Schedule {name} does not exist.", 404)

    def _check_target(self, target: FunctionTarget) -> None:
        # The service's documents do not say whether it looks for the function when a schedule is made. Here it does:
        # a schedule that names nothing would only be found when it fires.
        if self._target_exists and not self._target_exists(target.name, target.qualifier):
            raise invalid(f"Target.Arn {target.arn} names no function, version or alias that exists.")
        # A durable function can only be invoked by a qualified ARN ("Invoking durable Lambda functions").
        if target.qualifier is None and self._is_durable and self._is_durable(target.name):
            raise invalid(f"Target.Arn {target.arn} is a durable function and must name a version or an alias.")

    def _get_group(self, request: Request, name: str) -> None:
        if name not in self._backend(request).schedule_groups:
            raise SchedulerError("ResourceNotFoundException", f"Schedule group {name} does not exist.", 404)

    def _backend(self, request: Request) -> EventBridgeSchedulerBackend:
        region = _REGION.search(request.headers.get("Authorization", ""))
        if region is None:
            raise SchedulerError("AccessDeniedException", "The request is not signed for Scheduler.", 403)
        return scheduler_backends[self._account_id][region[1]]

    def _forget(self, group: str, name: str) -> None:
        """Let a schedule of that name be made anew under any token."""
        self._answered = {key: kept for key, kept in self._answered.items() if key[1:3] != (group, name)}


def _summary(schedule: Schedule) -> dict[str, Any]:
    shown = schedule.to_dict(short=True)
    fields = ("Arn", "CreationDate", "GroupName", "LastModificationDate", "Name", "State", "Target")
    return {field: shown[field] for field in fields}


def _check_size(asked: str | None) -> None:
    if asked is not None and not (asked.isdigit() and 1 <= int(asked) <= _PAGE):
        raise invalid(f"MaxResults is {asked}; 1 to {_PAGE} can be.")


def _json_answer(data: object, status: int = 200) -> Response:
    return Response(json.dumps(data), status, content_type="application/json")


def _body_of(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.get_data(cache=True))
    except json.JSONDecodeError as error:
        raise SchedulerError("SerializationException", f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise SchedulerError("SerializationException", "The body is not a JSON object.")
    return body
