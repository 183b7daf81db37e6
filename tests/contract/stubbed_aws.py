"""AWS's clients with answers that were prepared, and a fleet over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from rdbkeeper.aws import functions
from rdbkeeper.aws.fleet import AwsFleet
from tests.fakes.fleet import SETTINGS

NOW = datetime(2026, 11, 21, 3, 0, 0, 123_000, tzinfo=UTC)
ARN = "arn:aws:{}:us-east-1:000000000000:{}:{}"
ALL_ALARM_TYPES = ["MetricAlarm", "CompositeAlarm"]


@dataclass
class Aws:
    """Clients that give the answers which were prepared, in order, and no other."""

    stubs: dict[str, Stubber] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self._stub(service).client

    def answers(
        self, service: str, operation: str, answer: dict[str, Any], asked: dict[str, Any] | None = None
    ) -> None:
        self._stub(service).add_response(operation, answer, asked)

    def fails(self, service: str, operation: str, code: str, status: int = 400) -> None:
        self._stub(service).add_client_error(operation, code, "no", http_status_code=status)

    def _stub(self, service: str) -> Stubber:
        if service not in self.stubs:
            client = boto3.client(
                service, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
            )
            self.stubs[service] = Stubber(client)
            self.stubs[service].activate()
        return self.stubs[service]

    def is_done(self) -> None:
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()
            stub.client.close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setitem(functions._EVERY_SECOND, "Delay", 0)
    prepared = Aws()
    yield prepared
    prepared.is_done()


@pytest.fixture
def fleet(aws: Aws) -> AwsFleet:
    return AwsFleet(aws.client, SETTINGS)


def configuration(name: str, version: str = "$LATEST", **others: Any) -> dict[str, Any]:
    arn = ARN.format("lambda", "function", f"{name}:{version}")
    given = {"FunctionName": name, "FunctionArn": arn, "Version": version, "CodeSha256": "code"}
    return {**given, "Role": "arn:aws:iam::000000000000:role/run", "Timeout": 900, **others}


def tags(rule: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in SETTINGS.tags(rule).items()]


def alarm(name: str, **others: Any) -> dict[str, Any]:
    return {"AlarmName": name, "AlarmArn": ARN.format("cloudwatch", "alarm", name), **others}


def get_function(name: str = "rdbkeeper-rule-orders", **others: Any) -> dict[str, Any]:
    return {"Configuration": configuration(name), "Tags": SETTINGS.tags("orders"), **others}
