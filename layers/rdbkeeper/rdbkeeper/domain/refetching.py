"""Which copies must not go yet, because the next run would copy their backups once more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.retention_plan import decide

# A round that spares some may have others spared in the next; a source lists a few dozen backups at most, and where it
# does not, the rest is spared unseen.
_MOST_ROUNDS = 40


def find_refetched(
    entries: Sequence[CatalogEntry],
    to_remove: Collection[str],
    listed: Collection[str],
    retention: Retention,
    time_zone: str,
    now: datetime,
) -> frozenset[str]:
    """The ids of those unchecked copies to remove whose backups, still `listed` at the source, would be copied again.

    Whether a backup has a checksum of its own is known only once it was copied, so `select` takes it to be checked as
    far as the newest copy is: it may be wanted as a verified one where the unchecked copy that it makes is not. Such a
    copy would be made and removed in every run; it goes when its backup has left the source.
    """
    whole = [entry for entry in entries if not entry.is_damaged and entry.taken_at is not None]
    if not whole or max(whole, key=lambda entry: entry.copy_id).level is not Level.VERIFIED:
        return frozenset()
    candidates = {
        entry.copy_id
        for entry in entries
        if entry.copy_id in to_remove
        and entry.copy_id in listed
        and entry.level is Level.UNCHECKED
        and not entry.is_damaged
    }
    spared: set[str] = set()
    for _ in range(_MOST_ROUNDS):
        asked = candidates - spared
        if not asked:
            return frozenset(spared)
        as_fetched = [replace(one, level=Level.VERIFIED) if one.copy_id in asked else one for one in entries]
        decisions = decide(as_fetched, (retention,), time_zone, now)
        wanted = {decision.entry.copy_id for decision in decisions if decision.keeps} & asked
        if not wanted:
            return frozenset(spared)
        spared |= wanted
    return frozenset(candidates)
