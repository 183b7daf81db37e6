"""Retention in a run, after its copying: decide what stays, and remove the rest one by one, the oldest first.

Everything is decided anew from the vault and the table as they are now: a rule that was edited a moment ago counts, and
so does a copy that somebody took away. Nothing goes before the copy that is to outlive it was seen to be there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from rdbkeeper.domain.catalog import CatalogEntry
from rdbkeeper.domain.claim import make_claim
from rdbkeeper.domain.errors import LeaseLost, RdbkeeperError, RuleChanged, RuleGone
from rdbkeeper.domain.outcome import Removals, human_size
from rdbkeeper.domain.refetching import find_refetched
from rdbkeeper.domain.removal import RemovalEnd, RemovalOutcome
from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.retention_plan import Decision, decide
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.status import find_kept_copies, find_reason_to_keep_all
from rdbkeeper.flows.copies.removal import is_staying, remove_copy
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.flows.runs.keepers import find_absence, find_keepers, mark_damaged, whole_copies
from rdbkeeper.flows.vaults.claims import check_place_is_unclaimed
from rdbkeeper.ports import Engine, Journal, Record, Vault

# A run's record, log and time stay small; what is left is removed by the next one.
MOST_REMOVED = 200
MOST_LOOKED_AT = 1_000
MOST_ROUNDS = 20
# Failures of the store in a row, after which one more copy is tried, the last one: the first ones may fail for ever.
MOST_FAILED = 5
# A removal that is begun when a round's time is over may take this long: some tries at calls of 65 s (the adapters').
RESERVE_S = 240.0
# Keepers that turn out to be damaged, one after the other, in one round.
MOST_KEEPERS_LOST = 10


def has_something_to_go(rule: Rule, entries: Sequence[CatalogEntry], now: datetime) -> bool:
    """Whether the rule's retention would remove any of its copies now."""
    retentions = rule.retentions_in_force(now)
    if any(retention.keeps_everything for retention in retentions):
        return False
    return not all(decision.keeps for decision in decide(entries, retentions, rule.cycle.time_zone, now))


def retain_copies(engine: Engine, step: RetainStep, rule: Rule, listed: Sequence[str]) -> Record:
    """Remove what the rule's retention does not keep, in as many steps as it takes.

    `listed` are the ids that copies of the backups at the source have or would have.
    Returns `{"removals": …, "kept": …}`: what was done, and what lies in the place now (None when that is unknown).
    Raises LeaseLost and RuleGone; whatever else keeps it from its work is told and fails nothing.
    """
    record: Record = {"removals": Removals().as_record(), "kept": None}
    try:
        for number in range(1, MOST_ROUNDS + 1):
            if number > 1:
                engine.renew_invocation(f"renew before round {number} of retention")
            so_far = Removals.from_record(record["removals"])
            record = engine.step(f"retain, round {number}", partial(_round, engine, step, rule, so_far, listed))
            if record["removals"]["is_over"]:
                break
    except (LeaseLost, RuleGone):
        raise
    except RdbkeeperError as error:
        so_far = Removals.from_record(record["removals"])
        return engine.step("tell that retention failed", partial(step.tell_failure, so_far, error))
    return record


def _round(engine: Engine, step: RetainStep, rule: Rule, so_far: Removals, listed: Sequence[str]) -> Record:
    return step.run(rule, so_far, frozenset(listed), max(0.0, engine.seconds_left() - RESERVE_S))


@dataclass(frozen=True)
class _Decided:
    """What was decided of a place, and by what; `waits` is why none of it may be done now."""

    rule: Rule
    retentions: tuple[Retention, ...]
    entries: tuple[CatalogEntry, ...]
    to_remove: tuple[Decision, ...]  # the oldest first
    waits: str = ""


