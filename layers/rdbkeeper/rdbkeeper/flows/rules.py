"""Registers, shows and deletes rules, and makes the fleet follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rdbkeeper.domain.errors import (
    BackupsDisabled,
    InstanceNotFound,
    NameTaken,
    NotOurs,
    RdbkeeperError,
    RuleBusy,
    RuleNotFound,
)
from rdbkeeper.domain.rule import Rule, RuleState, check_place_is_free
from rdbkeeper.flows.uploads import give_up_uploads
from rdbkeeper.ports import Adapters, Clock, Fleet, Journal, Record, RuleTable

FIRE_TIMES_SHOWN = 5
# How often two people who create rules in the same second may get in each other's way before one is told.
TRIES_TO_REGISTER = 5


@dataclass(frozen=True)
class Rules:
    """What a person does with rules. Every method answers plain data and raises RequestError for what cannot be."""

    table: RuleTable
    fleet: Fleet
    adapters: Adapters
    journal: Journal
    clock: Clock

    def create(self, rule: Rule) -> Record:
        """Register a rule and make its function and schedule; all of it or nothing but an empty log group.

        A create that was cut off is finished by sending it again.
        """
        rule.cycle.get_next_fire_times(self.clock.now(), 1)
        self.fleet.check(rule)
        self._check_instance(rule)
        registered = self._register(rule)
        try:
            provisioned = self.fleet.provision(registered)
        except RdbkeeperError as error:
            self._undo(registered, error)
            raise
        active = self._activate(registered)
        self.journal.bind(rule=rule.name).info("RuleCreated", f"The rule {rule.name} is registered and its timer set.")
        return {"rule": self._describe(active), "made": provisioned.as_record()}

    def _activate(self, registered: Rule) -> Rule:
        """Mark the rule as active, unless somebody has deleted it while its function was being made."""
        active = replace(registered, state=RuleState.ACTIVE, revision=registered.revision + 1)
        try:
            self.table.replace_rule(active, registered.revision)
        except RuleBusy:
            there = self.table.find_rule(registered.name)
            if there is not None and there.state is RuleState.ACTIVE and _same_wish(there, active):
                return there  # the same request, sent twice, was finished by the other one
            if there is None or there.state is RuleState.DELETING:
                self._take_down(registered)
            raise
        return active

    def get(self, name: str) -> Record:
        """One rule with what was sent to Scheduler and its next fire times."""
        return {"rule": self._describe(self._get(name))}

    def list(self) -> Record:
        """Every rule, by name."""
        return {"rules": [self._describe(rule) for rule in self.table.rules()]}

    def delete(self, name: str) -> Record:
        """Remove a rule's schedule, stop what runs, then remove its function. Its copies and its log stay.

        A delete that was cut off is finished by sending it again.
        """
        rule = self._get(name)
        if rule.state is not RuleState.DELETING:
            deleting = replace(rule, state=RuleState.DELETING, revision=rule.revision + 1)
            self.table.replace_rule(deleting, rule.revision)
            rule = deleting
        stopped = self._take_down(rule)
        self.journal.bind(rule=name).info("RuleDeleted", f"The rule {name} is deleted; its copies stay.")
        return {
            "deleted": name,
            "stopped_runs": stopped,
            "copies_stay_at": {"vault": rule.vault, "path": rule.place.path},
        }

    def _check_instance(self, rule: Rule) -> None:
        instance = self.adapters.source(rule.provider).find_instance(rule.instance)
        if instance is None:
            raise InstanceNotFound(
                f"There is no {rule.provider} instance {rule.instance} in this region.",
                field="source.instance",
                hint="Use the id of a replication group, or of a node that belongs to none, in this stack's region.",
            )
        if not instance.backups_enabled:
            raise BackupsDisabled(
                f"The instance {rule.instance} makes no automatic backups: its retention is 0 days.",
                field="source.instance",
                hint="Switch them on first: set a snapshot retention of at least 1 day on the instance.",
            )

    def _register(self, rule: Rule) -> Rule:
        """Put the rule's row, unless its name or place is taken; a row that a cut-off create left is taken up."""
        for _ in range(TRIES_TO_REGISTER):
            revision = self.table.registry_revision()
            rules = self.table.rules()
            existing = next((other for other in rules if other.name == rule.name), None)
            if existing is not None:
                return self._take_up(existing, rule)
            check_place_is_free(rule, rules)
            try:
                self.table.create_rule(rule, revision)
            except (RuleBusy, NameTaken):
                continue
            return rule
        raise RuleBusy("Others are registering rules at this moment.", hint="Send the request again.")

    def _take_up(self, existing: Rule, wanted: Rule) -> Rule:
        unfinished = existing.state is RuleState.CREATING and _same_wish(existing, wanted)
        if not unfinished:
            raise NameTaken(
                f"There is a rule {existing.name} already ({existing.state.value}).",
                field="name",
                hint="Choose another name; a rule's name is unique and cannot change.",
            )
        return existing

    def _undo(self, rule: Rule, error: RdbkeeperError) -> None:
        journal = self.journal.bind(rule=rule.name)
        deleting = replace(rule, state=RuleState.DELETING, revision=rule.revision + 1)
        try:
            self.table.replace_rule(deleting, rule.revision)
            self._take_down(deleting)
        except RuleBusy:
            journal.warning("UndoLeft", f"The rule {rule.name} is somebody else's by now and is left as it is.")
        except RdbkeeperError as second:
            journal.error(
                "UndoCutOff",
                f"Undoing it failed as well, so the rule {rule.name} is left half made; delete it: {second}",
                reason=second.code,
            )
        else:
            journal.error(
                "CreateUndone", f"Making the rule {rule.name} failed and is undone: {error}", reason=error.code
            )

    def _take_down(self, rule: Rule) -> int:
        self.fleet.remove_schedules(rule.name)
        stopped = self._remove_function(rule)
        give_up_uploads(
            rule, self.table.remembered_uploads(rule.name), self.adapters.vault(rule.vault), self.table, self.journal
        )
        self.table.remove_rule(rule.name)
        return stopped

    def _remove_function(self, rule: Rule) -> int:
        try:
            stopped = self.fleet.stop_runs(rule.name)
            self.fleet.remove_function(rule.name)
        except NotOurs as error:
            # It never was the rule's, so it must not keep the rule from going.
            self.journal.bind(rule=rule.name).warning("FunctionLeftAlone", str(error), reason=error.code)
            return 0
        return stopped

    def _get(self, name: str) -> Rule:
        rule = self.table.find_rule(name)
        if rule is None:
            raise RuleNotFound(
                f"There is no rule {name}.",
                field="name",
                hint="The action `list` shows the rules that there are.",
            )
        return rule

    def _describe(self, rule: Rule) -> Record:
        times: Sequence[str] = [
            time.isoformat() for time in rule.cycle.get_next_fire_times(self.clock.now(), FIRE_TIMES_SHOWN)
        ]
        return {
            **rule.as_record(),
            "sent_to_scheduler": list(rule.cycle.expressions()),
            "next_fire_times": times,
        }


def _same_wish(one: Rule, other: Rule) -> bool:
    same = replace(other, state=one.state, revision=one.revision, created_at=one.created_at)
    return same == one
