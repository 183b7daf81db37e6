"""The owner's functions that freeze and thaw writes, called on the local cloud and against prepared answers."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.config import Config
from botocore.response import StreamingBody

from rdbkeeper.aws.hooks import LambdaHooks
from rdbkeeper.domain.errors import HookFailed, HookMissing, HookUnanswered, HookUncalled
from rdbkeeper.entry.settings import StoreSettings
from rdbkeeper.entry.wiring import AwsAdapters
from tests.contract.lambda_lab import Lab, lab, wait_until
from tests.contract.stubbed_aws import Aws, aws
from tests.fakes.hooks import MemoryHooks

__all__ = ["aws", "lab"]

PAYLOAD = {"rule": "orders-nightly", "provider": "elasticache", "instance": "orders", "run": "run-1", "phase": "freeze"}
ASKED = {"FunctionName": "stop", "InvocationType": "RequestResponse", "Payload": json.dumps(PAYLOAD).encode()}
ACCOUNT = "000000000000"

GATE = """
    def handler(event, context):
        print("called with", event["phase"], event["rule"], event["instance"], event["run"])
        return {"a": "large answer " * 1000}
"""
BROKEN = """
    def handler(event, context):
        raise ValueError("the password is hunter2")
"""
DEADLY = """
    import os

    def handler(event, context):
        os._exit(1)
"""
SLOW = """
    import time

    def handler(event, context):
        print("called")
        time.sleep(event.get("sleep_s", 2))
"""


def hooks_over(lab: Lab) -> LambdaHooks:
    """Hooks made as the wiring makes them, over the local cloud."""

    def make_client(longest_s: float) -> Any:
        config = Config(retries={"total_max_attempts": 1}, read_timeout=longest_s)
        return lab.cloud.client("lambda", config=config)

    return LambdaHooks(make_client)


def make_logging(lab: Lab, source: str) -> str:
    """Make a function whose log can be read at once."""
    name = lab.make(source)
    lab.cloud.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")
    return name


def calls_of(lab: Lab, name: str) -> list[str]:
    return [line.strip() for line in lab.log_lines(f"/aws/lambda/{name}") if line.startswith("called")]


def failure(hooks: Any, function: str, longest_s: float = 60.0) -> HookFailed:
    with pytest.raises(HookFailed) as failed:
        hooks.call(function, PAYLOAD, longest_s)
    shown = f"{failed.value} {failed.value.as_record()}"
    assert function in shown and "freeze" in shown, "it says what was called, and what for"
    assert ACCOUNT not in shown and "hunter2" not in shown
    assert failed.value.hint
    return failed.value


def test_a_hook_is_called_once_with_whose_writes_and_which_run(lab: Lab) -> None:
    name = make_logging(lab, GATE)
    hooks_over(lab).call(name, PAYLOAD, 60.0)
    wait_until(lambda: calls_of(lab, name) == ["called with freeze orders-nightly orders run-1"])


def test_a_hook_may_be_named_with_its_alias(lab: Lab) -> None:
    name = lab.make(GATE)
    lab.client.create_alias(FunctionName=name, Name="live", FunctionVersion=lab.publish(name))
    hooks_over(lab).call(f"{name}:live", PAYLOAD, 60.0)
    assert "hook" in str(failure(hooks_over(lab), f"{name}:none"))


def test_a_function_that_is_not_there_has_failed(lab: Lab) -> None:
    error = failure(hooks_over(lab), "nobody")
    assert isinstance(error, HookMissing) and "There is no such function" in error.hint


@pytest.mark.parametrize("source", [BROKEN, DEADLY], ids=["raises", "dies"])
def test_a_function_that_fails_has_failed_and_what_it_said_is_not_repeated(lab: Lab, source: str) -> None:
    error = failure(hooks_over(lab), lab.make(source))
    assert not isinstance(error, HookUnanswered), "it has ended"
    assert "failed (Unhandled)" in error.message and "log" in error.hint


REPORTING = """
    def handler(event, context):
        return {"statusCode": 500, "error": "the password is hunter2"}
