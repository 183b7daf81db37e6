"""A rule: what to protect, when, and where the copies go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest, PlaceTaken, not_a_name
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.retention import KEEP_EVERYTHING, OutgoingRetention, Retention
from rdbkeeper.domain.source import (
    LIVE_PROVIDER,
    NO_ACCESS,
    SourceAccess,
    check_access,
    check_provider,
    how_to_name,
)
from rdbkeeper.domain.vault import DEFAULT_VAULT, TRIAL_PREFIX, check_vault_name

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# ElastiCache: 1 to 40 letters, digits and hyphens, the first a letter (CreateReplicationGroup, API reference).
_INSTANCE = re.compile(r"[a-z](?:-?[a-z0-9]){0,39}")
# "CreateRole" in the IAM API reference. Only the name: an account's number is nobody's business in a rule.
_ROLE = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
# The characters that the Amazon S3 user guide calls safe in keys.
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]+")
LONGEST_INSTANCE = 40
MOST_FORMER_PLACES = 10
MOST_AUDIT_DAYS = 3650
MOST_BANDWIDTH_MBPS = 100_000  # what the fastest connections of the cloud's machines carry; 0 is no cap at all
LONGEST_REQUEST = timedelta(minutes=15)  # "Lambda quotas": an invocation
LONGEST_PREFIX = 512  # bytes; keys are at most 1,024, and a copy's own part of the key needs up to 200


class RuleState(StrEnum):
    """What its owner wants of the rule, and whether the fleet has followed yet."""

    CREATING = "creating"
    ACTIVE = "active"
    PAUSED = "paused"
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

    def as_text(self, vault: str) -> str:
        """The place as one writes it who keeps copies in that vault: its path, after `VAULT:` in another one."""
        return self.path if self.vault == vault else f"{self.vault}:{self.path}"

    @classmethod
    def from_text(cls, text: str, vault: str) -> Place:
        """The place that `as_text` wrote down; neither names of vaults nor paths hold a colon."""
        other, colon, path = text.partition(":")
        return cls(other, path) if colon else cls(vault, text)


@dataclass(frozen=True)
class Rule:
    """One rule. Raises InvalidRequest, naming the field, when made from values that are not a rule.

    `role` is the name of a role of its own, "" for the stack's. `bandwidth_mbps` caps a run's copying, in megabits
    (1,000,000 bits) a second over all of its sandboxes; 0 is no cap. `watched_since` is from when on it can be overdue:
    when it was made, resumed, or pointed at another instance or place; None, which becomes `created_at`, when it was
    made. `former_places` are where its copies lay before edits, the last one last. With `has_former_copies` those of
    another instance, at which it pointed before, lie in its place.
    """

    name: str
    provider: str
    instance: str
    cycle: Cycle
    created_at: datetime
    vault: str = DEFAULT_VAULT
    prefix: str = ""
    role: str = ""
    bandwidth_mbps: int = 0
    retention: Retention = KEEP_EVERYTHING
    outgoing: tuple[OutgoingRetention, ...] = ()
    audit_every_days: int = 0
    access: SourceAccess = NO_ACCESS
    backup_first: BackupFirst | None = None
    state: RuleState = RuleState.CREATING
    revision: int = 1
    watched_since: datetime | None = None
    former_places: tuple[Place, ...] = ()
    has_former_copies: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        check_provider(self.provider)
        check_access(self.provider, self.access)
        if self.is_live and self.backup_first is not None:
            raise InvalidRequest(
                f"A rule for {LIVE_PROVIDER} has no backups to ask for: each of its runs takes one of its own.",
                field="backup_first",
                hint='Send `"backup_first": false` with it.',
            )
        check_instance_name(self.instance, "source.instance", self.provider)
        check_vault_name(self.vault, "vault")
        check_prefix(self.prefix)
        if self.place.path.startswith(TRIAL_PREFIX):
            raise InvalidRequest(
                f"Copies cannot be kept at {self.place.path[:80]!r}: probes of vaults write and remove there.",
                field="prefix",
                hint="Choose another prefix, such as `redis/`.",
            )
        if self.role and not _ROLE.fullmatch(self.role):
            hint = "Leave it out for the stack's own role, or write the name alone, without account and path."
            raise not_a_name(self.role, "role", "the name of an IAM role", hint)
        _check_bandwidth(self.bandwidth_mbps)
        if not 0 <= self.audit_every_days <= MOST_AUDIT_DAYS:
            raise InvalidRequest(
                "The days between audits are not a number that can be.",
                field="audit_every_days",
                hint=f"Write 1 to {MOST_AUDIT_DAYS}; 0 or nothing audits on request alone.",
            )
        if self.watched_since is None:
            object.__setattr__(self, "watched_since", self.created_at)

    def is_being_made(self, now: datetime) -> bool:
        """True while the request that makes the rule may still be going: none lasts longer than Lambda lets it."""
        return self.state is RuleState.CREATING and now - self.created_at < LONGEST_REQUEST

    @property
    def is_live(self) -> bool:
        """True for a server that is reached directly: it lists no backups, and each run takes one of its own."""
        return self.provider == LIVE_PROVIDER

    @property
    def takes_backups(self) -> bool:
        """True where each run has a backup of its own, whatever the provider's timing."""
        return self.is_live or self.backup_first is not None

    @property
    def place(self) -> Place:
        return Place(self.vault, f"{self.prefix}{self.instance}/")

    def retentions_in_force(self, now: datetime) -> tuple[Retention, ...]:
        """What keeps copies at that moment; a copy stays that any of these keeps."""
        return (self.retention, *(one.retention for one in self.outgoing if one.until > now))

    def counts_by_calendar(self, now: datetime) -> bool:
        """True while what keeps its copies depends on the cycle's time zone."""
        return any(one.counts_by_calendar for one in self.retentions_in_force(now))

    def as_record(self) -> dict[str, Any]:
        """The rule as plain data, the shape in which it is stored and answered."""
        return {
            "name": self.name,
            "source": {"provider": self.provider, "instance": self.instance, **self.access.as_record()},
            "cycle": self.cycle.as_record(),
            "vault": self.vault,
            "prefix": self.prefix,
            "role": self.role,
            "bandwidth_mbps": self.bandwidth_mbps,
            "retention": self.retention.as_record(),
            "outgoing_retentions": [one.as_record() for one in self.outgoing],
            "audit_every_days": self.audit_every_days,
            "backup_first": self.backup_first.as_record() if self.backup_first else None,
            "state": self.state.value,
            "revision": self.revision,
            "created_at": write_moment(self.created_at),
            "watched_since": write_moment(self.watched_since or self.created_at),
            "former_places": [place.as_text(self.vault) for place in self.former_places],
            "has_former_copies": self.has_former_copies,
        }

    def in_state(self, state: RuleState) -> Rule:
        """The rule at its next revision, in that state."""
        return replace(self, state=state, revision=self.revision + 1)

    def has_same_target(self, other: Rule) -> bool:
        """True when both protect the same instance at the same place."""
        is_same_instance = self.provider == other.provider and self.access.leads_to_same(other.access)
        return is_same_instance and self.place == other.place

    @property
    def has_moved(self) -> bool:
        """True once it was pointed at another instance or place."""
        return self.has_former_copies or bool(self.former_places)

    def is_same_wish(self, other: Rule) -> bool:
        """True when both say the same about what to protect, when, and where to; however far each has come."""
        return _wish(self) == _wish(other)

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
            role=record.get("role", ""),
            bandwidth_mbps=int(record.get("bandwidth_mbps", 0)),
            retention=Retention.from_record(record.get("retention", {})),
            outgoing=tuple(OutgoingRetention.from_record(one) for one in record.get("outgoing_retentions", ())),
            audit_every_days=int(record.get("audit_every_days", 0)),
            access=SourceAccess.from_record(record["source"]),
            backup_first=BackupFirst.from_record(record["backup_first"]) if record.get("backup_first") else None,
            state=RuleState(record["state"]),
            revision=int(record["revision"]),
            created_at=datetime.fromisoformat(record["created_at"]),
            watched_since=datetime.fromisoformat(record["watched_since"]) if "watched_since" in record else None,
            former_places=tuple(Place.from_text(text, record["vault"]) for text in record.get("former_places", ())),
            has_former_copies=record.get("has_former_copies", False),
        )


