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
    "a process outlived its execution",
    "an execution was stopped",
    "handed over",
    "process died",
    "spread over workers",
    "worker died",
)


def find_never(counts: Counter[str]) -> list[str]:
    """What never happened of what should, every kind of fault included."""
    wanted = (*EVENTS, *(f"fault: {kind.value}" for kind in Kind))
    return [what for what in wanted if not counts[what]]
