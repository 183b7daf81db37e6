"""Decides what there is to copy, once the run has its rule to itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rdbkeeper.domain.backup import Backup, BackupState, Instance
from rdbkeeper.domain.backup_first import ids_of_others
from rdbkeeper.domain.catalog import Catalog
from rdbkeeper.domain.errors import BackupGone, InstanceNotFound, RdbkeeperError
from rdbkeeper.domain.live_backup import plan_live_backup
from rdbkeeper.domain.outcome import Outcome, count_statuses, has_failed
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.selection import leave, select
from rdbkeeper.domain.status import (
    POSTPONING,
    Block,
    RunReport,
    RunState,
    block_for_missing_instance,
    find_instance_block,
    find_kept_copies,
    owe_run,
)
from rdbkeeper.flows.runs.clean_up import MOST_PAST_RUNS, CleanUp, PastRuns
from rdbkeeper.flows.runs.context import RunContext, Ticket, chain_tag, made_tag, rule_tag
from rdbkeeper.flows.runs.keepers import whole_copies
from rdbkeeper.flows.runs.locks import lock_what_is_not
from rdbkeeper.flows.runs.retain import has_something_to_go
from rdbkeeper.ports import Record


@dataclass
class BackupList:
    """The backups of the rule's instance, listed once in an invocation: the steps of one share what it read."""

    context: RunContext
    _made_ids: frozenset[str] = field(default=frozenset(), init=False)
    _by_copy_id: dict[str, Backup] = field(default_factory=dict, init=False)

    def read(self, rule: Rule, instance: Instance) -> list[Backup]:
        """List every backup of the instance, in any state."""
        backups = self._with_consistency(rule, self.context.source(rule).backups(instance))
        self._by_copy_id = {backup.copy_id: backup for backup in backups if backup.taken_at is not None}
        return backups

    def has_made(self, rule: Rule) -> bool:
        """Whether backups are on record that the rule's runs have asked for, of its instance or a former one."""
        if rule.is_live and rule.has_moved:
            return bool(self.context.runs.made_backups(rule.name))
        return bool(self._made_ids)

    def made_among(self, backups: Iterable[Backup]) -> list[str]:
        """The ids of those that the rule's runs have asked for."""
        return [one.backup_id for one in backups if one.backup_id in self._made_ids]

    def _with_consistency(self, rule: Rule, backups: list[Backup]) -> list[Backup]:
        """The backups, those that were asked for as consistent as their runs saw to."""
        if rule.backup_first is None and not rule.has_moved and all(one.automatic for one in backups):
            return backups
        every = self.context.runs.made_backups(rule.name)
        self._made_ids = frozenset(one.listed_id for one in every)
        made = {one.backup_id: one for one in every}
        return [
            backup.with_consistency(one.consistency, one.reason) if (one := made.get(backup.backup_id)) else backup
            for backup in backups
        ]

    def get(self, rule: Rule, ticket: Ticket) -> Backup:
        """The ticket's backup; in a fresh invocation the list is read again. Raises BackupGone."""
        if ticket.copy_id not in self._by_copy_id:
            self.read(rule, self._get_instance(rule))
        if ticket.copy_id not in self._by_copy_id:
            raise BackupGone(
                f"The backup {ticket.backup_id} of {rule.instance} is no longer in the provider's list.",
                hint="It was deleted or has expired at the source before it could be copied.",
            )
        return self._by_copy_id[ticket.copy_id]

    def _get_instance(self, rule: Rule) -> Instance:
        instance = self.context.find_instance(rule)
        if instance is None:
            raise InstanceNotFound(
                f"The instance {rule.instance} went away while its backups were being copied.",
                hint="If it was deleted, its automatic backups went with it and the copies stay.",
            )
        return instance


