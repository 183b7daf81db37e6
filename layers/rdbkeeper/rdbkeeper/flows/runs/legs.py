"""Copies one backup in legs: by this sandbox alone, or, when it is large, by several at once.

What stands here is replayed: it only computes from the results of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import CopyTooSlow, RdbkeeperError, WorkerDenied, WorkerDied
from rdbkeeper.domain.outcome import human_duration, human_size
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.shares import Share, share_out
from rdbkeeper.domain.transfer import Transfer
from rdbkeeper.flows.runs.context import Ticket
from rdbkeeper.flows.runs.copy import LEG_RESERVE_S, LONGEST_COPY_S, CopySteps, leg_budget_s
from rdbkeeper.flows.runs.export import Export
from rdbkeeper.flows.runs.pace import workers_under_cap
from rdbkeeper.flows.runs.worker import write_share
from rdbkeeper.ports import Engine, Record

# Rounds of several sandboxes in which nothing at all was moved, and how long to wait after the first of them.
MOST_VAIN_ROUNDS = 3
FIRST_WAIT_S = 30
# A leg is only begun in an invocation that has this much time for it.
WORTHWHILE_LEG_S = 60.0
# Speed is judged once this much time was spent.
FAIR_MEASURE_S = 1800.0


@dataclass
class Legs:
    """The legs of one backup.

    `seconds` is how long they took so far, and `_seconds_left` what their invocation had left at the last result.
    """

    engine: Engine
    steps: CopySteps
    rule: Rule
    ticket: Ticket
    seconds: float = field(default=0.0, init=False)
    _seconds_left: float = field(default=0.0, init=False)
    _is_alone: bool = field(default=False, init=False)
    _vain_rounds: int = field(default=0, init=False)

    def open(self, export: Export) -> Transfer:
        """Plan the transfer, its uploads open."""
        plan = self._timed(f"open transfer of {self.ticket.copy_id}", partial(self.steps.open, self.rule, export))
        return Transfer.from_plan_record(plan, self.rule.place.path, self.ticket.copy_id)

    def copy(self, transfer: Transfer) -> Transfer:
        """Move every part of the transfer. Raises what stopped it, and CopyTooSlow when it would not end in time."""
        seconds_before, moved_before = self.seconds, transfer.moved_bytes
        while not transfer.is_done:
            name = f"{self.ticket.copy_id} from part {transfer.parts_done + 1}"
            shares = share_out(transfer, self._count_workers(transfer))
            if len(shares) > 1:
                transfer = self._copy_together(name, transfer, shares)
            else:
                transfer = self._copy_alone(name, transfer)
            moved_bytes = transfer.moved_bytes - moved_before
            check_speed(self.ticket.backup_id, transfer, moved_bytes, self.seconds - seconds_before)
        return transfer

    def make_time_to_publish(self) -> None:
        """Completing some hundred files takes minutes as well."""
        self._make_time(f"renew before publishing {self.ticket.copy_id}")

    def _count_workers(self, transfer: Transfer) -> int:
        copying = self.steps.context.copying
        if self._is_alone or transfer.size_bytes < copying.spread_from_bytes:
            return 1
        return workers_under_cap(self.rule.bandwidth_mbps, copying.workers)

    def _copy_alone(self, name: str, transfer: Transfer) -> Transfer:
        if transfer.parts_done:
            self.engine.renew_invocation(f"renew before {name}")
        else:
            self._make_time(f"renew before {name}")
        leg = self._timed(f"copy {name}", partial(self._leg, transfer))
        self.seconds += leg["seconds"]
        return transfer.advance(leg["progress"])

    def _leg(self, transfer: Transfer) -> Record:
        return self.steps.leg(self.rule, self.ticket, transfer, leg_budget_s(self.engine.seconds_left()))

    def _make_time(self, name: str) -> None:
        """Go on in a fresh invocation unless this one has time for a leg that is worth beginning."""
        if self._seconds_left < LEG_RESERVE_S + WORTHWHILE_LEG_S:
            self.engine.renew_invocation(name)

    def _timed(self, name: str, do: Callable[[], Record]) -> Record:
        """A step whose result also tells what its invocation has left, so that a replay goes by the same."""
        record = self.engine.step(name, lambda: {**do(), "seconds_left": self.engine.seconds_left()})
        self._seconds_left = record["seconds_left"]
        return record

    def _copy_together(self, name: str, transfer: Transfer, shares: list[Share]) -> Transfer:
        """One round: each sandbox moves what it can of its share in its time, and the rest is shared out anew."""
        execution = self.engine.execution
        requests = [write_share(self.rule, self.ticket, execution, transfer, share, len(shares)) for share in shares]
        answers = self.engine.spread(f"copy {name}", requests, at_once=len(shares))
        self._seconds_left = 0.0  # how long the round took, and so what is left, is on no record
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
        for error in errors:
            if isinstance(error, WorkerDenied):
                self._go_on_alone(error)
            elif not error.retryable:
                raise error
        self._vain_rounds = 0 if has_moved else self._vain_rounds + 1
        if self._vain_rounds and not self._is_alone:
            if self._vain_rounds == MOST_VAIN_ROUNDS:
                raise errors[0] if errors else _nothing_moved(self.ticket)
            # What failed everywhere at once, the account's concurrency used up for one, is given time to pass.
            wait_s = FIRST_WAIT_S * 4 ** (self._vain_rounds - 1)
            self.engine.renew_invocation(f"wait after a vain round for {self.ticket.copy_id}", wait_s)

    def _go_on_alone(self, reason: WorkerDenied) -> None:
        if not self._is_alone:
            self._is_alone = True
            self.engine.step(
                f"go on alone with {self.ticket.copy_id}", partial(self.steps.tell_alone, self.ticket, reason)
            )


def check_speed(backup_id: str, transfer: Transfer, moved_bytes: int, seconds: float) -> None:
    """Raise CopyTooSlow when, at the speed of the last `seconds`, a copy would not be whole in its run's time.

    Each run would begin it anew, and none would end it.
    """
    if seconds < FAIR_MEASURE_S or transfer.is_done:
        return
    left_bytes = transfer.size_bytes - transfer.moved_bytes
    needed_s = seconds + left_bytes * seconds / max(1, moved_bytes)
    if needed_s > LONGEST_COPY_S:
        raise CopyTooSlow(
            f"Copying {backup_id}, {human_size(transfer.size_bytes)}, would take {human_duration(needed_s)} at the "
            f"speed of its first {human_duration(seconds)}; a run has {human_duration(LONGEST_COPY_S)} for it.",
            hint="Raise the stack's parameters WorkersPerRule or RunMemoryMegabytes, and bandwidth_mbps if the rule "
            "has a cap.",
        )


def _nothing_moved(ticket: Ticket) -> WorkerDied:
    return WorkerDied(
        f"The workers copied nothing of {ticket.backup_id} and said of no failure.",
        hint="This is a defect; please report it.",
    )
