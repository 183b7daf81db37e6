"""The steps that freeze writes around a backup and let them go on again.

A freeze is on record before it is asked for. So whatever ends a run in between, the rule's next run that has a backup
made, or takes the lease of one that was killed, or the hourly look, finds it there and thaws. A call that freezes and
is not answered may come through after the thaw: so that freeze is thawed again and again, and stays on record, until it
no longer can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rdbkeeper.domain.backup_first import LONGEST_CALL, BackupFirst, Freeze
from rdbkeeper.domain.errors import HookFailed, HookUnanswered, HookUncalled, RdbkeeperError
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.rule import Rule
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.flows.thaw import LONGEST_HOOK_S, hook_request, thaw
from rdbkeeper.ports import Record


@dataclass(frozen=True)
class FreezeSteps:
    """Has writes frozen, and lets them go on. Each step may be repeated."""

    context: RunContext

    def thaw_what_was_left(self, rule: Rule) -> None:
        """Thaw what a run before this one froze; what cannot be thawed now stays on record, and is told."""
        freeze = self.context.runs.find_freeze(rule.name)
        if freeze is None or freeze.execution == self.context.execution:
            return
        try:
            self._thaw(rule, freeze)
        except HookFailed as error:
            self.context.journal.error("WritesStillFrozen", str(error), reason=error.code)

    def freeze(self, rule: Rule, wish: BackupFirst) -> Record:
        """Have writes frozen: until when, or why they are not. What was tried is to be thawed either way."""
        self.context.renew_lease()
        there = self.context.runs.find_freeze(rule.name)
        try:
            freeze = self._begin_freeze(rule, wish, there)
        except HookFailed as error:
            return self._tell_failure(error)
        failure = self._call(rule, wish)
        if isinstance(failure, HookUncalled) and there is None:
            self.context.runs.forget_freeze(rule.name, freeze.execution)  # nothing was frozen
            return self._tell_failure(failure)
        late_until = there.late_until if there is not None else None
        if isinstance(failure, HookUnanswered):
            late_until = self.context.clock.now() + LONGEST_CALL
        # Whether it was answered; and back on record, if the hourly look struck it off before the call went out.
        self.context.runs.record_freeze(rule.name, replace(freeze, late_until=late_until))
        if failure is not None:
            return self._tell_failure(failure)
        self.context.journal.info("WritesFrozen", f"Writes to {rule.instance} are frozen by {wish.freeze}.")
        return {"until": freeze.until.isoformat()}

    def _call(self, rule: Rule, wish: BackupFirst) -> HookFailed | None:
        """Have writes frozen, or return why they are not."""
        try:
            payload = hook_request(rule.name, rule.provider, rule.instance, self.context.run_id, "freeze")
            self.context.hooks.call(wish.freeze, payload, min(LONGEST_HOOK_S, wish.longest_freeze_s))
        except HookFailed as error:
            return error
        return None

    def _tell_failure(self, error: HookFailed) -> Record:
        self.context.journal.warning("FreezeFailed", str(error), reason=error.code)
        return {"failed": error.as_record()}

    def _begin_freeze(self, rule: Rule, wish: BackupFirst, there: Freeze | None) -> Freeze:
        """The freeze, on record; when this step is repeated, the one that it began. Raises HookFailed for no more."""
        now = self.context.clock.now()
        if there is not None and there.execution != self.context.execution:
            # In its place on record, a new one would make it forgotten.
            raise _is_frozen_by_others(f"What an earlier run froze of {there.instance}", there)
        if there is not None and now >= there.until:
            raise HookFailed("The time of the freeze was over before anything was asked for.")
        until = now + timedelta(seconds=wish.longest_freeze_s)
        freeze = there or Freeze(wish.thaw, rule.instance, self.context.execution, now, until, provider=rule.provider)
        freeze = replace(freeze, late_until=now + LONGEST_CALL)
        self._check_alone(rule, freeze)
        self.context.runs.record_freeze(rule.name, freeze)
        try:
            self._check_alone(rule, freeze)  # of two that begin at once, at least one sees the other here
        except HookFailed:
            if there is None:
                self.context.runs.forget_freeze(rule.name, freeze.execution)
            raise
        return freeze

    def _check_alone(self, rule: Rule, freeze: Freeze) -> None:
        """Raise HookFailed where another rule's thaw would end this freeze too early, or this one's thaw that one's."""
        for name, other in self.context.runs.freezes().items():
            if name != rule.name and other.meets(freeze):
                raise _is_frozen_by_others(f"What the rule {name} froze of {other.instance}", other)

    def thaw(self, rule: Rule, wish: BackupFirst) -> Record:
        """Let writes go on: whether they were frozen until now, and until when to thaw again ("" where this was all).

        What this run did not freeze, or somebody has thawed already, is let alone.
        Raises HookFailed; the freeze then stays on record, and others go on trying.
        """
        context = self.context
        try:
            there = context.runs.find_freeze(rule.name)
        except RdbkeeperError:
            # Writes must not wait for the table. The next attempt at this step reads the record, and strikes it off.
            payload = hook_request(rule.name, rule.provider, rule.instance, context.run_id, "thaw")
            context.hooks.call(wish.thaw, payload, LONGEST_HOOK_S)
            raise
        if there is None or there.execution != context.execution:
            return {"was_frozen": False, "again_until": ""}
        is_over = self._thaw(rule, there)
        again_until = "" if is_over or there.late_until is None else write_moment(there.late_until)
        return {"was_frozen": True, "again_until": again_until}

    def _thaw(self, rule: Rule, freeze: Freeze) -> bool:
        context = self.context
        return thaw(rule.name, freeze, context.rules, context.runs, context.hooks, context.journal, context.clock.now())

    def thaw_again(self, rule: Rule, wish: BackupFirst, again_until: datetime) -> Record | None:
        """Thaw once more; None while a freeze that was asked for may still come through, or while thawing fails."""
        try:
            thawed = self.thaw(rule, wish)
        except RdbkeeperError as error:
            return None if self.context.clock.now() < again_until else {"failed": error.as_record()}
        return None if thawed["again_until"] else thawed

    def tell_still_frozen(self, rule: Rule, error: RdbkeeperError) -> Record:
        """Log that writes may still be frozen."""
        self.context.journal.error(
            "WritesStillFrozen",
            f"Writes to {rule.instance} may still be frozen: {error}",
            reason=error.code,
        )
        return {}


def _is_frozen_by_others(what: str, freeze: Freeze) -> HookFailed:
    return HookFailed(
        f"{what} is not thawed yet, so nothing more is frozen.",
        hint="Let rules that share an instance run at different times. What is left frozen is thawed within "
        f"the hour: see to it that {freeze.thaw} can be called and works.",
    )
