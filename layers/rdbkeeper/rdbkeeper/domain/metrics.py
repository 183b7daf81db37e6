"""The metrics that functions write and alarms read, named once for both."""

from __future__ import annotations

NAMESPACE = "rdbkeeper"
HOURS_OVERDUE = "HoursOverdue"
"""Per rule, hourly: by how many hours its newest verified copy is overdue; 0 while it is not."""
RECONCILED = "Reconciled"
"""Per stack: 1 for each reconciling that came to its end. An alarm of the template reads it."""
WRITES_STILL_FROZEN = "WritesStillFrozen"
"""Per stack, hourly: how many freezes no run ends any more and reconciling could not end; 0 as a rule."""

SERVICE = "rdbkeeper"


def stack_dimensions(stack: str) -> tuple[tuple[str, str], ...]:
    """The dimensions of a metric of the whole stack, sorted by name; an alarm must name exactly these."""
    return (("service", SERVICE), ("stack", stack))


def rule_dimensions(stack: str, rule: str) -> tuple[tuple[str, str], ...]:
    """The dimensions of a rule's metric, sorted by name; an alarm must name exactly these."""
    return (("rule", rule), *stack_dimensions(stack))
