"""What a retention keeps, written down slowly from its sentences, to hold the plan against.

It knows nothing of how the plan is made: it sorts everything anew for each question and asks calendars for names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.retention import Retention

CALENDAR = {"keep_daily": "%Y-%m-%d", "keep_weekly": "%G-W%V", "keep_monthly": "%Y-%m", "keep_yearly": "%Y"}


def kept_by_model(
    entries: Iterable[CatalogEntry], retentions: Sequence[Retention], time_zone: str, now: datetime
) -> set[str]:
    """The ids of the copies that stay."""
    entries = list(entries)
    timed = [entry for entry in entries if entry.taken_at is not None]
    whole = [entry for entry in timed if not entry.is_damaged]
    stay = {entry.copy_id for entry in entries if entry.taken_at is None or entry.is_held}
    if any(retention == Retention() for retention in retentions):
        return {entry.copy_id for entry in entries}
    stay |= _kept(whole, retentions, time_zone, now)
    for damaged in timed:
        if damaged.is_damaged and damaged.copy_id in _kept([*whole, damaged], retentions, time_zone, now):
            stay.add(damaged.copy_id)
    return stay


def _kept(whole: Sequence[CatalogEntry], retentions: Sequence[Retention], time_zone: str, now: datetime) -> set[str]:
    everyone = sorted(whole, key=lambda entry: (entry.taken_at, entry.copy_id))
    verified = [entry for entry in everyone if entry.level is Level.VERIFIED]
    stay = {line[-1].copy_id for line in (everyone, verified) if line}  # the floors
    for retention in retentions:
        for entry in everyone:
            if now - entry.taken_at <= timedelta(hours=24 * retention.keep_days) and retention.keep_days:
                stay.add(entry.copy_id)
        if retention.keep_last:
            stay |= {entry.copy_id for entry in verified[-retention.keep_last :]}
            stay |= {one.copy_id for one in everyone[-retention.keep_last :] if one.level is Level.UNCHECKED}
        for part, calendar in CALENDAR.items():
            count = getattr(retention, part)
            if count:
                stay |= _kept_of_periods(everyone, verified, count, calendar, time_zone)
    return stay


def _kept_of_periods(
    everyone: Sequence[CatalogEntry], verified: Sequence[CatalogEntry], count: int, calendar: str, time_zone: str
) -> set[str]:
    newest_verified = {_label(entry.taken_at, calendar, time_zone): entry.copy_id for entry in verified}
    newest = {_label(entry.taken_at, calendar, time_zone): entry.copy_id for entry in everyone}
    stay = {newest_verified[label] for label in sorted(newest_verified)[-count:]}
    return stay | {newest[label] for label in sorted(newest)[-count:] if label not in newest_verified}


@lru_cache(maxsize=1 << 17)
def _label(taken_at: datetime, calendar: str, time_zone: str) -> str:
    return taken_at.astimezone(ZoneInfo(time_zone)).strftime(calendar)
