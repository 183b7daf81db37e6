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
    │   ├── OutOfTime               not begun, because the rest of the request took too long
    │   ├── VaultNotFound
    │   ├── VaultInUse              a rule keeps its copies there
    │   ├── BucketTaken             the bucket is another vault's, or is where exports are staged
    │   ├── CopyNotFound
    │   ├── CopyHeld                a person holds it, or somebody is restoring it
    │   ├── CopyLocked              its objects are locked by their store
    │   └── NotConfirmed            what would be removed is to be named twice
    ├── SourceError             the provider of the backups
    │   ├── SourceUnavailable       (a retry can help)
    │   ├── SourceDenied
    │   ├── SourceRefused           the provider says that this cannot be
    │   ├── BackupBusy              (a retry can help) the provider is working on this backup
    │   ├── BackupGone
    │   ├── ExportTimedOut
    │   ├── StagedFileChanged
    │   ├── NotExportable           data tiering, or a key that exports cannot have
    │   ├── BackupEncrypted
    │   ├── DownloadRestricted      the account lets nobody here download its backups
    │   ├── LinkRefused             a link leads to a host that keeps no backups
    │   ├── LinkMisanswered         an error page, or another range, in place of the file's bytes
    │   ├── BackupQuotaUsed         of manual backups, today
    │   ├── BackupNotMade           a backup on demand failed, or took too long
    │   ├── ServerLost              a server went away while it was read
    │   ├── ServerTooLarge          it would not be read in one invocation
    │   ├── SyncRefused             it lets nobody replicate from it
    │   └── KeyUndumpable
    ├── VaultError              the place where copies are kept
    │   ├── VaultUnavailable        (a retry can help)
    │   ├── VaultDenied
    │   ├── VaultRefused
    │   ├── VaultUnfit              its store lacks what keeping copies needs
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
    │   ├── CopyDamaged             a copy at rest no longer holds the bytes of its manifest
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
    │   ├── HookFailed              (a retry can help) what freezes or thaws writes
    │   │   ├── HookUnanswered      (a retry can help) it may still do what it was called for
    │   │   └── HookUncalled        (a retry can help) its call was refused: nothing was done
    │   │       └── HookMissing         there is no such function
    │   ├── ConsistencyMissed       less than the rule demands
    │   ├── UnexpectedError         a defect: the log has the stack trace
    │   └── RunFailed               at least one backup failed
    └── SettingsError           the function's environment lacks something

The class name is the stable code. The message says what was tried, on what, and what happened; the hint says
what to do about it.
"""

from __future__ import annotations

from rdbkeeper.domain.errors.base import (
    RdbkeeperError,
    SettingsError,
)
from rdbkeeper.domain.errors.fleet import (
    FleetDenied,
    FleetError,
    FleetRefused,
    FleetUnavailable,
    NotOurs,
)
from rdbkeeper.domain.errors.integrity import (
    ChecksumMismatch,
    CopyDamaged,
    EndMarkerMissing,
    FileMissing,
    IntegrityError,
    ManifestUnreadable,
    NotAnRdbFile,
    StoreMismatch,
    StreamCutShort,
    StreamTooLong,
)
from rdbkeeper.domain.errors.requests import (
    BackupsDisabled,
    BucketTaken,
    CopyHeld,
    CopyLocked,
    CopyNotFound,
    InstanceNotFound,
    InvalidRequest,
    NameTaken,
    NotConfirmed,
    OutOfTime,
    PlaceTaken,
    RequestError,
    RevisionStale,
    RuleBusy,
    RuleNotFound,
    RuleNotReady,
    RunIsGoing,
    UnknownAction,
    VaultInUse,
    VaultNotFound,
    is_address_or_arn,
    not_a_name,
)
from rdbkeeper.domain.errors.runs import (
    ConsistencyMissed,
    CopyTooSlow,
    HookFailed,
    HookMissing,
    HookUnanswered,
    HookUncalled,
    LeaseLost,
    LegNeverEnds,
    RuleChanged,
    RuleGone,
    RunError,
    RunFailed,
    UnexpectedError,
    WorkerDenied,
    WorkerDied,
    unexpected,
)
from rdbkeeper.domain.errors.sources import (
    BackupBusy,
    BackupEncrypted,
    BackupGone,
    BackupNotMade,
    BackupQuotaUsed,
    DownloadRestricted,
    ExportTimedOut,
    KeyUndumpable,
    LinkMisanswered,
    LinkRefused,
    NotExportable,
    ServerLost,
    ServerTooLarge,
    SourceDenied,
    SourceError,
    SourceRefused,
    SourceUnavailable,
    StagedFileChanged,
    SyncRefused,
)
from rdbkeeper.domain.errors.tables import (
    TableDenied,
    TableError,
    TableRefused,
    TableUnavailable,
)
from rdbkeeper.domain.errors.vaults import (
    ObjectExists,
    UploadGone,
    VaultDenied,
    VaultError,
    VaultRefused,
    VaultUnavailable,
    VaultUnfit,
)

__all__ = [
    "BackupBusy",
    "BackupEncrypted",
    "BackupGone",
    "BackupNotMade",
    "BackupQuotaUsed",
    "BackupsDisabled",
    "BucketTaken",
    "ChecksumMismatch",
    "ConsistencyMissed",
    "CopyDamaged",
    "CopyHeld",
    "CopyLocked",
    "CopyNotFound",
    "CopyTooSlow",
    "DownloadRestricted",
    "EndMarkerMissing",
    "ExportTimedOut",
    "FileMissing",
    "FleetDenied",
    "FleetError",
    "FleetRefused",
    "FleetUnavailable",
    "HookFailed",
    "HookMissing",
    "HookUnanswered",
    "HookUncalled",
    "InstanceNotFound",
    "IntegrityError",
    "InvalidRequest",
    "KeyUndumpable",
    "LeaseLost",
    "LegNeverEnds",
    "LinkMisanswered",
    "LinkRefused",
    "ManifestUnreadable",
    "NameTaken",
    "NotAnRdbFile",
    "NotConfirmed",
    "NotExportable",
    "NotOurs",
    "ObjectExists",
    "OutOfTime",
    "PlaceTaken",
    "RdbkeeperError",
    "RequestError",
    "RevisionStale",
    "RuleBusy",
    "RuleChanged",
    "RuleGone",
    "RuleNotFound",
    "RuleNotReady",
    "RunError",
    "RunFailed",
    "RunIsGoing",
    "ServerLost",
    "ServerTooLarge",
    "SettingsError",
    "SourceDenied",
    "SourceError",
    "SourceRefused",
    "SourceUnavailable",
    "StagedFileChanged",
    "StoreMismatch",
    "StreamCutShort",
    "StreamTooLong",
    "SyncRefused",
    "TableDenied",
    "TableError",
    "TableRefused",
    "TableUnavailable",
    "UnexpectedError",
    "UnknownAction",
    "UploadGone",
    "VaultDenied",
    "VaultError",
    "VaultInUse",
    "VaultNotFound",
    "VaultRefused",
    "VaultUnavailable",
    "VaultUnfit",
    "WorkerDenied",
    "WorkerDied",
    "is_address_or_arn",
    "not_a_name",
    "unexpected",
]
