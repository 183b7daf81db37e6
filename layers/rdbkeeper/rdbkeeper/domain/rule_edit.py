"""What an edit says of a rule, and the rule that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rdbkeeper.domain.backup_first import BackupFirst
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.retention import KEEP_EVERYTHING, Retention, let_go
from rdbkeeper.domain.rule import MOST_FORMER_PLACES, Rule
from rdbkeeper.domain.source import NO_ACCESS


@dataclass(frozen=True)
class RuleEdit:
    """What an edit says of a rule; None where it says nothing. A rule's name cannot change.

    `access` holds the fields of a SourceAccess that change; with another provider all others are at their defaults.
    With `ends_backup_first` its runs ask for no more backups.
    """

    provider: str | None = None
    instance: str | None = None
    cycle: Cycle | None = None
    vault: str | None = None
    prefix: str | None = None
    role: str | None = None
    bandwidth_mbps: int | None = None
    retention: Retention | None = None
    audit_every_days: int | None = None
    access: Mapping[str, Any] | None = None
    backup_first: BackupFirst | None = None
    ends_backup_first: bool = False

    def apply_to(self, rule: Rule, now: datetime) -> Rule:
        """The rule as edited, at its next revision; the rule itself where the edit changes nothing.

        Raises InvalidRequest, naming the field, where the result would be no rule.
        """
        edited = replace(rule, **self._said(rule), revision=rule.revision + 1)
        if edited.is_same_wish(rule):
            return rule
        if edited.place == rule.place:
            if not edited.has_same_target(rule):
                # What lies in the place is of another instance, as if it had been there before the rule.
                outgoing = let_go(rule.outgoing, KEEP_EVERYTHING, now)
                return replace(edited, watched_since=now, outgoing=outgoing, has_former_copies=True)
            if edited.cycle.time_zone != rule.cycle.time_zone and rule.counts_by_calendar(now):
                # The same words mean other copies in another zone: for the grace period all of them stay.
                return replace(edited, outgoing=let_go(rule.outgoing, KEEP_EVERYTHING, now))
            if edited.retention == rule.retention:
                return edited
            return replace(edited, outgoing=let_go(rule.outgoing, rule.retention, now))
        former = tuple(place for place in rule.former_places if place not in (edited.place, rule.place))
        former = (*former, rule.place)[-MOST_FORMER_PLACES:]
        # What lies in the new place already was not made under this retention: nothing of it goes for a while.
        return replace(
            edited,
            former_places=former,
            has_former_copies=False,
            watched_since=now,
            outgoing=let_go((), KEEP_EVERYTHING, now) if edited.retention != KEEP_EVERYTHING else (),
        )

    def _said(self, rule: Rule) -> dict[str, Any]:
        """What it says, by the names of the rule's fields."""
        said = {name: value for name, value in vars(self).items() if value is not None and name != "ends_backup_first"}
        if self.ends_backup_first:
            said["backup_first"] = None
        is_elsewhere = self.provider not in (None, rule.provider)
        if self.access is not None or is_elsewhere:
            said["access"] = replace(NO_ACCESS if is_elsewhere else rule.access, **(self.access or {}))
        return said
