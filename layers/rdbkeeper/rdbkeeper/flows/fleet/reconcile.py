"""Makes the fleet equal the rules, whatever was deleted by hand, cut off, or deployed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from rdbkeeper.domain.errors import PlaceTaken, RdbkeeperError, RuleBusy, TableError
from rdbkeeper.domain.fleet.changes import Change, LeaveAlone
from rdbkeeper.domain.fleet.parts import Fleet
from rdbkeeper.domain.fleet.plan import Registry, needs_closer_look, plan, plan_end
from rdbkeeper.domain.metrics import HOURS_OVERDUE, RECONCILED, WRITES_STILL_FROZEN, rule_dimensions, stack_dimensions
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.status import RuleStatus, hours_overdue, missed_fire
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.fleet.blocks import RefreshBlocks
from rdbkeeper.flows.fleet.claim_upkeep import KeepClaims
from rdbkeeper.flows.fleet.repairs import MOST_TOLD, RuleResult, describe_results, hold, names_of, repair_record
from rdbkeeper.flows.fleet.thawing import thaw_everything, thaw_what_is_left
from rdbkeeper.flows.fleet.work import FleetWork
from rdbkeeper.flows.vaults.probes import ProbeVaults
from rdbkeeper.ports import Record

# Rules that are worked on side by side: making functions is waiting for Lambda.
AT_ONCE = 4
# Nothing is begun that might not end before the invocation does; what is left is the next hour's.
RESERVE_S = 120.0
# So long it takes at most to tell what became of everything.
ANSWER_S = 30.0

WorkOnRule = Callable[[str, tuple[Change, ...]], RuleResult]


@dataclass(frozen=True)
class Reconcile:
    """Compares the fleet with the rules and carries out what differs. One rule that fails never stops the others."""

    work: FleetWork
    seconds_left: Callable[[], float]

    def run(self, *, closely: bool = False, dry_run: bool = False) -> Record:
        """Reconcile everything; returns what was repaired, reported, and failed.

        The fleet is read in pages; `closely` also reads each rule's part by itself, aliases included, and examines
        each vault. A dry run says what it would change in the fleet and does nothing.
        """
        if self.work.rules.fleet_has_ended():
            return self._refuse_after_the_end(dry_run=dry_run)
        thawed: list[RuleResult] = []
        try:
            rules, statuses = self.work.rules.rules(), self.work.rules.statuses()
            if not dry_run:
                self._measure(rules, statuses)
        finally:  # whatever fails before or after it: somebody's writes wait for it
            if not dry_run:
                thawed = self._thaw()
        fleet = self.work.services.observe()
        # Once more after the fleet: what was made in between belongs to a rule that is read, and is no stray.
        rules = self.work.rules.rules()
        changes = self._plan(rules, self._look_closer(rules, statuses, fleet, closely=closely))
        if dry_run:
            return {"checked": len(rules), "would_change": [change.as_record() for change in changes[:MOST_TOLD]]}
        results = self._work_through(changes, partial(self._apply, {rule.name: rule for rule in rules}))
        results += self._finish_all(rules, results)
        results += self._look_after_vaults(rules, closely=closely)
        results += thawed
        results += RefreshBlocks(self.work, fleet, self._is_time_left).refresh(rules, statuses)
        answer = describe_results(len(rules), results)
        self.work.journal.measure(RECONCILED, 1, stack_dimensions(self.work.stack.stack))
        self.work.journal.info("Reconciled", answer["line"])
        return answer

    def end(self) -> Record:
        """Take down the whole fleet, because its stack goes. Log groups, copies and the table's rows stay.

        It goes on record first: a reconciling that is going, or still to come, must not make anything again.
        """
        self._record_end()
        try:
            results = self._work_through(plan_end(self.work.stack, self.work.services.observe()), self._carry_out)
        finally:
            thawed = self._thaw_everything()  # when its runs are stopped, or whatever kept them from being
        results += thawed
        self._let_go_of_vaults()
        answer = describe_results(len(results), results)
        self.work.journal.info("FleetEnded", answer["line"])
        return answer

    def _record_end(self) -> None:
        try:
            self.work.rules.record_fleet_end(ended=True)
        except TableError as error:  # perhaps it was removed by hand; the fleet is found by its tags alone
            self.work.journal.error("EndNotOnRecord", str(error), reason=error.code)

    def _let_go_of_vaults(self) -> None:
        """Abort what the stopped runs had open, behind which the bucket's lifecycle rule stands, and release places."""
        try:
            for rule in self.work.rules.rules():
                if self._is_time_left():
                    self.work.let_go_of_vault(rule, self.work.runs.remembered_uploads(rule.name))
        except TableError as error:
            self.work.journal.error("UploadsLeft", str(error), reason=error.code)

    def begin(self) -> Record:
        """Reconcile for the stack that is there by now, whatever was on record of its end."""
        had_ended = self.work.rules.fleet_has_ended()
        self.work.rules.record_fleet_end(ended=False)
        return self.run(closely=had_ended)  # the end let go of the places

    def _refuse_after_the_end(self, *, dry_run: bool) -> Record:
        """Make nothing; what the end could not thaw is tried again."""
        self.work.journal.warning("FleetHasEnded", "The stack is being deleted, so nothing is made any more.")
        thawed = [] if dry_run else self._thaw_everything()
        return {**describe_results(0, thawed), "line": "nothing was made: the stack is being deleted"}

    # ------------------------------------------------------------------ thaw

    def _thaw(self) -> list[RuleResult]:
        """Thaw what runs have left frozen, and tell how much of it could not be."""
        reserve_s = self.seconds_left() / 2  # functions that hang do not keep the fleet from being repaired
        thawed = thaw_what_is_left(self.work, lambda: self.seconds_left() - reserve_s)
        still_frozen = sum(result.error is not None for result in thawed)
        self.work.journal.measure(WRITES_STILL_FROZEN, still_frozen, stack_dimensions(self.work.stack.stack))
        return thawed

    def _thaw_everything(self) -> list[RuleResult]:
        return thaw_everything(self.work, lambda: self.seconds_left() - ANSWER_S)

    # ------------------------------------------------------------------ look

    def _measure(self, rules: Sequence[Rule], statuses: Mapping[str, RuleStatus]) -> None:
        """Tell how overdue each rule is, before anything that takes long or fails: alarms count silence as overdue."""
        now = self.work.clock.now()
        for rule in rules:
            try:
                hours = hours_overdue(rule, statuses.get(rule.name, RuleStatus()), now)
            except Exception as error:  # noqa: BLE001 - one rule's alarm goes off for it, and no other's
                report_defect(self.work.journal.bind(rule=rule.name), f"Measuring the rule {rule.name}", error)
                continue
            self.work.journal.measure(HOURS_OVERDUE, hours, rule_dimensions(self.work.stack.stack, rule.name))

    def _look_closer(
        self, rules: Sequence[Rule], statuses: Mapping[str, RuleStatus], fleet: Fleet, *, closely: bool
    ) -> Fleet:
        """The fleet with those rules' parts read by themselves of which a listing leaves something open.

        A rule that should have fired and did not is one: its alias may be gone, which no listing shows.
        """
        now = self.work.clock.now()
        open_questions = [
            rule
            for rule in rules
            if closely
            or needs_closer_look(rule, self.work.stack, fleet)
            or missed_fire(rule, statuses.get(rule.name, RuleStatus()), now, fleet.scheduled_since(rule.name))
        ]
        with ThreadPoolExecutor(AT_ONCE) as workers:
            looks = list(workers.map(self._look_at, open_questions))
        looked_at = {rule.name: look for rule, look in zip(open_questions, looks, strict=True) if look is not None}
        names = {name for rule_name in looked_at for name in self.work.stack.names(rule_name)}
        return fleet.seen_closer(names, list(looked_at.values()))

    def _look_at(self, rule: Rule) -> Fleet | None:
        """One rule's part of the fleet; None, which leaves it as the listing showed it, when it cannot be read."""
        if not self._is_time_left():
            return None
        try:
            return self.work.services.look_closely(rule.name)
        except RdbkeeperError as error:
            self.work.journal.bind(rule=rule.name).warning("NotSeenCloser", str(error), reason=error.code)
            return None

    def _plan(self, rules: Sequence[Rule], fleet: Fleet) -> list[Change]:
        table, now = self.work.rules, self.work.clock.now()
        registry = Registry(tuple(rules), now, table.sent_schedules(), frozenset(table.deletions()))
        being_made = {rule.name for rule in rules if rule.is_being_made(now)}
        changes = plan(registry, self.work.services.prototype(), fleet)
        return [change for change in changes if change.rule not in being_made]

    def _is_time_left(self) -> bool:
        return self.seconds_left() >= RESERVE_S

    # ----------------------------------------------------------------- apply

    def _work_through(self, changes: Iterable[Change], work_on: WorkOnRule) -> list[RuleResult]:
        """Each rule's changes in the plan's order; rules side by side."""
        ordered = sorted(changes, key=lambda change: change.rule)  # stable
        groups = [(name, tuple(group)) for name, group in groupby(ordered, key=lambda change: change.rule)]
        with ThreadPoolExecutor(AT_ONCE) as workers:
            return list(workers.map(lambda group: self._guard(group[0], partial(work_on, *group)), groups))

    def _guard(self, name: str, work_on: Callable[[], RuleResult]) -> RuleResult:
        """One rule's result, whatever it meets; nothing is begun when time is over."""
        if not self._is_time_left():
            return RuleResult(name, left=True)
        return hold(self.work.journal, name, f"Reconciling the rule {name}", "RepairFailed", work_on)

    def _carry_out(self, name: str, changes: tuple[Change, ...]) -> RuleResult:
        """Carry out changes up to the first that fails."""
        reports = tuple(change.as_record() for change in changes if isinstance(change, LeaveAlone))
        done: list[Record] = []
        for change in changes:
            try:
                if self.work.apply(change):
                    done.append(change.as_record())
            except RdbkeeperError as error:
                return RuleResult(name, tuple(done), reports, error)
        return RuleResult(name, tuple(done), reports)

    def _apply(self, rules: Mapping[str, Rule], name: str, changes: tuple[Change, ...]) -> RuleResult:
        """Carry out one rule's changes; then look whether somebody edited or deleted the rule or stack meanwhile."""
        if self.work.rules.fleet_has_ended():
            return RuleResult(name, left=True)
        result = self._carry_out(name, changes)
        if (not result.repairs and result.error is None) or self._is_as_read(name, rules.get(name)):
            return result
        self.work.follow(name)
        return replace(result, error=None)  # what failed was meant for the rule as it was

    def _is_as_read(self, name: str, read: Rule | None) -> bool:
        now = self.work.rules.find_rule(name)
        is_same = (now.revision if now else None) == (read.revision if read else None)
        return is_same and not self.work.rules.fleet_has_ended()

    # ---------------------------------------------------------------- vaults

    def _look_after_vaults(self, rules: Sequence[Rule], *, closely: bool) -> list[RuleResult]:
        """Probe the vaults, and keep the claims in those that were seen closely or are back."""
        probes = ProbeVaults(self.work, lambda: self.seconds_left() - RESERVE_S)
        probed = probes.probe_all(closely=closely)
        due = {vault.name for vault in probed if vault.is_due}
        return [*(vault.result for vault in probed), *KeepClaims(self.work, self._is_time_left).keep(rules, due)]

    # ---------------------------------------------------------------- finish

    def _finish_all(self, rules: Sequence[Rule], results: Sequence[RuleResult]) -> list[RuleResult]:
        """Finish the creates and deletes that were cut off, where the fleet has come that far.

        For a create it has not while something stands in its way that is left alone.
        """
        unsettled = names_of(results)
        waiting = {
            RuleState.CREATING: unsettled | {result.rule for result in results if result.reports},
            RuleState.DELETING: unsettled,
        }
        now = self.work.clock.now()
        return [
            self._guard(rule.name, partial(self._finish, rule))
            for rule in rules
            if rule.state in waiting and rule.name not in waiting[rule.state] and not rule.is_being_made(now)
        ]

    def _finish(self, rule: Rule) -> RuleResult:
        if rule.state is RuleState.DELETING:
            self.work.finish_deletion(rule)
            record = repair_record(rule.name, rule.name, "DeletionFinished", "Its deletion had been cut off.")
        else:
            try:
                if self.work.find_vault_block(rule.vault) is None:
                    self.work.claim_place(rule)
            except PlaceTaken as error:
                return self._undo(rule, error)
            active = rule.in_state(RuleState.ACTIVE)
            try:
                self.work.rules.replace_rule(active, rule.revision)
            except RuleBusy:
                return RuleResult(rule.name)  # who was making it has finished it, or somebody has deleted it
            record = repair_record(rule.name, rule.name, "CreateFinished", "Its making had been cut off.")
        self.work.journal.bind(rule=rule.name).warning(record["code"], record["reason"])
        return RuleResult(rule.name, (record,))

    def _undo(self, rule: Rule, error: PlaceTaken) -> RuleResult:
        """Take down a rule whose making was cut off and cannot be finished: its place is another stack's."""
        deleting = rule.in_state(RuleState.DELETING)
        try:
            self.work.rules.replace_rule(deleting, rule.revision)
        except RuleBusy:
            return RuleResult(rule.name)
        self.work.finish_deletion(deleting)
        record = repair_record(rule.name, rule.place.path, "CreateUndone", f"Its making is undone: {error}")
        self.work.journal.bind(rule=rule.name).warning(record["code"], record["reason"], reason=error.code)
        return RuleResult(rule.name, (record,))
