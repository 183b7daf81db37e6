"""Every error that rdbkeeper raises on purpose.

    RdbkeeperError
    ├── RequestError            answered to the person who asked; nothing was changed
    │   ├── InvalidRequest          a field is missing, unknown or not of its form
    │   ├── UnknownAction
    │   ├── RuleNotFound
    │   ├── NameTaken
    │   ├── PlaceTaken              another rule keeps its copies there
    │   ├── InstanceNotFound
    │   ├── BackupsDisabled
    │   ├── RuleBusy                the same rule is being changed by somebody else
    │   ├── RevisionStale           the rule was changed after it was read
    │   ├── RuleNotReady            the rule is still being made, or being deleted
    │   ├── RunIsGoing
    │   └── OutOfTime               not begun, because the rest of the request took too long
    ├── SourceError             the provider of the backups
    │   ├── SourceUnavailable       (a retry can help)
    │   ├── SourceDenied
    │   ├── SourceRefused           the provider says that this cannot be
    │   ├── BackupBusy              (a retry can help) the provider is working on this backup
    │   ├── BackupGone
    │   ├── ExportTimedOut
    │   └── StagedFileChanged
    ├── VaultError              the place where copies are kept
    │   ├── VaultUnavailable        (a retry can help)
    │   ├── VaultDenied
    │   ├── VaultRefused
    │   ├── ObjectExists            a create-only write found something there
    │   └── UploadGone
    ├── IntegrityError          the bytes are not what they should be
    │   ├── StreamCutShort          (a retry can help)
    │   ├── StreamTooLong           (a retry can help) more came than was asked for
    │   ├── NotAnRdbFile
    │   ├── EndMarkerMissing
    │   ├── ChecksumMismatch
    │   ├── FileMissing             a copy would lack one of its backup's files
    │   ├── StoreMismatch           the store holds other bytes than were sent
    │   └── ManifestUnreadable
    ├── FleetError              functions, schedules, log groups, alarms
    │   ├── FleetUnavailable        (a retry can help)
    │   ├── FleetDenied
    │   ├── FleetRefused
    │   └── NotOurs                 something of that name exists and lacks this stack's tag
    ├── TableError              rules and leases
    │   ├── TableUnavailable        (a retry can help)
    │   ├── TableDenied
    │   └── TableRefused
    ├── RunError
    │   ├── LeaseLost               another run has taken over; this one stops
    │   ├── RuleGone                the rule was deleted while its run was going
    │   ├── RuleChanged             the rule was pointed elsewhere while its run was going
    │   ├── LegNeverEnds            each invocation that tried it was killed
    │   ├── CopyTooSlow             a backup would not be copied before its run's time is over
    │   ├── WorkerDied              (a retry can help) a worker ended without an answer
    │   ├── WorkerDenied            the worker is gone, or must not be called
    │   ├── UnexpectedError         a defect: the log has the stack trace
    │   └── RunFailed               at least one backup failed
    └── SettingsError           the function's environment lacks something

The class name is the stable code. The message says what was tried, on what, and what happened; the hint says
what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class RdbkeeperError(Exception):
    """Something went wrong that a person should read about: a code, a sentence, a hint."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field

    @property
    def code(self) -> str:
        return type(self).__name__

    def as_record(self) -> dict[str, str]:
        """The error as plain data; `field` only where it points at one."""
        record = {"code": self.code, "message": self.message, "hint": self.hint}
        return {**record, "field": self.field} if self.field else record

    def as_answer(self) -> dict[str, str]:
        """The error as it is answered: with `field` always, "" where it points at none."""
        return {"field": "", **self.as_record()}

    def __str__(self) -> str:
        return f"{self.message} Hint: {self.hint}" if self.hint else self.message


class RequestError(RdbkeeperError):
    """A request that cannot be served; nothing was changed."""


class InvalidRequest(RequestError):
    """A field is missing, unknown, or not of its form."""


class UnknownAction(RequestError):
    """The request names an action that does not exist."""


class RuleNotFound(RequestError):
    """There is no rule of that name."""


class NameTaken(RequestError):
    """A rule of that name exists."""


class PlaceTaken(RequestError):
    """Another rule keeps its copies in, above or below that place."""


class InstanceNotFound(RequestError):
    """The provider has no such instance in this region."""


class BackupsDisabled(RequestError):
    """The instance makes no automatic backups."""


class RuleBusy(RequestError):
    """Somebody else is changing the rules at this moment."""


