"""Durable executions: when one ended, and starting one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of, translated
from rdbkeeper.aws.fleet_errors import FAMILY
from rdbkeeper.domain.errors import FleetRefused
from rdbkeeper.domain.fleet.settings import ALIAS
from rdbkeeper.ports import Record

# GetDurableExecution, Lambda API reference. Any other status counts as going, so a lease is never taken too early.
ENDED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})
LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FUNCTION = re.compile(r":function:([^:/]+):")


class DurableExecutions:
    """Executions of rules' functions over a client of Lambda, which is made when it is first needed."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client = client

    def find_end(self, execution: str) -> datetime | None:
        with translated(FAMILY, "Asking whether the run that holds the lease has ended"):
            try:
                answer = self._client("lambda").get_durable_execution(DurableExecutionArn=execution)
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    return LONG_AGO  # Lambda no longer knows it, or its function is gone
                raise
        if answer["Status"] not in ENDED:
            return None
        end: datetime = answer["EndTimestamp"]
        return end.astimezone(UTC)

    def start_successor(self, execution: str, name: str, request: Record) -> None:
        # Through the alias, so that what was deployed meanwhile is what runs. A function that starts itself is a loop
        # to Lambda, which ends it after about 16 rounds ("Use Lambda recursive loop detection to prevent infinite
        # loops"); the chain of runs ends before that (`domain.run_request`).
        start_run(self._client("lambda"), _function_of(execution), name, request)


def start_run(client: Any, function: str, run_name: str, event: Record) -> str:
    """Start an execution of a rule's function through its alias, once for a name; returns its ARN.

    Lambda answers a name and payload that it knows with the execution that it knows, also when that has ended
    ("Idempotency" in the Lambda developer guide).
    """
    if not _NAME.fullmatch(run_name):
        raise FleetRefused(f"{run_name[:80]!r} cannot be a run's name.", hint="Use 1 to 64 of A-Z a-z 0-9 _ and -.")
    with translated(FAMILY, f"Starting a run of {function}"):
        answer = client.invoke(
            FunctionName=function,
            Qualifier=ALIAS,
            InvocationType="Event",
            DurableExecutionName=run_name,
            Payload=json.dumps(event).encode(),
        )
    execution: str = answer.get("DurableExecutionArn", "")
    if not execution:
        raise FleetRefused(
            f"Lambda started {function}, and not as a durable execution.",
            hint="It was made without durable settings: delete the rule and create it again.",
        )
    return execution


def _function_of(execution: str) -> str:
    """The name of the function in an execution's ARN, `...:function:NAME:VERSION/durable-execution/NAME/ID`."""
    found = _FUNCTION.search(execution)
    if found is None:
        raise FleetRefused("A run's own ARN names no function.", hint="This is a defect; please report it.")
    return found[1]
