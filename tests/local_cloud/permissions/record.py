"""What roles asked for in this process, what allowed it, and what was refused.

One record a process, as moto has one set of data: a test at the end of the suite compares it with the template.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.local_cloud.permissions.policy import Need
from tests.local_cloud.permissions.roles import RolePolicies


@dataclass(frozen=True, order=True)
class Use:
    """A statement that allowed an action, and by which of its resource patterns.

    The policy is a managed one, which roles share, or goes by the name of the role whose own it is.
    """

    policy: str
    sid: str
    action: str
    pattern: str


@dataclass(frozen=True)
class Asked:
    """Something that a role asked for and was allowed, and what its policies said then."""

    role: str
    need: Need
    policies: RolePolicies


@dataclass(frozen=True, order=True)
class Refusal:
    """Something that a role asked for and was refused."""

    role: str
    action: str
    resource: str
    reason: str


@dataclass
class Record:
    """Everything that was asked, each thing once."""

    uses: set[Use] = field(default_factory=set)
    allowed: set[Asked] = field(default_factory=set)
    refusals: set[Refusal] = field(default_factory=set)


RECORD = Record()
