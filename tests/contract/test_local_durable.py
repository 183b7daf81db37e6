"""Durable functions of the local cloud run as the service runs them: named once, pinned, repeated after a crash."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.contract.lambda_lab import ECHO, STEPS, Lab, code_of, lab, wait_until, zipped
from tests.local_cloud import durable
from tests.local_cloud.durable import FunctionNeverStartsError
from tests.local_cloud.server import ScheduleDisabledError

__all__ = ["lab"]

PAUSE = """
    import os
    from aws_durable_execution_sdk_python import durable_execution
    from aws_durable_execution_sdk_python.config import Duration

    @durable_execution
    def handler(event, context):
        context.wait(Duration.from_seconds(60), name="pause")
"""
COUNTED = """
    import os, time, pathlib
    from aws_durable_execution_sdk_python import durable_execution, durable_step

    @durable_step
    def note(step, name, path):
        with open(path, "a") as file:
            file.write(name + "\\n")
        count = pathlib.Path(path).read_text().split().count(name)
        if name == "crash" and count == 1:
            os._exit(137)
        if name == "sleep" and count == 1:
            time.sleep(60)
        return count

    @durable_execution
    def handler(event, context):
        return [context.step(note(name, event["path"]), name=name) for name in event["names"]]
"""
MANY = """
    from aws_durable_execution_sdk_python import durable_execution, durable_step

    @durable_step
    def make(step, size):
        return "x" * size

    @durable_execution
    def handler(event, context):
        return sum(len(context.step(make(size), name=str(size))) for size in event)
