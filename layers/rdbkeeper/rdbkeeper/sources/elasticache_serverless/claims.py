"""Whose an export of a serverless cache's backup is: a claim in the staging bucket, as exports have no name of ours.

Backups whose names begin alike are exported one after the other: `b1-2.rdb` may be the second file of `b1` or the only
one of `b1-2`, and how the service names files is documented nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rdbkeeper.domain.backup import Backup
from rdbkeeper.domain.errors import BackupBusy
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.sources.aws.staging import Document, StagingBucket
from rdbkeeper.sources.elasticache_serverless.answers import is_named_after

CLAIMS = "rdbkeeper-claims/"
# A run ends within 24 hours; what it staged is of no use after that, and of no use to anybody else before.
OTHERS_END_AFTER = timedelta(hours=30)
# An export that a run asked for right before it was cut off may not have begun to show.
OWN_ENDS_AFTER = timedelta(minutes=10)
_TAG_LENGTH = 8


@dataclass(frozen=True)
class Claim:
    """One attempt's claim to the export of one backup; `written_at` and `at`, which is now, are of S3's own clock.

    `follows` says that an export may have been going on before: the claim took another's place, or files lay there
    that had to go. What comes after such a claim may be the rest of that export's files.
    """

    snapshot: str
    instance: str
    attempt: str
    taken_at: str
    follows: bool
    etag: str
    written_at: datetime
    at: datetime

    @property
    def rule_tag(self) -> str:
        return self.attempt[:_TAG_LENGTH]

    @property
    def chain_tag(self) -> str:
        return self.attempt[_TAG_LENGTH : 2 * _TAG_LENGTH]

    def is_of(self, backup: Backup, attempt: str) -> bool:
        """True for the same attempt at the same backup: its name may be another's by now."""
        return (self.attempt, self.taken_at) == (attempt, _taken_at(backup))


class Claims:
    """Finds, takes and releases claims; each write is on a condition, so that one attempt alone holds one."""

    def __init__(self, staging: StagingBucket) -> None:
        self._staging = staging

    def find(self, snapshot: str) -> Claim | None:
        document = self._staging.find_document(_key(snapshot))
        return _read(snapshot, document) if document is not None else None

    def all(self) -> Iterator[Claim]:
        for name in self._names():
            claim = self.find(name)
            if claim is not None:
                yield claim

    def check_alone(self, claim: Claim) -> None:
        """Raise BackupBusy while an export of a backup whose name begins alike is claimed."""
        for name in self._names():
            begins_alike = is_named_after(name, claim.snapshot) or is_named_after(claim.snapshot, name)
            other = self.find(name) if begins_alike and name != claim.snapshot else None
            if other is not None and other.at - other.written_at < OTHERS_END_AFTER:
                raise BackupBusy(
                    f"The backup {claim.snapshot} waits until {name} is copied, as their names begin alike.",
                    hint="The files of the one could be taken for the other's. The next run asks again.",
                )

    def _names(self) -> list[str]:
        found = self._staging.find_objects(CLAIMS, "claims to exports").objects
        return [one.key.removeprefix(CLAIMS).removesuffix(".json") for one in found]

    def take(self, backup: Backup, attempt: str, former: Claim | None, *, follows: bool) -> Claim:
        """Claim the export, in place of a former claim. Raises BackupBusy when somebody was quicker."""
        says = {"attempt": attempt, "instance": backup.instance, "taken_at": _taken_at(backup), "follows": follows}
        try:
            self._staging.put_document(_key(backup.backup_id), says, replaces=former.etag if former else "")
        except BackupBusy:
            # The answer to our own write may have been lost.
            taken = self.find(backup.backup_id)
            if taken is None or not taken.is_of(backup, attempt):
                raise
            return taken
        taken = self.find(backup.backup_id)
        if taken is None or not taken.is_of(backup, attempt):
            raise BackupBusy(f"The claim to the export of {backup.backup_id} went to somebody else at once.")
        return taken

    def release(self, claim: Claim) -> None:
        """Give the claim up; where it is another's by now, that one stays."""
        self._staging.remove_document(_key(claim.snapshot), claim.etag)


def check_free(backup: Backup, claim: Claim | None, attempt: str) -> None:
    """Raise BackupBusy unless a backup's export can be claimed in place of that claim."""
    if claim is None:
        return
    age = claim.at - claim.written_at
    is_own_rules = claim.rule_tag == attempt[:_TAG_LENGTH]
    if age >= (OWN_ENDS_AFTER if is_own_rules else OTHERS_END_AFTER):
        return
    whose = "An earlier run of this rule" if is_own_rules else "Another rule"
    raise BackupBusy(
        f"{whose} asked for the export of {backup.backup_id} {age.total_seconds() / 60:,.0f} minutes ago.",
        hint="Exports of a serverless cache have no names, so one backup is exported for one rule at a time. The next "
        "run asks again.",
    )


def _key(snapshot: str) -> str:
    return f"{CLAIMS}{snapshot}.json"


def _taken_at(backup: Backup) -> str:
    return write_moment(backup.taken_at) if backup.taken_at is not None else ""


def _read(snapshot: str, document: Document) -> Claim:
    """A claim that cannot be read is nobody's we know, and is waited for like another rule's."""
    says: dict[str, Any] = document.says if isinstance(document.says, dict) else {}
    return Claim(
        snapshot=snapshot,
        instance=str(says.get("instance", "")),
        attempt=str(says.get("attempt", "")),
        taken_at=str(says.get("taken_at", "")),
        follows=says.get("follows") is not False,
        etag=document.etag,
        written_at=document.written_at,
        at=document.at,
    )
