"""A function that an execution of the local cloud invokes runs as Lambda would run it, or is refused as there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.lambda_lab import STEPS, Lab, lab, trust, zipped

__all__ = ["lab"]

# Does what the request says: meets the others, dies, hangs, raises, or tells about itself.
WORKER = """
    import os, pathlib, time

    def handler(event, context):
        do = event.get("do")
        if do == "meet":
            folder = pathlib.Path(event["folder"])
            (folder / str(event["number"])).touch()
            while len(list(folder.iterdir())) < event["count"]:
                time.sleep(0.01)
        if do == "die":
            os._exit(137)
        if do == "hang":
            time.sleep(60)
        if do == "raise":
            raise KeyError("no such share")
        if do == "tell much":
            return "x" * (1024 * 1024)
        return {"pid": os.getpid(), "version": context.function_version, "arn": context.invoked_function_arn}
"""
CALLER = """
    from aws_durable_execution_sdk_python import durable_execution
    from aws_durable_execution_sdk_python.config import CompletionConfig, MapConfig, NestingType
    from aws_durable_execution_sdk_python.exceptions import InvokeError

    @durable_execution
    def handler(event, context):
        def ask(branch, request, index, _):
            try:
                function = event["slow"] if request == {"do": "hang"} else event["function"]
                return branch.invoke(function, request)
            except InvokeError as error:
                return {"error": error.error_type, "said": str(error.message)}
        config = MapConfig(completion_config=CompletionConfig.all_completed(), nesting_type=NestingType.FLAT)
        return context.map(event["requests"], ask, config=config).get_results()
"""


@dataclass(frozen=True)
class Pair:
    """A durable function and the plain one that it may invoke, in its published versions."""

    lab: Lab
    caller: str
    worker: str
    slow: str  # the same as the worker, with little time

    @property
    def worker_arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:000000000000:function:{self.worker}"

    def ask(self, function: str, *requests: Any) -> list[Any]:
        """What a new execution gets when it invokes a function with each of the requests at once."""
        event = {"function": function, "slow": f"{self.slow}:1", "requests": list(requests)}
        ended = self.lab.end(self.lab.start(f"{self.caller}:$LATEST", event))
        assert ended["Status"] == "SUCCEEDED", ended
        answers: list[Any] = json.loads(ended["Result"])
        return answers


@pytest.fixture(scope="module")
def pair(lab: Lab) -> Pair:
    worker, slow = lab.make(WORKER, Timeout=60), lab.make(WORKER, Timeout=2)
    for name in (worker, slow):
        lab.publish(name)
    iam = lab.cloud.client("iam")
    role = iam.create_role(RoleName="caller", AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))["Role"]["Arn"]
    functions = "arn:aws:lambda:us-east-1:000000000000:function"
    allowed = [
        {"Effect": "Allow", "Action": ["lambda:*DurableExecution*", "logs:*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": f"{functions}:{worker}:*"},
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": f"{functions}:{slow}:*"},
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": f"{functions}:missing:*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_role_policy(RoleName="caller", PolicyName="caller", PolicyDocument=policy)
    return Pair(lab, lab.make_durable(CALLER, Role=role), worker, slow)


def test_as_many_run_at_once_as_are_asked_for_each_in_a_process_of_its_own(pair: Pair, tmp_path: Path) -> None:
    requests = [{"do": "meet", "folder": str(tmp_path), "number": number, "count": 8} for number in range(8)]
    # None of them would end if one waited for another's end.
    answers = pair.ask(f"{pair.worker_arn}:1", *requests)
    assert len({answer["pid"] for answer in answers}) == 8


def test_what_ends_without_an_answer_is_told_by_its_kind_and_the_others_are_heard_out(pair: Pair) -> None:
    answers = pair.ask(f"{pair.worker_arn}:1", {"do": "die"}, {}, {"do": "hang"}, {"do": "raise"})
    assert [answer.get("error") for answer in answers] == ["Runtime.ExitError", None, "Sandbox.Timedout", "KeyError"]


def test_a_version_stays_what_it_was_when_the_function_changes(pair: Pair) -> None:
    changed = zipped(app="def handler(event, context): return 'changed'")
    pair.lab.client.update_function_code(FunctionName=pair.worker, ZipFile=changed)
    pair.lab.settle(pair.worker)
    second = pair.lab.publish(pair.worker)
    (before,) = pair.ask(f"{pair.worker}:1", {})
    assert (before["version"], before["arn"]) == ("1", f"{pair.worker_arn}:1")
    assert pair.ask(f"{pair.worker}:{second}", {}) == ["changed"]


@pytest.mark.parametrize("function", ["missing:1", "{worker}:9", "{worker}:old"])
def test_what_is_not_there_is_refused(pair: Pair, function: str) -> None:
    (answer,) = pair.ask(function.format(worker=pair.worker), {})
    assert answer["error"] == "ResourceNotFoundException"


def test_what_the_role_must_not_invoke_is_refused(pair: Pair) -> None:
    # The grant is for versions: the function without one is another resource.
    (unqualified,) = pair.ask(pair.worker_arn, {})
    (other,) = pair.ask(pair.lab.make(WORKER), {})
    assert (unqualified["error"], other["error"]) == ("AccessDeniedException", "AccessDeniedException")
    assert "lambda:InvokeFunction" in unqualified["said"]


def test_a_durable_function_is_not_invoked_from_within_an_execution_here(pair: Pair) -> None:
    (answer,) = pair.ask(f"{pair.lab.make_durable(STEPS)}:$LATEST", {})
    assert answer["error"] == "InvalidParameterValueException"


def test_an_answer_of_more_than_a_mebibyte_is_refused(pair: Pair) -> None:
    (answer,) = pair.ask(f"{pair.worker_arn}:1", {"do": "tell much"})
    assert "1048576 bytes" in answer["said"]


def test_a_request_of_more_than_a_mebibyte_ends_the_execution(pair: Pair) -> None:
    event = {"function": f"{pair.worker_arn}:1", "requests": [1024 * 1024]}
    # The SDK does not return from such a request: the invocation ends with its time.
    name = pair.lab.make_durable(CALLER.replace("request)", '"x" * request)'), Timeout=10)
    ended = pair.lab.end(pair.lab.start(f"{name}:$LATEST", event))
    assert ended["Status"] == "FAILED"
    assert "1048576 bytes" in str(ended["Error"])
