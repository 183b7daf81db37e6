"""The last step of a backup on demand: what was made goes from the provider once its copy is verified."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from rdbkeeper.domain.backup import Backup, BackupState, Instance
from rdbkeeper.domain.backup_first import DAY, FORGOTTEN_AFTER, MadeBackup
from rdbkeeper.domain.catalog import Level, Mark, manifest_key, mark_key
from rdbkeeper.domain.errors import InstanceNotFound, RdbkeeperError, TableError
from rdbkeeper.domain.fleet.settings import RULE_TAG, STACK_TAG
from rdbkeeper.domain.outcome import Outcome, Status
from rdbkeeper.domain.rule import Rule
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.ports import Record


@dataclass(frozen=True)
class RemoveMadeBackups:
    """Removes at the provider what was made there for a rule; never what bears other tags."""

    context: RunContext

    def run(self, rule: Rule, tried: Sequence[Outcome], to_copy: Collection[str]) -> Record:
        """Remove each backup that was made and has, or has had, a verified copy; the others stay, and their record too.

        `tried` is what became of what this run copied, and `to_copy` are the ids of what it was to copy: what is wanted
        once more, as its former copy was damaged or lies elsewhere, stays until it has another. Of those that were made
        of another instance, to which the rule pointed before, people are told.
        """
        verified = {one.backup_id for one in tried if one.status is Status.COPIED and one.level == Level.VERIFIED}
        try:
            self.context.renew_lease()
            every = self.context.runs.made_backups(rule.name)
        except TableError as error:  # the copies are made: a later run removes what this one cannot
            self._tell_that_it_is_left("What was made", error)
            return {}
        for made in every:
            try:
                if made.listed_id in verified:
                    # On record before the provider is asked: the copy may go before it answers.
                    self._settle(rule, self._note_verified(rule, made))
                else:
                    was_verified = made.is_verified and made.listed_id not in to_copy
                    self._settle(rule, replace(made, is_verified=was_verified))
            except RdbkeeperError as error:
                self._tell_that_it_is_left(f"The backup {made.name}", error)
        return {}

    def _tell_that_it_is_left(self, what: str, error: RdbkeeperError) -> None:
        self.context.journal.warning("MadeBackupLeft", f"{what} stays for now: {error}", reason=error.code)

    def _settle(self, rule: Rule, made: MadeBackup) -> None:
        if made.is_removed:
            if self.context.clock.now() - made.asked_at >= DAY:
                self.context.runs.forget_made_backup(rule.name, made.name)
            return
        if rule.is_live or not made.is_of(rule.provider, rule.instance):
            whose = f" of {made.instance}" if made.instance else ""
            self._tell_that_it_stays(made, f"the rule no longer copies the backups{whose}; remove it by hand")
            self.context.runs.forget_made_backup(rule.name, made.name)
            return
        instance = get_instance(self.context, rule)
        backup = self.context.source(rule).find_requested_backup(instance, made.name)
        age = self.context.clock.now() - made.asked_at
        if backup is None:
            if age <= DAY:
                return  # one that was just asked for may not be listed yet, and any listing may lack one
        elif backup.state is BackupState.FAILED or self._is_copied(rule, made, backup):
            self._remove(rule, instance, made)
            return
        elif age <= FORGOTTEN_AFTER:
            return
        else:
            self._tell_that_it_stays(made, "it has no verified copy after 35 days; remove it by hand")
        self.context.runs.forget_made_backup(rule.name, made.name)

    def _note_verified(self, rule: Rule, made: MadeBackup) -> MadeBackup:
        verified = replace(made, is_verified=True)
        self.context.runs.record_made_backup(rule.name, verified)
        return verified

    def _is_copied(self, rule: Rule, made: MadeBackup, backup: Backup) -> bool:
        """Whether there is a verified copy, or was one that retention or a person removed, and none that is damaged."""
        if backup.state is not BackupState.COMPLETE or backup.taken_at is None:
            return False
        vault, path = self.context.vault(rule), rule.place.path
        if not made.is_verified:
            if vault.find_object(manifest_key(path, backup.copy_id, Level.VERIFIED)) is None:
                return False
            self._note_verified(rule, made)
        return vault.find_object(mark_key(path, Mark.DAMAGED, backup.copy_id)) is None

    def _remove(self, rule: Rule, instance: Instance, made: MadeBackup) -> None:
        if self.context.source(rule).remove_backup(instance, made.name, tags_of_made(self.context, rule)):
            self.context.journal.info("MadeBackupRemoved", f"The backup {made.name} was removed at the provider.")
            # The provider goes on counting it for the day's quota.
            self.context.runs.record_made_backup(rule.name, replace(made, is_removed=True))
        else:
            self._tell_that_it_stays(made, "it has lost this stack's tags, or the provider removes it by itself")
            self.context.runs.forget_made_backup(rule.name, made.name)

    def _tell_that_it_stays(self, made: MadeBackup, why: str) -> None:
        self.context.journal.info("MadeBackupStays", f"The backup {made.name} stays at the provider: {why}.")


def get_instance(context: RunContext, rule: Rule) -> Instance:
    """The rule's instance. Raises InstanceNotFound."""
    instance = context.find_instance(rule)
    if instance is None:
        raise InstanceNotFound(
            f"There is no instance {rule.instance} to back up.",
            hint="If it was deleted, delete the rule or point it at another instance.",
        )
    return instance


def tags_of_made(context: RunContext, rule: Rule) -> dict[str, str]:
    """The tags that tell the backups that a rule has made from everybody else's."""
    return {STACK_TAG: context.stack_name, RULE_TAG: rule.name}
