"""Which copies stay and which go, each with its reason; and how that will look in a year.

What keeps a copy depends on the copies that are newer alone, and only those that stay count against another. So
removing what is to go changes nothing about the rest, and a plan made late equals the same plan made day by day.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from zoneinfo import ZoneInfo

from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.retention import Retention

_DAY = timedelta(days=1)
OUTLOOK_DAYS = (30, 91, 182, 274, 365)
_NEVER = 10**9  # more than a retention can ask for

# Why a copy stays; the names of a retention's own parts are reasons too.
HELD = "Held"
DAMAGED = "Damaged"
OUTGOING = "OutgoingRetention"
KEEPS_EVERYTHING = "KeepsEverything"
LAST_VERIFIED = "LastVerified"
NEWEST = "NewestOfItsStanding"
NO_TIME = "NoTimeInItsName"
# Why a copy goes.
NOT_KEPT = "NotKept"
DAMAGED_NOT_KEPT = "DamagedNotKept"

_SENTENCES = {
    "keep_days": "it is of the days that the retention keeps whole",
    "keep_last": "it is one of the last copies",
    "keep_daily": "it is the newest of its day",
    "keep_weekly": "it is the newest of its week",
    "keep_monthly": "it is the newest of its month",
    "keep_yearly": "it is the newest of its year",
    HELD: "a person holds it",
    DAMAGED: "it is damaged, and a whole one in its stead would stay",
    OUTGOING: "the retention that the rule had before keeps it for now",
    KEEPS_EVERYTHING: "the rule keeps everything",
    LAST_VERIFIED: "no newer copy is verified",
    NEWEST: "no newer copy is whole",
    NO_TIME: "its name does not tell when it was taken",
}


@dataclass(frozen=True)
class Decision:
    """What becomes of one copy, and why: `reasons` are codes, `retention` says in words what was asked."""

    entry: CatalogEntry
    keeps: bool
    reasons: tuple[str, ...]
    retention: str = ""

    def sentence(self) -> str:
        """The decision as a person reads it."""
        if self.keeps:
            return f"It stays: {'; '.join(_SENTENCES[reason] for reason in self.reasons)}."
        what = "It is damaged, and the" if DAMAGED_NOT_KEPT in self.reasons else "The"
        return f"{what} retention does not keep it; it keeps only {self.retention}."


def decide(
    entries: Sequence[CatalogEntry], retentions: Sequence[Retention], time_zone: str, now: datetime
) -> list[Decision]:
    """What becomes of each copy, the newest first, those whose id tells no time last.

    A copy stays that any of `retentions` keeps; the first is the rule's own. None at all keeps everything. Days,
    weeks, months and years are those of the IANA zone; of equal times the greater id is the newer. The newest verified
    copy and the newest of any level stay whatever is asked. A damaged copy counts for nothing, and stays as long as a
    whole one in its stead would.
    """
    timed = sorted((entry for entry in entries if entry.taken_at is not None), key=_by_id, reverse=True)
    timeless = sorted((entry for entry in entries if entry.taken_at is None), key=_by_id, reverse=True)
    if not retentions or retentions[0].keeps_everything:
        return [_keep(entry, (KEEPS_EVERYTHING,)) for entry in (*timed, *timeless)]
    all_stay = any(retention.keeps_everything for retention in retentions)
    standings = _Standings(timed, ZoneInfo(time_zone), now)
    own_counts = list(vars(retentions[0]).items())
    widest = [max(counts) for counts in zip(*(vars(one).values() for one in retentions), strict=True)]
    words = retentions[0].in_words
    decisions = []
    for entry in timed:
        needs = standings.counts_needed(entry)
        why = tuple(name for (name, count), need in zip(own_counts, needs, strict=True) if count >= need)
        if not why and (all_stay or any(count >= need for count, need in zip(widest, needs, strict=True))):
            why = (OUTGOING,)
        why = why or standings.find_floor(entry)
        if why or entry.is_held:
            decisions.append(_keep(entry, why))
        else:
            reason = DAMAGED_NOT_KEPT if entry.is_damaged else NOT_KEPT
            decisions.append(Decision(entry, keeps=False, reasons=(reason,), retention=words))
    return decisions + [_keep(entry, (NO_TIME,)) for entry in timeless]


def _keep(entry: CatalogEntry, why: tuple[str, ...]) -> Decision:
    if entry.is_held or entry.is_damaged:
        marks = ((HELD, entry.is_held), (DAMAGED, entry.is_damaged and bool(why)))
        why = (*(reason for reason, is_so in marks if is_so), *why)
    return Decision(entry, keeps=True, reasons=why)


@dataclass(frozen=True)
class Outlook:
    """How a place will look at a moment (aware UTC): the copies that are there then, the newest first."""

    at: datetime
    kept: tuple[CatalogEntry, ...]

    @property
    def oldest(self) -> CatalogEntry | None:
        """The oldest copy whose time is known, or None."""
        return min((entry for entry in self.kept if entry.taken_at), key=_by_id, default=None)


def look_ahead(
    entries: Sequence[CatalogEntry],
    in_force: Callable[[datetime], Sequence[Retention]],
    time_zone: str,
    now: datetime,
    interval: timedelta | None,
) -> list[Outlook]:
    """How the place will look in 1, 3, 6, 9 and 12 months of 30.4 days, when a verified copy comes every `interval`.

    None comes where that is None. `in_force` tells the retentions of a moment, as `decide` takes them.
    """
    outlooks = []
    for days in OUTLOOK_DAYS:
        at = now + timedelta(days=days)
        there = [*entries, *expect_copies(now, at, interval)]
        kept = tuple(one.entry for one in decide(there, in_force(at), time_zone, at) if one.keeps)
        outlooks.append(Outlook(at, kept))
    return outlooks


def expect_copies(now: datetime, until: datetime, interval: timedelta | None) -> list[CatalogEntry]:
    """The verified copies that will have come by `until`, one every `interval` from now; none where that is None."""
    if not interval:
        return []
    times = (now + number * interval for number in range(1, (until - now) // interval + 1))
    return [CatalogEntry(f"{time.astimezone(UTC):%Y%m%dT%H%M%SZ}-expected", Level.VERIFIED) for time in times]


def lock_notes(retention: Retention, lock_days: int) -> list[str]:
    """What a person should know where a vault's lock is longer or shorter than the retention; [] where it locks none.

    A lock begins when a copy is published, hours after its backup was taken; that is not counted.
    """
    if not lock_days:
        return []
    locked = f"The vault locks each copy for {_days(lock_days)}"
    if retention.keeps_everything:
        return [f"{locked}, and the rule keeps everything: after that nothing but its owner's care protects a copy."]
    shortest, longest = _lifetime_days(retention)
    notes = []
    if lock_days > shortest:
        notes.append(
            f"{locked}, longer than the retention keeps some ({retention.in_words}): those stay, and cost, until "
            "their lock ends."
        )
    if lock_days < longest:
        notes.append(
            f"{locked}, shorter than the retention keeps some ({retention.in_words}): after that they can be deleted "
            "by whoever may delete objects there."
        )
    return notes


def _lifetime_days(retention: Retention) -> tuple[int, int]:
    """For how many days the shortest-lived and the longest-lived copies stay, when one comes a day."""
    shortest = max(1, retention.keep_days, retention.keep_last, retention.keep_daily)
    periods = (retention.keep_weekly * 7, retention.keep_monthly * 31, retention.keep_yearly * 366)
    return shortest, max(shortest, *periods)


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


class _Ranking:
    """Some whole copies by their order and by the periods that they lie in."""

    def __init__(self, dated: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        self.ids = [copy_id for copy_id, _ in dated]
        self.newest: list[dict[int, str]] = [{}, {}, {}, {}]
        for copy_id, periods in dated:
            for newest, period in zip(self.newest, periods, strict=True):
                newest[period] = copy_id
        self.periods = [sorted(newest) for newest in self.newest]

    def count_newer(self, copy_id: str) -> int:
        return len(self.ids) - bisect_right(self.ids, copy_id)

    def counts_needed(self, copy_id: str, periods: tuple[int, ...]) -> list[int]:
        """How many periods of each kind one has to keep for that copy to be among their newest."""
        return [
            len(known) - bisect_right(known, period) + 1 if newest.get(period, "") <= copy_id else _NEVER
            for newest, known, period in zip(self.newest, self.periods, periods, strict=True)
        ]


class _Standings:
    """Where each copy stands among the whole ones: verified ones among verified, unchecked ones among all."""

    def __init__(self, newest_first: Sequence[CatalogEntry], zone: ZoneInfo, now: datetime) -> None:
        self._now = now
        self._periods = {
            entry.copy_id: _find_periods(entry.taken_at.astimezone(zone)) for entry in newest_first if entry.taken_at
        }
        whole = [entry for entry in reversed(newest_first) if not entry.is_damaged]
        self._any = self._rank(whole)
        self._verified = self._rank([entry for entry in whole if entry.level is Level.VERIFIED])

    def _rank(self, oldest_first: Sequence[CatalogEntry]) -> _Ranking:
        return _Ranking([(entry.copy_id, self._periods[entry.copy_id]) for entry in oldest_first])

    def counts_needed(self, entry: CatalogEntry) -> list[int]:
        """For each part of a retention, in its order, the smallest count at which it keeps that copy."""
        periods = self._periods[entry.copy_id]
        verified = entry.level is Level.VERIFIED
        ranking = self._verified if verified else self._any
        by_period = ranking.counts_needed(entry.copy_id, periods)
        if not verified:  # it stands for a period only where nothing better does
            by_period = [
                _NEVER if period in newest else need
                for need, newest, period in zip(by_period, self._verified.newest, periods, strict=True)
            ]
        return [self._days_needed(entry), ranking.count_newer(entry.copy_id) + 1, *by_period]

    def find_floor(self, entry: CatalogEntry) -> tuple[str, ...]:
        """Why a copy stays that no retention asks for; () for most."""
        if entry.level is Level.VERIFIED and not self._verified.count_newer(entry.copy_id):
            return (LAST_VERIFIED,)
        # Every other unchecked one has this one, newer and whole, to stand in for it.
        return (NEWEST,) if not self._any.count_newer(entry.copy_id) else ()

    def _days_needed(self, entry: CatalogEntry) -> int:
        age = self._now - (entry.taken_at or self._now)
        return max(1, -(-age // _DAY))


def _find_periods(local: datetime) -> tuple[int, ...]:
    """The day, ISO week, month and year of a local time as numbers that grow."""
    day = local.toordinal()
    return day, (day - 1) // 7, local.year * 12 + local.month, local.year  # day 1 of the calendar is a Monday


# A copy's id begins with when it was taken, so the order of ids is that of times.
_by_id = attrgetter("copy_id")
