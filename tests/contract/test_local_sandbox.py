"""Functions of the local cloud run in processes of their own, with their own code, layers and environment only."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from pathlib import Path

import pytest

from tests.contract.lambda_lab import ECHO, Lab, lab, wait_until, zipped

__all__ = ["lab"]
REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_function_sees_its_own_environment_and_nothing_of_the_callers(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "secret")
    source = """
        import os, sys

        def handler(event, context):
            return {"environment": dict(os.environ), "path": sys.path, "here": os.getcwd()}
    """
    name = lab.make(source, Environment={"Variables": {"COLOUR": "red"}}, MemorySize=512)
    seen = lab.call(name)
    environment = seen["environment"]
    assert "SECRET_OF_THE_CALLER" not in json.dumps(seen)
    expected = {
        "COLOUR": "red",
        "AWS_ENDPOINT_URL": lab.cloud.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "_HANDLER": "app.handler",
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
    }
    assert expected.items() <= environment.items()
    assert seen["here"] == environment["LAMBDA_TASK_ROOT"] == seen["path"][0]
    assert not [path for path in seen["path"] if "site-packages" in path or str(REPOSITORY) in path]


def test_a_function_gets_the_context_of_lambda(lab: Lab) -> None:
    source = """
        import time

        def handler(event, context):
            first = context.get_remaining_time_in_millis()
            time.sleep(0.05)
            return {
                "passed": first - context.get_remaining_time_in_millis(), "left": first,
                "name": context.function_name, "version": context.function_version, "id": context.aws_request_id,
                "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb,
                "group": context.log_group_name, "stream": context.log_stream_name, "tenant": context.tenant_id,
                "custom": context.client_context.custom, "identity": context.identity.cognito_identity_id,
            }
    """
    name = lab.make(source, Timeout=10)
    version = lab.publish(name)
    lab.client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    custom = base64.b64encode(json.dumps({"custom": {"a": 1}}).encode()).decode()
    answer = lab.client.invoke(FunctionName=name, Qualifier="live", ClientContext=custom)
    seen = json.loads(answer["Payload"].read())
    # The process's own start counts, which takes a busy machine seconds.
    assert 45 <= seen.pop("passed") < 6_000
    assert 3_000 < seen.pop("left") <= 10_000
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[1\][0-9a-f]{32}", seen.pop("stream"))
    assert seen == {
        "name": name,
        "version": "1",
        "id": answer["ResponseMetadata"]["RequestId"],
        "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}:live",
        "memory": "128",
        "group": f"/aws/lambda/{name}",
        "tenant": None,
        "custom": {"a": 1},
        "identity": None,
    }
    assert answer["ExecutedVersion"] == "1"


def test_a_warm_sandbox_is_used_again_and_a_busy_one_is_not(lab: Lab, tmp_path: Path) -> None:
    source = """
        import os, pathlib, time

        def handler(event, context):
            if event:
                pathlib.Path(event, str(os.getpid())).touch()
                while len(os.listdir(event)) < 2:
                    time.sleep(0.01)
            return os.getpid()
    """
    name = lab.make(source, Timeout=60)
    assert lab.call(name) == lab.call(name)
    found: list[int] = []
    # None of them would end if one waited for another's end.
    calls = [threading.Thread(target=lambda: found.append(lab.call(name, str(tmp_path)))) for _ in range(2)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(set(found)) == 2
    assert sorted(found) == sorted(lab.cloud.functions.processes(name))


def test_changed_code_runs_in_a_new_sandbox(lab: Lab) -> None:
    name = lab.make("def handler(event, context): return 1")
    assert lab.call(name) == 1
    lab.client.update_function_code(FunctionName=name, ZipFile=zipped(app="def handler(event, context): return 2"))
    lab.settle(name)
    assert lab.call(name) == 2


FAULTS = {
    "a wrong module": (
        "nothing.handler",
        ECHO,
        "Runtime.ImportModuleError",
        "Unable to import module 'nothing'",
    ),
    "a wrong function": (
        "app.handle",
        ECHO,
        "Runtime.HandlerNotFound",
        "Handler 'handle' missing on module 'app'",
    ),
    "a handler without a module": ("handler", ECHO, "Runtime.MalformedHandlerName", "Bad handler 'handler'"),
    "a module that no layer brings": (
        "app.handler",
        "import boto3\n\ndef handler(event, context): pass",
        "Runtime.ImportModuleError",
        "No module named 'boto3'",
    ),
    "a syntax error": (
        "app.handler",
        "def handler(",
        "Runtime.UserCodeSyntaxError",
        "Syntax error in module 'app'",
    ),
    "a missing variable": (
        "app.handler",
        "import os\nTABLE = os.environ['TABLE']\n\ndef handler(event, context): pass",
        "KeyError",
        "'TABLE'",
    ),
    "an exception": (
        "app.handler",
        "def handler(event, context): return 1 / 0",
        "ZeroDivisionError",
        "division by",
    ),
    "a result that is not JSON": (
        "app.handler",
        "def handler(event, context): return {1, 2}",
        "Runtime.MarshalError",
        "Object of type set is not JSON serializable",
    ),
    "an exit": (
        "app.handler",
        "import os\n\ndef handler(event, context): os._exit(3)",
        "Runtime.ExitError",
        "Runtime exited with error: exit status 3",
    ),
    "a polite exit": (
        "app.handler",
        "import sys\n\ndef handler(event, context): sys.exit(4)",
        "Runtime.ExitError",
        "exit status 4",
    ),
    "a zone that no layer brings": (
        "app.handler",
        "import zoneinfo\n\ndef handler(event, context): zoneinfo.ZoneInfo('Asia/Tokyo')",
        "ZoneInfoNotFoundError",
        "Asia/Tokyo",
    ),
}


@pytest.fixture(scope="module")
def faulty(lab: Lab) -> dict[str, str]:
    """Return the names of functions with all these faults, made together because each takes a moment to settle."""
    made = {
        fault: lab.client.create_function(**lab.settings(source, Handler=handler))["FunctionName"]
        for fault, (handler, source, _, _) in FAULTS.items()
    }
    for name in made.values():
        lab.settle(name)
    return made


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_function_fails_as_in_lambda(lab: Lab, faulty: dict[str, str], fault: str) -> None:
    name, (_, _, error_type, message) = faulty[fault], FAULTS[fault]
    answer = lab.client.invoke(FunctionName=name)
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    failure = json.loads(answer["Payload"].read())
    assert failure["errorType"] == error_type
    assert message in failure["errorMessage"]
    last = lab.cloud.functions.failures[-1]
    assert (last.function_name, last.error.type) == (name, error_type)


def test_a_function_that_takes_too_long_is_killed(lab: Lab) -> None:
    name = lab.make("import time\n\ndef handler(event, context): time.sleep(60)", Timeout=1)
    started_at = time.monotonic()
    failure = lab.call(name)
    assert failure["errorType"] == "Sandbox.Timedout"
    assert failure["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert time.monotonic() - started_at < 45
    assert lab.cloud.functions.processes(name) == []


def test_a_killed_process_is_a_crash(lab: Lab) -> None:
    name = lab.make("import time\n\ndef handler(event, context): time.sleep(60)", Timeout=60)
    answers: list[dict[str, str]] = []
    call = threading.Thread(target=lambda: answers.append(lab.call(name)))
    call.start()
    wait_until(lambda: lab.cloud.functions.processes(name))
    killed = lab.cloud.functions.kill(name)
    call.join()
    assert len(killed) == 1
    assert answers[0]["errorType"] == "Runtime.ExitError"
    assert answers[0]["errorMessage"].endswith("signal: killed")


def test_an_event_runs_in_the_background_and_a_dry_run_does_not_run(lab: Lab) -> None:
    group = "/functions/background"
    lab.cloud.client("logs").create_log_group(logGroupName=group)
    source = "def handler(event, context): print('ran with', event)"
    name = lab.make(source, LoggingConfig={"LogGroup": group})
    assert lab.client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    answer = lab.client.invoke(FunctionName=name, InvocationType="Event", Payload=b"7")
    assert (answer["StatusCode"], "DurableExecutionArn" in answer) == (202, False)
    wait_until(lambda: "ran with 7" in lab.log_lines(group))
    assert lab.log_lines(group).count("ran with 7") == 1


def test_printed_lines_are_in_the_log_group_when_the_invocation_ends(lab: Lab) -> None:
    source = """
        import json, logging, sys

        def handler(event, context):
            print(json.dumps({"message": "hello", "rule": "nightly"}))
            print("to the other stream", file=sys.stderr)
            logging.getLogger("app").warning("careful\\nnow")
            print("no line feed", end="")
    """
    group = "/functions/json"
    lab.cloud.client("logs").create_log_group(logGroupName=group)
    name = lab.make(source, LoggingConfig={"LogFormat": "JSON", "LogGroup": group, "SystemLogLevel": "WARN"})
    answer = lab.client.invoke(FunctionName=name, LogType="Tail")
    lines = lab.log_lines(group)
    assert json.loads(lines[0]) == {"message": "hello", "rule": "nightly"}
    assert lines[1] == "to the other stream"
    row = json.loads(lines[2])
    assert (row["level"], row["message"], row["logger"]) == ("WARNING", "careful\nnow", "app")
    assert lines[3:] == ["no line feed"]
    assert base64.b64decode(answer["LogResult"]).decode().endswith("no line feed")


def test_the_log_says_when_an_invocation_starts_and_how_it_ended(lab: Lab) -> None:
    for log_format, start, report in (
        ("Text", "START RequestId", "REPORT RequestId"),
        ("JSON", '"type": "platform.start"', '"type": "platform.report"'),
    ):
        group = f"/functions/{log_format}-platform"
        lab.cloud.client("logs").create_log_group(logGroupName=group)
        name = lab.make("1/0", LoggingConfig={"LogFormat": log_format, "LogGroup": group})
        lab.call(name)
        lines = lab.log_lines(group)
        assert start in lines[0]
        assert report in lines[-1]
        assert any("ZeroDivisionError" in line for line in lines[1:-1])


def test_lines_for_a_log_group_that_does_not_exist_are_reported_lost(lab: Lab) -> None:
    name = lab.make("def handler(event, context): print('to nobody')")
    lab.call(name)
    lost = [one for one in lab.cloud.functions.lost_logs if one.group == f"/aws/lambda/{name}"]
    assert "to nobody" in [line for one in lost for line in one.lines]


def test_functions_reach_this_cloud_with_the_layers_boto3(lab: Lab) -> None:
    source = """
        import boto3

        def handler(event, context):
            boto3.client("s3").put_object(Bucket=event, Key="written", Body=b"by a function")
            return boto3.__file__
    """
    lab.cloud.client("s3").create_bucket(Bucket="for-functions")
    name = lab.make(source, Layers=[lab.layer])
    assert "/opt/" in lab.call(name, "for-functions")
    assert lab.cloud.client("s3").get_object(Bucket="for-functions", Key="written")["Body"].read() == b"by a function"
