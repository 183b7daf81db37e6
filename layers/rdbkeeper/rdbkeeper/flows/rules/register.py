"""Creates, edits, pauses, resumes and deletes rules. The row in the table comes first, then the fleet follows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rdbkeeper.domain.errors import (
    NameTaken,
    RdbkeeperError,
    RevisionStale,
    RuleBusy,
    RuleNotReady,
)
from rdbkeeper.domain.rule import Rule, RuleState, check_place_is_free
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.status import VAULT_BLOCKS
from rdbkeeper.flows.rules.collisions import stale, take_up
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.flows.rules.create_many import RESERVE_S, Wanted, create_each
from rdbkeeper.flows.rules.describe import describe_rule
from rdbkeeper.flows.rules.foresee import foresee_narrowing, is_narrowing
from rdbkeeper.ports import Record

# People who take places in the same second get in each other's way; after so many tries one is told.
PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


@dataclass(frozen=True)
class _Begun:
    """A rule's row that is there, and whether this request put it."""

    rule: Rule
    is_ours: bool


@dataclass(frozen=True)
class RegisterRules:
    """What changes rules. Every method answers plain data, and raises RequestError for what cannot be."""

    context: RulesContext

    # ---------------------------------------------------------------- create

    def create(self, rule: Rule, *, take_over: bool = False) -> Record:
        """Register a rule and make what it runs on; all of it or nothing but an empty log group.

        `take_over` replaces another stack's claim on its place. The same request again gives the same result, whether
        the first was cut off or its answer was lost.
        """
        return self._make(self._begin(rule, take_over=take_over), take_over=take_over)

    def create_many(
        self, wanted: Wanted, wait_s: int, seconds_left: Callable[[], float], *, take_over: bool = False
    ) -> Record:
        """Create each rule for itself; the answer says which were made, and why the others were not.

        None is begun any more after `wait_s` seconds: whoever asked may not wait for longer.
        """
        clock = self.context.clock
        deadline = clock.monotonic() + wait_s
        results = create_each(
            self.context,
            wanted,
            lambda rule: self._begin(rule, take_over=take_over),
            lambda begun: self._make(begun, take_over=take_over),
            lambda: clock.monotonic() <= deadline and seconds_left() >= RESERVE_S,
        )
        failed = sum("error" in result for result in results)
        return {"results": results, "created": len(results) - failed, "failed": failed}

    def _begin(self, rule: Rule, *, take_over: bool) -> _Begun:
        """The rule's row, put now or by an earlier request of the same wish."""
        context = self.context
        existing = context.rules.find_rule(rule.name)
        if existing is not None:
            return _Begun(take_up(existing, rule), is_ours=False)
        if context.rules.fleet_has_ended():
            raise RuleNotReady(
                f"The stack {context.fleet.stack.stack} is being deleted.", hint="Deploy it again first."
            )
        context.check_wish(rule, take_over=take_over)
        context.fleet.check_names_are_free(rule)
        return self._register(rule)

    def _register(self, rule: Rule) -> _Begun:
        """Put the rule's row, unless its name or place is taken."""
        rules = self.context.rules
        for pause_s in PAUSES_S:
            revision = rules.registry_revision()
            others = rules.rules()
            existing = next((other for other in others if other.name == rule.name), None)
            if existing is not None:
                return _Begun(take_up(existing, rule), is_ours=False)
            check_place_is_free(rule, others)
            self.context.get_vault(rule.vault, "vault")
            try:
                rules.create_rule(rule, revision)
            except (RuleBusy, NameTaken):
                self.context.pause(pause_s)
                continue
            return _Begun(rule, is_ours=True)
        raise RuleBusy("Others are registering rules at this moment.", hint="Send the request again.")

    def _make(self, begun: _Begun, *, take_over: bool) -> Record:
        """Claim a registered rule's place, make what it runs on, and mark it as active.

        Only who put the row undoes it: whoever took it up would take down what the first is making.
        """
        rule = begun.rule
        try:
            self._claim(rule, take_over=take_over)
            made = self.context.fleet.follow(rule.name)
        except RdbkeeperError as error:
            if begun.is_ours:
                self._undo_create(rule, error)
            raise
        active = self._activate(rule) if rule.state is RuleState.CREATING else rule
        if rule.state is RuleState.CREATING:
            self._log(active, "RuleCreated", f"The rule {rule.name} is registered and its timer set.")
            self._note_vault(active)
        return self._answer(active, made)

    def _activate(self, registered: Rule) -> Rule:
        """Mark the rule as active, unless somebody has deleted it while its function was being made."""
        active = registered.in_state(RuleState.ACTIVE)
        try:
            self.context.rules.replace_rule(active, registered.revision)
        except RuleBusy:
            there = self.context.rules.find_rule(registered.name)
            if there is not None and there.state is not RuleState.DELETING and there.is_same_wish(active):
                return there  # the same request, sent twice, or reconciling, was faster
            if there is None or there.state is RuleState.DELETING:
                self.context.fleet.follow(registered.name)
            raise
        return active

    def _undo_create(self, rule: Rule, error: RdbkeeperError) -> None:
        deleting = rule.in_state(RuleState.DELETING)
        try:
            self.context.rules.replace_rule(deleting, rule.revision)
            self.context.fleet.finish_deletion(deleting)
        except RuleBusy:
            self._warn(rule, "UndoLeft", f"The rule {rule.name} is somebody else's by now and is left as it is.")
        except RdbkeeperError as second:
            self._warn(
                rule, "UndoCutOff", f"Undoing it failed as well; reconciling goes on with it: {second}", second.code
            )
        else:
            self._warn(rule, "CreateUndone", f"Making the rule {rule.name} failed and is undone: {error}", error.code)

    # ------------------------------------------------------------------ edit

    def update(self, name: str, revision: int, edit: RuleEdit, *, take_over: bool = False) -> Record:
        """Edit a rule as the person read it at `revision`. Raises RevisionStale when it was changed since.

        The same request again gives the same result. While the rule keeps copies only by what it said before, the
        answer tells what it `will_remove`, and `removes_from` when.
        """
        context = self.context
        rule = context.get_settled_rule(name)
        edited = edit.apply_to(rule, context.clock.now())
        if edited is rule and rule.revision in (revision, revision + 1):
            # It says so already, perhaps by this very request.
            self._claim(rule, take_over=take_over)
            context.fleet.release_former_places(rule)
            return {**self._answer(rule, context.fleet.follow(name)), **self._foresee_narrowing(rule)}
        if rule.revision != revision:
            raise stale(rule, revision)
        if edited.cycle != rule.cycle:
            edited.cycle.get_next_fire_times(context.clock.now(), 1)
        if edited.role != rule.role:
            context.fleet.stack.check_role(edited.role)
        if edited.backup_first != rule.backup_first:
            context.fleet.stack.check_hooks(edited.backup_first)
        if edited.provider != rule.provider:
            context.fleet.stack.get_network(is_live=edited.is_live)
        if (edited.provider, edited.instance, edited.access) != (rule.provider, rule.instance, rule.access):
            context.get_instance(edited)
        if edited.place != rule.place:
            context.check_new_place(edited, take_over=take_over)
        message = f"The rule {name} is at revision {edited.revision}."
        answer = self._change(rule, edited, "RuleUpdated", message, take_over=take_over)
        return {**answer, **self._foresee_narrowing(edited)}

    def _foresee_narrowing(self, rule: Rule) -> Record:
        """What goes because of a narrower retention, and when; nothing where it was not narrowed."""
        now = self.context.clock.now()
        if not is_narrowing(rule, now):
            return {}
        try:
            entries = self.context.adapters.vault(rule.vault).catalog(rule.place.path).entries
        except RdbkeeperError as error:
            # The edit is done, and nothing goes before the grace period is over: `preview` can tell it later.
            return {"will_remove": None, "why_unknown": f"The copies cannot be listed at this moment: {error}"}
        return foresee_narrowing(rule, entries, now)

    def pause(self, name: str) -> Record:
        """Switch a rule's timer off. A run that is going ends by itself; `run` still starts one by hand."""
        return self._set_state(name, RuleState.PAUSED, "RulePaused", f"The rule {name} is paused.")

    def resume(self, name: str) -> Record:
        """Switch a rule's timer on again."""
        return self._set_state(name, RuleState.ACTIVE, "RuleResumed", f"The rule {name} is active again.")

    def _set_state(self, name: str, state: RuleState, code: str, message: str) -> Record:
        for pause_s in PAUSES_S:
            rule = self.context.get_settled_rule(name)
            if rule.state is state:
                return self._answer(rule, self.context.fleet.follow(name))
            since = self.context.clock.now() if state is RuleState.ACTIVE else rule.watched_since
            changed = replace(rule.in_state(state), watched_since=since)
            try:
                return self._change(rule, changed, code, message)
            except RevisionStale:
                # Whoever pauses or resumes a rule means it as it is, whatever somebody else just changed.
                self.context.pause(pause_s)
        raise RuleBusy(f"Others are changing the rule {name} at this moment.", hint="Send the request again.")

    def _change(self, before: Rule, after: Rule, code: str, message: str, *, take_over: bool = False) -> Record:
        """Put the changed row and let the fleet follow; when it cannot, put the row back as it was."""
        self._put(before, after)
        try:
            if after.place != before.place:
                self._claim(after, take_over=take_over)
            made = self.context.fleet.follow(after.name)
        except RdbkeeperError as error:
            self._put_back(before, after, error)
            raise
        if not after.has_same_target(before) or (after.access, after.role) != (before.access, before.role):
            self.context.rules.record_block(after.name, None)  # what blocked it was said of the rule as it was
        if after.place != before.place:
            self.context.fleet.leave_place(before, before.place)
            self._note_vault(after)
        self._log(after, code, message)
        return self._answer(after, made)

    def _put(self, before: Rule, after: Rule) -> None:
        """Put a row in place of the one that was read. Raises RevisionStale, PlaceTaken."""
        rules = self.context.rules
        for pause_s in PAUSES_S:
            registry = None
            if after.place != before.place:
                registry = rules.registry_revision()
                check_place_is_free(after, rules.rules())
                self.context.get_vault(after.vault, "vault")
            try:
                rules.replace_rule(after, before.revision, registry)
            except RuleBusy:
                there = self.context.get_rule(before.name)
                if there.revision != before.revision:
                    raise stale(there, before.revision) from None
                # Somebody took another place meanwhile: look again whether ours is free.
                self.context.pause(pause_s)
                continue
            return
        raise RuleBusy("Others are registering rules at this moment.", hint="Send the request again.")

    def _put_back(self, before: Rule, after: Rule, error: RdbkeeperError) -> None:
        try:
            self._put(after, replace(before, revision=after.revision + 1))
            if after.place != before.place:
                self.context.fleet.leave_place(after, after.place)
            self.context.fleet.follow(before.name)
        except RdbkeeperError as second:
            self._warn(
                after, "UndoCutOff", f"Undoing it failed as well; reconciling goes on with it: {second}", second.code
            )
        else:
            self._warn(after, "ChangeUndone", f"Changing {after.name} failed and is undone: {error}", error.code)

    # ---------------------------------------------------------------- delete

    def delete(self, name: str) -> Record:
        """Remove a rule's schedule, stop what runs, then remove its function. Its copies and its log stay.

        The same request again gives the same result. One that fails halfway stays on record and is finished by
        reconciling, or by sending it again.
        """
        deleting = self._mark_as_deleted(name)
        if deleting is None:
            deletion = self.context.rules.find_deletion(name)
            if deletion is None:
                self.context.get_rule(name)  # raises RuleNotFound
                raise RuleBusy(f"The rule {name} was made at this moment.", hint="Send the request again.")
            self.context.fleet.follow(name)
            return deletion
        deletion = self.context.fleet.finish_deletion(deleting)
        self._log(deleting, "RuleDeleted", f"The rule {name} is deleted; its copies stay.")
        return deletion

    def _mark_as_deleted(self, name: str) -> Rule | None:
        """The rule's row, marked by now, whatever somebody else just changed in it; None when there is none."""
        rules = self.context.rules
        for pause_s in PAUSES_S:
            rule = rules.find_rule(name)
            if rule is None or rule.state is RuleState.DELETING:
                return rule
            deleting = rule.in_state(RuleState.DELETING)
            try:
                rules.replace_rule(deleting, rule.revision)
            except RuleBusy:
                self.context.pause(pause_s)
                continue
            return deleting
        raise RuleBusy(f"Others are changing the rule {name} at this moment.", hint="Send the request again.")

    # --------------------------------------------------------------- private

    def _claim(self, rule: Rule, *, take_over: bool) -> None:
        """Put the rule's claim on its place; where its vault is known to be offline, once that is back."""
        block = self.context.fleet.find_vault_block(rule.vault)
        if block is None:
            self.context.fleet.claim_place(rule, take_over=take_over)
        else:
            self._warn(rule, "PlaceUnclaimed", f"{rule.name} claims its place later. {block.message}", block.code)

    def _note_vault(self, rule: Rule) -> None:
        """Show a rule as blocked from the beginning whose vault is offline."""
        block = self.context.fleet.find_vault_block(rule.vault)
        if block is not None:
            self.context.rules.record_block(rule.name, block)
            self._warn(rule, "RuleBlocked", f"{block.message} Hint: {block.hint}", block.code)

    def _answer(self, rule: Rule, made: Record) -> Record:
        status, freeze = self.context.rules.find_status(rule.name), self.context.runs.find_freeze(rule.name)
        told = describe_rule(rule, status, freeze, self.context.clock.now(), self.context.find_lock_notes(rule))
        if status.block is not None and status.block.code in VAULT_BLOCKS:
            told["notes"].append("It claims its place and goes on by itself once its vault is available again.")
        return {"rule": told, "made": made}

    def _log(self, rule: Rule, code: str, message: str) -> None:
        self.context.journal.bind(rule=rule.name).info(code, message)

    def _warn(self, rule: Rule, code: str, message: str, reason: str = "") -> None:
        self.context.journal.bind(rule=rule.name).warning(code, message, reason=reason)
