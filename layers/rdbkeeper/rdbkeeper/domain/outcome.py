"""What became of each backup in a run, and the one line that a person reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from rdbkeeper.domain.catalog import Level
from rdbkeeper.domain.moments import write_moment


class Status(StrEnum):
    """What became of a backup in a run; `less consistent` tells of one besides, that its hooks made no difference."""

    COPIED = "copied"
    PRESENT = "present"
    POSTPONED = "postponed"
    SKIPPED = "skipped"
    FAILED = "failed"
    LESS_CONSISTENT = "less consistent"


@dataclass(frozen=True)
class Outcome:
    """One backup in one run. `reason` is a stable code, `detail` a sentence with its hint."""

    backup_id: str
    status: Status
    reason: str
    detail: str = ""
    copy_id: str = ""
    level: str = ""
    file_count: int = 0
    size_bytes: int = 0
    seconds: float = 0.0

    @property
    def message_and_hint(self) -> tuple[str, str]:
        """Of the detail, what happened, and what to do ("" where it does not say)."""
        message, _, hint = self.detail.partition(" Hint: ")
        return message, hint

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "status": self.status.value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Outcome:
        return cls(**{**record, "status": Status(record["status"])})


@dataclass(frozen=True)
class Removals:
    """What a run's retention did so far: how many copies went and how many bytes, and which did not, and why.

    `locked_until` (aware UTC) is when the first lock of those that were met ends. `refused` are those that are not what
    could be removed safely, `failed` those at which the store did not do its part, `failed_in_row` the last of these
    that nothing else came between. `waits` says why nothing may go now.
    `settled` are the ids of the copies that this run need not look at again; `is_over` is False while it is to go on.
    """

    removed: int = 0
    size_bytes: int = 0
    locked: int = 0
    locked_until: datetime | None = None
    failed: int = 0
    waits: str = ""
    is_full: bool = False
    is_over: bool = False
    settled: tuple[str, ...] = ()
    refused: int = 0
    failed_in_row: int = 0

    def notes(self) -> list[str]:
        """What a run's line says of it; nothing where nothing was to go."""
        notes = [f"{self.removed} removed ({human_size(self.size_bytes)})"] if self.removed else []
        if self.locked:
            until = f" until {self.locked_until:%d %b %Y}" if self.locked_until else " by their store"
            notes.append(f"{self.locked} retained{until}")
        if self.failed:
            notes.append(f"removing {self.failed} failed")
        if self.refused:
            notes.append(f"{self.refused} cannot be removed")
        if self.is_full:
            notes.append(f"the next run {'removes more' if self.removed else 'tries again'}")
        return notes + ([f"nothing removed: {self.waits}"] if self.waits else [])

    def as_record(self) -> dict[str, Any]:
        until = write_moment(self.locked_until) if self.locked_until else None
        return {**vars(self), "locked_until": until, "settled": list(self.settled)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Removals:
        until = record["locked_until"]
        moment = datetime.fromisoformat(until) if until else None
        return cls(**{**record, "locked_until": moment, "settled": tuple(record["settled"])})


def describe(outcome: Outcome) -> str:
    """What became of one backup, as a sentence: `b1 copied: 2 files, 1.2 GB, verified`."""
    facts = [outcome.detail] if outcome.detail else []
    if outcome.status is Status.COPIED:
        facts.insert(0, f"{_plural(outcome.file_count, 'file')}, {human_size(outcome.size_bytes)}, {outcome.level}")
    return f"{outcome.backup_id} {outcome.status.value}{': ' if facts else ''}{' - '.join(facts)}"


def has_failed(outcomes: Sequence[Outcome]) -> bool:
    """True when one of them did."""
    return any(outcome.status is Status.FAILED for outcome in outcomes)


def count_statuses(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many backups came to which end; plain data, and small however many backups there are."""
    return dict(Counter(outcome.status.value for outcome in outcomes))


def report_line(
    rule: str,
    decided: Mapping[str, int],
    outcomes: Sequence[Outcome],
    next_fire: datetime | None,
    time_zone: str,
    notes: Sequence[str] = (),
) -> str:
    """The line that tells a whole run: `decided` counts by status what was not copied, `outcomes` is what was tried.

    `notes` tell what else the run did, such as `3 removed`.

    `orders: 3 backups found, 2 already kept, 1 copied (2 files, 1.2 GB in 14 s), verified, 0 failed; next run …`
    """
    counts = Counter(decided) + Counter(count_statuses(outcomes))
    found = counts.total() - counts[Status.LESS_CONSISTENT]
    parts = [f"{_plural(found, 'backup')} found", f"{counts[Status.PRESENT]} already kept"]
    parts += _copied_parts([outcome for outcome in outcomes if outcome.status is Status.COPIED])
    parts += [f"{counts[status]} {status.value}" for status in (Status.POSTPONED, Status.SKIPPED) if counts[status]]
    parts += [f"{counts[Status.FAILED]} failed", *_less_consistent_parts(outcomes), *notes]
    return f"{rule}: {', '.join(parts)}; {tell_next_run(next_fire, time_zone)}"


def tell_next_run(next_fire: datetime | None, time_zone: str) -> str:
    """When a rule runs next, as a run's line ends."""
    return f"next run {next_fire:%a %d %b %H:%M} {time_zone}" if next_fire else "no next run is scheduled"


def _less_consistent_parts(outcomes: Sequence[Outcome]) -> list[str]:
    why = [outcome.reason for outcome in outcomes if outcome.status is Status.LESS_CONSISTENT]
    return [f"{len(why)} less consistent than its hooks would make it ({', '.join(why)})"] if why else []


def _copied_parts(copied: Sequence[Outcome]) -> list[str]:
    if not copied:
        return ["0 copied"]
    files = _plural(sum(outcome.file_count for outcome in copied), "file")
    size = human_size(sum(outcome.size_bytes for outcome in copied))
    seconds = human_duration(sum(outcome.seconds for outcome in copied))
    unchecked = sum(outcome.level == Level.UNCHECKED for outcome in copied)
    if not unchecked:
        checked = "verified"
    elif unchecked == len(copied):
        checked = "unchecked"
    else:
        checked = f"{len(copied) - unchecked} verified and {unchecked} unchecked"
    return [f"{len(copied)} copied ({files}, {size} in {seconds})", checked]


def human_size(size_bytes: int) -> str:
    """A size with two or three digits: `17 B`, `1.2 GB`; powers of 1,000, as consoles show them."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            break
    return f"{size:.1f} {unit}" if size < 9.95 else f"{size:.0f} {unit}"


def human_duration(seconds: float) -> str:
    """A duration with its two largest units: `14 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
