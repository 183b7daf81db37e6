"""A claim: the object at a place that says which stack's rule keeps its copies there.

Within one stack the table keeps two rules from one place; two stacks have no table in common, but the bucket. Copies
that somebody else has left at a place are no claim: whoever comes later goes on with them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from rdbkeeper.domain.documents import write_document
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.rule import Rule

FORMAT = "rdbkeeper-claim/1"


@dataclass(frozen=True)
class Claim:
    """Whose a place is: a stack's id as a hash, since the id holds an account's number, its name, and the rule."""

    stack: str
    stack_name: str
    rule: str
    claimed_at: datetime

    def is_of_same_stack(self, other: Claim) -> bool:
        """True when both are one stack's, whichever rule's."""
        return self.stack == other.stack

    def is_same(self, other: Claim) -> bool:
        """True when both are one rule's, whenever they were made."""
        return (self.stack, self.rule) == (other.stack, other.rule)

    def to_json(self) -> bytes:
        """The claim as it is written, for people to read as well."""
        record = {
            "format": FORMAT,
            "stack": self.stack,
            "stack_name": self.stack_name,
            "rule": self.rule,
            "claimed_at": write_moment(self.claimed_at),
        }
        return write_document(record)


def make_claim(stack_name: str, stack_id: str, rule: Rule, now: datetime) -> Claim:
    """The claim of one rule of a stack; `stack_id` tells it from others of its name, "" where that is unknown."""
    identity = hashlib.sha256((stack_id or stack_name).encode()).hexdigest()[:16]
    return Claim(identity, stack_name, rule.name, now)


def read_claim(body: bytes, now: datetime) -> Claim:
    """The claim that was written; one that cannot be read is nobody's that is known, and not to be written over."""
    try:
        record = json.loads(body)
        return Claim(
            str(record["stack"]),
            str(record["stack_name"]),
            str(record["rule"]),
            datetime.fromisoformat(record["claimed_at"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return Claim("", "unknown", "unknown", now)