def _wish(rule: Rule) -> tuple[object, ...]:
    return (
        rule.name,
        rule.provider,
        rule.instance,
        rule.cycle,
        rule.vault,
        rule.prefix,
        rule.role,
        rule.bandwidth_mbps,
        rule.retention,
        rule.audit_every_days,
        rule.access,
        rule.backup_first,
    )


def check_name(name: str, field: str = "name") -> None:
    """Raise InvalidRequest, naming the field it stands in, unless `name` can be a rule's name."""
    if not _NAME.fullmatch(name):
        hint = "Begin with a lower-case letter; then up to 30 lower-case letters, digits and hyphens."
        raise not_a_name(name, field, "a rule's name", hint)


def check_instance_name(name: str, field: str, provider: str = "") -> None:
    """Raise InvalidRequest, naming the field it stands in, unless `name` can be an instance's; "" is any provider."""
    if len(name) > LONGEST_INSTANCE or not _INSTANCE.fullmatch(name):
        form = f"up to {LONGEST_INSTANCE} lower-case letters, digits and single hyphens, the first a letter."
        raise not_a_name(name, field, "the name of an instance", f"{how_to_name(provider)}: {form}")


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


def _check_bandwidth(bandwidth_mbps: int) -> None:
    if not 0 <= bandwidth_mbps <= MOST_BANDWIDTH_MBPS:
        raise InvalidRequest(
            f"A bandwidth of {bandwidth_mbps if abs(bandwidth_mbps) < 10**12 else 'so many'} Mbit/s is no cap.",
            field="bandwidth_mbps",
            hint=f"Write a whole number of megabits a second, 1 to {MOST_BANDWIDTH_MBPS}; 0 or nothing is no cap.",
        )


def check_prefix(prefix: str) -> None:
    """Raise InvalidRequest unless copies can lie below `prefix`: empty, or a path that ends in `/`."""
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
