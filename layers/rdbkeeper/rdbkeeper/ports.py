"""What the flows need of the world.

Each port has one contract suite that the real adapter and a strict in-memory one both pass (tests/contract).

Every method raises the errors of its own family (SourceError, VaultError, TableError, FleetError) or those that its
docstring names, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rdbkeeper.domain.backup import Backup, Instance, StagedFile
from rdbkeeper.domain.copy import CatalogEntry
from rdbkeeper.domain.rule import Rule

Record = dict[str, Any]
"""Plain data that JSON can carry: what a step hands back to the engine."""


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime:
        """The moment, aware UTC."""

    def monotonic(self) -> float:
        """Seconds that only ever grow, for durations."""


class Journal(Protocol):
    """The rule's history, as the console's log viewer shows it."""

    def bind(self, **keys: str) -> Journal:
        """A journal whose every line also carries `keys`."""

    def info(self, event: str, message: str, **fields: Any) -> None:
        """Log what happened: a stable event code, a sentence, and its figures."""

    def warning(self, event: str, message: str, **fields: Any) -> None:
        """Log what was skipped, repaired or adopted."""

    def error(self, event: str, message: str, **fields: Any) -> None:
        """Log what failed."""

    def exception(self, event: str, message: str, **fields: Any) -> None:
        """Log a defect with the stack trace of the exception being handled."""


class ByteStream(Protocol):
    """A stream of one range of one staged file; an end of it is not success, the right length is."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of `buffer`; returns how many bytes, 0 at the end of the stream."""

    def close(self) -> None:
        """Let go of the connection."""


