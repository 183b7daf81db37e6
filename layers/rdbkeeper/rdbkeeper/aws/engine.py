"""Runs a rule as a Lambda durable execution. Only this module and the handler know the SDK.

Facts that this rests on (SDK 3.0.0, read in its source, tried with its local runner): a step's result must be JSON
and stay below 256 KB; an exception that leaves a step is retried by the step's strategy; a wait costs nothing; what
stands between steps is replayed. The managed policy AWSLambdaBasicDurableExecutionRolePolicy names the two calls that
the SDK makes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from aws_durable_execution_sdk_python import DurableContext
from aws_durable_execution_sdk_python.config import (
    CompletionConfig,
    Duration,
    InvokeConfig,
    JitterStrategy,
    MapConfig,
    NestingType,
    StepConfig,
)
from aws_durable_execution_sdk_python.exceptions import InvokeError
from aws_durable_execution_sdk_python.retries import RetryDecision
from aws_durable_execution_sdk_python.serdes import JsonSerDes
from aws_durable_execution_sdk_python.types import StepContext, WaitForConditionCheckContext
from aws_durable_execution_sdk_python.waits import (
    WaitForConditionConfig,
    WaitStrategyConfig,
    create_wait_strategy,
)

from rdbkeeper.aws.errors import DENIED
from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import (
    RdbkeeperError,
    UnexpectedError,
    WorkerDenied,
    WorkerDied,
    unexpected,
)
from rdbkeeper.ports import Journal, Poll, Record

ATTEMPTS = 5
FIRST_RETRY_S = 2
LONGEST_RETRY_S = 60
LARGEST_RESULT_BYTES = 256 * 1024  # "Lambda quotas"; SDK 3.0.0 never ends a step whose result is over 750 KB
# What ends a wait is the export's own deadline, told by the look itself; this only keeps the SDK from ending it first.
MOST_LOOKS = 100_000
# The SDK's own form names the type of every value and is about three times as long.
_PLAIN_JSON: JsonSerDes[Any] = JsonSerDes()
_ASKED: InvokeConfig[Any, Any] = InvokeConfig(serdes_payload=_PLAIN_JSON, serdes_result=_PLAIN_JSON)
# What Invoke answers before a function runs; all else that a worker may end with can be different the next time.
_NOT_BEGUN = DENIED | {"ResourceNotFoundException"}


class DurableEngine:
    """The engine over one durable execution's context; `worker` is the ARN of one version of the leg worker.

    What the execution has used up is summed from remembered results, so that it comes out the same on replay. The
    sums are those of "Durable functions limits": the execution 1, a step 1 and each retry, a wait 1, a wait for a
    condition 1 and each look, a map 1 and each invocation in it.
    """

    def __init__(self, context: DurableContext, journal: Journal, worker: str) -> None:
        self._context = context
        self._journal = journal
        self._worker = worker
        self._operations = 1
        self._written_bytes = 0

    @property
    def execution(self) -> str:
        return str(self._context.execution_context.durable_execution_arn)

    @property
    def operations(self) -> int:
        return self._operations

    @property
    def written_bytes(self) -> int:
        return self._written_bytes

    def step(self, name: str, do: Callable[[], Record]) -> Record:
        def attempt(step: StepContext) -> Record:
            return self._attempt(name, do, step.attempt, is_last=step.attempt >= ATTEMPTS)

        record = self._context.step(attempt, name=name, config=StepConfig(_retry, serdes=_PLAIN_JSON))
        self._count(record, record["attempts"])
        return _unwrap(record)

    def wait_until(self, name: str, look: Callable[[], Record | None], poll: Poll) -> Record:
        def check(_: Any, check: WaitForConditionCheckContext) -> Record:
            try:
                return self._attempt(name, look, check.attempt, is_last=False)
            except RdbkeeperError:
                return {"result": None, "attempts": check.attempt}  # a retry can help, and the next look is one

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
        record = self._context.wait_for_condition(check, config=config, name=name)
        self._count(record, 1 + record["attempts"])
        return _unwrap(record)

    # A map whose branches pause on timers while others are retried has been seen to lose the wake-up it waits for (4 of
    # 20 runs with SDK 3.0.0 and its local runner). Here a branch is one invocation, without a retry and with nothing
    # else beside the map: of 2,000 runs, with workers that failed and ended at the same moments, none hung.
    def spread(self, name: str, requests: Sequence[Record], at_once: int) -> list[Record]:
        for number, request in enumerate(requests, 1):
            _checked(request, f"The request {number} of `{name}`")

        def ask(branch: DurableContext, request: Record, index: int, _: Sequence[Record]) -> Record:
            return self._ask_worker(branch, f"{name}, {index + 1} of {len(requests)}", request)

        config = MapConfig(
            max_concurrency=at_once,
            # Every worker is heard out: one that fails must not keep the others' parts from being counted.
            completion_config=CompletionConfig.all_completed(),
            # Nested, each worker would use up two operations.
            nesting_type=NestingType.FLAT,
        )
        answers = self._context.map(list(requests), ask, name=name, config=config)
        answers.throw_if_error()
        results = list(answers.get_results())
        self._count([list(requests), results], 1 + len(requests))
        return results

    def renew_invocation(self, name: str, after_s: int = 1) -> None:
        self._context.wait(Duration.from_seconds(after_s), name=name)
        self._operations += 1

    def seconds_left(self) -> float:
        lambda_context = self._context.lambda_context
        return float(lambda_context.get_remaining_time_in_millis()) / 1000 if lambda_context else 0.0

    def _count(self, remembered: Any, operations: int) -> None:
        self._operations += operations
        self._written_bytes += len(json.dumps(remembered))

    def _attempt(self, name: str, do: Callable[[], Record | None], number: int, *, is_last: bool) -> Record:
        """The result, or the error as plain data: the SDK would keep of an exception its text alone.

        Raises only what a retry can help.
        """
        try:
            return _checked({"result": do(), "attempts": number}, f"The result of the step `{name}`")
        except RdbkeeperError as error:
            if error.retryable and not is_last:
                self._journal.warning("WillRetry", f"{name}: {error}", reason=error.code)
                raise
            return {"failed": error.as_record(), "attempts": number}
        except Exception as error:  # noqa: BLE001 - a defect must not take the other backups with it
            self._journal.exception("UnexpectedError", f"{name}: {type(error).__name__}")
            return {"failed": unexpected(f"The step `{name}`", error).as_record(), "attempts": number}

    def _ask_worker(self, branch: DurableContext, name: str, request: Record) -> Record:
        """One worker's answer, or why there is none: it must not be the other workers' failure."""
        try:
            answer = branch.invoke(self._worker, request, name=name, config=_ASKED)
            return _checked(_as_record(answer, name), f"The answer of `{name}`")
        except InvokeError as error:
            return {"failed": _worker_error(error, name).as_record()}
        except UnexpectedError as error:
            return {"failed": error.as_record()}
        except Exception as error:  # noqa: BLE001 - an answer that is none must not end the other workers' backup
            self._journal.exception("UnexpectedError", f"{name}: {type(error).__name__}")
            return {"failed": unexpected(f"The worker of `{name}`", error).as_record()}


def _checked(record: Record, what: str) -> Record:
    """The record, unless it is larger than a checkpoint takes: the SDK would hang on it for ever."""
    size_bytes = len(json.dumps(record))
    if size_bytes > LARGEST_RESULT_BYTES:
        raise UnexpectedError(
            f"{what} has {size_bytes:,} bytes; a checkpoint takes {LARGEST_RESULT_BYTES:,}.",
            hint="This is a defect that very many shards or backups bring out; please report it.",
        )
    return record


def _as_record(answer: Any, name: str) -> Record:
    if not isinstance(answer, dict):
        raise UnexpectedError(
            f"The worker of `{name}` answered with no record.",
            hint="This is a defect of the function that copies legs; please report it.",
        )
    return answer


def _worker_error(error: InvokeError, name: str) -> RdbkeeperError:
    """Why there is no answer, by the kind alone: the error's text names the account, or is somebody else's."""
    kind = error.error_type or "no reason was given"
    if kind in _NOT_BEGUN:
        return WorkerDenied(
            f"The worker of `{name}` could not be begun: {kind}.",
            hint="The role of the rule's function needs lambda:InvokeFunction on the versions of the stack's function "
            "that copies legs, and that function must be there: the stack's template makes and grants both.",
        )
    return WorkerDied(
        f"The worker of `{name}` ended without an answer: {kind}.",
        hint="The log of the stack's function that copies legs tells more. If it repeats, look there for its memory "
        "and duration, and raise the stack's parameter RunMemoryMegabytes.",
    )


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
