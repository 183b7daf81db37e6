"""Hands what a run has no room for to a run that follows at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.outcome import Outcome, Status
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.ports import Engine, Record

# A durable execution holds at most 3,000 operations and 100 MB of results ("Lambda quotas"), and ends after the
# template's ExecutionTimeout of 24 hours. No further backup is begun beyond these; the largest one needs some hundred
# operations and 26 MB, and may take 16 hours (`copy.LONGEST_COPY_S`).
MOST_OPERATIONS = 2_000
MOST_WRITTEN_BYTES = 50_000_000
BEGINS_BACKUPS_FOR = timedelta(hours=7)


def has_room(engine: Engine, age: timedelta) -> bool:
    """Whether a run of that age may begin another backup."""
    is_small = engine.operations < MOST_OPERATIONS and engine.written_bytes < MOST_WRITTEN_BYTES
    return is_small and age < BEGINS_BACKUPS_FOR


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
