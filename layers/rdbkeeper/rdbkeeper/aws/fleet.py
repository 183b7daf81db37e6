"""The fleet in AWS: functions and runs in Lambda, schedules, alarms and log groups, each in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from rdbkeeper.aws.alarms import Alarms
from rdbkeeper.aws.functions import Functions
from rdbkeeper.aws.log_groups import LogGroups
from rdbkeeper.aws.prototype import PrototypeFunction
from rdbkeeper.aws.runs import Runs
from rdbkeeper.aws.schedules import Schedules
from rdbkeeper.aws.tag_listing import list_owners
from rdbkeeper.domain.fleet.parts import CODE, Alarm, Fleet, FunctionSettings, Prototype, ScheduleWanted
from rdbkeeper.domain.fleet.settings import FleetSettings
from rdbkeeper.ports import Record

# Lambda takes the architecture together with the code.
_WITH_THE_CODE = frozenset({CODE, "architecture"})


class AwsFleet:
    """The fleet over one client of each service."""

    def __init__(self, client: Callable[[str], Any], settings: FleetSettings) -> None:
        self._client = client
        self._settings = settings
        self._prototype = PrototypeFunction(client, settings)
        self._functions = Functions(client, settings)
        self._runs = Runs(client)
        self._schedules = Schedules(client, settings)
        self._alarms = Alarms(client, settings)
        self._log_groups = LogGroups(client, settings)

    # ------------------------------------------------------------------ look

    def prototype(self) -> Prototype:
        return self._prototype.read()

    def observe(self) -> Fleet:
        owners = list_owners(self._client, self._settings)
        return Fleet(
            self._functions.list(owners.functions),
            self._schedules.list(),
            self._alarms.list(owners.alarms),
            self._log_groups.list(),
        )

    def look_closely(self, rule_name: str) -> Fleet:
        return Fleet(
            self._functions.find(rule_name),
            self._schedules.find(rule_name),
            self._alarms.find(rule_name),
            self._log_groups.find(rule_name),
        )

    # ---------------------------------------------------------------- change

    def keep_logs(self, rule_name: str) -> None:
        self._log_groups.keep(rule_name)

    def make_function(self, rule_name: str, settings: FunctionSettings) -> None:
        self._functions.make(rule_name, settings, self._prototype.code())

    def update_function(self, rule_name: str, settings: FunctionSettings, differences: Sequence[str]) -> None:
        code = self._prototype.code() if _WITH_THE_CODE.intersection(differences) else None
        configure = bool(set(differences) - _WITH_THE_CODE)
        self._functions.update(rule_name, settings, code, configure=configure)

    def release(self, rule_name: str) -> int:
        return self._functions.release(rule_name)

    def remove_version(self, rule_name: str, version: int) -> bool:
        function = self._settings.function_name(rule_name)
        if self._functions.find_ours(rule_name) is None:
            return True
        if self._runs.find_going(function, version) is not None:
            return False
        return self._functions.remove_version(rule_name, version)

    def remove_function(self, rule_name: str) -> None:
        self._functions.remove(rule_name)

    def put_schedule(self, schedule: ScheduleWanted, now: datetime) -> datetime:
        return self._schedules.put(schedule, now)

    def remove_schedule(self, name: str) -> None:
        self._schedules.remove(name)

    def put_alarm(self, rule_name: str, alarm: Alarm) -> None:
        self._alarms.put(rule_name, alarm)

    def remove_alarm(self, rule_name: str, name: str) -> None:
        self._alarms.remove(rule_name, name)

    # ------------------------------------------------------------------ runs

    def stop_runs(self, rule_name: str) -> int:
        if self._functions.find_ours(rule_name) is None:
            return 0
        return self._runs.stop(self._settings.function_name(rule_name))

    def find_going_run(self, rule_name: str) -> str | None:
        execution = self._runs.find_going(self._settings.function_name(rule_name))
        # Most rules are idle: whose the function is has to be asked only where something is going.
        return execution if execution and self._functions.find_ours(rule_name) else None

    def start_run(self, rule_name: str, run_name: str, wish: Record | None = None) -> str:
        self._functions.get_ours(rule_name)
        return self._runs.start(self._settings.function_name(rule_name), rule_name, run_name, wish)
