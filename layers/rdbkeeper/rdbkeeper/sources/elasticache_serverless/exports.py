"""What exports of serverless caches stage: which objects are whose, and when they are all there. Pure, but for looking.

Neither how the service names the objects nor how many there are is documented, nor what the backup's status is
meanwhile. So an export counts as done when all of this is seen together:

- there is at least one object that is named after the backup, and none that was there before it was asked for;
- the backup is `available`, and no upload is open under its name;
- nothing has come for as long as the longest pause so far, counted from when it was asked for, at least five minutes.
  The same list seen twice would say less: two looks may lie within one pause. What lasts too long for that, the timeout
  of exports ends: better none than one that lacks a file;
- where the files are numbered, no number is missing.

No event tells of an export that is done ("Amazon ElastiCache events" in EventBridge's reference has one for failures
alone), and files are smaller than the data in memory by as much as these can be compressed: sizes prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from rdbkeeper.domain.backup import Shard, StagedFile
from rdbkeeper.domain.errors import BackupBusy
from rdbkeeper.sources.aws.named_exports import OURS
from rdbkeeper.sources.aws.staging import Listing, StagedObject, StagingBucket
from rdbkeeper.sources.elasticache_serverless.answers import is_named_after
from rdbkeeper.sources.elasticache_serverless.claims import CLAIMS

# A cluster has 500 shards at most ("Quotas for ElastiCache"), so larger numbers count no files: they may be slots.
_MOST_FILES = 500
_NUMBER = re.compile("([0-9]+)")


@dataclass(frozen=True)
class Quiet:
    """For how long nothing may have come before an export counts as done: so long, or as its longest pause."""

    shortest: timedelta = timedelta(minutes=5)

    def is_over(self, asked_at: datetime, written_at: Sequence[datetime], now: datetime) -> bool:
        """Whether nothing has come for long enough, going by the pauses before; all times are of one clock."""
        moments = sorted([asked_at, *written_at])
        pauses = [later - earlier for earlier, later in pairwise(moments)]
        return now - moments[-1] >= max([self.shortest, *pauses])


class UnnamedExports:
    """What is staged under the names of backups."""

    def __init__(self, staging: StagingBucket) -> None:
        self._staging = staging

    def find(self, snapshot: str) -> Listing:
        """The objects that are named after a backup."""
        listing = self._staging.find_objects(snapshot, f"the staged files of {snapshot}")
        return Listing(tuple(one for one in listing.objects if _is_of(one.key, snapshot)), listing.date)

    def is_being_written(self, snapshot: str) -> bool:
        """Whether an object that is named after a backup is being uploaded."""
        return any(_is_of(key, snapshot) for key in self._staging.upload_keys(snapshot))

    def remove(self, objects: Sequence[StagedObject]) -> list[str]:
        """Remove exactly these; returns their names."""
        for one in objects:
            self._staging.remove(one.key)
        return [one.key for one in objects]


def as_files(objects: Sequence[StagedObject]) -> tuple[StagedFile, ...]:
    """The backup's files in the order of their keys; RDB files alone where some are named so."""
    named = [one for one in objects if one.key.endswith(".rdb")]
    in_order = sorted(named or objects, key=lambda one: one.key)
    return tuple(one.as_file(Shard(f"{number:04d}")) for number, one in enumerate(in_order, start=1))


def check_no_gap(files: Sequence[StagedFile], snapshot: str) -> None:
    """Raise BackupBusy where a backup's files are numbered and one number is missing."""
    numbers = _numbers([file.key.removeprefix(snapshot) for file in files])
    missing = set(range(min(1, *numbers), max(numbers))) - numbers if numbers else set()
    if missing:
        raise BackupBusy(
            f"Of the files of {snapshot} number {min(missing)} is missing, while there is a number {max(numbers)}.",
            hint="The provider may still be making it; the next look asks again.",
        )


def _numbers(names: Sequence[str]) -> set[int]:
    """The number in each name, where it alone tells them apart and can be a file's; else none."""
    pieces = [_NUMBER.split(name) for name in names]
    first = pieces[0]
    if any(len(each) != len(first) or each[::2] != first[::2] for each in pieces):
        return set()
    varying = [at for at in range(1, len(first), 2) if len({each[at] for each in pieces}) > 1 or len(first) == 3]
    # `v2` is no number of a file, `-2.` is.
    if len(varying) != 1 or any(map(str.isalpha, first[varying[0] - 1][-1:] + first[varying[0] + 1][:1])):
        return set()
    numbers = {int(each[varying[0]]) for each in pieces}
    return numbers if max(numbers) <= _MOST_FILES else set()


def _is_of(key: str, snapshot: str) -> bool:
    # A backup may be named as our own things begin.
    return is_named_after(key, snapshot) and not (key.startswith(CLAIMS) or OURS.fullmatch(key))
