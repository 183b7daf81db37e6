"""What is read alike from the answers of several providers about backups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal

from rdbkeeper.domain.backup import BackupState, Instance

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([A-Za-z]+)")


def state_of(*, is_complete: bool, has_failed: bool = False) -> BackupState:
    """The state of a backup: whatever is neither complete nor failed counts as in progress."""
    if has_failed:
        return BackupState.FAILED
    return BackupState.COMPLETE if is_complete else BackupState.IN_PROGRESS


def count_by_owner(owners: Iterable[str], instances: Sequence[Instance]) -> dict[str, int]:
    """How many backups each instance has, by name, from the name of each backup's owner; 0 where it has none."""
    counted = Counter(owners)
    return {instance.name: counted[instance.name] for instance in instances}


def join_sizes(sizes: Sequence[str]) -> str:
    """The shards' sizes as one: `10 MB` and `5 MB` become `15 MB`.

    Sizes of several units are all named; "" where one is not told, as a part of the whole would pass for it.
    """
    if not all(sizes):
        return ""
    read = [_SIZE.fullmatch(size) for size in sizes]
    units = {found[2] if found else "" for found in read}
    if len(units) != 1 or "" in units:
        return ", ".join(sizes)
    total = sum((Decimal(found[1]) for found in read if found), Decimal())
    return f"{total} {units.pop()}"
