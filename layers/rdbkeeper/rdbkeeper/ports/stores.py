"""Where backups come from and where copies go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from rdbkeeper.domain.backup import Backup, Instance, StagedFile
from rdbkeeper.domain.catalog import Catalog, FoundObject
from rdbkeeper.domain.source import NO_ACCESS, SourceAccess
from rdbkeeper.domain.vault import Capabilities, LockState, VaultBinding
from rdbkeeper.ports.hooks import Hooks

if TYPE_CHECKING:  # it is made of what stands here
    from rdbkeeper.ports.live import LiveSource


class ByteStream(Protocol):
    """A stream of one range of a staged file or of an object; an end of it is not success, the right length is."""

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

    def count_backups(self, instances: Sequence[Instance]) -> dict[str, int]:
        """How many backups each instance has, by name, in any state; one listing for all of them."""

    def request_export(self, backup: Backup, attempt: str) -> None:
        """Ask that the backup's files be made readable. `attempt` names this wish; asking twice is asking once."""

    def find_staged_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...] | None:
        """The backup's files, in shard order, once every one can be read; None until then."""

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of a staged file; StagedFileChanged when its bytes are no longer those that were measured."""

    def discard_export(self, backup: Backup, attempt: str) -> None:
        """Remove what the export staged, by exact key. Nothing there is no error."""

    @property
    def backups_a_day(self) -> int | None:
        """How many manual backups of an instance the provider takes within 24 hours; None where nobody says."""

    def request_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> None:
        """Ask for a manual backup now, named and tagged so; asking twice is asking once.

        A lost answer counts as asked, where the provider would make a second backup of that name: the backup is then
        found, or never comes. Raises SourceUnavailable only where asking again does no harm, BackupQuotaUsed,
        BackupBusy while the instance must not be backed up, and the others of a SourceError.
        """

    def find_requested_backup(self, instance: Instance, name: str) -> Backup | None:
        """The backup that was asked for under that name, in whatever state; None while it is not listed."""

    def remove_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> bool:
        """Remove the manual backup of that name from the provider if it bears these tags; looks right before.

        False where it stays: it bears others, or the provider removes such backups by itself. One that is gone is no
        error.
        """

    def discard_leftovers(
        self, instance: Instance, rule_tag: str, keep_chain_tag: str, older_than: datetime
    ) -> list[str]:
        """Remove what a rule's earlier chains of runs staged of an instance before then; returns the files' names.

        An attempt's name begins with its rule's tag and then its chain's, 8 hexadecimal digits each; what was staged
        by the chain to keep stays, whatever its age, and so does all that no rule of ours staged.
        """


@dataclass(frozen=True)
class Upload:
    """One open multipart upload."""

    key: str
    upload_id: str


@dataclass(frozen=True)
class Part:
    """One part that the store took: its number from 1, the tag under which the store keeps it, and its sum."""

    number: int
    etag: str
    crc64nvme: int


@dataclass(frozen=True)
class StoredObject:
    """An object as the store describes it; `crc64nvme` is None where the store keeps none of the whole object."""

    size_bytes: int
    etag: str
    crc64nvme: int | None


@dataclass(frozen=True)
class Lock:
    """What keeps an object's version from being deleted: until when (aware UTC), or a legal hold without an end."""

    until: datetime | None = None
    is_legal_hold: bool = False

    def holds(self, now: datetime) -> bool:
        """True while the object must stay."""
        return self.is_legal_hold or (self.until is not None and self.until > now)


