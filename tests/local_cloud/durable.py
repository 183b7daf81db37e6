"""Durable executions: the durable SDK's local runner, kept to the service's names, limits and retries.

Differences from the service, on purpose: a failed invocation is repeated after RETRY_BACKOFF_SECONDS, always the
same; retention is not applied; pausing is not there, and what an execution invokes must be a plain function.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from aws_durable_execution_sdk_python.execution import DurableExecutionInvocationInput
from aws_durable_execution_sdk_python.lambda_service import (
    ErrorObject,
    OperationAction,
    OperationType,
    OperationUpdate,
)
from aws_durable_execution_sdk_python_testing import exceptions as runner_errors
from aws_durable_execution_sdk_python_testing.checkpoint.processor import CheckpointProcessor
from aws_durable_execution_sdk_python_testing.child_dispatcher import ChildDispatcher
from aws_durable_execution_sdk_python_testing.clock import RealClock
from aws_durable_execution_sdk_python_testing.execution import Execution
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.invoker import InvokeResponse, LambdaInvoker
from aws_durable_execution_sdk_python_testing.model import (
    CheckpointDurableExecutionResponse,
    StartDurableExecutionInput,
)
from aws_durable_execution_sdk_python_testing.scheduler import Scheduler
from aws_durable_execution_sdk_python_testing.stores.memory import InMemoryExecutionStore
from aws_durable_execution_sdk_python_testing.threads import DaemonThreadPool
from aws_durable_execution_sdk_python_testing.worker.registry import ExecutionRegistry

from tests.local_cloud.functions import FunctionError, Outcome
from tests.local_cloud.lambda_api import LambdaError, invalid

MAX_OPERATIONS = 3_000
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_WRITTEN_BYTES = 100 * 1024 * 1024
CLOSED_STATUSES = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})

_EXECUTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# The service's limit on these two kinds is another one, and the runner knows it.
_NOT_LIMITED = (OperationType.EXECUTION, OperationType.CHAINED_INVOKE)
# Runs one version's handler: (function name, version, event) -> what became of it.
RunHandler = Callable[[str, str, bytes], Outcome]


class FunctionNeverStartsError(Exception):
    """An execution cannot go on: its function's handler cannot be loaded."""


@dataclass(frozen=True)
class DurableSettings:
    """A function's DurableConfig."""

    execution_timeout_s: int
    retention_days: int


@dataclass(frozen=True)
class _Start:
    """What began under a name."""

    arn: str
    function_name: str
    payload: bytes