@dataclass(frozen=True)
class ScanStep:
    """Finds out what there is to copy."""

    context: RunContext
    backups: BackupList
    clean_up: CleanUp

    def begin(self) -> Record:
        """Note when the run began, so that every report of it says the same."""
        return {"started_at": self.context.clock.now().replace(microsecond=0).isoformat()}

    def run(self, began: Record, missed: Sequence[Outcome] = ()) -> Record:
        """Clean up after runs that were cut off, and decide what to copy, with reasons. Raises RuleGone, LeaseLost.

        `missed` is what went wrong before with the backup that this run was to have made.
        """
        self.context.renew_lease()
        rule = self.context.get_wanted_rule()
        self.context.journal.info("RunStarted", f"Scanning the backups of {rule.instance}.")
        report = RunReport(self.context.run_id, datetime.fromisoformat(began["started_at"]), RunState.GOING)
        past = self._find_past_runs(rule)
        self.context.runs.record_run(rule.name, report)
        self.clean_up.end_uploads(rule)
        instance = self.context.find_instance(rule)
        if instance is None:
            return self._postpone(rule, report, block_for_missing_instance(rule), missed)
        block = find_instance_block(rule, instance)
        if block is not None and block.code in POSTPONING:
            return self._postpone(rule, report, block, missed)
        catalog = self.context.vault(rule).catalog(rule.place.path)
        backups = self._find_backups(rule, instance, catalog, report.started_at)
        now, tried = self.context.clock.now(), frozenset(self.context.request.tried)
        own = made_tag(self.context.stack_name, rule.name)
        others = ids_of_others(backups, own, now)
        selection = select(backups, catalog, rule.retention, rule.cycle.time_zone, now, tried, past.failed, others)
        self.clean_up.finish_removals(rule, catalog)
        if past.is_first_of_day:
            to_make = {backup.copy_id for backup in (*selection.to_copy, *selection.left)}
            self.clean_up.remove_left_overs(rule, instance, catalog, to_make | tried)
        lock_what_is_not(rule, self.context.vault(rule), catalog.entries, self.context.clock, self.context.journal)
        self.context.rules.record_block(rule.name, block)
        goes_on = self.context.request.may_hand_over
        left = [leave(backup.backup_id, backup.copy_id, to_successor=goes_on) for backup in selection.left]
        decided = [*selection.decided, *left]
        for outcome in decided:
            self.context.log_outcome(outcome)
        return {
            "rule": rule.as_record(),
            "to_copy": [self._ticket(backup).as_record() for backup in selection.to_copy],
            "is_full": bool(left),
            "decided": count_statuses(decided),
            "kept": find_kept_copies(rule.place.path, whole_copies(catalog.entries)).as_record(),
            "store_sum": self.context.vault(rule).capabilities.sum.value,
            "listed": [one.copy_id for one in backups if one.state is BackupState.COMPLETE and one.taken_at],
            "live": selection.to_copy[0].as_record() if rule.is_live and selection.to_copy else None,
            "made": self.backups.has_made(rule),
            "made_to_copy": self.backups.made_among((*selection.to_copy, *selection.left)),
            "retains": has_something_to_go(rule, catalog.entries, now),
            "notes": self._note_on(instance, backups, missed),
        }

    def _note_on(self, instance: Instance, backups: Sequence[Backup], missed: Sequence[Outcome]) -> list[str]:
        """What a run's line is to say of an instance that has not been backed up yet, and will be."""
        if backups or missed or not instance.backups_enabled:
            return []
        window = f" ({instance.backup_window})" if instance.backup_window else ""
        comes = f"its next automatic backup comes in its backup window{window}; `backup_now` takes one at once"
        self.context.journal.warning("NoBackupsYet", f"The instance {instance.name} has no backups. Hint: {comes}.")
        return [f"none made yet ({comes})"]

    def _find_backups(self, rule: Rule, instance: Instance, catalog: Catalog, started_at: datetime) -> list[Backup]:
        """What the provider lists; of a server that is reached directly the one backup that this run takes."""
        if rule.is_live:
            scheduled_at, now = self.context.request.scheduled_at, self.context.clock.now()
            return [plan_live_backup(rule, instance, catalog, scheduled_at, started_at, now)]
        return self.backups.read(rule, instance)

    def _find_past_runs(self, rule: Rule) -> PastRuns:
        """What the rule's history tells of the runs before; it need not be there, and must keep nothing from going."""
        try:
            runs = self.context.runs.history(rule.name, "", MOST_PAST_RUNS).runs
        except RdbkeeperError as error:
            self.context.journal.warning("HistoryUnread", f"The runs before are not known: {error}", reason=error.code)
            return PastRuns(is_first_of_day=False)
        return PastRuns.of(runs, self.context.run_id, self.context.clock.now())

    def _postpone(self, rule: Rule, report: RunReport, block: Block, missed: Sequence[Outcome]) -> Record:
        """Put the run off: there is nothing that it could do. Reconciling starts another when the cause is gone."""
        state = RunState.FAILED if has_failed(missed) else RunState.POSTPONED
        line = f"{rule.name}: put off: {block.message}"
        self.context.journal.warning("RunPostponed", f"{line} Hint: {block.hint}", reason=block.code)
        self.context.rules.record_block(rule.name, owe_run(block))
        ended = replace(report, state=state, line=line, ended_at=self.context.clock.now(), outcomes=tuple(missed))
        self.context.runs.record_run(rule.name, ended)
        self.context.runs.free_lease(rule.name, self.context.execution)
        return {"refused": block.code, "message": block.message}

    def _ticket(self, backup: Backup) -> Ticket:
        """The attempt's name is one that no other chain and no other backup uses, and that a repeat finds again.

        It begins with whose it is, so that what was never discarded can be told from what is being read.
        """
        named_after = hashlib.sha256(backup.copy_id.encode()).hexdigest()[:12]
        attempt = f"{rule_tag(self.context.rule_name)}{chain_tag(self.context.chain)}{named_after}"
        return Ticket(backup.copy_id, backup.backup_id, attempt)
