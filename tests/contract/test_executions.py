"""What is known of runs, and how one run starts the next: the same in memory and over Lambda."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from rdbkeeper.aws.executions import DurableExecutions
from rdbkeeper.domain.errors import FleetRefused
from rdbkeeper.ports import Executions
from tests.contract.fleet_place import RUNS
from tests.contract.lambda_lab import Lab, lab
from tests.fakes.fleet import MemoryExecutions

__all__ = ["lab"]

LONG_AGO = datetime.now(UTC) - timedelta(days=365)
REQUEST = {"rule": "orders", "requested": False, "chain": "first", "hand_overs": 1, "tried": ["a"]}


class Place(Protocol):
    """Executions, one of which is going."""

    executions: Executions
    going: str

    def stop(self) -> None:
        """End the execution that is going."""

    def started(self) -> list[tuple[str, Any]]:
        """The successors that were started: the function of each, and what it was asked."""


class MemoryPlace:
    def __init__(self) -> None:
        self.executions = MemoryExecutions()
        self.going = "arn:aws:lambda:us-east-1:000000000000:function:f:1/durable-execution/run/1"
        self.executions.going.add(self.going)

    def stop(self) -> None:
        self.executions.going.remove(self.going)
        self.executions.ended_at[self.going] = datetime.now(UTC)

    def started(self) -> list[tuple[str, Any]]:
        return [(function_of(execution), request) for execution, request in self.executions.successors.values()]


@dataclass
class AwsPlace:
    lab: Lab

    def __post_init__(self) -> None:
        self.executions = DurableExecutions(self.lab.cloud.client)
        self.function = self.lab.make_durable(RUNS)
        self.lab.client.create_alias(
            FunctionName=self.function, Name="live", FunctionVersion=self.lab.publish(self.function)
        )
        self.going = self.lab.start(f"{self.function}:live", {})

    def stop(self) -> None:
        self.lab.client.stop_durable_execution(DurableExecutionArn=self.going)

    def started(self) -> list[tuple[str, Any]]:
        listed = self.lab.client.list_durable_executions_by_function(FunctionName=self.function)
        return [
            (function_of(one["DurableExecutionArn"]), self._asked(one["DurableExecutionArn"]))
            for one in listed["DurableExecutions"]
            if one["DurableExecutionArn"] != self.going
        ]

    def _asked(self, execution: str) -> Any:
        found = self.lab.client.get_durable_execution(DurableExecutionArn=execution)
        return json.loads(found["InputPayload"])

    def stop_all(self) -> None:
        listed = self.lab.client.list_durable_executions_by_function(FunctionName=self.function, Statuses=["RUNNING"])
        for one in listed["DurableExecutions"]:
            self.lab.client.stop_durable_execution(DurableExecutionArn=one["DurableExecutionArn"])


def function_of(execution: str) -> str:
    return execution.split(":function:")[1].split(":", maxsplit=1)[0]


@pytest.fixture(params=["memory", "aws"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        yield MemoryPlace()
        return
    aws = AwsPlace(request.getfixturevalue("lab"))
    yield aws
    aws.stop_all()


def test_an_execution_has_an_end_once_it_has_ended(place: Place) -> None:
    assert place.executions.find_end(place.going) is None
    before = datetime.now(UTC) - timedelta(seconds=1)
    place.stop()
    end = place.executions.find_end(place.going)
    assert end is not None
    assert before <= end <= datetime.now(UTC) + timedelta(seconds=1)
    assert end.utcoffset() == timedelta(0)


def test_an_execution_that_nobody_knows_ended_long_ago(place: Place) -> None:
    unknown = "arn:aws:lambda:us-east-1:000000000000:function:rdbkeeper-rule-none:1/durable-execution/name/id"
    end = place.executions.find_end(unknown)
    assert end is not None
    assert end < LONG_AGO


def test_a_successor_runs_the_same_function_once_for_a_name(place: Place) -> None:
    place.executions.start_successor(place.going, "after-this", REQUEST)
    place.executions.start_successor(place.going, "after-this", REQUEST)
    assert place.started() == [(function_of(place.going), REQUEST)]


def test_a_name_that_was_given_to_another_request_is_refused(place: Place) -> None:
    place.executions.start_successor(place.going, "after-that", REQUEST)
    with pytest.raises(FleetRefused):
        place.executions.start_successor(place.going, "after-that", {**REQUEST, "hand_overs": 2})


def test_a_successor_runs_what_is_deployed_by_then(lab: Lab) -> None:
    place = AwsPlace(lab)
    lab.client.update_function_configuration(FunctionName=place.function, MemorySize=256)
    lab.settle(place.function)
    lab.client.update_alias(FunctionName=place.function, Name="live", FunctionVersion=lab.publish(place.function))
    place.executions.start_successor(place.going, "after-a-deploy", REQUEST)
    listed = lab.client.list_durable_executions_by_function(FunctionName=place.function, Qualifier="2")
    assert [one["DurableExecutionName"] for one in listed["DurableExecutions"]] == ["after-a-deploy"]
    place.stop_all()


def test_what_is_no_execution_s_name_is_refused() -> None:
    with pytest.raises(FleetRefused, match="names no function"):
        DurableExecutions(lambda service: None).start_successor("somebody", "after", REQUEST)