class Source(Protocol):
    """Lists an instance's backups and opens their files."""

    def instances(self) -> Iterator[Instance]:
        """Every instance of the region."""

    def find_instance(self, name: str) -> Instance | None:
        """The instance of that name, or None."""

    def backups(self, instance: Instance) -> list[Backup]:
        """Every backup of the instance, automatic and manual, in any state."""

    def request_export(self, backup: Backup, attempt: str) -> None:
        """Ask that the backup's files be made readable. `attempt` names this wish; asking twice is asking once."""

    def find_staged_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...] | None:
        """The backup's files, in shard order, once every one can be read; None until then."""

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of a staged file; StagedFileChanged when its bytes are no longer those that were measured."""

    def discard_export(self, backup: Backup, attempt: str) -> None:
        """Remove what the export staged, by exact key. Nothing there is no error."""


@dataclass(frozen=True)
class Upload:
    """One open multipart upload."""

    key: str
    upload_id: str


@dataclass(frozen=True)
class Part:
    """One part that the store took: its number from 1, and the tag under which the store keeps it."""

    number: int
    etag: str
    crc64nvme: int


@dataclass(frozen=True)
class StoredObject:
    """An object as the store describes it; `crc64nvme` is None where the store keeps none of the whole object."""

    size_bytes: int
    etag: str
    crc64nvme: int | None


class Vault(Protocol):
    """A place for copies. Nothing in it is ever overwritten: every write creates or fails with ObjectExists."""

    def catalog(self, path: str) -> list[CatalogEntry]:
        """The copies at a place, read from the names of their manifests; one list call per 1,000."""

    def find_object(self, key: str) -> StoredObject | None:
        """What lies under a key, or None."""

    def read_object(self, key: str) -> bytes:
        """A small object whole. Raises VaultRefused when there is none."""

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of the object whose tag is `etag`. StoreMismatch when it is another by now."""

    def create_object(self, key: str, body: bytes, content_type: str) -> None:
        """Write a small object whole, or raise ObjectExists."""

    def find_uploads(self, key: str) -> list[Upload]:
        """The multipart uploads that are open for exactly this key."""

    def open_upload(self, key: str) -> Upload:
        """Begin a multipart upload."""

    def put_part(self, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        """Store one part; putting it again puts the same part. UploadGone; StoreMismatch when its sum disagrees."""

    def complete_upload(self, upload: Upload, parts: Sequence[Part], size_bytes: int, crc64nvme: int) -> None:
        """Make the object of its parts. ObjectExists, UploadGone; StoreMismatch when length or sum disagree."""

    def abort_upload(self, upload: Upload) -> None:
        """Give up an upload and its parts. One that is gone is no error."""

    def remove_object(self, key: str, etag: str) -> None:
        """Remove exactly the object of that key and tag. One that is gone is no error; another is a StoreMismatch."""


class RuleTable(Protocol):
    """Rules, leases, the uploads that runs have open, and the legs that they have begun."""

    def find_rule(self, name: str) -> Rule | None:
        """The rule of that name, read consistently, or None."""

    def rules(self) -> list[Rule]:
        """Every rule, read consistently, by name."""

    def registry_revision(self) -> int:
        """A number that grows with each created rule; pass it to `create_rule`."""

    def create_rule(self, rule: Rule, registry_revision: int) -> None:
        """Add a rule if its name is free (NameTaken) and no rule was added since the revision (RuleBusy)."""

    def replace_rule(self, rule: Rule, revision: int) -> None:
        """Put `rule` in place of the one of its name at `revision`. RuleBusy when that is not what is there."""

    def remove_rule(self, name: str) -> None:
        """Remove a rule with its lease. One that is gone is no error."""

    def find_lease_owner(self, rule: str) -> str | None:
        """The execution that holds the rule's lease, or None."""

    def take_lease(self, rule: str, owner: str, instead_of: str | None, now: datetime) -> bool:
        """Take the lease if it is free, already `owner`'s, or held by `instead_of`; False when it is another's."""

    def renew_lease(self, rule: str, owner: str, now: datetime) -> None:
        """Note that the owner is alive. Raises LeaseLost when the lease is no longer its own."""

    def free_lease(self, rule: str, owner: str) -> None:
        """Let go of the lease. One that is another's stays as it is."""

    def remember_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        """Record uploads that are open, so that somebody can give them up when this run cannot."""

    def remembered_uploads(self, rule: str) -> list[Upload]:
        """The uploads on record."""

    def forget_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        """Strike uploads off the record."""

    def count_attempt(self, rule: str, transfer: str, leg: int) -> int:
        """Note that a leg of a transfer begins; returns how often this leg of it has begun."""

    def forget_attempts(self, rule: str, transfer: str) -> None:
        """Strike a transfer's attempts off the record."""


@dataclass(frozen=True)
class Provisioned:
    """What was made for a rule."""

    function_name: str
    version: str
    log_group: str
    schedules: tuple[str, ...]

    def as_record(self) -> Record:
        return {
            "function": self.function_name,
            "version": self.version,
            "log_group": self.log_group,
            "schedules": list(self.schedules),
        }


class Fleet(Protocol):
    """The functions, schedules and log groups of the rules."""

    def check(self, rule: Rule) -> None:
        """Raise InvalidRequest or NotOurs when this rule's function cannot be made under its name."""

    def provision(self, rule: Rule) -> Provisioned:
        """Make the rule's log group, function, version, alias and schedules; what is there and ours is kept."""

    def remove_schedules(self, rule_name: str) -> None:
        """Remove the rule's schedules. Those that are gone are no error."""

    def stop_runs(self, rule_name: str) -> int:
        """Stop the rule's executions that are going; returns how many. Raises NotOurs."""

    def remove_function(self, rule_name: str) -> None:
        """Remove the rule's function with its versions; its log group stays.

        One that is gone is no error. Raises NotOurs when the function of that name is somebody else's.
        """


class Executions(Protocol):
    """Knows whether an execution is still going."""

    def has_ended(self, execution: str) -> bool:
        """True when the execution has ended, whatever its end, or is unknown by now."""


@dataclass(frozen=True)
class Poll:
    """How to wait: seconds between two looks at first, growing up to the longest."""

    first_s: int
    longest_s: int


class Engine(Protocol):
    """Runs steps once each, remembers their results, and waits without running.

    What stands between the steps must be a pure function of their results: after a crash it is replayed.
    """

    @property
    def execution(self) -> str:
        """The name by which this execution is known to the world, the owner of its lease."""

    def step(self, name: str, do: Callable[[], Record]) -> Record:
        """Do something once and remember its result; retried where the error says that this can help.

        Raises the RdbkeeperError that `do` raised when retries are over or of no use.
        """

    def wait_until(self, name: str, look: Callable[[], Record | None], poll: Poll) -> Record:
        """Look again and again, without running in between, until there is a result. Raises what `look` raised."""

    def renew_invocation(self, name: str) -> None:
        """Go on in a fresh invocation, with all of its time."""

    def seconds_left(self) -> float:
        """How long this invocation may still run."""


class Adapters(Protocol):
    """Gives the adapters that a rule's own facts decide on."""

    def source(self, provider: str) -> Source:
        """The source for a provider."""

    def vault(self, name: str) -> Vault:
        """The vault of that name."""
