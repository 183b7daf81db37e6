"""What a rule's retention will do, as it is answered; nothing here changes anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from rdbkeeper.domain.catalog import CatalogEntry
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.retention_plan import Decision, Outlook, decide, expect_copies, look_ahead
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.status import SOURCE_INTERVAL
from rdbkeeper.ports import Record

MOST_LISTED = 1000


def foresee_retention(rule: Rule, entries: Sequence[CatalogEntry], now: datetime) -> Record:
    """What retention keeps and would remove of these copies now, and what will be there over the next year."""
    time_zone = rule.cycle.time_zone
    decisions = decide(entries, rule.retentions_in_force(now), time_zone, now)
    interval = find_copy_interval(rule.cycle, now)
    outlooks = look_ahead(entries, rule.retentions_in_force, time_zone, now, interval)
    until = max((one.until for one in rule.outgoing if one.until > now), default=None)
    return {
        "keeps": rule.retention.in_words,
        "says": rule.retention.as_record(),
        "until": write_moment(until) if until else None,
        **_removals("would_remove", decisions),
        "kept": dict(Counter(reason for one in decisions if one.keeps for reason in one.reasons)),
        "expects_a_copy_every_hours": round(interval / timedelta(hours=1), 1) if interval else None,
        "next_year": [_outlook(outlook) for outlook in outlooks],
        "kept_in_a_year": [_taken(entry) for entry in outlooks[-1].kept[:MOST_LISTED]],
    }


def foresee_narrowing(rule: Rule, entries: Sequence[CatalogEntry], now: datetime) -> Record:
    """What of these copies goes when the retentions that the rule had before are over, and from when on.

    The moment is the first at which one goes; the copies are those that are gone at the last. Those that will have come
    by then are reckoned with, and not named: nobody has them yet.
    """
    there_now = {entry.copy_id for entry in entries}
    interval = find_copy_interval(rule.cycle, now)
    removes_from: datetime | None = None
    decisions: list[Decision] = []
    moments = sorted({one.until for one in rule.outgoing if one.until > now})
    for moment in moments:
        there = [*entries, *expect_copies(now, moment, interval)]
        foreseen = decide(there, rule.retentions_in_force(moment), rule.cycle.time_zone, moment)
        decisions = [decision for decision in foreseen if decision.entry.copy_id in there_now]
        if removes_from is None and not all(one.keeps for one in decisions):
            removes_from = moment
    return {"removes_from": write_moment(removes_from or max(moments)), **_removals("will_remove", decisions)}


def is_narrowing(rule: Rule, now: datetime) -> bool:
    """True while a copy may stay only because of what the rule said before."""
    return any(not rule.retention.covers(one) for one in rule.retentions_in_force(now))


def find_copy_interval(cycle: Cycle, now: datetime) -> timedelta | None:
    """How often a copy is to be expected; None where none comes unless somebody asks for a run."""
    gap = cycle.longest_gap(now)
    return None if gap is None else max(gap, SOURCE_INTERVAL)


def _removals(name: str, decisions: Sequence[Decision]) -> Record:
    going = [decision for decision in decisions if not decision.keeps]
    listed = [
        {"copy_id": one.entry.copy_id, "reason": one.reasons[0], "detail": one.sentence()}
        for one in going[:MOST_LISTED]
    ]
    return {name: listed, f"{name}_count": len(going)}


def _outlook(outlook: Outlook) -> Record:
    oldest = outlook.oldest
    return {
        "at": write_moment(outlook.at),
        "copies": len(outlook.kept),
        "oldest": _taken(oldest) if oldest else None,
    }


def _taken(entry: CatalogEntry) -> str:
    return write_moment(entry.taken_at) if entry.taken_at else entry.copy_id