"""


@pytest.fixture(scope="module")
def steps(lab: Lab) -> str:
    """Return the name of a durable function with a step, a wait of a second and a step, whose alias is `live`."""
    name = lab.make_durable(STEPS)
    lab.client.create_alias(FunctionName=name, Name="live", FunctionVersion=lab.publish(name))
    return name


@pytest.fixture(scope="module")
def pause(lab: Lab) -> str:
    """Return the name of a durable function that waits for a minute."""
    return lab.make_durable(PAUSE)


@pytest.fixture(scope="module")
def counted(lab: Lab) -> str:
    """Return the name of a durable function whose steps note that they ran, and may crash or hang the first time."""
    return lab.make_durable(COUNTED)


@pytest.fixture(scope="module")
def many(lab: Lab) -> str:
    """Return the name of a durable function with a step for each number that it gets, which returns so many bytes."""
    return lab.make_durable(MANY)


def test_a_durable_function_runs_to_its_end_over_a_wait(lab: Lab, steps: str) -> None:
    started_at = time.monotonic()
    arn = lab.start(f"{steps}:live", {"x": 1}, DurableExecutionName="first-run")
    prefix = f"arn:aws:lambda:us-east-1:000000000000:function:{steps}:1"
    assert arn.startswith(f"{prefix}/durable-execution/first-run/")
    ended = lab.end(arn)
    assert time.monotonic() - started_at >= 1
    assert ended["Status"] == "SUCCEEDED"
    result = json.loads(ended["Result"])
    assert (result["event"], result["arn"]) == ({"x": 1}, prefix)
    assert result["steps"][0] == result["steps"][1]
    found = lab.client.get_durable_execution(DurableExecutionArn=arn)
    assert (found["Status"], found["Version"], found["DurableExecutionName"]) == (
        "SUCCEEDED",
        "1",
        "first-run",
    )
    assert found["DurableConfig"] == {"ExecutionTimeout": 60, "RetentionPeriodInDays": 14}
    assert found["EndTimestamp"] > found["StartTimestamp"]
    assert "Result" not in lab.client.get_durable_execution(DurableExecutionArn=arn, IncludeExecutionData=False)
    events = lab.client.get_durable_execution_history(DurableExecutionArn=arn)["Events"]
    kinds = [event["EventType"] for event in events]
    assert kinds[0] == "ExecutionStarted"
    assert kinds[-1] == "ExecutionSucceeded"
    assert kinds.count("InvocationCompleted") == 2


def test_a_durable_function_without_a_qualifier_is_refused(lab: Lab, steps: str) -> None:
    assert code_of(lambda: lab.client.invoke(FunctionName=steps)) == "InvalidParameterValueException"
    assert code_of(lambda: lab.client.invoke(FunctionName=f"{steps}:old")) == "ResourceNotFoundException"


def test_a_name_for_an_execution_of_a_plain_function_is_refused(lab: Lab) -> None:
    call = {"FunctionName": lab.make(ECHO), "DurableExecutionName": "once"}
    assert code_of(lambda: lab.client.invoke(**call)) == "InvalidParameterValueException"


def test_the_same_name_and_payload_is_the_same_execution_and_another_payload_is_refused(lab: Lab, pause: str) -> None:
    name = {"DurableExecutionName": "only-once"}
    arn = lab.start(f"{pause}:$LATEST", {"x": 1}, **name)
    assert lab.start(f"{pause}:$LATEST", {"x": 1}, **name) == arn
    with pytest.raises(ClientError, match="DurableExecutionAlreadyStartedException"):
        lab.start(f"{pause}:$LATEST", {"x": 2}, **name)
    assert code_of(lambda: lab.start(f"{pause}:$LATEST", {}, DurableExecutionName="no.dots")) == (
        "InvalidParameterValueException"
    )
    assert code_of(lambda: lab.client.delete_durable_execution(DurableExecutionArn=arn)) == "ResourceConflictException"
    lab.client.stop_durable_execution(DurableExecutionArn=arn)
    assert lab.end(lab.start(f"{pause}:$LATEST", {"x": 1}, **name))["Status"] == "STOPPED"
    lab.client.delete_durable_execution(DurableExecutionArn=arn)
    assert lab.start(f"{pause}:$LATEST", {"x": 2}, **name) != arn


def test_an_executions_name_has_64_characters_at_most_and_is_one_functions(lab: Lab, pause: str, steps: str) -> None:
    name = "n" * 64
    lab.start(f"{pause}:$LATEST", {}, DurableExecutionName=name)
    assert code_of(lambda: lab.start(f"{pause}:$LATEST", {}, DurableExecutionName=f"{name}n")) == (
        "InvalidParameterValueException"
    )
    with pytest.raises(ClientError, match="DurableExecutionAlreadyStartedException"):
        lab.start(f"{steps}:live", {}, DurableExecutionName=name)


def test_executions_are_listed_by_status_name_version_and_time(lab: Lab) -> None:
    name = lab.make_durable(PAUSE)
    lab.client.create_alias(FunctionName=name, Name="live", FunctionVersion=lab.publish(name))
    stopped, running, latest = (
        lab.start(f"{name}:{qualifier}", DurableExecutionName=execution)
        for qualifier, execution in (("live", "stopped"), ("live", "running"), ("$LATEST", "latest"))
    )
    lab.client.stop_durable_execution(DurableExecutionArn=stopped, Error={"ErrorType": "Me", "ErrorMessage": "enough"})
    assert lab.end(stopped)["Status"] == "STOPPED"
    assert lab.client.get_durable_execution(DurableExecutionArn=stopped)["Error"]["ErrorMessage"] == "enough"

    def listed(**how: Any) -> list[str]:
        pages = lab.client.get_paginator("list_durable_executions_by_function").paginate(FunctionName=name, **how)
        return [one["DurableExecutionArn"] for page in pages for one in page["DurableExecutions"]]

    assert listed() == [latest, running, stopped]
    assert listed(ReverseOrder=True) == [stopped, running, latest]
    assert listed(Statuses=["STOPPED"]) == [stopped]
    assert listed(Statuses=["STOPPED", "RUNNING"]) == [latest, running, stopped]
    assert listed(Qualifier="live", Statuses=["RUNNING"], PaginationConfig={"PageSize": 1}) == [running]
    assert listed(Qualifier="1", PaginationConfig={"PageSize": 1}) == [running, stopped]
    assert listed(DurableExecutionName="latest") == [latest]
    assert listed(StartedAfter=dt.datetime.now(dt.UTC)) == []
    missing = {"FunctionName": "nobody"}
    assert code_of(lambda: lab.client.list_durable_executions_by_function(**missing)) == "ResourceNotFoundException"
    unknown = f"{running}0"
    assert code_of(lambda: lab.client.get_durable_execution(DurableExecutionArn=unknown)) == "ResourceNotFoundException"
    assert code_of(lambda: lab.client.stop_durable_execution(DurableExecutionArn=unknown)) == (
        "ResourceNotFoundException"
    )


def test_an_execution_stays_with_its_version_while_the_alias_moves(lab: Lab) -> None:
    name = lab.make_durable(STEPS, Environment={"Variables": {"COLOUR": "red"}})
    lab.client.create_alias(FunctionName=name, Name="live", FunctionVersion=lab.publish(name))
    arn = lab.start(f"{name}:live")
    wait_until(lambda: len(lab.cloud.functions.processes(name)) == 1)
    other = zipped(app="from aws_durable_execution_sdk_python import durable_execution\n"
                       "@durable_execution\ndef handler(event, context): return 'changed'\n")  # fmt: skip
    lab.client.update_function_code(FunctionName=name, ZipFile=other)
    lab.settle(name)
    lab.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"COLOUR": "blue"}})
    lab.settle(name)
    lab.client.update_alias(FunctionName=name, Name="live", FunctionVersion=lab.publish(name))
    assert json.loads(lab.end(lab.start(f"{name}:live"))["Result"]) == "changed"
    ended = json.loads(lab.end(arn)["Result"])
    assert (len(ended["steps"]), ended["colour"]) == (2, "red")


def test_an_execution_whose_version_was_deleted_fails_when_it_is_to_go_on(lab: Lab) -> None:
    name = lab.make_durable(STEPS.replace("from_seconds(1)", "from_seconds(5)"))
    arn = lab.start(f"{name}:{lab.publish(name)}")
    wait_until(lambda: len(lab.cloud.functions.processes(name)) == 1)
    lab.client.delete_function(FunctionName=name, Qualifier="1")
    ended = lab.end(arn)
    assert (ended["Status"], ended["Error"]["ErrorType"]) == ("FAILED", "ResourceNotFoundException")


def test_a_caller_can_wait_for_the_result(lab: Lab, steps: str) -> None:
    answer = lab.client.invoke(FunctionName=steps, Qualifier="live", Payload=b'{"wait": true}')
    assert json.loads(answer["Payload"].read())["event"] == {"wait": True}
    assert answer["ExecutedVersion"] == "1"
    assert "/durable-execution/" in answer["DurableExecutionArn"]


def test_an_exception_outside_a_step_fails_the_execution(lab: Lab, counted: str) -> None:
    ended = lab.end(lab.start(f"{counted}:$LATEST", {}))
    assert (ended["Status"], ended["Error"]["ErrorType"]) == ("FAILED", "KeyError")
    answer = lab.client.invoke(FunctionName=f"{counted}:$LATEST", Payload=b"{}")
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorMessage"] == "'names'"


def test_a_crash_in_a_step_is_repeated_and_finished_steps_are_not(lab: Lab, counted: str, tmp_path: Path) -> None:
    name = counted
    path = tmp_path / "runs"
    arn = lab.start(f"{name}:$LATEST", {"path": str(path), "names": ["before", "crash", "after"]})
    assert json.loads(lab.end(arn)["Result"]) == [1, 2, 1]
    assert path.read_text().split() == ["before", "crash", "crash", "after"]
    failed = [one.error for one in lab.cloud.functions.failures if one.function_name == name]
    assert [error.type for error in failed] == ["Runtime.ExitError"]
    assert failed[0].message.endswith("exit status 137")


def test_an_execution_goes_on_after_its_process_was_killed(lab: Lab, counted: str, tmp_path: Path) -> None:
    name = counted
    path = tmp_path / "runs"
    arn = lab.start(f"{name}:$LATEST", {"path": str(path), "names": ["before", "sleep", "after"]})
    wait_until(lambda: path.exists() and "sleep" in path.read_text())
    assert lab.cloud.functions.kill(name)
    assert json.loads(lab.end(arn)["Result"]) == [1, 2, 1]
    assert path.read_text().split() == ["before", "sleep", "sleep", "after"]


def test_a_handler_that_cannot_be_loaded_is_said_at_once_while_the_execution_goes_on_trying(lab: Lab) -> None:
    name = lab.make_durable(ECHO, Handler="app.main")
    arn = lab.start(f"{name}:$LATEST")
    with pytest.raises(FunctionNeverStartsError, match="Handler 'main' missing on module 'app'"):
        lab.end(arn)
    assert lab.client.get_durable_execution(DurableExecutionArn=arn)["Status"] == "RUNNING"
    lab.client.stop_durable_execution(DurableExecutionArn=arn)
    assert lab.end(arn)["Status"] == "STOPPED"


def test_an_execution_ends_at_its_own_timeout(lab: Lab) -> None:
    name = lab.make_durable(PAUSE, timeout_s=1)
    started_at = time.monotonic()
    assert lab.end(lab.start(f"{name}:$LATEST"))["Status"] == "TIMED_OUT"
    assert 0.9 < time.monotonic() - started_at < 45


def test_waiting_longer_than_one_wants_is_a_timeout_that_names_the_state(lab: Lab, pause: str) -> None:
    with pytest.raises(TimeoutError, match=r"is RUNNING after 0\.1 s"):
        lab.end(lab.start(f"{pause}:$LATEST"), timeout_s=0.1)


def test_a_step_with_more_than_256_kb_fails_the_execution(lab: Lab, many: str) -> None:
    assert lab.end(lab.start(f"{many}:$LATEST", [250_000]))["Result"] == "250000"
    ended = lab.end(lab.start(f"{many}:$LATEST", [263_000]))
    assert ended["Status"] == "FAILED"
    assert "262,144 are allowed" in ended["Error"]["ErrorMessage"]


def test_an_execution_with_too_many_operations_is_failed(lab: Lab, many: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert durable.MAX_OPERATIONS == 3_000
    monkeypatch.setattr(durable, "MAX_OPERATIONS", 10)
    # The execution itself is an operation too.
    assert lab.end(lab.start(f"{many}:$LATEST", [1] * 9))["Status"] == "SUCCEEDED"
    ended = lab.end(lab.start(f"{many}:$LATEST", [1] * 10))
    assert (ended["Status"], ended["Error"]["ErrorType"]) == ("FAILED", "ExecutionLimitExceeded")


# Schedules


def make_schedule(lab: Lab, name: str, target: str, **others: Any) -> None:
    scheduler = lab.cloud.client("scheduler")
    groups = [group["Name"] for group in scheduler.list_schedule_groups()["ScheduleGroups"]]
    if "rules" not in groups:
        scheduler.create_schedule_group(Name="rules")
    scheduler.create_schedule(
        GroupName="rules",
        Name=name,
        ScheduleExpression="cron(30 2 * * ? *)",
        ScheduleExpressionTimezone="Asia/Tokyo",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": target,
            "RoleArn": lab.scheduler_role,
            "Input": json.dumps({"rule": name, "scheduled_at": "<aws.scheduler.scheduled-time>"}),
        },
        **others,
    )


def test_firing_a_schedule_invokes_what_it_names_with_what_it_holds(lab: Lab, steps: str) -> None:
    make_schedule(lab, "nightly", f"arn:aws:lambda:us-east-1:000000000000:function:{steps}:live")
    moment = dt.datetime(2026, 3, 1, 2, 30, tzinfo=dt.UTC)
    arn = lab.cloud.fire("rules", "nightly", moment)
    fire = f"{lab.cloud.endpoint_url}/_local/fire"
    other = urllib3.request("POST", fire, json={"group": "rules", "name": "nightly"}).json()["execution_arn"]
    event = json.loads(lab.end(arn)["Result"])["event"]
    assert event == {"rule": "nightly", "scheduled_at": "2026-03-01T02:30:00Z"}
    now = dt.datetime.fromisoformat(json.loads(lab.end(other)["Result"])["event"]["scheduled_at"])
    assert abs((dt.datetime.now(dt.UTC) - now).total_seconds()) < 180


def test_a_schedule_that_is_off_or_unknown_is_not_fired(lab: Lab, steps: str) -> None:
    target = f"arn:aws:lambda:us-east-1:000000000000:function:{steps}:live"
    make_schedule(lab, "paused", target, State="DISABLED")
    with pytest.raises(ScheduleDisabledError):
        lab.cloud.fire("rules", "paused")
    assert code_of(lambda: lab.cloud.fire("rules", "nothing")) == "ResourceNotFoundException"
    for body, status in (
        (b'{"group": "rules", "name": "paused"}', 409),
        (b'{"group": "rules"}', 400),
        (b"[", 400),
    ):
        answer = urllib3.request("POST", f"{lab.cloud.endpoint_url}/_local/fire", body=body)
        assert (answer.status, "error" in answer.json()) == (status, True)
