"""Which copies a retention keeps, worked out slowly and anew: what the package decides is held against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

# By the kind of its rule's cycle: how old the newest copy may be while others go.
OVERDUE_AFTER = {"daily": timedelta(hours=24 + 24 + 6), "manual": timedelta(hours=24 + 6)}


@dataclass(frozen=True)
class KnownCopy:
    """One copy as it truly is: `damaged` where a mark in the vault says so."""

    copy_id: str
    taken_at: datetime
    is_verified: bool
    is_damaged: bool = False
    is_held: bool = False


PERIODS: Mapping[str, Callable[[datetime], tuple[int, ...]]] = {
    "keep_daily": lambda at: (at.year, at.month, at.day),
    "keep_weekly": lambda at: at.isocalendar()[:2],
    "keep_monthly": lambda at: (at.year, at.month),
    "keep_yearly": lambda at: (at.year,),
}


def find_kept(
    copies: Iterable[KnownCopy], retentions: Iterable[Mapping[str, int]], time_zone: str, now: datetime
) -> set[str]:
    """The ids of the copies that stay under any of these retentions, as `Retention.as_record` writes them."""
    newest_first = sorted(copies, key=lambda copy: (copy.taken_at, copy.copy_id), reverse=True)
    whole = [copy for copy in newest_first if not copy.is_damaged]
    wanted = list(retentions)
    kept = {copy.copy_id for copy in newest_first if copy.is_held}
    kept |= _keep_any(whole, wanted, time_zone, now)
    for damaged in (copy for copy in newest_first if copy.is_damaged):
        as_if_whole = [copy for copy in newest_first if not copy.is_damaged or copy is damaged]
        kept |= _keep_any(as_if_whole, wanted, time_zone, now) & {damaged.copy_id}
    return kept


def are_too_old(copies: Iterable[KnownCopy], kind: str, at: datetime) -> bool:
    """True when the newest verified copy, or where none is the newest whole one, is so old that no other may go."""
    whole = [copy for copy in copies if not copy.is_damaged]
    counted = [copy.taken_at for copy in whole if copy.is_verified] or [copy.taken_at for copy in whole]
    return not counted or at - max(counted) > OVERDUE_AFTER[kind]


def _keep_any(
    newest_first: list[KnownCopy], retentions: list[Mapping[str, int]], time_zone: str, now: datetime
) -> set[str]:
    kept = set[str]().union(*(_keep(newest_first, retention, time_zone, now) for retention in retentions))
    # One good copy always stays; an unchecked one goes when a newer whole one stays, of whatever level.
    kept |= {copy.copy_id for copy in [copy for copy in newest_first if copy.is_verified][:1]}
    return kept | {copy.copy_id for copy in newest_first[:1]}


def _keep(newest_first: list[KnownCopy], retention: Mapping[str, int], time_zone: str, now: datetime) -> set[str]:
    if not any(retention.values()):
        return {copy.copy_id for copy in newest_first}
    verified = [copy for copy in newest_first if copy.is_verified]
    kept = set()
    for place, copy in enumerate(newest_first):
        rank = verified.index(copy) if copy.is_verified else place
        if rank < retention.get("keep_last", 0):
            kept.add(copy.copy_id)
        if "keep_days" in retention and now - copy.taken_at <= timedelta(days=retention["keep_days"]):
            kept.add(copy.copy_id)
    for name, period_of in PERIODS.items():
        count = retention.get(name, 0)
        kept |= _keep_periods(newest_first, period_of, count, time_zone)
    return kept


def _keep_periods(
    newest_first: list[KnownCopy], period_of: Callable[[datetime], tuple[int, ...]], count: int, time_zone: str
) -> set[str]:
    zone = ZoneInfo(time_zone)
    kept = set()
    for of_verified in (True, False):
        firsts: dict[tuple[int, ...], KnownCopy] = {}
        for copy in newest_first:
            if copy.is_verified or not of_verified:
                firsts.setdefault(period_of(copy.taken_at.astimezone(zone)), copy)
        with_verified = {period_of(copy.taken_at.astimezone(zone)) for copy in newest_first if copy.is_verified}
        for period in sorted(firsts, reverse=True)[:count]:
            if of_verified or period not in with_verified:
                kept.add(firsts[period].copy_id)
    return kept
