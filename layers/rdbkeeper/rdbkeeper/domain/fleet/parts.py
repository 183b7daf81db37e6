"""What a rule's fleet is made of: a function, one or two schedules, a log group and an alarm, as wanted and as found.

What is wanted and what is found have one form, so that a difference is a plain comparison.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TypeVar

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.fleet.settings import FleetSettings, schedule_names

Pairs = tuple[tuple[str, str], ...]
"""Names with their values, sorted by name: a mapping that can be compared and hashed."""

CODE = "code"
Part = TypeVar("Part")


@dataclass(frozen=True)
class FunctionSettings:
    """Everything about a function but its name, code and tags; "" and 0 where it has none of something."""

    runtime: str
    role_arn: str
    handler: str
    description: str
    timeout_s: int
    memory_mb: int
    architecture: str
    ephemeral_storage_mb: int
    layer_arns: tuple[str, ...]
    environment: Pairs = field(repr=False)
    kms_key_arn: str
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    durable_timeout_s: int
    durable_retention_days: int
    log_group: str
    log_format: str
    application_log_level: str
    system_log_level: str

    def differences(self, other: FunctionSettings) -> tuple[str, ...]:
        """The names of the settings in which two functions differ."""
        if self == other:
            return ()
        return tuple(
            one.name.replace("_", " ") for one in fields(self) if getattr(self, one.name) != getattr(other, one.name)
        )


@dataclass(frozen=True)
class Prototype:
    """The template's function that every rule's function mirrors, with the names of the stack it belongs to."""

    stack: FleetSettings
    arn: str
    settings: FunctionSettings
    code_sha256: str

    def alias_arn(self, function_name: str, alias: str) -> str:
        """The ARN of a function's alias, beside the prototype's own."""
        return f"{self.arn.rpartition(':')[0]}:{function_name}:{alias}"


@dataclass(frozen=True)
class Version:
    """One published version of a function."""

    number: int
    settings: FunctionSettings
    code_sha256: str


@dataclass(frozen=True)
class FunctionFound:
    """A function that exists. `rule` is whose it is by its tags, None when it is not this stack's.

    `alias_version` is where the alias points: 0 where there is no alias, None when nobody has looked.
    """

    name: str
    rule: str | None
    settings: FunctionSettings
    code_sha256: str
    versions: tuple[Version, ...] = ()
    alias_version: int | None = None

    def differences(self, settings: FunctionSettings, code_sha256: str) -> tuple[str, ...]:
        """What differs from the settings and code that are wanted."""
        changed = (CODE,) if self.code_sha256 != code_sha256 else ()
        return (*changed, *self.settings.differences(settings))


@dataclass(frozen=True)
class ScheduleWanted:
    """A schedule as it is sent to EventBridge Scheduler."""

    name: str
    expression: str
    cycle: Cycle
    enabled: bool
    target_arn: str
    role_arn: str
    payload: str
    description: str

    @property
    def fingerprint(self) -> str:
        """Tells whether two wishes are the same, and whether a schedule that was seen closely is what is wanted."""
        return fingerprint_schedule(
            self.expression, self.cycle.time_zone, self.target_arn, self.role_arn, self.payload, enabled=self.enabled
        )


def fingerprint_schedule(
    expression: str, time_zone: str, target_arn: str, role_arn: str, payload: str, *, enabled: bool
) -> str:
    """A short text that is the same for the same schedule."""
    wish = (expression, time_zone, enabled, target_arn, role_arn, payload)
    return hashlib.sha256(json.dumps(wish).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ScheduleFound:
    """A schedule that exists. `fingerprint` is "" where only a listing was read, which does not show the expression."""

    name: str
    enabled: bool
    target_arn: str
    modified_at: datetime
    fingerprint: str = ""


@dataclass(frozen=True)
class ScheduleSent:
    """What was last sent for a schedule, and when Scheduler says that this changed it.

    A schedule that still says so has not been changed by anybody else, so nobody has to read it one by one.
    """

    fingerprint: str
    modified_at: datetime


@dataclass(frozen=True)
class Alarm:
    """A CloudWatch alarm over one metric."""

    name: str
    description: str
    namespace: str
    metric: str
    dimensions: Pairs
    statistic: str
    period_s: int
    evaluation_periods: int
    datapoints_to_alarm: int
    threshold: float
    comparison: str
    missing_data: str
    action_arns: tuple[str, ...]


@dataclass(frozen=True)
class AlarmFound:
    """An alarm that exists. `rule` is whose it is by its tags, None when it is not this stack's."""

    alarm: Alarm
    rule: str | None


@dataclass(frozen=True)
class Fleet:
    """What is there: of this stack by tag or group, or under a name that one of its rules needs.

    `log_groups` maps a name to its retention in days, 0 where logs never expire.
    """

    functions: Mapping[str, FunctionFound]
    schedules: Mapping[str, ScheduleFound]
    alarms: Mapping[str, AlarmFound]
    log_groups: Mapping[str, int]

    def scheduled_since(self, rule_name: str) -> datetime | None:
        """Since when the rule's schedules have been as they are; None where there is none."""
        found = [self.schedules[name].modified_at for name in schedule_names(rule_name) if name in self.schedules]
        return max(found, default=None)

    def seen_closer(self, names: AbstractSet[str], looks: Sequence[Fleet]) -> Fleet:
        """The same fleet, with what closer looks showed of the things called `names` in place of what is said here."""

        def merge(parts: Sequence[Mapping[str, Part]]) -> dict[str, Part]:
            listed, *closer = parts
            known = {name: part for name, part in listed.items() if name not in names}
            return known | {name: part for look in closer for name, part in look.items()}

        seen = (self, *looks)
        return Fleet(
            merge([fleet.functions for fleet in seen]),
            merge([fleet.schedules for fleet in seen]),
            merge([fleet.alarms for fleet in seen]),
            merge([fleet.log_groups for fleet in seen]),
        )
