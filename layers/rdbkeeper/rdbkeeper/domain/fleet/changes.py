"""The changes that a plan is made of: each says what, why, and by which code it is known in logs and answers."""

from __future__ import annotations

from dataclasses import dataclass

from rdbkeeper.domain.fleet.parts import Alarm, FunctionSettings, ScheduleWanted


@dataclass(frozen=True)
class Difference:
    """One difference: the rule it belongs to, the name of the thing, a stable code, and the reason as a sentence."""

    rule: str
    target: str
    code: str
    reason: str

    def as_record(self) -> dict[str, str]:
        return {"rule": self.rule, "target": self.target, "code": self.code, "reason": self.reason}


@dataclass(frozen=True)
class KeepLogs(Difference):
    """Make the log group `target`, or put its retention back."""


@dataclass(frozen=True)
class MakeFunction(Difference):
    """Make the function `target`."""

    settings: FunctionSettings


@dataclass(frozen=True)
class UpdateFunction(Difference):
    """Give the function `target` the code and settings that differ."""

    settings: FunctionSettings
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Release(Difference):
    """Publish a version of the function `target` and point its alias there."""


@dataclass(frozen=True)
class RemoveVersion(Difference):
    """Remove a version of the function `target` once no run needs it."""

    version: int


@dataclass(frozen=True)
class RemoveFunction(Difference):
    """Stop the runs of the function `target`, then remove it."""


@dataclass(frozen=True)
class PutSchedule(Difference):
    """Make or replace the schedule `target`."""

    schedule: ScheduleWanted
    is_new: bool


@dataclass(frozen=True)
class RemoveSchedule(Difference):
    """Remove the schedule `target`."""


@dataclass(frozen=True)
class PutAlarm(Difference):
    """Make or replace the alarm `target`."""

    alarm: Alarm


@dataclass(frozen=True)
class RemoveAlarm(Difference):
    """Remove the alarm `target`."""


@dataclass(frozen=True)
class LeaveAlone(Difference):
    """Something that stands in the way or that nobody can explain: kept as it is, and reported."""


Change = (
    KeepLogs
    | MakeFunction
    | UpdateFunction
    | Release
    | RemoveVersion
    | RemoveFunction
    | PutSchedule
    | RemoveSchedule
    | PutAlarm
    | RemoveAlarm
    | LeaveAlone
)
"""Any of the changes, for those that must treat every kind."""
