"""The engine over the durable SDK, run by the SDK's own local runner with a clock that skips waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner
from aws_durable_execution_sdk_python_testing.executor import Executor

from rdbkeeper.aws.engine import ATTEMPTS, LARGEST_RESULT_BYTES, DurableEngine
from rdbkeeper.domain.errors import (
    ChecksumMismatch,
    RdbkeeperError,
    RunFailed,
    SourceUnavailable,
    UnexpectedError,
    VaultUnavailable,
)
from rdbkeeper.ports import Engine, Poll
from tests.fakes.journal import ListJournal

POLL = Poll(30, 120)


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    # Real seconds even where the clock skips: how long the runner waits before it repeats a failed invocation.
    monkeypatch.setattr(Executor, "RETRY_BACKOFF_SECONDS", 0)


def run(body: Callable[[Engine], Any], journal: ListJournal | None = None) -> tuple[str, Any]:
    """Run a body as a durable execution; returns its status and its result."""

    @durable_execution
    def handler(event: Any, context: DurableContext) -> Any:
        return body(DurableEngine(context, journal or ListJournal()))

    with DurableFunctionTestRunner(handler=handler) as runner:
        result = runner.run(input="{}", execution_timeout=60)
    return result.status.value, json.loads(result.result) if result.result else result.error


class Counted:
    """Counts its calls and raises the errors that it was given, one a call."""

    def __init__(self, *errors: Exception) -> None:
        self.calls = 0
        self._errors = list(errors)

    def __call__(self) -> dict[str, Any]:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return {"calls": self.calls}


def test_a_step_runs_once_though_the_execution_is_replayed() -> None:
    do = Counted()

    def body(engine: Engine) -> Any:
        first = engine.step("first", do)
        engine.renew_invocation("renew")
        return [first, engine.seconds_left() > 0]

    assert run(body) == ("SUCCEEDED", [{"calls": 1}, True])
    assert do.calls == 1


def test_what_a_retry_can_help_is_retried_and_logged() -> None:
    do, journal = Counted(VaultUnavailable("slow down"), VaultUnavailable("slow down")), ListJournal()
    assert run(lambda engine: engine.step("put", do), journal) == ("SUCCEEDED", {"calls": 3})
    assert journal.events() == ["WillRetry", "WillRetry"]


def caught(engine: Engine, do: Callable[[], dict[str, Any]]) -> Any:
    try:
        return engine.step("step", do)
    except RdbkeeperError as error:
        return error.as_record()


def test_an_error_comes_back_whole_when_retries_are_over() -> None:
    do = Counted(*[VaultUnavailable("slow down", hint="wait")] * 99)
    status, record = run(lambda engine: caught(engine, do))
    assert (status, record) == (
        "SUCCEEDED",
        {"code": "VaultUnavailable", "message": "slow down", "hint": "wait"},
    )
    assert do.calls == ATTEMPTS


def test_what_no_retry_can_help_is_not_retried() -> None:
    do = Counted(ChecksumMismatch("0001.rdb: wrong", hint="look"))
    assert run(lambda engine: caught(engine, do))[1]["code"] == "ChecksumMismatch"
    assert do.calls == 1


def test_a_defect_is_this_steps_failure_and_is_logged_with_its_stack_trace() -> None:
    do, journal = Counted(ZeroDivisionError("division by zero")), ListJournal()
    assert run(lambda engine: caught(engine, do), journal)[1]["code"] == UnexpectedError.__name__
    assert [line.level for line in journal.lines] == ["exception"]
    assert do.calls == 1


def test_a_wait_looks_until_there_is_something_and_forgives_what_passes() -> None:
    looks = Counted(SourceUnavailable("no answer"))

    def look() -> dict[str, Any] | None:
        seen = looks()
        return seen if seen["calls"] >= 4 else None

    assert run(lambda engine: engine.wait_until("wait", look, POLL)) == ("SUCCEEDED", {"calls": 4})


def test_a_wait_ends_with_the_error_that_no_retry_can_help() -> None:
    look = Counted(SourceUnavailable("no answer"), ChecksumMismatch("wrong"))

    def body(engine: Engine) -> Any:
        try:
            return engine.wait_until("wait", look, POLL)
        except ChecksumMismatch as error:
            return error.message

    assert run(body) == ("SUCCEEDED", "wrong")


def test_an_error_that_leaves_the_run_fails_the_execution() -> None:
    def body(engine: Engine) -> Any:
        raise RunFailed("orders: 1 failed")

    status, error = run(body)
    assert status == "FAILED"
    assert "1 failed" in error.message


def test_the_execution_is_known_by_its_arn() -> None:
    assert run(lambda engine: bool(engine.execution)) == ("SUCCEEDED", True)


def test_a_result_that_no_checkpoint_takes_is_said_so_and_not_waited_for() -> None:
    large = Counted()
    status, record = run(lambda engine: caught(engine, lambda: {"text": "x" * LARGEST_RESULT_BYTES, **large()}))
    assert (status, record["code"]) == ("SUCCEEDED", "UnexpectedError")
    assert "262," in record["message"]
