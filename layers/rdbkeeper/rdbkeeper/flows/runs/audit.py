"""Reads copies at rest again, within a rule's run: the longest unread first, as much as one run may read.

An audit is cut into legs, as copying is: slices of time, each of which checks several small copies or a piece of a
large one. What stands between the steps is replayed: it only computes from their results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from rdbkeeper.domain.audit import Tally, choose, find_gone
from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.errors import LeaseLost, LegNeverEnds, RdbkeeperError, RuleChanged, RuleGone
from rdbkeeper.domain.outcome import human_duration, human_size
from rdbkeeper.domain.rule import Rule
from rdbkeeper.flows.copies.check import Position
from rdbkeeper.flows.runs.audit_copy import AuditedCopy, CopyAuditor
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.flows.runs.copy import LEG_RESERVE_S, MOST_LEG_ATTEMPTS, leg_budget_s
from rdbkeeper.flows.runs.hand_over import has_room
from rdbkeeper.flows.runs.legs import WORTHWHILE_LEG_S
from rdbkeeper.ports import Engine, Record

BYTES_PER_GIGABYTE = 10**9
# What one run reads again at most, unless the request says otherwise: half an hour at 100 MB/s.
MOST_BYTES = 200 * BYTES_PER_GIGABYTE
# A copy's id has up to 280 bytes, and a step's result less than 256 KB.
MOST_COPIES = 500
# While a run audits, no backup of its rule is copied: so no further copy is begun after this much reading. A large
# copy that was begun is read to its end within the longer time, for a piece of it proves nothing.
BEGINS_COPIES_FOR_S = 3600.0
LONGEST_AUDIT_S = 10 * 3600.0
# A store that fails one copy after the other is down, and each failure takes minutes.
MOST_FAILURES_IN_A_ROW = 3
ATTEMPTS_OF = "audit"


def audit_copies(engine: Engine, steps: AuditSteps, rule: Rule, started_at: datetime | None = None) -> Record:
    """Audit what is due, or what the run's request wants; returns a Tally as a record.

    `started_at` is when the run began, where it has done something else before. What keeps a copy from being read is
    logged and counted; LeaseLost, RuleGone and RuleChanged are raised, and what keeps the vault from being listed.
    """
    chosen = engine.step("choose what to audit", partial(_timed, engine, partial(steps.choose, rule)))
    state = AuditState.begin(chosen)
    age = datetime.fromisoformat(chosen["now"]) - (started_at or datetime.fromisoformat(chosen["now"]))
    while state.goes_on and has_room(engine, age + timedelta(seconds=state.seconds)):
        state = _one_leg(engine, steps, rule, state)
    if not chosen["copies"]:
        return Tally().as_record()
    return engine.step("tell what was audited", partial(steps.tell, state))


def _one_leg(engine: Engine, steps: AuditSteps, rule: Rule, state: AuditState) -> AuditState:
    name = f"audit leg {state.legs + 1}"
    if state.seconds_left < LEG_RESERVE_S + WORTHWHILE_LEG_S:
        engine.renew_invocation(f"renew before {name}")
    try:
        leg = engine.step(name, partial(_timed, engine, lambda: steps.leg(rule, state, _budget_s(engine))))
    except (LeaseLost, RuleGone, RuleChanged):
        raise
    except RdbkeeperError as error:
        leg = engine.step(f"pass over after {name}", partial(_timed, engine, partial(steps.pass_over, state, error)))
    return state.after(leg)


def _timed(engine: Engine, do: Callable[[], Record]) -> Record:
    """A step's result, which also tells what its invocation has left, so that a replay goes by the same."""
    record = do()
    return {**record, "seconds_left": engine.seconds_left()}


def _budget_s(engine: Engine) -> float:
    return leg_budget_s(engine.seconds_left())


@dataclass(frozen=True)
class AuditState:
    """How far an audit has come, as the results of its steps tell."""

    waiting: tuple[CatalogEntry, ...]
    most_bytes: int
    seconds_left: float
    progress: Position | None = None
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    legs: int = 0
    failures_in_a_row: int = 0
    is_enough: bool = False

    @classmethod
    def begin(cls, chosen: Record) -> AuditState:
        copies = chosen["copies"]
        waiting = (CatalogEntry(copy_id, Level(level), is_damaged=is_damaged) for copy_id, level, is_damaged in copies)
        return cls(tuple(waiting), chosen["most_bytes"], chosen["seconds_left"])

    @property
    def goes_on(self) -> bool:
        """True while there is a copy that this run may still read."""
        if not self.waiting or self.is_enough or self.failures_in_a_row >= MOST_FAILURES_IN_A_ROW:
            return False
        return self.seconds < (BEGINS_COPIES_FOR_S if self.progress is None else LONGEST_AUDIT_S)

    def after(self, leg: Record) -> AuditState:
        """The state after a leg, or after a copy was passed over."""
        return replace(
            self,
            waiting=self.waiting[leg["finished"] :],
            seconds_left=leg["seconds_left"],
            progress=None if leg["progress"] is None else Position.from_record(leg["progress"]),
            tally=self.tally.plus(Tally.from_record(leg["tally"])),
            seconds=self.seconds + leg["seconds"],
            legs=self.legs + 1,
            failures_in_a_row=self.failures_in_a_row + 1 if leg["failed"] else 0,
            is_enough=leg["is_enough"],
        )


