"""The words of this package: a stack's place, what a template wants, what was made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.local_cloud.template_reader import Resource

Client = Callable[[str], Any]
Properties = Mapping[str, Any]

RETAIN = ("Retain", "RetainExceptOnCreate")
_LONGEST_NAME = 64


class StackError(RuntimeError):
    """A stack could not be made, changed or removed as it was asked for."""


@dataclass(frozen=True)
class Place:
    """Where a stack is deployed to, and from."""

    client: Client
    stack: str
    stack_id: str
    account: str
    region: str
    root: Path
    # Counts the stacks of this name: what an earlier one retained still has its names.
    generation: int = 1
    # Stands behind every layer's description, so that a test can have a new version of what has not changed.
    layer_note: str = ""

    def name_of(self, logical_id: str) -> str:
        """Return the name that CloudFormation would make up for a resource without one."""
        name = f"{self.stack}-{logical_id}" + (f"-{self.generation}" if self.generation > 1 else "")
        if len(name) <= _LONGEST_NAME:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{name[: _LONGEST_NAME - 9]}-{digest}"


@dataclass(frozen=True)
class Wanted:
    """A resource as the template has it, its properties resolved; content is the package that would be uploaded."""

    resource: Resource
    properties: Properties
    content: bytes = field(default=b"", repr=False)

    @property
    def logical_id(self) -> str:
        return self.resource.logical_id

    def equals(self, other: Wanted) -> bool:
        """Return whether CloudFormation would see no difference."""
        return (self.resource.type, self.properties, self.content) == (
            other.resource.type,
            other.properties,
            other.content,
        )


@dataclass(frozen=True)
class Made:
    """A resource that exists: what Ref answers, and what GetAtt answers by name."""

    ref: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """A resource of a stack: what was wanted and what was made."""

    wanted: Wanted
    made: Made

    @property
    def is_retained(self) -> bool:
        """Whether it stays when the stack goes."""
        return self.wanted.resource.deletion_policy in RETAIN or self._is_retained_layer

    @property
    def is_retained_when_replaced(self) -> bool:
        """Whether it stays when another takes its place."""
        return self.wanted.resource.update_replace_policy in RETAIN or self._is_retained_layer

    @property
    def _is_retained_layer(self) -> bool:
        # SAM's own word for both, and its default.
        is_layer = self.wanted.resource.type == "AWS::Serverless::LayerVersion"
        return is_layer and self.wanted.properties.get("RetentionPolicy", "Retain") == "Retain"


Make = Callable[[Place, Wanted], Made]
Change = Callable[[Place, Standing, Wanted], Made]
Remove = Callable[[Place, Standing], None]


@dataclass(frozen=True)
class Kind:
    """How resources of one type are made, changed and removed.

    `known` are its properties; of these, a change of one that is `fixed` would replace the resource, which only
    types without a name of their own can survive. A change that makes something else answers with another Ref:
    what was there before is removed when all else is done.
    """

    known: frozenset[str]
    make: Make
    change: Change
    remove: Remove
    required: frozenset[str] = frozenset()
    fixed: frozenset[str] = frozenset()
    content: Callable[[Place, Properties], bytes] | None = None
    # Custom resources have whatever properties their function understands.
    is_open: bool = False


def keys(words: str) -> frozenset[str]:
    """Return the words as property names."""
    return frozenset(words.split())
