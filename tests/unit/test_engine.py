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
from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import (
    ChecksumMismatch,
    RdbkeeperError,
    RunFailed,
    SourceUnavailable,
    UnexpectedError,
    VaultUnavailable,
    WorkerDenied,
    WorkerDied,
)
from rdbkeeper.ports import Engine, Poll
from tests.fakes.journal import ListJournal

POLL = Poll(30, 120)
WORKER = "arn:aws:lambda:us-west-2:123456789012:function:copy-leg:7"
Worker = Callable[[dict[str, Any], Any], Any]


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    # Real seconds even where the clock skips: how long the runner waits before it repeats a failed invocation.
    monkeypatch.setattr(Executor, "RETRY_BACKOFF_SECONDS", 0)


def answer(request: dict[str, Any], context: Any) -> Any:
    return {"did": request["number"]}


def run(body: Callable[[Engine], Any], journal: ListJournal | None = None, worker: Worker = answer) -> tuple[str, Any]:
    """Run a body as a durable execution; returns its status and its result."""

    @durable_execution
    def handler(event: Any, context: DurableContext) -> Any:
        return body(DurableEngine(context, journal or ListJournal(), WORKER))

    with DurableFunctionTestRunner(handler=handler) as runner:
        runner.register_function("copy-leg", worker)
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


def test_what_is_used_up_is_counted_as_the_service_counts_it_and_the_same_on_replay() -> None:
    counts: list[list[int]] = []
    passing, looks = Counted(VaultUnavailable("slow down")), Counted()

    def look() -> dict[str, Any] | None:
        return {} if looks()["calls"] == 3 else None

    def body(engine: Engine) -> Any:
        seen = [engine.operations]
        counts.append(seen)
        for do in (
            lambda: engine.step("put again", passing),
            lambda: engine.wait_until("wait", look, POLL),
            lambda: engine.renew_invocation("renew"),
            lambda: engine.spread("share", requests(4), at_once=2),
            lambda: caught(engine, Counted(ChecksumMismatch("wrong"))),
        ):
            do()
            seen.append(engine.operations)
        return seen

    status, seen = run(body)
    # The execution; a step and its retry; a wait and three looks; a pause; a map and four invocations; a step.
    assert (status, seen) == ("SUCCEEDED", [1, 3, 7, 8, 13, 14])
    assert len(counts) > 3
    assert all(seen[: len(earlier)] == earlier for earlier in counts)


def requests(count: int) -> list[dict[str, Any]]:
    return [{"number": number} for number in range(count)]


def test_shares_are_done_by_the_worker_and_answered_in_order() -> None:
    status, answers = run(lambda engine: engine.spread("share", requests(5), at_once=2))
    assert (status, answers) == ("SUCCEEDED", [{"did": number} for number in range(5)])


def test_a_worker_that_dies_fails_its_share_alone() -> None:
    def worker(request: dict[str, Any], context: Any) -> Any:
        if request["number"] == 1:
            raise MemoryError("secret")
        return answer(request, context)

    status, answers = run(lambda engine: engine.spread("share", requests(3), at_once=3), worker=worker)
    assert status == "SUCCEEDED"
    assert (answers[0], answers[2]) == ({"did": 0}, {"did": 2})
    error = from_record(answers[1]["failed"])
    assert isinstance(error, WorkerDied) and error.retryable
    assert "share, 2 of 3" in error.message and "MemoryError" in error.message
    assert "secret" not in str(error)


def test_a_worker_that_is_gone_is_not_asked_for_again() -> None:
    def body(engine: Engine) -> Any:
        (gone,) = DurableEngine.spread(engine_of_nobody(engine), "share", requests(1), 1)
        return gone["failed"]

    status, record = run(body)
    error = from_record(record)
    assert status == "SUCCEEDED"
    assert isinstance(error, WorkerDenied) and not error.retryable
    assert "lambda:InvokeFunction" in error.hint
    assert "123456789012" not in str(error)


def engine_of_nobody(engine: Any) -> DurableEngine:
    """The same engine, whose worker was deleted."""
    engine._worker = WORKER.replace("copy-leg", "deleted")
    return engine


@pytest.mark.parametrize("reply", [None, "text", [1]])
def test_an_answer_that_is_no_record_is_a_defect_of_the_worker(reply: Any) -> None:
    _, (answered,) = run(lambda engine: engine.spread("share", requests(1), 1), worker=lambda *_: reply)
    assert answered["failed"]["code"] == "UnexpectedError"


def test_shares_and_answers_that_no_checkpoint_takes_are_said_so() -> None:
    large = {"text": "x" * LARGEST_RESULT_BYTES}
    _, (answered,) = run(lambda engine: engine.spread("share", requests(1), 1), worker=lambda *_: large)
    assert (answered["failed"]["code"], "The answer" in answered["failed"]["message"]) == ("UnexpectedError", True)
    status, error = run(lambda engine: engine.spread("share", [large], 1))
    assert (status, "The request 1" in error.message) == ("FAILED", True)


def test_answers_that_are_large_together_are_there_on_replay() -> None:
    """The SDK keeps of a map only so much, and puts larger results together anew from their parts."""
    size = LARGEST_RESULT_BYTES * 3 // 4

    def worker(request: dict[str, Any], context: Any) -> Any:
        return {"text": str(request["number"]) * size}

    def body(engine: Engine) -> Any:
        answers = engine.spread("share", requests(4), at_once=4)
        engine.renew_invocation("renew")
        return [[answer["text"][0], len(answer["text"])] for answer in answers]

    assert run(body, worker=worker) == ("SUCCEEDED", [[str(number), size] for number in range(4)])
