"""A vault as it is registered: a bucket, how it is reached, how objects are put, and what its store was seen to honour.

What a store honours is never assumed of an endpoint that is not Amazon S3: a probe finds it out and it is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from rdbkeeper.domain.endpoint import host_of, is_endpoint
from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.moments import write_moment

DEFAULT_VAULT = "default"
TRIAL_PREFIX = "rdbkeeper-probe/"  # what is left there is removed by later probes
SECRET_PREFIX = "rdbkeeper/"  # noqa: S105 - a name's beginning, no secret: the template lets functions read secrets of such names alone
# Of those in "Using Amazon S3 storage classes", the ones whose objects can be read at once: a copy that has to be
# thawed for hours first could be neither audited nor restored by its rule.
STORAGE_CLASSES = ("STANDARD", "INTELLIGENT_TIERING", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR")
LONGEST_LOCK_DAYS = 3650
# A probe that is not done by then ends as if the store had not answered.
LIGHT_PROBE_S = 60.0
CLOSE_PROBE_S = 120.0
MOST_TAGS = 10  # "Categorizing your storage using tags"
LONGEST_NOTE = 500

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# "General purpose bucket naming rules"; S3-compatible stores allow no more. Dots are left out: TLS certificates do not
# cover them in virtual-hosted addresses.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_ROLE = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}")  # "AssumeRole", STS API reference
_SECRET = re.compile(r"rdbkeeper/[A-Za-z0-9/_+=.@-]{1,400}")
_KEY = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]{1,256}")
_TAG = re.compile(r"[\w\s.:/=+@-]*")


class Addressing(StrEnum):
    """Whether a bucket's name is part of the host's name or of the path."""

    VIRTUAL = "virtual"
    PATH = "path"


class LockMode(StrEnum):
    """How firmly an object is locked ("Locking objects with Object Lock")."""

    GOVERNANCE = "GOVERNANCE"
    COMPLIANCE = "COMPLIANCE"


class StoreSum(StrEnum):
    """The best sum of a whole object that a store checks and tells."""

    CRC64NVME = "crc64nvme"
    PART_MD5 = "part md5"  # Content-MD5 of each part is checked; the object's tag is the MD5 of those
    NONE = "none"


@dataclass(frozen=True)
class LockState:
    """Whether a bucket can lock, and for how many days it locks whatever is put into it."""

    is_enabled: bool = False
    default_days: int = 0


@dataclass(frozen=True)
class Capabilities:
    """What a store honours, as a probe saw it. What it does not is looked at before and after instead.

    `default_lock_days` is for how long the bucket itself locks whatever is put into it; 0 where it does not.
    """

    sum: StoreSum = StoreSum.CRC64NVME
    conditional_create: bool = True
    conditional_complete: bool = True
    conditional_delete: bool = True
    conditional_read: bool = True
    lists_uploads: bool = True
    locks: bool = False
    keeps_versions: bool = True
    default_lock_days: int = 0

    @property
    def lock_state(self) -> LockState:
        """How the bucket locks."""
        return LockState(self.locks, self.default_lock_days)

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "sum": self.sum.value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Capabilities:
        """What `as_record` wrote down, by this version or by an earlier one, which knew less."""
        days = int(record.get("default_lock_days", 0))
        return cls(**{**record, "sum": StoreSum(record["sum"]), "default_lock_days": days})


@dataclass(frozen=True)
class VaultOptions:
    """How objects are put. `lock_days` is from when a copy was published; 0 locks nothing. `tags` are sorted pairs."""

    kms_key: str = field(default="", repr=False)
    storage_class: str = "STANDARD"
    lock_mode: LockMode = LockMode.GOVERNANCE
    lock_days: int = 0
    tags: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.kms_key and not _KEY.fullmatch(self.kms_key):
            _refuse("kms_key", f"{self.kms_key[:80]!r} is not the ARN of a KMS key or alias.", "Write its whole ARN.")
        if self.storage_class not in STORAGE_CLASSES:
            _refuse(
                "storage_class",
                f"The storage class {self.storage_class[:80]!r} cannot be used.",
                f"Use {', '.join(STORAGE_CLASSES)}: what has to be thawed first can be neither audited nor restored. "
                "For colder ones set a lifecycle rule on the bucket.",
            )
        if not 0 <= self.lock_days <= LONGEST_LOCK_DAYS:
            _refuse("lock_days", f"A lock of {self.lock_days} days cannot be.", f"Write 0 to {LONGEST_LOCK_DAYS}.")
        _check_tags(self.tags)

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "lock_mode": self.lock_mode.value, "tags": dict(self.tags)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> VaultOptions:
        tags = tuple(sorted((str(key), str(value)) for key, value in record["tags"].items()))
        values = {**record, "lock_mode": LockMode(record["lock_mode"]), "lock_days": int(record["lock_days"])}
        return cls(**{**values, "tags": tags})


@dataclass(frozen=True)
class VaultBinding:
    """One registered vault. Raises InvalidRequest, naming the field, when made from values that are none.

    `endpoint` is "" for Amazon S3; `role`, with its `external_id`, is assumed where the bucket is another account's;
    `secret` names the secret with the key pair, `{"access_key_id": …, "secret_access_key": …}`. `region` is "" until
    the store told it.
    """

    name: str
    bucket: str
    created_at: datetime
    region: str = ""
    role: str = field(default="", repr=False)
    external_id: str = field(default="", repr=False)
    endpoint: str = ""
    addressing: Addressing = Addressing.VIRTUAL
    secret: str = field(default="", repr=False)
    options: VaultOptions = field(default_factory=VaultOptions)
    note: str = ""
    revision: int = 1

    def __post_init__(self) -> None:
        check_vault_name(self.name)
        if not _BUCKET.fullmatch(self.bucket):
            _refuse(
                "bucket",
                f"{self.bucket[:80]!r} is not a bucket's name.",
                "3 to 63 lower-case letters, digits and hyphens.",
            )
        if self.region and not _REGION.fullmatch(self.region):
            _refuse("region", f"{self.region[:80]!r} is not a region.", "Leave it out to have it found.")
        if self.role and not _ROLE.fullmatch(self.role):
            _refuse("role", "The role is not the ARN of an IAM role.", "Write arn:aws:iam::ACCOUNT:role/NAME.")
        if self.external_id and not (self.role and _EXTERNAL_ID.fullmatch(self.external_id)):
            _refuse("external_id", "This is not an external id, or there is no role.", "It goes with a role alone.")
        if self.secret and not _SECRET.fullmatch(self.secret):
            _refuse(
                "secret",
                "This is not the name of a secret that rdbkeeper may read.",
                f"Keep the key pair in Secrets Manager under a name that begins with {SECRET_PREFIX}, and write that.",
            )
        _check_endpoint(self.endpoint)
        if self.endpoint and not self.secret:
            _refuse("secret", "An endpoint of its own needs a key pair.", "Name the secret that holds it.")
        if self.role and (self.endpoint or self.secret):
            _refuse("role", "A role is for Amazon S3 alone, and in place of a key pair.", "Leave one of them out.")
        if self.secret and not self.endpoint:
            _refuse("secret", "Amazon S3 is reached by this function's role or by one that it assumes.", "Name a role.")
        if len(self.note) > LONGEST_NOTE or not self.note.isprintable():
            _refuse("note", "The note is too long or not plain text.", f"At most {LONGEST_NOTE} characters in a line.")

    @property
    def is_amazon(self) -> bool:
        """True for a bucket of Amazon S3."""
        return not self.endpoint

    def has_same_bucket(self, other: VaultBinding) -> bool:
        """True when both are the same bucket of the same store. Amazon's buckets have one name space for all."""
        return (host_of(self.endpoint), self.bucket) == (host_of(other.endpoint), other.bucket)

    def as_record(self) -> dict[str, Any]:
        """The vault as plain data, the shape in which it is stored and answered."""
        return {
            "name": self.name,
            "bucket": self.bucket,
            "region": self.region,
            "role": self.role,
            "external_id": self.external_id,
            "endpoint": self.endpoint,
            "addressing": self.addressing.value,
            "secret": self.secret,
            "options": self.options.as_record(),
            "note": self.note,
            "revision": self.revision,
            "created_at": write_moment(self.created_at),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> VaultBinding:
        """The vault that `as_record` wrote down."""
        return cls(
            **{
                **record,
                "addressing": Addressing(record["addressing"]),
                "options": VaultOptions.from_record(record["options"]),
                "revision": int(record["revision"]),
                "created_at": datetime.fromisoformat(record["created_at"]),
            }
        )

    def is_same_wish(self, other: VaultBinding) -> bool:
        """True when both say the same, whenever they were made and changed. A region that was found counts for none."""
        return _wish(self, other.region) == _wish(other, self.region)


@dataclass(frozen=True)
class ProbeReport:
    """What a probe of a vault found. `problem` is an error's record (code, message, hint), None while it is available.

    `capabilities` are those that the last probe to get so far saw, None while none did. `examined_at` is when they
    were seen; a light probe only looks whether the vault can be used at all.
    """

    probed_at: datetime
    problem: Mapping[str, str] | None = None
    capabilities: Capabilities | None = None
    examined_at: datetime | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_available(self) -> bool:
        return self.problem is None

    def as_record(self) -> dict[str, Any]:
        """The report as plain data, the shape in which it is stored and answered."""
        return {
            "state": "available" if self.is_available else "offline",
            "probed_at": write_moment(self.probed_at),
            "problem": dict(self.problem) if self.problem else None,
            "capabilities": self.capabilities.as_record() if self.capabilities else None,
            "examined_at": write_moment(self.examined_at) if self.examined_at else None,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ProbeReport:
        """The report that `as_record` wrote down."""
        seen = record["capabilities"]
        return cls(
            probed_at=datetime.fromisoformat(record["probed_at"]),
            problem=record["problem"],
            capabilities=Capabilities.from_record(seen) if seen else None,
            examined_at=datetime.fromisoformat(record["examined_at"]) if record["examined_at"] else None,
            warnings=tuple(record["warnings"]),
        )


def find_lock_days(options: VaultOptions, seen: Capabilities | None) -> int:
    """For how many days copies are locked: as the vault says or as its bucket does by itself, whichever is longer.

    0 where the bucket was seen to lock nothing; where nothing was `seen` yet, what the vault says is believed.
    """
    if seen is None:
        return options.lock_days
    return max(options.lock_days, seen.default_lock_days) if seen.locks else 0


def check_vault_name(name: str, field: str = "name") -> None:
    """Raise InvalidRequest unless `name` can be a vault's name."""
    if not _NAME.fullmatch(name):
        _refuse(
            field,
            f"{name[:80]!r} is not a vault's name.",
            "Begin with a lower-case letter; then up to 30 lower-case letters, digits and hyphens.",
        )


def _wish(binding: VaultBinding, region: str) -> VaultBinding:
    return replace(
        binding, region=binding.region or region, revision=1, created_at=binding.created_at.min.replace(tzinfo=None)
    )


def _check_endpoint(endpoint: str) -> None:
    if endpoint and not is_endpoint(endpoint):
        _refuse("endpoint", "This is not the address of a store.", "Write https://HOST or https://HOST:PORT.")


def _check_tags(tags: tuple[tuple[str, str], ...]) -> None:
    if len(tags) > MOST_TAGS:
        _refuse("tags", f"There are {len(tags)} tags.", f"An object has at most {MOST_TAGS}.")
    for key, value in tags:
        if not (1 <= len(key) <= 128 and len(value) <= 256 and _TAG.fullmatch(key) and _TAG.fullmatch(value)):
            _refuse("tags", f"{key[:40]!r} cannot be a tag.", "Use letters, digits, blanks and . : / = + @ - _")
        if key.lower().startswith("aws:"):
            _refuse("tags", "Tags that begin with aws: are AWS's own.", "Choose another name.")


def _refuse(field: str, message: str, hint: str) -> None:
    raise InvalidRequest(message, field=field, hint=hint)
