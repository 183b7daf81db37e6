"""The functions, schedules, log groups and alarms of the rules. Nothing is decided here: plans are carried out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from rdbkeeper.ports.records import Record

if TYPE_CHECKING:  # a rule's function loads every port, and none of what a fleet is made of
    from rdbkeeper.domain.fleet.parts import Alarm, Fleet, FunctionSettings, Prototype, ScheduleWanted


class FleetServices(Protocol):
    """What the services that a fleet is made of can be asked to show and to do. Raises FleetError.

    Nothing is taken or changed that lacks this stack's tags: what exists under a needed name and is not this stack's
    is shown as such, and each call that would change it raises NotOurs.
    """

    def prototype(self) -> Prototype:
        """The template's prototype function as it is deployed now."""

    def observe(self) -> Fleet:
        """The whole fleet, read in pages; where aliases point is left open."""

    def look_closely(self, rule_name: str) -> Fleet:
        """One rule's part of the fleet, each thing read by its name, and where the alias points."""

    def keep_logs(self, rule_name: str) -> None:
        """Make the rule's log group, or put its retention back."""

    def make_function(self, rule_name: str, settings: FunctionSettings) -> None:
        """Make the rule's function with the prototype's code, and wait until it can be published."""

    def update_function(self, rule_name: str, settings: FunctionSettings, differences: Sequence[str]) -> None:
        """Give the function the code and the settings that differ, and wait until it can be published."""

    def release(self, rule_name: str) -> int:
        """Publish a version, wait until it can run, point the alias there; returns its number.

        Runs that are going end on the version that they began with.
        """

    def remove_version(self, rule_name: str, version: int) -> bool:
        """Remove a published version unless a run is going on it; False when one is."""

    def stop_runs(self, rule_name: str) -> int:
        """Stop the rule's executions that are going; returns how many."""

    def remove_function(self, rule_name: str) -> None:
        """Remove the function with its versions and alias. One that is gone is no error."""

    def put_schedule(self, schedule: ScheduleWanted, now: datetime) -> datetime:
        """Make or wholly replace a schedule; returns when Scheduler says that it was changed."""

    def remove_schedule(self, name: str) -> None:
        """Remove a schedule. One that is gone is no error."""

    def put_alarm(self, rule_name: str, alarm: Alarm) -> None:
        """Make or replace an alarm."""

    def remove_alarm(self, rule_name: str, name: str) -> None:
        """Remove an alarm. One that is gone is no error."""

    def find_going_run(self, rule_name: str) -> str | None:
        """The ARN of an execution of the rule's function that is going, or None."""

    def start_run(self, rule_name: str, run_name: str, wish: Record | None = None) -> str:
        """Start a run through the alias, once for a name; returns the execution's ARN, that of the first time too.

        `wish` is what the run is asked for beyond being made at all, as RunRequest writes it.
        """