@dataclass(frozen=True)
class RetainStep:
    """Decides and removes."""

    context: RunContext

    def run(self, rule: Rule, so_far: Removals, listed: frozenset[str], budget_s: float) -> Record:
        """One round: decide anew, and remove for about `budget_s` seconds."""
        started = self.context.clock.monotonic()
        decided = self._decide_safely(rule, so_far, listed)
        if decided.waits:
            self.context.journal.warning("RetentionWaits", f"No copy is removed now: {decided.waits}.")
            waiting = replace(so_far, waits=decided.waits, is_over=True)
            return self._record(rule, waiting, decided.entries, frozenset())
        gone: set[str] = set()
        done = so_far
        try:
            for done, copy_id in self._remove_all(decided, so_far):
                gone |= {copy_id} if copy_id else set()
                if done.is_full or self.context.clock.monotonic() - started > budget_s:
                    break
            else:
                done = replace(done, is_over=True)
        except _DecideAnew:
            pass
        except RdbkeeperError:
            if not gone:
                raise
            # What was removed is told; the next round meets the same obstacle, or none any more.
        self._forget_checks(rule, sorted(gone))
        return self._record(rule, replace(done, is_over=done.is_over or done.is_full), decided.entries, gone)

    def tell_failure(self, so_far: Removals, error: RdbkeeperError) -> Record:
        """Log that retention could not do its work; the copies stay, and the next run tries again."""
        write = self.context.journal.warning if isinstance(error, RuleChanged) else self.context.journal.error
        write("RetentionFailed", f"What retention does not keep stays for now: {error}", reason=error.code)
        waits = f"{error.code}, see this run's log"
        return {"removals": replace(so_far, waits=waits, is_over=True).as_record(), "kept": None}

    def _decide(self, rule: Rule, so_far: Removals, listed: frozenset[str]) -> _Decided:
        fresh = self._read_rule(rule)
        now = self.context.clock.now()
        catalog = self.context.vault(fresh).catalog(fresh.place.path)
        # What somebody is removing is theirs to finish, and stands for no other copy.
        entries = tuple(one for one in catalog.entries if one.copy_id not in catalog.unfinished_removals)
        retentions = fresh.retentions_in_force(now)
        zone = fresh.cycle.time_zone
        to_remove = [one for one in decide(entries, retentions, zone, now) if not one.keeps]
        ids = frozenset(one.entry.copy_id for one in to_remove)
        stays = find_refetched(entries, ids, listed, fresh.retention, zone, now) | frozenset(so_far.settled)
        to_remove = [one for one in to_remove if one.entry.copy_id not in stays]
        return _Decided(fresh, retentions, entries, tuple(sorted(to_remove, key=lambda one: one.entry.copy_id)))

    def _read_rule(self, rule: Rule) -> Rule:
        """The rule as it is now, this run being in charge of it. Raises LeaseLost, RuleGone, RuleChanged."""
        self.context.renew_lease()
        return self.context.get_unmoved_rule(rule)

    def _find_reason_to_wait(self, decided: _Decided) -> str:
        """Why nothing may go, or "": what cannot be copied any more must not be aged out."""
        rule = decided.rule
        if self.context.find_instance(rule) is None:
            return f"the instance {rule.instance} is gone"
        return find_reason_to_keep_all(rule, decided.entries, self.context.clock.now())

    # ---------------------------------------------------------------- keepers

    def _decide_safely(self, rule: Rule, so_far: Removals, listed: frozenset[str]) -> _Decided:
        """What is to go, after the copies that are to outlive it were seen to be there."""
        vault = self.context.vault(rule)
        decided = self._decide(rule, so_far, listed)
        for _ in range(MOST_KEEPERS_LOST):
            if not decided.to_remove:
                return decided
            waits = self._find_reason_to_wait(decided)
            if waits:
                return replace(decided, waits=waits)
            self._check_claim(vault, rule)
            absent = [
                (keeper, what)
                for keeper in find_keepers(decided.entries)
                if (what := find_absence(vault, rule.place.path, keeper)) is not None
            ]
            if not absent:
                return decided
            for keeper, what in absent:
                mark_damaged(self.context, vault, rule.place.path, keeper, what)
            decided = self._decide(rule, so_far, listed)
        return replace(decided, waits=f"the {MOST_KEEPERS_LOST} newest copies are not whole")

    def _check_claim(self, vault: Vault, rule: Rule) -> None:
        """Raise PlaceTaken when another stack or rule has claimed the place: the copies there are its own."""
        context = self.context
        if context.stack_name:
            ours = make_claim(context.stack_name, context.stack_id, rule, context.clock.now())
            check_place_is_unclaimed(vault, rule.place.path, ours)

    # ---------------------------------------------------------------- removing

    def _remove_all(self, decided: _Decided, so_far: Removals) -> Iterator[tuple[Removals, str]]:
        """Remove one after the other; yields what was done by then, and the copy that is gone, if one is."""
        left = deque(decided.to_remove)
        while left:
            if (
                so_far.removed >= MOST_REMOVED
                or len(so_far.settled) >= MOST_LOOKED_AT
                or so_far.failed_in_row > MOST_FAILED
            ):
                yield replace(so_far, is_full=True), ""
                return
            decision = left.pop() if so_far.failed_in_row == MOST_FAILED else left.popleft()
            fresh = self._read_rule(decided.rule)
            in_force = fresh.retentions_in_force(self.context.clock.now())
            if (in_force, fresh.cycle.time_zone) != (decided.retentions, decided.rule.cycle.time_zone):
                raise _DecideAnew
            outcome = self._remove(decided, decision)
            if outcome is not None and outcome.end is RemovalEnd.NEEDED:
                raise _DecideAnew
            so_far = _count(so_far, decision.entry.copy_id, outcome)
            is_gone = outcome is not None and outcome.end in (RemovalEnd.REMOVED, RemovalEnd.GONE)
            yield so_far, decision.entry.copy_id if is_gone else ""

    def _remove(self, decided: _Decided, decision: Decision) -> RemovalOutcome | None:
        """Remove one copy; None when the store failed, which is logged and must not keep the others from going."""
        rule, entry, context = decided.rule, decision.entry, self.context
        vault, path = context.vault(rule), rule.place.path
        keepers = find_keepers(decided.entries)
        journal = context.journal.bind(copy=entry.copy_id)
        try:
            outcome = remove_copy(
                vault,
                path,
                entry,
                reason=decision.sentence(),
                by=f"the retention of {rule.name}, run {context.run_id}",
                clock=context.clock,
                journal=journal,
                # A person may have removed meanwhile what was to outlive it.
                is_needed=lambda: not all(is_staying(vault, path, keeper) for keeper in keepers),
            )
        except RdbkeeperError as error:
            journal.error("RemovalFailed", f"Removing {entry.copy_id} failed: {error}", reason=error.code)
            return None
        except Exception as error:  # noqa: BLE001 - a defect that one copy brings out must not keep the others
            report_defect(journal, f"Removing {entry.copy_id}", error)
            return RemovalOutcome(entry.copy_id, RemovalEnd.REFUSED)
        _tell(journal, decision, outcome)
        return outcome

    def _forget_checks(self, rule: Rule, copy_ids: Sequence[str]) -> None:
        if not copy_ids:
            return
        try:
            self.context.runs.forget_checks(rule.name, copy_ids)
        except RdbkeeperError as error:
            self.context.journal.warning(
                "RecordLeft", f"When removed copies were last read stays on record for now: {error}", reason=error.code
            )

    @staticmethod
    def _record(
        rule: Rule, removals: Removals, entries: Sequence[CatalogEntry], gone: frozenset[str] | set[str]
    ) -> Record:
        left = [entry for entry in whole_copies(entries) if entry.copy_id not in gone]
        return {"removals": removals.as_record(), "kept": find_kept_copies(rule.place.path, left).as_record()}


