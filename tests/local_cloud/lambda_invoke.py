"""Invoke: what the service checks before a function runs, and the forms of its answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from werkzeug.wrappers import Request, Response

from tests.local_cloud.durable import DurableExecutions, DurableSettings, FunctionNeverStartsError
from tests.local_cloud.functions import Functions, Outcome
from tests.local_cloud.lambda_api import LambdaError, bytes_answer, conflict, invalid
from tests.local_cloud.lambda_registry import Target
from tests.local_cloud.sandbox import Invocation

MAX_REQUEST_BYTES = 6 * 1024 * 1024
MAX_EVENT_BYTES = 1024 * 1024
# A request that waits for its answer is over after this time, a durable execution or not.
MAX_WAIT_S = 15 * 60


class FindTarget(Protocol):
    """Finds what a request names; raises when it does not exist."""

    def __call__(self, function: str, qualifier: str | None) -> Target: ...


class Invoker:
    """Answers Invoke requests."""

    def __init__(self, find: FindTarget, functions: Functions, executions: Callable[[], DurableExecutions]) -> None:
        self._find = find
        self._functions = functions
        self._executions = executions

    def invoke(self, request: Request, function: str) -> Response:
        """Run what the request names and answer as the request's invocation type says."""
        target = self._find(function, request.args.get("Qualifier"))
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        payload = _payload(request, kind)
        name = request.headers.get("X-Amz-Durable-Execution-Name")
        if target.durable is not None and not target.is_qualified:
            raise invalid(
                f"Function {target.program.name} is durable: it is invoked by a version, an alias or $LATEST only. "
                "Add a qualifier."
            )
        if target.durable is None and name is not None:
            raise invalid(f"Function {target.program.name} is not durable; DurableExecutionName cannot be given.")
        if target.state != "Active":
            raise conflict(f"Function {target.invoked_arn} is in state {target.state}; wait until it is Active.")
        if kind == "DryRun":
            return bytes_answer(b"", 204)
        if target.durable is not None:
            return self._invoke_durable(target, target.durable, kind, name, payload)
        invocation = Invocation(payload, target.invoked_arn, request.headers.get("X-Amz-Client-Context"))
        if kind == "Event":
            self._functions.invoke_in_background(target.program, invocation)
            return bytes_answer(b"", 202)
        outcome = self._functions.invoke(target.program, invocation)
        return _answer(outcome, target, wants_log=request.headers.get("X-Amz-Log-Type") == "Tail")

    def _invoke_durable(
        self, target: Target, durable: Mapping[str, Any], kind: str, name: str | None, payload: bytes
    ) -> Response:
        settings = DurableSettings(durable["ExecutionTimeout"], durable["RetentionPeriodInDays"])
        program = target.program
        arn = self._executions().start(program.name, program.version, name, payload, settings)
        headers = {"X-Amz-Executed-Version": program.version, "X-Amz-Durable-Execution-Arn": arn}
        if kind == "Event":
            return bytes_answer(b"", 202, headers)
        try:
            status = self._executions().wait_for_execution(arn, MAX_WAIT_S)
        except (TimeoutError, FunctionNeverStartsError) as error:
            status = {"Error": {"ErrorType": type(error).__name__, "ErrorMessage": str(error)}}
        if status.get("Status") == "SUCCEEDED":
            return bytes_answer((status.get("Result") or "null").encode(), 200, headers)
        ended = status.get("Error") or {}
        failure = {"errorType": ended.get("ErrorType"), "errorMessage": ended.get("ErrorMessage")}
        failure["stackTrace"] = ended.get("StackTrace") or []
        return bytes_answer(json.dumps(failure).encode(), 200, headers | {"X-Amz-Function-Error": "Unhandled"})


def _payload(request: Request, kind: str) -> bytes:
    if kind not in ("RequestResponse", "Event", "DryRun"):
        raise invalid(f"InvocationType {kind!r} is none of RequestResponse, Event, DryRun.")
    payload = request.get_data(cache=True) or b"{}"
    limit = MAX_EVENT_BYTES if kind == "Event" else MAX_REQUEST_BYTES
    if len(payload) > limit:
        message = f"The payload has {len(payload):,} bytes; an invocation of type {kind} can have {limit:,}."
        raise LambdaError("RequestTooLargeException", message)
    try:
        json.loads(payload)
    except ValueError as error:
        raise LambdaError("InvalidRequestContentException", f"The payload is not JSON: {error}") from error
    return payload


def _answer(outcome: Outcome, target: Target, *, wants_log: bool) -> Response:
    headers = {"X-Amz-Executed-Version": target.program.version, "x-amzn-RequestId": outcome.request_id}
    if wants_log:
        headers["X-Amz-Log-Result"] = outcome.log_tail
    if outcome.error:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return bytes_answer(outcome.payload, 200, headers)
