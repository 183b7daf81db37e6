"""Decides what must change so that the fleet equals the rules. Pure: it reads nothing and does nothing.

The order within a rule is that in which it is safe to stop anywhere: what makes comes before what uses (log group,
function, version, schedule, alarm), and what uses goes before what it uses (schedule, function; the alarm last).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from rdbkeeper.domain.errors import InvalidRequest
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
    Fleet,
    FunctionFound,
    FunctionSettings,
    Prototype,
    ScheduleFound,
    ScheduleSent,
    ScheduleWanted,
)
from rdbkeeper.domain.fleet.settings import ALIAS, FleetSettings, rule_of_schedule, schedule_names
from rdbkeeper.domain.fleet.wanted import wanted_alarm, wanted_function, wanted_schedules
from rdbkeeper.domain.rule import Rule, RuleState


@dataclass(frozen=True)
class Registry:
    """What the table says, and when it was read.

    The rules, what was sent to Scheduler for each, and which rules were deleted on purpose.
    """

    rules: tuple[Rule, ...]
    read_at: datetime
    sent: Mapping[str, Mapping[str, ScheduleSent]] = field(default_factory=dict)
    deleted: frozenset[str] = frozenset()


def plan(registry: Registry, prototype: Prototype, fleet: Fleet) -> list[Change]:
    """Every change that is needed, rule by rule; nothing when the fleet equals the rules."""
    changes: list[Change] = []
    for rule in registry.rules:
        if rule.state is RuleState.DELETING:
            changes += plan_removal(rule.name, prototype.stack, fleet)
        else:
            changes += _plan_rule(rule, prototype, fleet, registry)
    names = {rule.name for rule in registry.rules}
    for name in sorted(registry.deleted - names):
        changes += plan_removal(name, prototype.stack, fleet)
    changes += _report_strays(names | registry.deleted, prototype.stack, fleet)
    return changes


def plan_removal(rule_name: str, stack: FleetSettings, fleet: Fleet) -> list[Change]:
    """Take down everything of one rule but its log group."""
    changes: list[Change] = [
        RemoveSchedule(rule_name, name, "ScheduleRemoved", f"The rule {rule_name} is deleted.")
        for name in schedule_names(rule_name)
        if name in fleet.schedules
    ]
    function = fleet.functions.get(stack.function_name(rule_name))
    if function is not None and function.rule == rule_name:
        changes.append(RemoveFunction(rule_name, function.name, "FunctionRemoved", f"The rule {rule_name} is deleted."))
    elif function is not None:
        changes.append(_not_ours(rule_name, function.name, "function"))
    alarm = fleet.alarms.get(stack.alarm_name(rule_name))
    if alarm is not None and alarm.rule == rule_name:
        changes.append(RemoveAlarm(rule_name, alarm.alarm.name, "AlarmRemoved", f"The rule {rule_name} is deleted."))
    return changes


def plan_end(stack: FleetSettings, fleet: Fleet) -> list[Change]:
    """Take down the whole fleet, whatever the table says, because its stack goes. Log groups stay."""
    names = {function.rule for function in fleet.functions.values()} | {alarm.rule for alarm in fleet.alarms.values()}
    names |= {rule_of_schedule(name) for name in fleet.schedules}
    changes = [change for name in sorted(names - {None}, key=str) for change in plan_removal(str(name), stack, fleet)]
    return [change for change in changes if not isinstance(change, LeaveAlone)]


def needs_closer_look(rule: Rule, stack: FleetSettings, fleet: Fleet) -> bool:
    """True when a listing leaves open what the rule's function needs.

    Old versions lie beside the one in use; or a schedule is gone, and the alias that it is to start may be as well.
    """
    function = fleet.functions.get(stack.function_name(rule.name))
    if function is None or function.alias_version is not None:
        return False
    schedules = schedule_names(rule.name)[: len(rule.cycle.expressions())]
    return len(function.versions) > 1 or not all(name in fleet.schedules for name in schedules)


def _plan_rule(rule: Rule, prototype: Prototype, fleet: Fleet, registry: Registry) -> list[Change]:
    stack = prototype.stack
    name = stack.function_name(rule.name)
    function = fleet.functions.get(name)
    if function is not None and function.rule != rule.name:
        return [_not_ours(rule.name, name, "function")]
    of_function = list(_plan_function(rule, prototype, name, function))
    schedules = _plan_schedules(rule, prototype, fleet, registry.sent.get(rule.name, {}))
    if not _can_be_started(function, of_function):
        schedules = (change for change in schedules if isinstance(change, RemoveSchedule))
    return [
        *_plan_logs(rule, stack, fleet),
        *of_function,
        *schedules,
        *_plan_alarm(rule, stack, fleet, registry.read_at),
    ]


def _plan_logs(rule: Rule, stack: FleetSettings, fleet: Fleet) -> Iterator[Change]:
    name = stack.log_group(rule.name)
    days = fleet.log_groups.get(name)
    if days is None:
        yield KeepLogs(rule.name, name, "LogGroupMade", f"There is no log group {name}.")
    elif days != stack.log_retention_days:
        kept = f"{days} days" if days else "for ever"
        yield KeepLogs(
            rule.name, name, "LogRetentionSet", f"{name} keeps logs {kept}, not {stack.log_retention_days} days."
        )


def _plan_function(rule: Rule, prototype: Prototype, name: str, function: FunctionFound | None) -> Iterator[Change]:
    try:
        settings = wanted_function(rule, prototype)
    except InvalidRequest as error:
        code = "RoleNotAllowed" if error.field == "role" else "NetworkIncomplete"
        yield LeaveAlone(rule.name, name, code, f"{error.message} Its function is left as it is.")
        return
    if function is None:
        yield MakeFunction(rule.name, name, "FunctionMade", f"There is no function {name}.", settings)
        yield Release(rule.name, name, "VersionReleased", f"{name} has no version yet.")
        return
    differences = function.differences(settings, prototype.code_sha256)
    if differences:
        reason = f"{name} differs from the prototype in {', '.join(differences)}."
        yield UpdateFunction(rule.name, name, "FunctionUpdated", reason, settings, differences)
    current = _find_current(function, settings, prototype.code_sha256)
    if differences or current is None:
        yield Release(rule.name, name, "VersionReleased", f"No version of {name} has the code and settings wanted.")
    elif function.alias_version not in (None, current):
        found = f"points at version {function.alias_version}" if function.alias_version else "is missing"
        yield Release(
            rule.name, name, "AliasMoved", f"The alias {ALIAS} of {name} {found}; version {current} is wanted."
        )
    elif function.alias_version is not None:
        for version in function.versions:
            if version.number != current:
                yield RemoveVersion(
                    rule.name, name, "VersionRemoved", f"Version {version.number} of {name} is old.", version.number
                )


def _can_be_started(function: FunctionFound | None, changes: list[Change]) -> bool:
    """True when there is a version for a schedule to start, or will be; an alias not looked at is taken to be right."""
    if any(isinstance(change, Release) for change in changes):
        return True
    return function is not None and bool(function.versions) and function.alias_version != 0


def _find_current(function: FunctionFound, settings: FunctionSettings, code_sha256: str) -> int | None:
    """The newest version, if it is what is wanted; an older one that was is not gone back to."""
    newest = max(function.versions, key=lambda version: version.number, default=None)
    if newest is None or (newest.settings, newest.code_sha256) != (settings, code_sha256):
        return None
    return newest.number


def _plan_schedules(
    rule: Rule, prototype: Prototype, fleet: Fleet, sent: Mapping[str, ScheduleSent]
) -> Iterator[Change]:
    wanted = {schedule.name: schedule for schedule in wanted_schedules(rule, prototype)}
    for name in schedule_names(rule.name):
        found = fleet.schedules.get(name)
        if name not in wanted:
            if found is not None:
                yield RemoveSchedule(rule.name, name, "ScheduleRemoved", f"The rule's cycle needs no schedule {name}.")
            continue
        schedule = wanted[name]
        if found is None:
            reason = f"There is no schedule {name}."
            yield PutSchedule(rule.name, name, "ScheduleMade", reason, schedule, is_new=True)
        elif problem := _find_problem(schedule, found, sent.get(name)):
            yield PutSchedule(rule.name, name, "SchedulePutRight", problem, schedule, is_new=False)


def _find_problem(wanted: ScheduleWanted, found: ScheduleFound, sent: ScheduleSent | None) -> str:
    """Why a schedule is not, or cannot be known to be, the one that is wanted; "" when it is."""
    if found.enabled != wanted.enabled:
        return f"The schedule {wanted.name} is {'on' if found.enabled else 'off'}."
    if found.target_arn != wanted.target_arn:
        return f"The schedule {wanted.name} starts something else."
    if found.fingerprint and found.fingerprint != wanted.fingerprint:
        return f"The schedule {wanted.name} is not what the rule says."
    if sent is None:
        return f"Nothing is on record about the schedule {wanted.name}."
    if sent.fingerprint != wanted.fingerprint:
        return f"The schedule {wanted.name} is not what the rule says by now."
    if sent.modified_at != found.modified_at:
        return f"Somebody else changed the schedule {wanted.name}."
    return ""


def _plan_alarm(rule: Rule, stack: FleetSettings, fleet: Fleet, now: datetime) -> Iterator[Change]:
    name = stack.alarm_name(rule.name)
    wanted, found = wanted_alarm(rule, stack, now), fleet.alarms.get(name)
    if found is not None and found.rule != rule.name:
        yield _not_ours(rule.name, name, "alarm")
    elif wanted is None and found is not None:
        yield RemoveAlarm(rule.name, name, "AlarmRemoved", f"The rule {rule.name} is manual and cannot be overdue.")
    elif wanted is not None and found is None:
        yield PutAlarm(rule.name, name, "AlarmMade", f"There is no alarm {name}.", wanted)
    elif wanted is not None and found is not None and replace(found.alarm, action_arns=wanted.action_arns) == wanted:
        if wanted.action_arns and not found.alarm.action_arns:
            reason = f"The alarm {name} tells nobody, and its rule is no longer new."
            yield PutAlarm(rule.name, name, "AlarmSwitchedOn", reason, wanted)
        elif wanted.action_arns != found.alarm.action_arns:
            yield PutAlarm(rule.name, name, "AlarmPutRight", f"The alarm {name} tells somebody else.", wanted)
    elif wanted is not None and found is not None:
        yield PutAlarm(rule.name, name, "AlarmPutRight", f"The alarm {name} is not what the template says.", wanted)


def _report_strays(explained: set[str] | frozenset[str], stack: FleetSettings, fleet: Fleet) -> Iterator[Change]:
    """Tell what carries this stack's tag, or lies in its group, and belongs to nothing on record.

    It stays: a lost table must not take the fleet with it.
    """
    for function in fleet.functions.values():
        if function.rule is not None and function.name != stack.function_name(function.rule):
            reason = (
                f"The function {function.name} carries the tags of the rule {function.rule}, and is not its function."
            )
            yield LeaveAlone(function.rule, function.name, "FunctionMisplaced", reason)
        elif function.rule is not None and function.rule not in explained:
            reason = f"{function.name} is this stack's, and there is no rule {function.rule} that could be read."
            yield LeaveAlone(function.rule, function.name, "FunctionWithoutRule", reason)
    for name in fleet.schedules:
        rule_name = rule_of_schedule(name)
        if rule_name not in explained:
            reason = f"The schedule {name} is in this stack's group, and there is no rule {rule_name}."
            yield LeaveAlone(rule_name, name, "ScheduleWithoutRule", reason)
    for found in fleet.alarms.values():
        if found.rule is not None and found.rule not in explained:
            reason = f"The alarm {found.alarm.name} is this stack's, and there is no rule {found.rule}."
            yield LeaveAlone(found.rule, found.alarm.name, "AlarmWithoutRule", reason)


def _not_ours(rule_name: str, target: str, what: str) -> LeaveAlone:
    return LeaveAlone(
        rule_name,
        target,
        "NotOurs",
        f"There is a {what} {target} that this stack's rule {rule_name} did not make: it lacks the stack's tags.",
    )
