"""What a request is told that meets a rule which somebody else has made or changed."""

from __future__ import annotations

from rdbkeeper.domain.errors import NameTaken, RevisionStale
from rdbkeeper.domain.rule import Rule, RuleState


def take_up(existing: Rule, wanted: Rule) -> Rule:
    """The row that is there, when it is what is wanted: made or half made by the same request. Raises NameTaken."""
    if existing.state is RuleState.DELETING:
        raise NameTaken(
            f"There is a rule {existing.name} already (deleting).",
            field="name",
            hint="Its deletion is not finished. Send a `delete` of it, which finishes it, then this request again.",
        )
    if not existing.is_same_wish(wanted):
        raise NameTaken(
            f"There is a rule {existing.name} already ({existing.state.value}).",
            field="name",
            hint="Choose another name, or edit the rule with `update`; a rule's name is unique and cannot change.",
        )
    return existing


def stale(rule: Rule, revision: int) -> RevisionStale:
    """The error of an edit that was meant for an earlier revision."""
    return RevisionStale(
        f"The rule {rule.name} is at revision {rule.revision} by now, and you read revision {revision}.",
        field="revision",
        hint="Somebody else changed it. Look at it again with `get`, and repeat the edit with the revision you see.",
    )
