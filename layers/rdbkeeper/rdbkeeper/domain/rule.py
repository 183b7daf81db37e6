"""A rule: what to protect, when, and where the copies go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest, PlaceTaken

PROVIDERS = ("elasticache",)
DEFAULT_VAULT = "default"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# ElastiCache: 1 to 40 letters, digits and hyphens, the first a letter (CreateReplicationGroup, API reference).
_INSTANCE = re.compile(r"[a-z](?:-?[a-z0-9]){0,39}")
# The characters that the Amazon S3 user guide calls safe in keys.
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]+")
LONGEST_INSTANCE = 40
LONGEST_PREFIX = 512  # bytes; keys are at most 1,024, and a copy's own part of the key needs up to 200


class RuleState(StrEnum):
    """How far the fleet follows the rule."""

    CREATING = "creating"
    ACTIVE = "active"
    DELETING = "deleting"


@dataclass(frozen=True)
class Place:
    """Where a rule's copies lie: a vault and a path that ends in `/` (never empty, as it names the instance)."""

    vault: str
    path: str

    def overlaps(self, other: Place) -> bool:
        """True when one place equals, contains or lies within the other."""
        if self.vault != other.vault:
            return False
        return self.path.startswith(other.path) or other.path.startswith(self.path)


@dataclass(frozen=True)
class Rule:
    """One rule. Raises InvalidRequest, naming the field, when made from values that are not a rule."""

    name: str
    provider: str
    instance: str
    cycle: Cycle
    created_at: datetime
    vault: str = DEFAULT_VAULT
    prefix: str = ""
    state: RuleState = RuleState.CREATING
    revision: int = 1

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.provider not in PROVIDERS:
            raise InvalidRequest(
                f"The provider {self.provider[:80]!r} is unknown.",
                field="source.provider",
                hint=f"Use {' or '.join(PROVIDERS)}.",
            )
        if len(self.instance) > LONGEST_INSTANCE or not _INSTANCE.fullmatch(self.instance):
            raise InvalidRequest(
                f"{self.instance[:80]!r} is not the id of an instance.",
                field="source.instance",
                hint="Use the replication group's or cluster's id: lower-case letters, digits and single hyphens.",
            )
        if self.vault != DEFAULT_VAULT:
            raise InvalidRequest(
                f"The vault {self.vault[:80]!r} is unknown.", field="vault", hint=f"Use {DEFAULT_VAULT!r}."
            )
        _check_prefix(self.prefix)

    @property
    def place(self) -> Place:
        return Place(self.vault, f"{self.prefix}{self.instance}/")

    def as_record(self) -> dict[str, Any]:
        """The rule as plain data, the shape in which it is stored and answered."""
        return {
            "name": self.name,
            "source": {"provider": self.provider, "instance": self.instance},
            "cycle": self.cycle.as_record(),
            "vault": self.vault,
            "prefix": self.prefix,
            "state": self.state.value,
            "revision": self.revision,
            "created_at": self.created_at.astimezone(UTC).isoformat(timespec="seconds"),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Rule:
        """The rule that `as_record` wrote down."""
        return cls(
            name=record["name"],
            provider=record["source"]["provider"],
            instance=record["source"]["instance"],
            cycle=Cycle.from_record(record["cycle"]),
            vault=record["vault"],
            prefix=record["prefix"],
            state=RuleState(record["state"]),
            revision=int(record["revision"]),
            created_at=datetime.fromisoformat(record["created_at"]),
        )


def check_name(name: str) -> None:
    """Raise InvalidRequest unless `name` can be a rule's name."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:80]!r} is not a rule's name.",
            field="name",
            hint="Begin with a lower-case letter; then up to 30 lower-case letters, digits and hyphens.",
        )


def check_place_is_free(rule: Rule, others: Iterable[Rule]) -> None:
    """Raise PlaceTaken when another rule's place equals, contains or lies within this rule's."""
    for other in others:
        if other.name != rule.name and rule.place.overlaps(other.place):
            raise PlaceTaken(
                f"The rule {other.name} keeps its copies at {other.place.path!r} of vault {other.vault!r}, which meets "
                f"{rule.place.path!r}.",
                field="prefix",
                hint="Choose another prefix, or edit the rule that is there: two rules never share one place.",
            )


def _check_prefix(prefix: str) -> None:
    if not prefix:
        return
    hint = "Leave it empty for the bucket's root, or write a path that ends in `/`, such as `redis/prod/`."
    if not _PREFIX.fullmatch(prefix):
        raise InvalidRequest(
            f"The prefix {prefix[:80]!r} has characters that do not belong in a key.",
            field="prefix",
            hint=hint,
        )
    if len(prefix) > LONGEST_PREFIX:
        raise InvalidRequest(f"The prefix is longer than {LONGEST_PREFIX} bytes.", field="prefix", hint=hint)
    if not prefix.endswith("/") or prefix.startswith("/"):
        raise InvalidRequest(f"The prefix {prefix!r} must end in `/` and not begin with it.", field="prefix", hint=hint)
    if any(part in ("", ".", "..") for part in prefix[:-1].split("/")):
        raise InvalidRequest(f"The prefix {prefix!r} has an empty, `.` or `..` part.", field="prefix", hint=hint)
