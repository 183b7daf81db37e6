"""Whether the fleet equals the rules, told without asking the plan that makes it so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rdbkeeper.domain.catalog import claim_key
from rdbkeeper.domain.fleet.settings import RULE_VARIABLE, schedule_names
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.ports import Record
from tests.flows.desk import Desk


def disorders(desk: Desk, *, old_versions: bool = False) -> list[str]:
    """Everything that is not as it must be once no request is going and reconciling has found nothing to do.

    Old versions count as well, unless reconciling, which removes them, is still to come.
    """
    return [*_of_rules(desk, old_versions=old_versions), *_of_leftovers(desk)]


def picture(desk: Desk) -> Record:
    """What a person could tell two worlds apart by.

    Not what grows with each attempt (revisions, versions, moments), nor what any attempt may leave: log groups, what
    was sent and deleted as it is on record, and uploads and claims that could not be given up and are said to be left.
    """
    return {
        "rules": {rule.name: {**rule.as_record(), "revision": 0} for rule in desk.tables.rules.rules()},
        "functions": {
            name: (function.rule, function.settings, function.code_sha256)
            for name, function in desk.fleet.functions.items()
        },
        "schedules": dict(desk.fleet.schedules),
        "alarms": dict(desk.fleet.alarms),
        "runs": {rule: len(runs) for rule, runs in desk.fleet.going.items() if runs},
        "uploads": _unexplained_uploads(desk),
        "objects": sorted(key for key in desk.vault.objects if not _is_explained_claim(desk, key)),
        "blocks": {name: status.block for name, status in desk.tables.rules.statuses().items() if status.block},
    }


def steady(answer: Any) -> Any:
    """An answer without what grows with each attempt, and without counts of what an earlier attempt has stopped."""
    if isinstance(answer, dict):
        passing = ("revision", "version", "stopped_runs")
        return {key: steady(value) for key, value in answer.items() if key not in passing}
    return answer


def _of_rules(desk: Desk, *, old_versions: bool) -> Iterator[str]:
    for rule in desk.tables.rules.rules():
        if rule.state not in (RuleState.ACTIVE, RuleState.PAUSED):
            yield f"{rule.name} is still {rule.state.value}"
            continue
        yield from _of_function(desk, rule, old_versions=old_versions)
        yield from _of_schedules(desk, rule)
        has_alarm = desk.fleet.settings.alarm_name(rule.name) in desk.fleet.alarms
        if has_alarm == (rule.cycle.kind == "manual"):
            yield f"{rule.name} has {'an' if has_alarm else 'no'} alarm"
        if desk.fleet.log_groups.get(desk.fleet.settings.log_group(rule.name)) != 90:
            yield f"the logs of {rule.name} are not kept for 90 days"
        if desk.tables.rules.find_deletion(rule.name) is not None:
            yield f"{rule.name} is there and on record as deleted"


def _of_function(desk: Desk, rule: Rule, *, old_versions: bool) -> Iterator[str]:
    function = desk.fleet.functions.get(desk.fleet.settings.function_name(rule.name))
    if function is None:
        yield f"{rule.name} has no function"
        return
    prototype = desk.fleet.prototype()
    if function.rule != rule.name:
        yield f"the function of {rule.name} is tagged {function.rule}"
    if function.code_sha256 != prototype.code_sha256:
        yield f"the function of {rule.name} runs {function.code_sha256}"
    if dict(function.settings.environment).get(RULE_VARIABLE) != rule.name:
        yield f"the function of {rule.name} is told another rule's name"
    role_arn = desk.fleet.settings.find_role_arn(rule.role) if rule.role else prototype.settings.role_arn
    if function.settings.role_arn != role_arn:
        yield f"the function of {rule.name} has the role {function.settings.role_arn}"
    runs = desk.fleet.going.get(rule.name, ())
    needed = {function.alias_version} | {
        number for number in function.versions if any(f":{number}/durable-execution/" in run for run in runs)
    }
    if not (set(function.versions) >= needed if old_versions else set(function.versions) == needed):
        yield f"{rule.name} has the versions {list(function.versions)} and needs {sorted(needed)}"
    if function.alias_version not in function.versions:
        yield f"the alias of {rule.name} is at {function.alias_version}, which is no version"
        return
    live = function.versions[function.alias_version]
    if (live.settings, live.code_sha256) != (function.settings, function.code_sha256):
        yield f"the alias of {rule.name} is at a version that is not what its function is"


def _of_schedules(desk: Desk, rule: Rule) -> Iterator[str]:
    wanted = dict(zip(schedule_names(rule.name), rule.cycle.expressions(), strict=False))
    there = {name: desk.fleet.schedules[name] for name in schedule_names(rule.name) if name in desk.fleet.schedules}
    if {name: schedule.expression for name, schedule in there.items()} != wanted:
        yield f"{rule.name} has the schedules {sorted(there)} and wants {wanted}"
    sent = desk.tables.rules.find_sent_schedules(rule.name)
    for name, schedule in there.items():
        if schedule.enabled == (rule.state is RuleState.PAUSED):
            yield f"{rule.name} is {rule.state.value} and its schedule is {'on' if schedule.enabled else 'off'}"
        if schedule.cycle.time_zone != rule.cycle.time_zone:
            yield f"{name} fires in {schedule.cycle.time_zone}"
        if not schedule.target_arn.endswith(f":{desk.fleet.settings.function_name(rule.name)}:live"):
            yield f"{name} starts {schedule.target_arn}"
        if name not in sent or sent[name].modified_at != desk.fleet.modified_at[name]:
            yield f"what was sent for {name} is not on record"


def _of_leftovers(desk: Desk) -> Iterator[str]:
    # What a rule's status was and what was sent for it is struck off when one of that name is made, so it may stay.
    names = {rule.name for rule in desk.tables.rules.rules()}
    settings, tables = desk.fleet.settings, desk.tables
    for function in set(desk.fleet.functions) - {settings.function_name(name) for name in names}:
        yield f"the function {function} has no rule"
    for schedule in set(desk.fleet.schedules) - {schedule for name in names for schedule in schedule_names(name)}:
        yield f"the schedule {schedule} has no rule"
    for alarm in set(desk.fleet.alarms) - {settings.alarm_name(name) for name in names}:
        yield f"the alarm {alarm} has no rule"
    for what in (tables.leases, tables.uploads, tables.histories, desk.fleet.going):
        for name in set(what) - names:
            if what[name]:
                yield f"of {name} is left {what[name]}"
    if _unexplained_uploads(desk) and not names:
        yield f"uploads are open: {sorted(desk.vault.uploads)}"


def _unexplained_uploads(desk: Desk) -> list[str]:
    return [] if "UploadLeft" in desk.journal.events() else sorted(desk.vault.uploads)


def _is_explained_claim(desk: Desk, key: str) -> bool:
    places = {claim_key(rule.place.path) for rule in desk.tables.rules.rules()}
    return key.endswith("/claim.json") and key not in places and "ClaimLeft" in desk.journal.events()
