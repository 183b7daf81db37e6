"""Faults as data: at which call, of what kind; and which kinds can befall which call."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Kind(StrEnum):
    """What happens at one call."""

    # The service, before it has done anything or after it has done it all. One `unavailable` stands for throttling,
    # an answer of 5xx, a time-out and a part that was damaged on its way: the adapters make the same error of them.
    UNAVAILABLE = "unavailable"
    UNAVAILABLE_LONG = "unavailable for a while"
    ANSWER_LOST = "answer lost"
    SENT_TWICE = "answer lost and sent again by the SDK"
    OUTAGE = "outage from here on"
    DENIED = "denied once"
    DENIED_ON = "denied from here on"
    REFUSED = "refused"
    DEFECT = "an error that nobody knows"
    SHORT_LIST = "a list without its newest entry"
    EMPTY_LIST = "a list without any entry"
    SLOW = "slow"

    # Answers of their own
    DONE_BUT_GONE = "done, answered as gone"
    DONE_BUT_EXISTS = "done, answered as existing"
    UPLOAD_GONE = "the upload is gone, and nothing was done"
    CONFLICT = "another write is going"
    DAMAGED_ON_THE_WAY = "its sum does not agree"
    BUSY = "the provider is busy with the backup"
    GONE = "the backup is gone"
    CHANGED = "the staged file is another one"
    NOT_YET = "not ready yet"
    UNSEEN = "not listed yet"
    QUOTA_USED = "the provider takes no more today"

    # Streams
    RESET_FIRST = "reset at its first byte"
    RESET_MIDWAY = "reset midway"
    RESET_LAST = "reset before its last byte"
    CUT_FIRST = "ends at once"
    CUT_MIDWAY = "ends midway"
    CUT_LAST = "ends before its last byte"
    EXTRA = "one byte too many"
    EXTRA_MANY = "many bytes too many"
    FLIP_FIRST = "a flipped bit at its beginning"
    FLIP_MIDWAY = "a flipped bit midway"
    FLIP_LAST = "a flipped bit at its end"
    GONE_MIDWAY = "gone midway"
    DRIP = "byte by byte"
    SLOW_STREAM = "very slow"

    # The process
    CRASH_BEFORE = "dies before"
    CRASH_AFTER = "dies after"
    STALLED = "frozen until its time is over"
    STOPPED_BEFORE = "execution stopped before"
    STOPPED_AFTER = "execution stopped after"

    # Others
    TIMER_AGAIN = "the timer fires again"
    HOURLY_LOOK = "the hourly look comes by"
    HOOKS_CHANGED = "a person has other functions called"
    RULE_DELETED = "a person deletes the rule"
    RULE_MOVED = "a person points the rule at another place"
    RULE_PAUSED = "a person pauses the rule"
    BACKUP_VANISHES = "the newest backup vanishes"
    INSTANCE_VANISHES = "the instance vanishes"
    BACKUP_ARRIVES = "a backup arrives"
    STAGED_FILES_TAKEN = "a person removes the staged files"
    UPLOADS_ABORTED = "a person gives up all uploads"
    DATA_TAKEN = "a person removes data without a manifest"
    COPY_TAKEN = "a person removes a whole copy"

    # Others, about copies at rest
    COPY_HELD = "a person holds the oldest copy"
    COPY_RELEASED = "a person lets go of a held copy"
    COPY_DELETED = "a person has the newest copy deleted"
    OLD_COPY_DELETED = "a person has the oldest copy deleted"
    DELETION_CUT_OFF = "a person's deletion of a copy is cut off"
    HOLD_CUT_OFF = "a person's hold of a copy is cut off"
    RETENTION_WIDENED = "a person has the rule keep everything"
    RETENTION_NARROWED = "a person has the rule keep one copy"
    KEEPER_TAKEN = "the data of the newest copy are removed by hand"
    KEEPER_DAMAGED = "a bit of the newest copy's data turns"
    MANIFEST_TAKEN = "the oldest manifest is removed by hand"
    PLACE_CLAIMED = "another stack takes the place over"
    OTHERS_UPLOAD = "another stack opens an upload in the same place"


MUTATING = frozenset(
    {
        "source.request_export",
        "source.discard_export",
        "source.discard_leftovers",
        "source.request_backup",
        "source.remove_backup",
        "hooks.call",
        "vault.create_object",
        "vault.open_upload",
        "vault.put_part",
        "vault.complete_upload",
        "vault.abort_upload",
        "vault.remove_object",
        "vault.lock_object",
        "rules.record_block",
        "runs.take_lease",
        "runs.renew_lease",
        "runs.free_lease",
        "runs.record_run",
        "runs.remember_uploads",
        "runs.forget_uploads",
        "runs.count_attempt",
        "runs.forget_attempts",
        "runs.forget_all_attempts",
        "runs.record_freeze",
        "runs.forget_freeze",
        "runs.record_made_backup",
        "runs.forget_made_backup",
        "runs.record_check",
        "runs.forget_checks",
        "executions.start_successor",
    }
)
# A listing of exact keys is never made to lie: removals rest on it, and every store that is fit keeps it consistent.
LISTS = frozenset({"source.backups", "vault.catalog", "vault.find_uploads", "runs.remembered_uploads"})
STREAMS = frozenset({"source.open_range", "vault.open_range"})
LIVE_STREAM = "live.open_stream"
CALLS_ON_DEMAND = frozenset(
    {
        "source.request_backup",
        "source.find_requested_backup",
        "source.remove_backup",
        "hooks.call",
        "runs.record_freeze",
        "runs.find_freeze",
        "runs.forget_freeze",
        "runs.record_made_backup",
        "runs.made_backups",
        "runs.forget_made_backup",
    }
)

_ANY_CALL = (
    Kind.UNAVAILABLE,
    Kind.UNAVAILABLE_LONG,
    Kind.OUTAGE,
    Kind.DENIED,
    Kind.DENIED_ON,
    Kind.REFUSED,
    Kind.DEFECT,
    Kind.SLOW,
    Kind.CRASH_BEFORE,
    Kind.STALLED,
    Kind.STOPPED_BEFORE,
    Kind.TIMER_AGAIN,
)
_ANY_WRITE = (Kind.ANSWER_LOST, Kind.SENT_TWICE, Kind.CRASH_AFTER, Kind.STOPPED_AFTER)
_ANY_STREAM = (
    Kind.RESET_FIRST,
    Kind.RESET_MIDWAY,
    Kind.RESET_LAST,
    Kind.CUT_FIRST,
    Kind.CUT_MIDWAY,
    Kind.CUT_LAST,
    Kind.EXTRA,
    Kind.EXTRA_MANY,
    Kind.FLIP_FIRST,
    Kind.FLIP_MIDWAY,
    Kind.FLIP_LAST,
    Kind.GONE_MIDWAY,
    Kind.DRIP,
    Kind.SLOW_STREAM,
)
_OF_THEIR_OWN = {
    "vault.complete_upload": (
        Kind.DONE_BUT_GONE,
        Kind.DONE_BUT_EXISTS,
        Kind.UPLOAD_GONE,
        Kind.CONFLICT,
        Kind.DAMAGED_ON_THE_WAY,
    ),
    "vault.create_object": (Kind.DAMAGED_ON_THE_WAY,),
    "source.request_export": (Kind.BUSY, Kind.GONE),
    "source.find_staged_files": (Kind.BUSY, Kind.GONE, Kind.NOT_YET),
    "source.open_range": (Kind.GONE, Kind.CHANGED),
    "source.request_backup": (Kind.BUSY, Kind.QUOTA_USED),
    "source.find_requested_backup": (Kind.UNSEEN,),
    LIVE_STREAM: (
        Kind.RESET_FIRST,
        Kind.RESET_MIDWAY,
        Kind.RESET_LAST,
        Kind.CUT_FIRST,
        Kind.CUT_MIDWAY,
        Kind.CUT_LAST,
        Kind.EXTRA,
        Kind.FLIP_FIRST,
        Kind.FLIP_MIDWAY,
        Kind.FLIP_LAST,
        Kind.DRIP,
        Kind.SLOW_STREAM,
    ),
}
EVENTS = (
    Kind.RULE_DELETED,
    Kind.RULE_MOVED,
    Kind.RULE_PAUSED,
    Kind.BACKUP_VANISHES,
    Kind.INSTANCE_VANISHES,
    Kind.BACKUP_ARRIVES,
    Kind.STAGED_FILES_TAKEN,
    Kind.UPLOADS_ABORTED,
    Kind.DATA_TAKEN,
    Kind.COPY_TAKEN,
)
# What people and accidents do to copies that lie there; tried where some do.
EVENTS_AT_REST = (
    Kind.COPY_HELD,
    Kind.COPY_RELEASED,
    Kind.COPY_DELETED,
    Kind.OLD_COPY_DELETED,
    Kind.DELETION_CUT_OFF,
    Kind.HOLD_CUT_OFF,
    Kind.RETENTION_WIDENED,
    Kind.RETENTION_NARROWED,
    Kind.KEEPER_TAKEN,
    Kind.KEEPER_DAMAGED,
    Kind.MANIFEST_TAKEN,
    Kind.PLACE_CLAIMED,
    Kind.OTHERS_UPLOAD,
)
# What comes between the calls of a run that has a backup made.
EVENTS_ON_DEMAND = (Kind.HOURLY_LOOK, Kind.HOOKS_CHANGED)
ALL_EVENTS = frozenset((*EVENTS, *EVENTS_AT_REST, *EVENTS_ON_DEMAND))

# What a run gets over by itself: everything is copied without waiting for the next fire.
PASSING = frozenset(
    {
        Kind.UNAVAILABLE,
        Kind.ANSWER_LOST,
        Kind.SENT_TWICE,
        Kind.SLOW,
        Kind.DONE_BUT_GONE,
        Kind.DONE_BUT_EXISTS,
        Kind.NOT_YET,
        Kind.UNSEEN,
        Kind.CONFLICT,
        Kind.RESET_FIRST,
        Kind.RESET_MIDWAY,
        Kind.RESET_LAST,
        Kind.CUT_FIRST,
        Kind.CUT_MIDWAY,
        Kind.CUT_LAST,
        Kind.EXTRA,
        Kind.EXTRA_MANY,
        Kind.DRIP,
        Kind.SLOW_STREAM,
        Kind.CRASH_BEFORE,
        Kind.CRASH_AFTER,
        Kind.STALLED,
        Kind.TIMER_AGAIN,
        Kind.HOURLY_LOOK,
        Kind.HOOKS_CHANGED,
        Kind.BACKUP_ARRIVES,
        Kind.OTHERS_UPLOAD,
        Kind.PLACE_CLAIMED,
        Kind.COPY_HELD,
        Kind.COPY_RELEASED,
        Kind.HOLD_CUT_OFF,
        Kind.RETENTION_WIDENED,
    }
)
# What may fail the backup whose call it befalls, and no other one.
OF_ONE_BACKUP = frozenset(
    {
        Kind.DENIED,
        Kind.REFUSED,
        Kind.DEFECT,
        Kind.UPLOAD_GONE,
        Kind.DAMAGED_ON_THE_WAY,
        Kind.BUSY,
        Kind.GONE,
        Kind.CHANGED,
        Kind.FLIP_FIRST,
        Kind.FLIP_MIDWAY,
        Kind.FLIP_LAST,
        Kind.GONE_MIDWAY,
    }
)


@dataclass(frozen=True)
class Fault:
    """Something that happens at the `at`th call of a world, counted from 1 while faults are let happen."""

    at: int
    kind: Kind

    def __str__(self) -> str:
        return f"{self.at}: {self.kind.value}"


@cache
def kinds_of(call: str) -> tuple[Kind, ...]:
    """Every kind of fault that a call such as `vault.put_part` can meet, people's doings left out."""
    kinds = _ANY_CALL
    if call in MUTATING:
        kinds += _ANY_WRITE
    if call in LISTS:
        kinds += (Kind.SHORT_LIST, Kind.EMPTY_LIST)
    if call in STREAMS:
        kinds += _ANY_STREAM
    return kinds + _OF_THEIR_OWN.get(call, ())


@cache
def can_befall(kind: Kind, call: str) -> bool:
    """Whether a call can meet a fault of that kind."""
    return kind in ALL_EVENTS or kind in kinds_of(call)
