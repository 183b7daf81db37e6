"""Bucket policies as S3 evaluates them, where moto takes every statement for unconditional."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket


class UnknownConditionError(Exception):
    """A bucket policy has a condition that is not evaluated here."""


def evaluate_conditions() -> None:
    """Make moto leave out the statements whose condition does not hold; from then on for the whole process.

    A request to this cloud stands for one over TLS, so `aws:SecureTransport` is true. Any other condition is an
    error: a policy must not seem to hold because nobody looked.
    """
    FakeBucket.get_permission = _get_permission


def _get_permission(bucket: FakeBucket, action: str, resource: str) -> Any:
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    document = json.loads(bucket.policy)
    document["Statement"] = [statement for statement in document["Statement"] if _applies(statement)]
    if not document["Statement"]:
        return PermissionResult.NEUTRAL
    return IAMPolicy(json.dumps(document)).is_action_permitted(action, resource)


def _applies(statement: dict[str, Any]) -> bool:
    # What a service principal may do says nothing about the account's own callers.
    if isinstance(statement.get("Principal"), dict) and "Service" in statement["Principal"]:
        return False
    condition = statement.get("Condition", {})
    if not condition:
        return True
    if condition.keys() != {"Bool"} or condition["Bool"].keys() != {"aws:SecureTransport"}:
        raise UnknownConditionError(f"The bucket policy's condition {json.dumps(condition)} is not evaluated here.")
    return str(condition["Bool"]["aws:SecureTransport"]).lower() == "true"