def _quiet_runner() -> None:
    """Let the runner report its own faults only: it logs every failed execution as an error."""

    def is_fault(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR and "Completing execution" not in record.msg

    for module in ("executor", "scheduler", "execution", "child_dispatcher", "runner"):
        logging.getLogger(f"aws_durable_execution_sdk_python_testing.{module}").addFilter(is_fault)


class _Invoker(LambdaInvoker):
    """Invokes handlers in this cloud's sandboxes instead of through HTTP."""

    def __init__(self, run: RunHandler) -> None:
        super().__init__(lambda_client=None)
        self._run = run
        self.last_error: dict[str, FunctionError] = {}

    def invoke(
        self,
        function_name: str,
        input: DurableExecutionInvocationInput,  # noqa: A002 - the base class's name
        endpoint_url: str | None = None,
        tenant_id: str | None = None,
        account_id: str | None = None,
        region_name: str | None = None,
    ) -> InvokeResponse:
        name, _, version = function_name.partition(":")
        event = json.dumps(input.to_json_dict()).encode()
        try:
            outcome = self._run(name, version or "$LATEST", event)
        except LambdaError as error:
            raise runner_errors.ResourceNotFoundException(error.message) from error
        if outcome.error:
            self.last_error[input.durable_execution_arn] = outcome.error
            raise runner_errors.DurableFunctionsTestError(f"{outcome.error.type}: {outcome.error.message}")
        self.last_error.pop(input.durable_execution_arn, None)
        return InvokeResponse.from_payload(outcome.payload, outcome.request_id)


class _Store(InMemoryExecutionStore):
    """The runner's store, from which an execution can also be removed."""

    def remove(self, execution_arn: str) -> None:
        with self._lock:
            self._store.pop(execution_arn, None)


class _Executor(Executor):
    """The runner's executor with the service's ARNs, limits and patience."""

    # The service goes on "until the function succeeds or the execution times out"; the runner would stop at five.
    MAX_CONSECUTIVE_FAILED_ATTEMPTS = sys.maxsize
    RETRY_BACKOFF_SECONDS = 1

    def __init__(
        self, store: _Store, scheduler: Scheduler, invoker: _Invoker, region: str, invokes: ChildDispatcher
    ) -> None:
        clock = RealClock()
        processor = CheckpointProcessor(store, scheduler, clock=clock)
        self.registry = ExecutionRegistry(store, scheduler)
        super().__init__(
            store,
            scheduler,
            invoker,
            processor,
            registry=self.registry,
            clock=clock,
            child_dispatcher=invokes,
            region=region,
        )
        processor.add_execution_observer(self)
        # The runner's own bound is the number of processors plus four; the service runs a thousand at a time.
        self._invocation_pool = DaemonThreadPool(max_workers=64, thread_name_prefix="durable-invocation")
        self._target_pool = DaemonThreadPool(max_workers=64, thread_name_prefix="durable-invoked")
        # The sandbox ends what runs too long, at the function's own timeout; this one must never be the first.
        self._invocation_timeout_seconds = 24 * 3600
        self._metered: dict[str, tuple[int, int]] = {}

    def _create_execution(
        self,
        input: StartDurableExecutionInput,  # noqa: A002 - the base class's name
        parent_execution_arn: str | None = None,
    ) -> Execution:
        start = replace(input, invocation_id=input.invocation_id or str(uuid.uuid4()))
        execution = Execution.new(input=start)
        # The SDK finds the execution's input by the ARN's last part: it is the first operation's id.
        execution.durable_execution_arn = (
            f"arn:aws:lambda:{self._region}:{start.account_id}:function:{start.function_name}:"
            f"{start.function_qualifier}/durable-execution/{start.execution_name}/{start.invocation_id}"
        )
        execution.region = self._region
        execution.parent_execution_arn = parent_execution_arn
        execution.start(now=self._clock.now())
        self._store.save(execution)
        return execution

    def _checkpoint_execution(
        self,
        execution_arn: str,
        checkpoint_token: str,
        updates: list[OperationUpdate] | None = None,
        client_token: str | None = None,
    ) -> CheckpointDurableExecutionResponse:
        execution = self.get_execution(execution_arn)
        # A repeated request carries a token that is spent; it was metered when it came first.
        if updates and self._is_current_token(execution, checkpoint_token):
            self._meter(execution, updates)
        return super()._checkpoint_execution(execution_arn, checkpoint_token, updates, client_token)

    def _meter(self, execution: Execution, updates: list[OperationUpdate]) -> None:
        """Refuse a payload that is too large; end an execution that uses more than one may."""
        arn = execution.durable_execution_arn
        operations, written = self._metered.get(arn, (1, 0))
        known = {operation.operation_id for operation in execution.operations}
        for update in updates:
            _refuse_large_payload(update)
            is_first = update.operation_type is not OperationType.EXECUTION and update.operation_id not in known
            operations += is_first or update.action is OperationAction.RETRY
            known.add(update.operation_id)
            written += len((update.payload or "").encode())
        for limit, used, what in (
            (MAX_OPERATIONS, operations, "durable operations"),
            (MAX_WRITTEN_BYTES, written, "bytes of payload"),
        ):
            if used > limit:
                message = f"The execution would use {used:,} {what}; one execution may use {limit:,}."
                self._fail_workflow(arn, ErrorObject(message, "ExecutionLimitExceeded", None, None))
                raise runner_errors.InvalidParameterValueException(message)
        self._metered[arn] = operations, written


def _refuse_large_payload(update: OperationUpdate) -> None:
    size = len((update.payload or "").encode())
    if size > MAX_PAYLOAD_BYTES and update.operation_type not in _NOT_LIMITED:
        raise runner_errors.InvalidParameterValueException(
            f"{update.operation_type.value} {update.name or update.operation_id}: its payload has {size:,} bytes; "
            f"{MAX_PAYLOAD_BYTES:,} are allowed."
        )


class DurableExecutions:
    """Starts, drives and shows durable executions."""

    def __init__(self, *, region: str, account_id: str, run: RunHandler, invokes: ChildDispatcher) -> None:
        _quiet_runner()
        self._account_id = account_id
        self.region = region
        self.store = _Store()
        self._scheduler = Scheduler()
        self._invoker = _Invoker(run)
        self.executor = _Executor(self.store, self._scheduler, self._invoker, region, invokes)
        self._scheduler.start()
        self._lock = threading.Lock()
        # "Execution names must be unique within your account and region."
        self._names: dict[str, _Start] = {}
        self._settings: dict[str, DurableSettings] = {}

    def start(
        self, function_name: str, version: str, name: str | None, payload: bytes, settings: DurableSettings
    ) -> str:
        """Return the ARN of a new execution, or of the one that has this name and this payload already."""
        name = name or str(uuid.uuid4())
        if not _EXECUTION_NAME.fullmatch(name):
            raise invalid(f"{name!r} cannot name an execution: 1 to 64 of A-Z, a-z, 0-9, - and _ can.")
        with self._lock:
            known = self._names.get(name)
            if known is not None:
                if (known.function_name, known.payload) != (function_name, payload):
                    raise LambdaError(
                        "DurableExecutionAlreadyStartedException",
                        f"An execution {name} was started with another payload or of another function: {known.arn}.",
                    )
                return known.arn
            arn = self._start(function_name, version, name, payload, settings)
            self._names[name] = _Start(arn, function_name, payload)
            self._settings[arn] = settings
        return arn

    def _start(self, function_name: str, version: str, name: str, payload: bytes, settings: DurableSettings) -> str:
        started = self.executor.start_execution(
            StartDurableExecutionInput(
                account_id=self._account_id,
                function_name=function_name,
                function_qualifier=version,
                execution_name=name,
                execution_timeout_seconds=settings.execution_timeout_s,
                execution_retention_period_days=settings.retention_days,
                input=payload.decode(),
            )
        )
        assert started.execution_arn is not None  # the runner's model allows None, its executor never gives it
        return started.execution_arn

    def settings_of(self, arn: str) -> DurableSettings:
        """Return the settings that the execution was started with."""
        return self._settings[arn]

    def delete(self, arn: str) -> None:
        """Forget a closed execution; its name is free again."""
        with self._lock:
            self._names = {name: start for name, start in self._names.items() if start.arn != arn}
            self._settings.pop(arn, None)
            self.store.remove(arn)

    def status(self, arn: str) -> dict[str, Any]:
        """Return what GetDurableExecution says about an execution, with datetimes."""
        try:
            return self.executor.get_execution_details(arn).to_dict()
        except runner_errors.ResourceNotFoundException as error:
            raise LambdaError("ResourceNotFoundException", f"Execution {arn} does not exist.") from error

    def wait_for_execution(self, arn: str, timeout_s: float) -> dict[str, Any]:
        """Return an execution's status once it has ended.

        Raises TimeoutError, and FunctionNeverStartsError as soon as the function's handler cannot be loaded: the
        service would go on trying until the execution times out, and so does this cloud, but nobody wants to wait.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status(arn)
            if status["Status"] in CLOSED_STATUSES:
                return status
            last_error = self._invoker.last_error.get(arn)
            if last_error and last_error.at_start:
                raise FunctionNeverStartsError(f"{arn}: {last_error.type}: {last_error.message}")
            if time.monotonic() > deadline:
                reason = f" Its last invocation failed: {last_error.type}: {last_error.message}" if last_error else ""
                raise TimeoutError(f"{arn} is {status['Status']} after {timeout_s:g} s.{reason}")
            time.sleep(0.02)

    def close(self) -> None:
        """End the timers and threads; running executions stay where they are."""
        self.executor.shutdown()
        self.executor.registry.shutdown()
        self._scheduler.stop()
