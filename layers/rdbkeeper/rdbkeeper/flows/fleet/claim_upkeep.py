"""Sees to it that every rule's place bears its claim, and no place that the rule has left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.flows.fleet.repairs import RuleResult, hold, repair_record
from rdbkeeper.flows.fleet.work import FleetWork

AT_ONCE = 4
_SETTLED = (RuleState.ACTIVE, RuleState.PAUSED)


@dataclass(frozen=True)
class KeepClaims:
    """Mends what a cut-off request, an offline vault or a person's hand left of claims. Another stack's stay."""

    work: FleetWork
    is_time_left: Callable[[], bool]

    def keep(self, rules: Sequence[Rule], vaults: Collection[str]) -> list[RuleResult]:
        """Settle the claims of the rules that keep copies in those vaults, or did."""
        due = [rule for rule in rules if rule.state in _SETTLED and not _vaults_of(rule).isdisjoint(vaults)]
        with ThreadPoolExecutor(AT_ONCE) as workers:
            return list(workers.map(lambda rule: self._guard(rule, vaults), due))

    def _guard(self, rule: Rule, vaults: Collection[str]) -> RuleResult:
        if not self.is_time_left():
            return RuleResult(rule.name, left=True)
        what = f"Claiming the place of {rule.name}"
        return hold(self.work.journal, rule.name, what, "PlaceNotClaimed", lambda: self._settle(rule, vaults))

    def _settle(self, read: Rule, vaults: Collection[str]) -> RuleResult:
        rule = self.work.rules.find_rule(read.name)
        if rule is None or rule.state not in _SETTLED or rule.place != read.place:
            return RuleResult(read.name)  # deleted or moved since all were read; who did it saw to the claim
        claimed = read.vault in vaults and self.work.claim_place(read)
        self.work.release_former_places(rule, vaults)
        if not claimed:
            return RuleResult(read.name)
        told = repair_record(read.name, read.place.path, "PlaceClaimed", "Its place bore no claim of its own.")
        self.work.journal.bind(rule=read.name).warning(told["code"], f"{read.place.path}: {told['reason']}")
        return RuleResult(read.name, (told,))


def _vaults_of(rule: Rule) -> set[str]:
    return {rule.vault, *(place.vault for place in rule.former_places)}
