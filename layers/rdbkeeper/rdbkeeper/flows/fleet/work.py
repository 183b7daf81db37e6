"""Carries out what a plan says, and makes what one rule runs on follow its row in the table."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from rdbkeeper.domain.backup_first import MadeBackup
from rdbkeeper.domain.claim import Claim, make_claim
from rdbkeeper.domain.errors import HookFailed, NotOurs, RdbkeeperError
from rdbkeeper.domain.fleet.changes import (
    Change,
    KeepLogs,
    LeaveAlone,
    MakeFunction,
    PutAlarm,
    PutSchedule,
    Release,
    RemoveAlarm,
    RemoveFunction,
    RemoveSchedule,
    RemoveVersion,
    UpdateFunction,
)
from rdbkeeper.domain.fleet.parts import Fleet, ScheduleSent
from rdbkeeper.domain.fleet.plan import Registry, plan
from rdbkeeper.domain.fleet.settings import FleetSettings, schedule_names
from rdbkeeper.domain.rule import Place, Rule, RuleState
from rdbkeeper.domain.status import Block, find_vault_block
from rdbkeeper.flows.thaw import thaw
from rdbkeeper.flows.uploads import give_up_uploads
from rdbkeeper.flows.vaults.claims import check_place_is_unclaimed, claim_place, release_place
from rdbkeeper.ports import Adapters, Clock, FleetServices, Journal, Record, RuleTable, RunTable, Upload, VaultTable

# What was made is looked at again until nothing is left to do; each round settles what the one before made possible.
MOST_ROUNDS = 5


@dataclass(frozen=True)
class FleetWork:
    """Makes, changes and removes what rules run on."""

    stack: FleetSettings
    rules: RuleTable
    runs: RunTable
    vaults: VaultTable
    services: FleetServices
    adapters: Adapters
    journal: Journal
    clock: Clock

    # ------------------------------------------------------------- one rule

    def follow(self, rule_name: str) -> Record:
        """Make the fleet equal one rule's row as it is now; returns what is there for it.

        Looks again after each round, so that a change of the row meanwhile, or a lost answer, is found. Raises
        FleetError, and NotOurs when a stranger's thing lies under a name that the rule needs; asked of what was there
        before alone, since the tags of what was made just now may take a while to be shown.
        """
        prototype, fleet = self.services.prototype(), self.services.look_closely(rule_name)
        made_something = False
        for _ in range(MOST_ROUNDS):
            rule = self.rules.find_rule(rule_name)
            changes = plan(self._registry(rule_name, rule), prototype, fleet)
            if not made_something and rule is not None and rule.state is not RuleState.DELETING:
                _refuse_strangers(changes)
            # An old version may be wanted by a run that was accepted this very second: reconciling removes it later.
            done = [change for change in changes if not isinstance(change, RemoveVersion) and self.apply(change)]
            if not done:
                break
            made_something = True
            fleet = self.services.look_closely(rule_name)
        else:
            self.journal.bind(rule=rule_name).warning(
                "FleetUnsettled", f"What the rule {rule_name} runs on keeps changing; reconciling goes on with it."
            )
        return self._describe(rule_name, fleet)

    def check_names_are_free(self, rule: Rule) -> None:
        """Raise NotOurs when a stranger's thing lies under a name that a rule that is still to be made needs."""
        wish = Registry((rule,), self.clock.now())
        _refuse_strangers(plan(wish, self.services.prototype(), self.services.look_closely(rule.name)))

    def finish_deletion(self, rule: Rule) -> Record:
        """Take down everything that a rule marked as deleted runs on, then its row; returns what is told of it.

        May be cut off anywhere and repeated.
        """
        stopped = self._count_going(rule.name)
        self.follow(rule.name)
        deletion = {
            "deleted": rule.name,
            "stopped_runs": stopped,
            "copies_stay_at": {"vault": rule.vault, "path": rule.place.path},
        }
        self._thaw_for(rule.name)
        made = [one for one in self.runs.made_backups(rule.name) if not one.is_removed]
        if made:
            deletion["backups_stay_at"] = self._tell_that_they_stay(rule, made)
        uploads = self.runs.remembered_uploads(rule.name)
        there = self.rules.find_rule(rule.name)
        if there is None or there.state is not RuleState.DELETING:
            return deletion  # somebody else has finished it, and perhaps made a rule of that name anew
        self.let_go_of_vault(rule, uploads)
        self.rules.remove_rule(rule.name, rule.revision, deletion)
        return deletion

    def _thaw_for(self, rule_name: str) -> None:
        """Thaw what a stopped run has frozen. A hook that fails keeps no rule from going: the hourly look goes on."""
        freeze = self.runs.find_freeze(rule_name)
        if freeze is not None:
            journal = self.journal.bind(rule=rule_name)
            try:
                thaw(rule_name, freeze, self.rules, self.runs, self.adapters.hooks, journal, self.clock.now())
            except HookFailed as error:
                journal.error("WritesStillFrozen", str(error), reason=error.code)

    def _tell_that_they_stay(self, rule: Rule, made: Sequence[MadeBackup]) -> list[Record]:
        """Log what nobody will remove at its provider any more, and say it for an answer."""
        journal = self.journal.bind(rule=rule.name)
        for one in made:
            line = f"The backup {one.name} stays at the provider: its rule is deleted; remove it by hand."
            journal.info("MadeBackupStays", line)
        return [
            {"provider": one.provider or rule.provider, "instance": one.instance or rule.instance, "backup": one.name}
            for one in made
        ]

    def let_go_of_vault(self, rule: Rule, uploads: Sequence[Upload]) -> None:
        """Give up uploads and take a rule's claim off its place. A vault that fails keeps no rule from going."""
        try:
            vault = self.adapters.vault(rule.vault)
        except RdbkeeperError as error:
            self._warn_of_claim(rule, rule.place, error)
            return
        give_up_uploads(rule, uploads, vault, self.runs, self.journal)
        self._release_place(rule)

    def _count_going(self, rule_name: str) -> int:
        try:
            return 0 if self.services.find_going_run(rule_name) is None else 1
        except NotOurs:
            return 0

    def _registry(self, rule_name: str, rule: Rule | None) -> Registry:
        now = self.clock.now()
        if self.rules.fleet_has_ended():
            return Registry((), now, {}, frozenset({rule_name}))  # its stack goes, so nothing is made for it any more
        if rule is not None:
            return Registry((rule,), now, {rule_name: self.rules.find_sent_schedules(rule_name)})
        deleted = self.rules.find_deletion(rule_name) is not None
        return Registry((), now, {}, frozenset({rule_name} if deleted else ()))

    def _describe(self, rule_name: str, fleet: Fleet) -> Record:
        function = fleet.functions.get(self.stack.function_name(rule_name))
        return {
            "function": function.name if function else None,
            "version": function.alias_version if function else None,
            "log_group": self.stack.log_group(rule_name),
            "schedules": [name for name in schedule_names(rule_name) if name in fleet.schedules],
            "alarm": next(iter(fleet.alarms), None),
        }

    def name_run(self, rule: Rule, wish: str) -> str:
        """The name of the run that is started for a wish, the same for the same wish.

        Executions are named within the account, where other stacks, and former rules of that name, have theirs.
        """
        whole = f"{self.stack.stack}\n{rule.name}\n{rule.created_at.isoformat()}\n{wish}"
        return f"{rule.name}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"

    # --------------------------------------------------------------- vaults

    def find_vault_block(self, vault: str) -> Block | None:
        """What keeps rules from working with a vault, as its last probe saw it, or None."""
        return find_vault_block(
            vault, is_bound=self.vaults.find_vault(vault) is not None, probe=self.vaults.find_probe(vault)
        )

    def check_place_is_unclaimed(self, rule: Rule) -> None:
        """Raise PlaceTaken when another stack's claim is on a rule's place, or that of a rule that is there."""
        vault, path = self.adapters.vault(rule.vault), rule.place.path
        check_place_is_unclaimed(vault, path, self._claim_of(rule), partial(self._has_left, rule.place))

    def claim_place(self, rule: Rule, *, take_over: bool = False) -> bool:
        """Put a rule's claim on its place; False when it was there. Raises PlaceTaken as `claims.claim_place` does."""
        vault, path = self.adapters.vault(rule.vault), rule.place.path
        has_left = partial(self._has_left, rule.place)
        if not claim_place(vault, path, self._claim_of(rule), take_over=take_over, has_left=has_left):
            return False
        there = self.rules.find_rule(rule.name)
        if there is None or there.state is RuleState.DELETING or there.place != rule.place:
            self.leave_place(rule, rule.place)  # deleted or moved meanwhile, by somebody who found no claim to take off
            return False
        return True

    def _has_left(self, place: Place, rule_name: str) -> bool:
        """True unless a rule of that name keeps copies at that place, whatever it calls the vault."""
        rule = self.rules.find_rule(rule_name)
        return rule is None or not self._may_be_one(rule.place, place)

    def _may_be_one(self, place: Place, other: Place) -> bool:
        """True unless they are surely two: one bucket may be bound by two names, or spellings of its endpoint."""
        if place.path != other.path or place.vault == other.vault:
            return place == other
        first, second = self.vaults.find_vault(place.vault), self.vaults.find_vault(other.vault)
        return first is not None and second is not None and first.bucket == second.bucket

    def release_former_places(self, rule: Rule, vaults: Collection[str] | None = None) -> None:
        """Take a rule's claims off the places it has left; off those in some vaults alone, where these are given."""
        for place in rule.former_places:
            if vaults is None or place.vault in vaults:
                self.leave_place(rule, place)

    def leave_place(self, rule: Rule, place: Place) -> None:
        """Take a rule's claim off a place, unless the rule keeps its copies there by now; tells what it cannot."""
        try:
            there = self.rules.find_rule(rule.name)
            is_left = there is None or there.state is RuleState.DELETING or not self._may_be_one(there.place, place)
            if is_left:
                release_place(self.adapters.vault(place.vault), place.path, self._claim_of(rule))
        except RdbkeeperError as error:
            self._warn_of_claim(rule, place, error)

    def _release_place(self, rule: Rule) -> None:
        try:
            release_place(self.adapters.vault(rule.vault), rule.place.path, self._claim_of(rule))
        except RdbkeeperError as error:
            self._warn_of_claim(rule, rule.place, error)

    def _warn_of_claim(self, rule: Rule, place: Place, error: RdbkeeperError) -> None:
        message = f"The claim of {rule.name} on {place.path!r} of vault {place.vault} stays for now: {error}"
        self.journal.bind(rule=rule.name).warning("ClaimLeft", message, reason=error.code)

    def _claim_of(self, rule: Rule) -> Claim:
        return make_claim(self.stack.stack, self.stack.stack_id, rule, self.clock.now())

    # ---------------------------------------------------------- one change

    def apply(self, change: Change) -> bool:
        """Carry out one change; False when there was nothing to do, or nothing that may be done yet."""
        done = self._carry_out(change)
        journal = self.journal.bind(rule=change.rule)
        if done:
            journal.info(change.code, change.reason, target=change.target)
        elif isinstance(change, LeaveAlone):
            journal.warning(change.code, change.reason, target=change.target)
        return done

    def _carry_out(self, change: Change) -> bool:
        services, rule = self.services, change.rule
        match change:
            case LeaveAlone():
                return False
            case KeepLogs():
                services.keep_logs(rule)
            case MakeFunction():
                services.make_function(rule, change.settings)
            case UpdateFunction():
                services.update_function(rule, change.settings, change.differences)
            case Release():
                services.release(rule)
            case RemoveVersion():
                return services.remove_version(rule, change.version)
            case RemoveFunction():
                services.stop_runs(rule)
                services.remove_function(rule)
            case PutSchedule():
                self._put_schedule(change)
            case RemoveSchedule():
                services.remove_schedule(change.target)
            case PutAlarm():
                services.put_alarm(rule, change.alarm)
            case RemoveAlarm():
                services.remove_alarm(rule, change.target)
            case _:
                assert_never(change)
        return True

    def _put_schedule(self, change: PutSchedule) -> None:
        """Put a schedule, then on record what was sent: cut off between the two, it is put once more."""
        modified_at = self.services.put_schedule(change.schedule, self.clock.now())
        sent = {**self.rules.find_sent_schedules(change.rule)}
        sent[change.target] = ScheduleSent(change.schedule.fingerprint, modified_at)
        self.rules.record_sent_schedules(change.rule, sent)


def _refuse_strangers(changes: Iterable[Change]) -> None:
    for change in changes:
        if isinstance(change, LeaveAlone) and change.code == NotOurs.__name__:
            raise NotOurs(
                change.reason,
                field="name",
                hint="It is left alone. Choose another rule name, or remove it yourself.",
            )
