"""A fleet that plans are carried out on: it refuses what a service would refuse, and what is out of order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rdbkeeper.domain.fleet.changes import (
    Change,
    KeepLogs,
    LeaveAlone,
    MakeFunction,
    PutAlarm,
    PutSchedule,
    Release,
    RemoveAlarm,
    RemoveFunction,
    RemoveSchedule,
    RemoveVersion,
    UpdateFunction,
)
from rdbkeeper.domain.fleet.parts import (
    AlarmFound,
    Fleet,
    FunctionFound,
    Prototype,
    ScheduleFound,
    ScheduleSent,
    Version,
)
from rdbkeeper.domain.fleet.plan import Registry, plan
from rdbkeeper.domain.fleet.settings import ALIAS, schedule_names
from rdbkeeper.domain.rule import Rule
from tests.fakes.fleet_parts import FUNCTIONS_ARN, LATER, PROTOTYPE_SETTINGS, SETTINGS

PROTOTYPE = Prototype(SETTINGS, f"{FUNCTIONS_ARN}:rdbkeeper-run-rule", PROTOTYPE_SETTINGS, "code-1")


@dataclass
class ModelFleet:
    """What is there, what was sent to Scheduler, and which prototype is deployed; aliases are always known."""

    prototype: Prototype = PROTOTYPE
    functions: dict[str, FunctionFound] = field(default_factory=dict)
    schedules: dict[str, ScheduleFound] = field(default_factory=dict)
    alarms: dict[str, AlarmFound] = field(default_factory=dict)
    log_groups: dict[str, int] = field(default_factory=dict)
    sent: dict[str, dict[str, ScheduleSent]] = field(default_factory=dict)
    now: datetime = datetime(2026, 11, 21, tzinfo=UTC)

    # ------------------------------------------------------------------ look

    def closely(self) -> Fleet:
        return Fleet(dict(self.functions), dict(self.schedules), dict(self.alarms), dict(self.log_groups))

    def listed(self) -> Fleet:
        """As a listing shows it: where aliases point is left open, and what schedules say."""
        functions = {name: replace(found, alias_version=None) for name, found in self.functions.items()}
        schedules = {name: replace(found, fingerprint="") for name, found in self.schedules.items()}
        return replace(self.closely(), functions=functions, schedules=schedules)

    def plan(self, rules: Iterable[Rule], deleted: Iterable[str] = (), *, closely: bool = True) -> list[Change]:
        registry = Registry(tuple(rules), LATER, self.sent, frozenset(deleted))
        return plan(registry, self.prototype, self.closely() if closely else self.listed())

    # ---------------------------------------------------------------- change

    def make(self, *rules: Rule) -> None:
        """Make all that these rules want."""
        self.carry_out(self.plan(rules))

    def carry_out(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._carry_out(change)

    def _carry_out(self, change: Change) -> None:
        match change:
            case KeepLogs():
                self.log_groups[change.target] = self.prototype.stack.log_retention_days
            case MakeFunction():
                assert change.target not in self.functions
                self.functions[change.target] = FunctionFound(
                    change.target, change.rule, change.settings, self.prototype.code_sha256, (), 0
                )
            case UpdateFunction():
                assert change.differences
                self._change(change.target, settings=change.settings, code_sha256=self.prototype.code_sha256)
            case Release():
                self._release(change.target)
            case RemoveVersion():
                found = self._ours(change.target)
                assert change.version != found.alias_version, "the alias points there"
                kept = tuple(version for version in found.versions if version.number != change.version)
                assert len(kept) == len(found.versions) - 1
                self._change(change.target, versions=kept)
            case RemoveFunction():
                assert not set(schedule_names(change.rule)) & set(self.schedules), "a schedule still starts it"
                self._ours(change.target)
                del self.functions[change.target]
            case PutSchedule():
                self._put_schedule(change)
            case RemoveSchedule():
                del self.schedules[change.target]
            case PutAlarm():
                assert change.target not in self.alarms or self.alarms[change.target].rule == change.rule
                self.alarms[change.target] = AlarmFound(change.alarm, change.rule)
            case RemoveAlarm():
                assert self.alarms.pop(change.target).rule == change.rule
            case LeaveAlone():
                pass

    def _release(self, name: str) -> None:
        found = self._ours(name)
        newest = max(found.versions, key=lambda version: version.number, default=None)
        if newest is None or (newest.settings, newest.code_sha256) != (found.settings, found.code_sha256):
            number = (newest.number if newest else 0) + 1
            newest = Version(number, found.settings, found.code_sha256)
            found = replace(found, versions=(*found.versions, newest))
        self.functions[name] = replace(found, alias_version=newest.number)

    def _put_schedule(self, change: PutSchedule) -> None:
        function, alias = change.schedule.target_arn.rsplit(":", 2)[1:]
        assert alias == ALIAS
        assert self._ours(function).alias_version, "there is no version to start"
        assert change.is_new == (change.target not in self.schedules)
        self.now += timedelta(seconds=1)
        wanted = change.schedule
        self.schedules[change.target] = ScheduleFound(
            change.target, wanted.enabled, wanted.target_arn, self.now, wanted.fingerprint
        )
        self.sent.setdefault(change.rule, {})[change.target] = ScheduleSent(wanted.fingerprint, self.now)

    # --------------------------------------------------------------- by hand

    def change_function(self, name: str, **changes: Any) -> None:
        self.functions[name] = replace(self.functions[name], **changes)

    def change_schedule(self, name: str, **changes: Any) -> None:
        self.schedules[name] = replace(self.schedules[name], **changes)

    def change_alarm(self, name: str, **changes: Any) -> None:
        found = self.alarms[name]
        self.alarms[name] = replace(found, alarm=replace(found.alarm, **changes))

    def deploy(self, code_sha256: str = "code-1", **settings: Any) -> None:
        """Deploy the stack anew, with other code or settings of the prototype."""
        before = self.prototype
        self.prototype = replace(before, settings=replace(before.settings, **settings), code_sha256=code_sha256)

    # --------------------------------------------------------------- private

    def _change(self, name: str, **changes: object) -> None:
        self.functions[name] = replace(self._ours(name), **changes)

    def _ours(self, name: str) -> FunctionFound:
        found = self.functions[name]
        assert found.rule is not None, "it is somebody else's"
        return found


def codes(changes: Iterable[Change]) -> list[str]:
    return [change.code for change in changes]
