"""The schedules of the rules, all in the stack's own group of EventBridge Scheduler.

Schedules have no tags: only this stack writes to its group. What is sent is described in "CreateSchedule" and
"UpdateSchedule" in the Scheduler API reference; an update replaces everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import code_of, tolerated, translated
from rdbkeeper.aws.fleet_errors import FAMILY
from rdbkeeper.domain.fleet.parts import ScheduleFound, ScheduleWanted, fingerprint_schedule
from rdbkeeper.domain.fleet.settings import FleetSettings, schedule_names
from rdbkeeper.ports import Record

_GONE = "ResourceNotFoundException"
_MOST_A_PAGE = 100


class Schedules:
    """The fleet's schedules over a client of EventBridge Scheduler."""

    def __init__(self, client: Callable[[str], Any], settings: FleetSettings) -> None:
        self._client = client
        self._group = settings.schedule_group

    def list(self) -> dict[str, ScheduleFound]:
        """Every schedule of the group."""
        with translated(FAMILY, f"Listing the schedules of the group {self._group}"):
            pages = self._client("scheduler").get_paginator("list_schedules")
            found = [
                _read(schedule)
                for page in pages.paginate(GroupName=self._group, PaginationConfig={"PageSize": _MOST_A_PAGE})
                for schedule in page["Schedules"]
            ]
        return {schedule.name: schedule for schedule in found}

    def find(self, rule_name: str) -> dict[str, ScheduleFound]:
        """Those of the rule's schedules that there are."""
        found = (self._find(name) for name in schedule_names(rule_name))
        return {schedule.name: schedule for schedule in found if schedule is not None}

    def put(self, wanted: ScheduleWanted, now: datetime) -> datetime:
        """Make or wholly replace a schedule; returns when Scheduler says that it was changed."""
        arguments = self._arguments(wanted, now)
        scheduler = self._client("scheduler")
        with translated(FAMILY, f"Making the schedule {wanted.name}"):
            # botocore gives each call a token of its own, under which its retries of that call are one; what was made
            # by an earlier call is a conflict.
            try:
                scheduler.create_schedule(**arguments)
            except ClientError as error:
                if code_of(error) != "ConflictException":
                    raise
                scheduler.update_schedule(**arguments)
            return _modified_at(scheduler.get_schedule(Name=wanted.name, GroupName=self._group))

    def remove(self, name: str) -> None:
        """Remove a schedule; one that is gone is no error."""
        with translated(FAMILY, f"Removing the schedule {name}"), tolerated(_GONE):
            self._client("scheduler").delete_schedule(Name=name, GroupName=self._group)

    def _find(self, name: str) -> ScheduleFound | None:
        with translated(FAMILY, f"Looking for the schedule {name}"), tolerated(_GONE):
            schedule = self._client("scheduler").get_schedule(Name=name, GroupName=self._group)
            return replace(_read(schedule), fingerprint=_fingerprint(schedule))
        return None

    def _arguments(self, wanted: ScheduleWanted, now: datetime) -> Record:
        starts_at = wanted.cycle.starts_at(now)
        arguments = {
            "Name": wanted.name,
            "GroupName": self._group,
            "Description": wanted.description,
            "ScheduleExpression": wanted.expression,
            "ScheduleExpressionTimezone": wanted.cycle.time_zone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED" if wanted.enabled else "DISABLED",
            "Target": {
                "Arn": wanted.target_arn,
                "RoleArn": wanted.role_arn,
                "Input": wanted.payload,
                "RetryPolicy": {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": 3600},
            },
        }
        return arguments if starts_at is None else {**arguments, "StartDate": starts_at.astimezone(UTC)}


def _read(schedule: Record) -> ScheduleFound:
    return ScheduleFound(
        schedule["Name"], schedule["State"] == "ENABLED", schedule["Target"]["Arn"], _modified_at(schedule)
    )


def _fingerprint(schedule: Record) -> str:
    """Of a schedule as GetSchedule shows it; a listing lacks most of this."""
    target = schedule["Target"]
    return fingerprint_schedule(
        schedule["ScheduleExpression"],
        schedule.get("ScheduleExpressionTimezone", "UTC"),
        target["Arn"],
        target["RoleArn"],
        target.get("Input", ""),
        enabled=schedule["State"] == "ENABLED",
    )


def _modified_at(schedule: Record) -> datetime:
    """In whole seconds: not every answer says more."""
    moment: datetime = schedule["LastModificationDate"]
    return moment.astimezone(UTC).replace(microsecond=0)
