"""A rule as it is answered: what was written, what was sent, how it is, and when it fires next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from rdbkeeper.domain.backup_first import Freeze
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.retention_plan import lock_notes
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.status import RuleStatus, describe_freeze, show
from rdbkeeper.domain.vault import ProbeReport, VaultBinding, find_lock_days
from rdbkeeper.ports import Record

FIRE_TIMES_SHOWN = 5


def describe_rule(
    rule: Rule, status: RuleStatus, freeze: Freeze | None, now: datetime, about_locks: Sequence[str]
) -> Record:
    """One rule with all that there is to say about it.

    `freeze` is what is on record of writes that its runs froze, `about_locks` what its vault's locks mean to it.
    """
    notes = [*rule.cycle.notes(), *_place_notes(rule), *_outgoing_notes(rule, now), *about_locks]
    return {**_describe(rule, status, freeze, now, FIRE_TIMES_SHOWN), "notes": notes}


def describe_locks(retention: Retention, vault: VaultBinding | None, probe: ProbeReport | None) -> list[str]:
    """What a vault's locks mean to a rule of that retention; `vault` is None where there is none of that name."""
    if vault is None:
        return []
    seen = probe.capabilities if probe else None
    if vault.options.lock_days and seen is not None and not seen.locks:
        days = vault.options.lock_days
        return [f"The vault {vault.name} is to lock copies for {days} days; its bucket cannot lock: nothing is locked."]
    return lock_notes(retention, find_lock_days(vault.options, seen))


def describe_locks_of_rules(vault: VaultBinding, probe: ProbeReport | None, rules: Sequence[Rule]) -> list[str]:
    """What a vault's locks mean to each of the rules that use it; that it cannot lock at all its probe has told."""
    days = find_lock_days(vault.options, probe.capabilities if probe else None)
    using = [rule for rule in rules if rule.vault == vault.name]
    return [f"{rule.name}: {note}" for rule in using for note in lock_notes(rule.retention, days)]


def summarize_rule(rule: Rule, status: RuleStatus, freeze: Freeze | None, now: datetime) -> Record:
    """One rule as a list shows it: with its next fire time alone, and without notes."""
    return _describe(rule, status, freeze, now, 1)


def _describe(rule: Rule, status: RuleStatus, freeze: Freeze | None, now: datetime, fire_times: int) -> Record:
    kept = status.find_kept(rule)
    return {
        **rule.as_record(),
        "keeps": rule.retention.in_words,
        **show(rule, status, now).as_record(),
        "still_frozen": describe_freeze(freeze, now),
        "sent_to_scheduler": list(rule.cycle.expressions()),
        "next_fire_times": [time.isoformat() for time in islice(rule.cycle.fire_times(now), fire_times)],
        "last_run": status.last_run.as_summary() if status.last_run else None,
        "newest_copy": kept.newest_copy or None,
        "newest_verified_at": write_moment(kept.newest_verified_at) if kept.newest_verified_at else None,
    }


def _place_notes(rule: Rule) -> list[str]:
    mixed = ["Copies of the former instance lie in this place and fall under its retention."]
    return [*(mixed if rule.has_former_copies else []), *_former_place_notes(rule)]


def _former_place_notes(rule: Rule) -> list[str]:
    if not rule.former_places:
        return []
    places = ", ".join(place.as_text(rule.vault) for place in rule.former_places)
    return [
        f"From the next run on, copies go to {rule.place.path}.",
        f"Those made before stay at {places}, where this rule no longer looks, until a person removes them.",
        "A run that was going when the rule was edited stops before it publishes anything more.",
    ]


def _outgoing_notes(rule: Rule, now: datetime) -> list[str]:
    return [
        f"Until {write_moment(one.until)} "
        + (
            "all copies stay, whatever the retention says."
            if one.retention.keeps_everything
            else f"what the rule said before stays in force as well: {one.retention.in_words}."
        )
        for one in rule.outgoing
        if one.until > now and not rule.retention.covers(one.retention)
    ]
