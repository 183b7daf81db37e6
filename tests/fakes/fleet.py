"""A fleet in memory, and executions that are going or have ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from rdbkeeper.domain.errors import NotOurs, RdbkeeperError
from rdbkeeper.domain.fleet import FleetSettings, schedule_names
from rdbkeeper.domain.rule import Rule
from rdbkeeper.ports import Provisioned

SETTINGS = FleetSettings("rdbkeeper", "rdbkeeper-run-rule", "arn:aws:iam::000000000000:role/scheduler", "rdbkeeper", 90)


@dataclass
class MemoryFleet:
    """`failing` maps a method's name to errors that its next calls raise, one each."""

    functions: dict[str, int] = field(default_factory=dict)
    schedules: dict[str, str] = field(default_factory=dict)
    log_groups: set[str] = field(default_factory=set)
    going: dict[str, list[str]] = field(default_factory=dict)
    failing: dict[str, list[RdbkeeperError]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    strangers: set[str] = field(default_factory=set)

    def check(self, rule: Rule) -> None:
        SETTINGS.check_function_name(rule.name)
        self._check_ours(rule.name)

    def provision(self, rule: Rule) -> Provisioned:
        self._call("provision")
        self._check_ours(rule.name)
        function = SETTINGS.function_name(rule.name)
        self.log_groups.add(SETTINGS.log_group(rule.name))
        self.functions[function] = self.functions.get(function, 0) + 1
        self._fail("provision halfway")
        names = schedule_names(rule.name)[: len(rule.cycle.expressions())]
        self.schedules.update(zip(names, rule.cycle.expressions(), strict=True))
        return Provisioned(function, str(self.functions[function]), SETTINGS.log_group(rule.name), names)

    def remove_schedules(self, rule_name: str) -> None:
        self._call("remove_schedules")
        for name in schedule_names(rule_name):
            self.schedules.pop(name, None)

    def stop_runs(self, rule_name: str) -> int:
        self._call("stop_runs")
        self._check_ours(rule_name)
        return len(self.going.pop(rule_name, []))

    def remove_function(self, rule_name: str) -> None:
        self._call("remove_function")
        self._check_ours(rule_name)
        self.functions.pop(SETTINGS.function_name(rule_name), None)

    def _check_ours(self, rule_name: str) -> None:
        if SETTINGS.function_name(rule_name) in self.strangers:
            raise NotOurs(f"There is a function {SETTINGS.function_name(rule_name)} that this rule did not make.")

    def _call(self, method: str) -> None:
        self.calls.append(method)
        self._fail(method)

    def _fail(self, method: str) -> None:
        if self.failing.get(method):
            raise self.failing[method].pop(0)


@dataclass
class MemoryExecutions:
    going: set[str] = field(default_factory=set)

    def has_ended(self, execution: str) -> bool:
        return execution not in self.going
