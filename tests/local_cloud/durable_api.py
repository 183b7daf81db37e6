"""The durable execution operations of the Lambda API, in the form that an unchanged SDK sends and reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from aws_durable_execution_sdk_python.lambda_service import ErrorObject
from aws_durable_execution_sdk_python_testing import exceptions as runner_errors
from aws_durable_execution_sdk_python_testing.execution import Execution
from aws_durable_execution_sdk_python_testing.model import CheckpointDurableExecutionRequest
from aws_durable_execution_sdk_python_testing.model import Execution as ExecutionSummary
from aws_durable_execution_sdk_python_testing.web.serialization import JSONSerializer
from werkzeug.wrappers import Request, Response

from tests.local_cloud.durable import CLOSED_STATUSES, DurableExecutions
from tests.local_cloud.lambda_api import LambdaError, bytes_answer, conflict, invalid, json_body, not_found
from tests.local_cloud.paging import BadTokenError, cut_page

_DEFAULT_PAGE = 100
_MAX_PAGE = 1000
_STATUSES = CLOSED_STATUSES | {"RUNNING", "DELETING", "PAUSING", "PAUSED"}


class DurableApi:
    """Answers the operations on executions."""

    def __init__(self, executions: DurableExecutions) -> None:
        self._executions = executions
        self._executor = executions.executor

    def answer(self, request: Request, segments: list[str]) -> Response:
        """Answer a request whose path begins with durable-executions or durable-execution-callbacks."""
        try:
            match request.method, segments:
                case "GET", ["durable-executions", arn]:
                    return self._get(request, arn)
                case "DELETE", ["durable-executions", arn]:
                    return self._delete(arn)
                case "POST", ["durable-executions", arn, "stop"]:
                    return self._stop(request, arn)
                case "GET", ["durable-executions", arn, "history"]:
                    return self._history(request, arn)
                case "GET", ["durable-executions", arn, "state"]:
                    return self._state(request, arn)
                case "POST", ["durable-executions", arn, "checkpoint"]:
                    return self._checkpoint(request, arn)
                case "POST", ["durable-execution-callbacks", callback_id, end]:
                    return self._callback(request, callback_id, end)
        except runner_errors.AwsApiException as error:
            raise _translated(error) from error
        raise invalid(f"The local cloud has no {request.method} {'/'.join(segments)}.")

    def list_by_function(self, request: Request, function_name: str, version: str | None) -> Response:
        """Answer with the executions of one function, of one version of it if that is given."""
        asked = request.args
        statuses = set(asked.getlist("Statuses"))
        if unknown := statuses - _STATUSES:
            raise invalid(f"{', '.join(sorted(unknown))} is not a status of executions.")
        matches = [
            execution
            for execution in self._executions.store.list_all()
            if execution.start_input.function_name == function_name
            and version in (None, execution.start_input.function_qualifier)
            and asked.get("DurableExecutionName") in (None, execution.start_input.execution_name)
            and (not statuses or execution.current_status().value in statuses)
            and _is_between(execution, asked.get("StartedAfter"), asked.get("StartedBefore"))
        ]
        # The newest comes first, unless ReverseOrder is true ("ListDurableExecutionsByFunction").
        matches.sort(key=_started_at, reverse=asked.get("ReverseOrder") != "true")
        try:
            page = cut_page(matches, asked.get("Marker"), _page_size(request))
        except BadTokenError as error:
            raise invalid(f"Marker: {error}") from error
        shown = [
            ExecutionSummary.from_execution(one, one.current_status().value, self._executions.region).to_dict()
            for one in page.items
        ]
        return _answer({"DurableExecutions": shown} | ({"NextMarker": page.next_token} if page.next_token else {}))

    def _get(self, request: Request, arn: str) -> Response:
        status = self._executions.status(arn)
        settings = self._executions.settings_of(arn)
        status["DurableConfig"] = {
            "ExecutionTimeout": settings.execution_timeout_s,
            "RetentionPeriodInDays": settings.retention_days,
        }
        timeout = dt.timedelta(seconds=settings.execution_timeout_s)
        status["ExpectedExecutionTimeoutTimestamp"] = status["StartTimestamp"] + timeout
        status["ExecutionDataIncluded"] = _wants_data(request)
        if not _wants_data(request):
            for field in ("InputPayload", "Result", "Error"):
                status.pop(field, None)
        return _answer(status)

    def _delete(self, arn: str) -> Response:
        status = self._executions.status(arn)["Status"]
        if status not in CLOSED_STATUSES:
            raise conflict(f"Execution {arn} is {status}; stop it, then it can be deleted.")
        self._executions.delete(arn)
        return _answer({"DeletionRequestTimestamp": dt.datetime.now(dt.UTC)}, 202)

    def _stop(self, request: Request, arn: str) -> Response:
        self._executions.status(arn)
        body = json_body(request)
        error = ErrorObject.from_dict(body) if body else None
        return _answer(self._executor.stop_execution(arn, error).to_dict())

    def _history(self, request: Request, arn: str) -> Response:
        history = self._executor.get_execution_history(
            arn,
            include_execution_data=_wants_data(request),
            reverse_order=request.args.get("ReverseOrder") == "true",
            marker=request.args.get("Marker"),
            max_items=_page_size(request),
        )
        return _answer(history.to_dict())

    def _state(self, request: Request, arn: str) -> Response:
        state = self._executor.get_execution_state(
            arn,
            checkpoint_token=request.args.get("CheckpointToken"),
            marker=request.args.get("Marker") or None,
            max_items=_page_size(request),
        )
        return _answer(state.to_dict())

    def _checkpoint(self, request: Request, arn: str) -> Response:
        wanted = CheckpointDurableExecutionRequest.from_dict(json_body(request), arn)
        checkpointed = self._executor.checkpoint_execution(
            arn, wanted.checkpoint_token, wanted.updates, wanted.client_token
        )
        return _answer(checkpointed.to_dict())

    def _callback(self, request: Request, callback_id: str, end: str) -> Response:
        ends: dict[str, Callable[[], object]] = {
            "succeed": lambda: self._executor.send_callback_success(callback_id, request.get_data(cache=True)),
            "fail": lambda: self._executor.send_callback_failure(
                callback_id, ErrorObject.from_dict(json_body(request))
            ),
            "heartbeat": lambda: self._executor.send_callback_heartbeat(callback_id),
        }
        if end not in ends:
            raise not_found(f"Callback operation {end}")
        ends[end]()
        return _answer({})


def _answer(data: dict[str, Any], status: int = 200) -> Response:
    return bytes_answer(JSONSerializer().to_bytes(data), status)


def _translated(error: runner_errors.AwsApiException) -> LambdaError:
    described = error.to_dict()
    code = described.get("Type") or type(error).__name__
    return LambdaError(code, str(described.get("message") or described.get("Message") or error))


def _wants_data(request: Request) -> bool:
    return request.args.get("IncludeExecutionData", "true") == "true"


def _page_size(request: Request) -> int:
    asked = int(request.args.get("MaxItems") or _DEFAULT_PAGE)
    if not 0 <= asked <= _MAX_PAGE:
        raise invalid(f"MaxItems is {asked}; 0 to {_MAX_PAGE:,} can be.")
    return asked or _DEFAULT_PAGE


def _started_at(execution: Execution) -> dt.datetime:
    started_at = execution.get_operation_execution_started().start_timestamp
    assert started_at is not None  # Execution.start sets it
    return started_at


def _is_between(execution: Execution, after: str | None, before: str | None) -> bool:
    started_at = _started_at(execution)
    return (after is None or started_at >= _moment(after)) and (before is None or started_at <= _moment(before))


def _moment(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(float(text), dt.UTC)
    except ValueError:
        return dt.datetime.fromisoformat(text)
