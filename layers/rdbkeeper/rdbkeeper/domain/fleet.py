"""What a rule runs on, by name: pure facts that the fleet's adapter and its tests share."""

from __future__ import annotations

from dataclasses import dataclass

from rdbkeeper.domain.errors import InvalidRequest

ALIAS = "live"
RULE_VARIABLE = "RDBKEEPER_RULE"
LONGEST_FUNCTION_NAME = 64  # characters; "CreateFunction" in the Lambda API reference


@dataclass(frozen=True)
class FleetSettings:
    """What the template says about the fleet."""

    stack: str
    prototype_function: str
    scheduler_role_arn: str
    schedule_group: str
    log_retention_days: int

    def function_name(self, rule_name: str) -> str:
        return f"{self.stack}-rule-{rule_name}"

    def log_group(self, rule_name: str) -> str:
        return f"/aws/lambda/{self.function_name(rule_name)}"

    def tags(self, rule_name: str) -> dict[str, str]:
        """The tags that make a function this stack's and this rule's; ownership is told by them, never by a name."""
        return {"rdbkeeper:stack": self.stack, "rdbkeeper:rule": rule_name}

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


def schedule_names(rule_name: str) -> tuple[str, str]:
    """The schedule's name, which is the rule's; and the second's, for a cron that names day of month and weekday.

    A rule's name has no `_`, so the second one is never another rule's.
    """
    return rule_name, f"{rule_name}_weekday"
