"""Copies one backup in legs: by this sandbox alone, or, when it is large, by several at once.

What stands here is replayed: it only computes from the results of steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import RdbkeeperError, WorkerDenied
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.shares import Share, share_out
from rdbkeeper.domain.transfer import Transfer
from rdbkeeper.flows.copy import CopySteps, leg_budget_s
from rdbkeeper.flows.pace import workers_under_cap
from rdbkeeper.flows.run_context import Ticket
from rdbkeeper.flows.worker import write_share
from rdbkeeper.ports import Engine, Record

# Rounds of several sandboxes in which nothing at all was moved.
MOST_VAIN_ROUNDS = 3


@dataclass
class Legs:
    """The legs of one backup; `seconds` is how long they took so far."""

    engine: Engine
    steps: CopySteps
    rule: Rule
    ticket: Ticket
    seconds: float = field(default=0.0, init=False)
    _is_alone: bool = field(default=False, init=False)
    _vain_rounds: int = field(default=0, init=False)

    def copy(self, transfer: Transfer) -> Transfer:
        """Move every part of the transfer. Raises what stopped it."""
        while not transfer.is_done:
            name = f"{self.ticket.copy_id} from part {transfer.parts_done + 1}"
            shares = share_out(transfer, self._count_workers(transfer))
            if len(shares) > 1:
                transfer = self._copy_together(name, transfer, shares)
                continue
            if transfer.parts_done:
                self.engine.renew_invocation(f"renew before {name}")
            transfer = self._copy_alone(name, transfer)
        return transfer

    def _count_workers(self, transfer: Transfer) -> int:
        copying = self.steps.context.copying
        if self._is_alone or transfer.size_bytes < copying.spread_from_bytes:
            return 1
        return workers_under_cap(self.rule.bandwidth_mbps, copying.workers)

    def _copy_alone(self, name: str, transfer: Transfer) -> Transfer:
        leg = self.engine.step(f"copy {name}", partial(self._leg, transfer))
        self.seconds += leg["seconds"]
        return transfer.advance(leg["progress"])

    def _leg(self, transfer: Transfer) -> Record:
        return self.steps.leg(self.rule, self.ticket, transfer, leg_budget_s(self.engine.seconds_left()))

    def _copy_together(self, name: str, transfer: Transfer, shares: list[Share]) -> Transfer:
        """One round: each sandbox moves what it can of its share in its time, and the rest is shared out anew."""
        execution = self.engine.execution
        requests = [write_share(self.rule, self.ticket, execution, transfer, share, len(shares)) for share in shares]
        answers = self.engine.spread(f"copy {name}", requests, at_once=len(shares))
        before = transfer.parts_done
        for answer in answers:
            if "failed" not in answer:
                transfer = transfer.advance(answer["progress"])
        self.seconds += max((answer["seconds"] for answer in answers if "failed" not in answer), default=0.0)
        errors = [from_record(answer["failed"]) for answer in answers if "failed" in answer]
        self._heed(errors, has_moved=transfer.parts_done > before)
        return transfer

    def _heed(self, errors: list[RdbkeeperError], *, has_moved: bool) -> None:
        """Raise what another round would meet again; where no worker can be reached, go on alone."""
        self._vain_rounds = 0 if has_moved else self._vain_rounds + 1
        denied = next((error for error in errors if isinstance(error, WorkerDenied)), None)
        if denied is not None:
            self._is_alone = True
            self.engine.step(
                f"go on alone with {self.ticket.copy_id}", partial(self.steps.tell_alone, self.ticket, denied)
            )
            errors = [error for error in errors if not isinstance(error, WorkerDenied)]
        for error in errors:
            if not error.retryable or self._vain_rounds >= MOST_VAIN_ROUNDS:
                raise error
