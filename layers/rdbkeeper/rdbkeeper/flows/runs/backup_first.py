"""Has a backup made on demand: look, freeze writes if the rule says so, ask for it, wait for it, thaw, and note it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from rdbkeeper.domain.backup import Consistency, Instance
from rdbkeeper.domain.backup_first import BackupFirst, MadeBackup
from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import (
    ConsistencyMissed,
    HookFailed,
    LeaseLost,
    RdbkeeperError,
    RuleChanged,
    RuleGone,
)
from rdbkeeper.domain.outcome import Outcome, human_duration
from rdbkeeper.domain.rule import Rule
from rdbkeeper.flows.runs.asking import NOT_NOW, BackupFirstSteps
from rdbkeeper.ports import Engine, Poll, Record

# While writes are frozen, each second counts.
FROZEN_POLL = Poll(5, 10)
# A freeze that comes late lasts until the next of these.
LATE_POLL = Poll(30, 60)


@dataclass
class BackupFirstRun:
    """Has one backup made. What stands here is replayed: it only computes from the results of steps."""

    engine: Engine
    steps: BackupFirstSteps
    rule: Rule
    wish: BackupFirst
    name: str
    poll: Poll
    is_owed: bool
    _instance: Instance = field(init=False)
    _outcomes: list[Outcome] = field(default_factory=list, init=False)
    # What kept writes from being frozen around the backup, where an error did.
    _kept_by: RdbkeeperError | None = field(default=None, init=False)

    def make(self) -> list[Outcome]:
        """Have the backup made; returns what went wrong with it: nothing, where it is there and as it should be."""
        try:
            made = self._make()
            self.engine.step(f"note the backup {self.name}", partial(self.steps.note, self.rule, made))
        except (LeaseLost, RuleGone, RuleChanged):
            raise
        except RdbkeeperError as error:
            self._tell(error)
            return self._outcomes
        if self.wish.has_hooks and not self.is_owed and made.consistency is not Consistency.APPLICATION:
            self._tell_less(made)
        return self._outcomes

    def _tell_less(self, made: MadeBackup) -> None:
        """Tell that the hooks made no difference: a failure where the rule demands that they do."""
        missed = _missed(self.name, f"it is {made.consistency.value}: {made.reason}")
        if self.wish.demands_application:
            self._tell(missed)
            return
        settle = partial(self.steps.settle_for_less, self.name, self._kept_by or missed)
        record = self.engine.step(f"tell that the backup {self.name} is less consistent", settle)
        self._outcomes.append(Outcome.from_record(record))

    def _make(self) -> MadeBackup:
        look = partial(self.steps.look, self.rule)
        self._instance = Instance.from_record(self.engine.step(f"look before the backup {self.name}", look))
        if self.wish.has_hooks and not self.is_owed:
            return self._make_frozen()
        return self._make_as_it_comes(NOT_NOW if self.wish.has_hooks else "")

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
                raise _missed(self.name, f"none was asked for, as freezing failed: {error.message}", error.hint)
            self._kept_by = error
            return self._make_as_it_comes(f"writes could not be frozen: {error.message}")
        until = datetime.fromisoformat(frozen["until"])
        try:
            asked = self._ask_frozen(until)
            found = self._wait(_asked_at(asked), until) if "failed" not in asked else {}
        except RdbkeeperError:
            self._thaw()
            raise
        stayed_frozen = self._thaw()
        if "failed" in asked:
            error = from_record(asked["failed"])
            if self.wish.demands_application:
                raise error
            self._kept_by = error
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
        ask = partial(self.steps.request, self.rule, self._instance, self.name)
        return _asked_at(self.engine.step(f"ask for the backup {self.name}", ask))

    def _ask_frozen(self, until: datetime) -> Record:
        ask = partial(self.steps.request_at_once, self.rule, self._instance, self.name, until)
        return self.engine.step(f"ask for the backup {self.name} with writes frozen", ask)

    def _wait(self, asked_at: datetime, frozen_until: datetime | None = None) -> Record:
        look = partial(self.steps.find_made, self.rule, self._instance, self.name, asked_at, frozen_until)
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
        record = self.engine.step(name, partial(self.steps.give_up, self.name, self.wish, error))
        self._outcomes.append(Outcome.from_record(record))


def make_backup_first(engine: Engine, steps: BackupFirstSteps, began: Record, poll: Poll) -> list[Outcome]:
    """Have a backup made where the rule or the request says so; returns what went wrong with it."""
    plan = engine.step("plan a backup", partial(steps.plan, began))
    if not plan:
        return []
    if "waits" in plan:
        return [Outcome.from_record(plan["waits"])]
    rule, wish = Rule.from_record(plan["rule"]), BackupFirst.from_record(plan["wish"])
    return BackupFirstRun(engine, steps, rule, wish, plan["name"], poll, steps.context.request.owed).make()


def _asked_at(asked: Record) -> datetime:
    return datetime.fromisoformat(asked["asked_at"])


_WHAT_WAS_MADE = "Look at the logs of the functions that freeze and thaw; what was made is copied and says what it is."


def _missed(name: str, what: str, hint: str = _WHAT_WAS_MADE) -> ConsistencyMissed:
    return ConsistencyMissed(
        f"The rule's hooks are to make its backups consistent for the application; of {name} {what.rstrip('.')}.",
        hint=hint,
    )
