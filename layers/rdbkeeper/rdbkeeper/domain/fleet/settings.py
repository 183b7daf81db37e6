"""What the template says about the fleet, and what everything in it is called."""

from __future__ import annotations

from dataclasses import dataclass

from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.errors import InvalidRequest

ALIAS = "live"
RULE_VARIABLE = "RDBKEEPER_RULE"
STACK_TAG = "rdbkeeper:stack"
RULE_TAG = "rdbkeeper:rule"
LONGEST_FUNCTION_NAME = 64  # characters; "CreateFunction" in the Lambda API reference


@dataclass(frozen=True)
class Network:
    """The subnets and security groups of the owner's that functions may be put into, by their ids, sorted."""

    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()


NO_NETWORK = Network()


@dataclass(frozen=True)
class FleetSettings:
    """What the template says about the fleet; `stack_id` tells this stack from others of its name, "" where unknown.

    `hook_function_arns` are the functions that rules may name to freeze and thaw writes, without alias or version.
    """

    stack: str
    prototype_function: str
    scheduler_role_arn: str
    schedule_group: str
    log_retention_days: int
    alarm_topic_arn: str
    rule_role_arns: tuple[str, ...] = ()
    hook_function_arns: tuple[str, ...] = ()
    stack_id: str = ""
    network: Network = NO_NETWORK

    def function_name(self, rule_name: str) -> str:
        return f"{self.stack}-rule-{rule_name}"

    def log_group(self, rule_name: str) -> str:
        return f"/aws/lambda/{self.function_name(rule_name)}"

    def alarm_name(self, rule_name: str) -> str:
        return f"{self.function_name(rule_name)}-overdue"

    def names(self, rule_name: str) -> set[str]:
        """What everything of a rule's is called: its function, log group, alarm and schedules."""
        own = (self.function_name(rule_name), self.log_group(rule_name), self.alarm_name(rule_name))
        return {*own, *schedule_names(rule_name)}

    def tags(self, rule_name: str) -> dict[str, str]:
        """The tags that make something this stack's and this rule's; ownership is told by them, never by a name."""
        return {STACK_TAG: self.stack, RULE_TAG: rule_name}

    def find_rule(self, tags: dict[str, str]) -> str | None:
        """The rule of this stack that tags name, or None where they name none."""
        return tags.get(RULE_TAG) if tags.get(STACK_TAG) == self.stack else None

    def check_function_name(self, rule_name: str) -> None:
        """Raise InvalidRequest when the rule's function would have a name longer than Lambda takes."""
        name = self.function_name(rule_name)
        if len(name) > LONGEST_FUNCTION_NAME:
            longest = LONGEST_FUNCTION_NAME - len(name) + len(rule_name)
            raise InvalidRequest(
                f"The function's name {name} would have {len(name)} characters; Lambda takes {LONGEST_FUNCTION_NAME}.",
                field="name",
                hint=f"In the stack {self.stack} a rule's name has at most {longest} characters.",
            )

    def find_role_arn(self, role: str) -> str | None:
        """The ARN of a role that rules may name, or None where the stack does not allow it."""
        return next((arn for arn in self.rule_role_arns if arn.rsplit("/", 1)[-1] == role), None)

    def check_role(self, role: str) -> None:
        """Raise InvalidRequest for a role that the stack does not allow its rules; "" is the stack's own."""
        if role and self.find_role_arn(role) is None:
            names = ", ".join(arn.rsplit("/", 1)[-1] for arn in self.rule_role_arns)
            allowed = f"It allows {names}." if names else "It allows none so far."
            raise InvalidRequest(
                f"The stack {self.stack} does not allow its rules the role {role!r}.",
                field="role",
                hint=f"{allowed} Leave the field out for the stack's own, or add the role to the stack's parameter "
                "AllowedRuleRoleArns.",
            )

    def check_hooks(self, backup_first: BackupFirst | None) -> None:
        """Raise InvalidRequest for a function, by whatever alias, that the stack does not allow its rules to call."""
        allowed = [arn.rsplit(":", 1)[-1] for arn in self.hook_function_arns]
        hooks = (("freeze", backup_first.freeze), ("thaw", backup_first.thaw)) if backup_first else ()
        for field, function in hooks:
            if function and function.partition(":")[0] not in allowed:
                told = f"It allows {', '.join(allowed)}." if allowed else "It allows none so far."
                raise InvalidRequest(
                    f"The stack {self.stack} does not allow its rules to call the function {function}.",
                    field=f"backup_first.{field}",
                    hint=f"{told} Add the function's ARN to the stack's parameter AllowedHookFunctionArns.",
                )

    def get_network(self, *, is_live: bool) -> Network:
        """Where a rule's function lies: in the stack's network when its server is reached directly, else in none.

        A stack without a network leaves such a function outside as well: the server may have a public address. Raises
        InvalidRequest where the stack names subnets without security groups, or these without those.
        """
        if not is_live:
            return NO_NETWORK
        parts = {"VpcSubnetIds": self.network.subnet_ids, "VpcSecurityGroupIds": self.network.security_group_ids}
        missing = [name for name, ids in parts.items() if not ids]
        if len(missing) == 1:
            (given,) = set(parts) - set(missing)
            raise InvalidRequest(
                f"The stack {self.stack} has the parameter {given} and no {missing[0]}: it cannot put functions there.",
                field="source.provider",
                hint="Deploy the stack with both of them, or with neither where servers have public addresses.",
            )
        return self.network


def schedule_names(rule_name: str) -> tuple[str, str]:
    """The schedule's name, which is the rule's; and the second's, for a cron that names day of month and weekday.

    A rule's name has no `_`, so the second one is never another rule's.
    """
    return rule_name, f"{rule_name}_weekday"


def rule_of_schedule(schedule_name: str) -> str:
    """The rule whose schedule would have that name."""
    return schedule_name.removesuffix("_weekday")