class _DecideAnew(Exception):
    """No error: the rule was edited or a keeper removed, so what was decided counts no more."""


def _tell(journal: Journal, decision: Decision, outcome: RemovalOutcome) -> None:
    """Log how a removal ended."""
    copy_id = outcome.copy_id
    if outcome.end is RemovalEnd.REMOVED:
        journal.info(
            "CopyRemoved",
            f"The copy {copy_id} is removed ({human_size(outcome.size_bytes)}). {decision.sentence()}",
            copy_id=copy_id,
            reason=decision.reasons[0],
            size_bytes=outcome.size_bytes,
        )
    elif outcome.end is RemovalEnd.LOCKED:
        journal.info("CopyRetained", f"The copy {copy_id} stays: {outcome.detail}.", copy_id=copy_id)
    elif outcome.end is RemovalEnd.REFUSED:
        journal.error("RemovalFailed", f"The copy {copy_id} was not removed: {outcome.detail}", copy_id=copy_id)


def _count(so_far: Removals, copy_id: str, outcome: RemovalOutcome | None) -> Removals:
    after = replace(so_far, settled=(*so_far.settled, copy_id))
    if outcome is None:
        return replace(after, failed=so_far.failed + 1, failed_in_row=so_far.failed_in_row + 1)
    if outcome.end is RemovalEnd.REFUSED:
        return replace(after, refused=so_far.refused + 1)  # that tells nothing of the store
    after = replace(after, failed_in_row=0)
    if outcome.end is RemovalEnd.REMOVED:
        return replace(after, removed=so_far.removed + 1, size_bytes=so_far.size_bytes + outcome.size_bytes)
    if outcome.end is RemovalEnd.LOCKED:
        moments = [moment for moment in (so_far.locked_until, outcome.retained_until) if moment is not None]
        return replace(after, locked=so_far.locked + 1, locked_until=min(moments, default=None))
    return after
