"""The steps of a backup on demand: freeze writes if the rule says so, ask for it, wait for it, thaw, and note it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from rdbkeeper.domain.backup import BackupState, Consistency, Instance
from rdbkeeper.domain.backup_first import BackupFirst, MadeBackup, check_quota, check_worth_making, name_backup
from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupNotMade,
    ConsistencyMissed,
    HookFailed,
    LeaseLost,
    RdbkeeperError,
    RuleChanged,
    RuleGone,
    SourceError,
)
from rdbkeeper.domain.outcome import Outcome, Status, human_duration
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.source import NAMELESS_BACKUPS
from rdbkeeper.domain.status import RunReport, RunState
from rdbkeeper.flows.runs.context import RunContext, rule_tag
from rdbkeeper.flows.runs.freezing import FreezeSteps
from rdbkeeper.flows.runs.made_backups import get_instance, tags_of_made
from rdbkeeper.ports import Engine, Poll, Record

# While writes are frozen, each second counts.
FROZEN_POLL = Poll(5, 10)
# What a provider does not list so long after it was asked for, it does not make.
LISTED_WITHIN = timedelta(minutes=30)
# A freeze that comes late lasts until the next of these.
LATE_POLL = Poll(30, 60)


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
        name = name_backup(rule_tag(rule.name), began_at)
        return {"rule": rule.as_record(), "wish": wish.as_record(), "name": name}

    def request(self, rule: Rule, name: str) -> Record:
        """Ask for the backup. Raises BackupQuotaUsed, BackupBusy, and other errors of the source."""
        self.context.renew_lease()
        source, instance = self.context.source(rule), get_instance(self.context, rule)
        if source.find_requested_backup(instance, name) is None:
            self._ask_unless_under_way(rule, instance, name)
        self.context.journal.info("BackupRequested", f"Asked {rule.provider} for the backup {name} of {rule.instance}.")
        return {"asked_at": self.context.clock.now().isoformat()}

    def _ask_unless_under_way(self, rule: Rule, instance: Instance, name: str) -> None:
        """Ask for what is not listed, unless that would make two of it. Raises SourceError.

        Where a provider knows no names, somebody may have asked who was killed, or got no answer: only what is not
        listed long after that was not asked for.
        """
        made, now = self.context.runs.made_backups(rule.name), self.context.clock.now()
        just_asked = any(one.name == name and now - one.asked_at < LISTED_WITHIN for one in made)
        if not (just_asked and rule.provider in NAMELESS_BACKUPS):
            self._ask(rule, instance, name, made)

    def _ask(self, rule: Rule, instance: Instance, name: str, made: Sequence[MadeBackup]) -> None:
        """Ask the provider, if the day allows it; `made` are the rule's on record. Raises SourceError."""
        source, now = self.context.source(rule), self.context.clock.now()
        backups = source.backups(instance)
        others = [one for one in made if one.name != name and one.is_of(rule.provider, rule.instance)]
        check_worth_making(backups, others)
        if source.backups_a_day is not None:
            asked = [one for one in others if one.may_be_there(now - self.context.export_timeout)]
            check_quota(backups, asked, source.backups_a_day, now)
        # On record before it is there: whatever ends this run, a later one removes what was made.
        begun = MadeBackup(name, now, provider=rule.provider, instance=rule.instance)
        self.context.runs.record_made_backup(rule.name, begun)
        try:
            source.request_backup(instance, name, tags_of_made(self.context, rule))
        except SourceError:
            if rule.provider in NAMELESS_BACKUPS:
                # Nothing was asked for, says the port; on record it would never be.
                self.context.runs.forget_made_backup(rule.name, name)
            raise

    def request_at_once(self, rule: Rule, name: str) -> Record:
        """As `request`, but what another attempt may help is told, not tried again: writes are frozen meanwhile."""
        try:
            return self.request(rule, name)
        except RdbkeeperError as error:
            if not error.retryable:
                raise
            return {"failed": error.as_record()}

    def find_made(self, rule: Rule, name: str, asked_at: datetime, frozen_until: datetime | None) -> Record | None:
        """The backup once it is there, or why it never will be; `out_of_time` when the freeze's time is over before."""
        now = self.context.clock.now()
        # Looked at first: whatever else there is to ask may not answer.
        if frozen_until is not None and now >= frozen_until:
            return {"out_of_time": True}
        self.context.renew_lease()
        try:
            instance = get_instance(self.context, rule)
            backup = self.context.source(rule).find_requested_backup(instance, name)
            if backup is None and rule.provider in NAMELESS_BACKUPS:
                self._ask_unless_under_way(rule, instance, name)
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

    def give_up(self, name: str, error: RdbkeeperError) -> Record:
        """The outcome of a backup that was not made, or is less consistent than its rule demands."""
        status = Status.POSTPONED if isinstance(error, BackupBusy) else Status.FAILED
        outcome = Outcome(name, status, error.code, str(error))
        self.context.log_outcome(outcome)
        return outcome.as_record()