"""


def test_a_function_that_catches_its_error_and_answers_with_it_has_failed(lab: Lab) -> None:
    error = failure(hooks_over(lab), lab.make(REPORTING))
    assert not isinstance(error, HookUnanswered | HookUncalled), "it has ended"
    assert "statusCode 500" in error.message


@pytest.mark.parametrize(
    "said",
    [
        {"statusCode": 400, "body": "x"},
        {"statusCode": "503"},
        {"error": "could not freeze"},
        {"statusCode": 200, "error": {"code": 7}},
        {"error": True},
        {"errorMessage": "it is gone"},
    ],
    ids=str,
)
def test_an_answer_that_tells_of_an_error_is_a_failed_hook(aws: Aws, said: object) -> None:
    answers(aws, json.dumps(said).encode())
    assert failure(LambdaHooks(lambda _: aws.client("lambda")), "stop").hint == "Its own log tells why."


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"null",
        b'"error"',
        b"[500]",
        b"4" * 5000,
        b"[" * 100_000,
        b'{"error": "' + b"x" * 100_000,
        b'{"error": null, "errorMessage": "", "statusCode": 200}',
        b'{"error": false, "statusCode": 399}',
        b'{"statusCode": true, "body": {"error": "of something else"}}',
    ],
    ids=lambda said: repr(said[:30]),
)
def test_any_other_answer_is_a_hook_that_has_worked(aws: Aws, said: bytes) -> None:
    answers(aws, said)
    LambdaHooks(lambda _: aws.client("lambda")).call("stop", PAYLOAD, 60.0)


def test_of_a_long_answer_little_is_read(aws: Aws) -> None:
    class Body(io.BytesIO):
        def close(self) -> None:
            read.append(self.tell())

    read: list[int] = []
    answer = {"StatusCode": 200, "Payload": StreamingBody(Body(b" " * 5_000_000), 5_000_000)}
    aws.answers("lambda", "invoke", answer, ASKED)
    LambdaHooks(lambda _: aws.client("lambda")).call("stop", PAYLOAD, 60.0)
    assert 0 < read[0] <= 10_000


def answers(aws: Aws, said: bytes) -> None:
    aws.answers("lambda", "invoke", {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(said), len(said))}, ASKED)


def test_a_function_that_does_not_answer_in_time_has_failed_and_is_called_once(lab: Lab) -> None:
    name = make_logging(lab, SLOW)
    assert isinstance(failure(hooks_over(lab), name, longest_s=0.5), HookUnanswered)
    wait_until(lambda: calls_of(lab, name) == ["called"])
    lab.call(name, {"sleep_s": 0})
    wait_until(lambda: len(calls_of(lab, name)) >= 2)
    assert len(calls_of(lab, name)) == 2, "the hook was called again"


def test_a_call_that_is_denied_says_which_parameter_allows_it(aws: Aws) -> None:
    aws._stub("lambda").add_client_error(
        "invoke",
        "AccessDeniedException",
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/rules/x is not authorized to perform: lambda:InvokeFunction on "
        f"resource: arn:aws:lambda:us-east-1:{ACCOUNT}:function:stop",
        http_status_code=403,
    )
    error = failure(LambdaHooks(lambda _: aws.client("lambda")), "stop")
    assert "AllowedHookFunctionArns" in error.hint
    assert isinstance(error, HookUncalled) and not isinstance(error, HookMissing)


@pytest.mark.parametrize(
    "code, status, may_be_at_work",
    [
        ("TooManyRequestsException", 429, False),
        ("ServiceException", 500, True),
        ("InvalidRequestContentException", 400, False),
    ],
)
def test_whatever_else_lambda_answers_is_a_failed_hook_that_may_be_at_work_only_where_lambda_is_in_trouble(
    aws: Aws, code: str, status: int, may_be_at_work: bool
) -> None:
    aws.fails("lambda", "invoke", code, status)
    error = failure(LambdaHooks(lambda _: aws.client("lambda")), "stop")
    assert code in error.message and isinstance(error, HookUnanswered) is may_be_at_work
    assert isinstance(error, HookUncalled) is (code == "TooManyRequestsException")


def test_what_lambda_is_asked_for_waits_for_the_end(aws: Aws) -> None:
    answers(aws, b"null")
    given: list[float] = []
    LambdaHooks(lambda longest_s: given.append(longest_s) or aws.client("lambda")).call("stop", PAYLOAD, 42.0)
    assert given == [42.0]


def test_a_call_is_sent_once_and_waits_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    hooks = AwsAdapters(StoreSettings("table", "bucket", "staging"), lambda _: None).hooks
    config = hooks._make_client(42.0).meta.config
    assert config.read_timeout == 42.0
    assert config.retries["total_max_attempts"] == 1


def test_what_a_test_calls_in_memory_fails_as_what_is_not_there_does() -> None:
    hooks = MemoryHooks({"stop": lambda _: None})
    hooks.call("stop", PAYLOAD, 1.0)
    with pytest.raises(HookMissing):
        hooks.call("nobody", PAYLOAD, 1.0)
    assert hooks.calls == [("stop", "freeze"), ("nobody", "freeze")]
