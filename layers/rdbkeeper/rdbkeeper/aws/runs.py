"""The runs of the rules' functions, as Lambda knows them: durable executions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rdbkeeper.aws.errors import tolerated, translated
from rdbkeeper.aws.executions import start_run
from rdbkeeper.aws.fleet_errors import FAMILY
from rdbkeeper.ports import Record

# "Statuses" of ListDurableExecutionsByFunction, Lambda API reference.
_GOING = ["RUNNING", "PAUSING", "PAUSED"]
_GONE = "ResourceNotFoundException"


class Runs:
    """Durable executions over a client of Lambda, by the name of their function."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client = client

    def find_going(self, function: str, version: int | None = None) -> str | None:
        """The ARN of an execution that is going on any of the function's versions or on that one, or None."""
        with translated(FAMILY, f"Looking for runs of {function}"):
            return next(self._going(function, version), None)

    def stop(self, function: str) -> int:
        """Stop the executions that are going on any of the function's versions; returns how many."""
        with translated(FAMILY, f"Stopping the runs of {function}"):
            return sum(self._stop(execution) for execution in list(self._going(function)))

    def start(self, function: str, rule_name: str, run_name: str, wish: Record | None = None) -> str:
        """Start an execution through the alias, once for a name; returns its ARN."""
        event = {**(wish or {}), "rule": rule_name, "requested": True}
        return start_run(self._client("lambda"), function, run_name, event)

    def _going(self, function: str, version: int | None = None) -> Iterator[str]:
        """The ARNs of the executions that are going; none where there is no such function or version."""
        # Without a qualifier the executions of all versions are listed.
        which = {} if version is None else {"Qualifier": str(version)}
        pages = self._client("lambda").get_paginator("list_durable_executions_by_function")
        with tolerated(_GONE):
            for page in pages.paginate(FunctionName=function, Statuses=_GOING, **which):
                yield from (run["DurableExecutionArn"] for run in page.get("DurableExecutions", ()))

    def _stop(self, execution: str) -> bool:
        """Stop an execution; False when it has ended by itself meanwhile."""
        with tolerated(_GONE):
            self._client("lambda").stop_durable_execution(DurableExecutionArn=execution)
            return True
        return False
