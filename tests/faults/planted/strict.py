"""Judges a world more strictly than a schedule of any faults can be judged.

Where faults may befall every call, much has to be allowed: a backup may fail, a run may leave its lease to the next
one. In a story only one known thing happens, or none, so all of that can be asked for.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from rdbkeeper.domain.outcome import Status
from rdbkeeper.domain.rule import RuleState
from tests.fakes.journal import Line
from tests.faults.execution import Execution
from tests.faults.fault import Kind
from tests.faults.oracles import Oracles
from tests.faults.process import Process
from tests.faults.settled import check_settled
from tests.faults.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CALLS = 4_000  # of a story; the longest takes some hundred
MOST_LINES = 2_000
MOST_NOTES = 1_000
MOST_HAND_OVERS = 10


class StrictOracles(Oracles):
    """Oracles that remember what became of each backup in each run."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.at_rest, self.on_demand = world.oracles.at_rest, world.oracles.on_demand
        self._strict_world = world
        self.lines = 0
        self.outcomes: dict[str, dict[str, str]] = defaultdict(dict)  # by execution: each copy's outcome
        self._failed_in_chain: dict[str, set[str]] = defaultdict(set)
        self._copied_by: dict[str, str] = {}

    def check_line(self, line: Line, execution: Execution) -> None:
        super().check_line(line, execution)
        self.lines += 1
        self.check(self.lines < MOST_LINES, "a run never stops telling")
        if line.event != "BackupOutcome":
            return
        # What was asked for and not made has no copy's id; it fails by its own.
        copy_id, status = line.fields["copy_id"] or f"-{line.fields['backup']}", line.fields["status"]
        if self.outcomes[execution.arn].get(copy_id) != Status.FAILED:
            self.outcomes[execution.arn][copy_id] = status
        if status == Status.FAILED:
            self._failed_in_chain[_chain_of(execution)].add(copy_id)
        if status == Status.COPIED:
            by = self._copied_by.setdefault(copy_id, execution.arn)
            is_hidden = self.has_struck(Kind.EMPTY_LIST)
            self.check(by == execution.arn or is_hidden, f"{copy_id} is told to be copied by a second run")

    def after(self, process: Process, label: str, given: tuple[Any, ...], answer: Any) -> None:
        super().after(process, label, given, answer)
        if label == "source.request_export":
            tried = self._failed_in_chain[_chain_of(process.execution)]
            self.check(given[0].copy_id not in tried, "a run tries again what failed in the run before it")

    def check_ends(self, *, failing: frozenset[str] = frozenset()) -> None:
        """Raise Violation unless each run ended as its outcomes say, and only `failing` backups (by id) failed."""
        for execution in self._strict_world.executions.all.values():
            outcomes = self.outcomes[execution.arn]
            failed = {copy_id for copy_id, status in outcomes.items() if status == Status.FAILED}
            others = {copy_id for copy_id in failed if copy_id.split("-", 1)[1] not in failing}
            self.check(not others, f"{sorted(others)} failed for no reason")
            if execution.ended_well:
                state = "FAILED" if failed else "SUCCEEDED"
                self.check(execution.state == state, f"a run ended {execution.state} and was to end {state}")


def _chain_of(execution: Execution) -> str:
    return execution.request.chain or execution.arn.rsplit("/", 1)[-1]


def make_strict(world: World, befall: Callable[[Process, str], None] | None = None) -> StrictOracles:
    """Have a world judged strictly; before each of its calls `befall` is told of it, which may do something."""
    oracles = StrictOracles(world)
    world.oracles = oracles
    calls = 0

    def before_call(process: Process, label: str) -> None:
        nonlocal calls
        calls += 1
        oracles.check(calls < MOST_CALLS, "a story never ends")
        if befall is not None:
            befall(process, label)

    note = world.note

    def note_some(what: str) -> None:
        oracles.check(world.counts[what] < MOST_NOTES, f"it never ends: {what}")
        note(what)

    world.take_turns = before_call
    world.note = note_some  # type: ignore[method-assign]
    return oracles


def check_nothing_is_open(world: World) -> None:
    """Raise Violation unless no lease of a rule is held and no upload open, of whatever place."""
    kept = [rule.name for rule in world.tables.rules.rules() if rule.state is not RuleState.DELETING]
    world.oracles.check(not world.tables.leases.keys() & set(kept), "a run has ended and its lease is held")
    world.oracles.check(not world.the_vault.uploads, "a run has ended and left an upload open")


def check_done(world: World) -> None:
    """Raise Violation unless all is copied and nothing left over, without waiting for another run."""
    check_settled(world)
    check_nothing_is_open(world)


def count_rounds(world: World, backup_id: str) -> int:
    """How many legs or rounds of workers a backup took, over all runs; what was replayed counts once."""
    names = [name for execution in world.executions.all.values() for name, *_ in execution.remembered]
    return sum(name.startswith("copy ") and f"-{backup_id} from part " in name for name in names)
