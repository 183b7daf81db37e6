"""Hands what a run has no room for to a run that follows at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.outcome import Outcome, Status
from rdbkeeper.flows.run_context import RunContext
from rdbkeeper.ports import Record

# A durable execution holds at most 3,000 operations and ends after the template's ExecutionTimeout of 24 hours. Between
# two backups a run goes on below these; the largest backup needs 2 operations for each 11 minutes of its copying.
MOST_OPERATIONS = 2_000
LONGEST_RUN = timedelta(hours=18)


def has_room(began: Record, at: str, copied_s: float, operations: int) -> bool:
    """Whether a run that began then may begin another backup `copied_s` seconds of copying after the moment `at`."""
    age = datetime.fromisoformat(at) - datetime.fromisoformat(began["started_at"]) + timedelta(seconds=copied_s)
    return operations < MOST_OPERATIONS and age < LONGEST_RUN


@dataclass(frozen=True)
class HandOverStep:
    """Starts the run that goes on."""

    context: RunContext

    def start(self, outcomes: Sequence[Outcome]) -> Record:
        """Start the successor, once; it takes what was left, and leaves alone what was tried in vain."""
        request = self.context.request
        tried = tuple(outcome.copy_id for outcome in outcomes if outcome.status is not Status.COPIED)
        successor = request.successor(self.context.chain, tried)
        name = hashlib.sha256(self.context.execution.encode()).hexdigest()[:32]
        event = {"rule": self.context.rule_name, **successor.as_record()}
        self.context.executions.start_successor(self.context.execution, f"after-{name}", event)
        self.context.journal.info(
            "HandedOver", "There is more than one run takes: another follows at once.", hand_overs=successor.hand_overs
        )
        return {}

    def tell_failure(self, error: RdbkeeperError) -> Record:
        """Log that no run follows; what is left is not lost, but waits for the next fire."""
        self.context.journal.error(
            "NotHandedOver", f"No run could be started for what is left; the next fire takes it: {error}"
        )
        return {}
