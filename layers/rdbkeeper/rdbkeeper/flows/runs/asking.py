"""The steps in which a backup on demand is looked to, asked for, found and noted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rdbkeeper.domain.backup import BackupState, Instance
from rdbkeeper.domain.backup_first import BackupFirst, MadeBackup, check_quota, check_worth_making, name_backup
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupNotMade,
    HookFailed,
    InstanceNotFound,
    RdbkeeperError,
    SourceError,
)
from rdbkeeper.domain.outcome import Outcome, Status, human_duration
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.source import NAMELESS_BACKUPS
from rdbkeeper.domain.status import RunReport, RunState
from rdbkeeper.flows.runs.context import RunContext, made_tag
from rdbkeeper.flows.runs.freezing import FreezeSteps
from rdbkeeper.flows.runs.made_backups import get_instance, tags_of_made
from rdbkeeper.ports import Record, Source

# What a provider does not list so long after it was asked for, it does not make.
LISTED_WITHIN = timedelta(minutes=30)
# While writes are frozen. Asking takes up to four calls.
LONGEST_FROZEN_CALL_S = 10.0
# Why a run that nobody has chosen the hour of has none frozen.
NOT_NOW = "writes are frozen at the rule's own time only"


@dataclass(frozen=True)
class BackupFirstSteps:
    """What a run does to have a backup made. Each step may be repeated."""

    context: RunContext
    freezing: FreezeSteps

    @classmethod
    def over(cls, context: RunContext) -> BackupFirstSteps:
        return cls(context, FreezeSteps(context))

    def plan(self, began: Record) -> Record:
        """Whether this run is to have a backup made, and under which name; thaws what an earlier run left frozen."""
        self.context.renew_lease()
        rule = self.context.get_wanted_rule()
        self.freezing.thaw_what_was_left(rule)
        wish = rule.backup_first or (BackupFirst() if self.context.request.backs_up else None)
        if wish is None or rule.is_live or self.context.request.hand_overs:
            return {}
        began_at = datetime.fromisoformat(began["started_at"])
        # It may wait for hours; the scan, which puts it on record otherwise, comes after that.
        self.context.runs.record_run(rule.name, RunReport(self.context.run_id, began_at, RunState.GOING))
        name = name_backup(made_tag(self.context.stack_name, rule.name), began_at)
        if self.context.request.owed and wish.demands_application:
            return {"waits": self._wait_for_own_time(name)}
        return {"rule": rule.as_record(), "wish": wish.as_record(), "name": name}

    def _wait_for_own_time(self, name: str) -> Record:
        what = f"None was asked for: the rule demands one that is consistent for its application, and {NOT_NOW}."
        outcome = Outcome(name, Status.POSTPONED, "WaitsForItsTime", what)
        self.context.log_outcome(outcome)
        return outcome.as_record()

    def look(self, rule: Rule) -> Record:
        """The instance, when nothing is seen that would keep a backup of it from being made and copied.

        Looked at beforehand, so that no writes are frozen in vain. Raises BackupBusy, BackupQuotaUsed, BackupNotMade,
        NotExportable, InstanceNotFound, VaultError, and other errors of the source.
        """
        self.context.renew_lease()
        source, instance = self.context.source(rule), get_instance(self.context, rule)
        if not instance.available:
            raise BackupBusy(
                f"The instance {rule.instance} is not available: its status is {instance.status}.",
                hint="Backups are asked for again once it is.",
            )
        self.context.vault(rule).catalog(rule.place.path)
        backups, now = source.backups(instance), self.context.clock.now()
        made = [one for one in self.context.runs.made_backups(rule.name) if one.is_of(rule.provider, rule.instance)]
        check_worth_making(instance, backups, made)
        if source.backups_a_day is not None:
            asked = [one for one in made if one.may_be_there(now - self.context.export_timeout)]
            check_quota(backups, asked, source.backups_a_day, now)
        return instance.as_record()

    def request(self, rule: Rule, instance: Instance, name: str) -> Record:
        """Ask for the backup. Raises BackupQuotaUsed, BackupBusy, and other errors of the source."""
        return self._request(rule, instance, name, self.context.source(rule))

    def request_at_once(self, rule: Rule, instance: Instance, name: str, frozen_until: datetime) -> Record:
        """As `request`, but what another attempt may help is told, not tried again: writes are frozen meanwhile."""
        try:
            if self.context.clock.now() >= frozen_until:
                raise HookFailed("Freezing took as long as writes may be frozen.", hint="Let the hook answer sooner.")
            return self._request(rule, instance, name, self._hurried_source(rule))
        except RdbkeeperError as error:
            if not error.retryable:
                raise
            return {"failed": error.as_record()}

    def _hurried_source(self, rule: Rule) -> Source:
        return self.context.adapters.source(rule.provider, rule.access, LONGEST_FROZEN_CALL_S)

    def _request(self, rule: Rule, instance: Instance, name: str, source: Source) -> Record:
        self.context.renew_lease()
        self._ask_unless_under_way(rule, instance, name, source)
        self.context.journal.info("BackupRequested", f"Asked {rule.provider} for the backup {name} of {rule.instance}.")
        return {"asked_at": self.context.clock.now().isoformat()}

    def _ask_unless_under_way(self, rule: Rule, instance: Instance, name: str, source: Source) -> None:
        """Ask for it, unless that would make two of it. Raises SourceError.

        Where a provider knows no names, somebody may have asked who was killed, or got no answer: only what is not
        listed long after that was not asked for.
        """
        runs, now = self.context.runs, self.context.clock.now()
        is_nameless = rule.provider in NAMELESS_BACKUPS
        made = runs.made_backups(rule.name) if is_nameless else ()
        if any(one.name == name and now - one.asked_at < LISTED_WITHIN for one in made):
            return
        # On record before it is there: whatever ends this run, a later one removes what was made.
        runs.record_made_backup(rule.name, MadeBackup(name, now, provider=rule.provider, instance=rule.instance))
        try:
            source.request_backup(instance, name, tags_of_made(self.context, rule))
        except SourceError:
            if is_nameless:
                # Nothing was asked for, says the port; on record it would never be.
                runs.forget_made_backup(rule.name, name)
            raise

    def find_made(
        self, rule: Rule, instance: Instance, name: str, asked_at: datetime, frozen_until: datetime | None
    ) -> Record | None:
        """The backup once it is there, or why it never will be; `out_of_time` when the freeze's time is over before."""
        now = self.context.clock.now()
        # Looked at first: whatever else there is to ask may not answer.
        if frozen_until is not None and now >= frozen_until:
            return {"out_of_time": True}
        self.context.renew_lease()
        try:
            if frozen_until is None:
                source, instance = self.context.source(rule), get_instance(self.context, rule)
            else:
                source = self._hurried_source(rule)
            backup = source.find_requested_backup(instance, name)
            if backup is None and rule.provider in NAMELESS_BACKUPS:
                self._ask_unless_under_way(rule, instance, name, source)
        except RdbkeeperError as error:
            if not error.retryable:
                return {"failed": error.as_record()}
            backup = None
        if backup is not None and backup.state is BackupState.COMPLETE:
            return {"backup_id": backup.backup_id, "looked_at": self.context.clock.now().isoformat()}
        if backup is not None and backup.state is BackupState.FAILED:
            return {"failed": _failed(rule, name).as_record()}
        if now - asked_at > self.context.export_timeout:
            return {"failed": _took_too_long(rule, name, now - asked_at).as_record()}
        return None

    def note(self, rule: Rule, made: MadeBackup) -> Record:
        """Put down how consistent the backup is, for whichever run copies it."""
        self.context.renew_lease()
        self.context.runs.record_made_backup(rule.name, made)
        self.context.journal.info(
            "BackupMade", f"The backup {made.backup_id} is there: {made.consistency.value}. {made.reason}".rstrip()
        )
        return {}

    def settle_for_less(self, name: str, error: RdbkeeperError) -> Record:
        """The outcome of a backup that is there, and not as consistent as its rule's hooks were to make it."""
        outcome = Outcome(name, Status.LESS_CONSISTENT, error.code, str(error))
        self.context.log_outcome(outcome)
        return outcome.as_record()

    def give_up(self, name: str, wish: BackupFirst, error: RdbkeeperError) -> Record:
        """The outcome of a backup that was not made, or is less consistent than its rule demands."""
        can_wait = isinstance(error, BackupBusy | InstanceNotFound) and not wish.demands_application
        outcome = Outcome(name, Status.POSTPONED if can_wait else Status.FAILED, error.code, str(error))
        self.context.log_outcome(outcome)
        return outcome.as_record()


def _failed(rule: Rule, name: str) -> BackupNotMade:
    return BackupNotMade(
        f"The provider lists the backup {name} of {rule.instance}, which was asked for, as failed.",
        hint="Look at the instance's events in the provider's console; the next run asks for another.",
    )


def _took_too_long(rule: Rule, name: str, waited: timedelta) -> BackupNotMade:
    return BackupNotMade(
        f"The backup {name} of {rule.instance} was asked for {human_duration(waited.total_seconds())} ago and is not "
        "complete.",
        hint="A later run copies it once it is. If it takes longer than the stack's parameter ExportTimeoutMinutes, "
        "raise that.",
    )
