"""Whether Scheduler may take a role, and what that role may invoke.

The service looks at the trust when a schedule is made ("The execution role you provide must allow AWS EventBridge
Scheduler to assume the role."), and at the permission only when it fires. Here both are looked at at once: a role that
cannot invoke its target would otherwise be found in the cloud only.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping
from typing import Any

from moto.iam.exceptions import NotFoundException
from moto.iam.models import Role, iam_backends

from tests.local_cloud.scheduler_rules import invalid

_SERVICE = "scheduler.amazonaws.com"
_CANNOT_ASSUME = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."


def check_role(account_id: str, role_arn: str, group_arn: str, function_arn: str) -> None:
    """Refuse a role that Scheduler cannot take for this group, or that may not invoke this function."""
    role = _find_role(account_id, role_arn)
    facts = {"aws:SourceAccount": account_id, "aws:SourceArn": group_arn}
    trust = role.assume_role_policy_document if role else "{}"
    if not any(_lets_scheduler_in(statement, facts) for statement in _statements(trust)):
        raise invalid(_CANNOT_ASSUME)
    documents = _documents(role) if role else ()
    if not any(_allows(statement, function_arn) for document in documents for statement in _statements(document)):
        raise invalid(f"The role {role_arn} may not lambda:InvokeFunction {function_arn}.")


def _find_role(account_id: str, role_arn: str) -> Role | None:
    try:
        return iam_backends[account_id]["aws"].get_role_by_arn(role_arn)
    except NotFoundException:
        return None


def _documents(role: Role) -> Iterator[str]:
    """Yield the role's own policies and the present version of each managed one."""
    yield from role.policies.values()
    for policy in role.managed_policies.values():
        yield from (version.document for version in policy.versions if version.version_id == policy.default_version_id)


def _statements(document: str) -> Iterator[Mapping[str, Any]]:
    statements = json.loads(document).get("Statement", [])
    yield from statements if isinstance(statements, list) else [statements]


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _lets_scheduler_in(statement: Mapping[str, Any], facts: Mapping[str, str]) -> bool:
    principal = statement.get("Principal", {})
    services = _texts(principal.get("Service", [])) if isinstance(principal, Mapping) else []
    return (
        statement.get("Effect") == "Allow"
        and "sts:AssumeRole" in _texts(statement.get("Action", []))
        and _SERVICE in services
        and all(_holds(operator, keys, facts) for operator, keys in statement.get("Condition", {}).items())
    )


def _holds(operator: str, keys: Mapping[str, Any], facts: Mapping[str, str]) -> bool:
    if operator not in ("StringEquals", "StringLike", "ArnEquals", "ArnLike"):
        raise invalid(f"{_CANNOT_ASSUME} (The local cloud does not know the condition {operator}.)")
    is_exact = operator == "StringEquals"
    for key, wanted in keys.items():
        fact = facts.get(key, "")
        matches = (fact == text if is_exact else fnmatch.fnmatchcase(fact, text) for text in _texts(wanted))
        if not any(matches):
            return False
    return True


def _allows(statement: Mapping[str, Any], function_arn: str) -> bool:
    actions = _texts(statement.get("Action", []))
    resources = _texts(statement.get("Resource", []))
    return (
        statement.get("Effect") == "Allow"
        and any(fnmatch.fnmatchcase("lambda:InvokeFunction", action) for action in actions)
        and any(fnmatch.fnmatchcase(function_arn, resource) for resource in resources)
    )
