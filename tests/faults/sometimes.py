"""What must have happened now and then, lest the harness tries nothing that matters."""

from __future__ import annotations

from collections import Counter

from tests.faults.fault import Kind

EVENTS = (
    "AnswerLost",
    "CatalogUnread",
    "CopiedAlone",
    "FragmentAdopted",
    "FragmentRemoved",
    "HandedOver",
    "LeaseCooling",
    "LeaseTakenOver",
    "NotHandedOver",
    "RuleGone",
    "RulePaused",
    "RunEndedEarly",
    "RunFailed",
    "RunIsGoing",
    "RunPostponed",
    "ShareFailed",
    "StagedFilesLeft",
    "TransferAbandoned",
    "UnexpectedError",
    "UploadAborted",
    "UploadLeft",
    "WillRetry",
    "CopyRemoved",
    "CopyRetained",
    "CopyDamaged",
    "CopyMended",
    "CopyAudited",
    "CopiesAudited",
    "CopyUnread",
    "RemovalFinished",
    "RemovalDropped",
    "RetentionWaits",
    "RetentionFailed",
    "RemovalFailed",
    "LockMissing",
    "LockMended",
    "StagedFileRemoved",
    "RecordLeft",
    "BackupMade",
    "BackupRequested",
    "FreezeFailed",
    "MadeBackupLeft",
    "MadeBackupRemoved",
    "MadeBackupStays",
    "ServerMeasured",
    "StreamRead",
    "WritesFrozen",
    "WritesStillFrozen",
    "WritesThawed",
    "the hourly look",
    "a process outlived its execution",
    "an execution was stopped",
    "handed over",
    "a request was refused: CopyHeld",
    "a request was refused: CopyLocked",
    "a request was refused: CopyNotFound",
    "process died",
    "spread over workers",
    "worker died",
)


def find_never(counts: Counter[str]) -> list[str]:
    """What never happened of what should, every kind of fault included."""
    wanted = (*EVENTS, *(f"fault: {kind.value}" for kind in Kind))
    return [what for what in wanted if not counts[what]]