class RevisionStale(RequestError):
    """The rule was changed after it was read."""


class RuleNotReady(RequestError):
    """The rule is still being made, or being deleted."""


class RunIsGoing(RequestError):
    """A run of the rule is going."""


class OutOfTime(RequestError):
    """Not begun, because the rest of the request took too long."""


class SourceError(RdbkeeperError):
    """The provider of the backups did not do what was asked."""


class SourceUnavailable(SourceError):
    """The provider did not answer, or asked for a slower pace."""

    retryable = True


class SourceDenied(SourceError):
    """The provider refused for lack of permission."""


class SourceRefused(SourceError):
    """The provider says that this cannot be done."""


class BackupBusy(SourceError):
    """The provider is working on this backup."""

    retryable = True


class BackupGone(SourceError):
    """The backup or its staged file is no longer there."""


class ExportTimedOut(SourceError):
    """The export was asked for and never became readable."""


class StagedFileChanged(SourceError):
    """A staged file is no longer the one that was measured."""


class VaultError(RdbkeeperError):
    """The vault did not do what was asked."""


class VaultUnavailable(VaultError):
    """The vault did not answer, or asked for a slower pace."""

    retryable = True


class VaultDenied(VaultError):
    """The vault refused for lack of permission."""


class VaultRefused(VaultError):
    """The vault says that this cannot be done."""


class ObjectExists(VaultError):
    """A create-only write found an object of that key."""


class UploadGone(VaultError):
    """The multipart upload is no longer open."""


class IntegrityError(RdbkeeperError):
    """Bytes are not what they should be."""


class StreamCutShort(IntegrityError):
    """A stream ended before its declared length."""

    retryable = True


class StreamTooLong(IntegrityError):
    """A stream went on after its declared length."""

    retryable = True


class NotAnRdbFile(IntegrityError):
    """The file does not begin as an RDB file does."""


class EndMarkerMissing(IntegrityError):
    """The file does not end as an RDB file does."""


class ChecksumMismatch(IntegrityError):
    """The file's own CRC64 does not match its bytes."""


class FileMissing(IntegrityError):
    """A copy would lack one of its backup's files, or have one too many."""


class StoreMismatch(IntegrityError):
    """The store holds other bytes than were sent."""


class ManifestUnreadable(IntegrityError):
    """A manifest is there and cannot be read as one."""


class FleetError(RdbkeeperError):
    """A function, schedule, log group or alarm could not be made, read or removed."""


class FleetUnavailable(FleetError):
    """The service did not answer, or asked for a slower pace."""

    retryable = True


class FleetDenied(FleetError):
    """The service refused for lack of permission."""


class FleetRefused(FleetError):
    """The service says that this cannot be done."""


class NotOurs(FleetError):
    """Something of that name exists and lacks this stack's tag."""


class TableError(RdbkeeperError):
    """The rule table did not do what was asked."""


class TableUnavailable(TableError):
    """The table did not answer, or asked for a slower pace."""

    retryable = True


class TableDenied(TableError):
    """The table refused for lack of permission."""


class TableRefused(TableError):
    """The table says that this cannot be done."""


class RunError(RdbkeeperError):
    """A run of a rule cannot go on, or did not end well."""


class LeaseLost(RunError):
    """Another run has taken over."""


class RuleGone(RunError):
    """The rule was deleted while its run was going."""


class RuleChanged(RunError):
    """The rule was pointed at another instance or place while its run was going."""


class LegNeverEnds(RunError):
    """A leg has begun too often without ending."""


class CopyTooSlow(RunError):
    """At its speed, or within its rule's cap, a backup would not be copied before its run's time is over."""


class WorkerDied(RunError):
    """A worker of a run was begun and ended without an answer."""

    retryable = True


class WorkerDenied(RunError):
    """A run's worker could not be begun: it is gone, or the run's role must not call it."""


class UnexpectedError(RunError):
    """A defect in rdbkeeper."""


def unexpected(what: str, error: Exception) -> UnexpectedError:
    """The error for a defect that was met while doing `what`; its text names nothing that should stay hidden."""
    return UnexpectedError(
        f"{what} met an error that rdbkeeper does not know: {type(error).__name__}.",
        hint="This is a defect. The function's log has the stack trace; please report it.",
    )


class RunFailed(RunError):
    """At least one backup could not be copied."""


class SettingsError(RdbkeeperError):
    """The function's environment lacks something."""
