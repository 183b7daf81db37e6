"""Runs a rule as a Lambda durable execution. Only this module and the handler know the SDK.

Facts that this rests on (SDK 3.0.0, read in its source, tried with its local runner): a step's result must be JSON
and stay below 256 KB; an exception that leaves a step is retried by the step's strategy; a wait costs nothing; what
stands between steps is replayed. The managed policy AWSLambdaBasicDurableExecutionRolePolicy names the two calls that
the SDK makes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aws_durable_execution_sdk_python import DurableContext
from aws_durable_execution_sdk_python.config import Duration, JitterStrategy, StepConfig
from aws_durable_execution_sdk_python.retries import RetryDecision
from aws_durable_execution_sdk_python.serdes import JsonSerDes
from aws_durable_execution_sdk_python.types import StepContext, WaitForConditionCheckContext
from aws_durable_execution_sdk_python.waits import (
    WaitForConditionConfig,
    WaitStrategyConfig,
    create_wait_strategy,
)

from rdbkeeper.domain.errors import RdbkeeperError, UnexpectedError, from_record, unexpected
from rdbkeeper.ports import Journal, Poll, Record

ATTEMPTS = 5
FIRST_RETRY_S = 2
LONGEST_RETRY_S = 60
LARGEST_RESULT_BYTES = 256 * 1024  # "Lambda quotas"; SDK 3.0.0 never ends a step whose result is over 750 KB
# What ends a wait is the export's own deadline, told by the look itself; this only keeps the SDK from ending it first.
MOST_LOOKS = 100_000
# The SDK's own form names the type of every value and is about three times as long.
_PLAIN_JSON: JsonSerDes[Any] = JsonSerDes()


class DurableEngine:
    """The engine over one durable execution's context."""

    def __init__(self, context: DurableContext, journal: Journal) -> None:
        self._context = context
        self._journal = journal

    @property
    def execution(self) -> str:
        return str(self._context.execution_context.durable_execution_arn)

    def step(self, name: str, do: Callable[[], Record]) -> Record:
        def attempt(step: StepContext) -> Record:
            return self._attempt(name, do, is_last=step.attempt >= ATTEMPTS)

        return _unwrap(self._context.step(attempt, name=name, config=StepConfig(_retry, serdes=_PLAIN_JSON)))

    def wait_until(self, name: str, look: Callable[[], Record | None], poll: Poll) -> Record:
        def check(_: Any, __: WaitForConditionCheckContext) -> Record:
            try:
                return self._attempt(name, look, is_last=False)
            except RdbkeeperError:
                return {"result": None}  # a retry can help, and the next look is one

        strategy = WaitStrategyConfig(
            should_continue_polling=lambda state: state.get("result") is None and "failed" not in state,
            max_attempts=MOST_LOOKS,
            initial_delay=Duration.from_seconds(poll.first_s),
            max_delay=Duration.from_seconds(poll.longest_s),
            backoff_rate=1.2,
            jitter_strategy=JitterStrategy.NONE,
        )
        config: WaitForConditionConfig[Record] = WaitForConditionConfig(
            wait_strategy=create_wait_strategy(strategy), initial_state={"result": None}, serdes=_PLAIN_JSON
        )
        return _unwrap(self._context.wait_for_condition(check, config=config, name=name))

    def renew_invocation(self, name: str) -> None:
        self._context.wait(Duration.from_seconds(1), name=name)

    def seconds_left(self) -> float:
        lambda_context = self._context.lambda_context
        return float(lambda_context.get_remaining_time_in_millis()) / 1000 if lambda_context else 0.0

    def _attempt(self, name: str, do: Callable[[], Record | None], *, is_last: bool) -> Record:
        """The result, or the error as plain data: the SDK would keep of an exception its text alone.

        Raises only what a retry can help.
        """
        try:
            return _checked({"result": do()}, name)
        except RdbkeeperError as error:
            if error.retryable and not is_last:
                self._journal.warning("WillRetry", f"{name}: {error}", reason=error.code)
                raise
            return {"failed": error.as_record()}
        except Exception as error:  # noqa: BLE001 - a defect must not take the other backups with it
            self._journal.exception("UnexpectedError", f"{name}: {type(error).__name__}")
            return {"failed": unexpected(f"The step `{name}`", error).as_record()}


def _checked(record: Record, name: str) -> Record:
    """The record, unless it is larger than a checkpoint takes: the SDK would hang on it for ever."""
    size_bytes = len(json.dumps(record))
    if size_bytes > LARGEST_RESULT_BYTES:
        raise UnexpectedError(
            f"The result of the step `{name}` has {size_bytes:,} bytes; a checkpoint takes {LARGEST_RESULT_BYTES:,}.",
            hint="This is a defect that very many shards or backups bring out; please report it.",
        )
    return record


def _unwrap(record: Record) -> Record:
    if "failed" in record:
        raise from_record(record["failed"])
    result: Record = record["result"]
    return result


def _retry(error: Exception, attempts_made: int) -> RetryDecision:
    if not isinstance(error, RdbkeeperError) or attempts_made >= ATTEMPTS:
        return RetryDecision.no_retry()
    delay_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 4 ** (attempts_made - 1))
    return RetryDecision.retry(Duration.from_seconds(delay_s))
