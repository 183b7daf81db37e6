"""What runs inside a sandbox's process: finds the handler, then answers one invocation after the other.

This file is started by path in an interpreter without site-packages, so it imports the standard library only
and nothing of this repository. Commands and replies are lines of JSON on two pipes of their own: standard
output and error belong to the function, they are its log.
"""

from __future__ import annotations

import base64
import contextvars
import datetime as dt
import decimal
import importlib
import json
import logging
import os
import queue
import resource
import sys
import threading
import time
import traceback
import zoneinfo
from collections.abc import Callable
from typing import Any

# Stands alone on a line of the output when an invocation is over, so that the reader knows it has all of it.
END_OF_OUTPUT = b"\x1e"
MAX_RESPONSE_BYTES = 6_291_556

_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


class RuntimeFault(Exception):
    """The runtime could not start the handler or hand over what it returned."""

    def __init__(self, error_type: str, message: str, stack: list[str] | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.stack = stack or []


class Identity:
    """The Cognito identity of the caller: none, as for every caller that is not a mobile SDK."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class ClientContext:
    """What the caller sent as ClientContext."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.custom = fields.get("custom")
        self.env = fields.get("env")
        self.client = fields.get("client")


class Context:
    """The second argument of a handler."""

    def __init__(self, command: dict[str, Any]) -> None:
        self.aws_request_id: str = command["request_id"]
        self.invoked_function_arn: str = command["invoked_function_arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = Identity()
        self.client_context = _client_context(command.get("client_context"))
        self.tenant_id: str | None = None
        self._deadline_ms: int = command["deadline_ms"]

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until this invocation is killed."""
        return max(0, self._deadline_ms - int(time.time() * 1000))


def _client_context(encoded: str | None) -> ClientContext | None:
    return ClientContext(json.loads(base64.b64decode(encoded))) if encoded else None


class LogHandler(logging.Handler):
    """The root logger's handler that Lambda's runtime installs before the function's code is imported."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._as_json = log_format == "JSON"

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        stamp = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        stamp = stamp.replace("+00:00", "Z")
        if not self._as_json:
            text = "\n".join(part for part in (message, trace) if part)
            _print_line(f"[{record.levelname}]\t{stamp}\t{_request_id.get()}\t{text}")
            return
        row: dict[str, Any] = {"timestamp": stamp, "level": record.levelname, "message": message}
        row |= {"logger": record.name, "requestId": _request_id.get()}
        if trace:
            row["stackTrace"] = trace.splitlines()
        _print_line(json.dumps(row))


def _print_line(text: str) -> None:
    # One log event, whatever is in it: the reader splits at line feeds only.
    sys.stdout.write(text.replace("\n", "\r") + "\n")


def install_logging() -> None:
    log_format = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "Text")
    root = logging.getLogger()
    root.addHandler(LogHandler(log_format))
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL")
    if level:
        root.setLevel({"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level))


def find_handler(name: str) -> Callable[[Any, Context], Any]:
    """Return the function that `module.attribute` names, as Lambda's runtime finds it."""
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        raise RuntimeFault("Runtime.MalformedHandlerName", f"Bad handler '{name}': it needs to be module.function")
    module_name = module_name.replace("/", ".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise RuntimeFault("Runtime.ImportModuleError", message) from error
    except SyntaxError as error:
        message = f"Syntax error in module '{module_name}': {error}"
        raise RuntimeFault("Runtime.UserCodeSyntaxError", message) from error
    handler = getattr(module, attribute, None)
    if handler is None:
        message = f"Handler '{attribute}' missing on module '{module_name}'"
        raise RuntimeFault("Runtime.HandlerNotFound", message)
    found: Callable[[Any, Context], Any] = handler
    return found


def _encode_decimal(value: object) -> float | int:
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def run(handler: Callable[[Any, Context], Any], command: dict[str, Any]) -> str:
    """Return the handler's result as JSON text."""
    try:
        event = json.loads(command["event"])
    except ValueError as error:
        raise RuntimeFault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error
    result = handler(event, Context(command))
    try:
        text = json.dumps(result, default=_encode_decimal, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise RuntimeFault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
    if len(text.encode()) > MAX_RESPONSE_BYTES:
        message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
        raise RuntimeFault("Function.ResponseSizeTooLarge", message)
    return text


def describe(error: Exception) -> dict[str, Any]:
    """Return an exception as the payload of a failed invocation."""
    if isinstance(error, RuntimeFault):
        error_type, stack = error.error_type, error.stack
    else:
        # The frames of this file are the runtime's, not the function's.
        frames = traceback.extract_tb(error.__traceback__)
        stack = traceback.format_list([frame for frame in frames if frame.filename != __file__])
        error_type = type(error).__name__
    return {"errorMessage": str(error), "errorType": error_type, "stackTrace": stack}


def _log_error(error: dict[str, Any]) -> None:
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        row = {"timestamp": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"), "log_level": "ERROR"}
        _print_line(json.dumps(row | error))
        return
    _print_line(f"[ERROR] {error['errorType']}: {error['errorMessage']}\n" + "".join(error["stackTrace"]))


def _memory_used_mb() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(used / (1024 * 1024 if sys.platform == "darwin" else 1024))


def answer(handler: Callable[[Any, Context], Any] | Exception, command: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to one command: the result or the error, and the most memory used so far."""
    request_id = command["request_id"]
    _request_id.set(request_id)
    os.environ["_X_AMZN_TRACE_ID"] = command["trace_id"]
    try:
        if isinstance(handler, Exception):
            raise handler
        reply: dict[str, Any] = {"result": run(handler, command)}
    except Exception as error:  # noqa: BLE001 - whatever the function raises is its answer
        failure = describe(error) | {"requestId": request_id}
        _log_error(failure)
        reply = {"error": failure}
    return reply | {"memory_used_mb": _memory_used_mb()}


def _end_output(request_id: str) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(sys.stdout.fileno(), END_OF_OUTPUT + request_id.encode() + b"\n")


def _read_commands(descriptor: int, commands: queue.Queue[dict[str, Any]]) -> None:
    with os.fdopen(descriptor, "rb") as lines:
        for line in lines:
            commands.put(json.loads(line))
    # The pipe ends when its other end is closed or the process that holds it has died: nobody is left to answer.
    os._exit(0)


def main() -> None:
    """Serve commands until the pipe that they come from ends."""
    settings = json.loads(sys.argv[1])
    sys.argv = [settings["task_dir"]]
    sys.path[:0] = [settings["task_dir"], settings["packages_dir"]]
    # Lambda's image need not have a zone database: a function that needs one brings the tzdata package.
    zoneinfo.reset_tzpath(())
    for descriptor in (settings["commands"], settings["replies"]):
        os.set_inheritable(descriptor, False)
    commands: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read_commands, args=(settings["commands"], commands), daemon=True).start()
    install_logging()
    handler: Callable[[Any, Context], Any] | Exception
    try:
        handler = find_handler(os.environ["_HANDLER"])
    except Exception as error:  # noqa: BLE001 - reported to the first invocation, as Lambda does
        handler = error
    with os.fdopen(settings["replies"], "wb", buffering=0) as replies:
        while True:
            command = commands.get()
            reply = answer(handler, command)
            _end_output(command["request_id"])
            replies.write(json.dumps(reply | {"started": not isinstance(handler, Exception)}).encode() + b"\n")


if __name__ == "__main__":
    main()
