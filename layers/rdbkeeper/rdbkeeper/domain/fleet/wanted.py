"""What a rule wants to run on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

from rdbkeeper.domain.fleet.parts import Alarm, FunctionSettings, Prototype, ScheduleWanted
from rdbkeeper.domain.fleet.settings import ALIAS, RULE_VARIABLE, FleetSettings, schedule_names
from rdbkeeper.domain.metrics import HOURS_OVERDUE, NAMESPACE, rule_dimensions
from rdbkeeper.domain.rule import Rule, RuleState

# Three hourly looks, and one for a look that comes late.
QUIET_AT_FIRST = timedelta(hours=4)
# Scheduler puts the time for which it fired in place of the words in angle brackets ("Adding context attributes").
_SCHEDULED_AT = "<aws.scheduler.scheduled-time>"


def wanted_function(rule: Rule, prototype: Prototype) -> FunctionSettings:
    """The settings of a rule's function: the prototype's, with its own log group, name, role and network.

    Raises InvalidRequest when the stack does not allow the rule's role (any more), or names but half of the network
    that the rule needs.
    """
    prototype.stack.check_role(rule.role)
    network = prototype.stack.get_network(is_live=rule.is_live)
    environment = {**dict(prototype.settings.environment), RULE_VARIABLE: rule.name}
    return replace(
        prototype.settings,
        description=f"Copies new backups for the rule {rule.name}",
        role_arn=prototype.stack.find_role_arn(rule.role) or prototype.settings.role_arn,
        environment=tuple(sorted(environment.items())),
        subnet_ids=network.subnet_ids,
        security_group_ids=network.security_group_ids,
        log_group=prototype.stack.log_group(rule.name),
    )


def wanted_schedules(rule: Rule, prototype: Prototype) -> tuple[ScheduleWanted, ...]:
    """The rule's schedules: none for a manual cycle, two for a cron that names both kinds of days."""
    stack = prototype.stack
    target_arn = prototype.alias_arn(stack.function_name(rule.name), ALIAS)
    payload = json.dumps({"rule": rule.name, "scheduled_at": _SCHEDULED_AT})
    return tuple(
        ScheduleWanted(
            name=name,
            expression=expression,
            cycle=rule.cycle,
            enabled=rule.state is not RuleState.PAUSED,
            target_arn=target_arn,
            role_arn=stack.scheduler_role_arn,
            payload=payload,
            description=f"Runs the rule {rule.name} of the stack {stack.stack}",
        )
        for name, expression in zip(schedule_names(rule.name), rule.cycle.expressions(), strict=False)
    )


def wanted_alarm(rule: Rule, stack: FleetSettings, now: datetime) -> Alarm | None:
    """The alarm that the rule's newest verified copy is overdue; None for a manual cycle, which never is.

    Two of three hourly looks must say so. An hour without a look counts as overdue: nobody knows then. So for its
    first hours, in which nobody has looked yet, a new rule's alarm tells nobody.
    """
    if rule.cycle.kind == "manual":
        return None
    return Alarm(
        name=stack.alarm_name(rule.name),
        description=(
            f"The newest verified copy of the rule {rule.name} (stack {stack.stack}) is overdue, or nobody has looked. "
            f"Its runs are in the log group {stack.log_group(rule.name)}."
        ),
        namespace=NAMESPACE,
        metric=HOURS_OVERDUE,
        dimensions=rule_dimensions(stack.stack, rule.name),
        statistic="Maximum",
        period_s=3600,
        evaluation_periods=3,
        datapoints_to_alarm=2,
        threshold=0.0,
        comparison="GreaterThanThreshold",
        missing_data="breaching",
        action_arns=(stack.alarm_topic_arn,) if now - rule.created_at >= QUIET_AT_FIRST else (),
    )
