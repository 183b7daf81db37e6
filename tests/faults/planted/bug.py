"""What a planted bug is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tests.faults.fault import Kind


class Promise(StrEnum):
    """What must always hold, one of which each planted bug breaks."""

    IDENTICAL = "a published copy is byte-identical to its backup"
    MANIFEST_LAST = "a manifest is written when all of its data are there"
    ONCE = "there is one copy of a backup, and nothing is overwritten"
    REMOVAL = "nothing is removed unless a recorded decision names it"
    CONVERGES = "a fault delays a copy, the next run makes it"
    NOTHING_LEFT = "nothing that a run put down is left behind"
    OTHERS = "one bad backup never stops the others"
    SECRET = "no signed link stands in a text"
    DECLARED_SIZE = "a stream that is longer than was asked for is not trusted"
    HONEST = "what could not be checked is called unchecked, what failed is called failed"
    ONE_RUN = "one run of a rule is at work at a time, and its lease is free when it has ended"
    WANTED = "what a person deleted, paused or pointed elsewhere is heeded"
    ENDS = "every run ends, and so does every chain of runs"
    HANDS_OVER = "what one run has no room for is taken by the next one at once, and by it alone"
    STAYS = "what a retention, a hold or a lock keeps stays, and one verified copy that is present always does"
    PROVEN = "a copy is called whole or damaged after it was read, and by what was read"
    EXACT = "what no retention keeps goes, whole, and nothing is left of it"
    THAWED = "writes are frozen no longer than a backup needs and its rule allows, whoever dies"
    ASKED_ONCE = "a run has one backup made, within what a day allows, and removes what is its own"
    CONSISTENT = "a copy is called no more consistent than it is, and no less"
    IN_TURN = "backups are copied oldest first, and each part is moved by one sandbox"


@dataclass(frozen=True)
class Change:
    """One line that is made another: `was`, which stands in one line of the file alone, becomes `instead`.

    Where that text stands in several lines, `below` is the whole line above the one that is meant.
    """

    file: str
    was: str
    instead: str
    below: str = ""


@dataclass(frozen=True)
class Hint:
    """Where a bug is looked for after the stories: the single faults of a scenario, of some kinds alone."""

    scenario: str = ""
    kinds: tuple[Kind, ...] = ()


@dataclass(frozen=True)
class PlantedBug:
    """One mistake that somebody might make, and what it breaks."""

    name: str
    promise: Promise
    change: Change
    hint: Hint = field(default_factory=Hint)
    # The check that stands behind the one that is missing, and would hide it.
    also: Change | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        return (self.change,) if self.also is None else (self.change, self.also)
