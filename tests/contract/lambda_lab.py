"""A local cloud with short ways to make functions in it, for the tests of the local cloud itself."""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud import lambda_functions, lambda_records
from tests.local_cloud.server import LocalCloud

SDK_PACKAGES = (
    "aws_durable_execution_sdk_python",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "s3transfer",
    "six",
    "typing_extensions",
    "urllib3",
)

ECHO = """
    import os

    def handler(event, context):
        return {"event": event, "pid": os.getpid()}
"""
STEPS = """
    import os
    from aws_durable_execution_sdk_python import durable_execution, durable_step
    from aws_durable_execution_sdk_python.config import Duration

    @durable_step
    def process(step):
        print("step runs")
        return os.getpid()

    @durable_execution
    def handler(event, context):
        first = context.step(process(), name="first")
        context.wait(Duration.from_seconds(1), name="pause")
        second = context.step(process(), name="second")
        arn, colour = context.lambda_context.invoked_function_arn, os.environ.get("COLOUR")
        return {"event": event, "steps": [first, second], "arn": arn, "colour": colour}
"""


def zipped(**modules: str) -> bytes:
    """Return a zip archive with these modules."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        for name, source in modules.items():
            content.writestr(f"{name}.py", textwrap.dedent(source))
    return archive.getvalue()


def linked_layer() -> bytes:
    """Return a layer that names this environment's durable SDK and what that needs."""
    specs = [importlib.util.find_spec(name) for name in SDK_PACKAGES]
    origins = [Path(spec.origin) for spec in specs if spec and spec.origin]
    paths = [origin.parent if origin.name == "__init__.py" else origin for origin in origins]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("python/.local_packages", "\n".join(map(str, paths)))
    return archive.getvalue()


# What the functions of these tests do, and what Scheduler does for them.
ROLE_ACTIONS = {
    "lambda": [
        "ec2:*NetworkInterface*",
        "ec2:*PrivateIpAddresses",
        "ec2:DescribeSubnets",
        "lambda:*DurableExecution*",
        "logs:*",
        "s3:PutObject",
    ],
    "scheduler": ["lambda:InvokeFunction"],
}


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Lab:
    """The cloud, and short ways to make functions in it."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.client = cloud.client("lambda")
        iam = cloud.client("iam")
        roles = {
            name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(f"{name}.amazonaws.com"))["Role"]["Arn"]
            for name in ("lambda", "scheduler")
        }
        for name, actions in ROLE_ACTIONS.items():
            allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
            iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=policy)
        self.role, self.scheduler_role = roles["lambda"], roles["scheduler"]
        layer = self.client.publish_layer_version(LayerName="sdk", Content={"ZipFile": linked_layer()})
        self.layer = layer["LayerVersionArn"]
        self._numbers = itertools.count(1)

    def settings(self, source: str = ECHO, **others: Any) -> dict[str, Any]:
        settings = {
            "FunctionName": f"function-{next(self._numbers)}",
            "Runtime": "python3.13",
            "Role": self.role,
            "Handler": "app.handler",
            "Code": {"ZipFile": zipped(app=source)},
            "Timeout": 60,
        }
        return settings | others

    def make(self, source: str = ECHO, **others: Any) -> str:
        """Make a function, wait until it is active and return its name."""
        name = self.client.create_function(**self.settings(source, **others))["FunctionName"]
        self.settle(name)
        return str(name)

    def make_durable(self, source: str = STEPS, timeout_s: int = 60, **others: Any) -> str:
        return self.make(source, Layers=[self.layer], DurableConfig={"ExecutionTimeout": timeout_s}, **others)

    def settle(self, name: str, qualifier: str = "$LATEST") -> None:
        while True:
            config = self.client.get_function_configuration(FunctionName=name, Qualifier=qualifier)
            if (config["State"], config.get("LastUpdateStatus")) == ("Active", "Successful"):
                return
            time.sleep(0.1)

    def publish(self, name: str) -> str:
        version = str(self.client.publish_version(FunctionName=name)["Version"])
        self.settle(name, version)
        return version

    def call(self, name: str, event: object = None, **others: Any) -> Any:
        """Invoke a function and return what it answered."""
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event).encode(), **others)
        return json.loads(answer["Payload"].read())

    def start(self, name: str, event: object = None, **others: Any) -> str:
        """Start a durable execution and return its ARN."""
        answer = self.client.invoke(
            FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode(), **others
        )
        assert answer["StatusCode"] == 202
        return str(answer["DurableExecutionArn"])

    def end(self, arn: str, timeout_s: float = 60) -> dict[str, Any]:
        return self.cloud.wait_for_execution(arn, timeout_s)

    def log_lines(self, group: str) -> list[str]:
        events = self.cloud.client("logs").filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in events]


@pytest.fixture(scope="module")
def lab(cloud: LocalCloud) -> Lab:
    return Lab(cloud)


@contextmanager
def settling(seconds: float) -> Iterator[None]:
    """Let what is made or changed stay in progress for another time than usual."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (lambda_functions, lambda_records):
            patch.setattr(module, "SETTLING_S", seconds)
        yield


# Long enough for a few calls on a busy machine.
SLOWLY_S = 3.0


def code_of(action: Callable[[], Any]) -> str:
    """Return the code of the error that an API call ends with."""
    with pytest.raises(ClientError) as caught:
        action()
    return str(caught.value.response["Error"]["Code"])


def wait_until(holds: Callable[[], object], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
