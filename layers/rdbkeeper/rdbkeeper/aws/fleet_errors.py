"""How the fleet's adapters say what went wrong."""

from __future__ import annotations

from rdbkeeper.aws.errors import Family
from rdbkeeper.domain.errors import FleetDenied, FleetRefused, FleetUnavailable, NotOurs

FAMILY = Family(
    FleetDenied,
    FleetUnavailable,
    FleetRefused,
    # "GetResources" in the Resource Groups Tagging API reference: a page was asked for too late.
    {"PaginationTokenExpiredException": (FleetUnavailable, "The listing took too long; the next attempt begins anew.")},
)


def not_ours(what: str, name: str, rule_name: str) -> NotOurs:
    """The error that something (`what`: "function") of a needed name was not made for this stack's rule."""
    return NotOurs(
        f"There is {what} {name} that this stack's rule {rule_name} did not make.",
        field="name",
        hint="It lacks the stack's tags, so it is left alone. Choose another rule name, or remove it yourself.",
    )
