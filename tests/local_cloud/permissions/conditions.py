"""The Condition element of a policy, as "IAM JSON policy elements: Condition operators" describes it.

What is not known here is an error: a condition must not seem to hold because nobody looked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

# A request's condition keys in lower case, which is how IAM compares them, each with its values.
Context = Mapping[str, tuple[str, ...]]

# What a request may say here; `aws:RequestTag/` and `aws:ResourceTag/` go on with the tag's name.
_KEYS = {
    "aws:principalaccount",
    "aws:principalarn",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:tagkeys",
    "cloudwatch:alarmactions",
    "cloudwatch:namespace",
    "dynamodb:enclosingoperation",
    "dynamodb:leadingkeys",
    "iam:passedtoservice",
    "lambda:layer",
    "lambda:securitygroupids",
    "lambda:sourcefunctionarn",
    "lambda:subnetids",
    "s3:prefix",
}
# These need a set operator ("Single-valued vs. multivalued context keys").
_MULTIVALUED = {
    "aws:tagkeys",
    "cloudwatch:alarmactions",
    "dynamodb:enclosingoperation",
    "dynamodb:leadingkeys",
    "lambda:layer",
    "lambda:securitygroupids",
    "lambda:subnetids",
}
_TAGS = ("aws:requesttag/", "aws:resourcetag/")
_SETS = ("ForAllValues:", "ForAnyValue:")


class PolicyError(ValueError):
    """A policy says something that is not evaluated here."""


@cache
def _pattern(text: str, flags: int) -> re.Pattern[str]:
    parts = (".*" if mark == "*" else "." if mark == "?" else re.escape(mark) for mark in text)
    return re.compile("".join(parts), re.DOTALL | flags)


def is_like(value: str, pattern: str, *, ignoring_case: bool = False) -> bool:
    """True when the value matches the pattern, in which `*` and `?` are wildcards."""
    if "${" in pattern:
        raise PolicyError(f"The policy variable in {pattern} is not evaluated here.")
    return _pattern(pattern, re.IGNORECASE if ignoring_case else 0).fullmatch(value) is not None


def _is_arn_like(value: str, pattern: str) -> bool:
    # "Each of the six colon-delimited components of the ARN is checked separately."
    mine, wanted = value.split(":", 5), pattern.split(":", 5)
    return len(mine) == len(wanted) and all(map(is_like, mine, wanted))


_COMPARE: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": str.__eq__,
    "StringEqualsIgnoreCase": lambda value, wanted: value.casefold() == wanted.casefold(),
    "StringLike": is_like,
    "ArnEquals": _is_arn_like,
    "ArnLike": _is_arn_like,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
}
_NEGATED = {re.sub("^(String|Arn)", r"\1Not", operator): operator for operator in _COMPARE}


def texts(value: Any) -> list[str]:
    """Return the value of a policy's element, one or several, as texts."""
    items = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items]


def check(condition: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise PolicyError where the condition has an operator or a key that is not known here."""
    for operator, tests in condition.items():
        plain, is_set, _ = _parts(operator)
        for key in map(str.lower, tests):
            if key not in _KEYS and not key.startswith(_TAGS):
                raise PolicyError(f"The condition key {key} is not known here. Let the requests that have it say so.")
            if key in _MULTIVALUED and not is_set and plain != "Null":
                raise PolicyError(f"{operator} is used with {key}, which has several values: it needs a set operator.")


def holds(condition: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """True when every operator holds for every one of its keys."""
    return all(
        _holds(operator, texts(wanted), context.get(key.lower()))
        for operator, tests in condition.items()
        for key, wanted in tests.items()
    )


def _holds(operator: str, wanted: list[str], values: tuple[str, ...] | None) -> bool:
    plain, set_operator, if_exists = _parts(operator)
    if plain == "Null":
        return wanted == [str(not values).lower()]
    negated = plain not in _COMPARE
    compare = _COMPARE[_NEGATED[plain] if negated else plain]
    matches = [any(compare(value, want) for want in wanted) != negated for value in values or ()]
    # "ForAllValues also returns true if there are no context keys in the request"; "ForAnyValue returns false".
    if set_operator == "ForAllValues:":
        return all(matches)
    if set_operator == "ForAnyValue:":
        return any(matches)
    return matches[0] if matches else negated or if_exists


def _parts(operator: str) -> tuple[str, str, bool]:
    """Return the operator alone, its set operator if there is one, and whether a missing key is as good as any."""
    set_operator = next((prefix for prefix in _SETS if operator.startswith(prefix)), "")
    plain = operator.removeprefix(set_operator)
    if_exists = plain.endswith("IfExists")
    plain = plain.removesuffix("IfExists")
    if plain not in {"Null", *_COMPARE, *_NEGATED}:
        raise PolicyError(f"The condition operator {operator} is not evaluated here.")
    return plain, set_operator, if_exists
