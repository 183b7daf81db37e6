"""Shows rules, their runs, and what a rule would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from rdbkeeper.domain.backup import Backup, Instance
from rdbkeeper.domain.backup_first import ids_of_others
from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.outcome import Outcome
from rdbkeeper.domain.rule import Rule, check_place_is_free
from rdbkeeper.domain.selection import Selection, select
from rdbkeeper.domain.status import find_instance_block, find_reason_to_keep_all
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.flows.rules.describe import describe_rule, summarize_rule
from rdbkeeper.flows.rules.foresee import foresee_retention
from rdbkeeper.flows.runs.context import made_tag
from rdbkeeper.ports import Record

FIRE_TIMES_PREVIEWED = 10


@dataclass(frozen=True)
class ShowRules:
    """What a person may look at. Changes nothing."""

    context: RulesContext

    def get(self, name: str) -> Record:
        """One rule with how it is, what was sent to Scheduler, and its next fire times."""
        rule = self.context.get_rule(name)
        status, freeze = self.context.rules.find_status(name), self.context.runs.find_freeze(name)
        now = self.context.clock.now()
        return {"rule": describe_rule(rule, status, freeze, now, self.context.find_lock_notes(rule))}

    def list(self, after: str, limit: int) -> Record:
        """Some of the rules, by name; `next_after` is what to pass on for the next page, None at the end."""
        page, freezes = self.context.rules.rules_page(after, limit), self.context.runs.freezes()
        now = self.context.clock.now()
        return {
            "rules": [summarize_rule(rule, status, freezes.get(rule.name), now) for rule, status in page.rules],
            "next_after": page.next_after or None,
        }

    def history(self, name: str, before: str, limit: int) -> Record:
        """A rule's runs with what became of each backup, newest first; `next_before` goes on, None at the end."""
        self.context.get_rule(name)
        page = self.context.runs.history(name, before, limit)
        return {"runs": [run.as_record() for run in page.runs], "next_before": page.next_before or None}

    def preview(self, name: str) -> Record:
        """What a rule will do: when it fires, what a run would copy now, and what retention would remove."""
        rule = self.context.get_rule(name)
        return self._preview(rule, self.context.find_instance(rule))

    def preview_wish(self, rule: Rule) -> Record:
        """The same of a rule that does not exist yet. Raises what creating it would, as far as it can be known."""
        instance = self.context.check_wish(rule)
        check_place_is_free(rule, self.context.rules.rules())
        return self._preview(rule, instance)

    def _preview(self, rule: Rule, instance: Instance | None) -> Record:
        now = self.context.clock.now()
        block = find_instance_block(rule, instance)
        backups = _find_backups(self.context, rule, instance)
        catalog = self.context.adapters.vault(rule.vault).catalog(rule.place.path)
        own = made_tag(self.context.fleet.stack.stack, rule.name)
        others = ids_of_others(backups, own, now)
        selection = select(backups, catalog, rule.retention, rule.cycle.time_zone, now, made_by_others=others)
        # Retention comes after copying, so it decides with what will have been copied.
        copied = [CatalogEntry(backup.copy_id, Level.VERIFIED) for backup in selection.to_copy]
        entries = [*catalog.entries, *copied]
        return {
            "name": rule.name,
            **self._preview_cycle(rule.cycle, [*_notes_on_backups(rule), *self.context.find_lock_notes(rule)]),
            "blocked": block.as_record() if block else None,
            "bandwidth_mbps": rule.bandwidth_mbps,
            "takes_backups": rule.takes_backups,
            **_preview_copying(selection),
            "retention": {
                **foresee_retention(rule, entries, now),
                "waits": _why_retention_waits(rule, instance, entries, now),
            },
        }

    def _preview_cycle(self, cycle: Cycle, further_notes: Sequence[str]) -> Record:
        now = self.context.clock.now()
        return {
            "cycle": cycle.as_record(),
            "sent_to_scheduler": list(cycle.expressions()),
            "next_fire_times": [time.isoformat() for time in islice(cycle.fire_times(now), FIRE_TIMES_PREVIEWED)],
            "notes": [*cycle.notes(), *cycle.clock_change_notes(now), *further_notes],
        }


def _notes_on_backups(rule: Rule) -> list[str]:
    """Of which backups a run copies that no list shows yet."""
    if rule.is_live:
        return ["The server was not asked. Each run takes a backup of its own; the first one finds out whether it can."]
    if rule.takes_backups:
        return ["Each run asks for a backup of its own first, and copies it beside those that are listed."]
    return []


def _why_retention_waits(
    rule: Rule, instance: Instance | None, entries: Sequence[CatalogEntry], now: datetime
) -> str | None:
    """Why a run would remove nothing though retention says so; None where it would."""
    if instance is None:
        return f"Nothing is removed while the instance {rule.instance} is not there."
    if not entries:
        return None
    reason = find_reason_to_keep_all(rule, entries, now)
    return f"Nothing is removed now: {reason}." if reason else None


def _preview_copying(selection: Selection) -> Record:
    return {
        "would_copy": [_preview_backup(backup) for backup in selection.to_copy],
        "others": [_preview_other(outcome) for outcome in selection.decided],
    }


def _preview_backup(backup: Backup) -> Record:
    return {
        "backup_id": backup.backup_id,
        "copy_id": backup.copy_id,
        "files": len(backup.shards) or None,
        "source_size": backup.source_size,
    }


def _preview_other(outcome: Outcome) -> Record:
    return {
        "backup_id": outcome.backup_id,
        "status": outcome.status.value,
        "reason": outcome.reason,
        "detail": outcome.detail,
    }


def _find_backups(context: RulesContext, rule: Rule, instance: Instance | None) -> list[Backup]:
    """What a provider lists of the rule's instance; nothing of a server that is reached directly."""
    if instance is None or rule.is_live:
        return []
    return context.adapters.source(rule.provider, rule.access).backups(instance)
