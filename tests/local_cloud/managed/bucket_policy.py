"""Whether a bucket's policy lets the service write its exports there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

# What ElastiCache's user guide asks the bucket's policy to grant, the kind that its error text names, and
# whether the action is on the bucket or on the objects in it.
REQUIRED = (
    ("READ", "s3:ListBucket", False),
    ("READ", "s3:GetObject", True),
    ("WRITE", "s3:PutObject", True),
    ("WRITE", "s3:ListMultipartUploadParts", True),
    ("WRITE", "s3:ListBucketMultipartUploads", False),
    ("READ_ACP", "s3:GetBucketAcl", False),
)


def find_missing_grants(policy_text: str, bucket: str, key: str, principal: str) -> dict[str, list[str]]:
    """Return the required actions that the policy does not grant the principal, by kind; empty if none.

    A condition counts only on what the service is known to send: an encrypted call of a service principal.
    An Allow with any other condition grants nothing, and a Deny with one denies.
    """
    statements = _as_list(json.loads(policy_text)["Statement"]) if policy_text else []
    known = {
        "aws:securetransport": "true",
        "aws:principalisawsservice": "true",
        "aws:principalservicename": principal,
    }
    missing: dict[str, list[str]] = {}
    for kind, action, on_objects in REQUIRED:
        resource = f"arn:aws:s3:::{bucket}/{key}" if on_objects else f"arn:aws:s3:::{bucket}"
        matching = [
            statement
            for statement in statements
            if _names_principal(statement, principal)
            and _names(statement, "Action", action.lower(), lower=True)
            and _names(statement, "Resource", resource)
        ]
        allowed = any(each["Effect"] == "Allow" and _holds(each, known, unknown=False) for each in matching)
        denied = any(each["Effect"] == "Deny" and _holds(each, known, unknown=True) for each in matching)
        if denied or not allowed:
            missing.setdefault(kind, []).append(action)
    return missing


def _names_principal(statement: Mapping[str, Any], principal: str) -> bool:
    if "NotPrincipal" in statement:
        return principal not in _services(statement["NotPrincipal"])
    named = statement.get("Principal", {})
    return named == "*" or principal in _services(named) or "*" in _services(named)


def _services(principal: Any) -> list[str]:
    if not isinstance(principal, Mapping):
        return _as_list(principal)
    everybody = ["*"] if "*" in _as_list(principal.get("AWS", [])) else []
    return _as_list(principal.get("Service", [])) + everybody


def _names(statement: Mapping[str, Any], element: str, value: str, *, lower: bool = False) -> bool:
    inverted = f"Not{element}" in statement
    patterns: Iterable[str] = _as_list(statement.get(f"Not{element}" if inverted else element, []))
    matched = any(_is_like(value, pattern.lower() if lower else pattern) for pattern in patterns)
    return matched != inverted


def _holds(statement: Mapping[str, Any], known: Mapping[str, str], *, unknown: bool) -> bool:
    """Say whether all conditions hold; one that cannot be decided counts as `unknown` says."""
    verdicts: list[bool] = []
    for operator, tests in statement.get("Condition", {}).items():
        for key, wanted in tests.items():
            value = known.get(key.lower())
            verdicts.append(unknown if value is None else _compare(operator, value, wanted, unknown))
    return all(verdicts)


def _compare(operator: str, value: str, wanted: Any, unknown: bool) -> bool:
    values = [str(each).lower() if isinstance(each, bool) else str(each) for each in _as_list(wanted)]
    plain = operator.removesuffix("IfExists")
    if plain in ("Bool", "StringEquals"):
        return value in values
    if plain == "StringNotEquals":
        return value not in values
    if plain == "StringLike":
        return any(_is_like(value, pattern) for pattern in values)
    return unknown


def _is_like(value: str, pattern: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