@dataclass
class BackupFirstRun:
    """Has one backup made. What stands here is replayed: it only computes from the results of steps."""

    engine: Engine
    steps: BackupFirstSteps
    rule: Rule
    wish: BackupFirst
    name: str
    poll: Poll
    _outcomes: list[Outcome] = field(default_factory=list, init=False)

    def make(self) -> list[Outcome]:
        """Have the backup made; returns what went wrong with it: nothing, where it is there and as it should be."""
        try:
            made = self._make_frozen() if self.wish.has_hooks else self._make_as_it_comes("")
            self.engine.step(f"note the backup {self.name}", partial(self.steps.note, self.rule, made))
        except (LeaseLost, RuleGone, RuleChanged):
            raise
        except RdbkeeperError as error:
            self._tell(error)
            return self._outcomes
        if self.wish.demands_application and made.consistency is not Consistency.APPLICATION:
            self._tell(_missed(self.name, f"it is {made.consistency.value}: {made.reason}"))
        return self._outcomes

    def _make_as_it_comes(self, reason: str) -> MadeBackup:
        asked_at = self._ask()
        return self._describe(asked_at, self._wait(asked_at), Consistency.POINT_IN_TIME, reason)

    def _make_frozen(self) -> MadeBackup:
        """The backup, with writes frozen around it where the hooks go along; they are thawed whatever happens."""
        try:
            frozen = self.engine.step("freeze writes", partial(self.steps.freezing.freeze, self.rule, self.wish))
        except RdbkeeperError:
            self._thaw()
            raise
        if "failed" in frozen:
            self._thaw()  # it may have frozen some of them
            error = from_record(frozen["failed"])
            if self.wish.demands_application:
                raise _missed(self.name, f"none was asked for, as freezing failed: {error.message}")
            return self._make_as_it_comes(f"writes could not be frozen: {error.message}")
        until = datetime.fromisoformat(frozen["until"])
        try:
            asked = self._ask_frozen()
            found = self._wait(_asked_at(asked), until) if "failed" not in asked else {}
        except RdbkeeperError:
            self._thaw()
            raise
        stayed_frozen = self._thaw()
        if "failed" in asked:
            error = from_record(asked["failed"])
            if self.wish.demands_application:
                raise error
            return self._make_as_it_comes(f"it could not be asked for while writes were frozen: {error.message}")
        return self._judge(_asked_at(asked), found, until, stayed_frozen=stayed_frozen)

    def _judge(self, asked_at: datetime, found: Record, until: datetime, *, stayed_frozen: bool) -> MadeBackup:
        """The backup that was asked for with writes frozen until `until`, waited for where it is not there yet."""
        if "out_of_time" in found:
            seconds = human_duration(self.wish.longest_freeze_s)
            reason = f"the backup was not seen complete within {seconds}, and writes were let go on"
            return self._describe(asked_at, self._wait(asked_at), Consistency.POINT_IN_TIME, reason)
        if not stayed_frozen or datetime.fromisoformat(found["looked_at"]) > until:
            reason = "writes may have gone on before the backup was complete"
            return self._describe(asked_at, found, Consistency.POINT_IN_TIME, reason)
        reason = f"writes were frozen by {self.wish.freeze} until the backup was complete"
        return self._describe(asked_at, found, Consistency.APPLICATION, reason)

    def _ask(self) -> datetime:
        ask = partial(self.steps.request, self.rule, self.name)
        return _asked_at(self.engine.step(f"ask for the backup {self.name}", ask))

    def _ask_frozen(self) -> Record:
        ask = partial(self.steps.request_at_once, self.rule, self.name)
        return self.engine.step(f"ask for the backup {self.name} with writes frozen", ask)

    def _wait(self, asked_at: datetime, frozen_until: datetime | None = None) -> Record:
        look = partial(self.steps.find_made, self.rule, self.name, asked_at, frozen_until)
        frozen = frozen_until is not None
        name = f"wait for the backup {self.name}{' with writes frozen' if frozen else ''}"
        found = self.engine.wait_until(name, look, FROZEN_POLL if frozen else self.poll)
        if "failed" in found:
            raise from_record(found["failed"])
        return found

    def _thaw(self) -> bool:
        """Let writes go on; returns whether they had stayed frozen until now."""
        try:
            thawed = self.engine.step("thaw writes", partial(self.steps.freezing.thaw, self.rule, self.wish))
            if thawed["again_until"]:
                self._thaw_again(datetime.fromisoformat(thawed["again_until"]))
            return bool(thawed["was_frozen"])
        except RdbkeeperError as error:
            tell = partial(self.steps.freezing.tell_still_frozen, self.rule, error)
            self.engine.step("tell that writes are frozen", tell)
            self._tell(error)
            return isinstance(error, HookFailed)  # what else fails leaves open what is on record

    def _thaw_again(self, until: datetime) -> None:
        """Thaw until no freeze that was asked for can come through any more. Raises HookFailed."""
        thaw = partial(self.steps.freezing.thaw_again, self.rule, self.wish, until)
        thawed = self.engine.wait_until("thaw writes until no freeze can come late", thaw, LATE_POLL)
        if "failed" in thawed:
            raise from_record(thawed["failed"])

    def _describe(self, asked_at: datetime, found: Record, consistency: Consistency, reason: str) -> MadeBackup:
        return MadeBackup(
            self.name,
            asked_at,
            found["backup_id"],
            consistency,
            reason,
            provider=self.rule.provider,
            instance=self.rule.instance,
        )

    def _tell(self, error: RdbkeeperError) -> None:
        name = f"tell what became of the backup {self.name}, {len(self._outcomes) + 1}"
        record = self.engine.step(name, partial(self.steps.give_up, self.name, error))
        self._outcomes.append(Outcome.from_record(record))


def make_backup_first(engine: Engine, steps: BackupFirstSteps, began: Record, poll: Poll) -> list[Outcome]:
    """Have a backup made where the rule or the request says so; returns what went wrong with it."""
    plan = engine.step("plan a backup", partial(steps.plan, began))
    if not plan:
        return []
    rule, wish = Rule.from_record(plan["rule"]), BackupFirst.from_record(plan["wish"])
    return BackupFirstRun(engine, steps, rule, wish, plan["name"], poll).make()


def _asked_at(asked: Record) -> datetime:
    return datetime.fromisoformat(asked["asked_at"])


def _missed(name: str, what: str) -> ConsistencyMissed:
    return ConsistencyMissed(
        f"The rule demands a backup that is consistent for its application; of {name} {what}.",
        hint="Look at the logs of the functions that freeze and thaw; what was made is copied and says what it is.",
    )


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