class Vault(Protocol):
    """A place for copies. Nothing in it is ever overwritten: every write creates or fails with ObjectExists.

    What its store does not honour by itself, as its capabilities tell, is looked at before and after instead.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the store honours, as its last probe saw it."""

    @property
    def lock_days(self) -> int:
        """For how many days copies are to be locked from when they were published; 0 locks nothing."""

    def catalog(self, path: str) -> Catalog:
        """The copies at a place and their marks, read from the names of objects; one list call per 1,000."""

    def folders(self, prefix: str) -> list[str]:
        """The prefixes one level below, each ending in `/`, in order; one list call per 1,000."""

    def find_objects(self, prefix: str) -> list[FoundObject]:
        """Every object whose key begins so, in the order of their keys; one list call per 1,000."""

    def find_object(self, key: str) -> StoredObject | None:
        """What lies under a key, or None."""

    def read_object(self, key: str) -> bytes:
        """A small object whole. Raises VaultRefused when there is none."""

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of the object whose tag is `etag`. StoreMismatch when it is another by now."""

    def create_object(self, key: str, body: bytes, content_type: str) -> None:
        """Write a small object whole, or raise ObjectExists."""

    def find_uploads(self, prefix: str, opened_before: datetime | None = None) -> list[Upload]:
        """The multipart uploads that are open for keys that begin so; those opened before a moment where it is given.

        None at all where the store cannot list them.
        """

    def open_upload(self, key: str) -> Upload:
        """Begin a multipart upload."""

    def put_part(self, upload: Upload, number: int, body: memoryview, crc64nvme: int) -> Part:
        """Store one part; putting it again puts the same part. UploadGone; VaultUnavailable when its sum disagrees."""

    def complete_upload(self, upload: Upload, parts: Sequence[Part], size_bytes: int, crc64nvme: int) -> None:
        """Make the object of its parts. ObjectExists, UploadGone; StoreMismatch when length or sum disagree."""

    def abort_upload(self, upload: Upload) -> None:
        """Give up an upload and its parts. One that is gone is no error."""

    def remove_object(self, key: str, etag: str) -> None:
        """Remove exactly the object of that key and tag. One that is gone is no error; another is a StoreMismatch.

        In a bucket with versions this hides even a locked object: read its lock first.
        """

    def find_lock(self, key: str) -> Lock | None:
        """What keeps the object from being deleted, or None. Raises VaultDenied when it must not be read."""

    def lock_object(self, key: str, until: datetime) -> None:
        """Lock an object until then, in the vault's mode. One that is locked for as long or longer stays as it is."""


@dataclass(frozen=True)
class ProbeFindings:
    """What a probe of a vault found: its bucket's region, what its store honours, and what its owner should know.

    `capabilities` is None where the probe was a light one, which tells how the bucket locks alone: `lock_state`, None
    where the store did not say.
    """

    region: str
    capabilities: Capabilities | None
    warnings: tuple[str, ...] = ()
    lock_state: LockState | None = None


class Adapters(Protocol):
    """Gives the adapters that a rule's own facts decide on."""

    def source(self, provider: str, access: SourceAccess = NO_ACCESS, longest_call_s: float | None = None) -> Source:
        """The source for a provider that lists backups; what reads its secret is the first call to it.

        With `longest_call_s` each of its calls is made once, and given up when it has taken so long.
        """

    def live_source(self, access: SourceAccess) -> LiveSource:
        """The source for a server that is reached directly; what reads its secret is the first call to it."""

    @property
    def hooks(self) -> Hooks:
        """What calls the owner's functions."""

    def vault(self, name: str) -> Vault:
        """The registered vault of that name. Raises VaultNotFound."""

    def open_vault(self, binding: VaultBinding, capabilities: Capabilities) -> Vault:
        """A vault that is not registered yet, whose store was seen to honour that."""

    def probe_vault(self, binding: VaultBinding, *, closely: bool) -> ProbeFindings:
        """Find out whether a vault, registered or not, can be used, and `closely` also what its store honours.

        Answers within LIGHT_PROBE_S or CLOSE_PROBE_S, and leaves nothing behind: what it could not remove because the
        store fell silent, a later one removes. Raises VaultError for what keeps the vault from being
        used, InvalidRequest for an endpoint that must not be reached.
        """
