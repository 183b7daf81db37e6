"""Whether policies allow a request, as "Policy evaluation logic" describes it for a role of the same account."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.local_cloud.permissions.conditions import Context, PolicyError, check, holds, is_like, texts

_KEYS = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}


@dataclass(frozen=True)
class Need:
    """One action on one resource that a request needs to be allowed, with what its conditions may look at."""

    action: str
    resource: str
    context: Context = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Statement:
    """One statement of a policy. `resources` are patterns; with `but_resources` it is for all others."""

    policy: str  # its name
    sid: str
    is_deny: bool
    actions: tuple[str, ...]
    but_actions: bool
    resources: tuple[str, ...]
    but_resources: bool
    condition: Mapping[str, Mapping[str, Any]] = field(hash=False)
    principals: tuple[str, ...] = ()

    def match(self, need: Need) -> str | None:
        """Return the resource pattern by which the statement is about the need, None when it is not."""
        if any(is_like(need.action, action, ignoring_case=True) for action in self.actions) == self.but_actions:
            return None
        found = next((pattern for pattern in self.resources if is_like(need.resource, pattern)), None)
        if (found is not None) == self.but_resources or not holds(self.condition, need.context):
            return None
        return found or "*"


@dataclass(frozen=True)
class Verdict:
    """Whether something is allowed, by which statements (and which of their resource patterns), or why not."""

    allowed_by: tuple[tuple[Statement, str], ...]
    refusal: str

    @property
    def allowed(self) -> bool:
        return not self.refusal


@cache
def read_statements(document: str | bytes, name: str = "") -> tuple[Statement, ...]:
    """Return the statements of a policy's JSON text; raise PolicyError for what is not evaluated here."""
    found = json.loads(document)["Statement"]
    return tuple(_statement(name, body) for body in (found if isinstance(found, list) else [found]))


def _statement(policy: str, body: Mapping[str, Any]) -> Statement:
    unknown = sorted(set(body) - _KEYS)
    if unknown:
        raise PolicyError(f"The statement {body.get('Sid', '')} has {', '.join(unknown)}, which is not evaluated here.")
    condition = body.get("Condition", {})
    check(condition)
    return Statement(
        policy=policy,
        sid=body.get("Sid", ""),
        is_deny=body["Effect"] == "Deny",
        actions=tuple(texts(body.get("NotAction", body.get("Action")))),
        but_actions="NotAction" in body,
        resources=tuple(texts(body.get("NotResource", body.get("Resource")))),
        but_resources="NotResource" in body,
        condition=condition,
        principals=tuple(_principals(body.get("Principal", {}))),
    )


def _principals(principal: Any) -> Iterable[str]:
    if isinstance(principal, str):
        yield principal
        return
    for kind, names in principal.items():
        yield from (name if kind == "AWS" else f"{kind}:{name}" for name in texts(names))


def decide(
    need: Need,
    identity: Sequence[Statement],
    boundary: Sequence[Statement] | None = None,
    resource: Sequence[Statement] = (),
) -> Verdict:
    """Say whether the need is allowed by a role's policies, within its boundary, and by the resource's own policy.

    A Deny anywhere ends it. `resource` holds the statements of the resource's policy that are about the role.
    """
    for kind, statements in (
        ("an identity-based policy", identity),
        ("a permissions boundary", boundary or ()),
        ("a resource-based policy", resource),
    ):
        if any(statement.is_deny and statement.match(need) for statement in statements):
            return Verdict((), f"with an explicit deny in {kind}")
    if boundary is not None and not _allowing(need, boundary):
        return Verdict((), f"because no permissions boundary allows the {need.action} action")
    allowed_by = _allowing(need, identity) + _allowing(need, resource)
    if not allowed_by:
        return Verdict((), f"because no identity-based policy allows the {need.action} action")
    return Verdict(allowed_by, "")


def _allowing(need: Need, statements: Iterable[Statement]) -> tuple[tuple[Statement, str], ...]:
    matches = ((statement, statement.match(need)) for statement in statements if not statement.is_deny)
    return tuple((statement, pattern) for statement, pattern in matches if pattern)