@dataclass(frozen=True)
class AuditSteps:
    """The steps of an audit. Each is a plain function of the world and its arguments, and may be repeated."""

    context: RunContext

    def choose(self, rule: Rule) -> Record:
        """List the copies and decide which to read again; the checks of those that are gone are struck off."""
        context = self.context
        context.renew_lease()
        context.runs.forget_attempts(rule.name, ATTEMPTS_OF)
        now = context.clock.now()
        catalog = context.vault(rule).catalog(rule.place.path)
        checks = context.runs.checks(rule.name)
        gone = find_gone(catalog.entries, checks)
        if gone:
            context.runs.forget_checks(rule.name, gone)
        being_removed = set(catalog.unfinished_removals)
        entries = [entry for entry in catalog.entries if entry.copy_id not in being_removed]
        every_days = None if context.request.audits else rule.audit_every_days
        copies = choose(entries, checks, every_days, now, MOST_COPIES)
        gigabytes = context.request.most_gigabytes if context.request.audits else 0
        return {
            "now": now.isoformat(),
            "copies": [[entry.copy_id, entry.level.value, entry.is_damaged] for entry in copies],
            "most_bytes": gigabytes * BYTES_PER_GIGABYTE or MOST_BYTES,
        }

    def leg(self, rule: Rule, state: AuditState, budget_s: float) -> Record:
        """Check copies from where the audit stands, for about `budget_s` seconds.

        Raises what kept the first of them from coming any further; a later one's failure is left to the next leg.
        """
        context = self.context
        context.renew_lease()
        context.check_still_wanted(rule)
        self._count_attempt(rule, state)
        started = context.clock.monotonic()
        leg = _Leg(state, CopyAuditor(context, rule, started + budget_s))
        leg.run()
        seconds = context.clock.monotonic() - started
        context.journal.info(
            "AuditLegDone",
            f"Read {human_size(leg.tally.size_bytes)} of copies again in {human_duration(seconds)}.",
            size_bytes=leg.tally.size_bytes,
            seconds=round(seconds, 3),
        )
        if leg.cut_short is not None:
            context.journal.warning("LegCutShort", f"The next leg goes on: {leg.cut_short}", reason=leg.cut_short.code)
        return leg.as_record(seconds)

    def _count_attempt(self, rule: Rule, state: AuditState) -> None:
        """Raise LegNeverEnds when this leg has begun too often: an invocation that is killed is repeated for ever."""
        attempts = self.context.runs.count_attempt(rule.name, ATTEMPTS_OF, state.legs)
        if attempts > MOST_LEG_ATTEMPTS:
            raise LegNeverEnds(
                f"Auditing {state.waiting[0].copy_id} began {attempts - 1} times and never ended.",
                hint="The function is killed while it reads, for its memory or its time: look at both in the Lambda "
                "console, and raise the stack's parameter RunMemoryMegabytes.",
            )

    def pass_over(self, state: AuditState, error: RdbkeeperError) -> Record:
        """Log that a copy could not be read, which says nothing about it, and leave it to another run."""
        entry = state.waiting[0]
        self.context.journal.error(
            "CopyUnread",
            f"The copy {entry.copy_id} could not be read, so it was not audited: {error}",
            copy_id=entry.copy_id,
            reason=error.code,
        )
        return _record(1, None, Tally(unread=1), failed=error.retryable)

    def tell(self, state: AuditState) -> Record:
        """Log what became of the audit; the record is its tally."""
        self.context.runs.forget_attempts(self.context.rule_name, ATTEMPTS_OF)
        left = len(state.waiting)
        tally = replace(state.tally, left=left)
        if state.failures_in_a_row >= MOST_FAILURES_IN_A_ROW:
            self.context.journal.error(
                "AuditStopped", f"The vault failed one copy after the other; {left} more are left to the next run."
            )
        if state.progress is not None:
            self.context.journal.error(
                "CopyUnread",
                f"The copy {state.waiting[0].copy_id} could not be read to its end in the time that a run has.",
                copy_id=state.waiting[0].copy_id,
                reason="TimeOver",
            )
            tally = replace(tally, unread=tally.unread + 1)
        self.context.journal.info(
            "CopiesAudited",
            f"{', '.join(tally.notes()) or 'No copy was audited'}; {left} more are due.",
            **tally.as_record(),
        )
        return tally.as_record()


@dataclass
class _Leg:
    """One leg's work: copies one after the other, until its time is over or one of them stops it."""

    state: AuditState
    auditor: CopyAuditor
    tally: Tally = field(default_factory=Tally)
    finished: int = 0
    progress: Position | None = None
    is_enough: bool = False
    cut_short: RdbkeeperError | None = None

    def run(self) -> None:
        """Check copies. Raises what stopped the first one before it came any further."""
        self.progress = self.state.progress
        for entry in self.state.waiting:
            before = self.progress
            audited = self.auditor.go_on(entry, before, self._room_bytes())
            self.progress = audited.progress
            self._count(audited)
            has_moved = self.finished > 0 or self.progress != before
            if audited.error is not None and not has_moved:
                raise audited.error
            self.cut_short = audited.error
            if self.cut_short is not None or self.is_enough or self.progress is not None or self.auditor.is_over():
                return

    def _count(self, audited: AuditedCopy) -> None:
        self.is_enough = audited.has_no_room
        self.tally = self.tally.plus(audited.tally)
        self.finished += audited.is_finished

    def _room_bytes(self) -> int | None:
        """How many bytes a copy may have that is begun now; None where nothing was read so far, so any may."""
        read = self.state.tally.size_bytes + self.tally.size_bytes
        return None if read == 0 else self.state.most_bytes - read

    def as_record(self, seconds: float) -> Record:
        return _record(self.finished, self.progress, self.tally, seconds=seconds, is_enough=self.is_enough)


def _record(finished: int, progress: Position | None, tally: Tally, **more: Any) -> Record:
    return {
        "finished": finished,
        "progress": None if progress is None else progress.as_record(),
        "tally": tally.as_record(),
        "seconds": 0.0,
        "failed": False,
        "is_enough": False,
        **more,
    }
