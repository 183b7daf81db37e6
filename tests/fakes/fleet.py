"""A fleet in memory, and executions that are going or have ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from rdbkeeper.domain.errors import FleetRefused, NotOurs, RdbkeeperError
from rdbkeeper.domain.fleet.parts import (
    CODE,
    Alarm,
    AlarmFound,
    Fleet,
    FunctionFound,
    FunctionSettings,
    Prototype,
    ScheduleFound,
    ScheduleWanted,
)
from rdbkeeper.domain.fleet.settings import ALIAS, FleetSettings, schedule_names
from rdbkeeper.ports import Record
from tests.fakes.fleet_parts import (
    FUNCTIONS_ARN,
    PROTOTYPE_SETTINGS,
    SETTINGS,
    STRANGE_SETTINGS,
    MemoryFunction,
    strange_alarm,
)

__all__ = ["SETTINGS", "MemoryExecutions", "MemoryFleet", "MemoryFunction"]

_RUN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Failures = dict[str, list[RdbkeeperError]]


def _told(
    method: Callable[Concatenate[MemoryFleet, Given], Answer],
) -> Callable[Concatenate[MemoryFleet, Given], Answer]:
    """Note the call, and let it fail before or after its effect where that is wanted."""
    name = method.__name__

    @wraps(method)
    def call(self: MemoryFleet, /, *given: Given.args, **named: Given.kwargs) -> Answer:
        self.calls.append(name)
        _fail(self.failing, name)
        answer = method(self, *given, **named)
        _fail(self.failing_after, name)
        return answer

    return call


def _fail(failures: Failures, name: str) -> None:
    if failures.get(name):
        raise failures[name].pop(0)


@dataclass
class MemoryFleet:
    """A fleet, and what tests and passers-by do to it.

    `failing` and `failing_after` map a method's name to errors that its next calls raise, one each, before or after
    they have had their effect. `calls` are the names of the methods called, in order.

    `strangers` are names of functions, and of alarms where they end in `-overdue`, that somebody else made. `going`
    maps a rule's name to the ARNs of its executions that are going, which name their version: see `begin_run`.
    """

    settings: FleetSettings = SETTINGS
    functions: dict[str, MemoryFunction] = field(default_factory=dict)
    schedules: dict[str, ScheduleWanted] = field(default_factory=dict)
    modified_at: dict[str, datetime] = field(default_factory=dict)
    alarms: dict[str, AlarmFound] = field(default_factory=dict)
    log_groups: dict[str, int] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)
    going: dict[str, list[str]] = field(default_factory=dict)
    failing: Failures = field(default_factory=dict)
    failing_after: Failures = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._runs_begun = 0
        self._started: dict[str, tuple[str, str]] = {}
        self.wishes: dict[str, Record] = {}
        self._last_modified_at = datetime(2026, 11, 21, tzinfo=UTC)
        self._deployed = (PROTOTYPE_SETTINGS, "code-1")

    # ------------------------------------------------------------------ look

    @_told
    def prototype(self) -> Prototype:
        arn = f"{FUNCTIONS_ARN}:{self.settings.prototype_function}"
        return Prototype(self.settings, arn, *self._deployed)

    @_told
    def observe(self) -> Fleet:
        return Fleet(
            {name: replace(found, alias_version=None) for name, found in self._functions().items()},
            {name: self._schedule(name) for name in self.schedules},
            self._alarms(),
            dict(self.log_groups),
        )

    @_told
    def look_closely(self, rule_name: str) -> Fleet:
        function, log_group = self.settings.function_name(rule_name), self.settings.log_group(rule_name)
        alarm = self.settings.alarm_name(rule_name)
        return Fleet(
            {name: found for name, found in self._functions().items() if name == function},
            {
                name: replace(self._schedule(name), fingerprint=schedule.fingerprint)
                for name, schedule in self.schedules.items()
                if name in schedule_names(rule_name)
            },
            {name: found for name, found in self._alarms().items() if name == alarm},
            {name: days for name, days in self.log_groups.items() if name == log_group},
        )

    # ---------------------------------------------------------------- change

    @_told
    def keep_logs(self, rule_name: str) -> None:
        self.log_groups[self.settings.log_group(rule_name)] = self.settings.log_retention_days

    @_told
    def make_function(self, rule_name: str, settings: FunctionSettings) -> None:
        name = self.settings.function_name(rule_name)
        if self._find_ours(rule_name) is None:
            self.functions[name] = MemoryFunction(rule_name, settings, self._deployed[1])

    @_told
    def update_function(self, rule_name: str, settings: FunctionSettings, differences: Sequence[str]) -> None:
        function = self._get_ours(rule_name)
        there = function.settings
        if bool(settings.durable_timeout_s) > bool(there.durable_timeout_s):
            raise FleetRefused("A function that was not made durable cannot become it.")
        with_the_code = {CODE, "architecture"} & set(differences)
        architecture = settings.architecture if with_the_code else there.architecture
        wanted = settings if set(differences) - with_the_code else there
        if not wanted.durable_timeout_s:
            wanted = replace(
                wanted,
                durable_timeout_s=there.durable_timeout_s,
                durable_retention_days=there.durable_retention_days,
            )
        function.settings = replace(wanted, architecture=architecture)
        if with_the_code:
            function.code_sha256 = self._deployed[1]

    @_told
    def release(self, rule_name: str) -> int:
        function = self._get_ours(rule_name)
        function.alias_version = function.publish()
        return function.alias_version

    @_told
    def remove_version(self, rule_name: str, version: int) -> bool:
        function = self._find_ours(rule_name)
        if function is None or version not in function.versions:
            return True
        is_going = any(f":{version}/durable-execution/" in execution for execution in self.going.get(rule_name, ()))
        if is_going or function.alias_version == version:
            return False
        del function.versions[version]
        return True

    @_told
    def stop_runs(self, rule_name: str) -> int:
        return 0 if self._find_ours(rule_name) is None else len(self.going.pop(rule_name, []))

    @_told
    def remove_function(self, rule_name: str) -> None:
        if self._find_ours(rule_name) is not None:
            self.delete_function_by_hand(rule_name)

    @_told
    def put_schedule(self, schedule: ScheduleWanted, now: datetime) -> datetime:
        function, alias = schedule.target_arn.rsplit(":", 2)[1:]
        there = self.functions.get(function)
        if alias != ALIAS or there is None or not there.alias_version:
            raise FleetRefused(f"Making the schedule {schedule.name} failed: {schedule.target_arn} does not exist.")
        return self._write_schedule(schedule, now)

    @_told
    def remove_schedule(self, name: str) -> None:
        self.delete_schedule_by_hand(name)

    @_told
    def put_alarm(self, rule_name: str, alarm: Alarm) -> None:
        self._check_alarm_is_ours(rule_name, alarm.name)
        self.alarms[alarm.name] = AlarmFound(alarm, rule_name)

    @_told
    def remove_alarm(self, rule_name: str, name: str) -> None:
        self._check_alarm_is_ours(rule_name, name)
        self.alarms.pop(name, None)

    # ------------------------------------------------------------------ runs

    @_told
    def find_going_run(self, rule_name: str) -> str | None:
        runs = self.going.get(rule_name)
        return runs[0] if runs and self._find_ours(rule_name) else None

    @_told
    def start_run(self, rule_name: str, run_name: str, wish: Record | None = None) -> str:
        if not _RUN_NAME.fullmatch(run_name):
            raise FleetRefused(f"{run_name!r} cannot be a run's name.")
        if not self._get_ours(rule_name).alias_version:
            raise FleetRefused(f"Starting a run of the rule {rule_name} failed: its function has no alias.")
        if run_name not in self._started:
            self._started[run_name] = (rule_name, self.begin_run(rule_name, run_name=run_name))
            self.wishes[run_name] = wish or {}
        began_for, execution = self._started[run_name]
        if began_for != rule_name:
            raise FleetRefused(f"Starting the run {run_name} failed: it was started with other words before.")
        return execution

    def begin_run(self, rule_name: str, version: int | None = None, run_name: str = "") -> str:
        """Let a run of the rule be going, on the version that the alias points at if none is named."""
        function = self.settings.function_name(rule_name)
        number = version or self.functions[function].alias_version
        self._runs_begun += 1
        run = f"{run_name or 'by-schedule'}/{self._runs_begun}"
        execution = f"{FUNCTIONS_ARN}:{function}:{number}/durable-execution/{run}"
        self.going.setdefault(rule_name, []).append(execution)
        return execution

    def end_run(self, execution: str) -> None:
        for runs in self.going.values():
            if execution in runs:
                runs.remove(execution)

    # ----------------------------------------------------- what others do to it

    def deploy(self, code_sha256: str = "", **settings: Any) -> None:
        """Deploy the stack anew, with other code or settings of the prototype."""
        before, code = self._deployed
        self._deployed = (replace(before, **settings), code_sha256 or code)

    def delete_function_by_hand(self, rule_name: str) -> None:
        del self.functions[self.settings.function_name(rule_name)]

    def change_function_by_hand(self, rule_name: str, code_sha256: str = "", **settings: Any) -> None:
        function = self._get_ours(rule_name)
        function.settings = replace(function.settings, **settings)
        function.code_sha256 = code_sha256 or function.code_sha256

    def point_alias_by_hand(self, rule_name: str, version: int) -> None:
        """Point the alias elsewhere; 0 deletes it."""
        self._get_ours(rule_name).alias_version = version

    def delete_schedule_by_hand(self, name: str) -> None:
        self.schedules.pop(name, None)
        self.modified_at.pop(name, None)

    def change_schedule_by_hand(self, name: str, **changes: Any) -> None:
        self._write_schedule(replace(self.schedules[name], **changes), self._last_modified_at)

    def delete_alarm_by_hand(self, rule_name: str) -> None:
        del self.alarms[self.settings.alarm_name(rule_name)]

    def change_alarm_by_hand(self, rule_name: str, **changes: Any) -> None:
        name = self.settings.alarm_name(rule_name)
        self.alarms[name] = AlarmFound(replace(self.alarms[name].alarm, **changes), rule_name)

    def delete_log_group_by_hand(self, rule_name: str) -> None:
        del self.log_groups[self.settings.log_group(rule_name)]

    def set_retention_by_hand(self, rule_name: str, days: int) -> None:
        """Let the rule's logs be kept for so many days; 0 is for ever."""
        self.log_groups[self.settings.log_group(rule_name)] = days

    # --------------------------------------------------------------- private

    def _functions(self) -> dict[str, FunctionFound]:
        ours = {
            name: FunctionFound(
                name,
                function.rule,
                function.settings,
                function.code_sha256,
                tuple(function.versions[number] for number in sorted(function.versions)),
                function.alias_version,
            )
            for name, function in self.functions.items()
        }
        strange = self._strangers(alarms=False)
        return ours | {name: FunctionFound(name, None, STRANGE_SETTINGS, "strange") for name in strange}

    def _alarms(self) -> dict[str, AlarmFound]:
        strange = self._strangers(alarms=True)
        return self.alarms | {name: AlarmFound(strange_alarm(name), None) for name in strange}

    def _strangers(self, *, alarms: bool) -> list[str]:
        names = sorted(name for name in self.strangers if name.startswith(self.settings.function_name("")))
        return [name for name in names if name.endswith("-overdue") == alarms]

    def _schedule(self, name: str) -> ScheduleFound:
        schedule = self.schedules[name]
        return ScheduleFound(name, schedule.enabled, schedule.target_arn, self.modified_at[name])

    def _write_schedule(self, schedule: ScheduleWanted, now: datetime) -> datetime:
        moment = max(now.astimezone(UTC).replace(microsecond=0), self._last_modified_at + timedelta(seconds=1))
        self.schedules[schedule.name] = schedule
        self.modified_at[schedule.name] = self._last_modified_at = moment
        return moment

    def _find_ours(self, rule_name: str) -> MemoryFunction | None:
        name = self.settings.function_name(rule_name)
        if name in self.strangers:
            raise NotOurs(f"There is a function {name} that this stack's rule {rule_name} did not make.", field="name")
        return self.functions.get(name)

    def _get_ours(self, rule_name: str) -> MemoryFunction:
        function = self._find_ours(rule_name)
        if function is None:
            raise FleetRefused(f"There is no function {self.settings.function_name(rule_name)}.")
        return function

    def _check_alarm_is_ours(self, rule_name: str, name: str) -> None:
        if name in self.strangers:
            raise NotOurs(f"There is an alarm {name} that this stack's rule {rule_name} did not make.", field="name")


@dataclass
class MemoryExecutions:
    """Executions that are going, when others ended, and the successors that were started, by name."""

    going: set[str] = field(default_factory=set)
    ended_at: dict[str, datetime] = field(default_factory=dict)
    successors: dict[str, tuple[str, Record]] = field(default_factory=dict)

    def find_end(self, execution: str) -> datetime | None:
        return None if execution in self.going else self.ended_at.get(execution, _LONG_AGO)

    def start_successor(self, execution: str, name: str, request: Record) -> None:
        known = self.successors.setdefault(name, (execution, request))
        if known[1] != request:
            raise FleetRefused(f"A run {name} was started with another request.")
