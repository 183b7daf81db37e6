"""How a rule is: what its last run did, what keeps it from running, and whether its copies are too old.

A run writes down what it saw; reconciling looks at the instances. What a person is shown is decided here, from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.backup_first import Freeze
from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.outcome import Outcome, human_duration
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.vault import ProbeReport

# ElastiCache makes automatic backups once a day ("Scheduling automatic backups").
SOURCE_INTERVAL = timedelta(hours=24)
# For exporting and copying a large backup, and for a run that waits for its turn.
OVERDUE_MARGIN = timedelta(hours=6)

# Scheduler fires within the minute, and tries again for an hour when Lambda does not answer.
START_MARGIN = timedelta(minutes=75)
LONGEST_RUN = timedelta(hours=24)  # the template's ExecutionTimeout


class RunState(StrEnum):
    """How far a run has come, or how it ended."""

    GOING = "going"
    SUCCEEDED = "succeeded"
    POSTPONED = "postponed"
    FAILED = "failed"


@dataclass(frozen=True)
class RunReport:
    """One run of a rule: its id, times (aware UTC), end, the line that tells it, and what became of each backup."""

    run: str
    started_at: datetime
    state: RunState
    line: str = ""
    ended_at: datetime | None = None
    outcomes: tuple[Outcome, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """The report as plain data, the shape in which it is stored and answered."""
        return {**self.as_summary(), "outcomes": [outcome.as_record() for outcome in self.outcomes]}

    def as_summary(self) -> dict[str, Any]:
        """The report without its outcomes."""
        return {
            "run": self.run,
            "started_at": write_moment(self.started_at),
            "ended_at": write_moment(self.ended_at) if self.ended_at else None,
            "state": self.state.value,
            "line": self.line,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RunReport:
        """The report that `as_record` or `as_summary` wrote down."""
        return cls(
            run=record["run"],
            started_at=datetime.fromisoformat(record["started_at"]),
            state=RunState(record["state"]),
            line=record["line"],
            ended_at=datetime.fromisoformat(record["ended_at"]) if record["ended_at"] else None,
            outcomes=tuple(Outcome.from_record(outcome) for outcome in record.get("outcomes", ())),
        )


@dataclass(frozen=True)
class KeptCopies:
    """What a run left at `path`, a rule's place: the newest copy's id, and when the newest verified one was taken."""

    newest_copy: str = ""
    newest_verified_at: datetime | None = None
    path: str = ""

    def as_record(self) -> dict[str, Any]:
        taken_at = write_moment(self.newest_verified_at) if self.newest_verified_at else None
        return {"newest_copy": self.newest_copy, "newest_verified_at": taken_at, "path": self.path}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> KeptCopies:
        taken_at = record["newest_verified_at"]
        return cls(
            record["newest_copy"], datetime.fromisoformat(taken_at) if taken_at else None, record.get("path", "")
        )


def find_kept_copies(path: str, catalog: Iterable[CatalogEntry]) -> KeptCopies:
    """The newest copy of the catalog of a place, and when its newest verified one was taken."""
    read = ((entry, entry.taken_at) for entry in catalog)
    entries = [(entry, taken_at) for entry, taken_at in read if taken_at is not None]
    verified = [taken_at for entry, taken_at in entries if entry.level is Level.VERIFIED]
    return KeptCopies(max((entry.copy_id for entry, _ in entries), default=""), max(verified, default=None), path)


@dataclass(frozen=True)
class Block:
    """Why a rule cannot do its work: an error's code, sentence and hint; and whether a run was put off by it."""

    code: str
    message: str
    hint: str = ""
    owes_run: bool = False

    def has_same_cause(self, other: Block | None) -> bool:
        """True when the other says the same, whether or not a run is owed."""
        return other is not None and (self.code, self.message) == (other.code, other.message)

    def as_record(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Block:
        return cls(**record)


@dataclass(frozen=True)
class RuleStatus:
    """What is on record about how a rule is."""

    last_run: RunReport | None = None
    kept: KeptCopies = KeptCopies()
    block: Block | None = None

    def find_kept(self, rule: Rule) -> KeptCopies:
        """What lies in the rule's present place; nothing where the last run looked into a former one."""
        return self.kept if self.kept.path == rule.place.path else KeptCopies()


@dataclass(frozen=True)
class Shown:
    """The one word for how a rule is, and why; `reason` is "" where the word says it all."""

    state: str
    reason: str = ""
    hint: str = ""

    def as_record(self) -> dict[str, str]:
        return {"state": self.state, "reason": self.reason, "hint": self.hint}


def show(rule: Rule, status: RuleStatus, now: datetime) -> Shown:
    """creating, deleting, paused, blocked, overdue or active: the first of these that is true."""
    if rule.state is not RuleState.ACTIVE:
        return Shown(rule.state.value)
    if status.block is not None:
        return Shown("blocked", f"{status.block.code}: {status.block.message}", status.block.hint)
    hours = hours_overdue(rule, status, now)
    if hours > 0:
        since = status.find_kept(rule).newest_verified_at
        newest = (
            f"The newest verified copy is of {since:%d %b %Y %H:%M} UTC; a newer one"
            if since
            else "No copy is verified yet; one"
        )
        hint = "Look at the rule's last runs with `history`, or start one with `run`."
        return Shown("overdue", f"{newest} has been due for {human_duration(hours * 3600)}.", hint)
    return Shown("active")


def describe_freeze(freeze: Freeze | None, now: datetime) -> dict[str, str] | None:
    """Writes that are frozen for longer than they may be: of which instance, since when, and what is to thaw them."""
    if freeze is None or now < freeze.until or freeze.may_come_late(now):
        return None  # in its time, or its run goes on thawing it
    return {"instance": freeze.instance, "since": write_moment(freeze.since), "thaw": freeze.thaw}


def hours_overdue(rule: Rule, status: RuleStatus, now: datetime) -> float:
    """By how many hours the newest verified copy is older than it may be; 0.0 while it is not.

    It may be as old as the longer of the rule's cycle and the source's own interval, and a margin: the shorter of the
    two, since a backup that was not ready when the rule fired waits for the next time, and some hours for the copying.
    Where each run takes a backup of its own, the source has no interval.
    """
    if rule.state is not RuleState.ACTIVE or rule.cycle.kind == "manual":
        return 0.0
    since = max(status.find_kept(rule).newest_verified_at or rule.created_at, rule.watched_since or rule.created_at)
    return _hours_too_old(rule, since, now)


def _hours_too_old(rule: Rule, since: datetime, now: datetime) -> float:
    age = now - since
    source_interval = timedelta() if rule.takes_backups else SOURCE_INTERVAL
    if age <= source_interval + OVERDUE_MARGIN:
        return 0.0  # no cycle is shorter than no time at all, so this holds for every one, and most rules end here
    cycle = rule.cycle.longest_gap(now) or timedelta()
    allowed = cycle + source_interval + OVERDUE_MARGIN
    return max(0.0, (age - allowed) / timedelta(hours=1))


def find_reason_to_keep_all(rule: Rule, catalog: Iterable[CatalogEntry], now: datetime) -> str:
    """Why retention must remove none of a place's copies, or "": what cannot be copied any more must not be aged out.

    The copies' age alone counts: that a rule was paused, resumed, pointed elsewhere or made anew makes none younger.
    The newest verified copy is looked at, or the newest whole one where none is verified. It may be as old as for
    `hours_overdue`; under a manual rule, which has no cycle, as old as the source's interval and the margin.
    """
    whole = [entry for entry in catalog if not entry.is_damaged and entry.taken_at is not None]
    verified = [entry for entry in whole if entry.level is Level.VERIFIED]
    newest = max((entry.taken_at for entry in verified or whole if entry.taken_at), default=None)
    if newest is None:
        return "no copy is whole"
    hours = _hours_too_old(rule, newest, now)
    which = "the newest verified copy" if verified else "the newest copy (none is verified)"
    return f"{which} is {hours:,.0f} hours older than it should be" if hours > 0 else ""


def block_for_missing_instance(rule: Rule) -> Block:
    """What a rule is told whose instance is not there."""
    return Block(
        "InstanceNotFound",
        f"There is no instance {rule.instance} in {rule.access.region or 'this region'}.",
        "If it was deleted, its automatic backups went with it and the copies stay; delete the rule or point it at "
        "another instance.",
    )


def find_instance_block(rule: Rule, instance: Instance | None) -> Block | None:
    """What the instance's own state keeps the rule from doing, or None."""
    if instance is None:
        return block_for_missing_instance(rule)
    if not instance.available:
        return Block(
            "InstanceNotAvailable",
            f"The instance {rule.instance} is not available: its status is {instance.status}.",
            "Runs are put off until it is; the one that was due is caught up by itself.",
        )
    if not instance.backups_enabled and not rule.takes_backups:
        return Block(
            "BackupsDisabled",
            f"The instance {rule.instance} makes no automatic backups: its retention is 0 days.",
            "Set a backup retention of at least 1 day on the instance, or let the rule ask for backups: backup_first.",
        )
    return None


def find_vault_block(vault: str, *, is_bound: bool, probe: ProbeReport | None) -> Block | None:
    """What keeps rules from working with a vault, as its last probe saw it, or None."""
    if not is_bound:
        return Block(
            "VaultNotFound",
            f"There is no vault {vault}.",
            "Bind it again under this name, or point the rule at another with `update`.",
        )
    if probe is None or probe.problem is None:
        return None
    problem = probe.problem
    return Block(
        "VaultOffline", f"The vault {vault} is offline: {problem['code']}: {problem['message']}", problem["hint"]
    )


POSTPONING = frozenset({"InstanceNotFound", "InstanceNotAvailable"})
"""The blocks under which a run is put off: there is nothing that it could do. Under the others it does what it can."""

INSTANCE_BLOCKS = POSTPONING | {"BackupsDisabled"}
"""The blocks that the instance's own state tells, so that reconciling can see that they are over."""

LIVE_BLOCKS = frozenset({"SourceRefused", "SyncRefused"})
"""What a server that is reached directly says no to until a person has changed something there, or the rule."""

RETRIED_BLOCKS = frozenset({"VaultDenied", "SourceDenied", "RunDidNotStart"}) | LIVE_BLOCKS
"""The blocks whose end only a run can find out, so that reconciling starts one every few hours."""

VAULT_BLOCKS = frozenset({"VaultOffline", "VaultNotFound"})
"""The blocks that the last probe of a rule's vault tells."""

PROBED_BLOCKS = frozenset({"VaultUnavailable", "VaultRefused"})
"""The blocks whose end reconciling can find out by asking the vault."""


def missed_fire(rule: Rule, status: RuleStatus, now: datetime, scheduled_since: datetime | None) -> bool:
    """True when the rule should have fired a while ago, its schedule being as it is, and no run has begun since."""
    if rule.state is not RuleState.ACTIVE or scheduled_since is None:
        return False
    last = status.last_run
    if last is not None and last.state is RunState.GOING and now - last.started_at < LONGEST_RUN:
        return False  # it may have kept a later one from beginning
    # A run keeps others from beginning until it ends.
    last_going = [last.ended_at or last.started_at] if last else []
    since = max(scheduled_since, rule.watched_since or rule.created_at, *last_going)
    due = next(rule.cycle.fire_times(since), None)
    return due is not None and due < now - START_MARGIN


def block_for_missed_start(rule: Rule) -> Block:
    """What a rule is told whose timer fired without a run beginning."""
    return Block(
        "RunDidNotStart",
        f"The timer of {rule.name} was due to start a run, and none has begun.",
        "Another one is started by reconciling. If this stays, look at the log of the rule's function: its role may "
        "lack a permission, or its start fails.",
        owes_run=True,
    )


def owe_run(block: Block) -> Block:
    """The block, noting that a run was put off by it."""
    return replace(block, owes_run=True)
