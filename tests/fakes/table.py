"""The rule table in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rdbkeeper.domain.errors import LeaseLost, NameTaken, RuleBusy
from rdbkeeper.domain.rule import Rule
from rdbkeeper.ports import Upload


@dataclass
class MemoryRuleTable:
    _rules: dict[str, Rule] = field(default_factory=dict)
    _revision: int = 0
    leases: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, list[Upload]] = field(default_factory=dict)
    attempts: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def find_rule(self, name: str) -> Rule | None:
        return self._rules.get(name)

    def rules(self) -> list[Rule]:
        return [self._rules[name] for name in sorted(self._rules)]

    def registry_revision(self) -> int:
        return self._revision

    def create_rule(self, rule: Rule, registry_revision: int) -> None:
        if rule.name in self._rules:
            if self._rules[rule.name] == rule:
                return
            raise NameTaken(f"There is a rule {rule.name} already.", field="name")
        if registry_revision != self._revision:
            raise RuleBusy("Another rule was added at the same moment.")
        self._rules[rule.name] = rule
        self._revision += 1

    def replace_rule(self, rule: Rule, revision: int) -> None:
        there = self._rules.get(rule.name)
        if there == rule:
            return
        if there is None or there.revision != revision:
            raise RuleBusy(f"The rule {rule.name} was changed by somebody else at the same moment.")
        self._rules[rule.name] = rule

    def remove_rule(self, name: str) -> None:
        self.leases.pop(name, None)
        self._rules.pop(name, None)

    def find_lease_owner(self, rule: str) -> str | None:
        return self.leases.get(rule)

    def take_lease(self, rule: str, owner: str, instead_of: str | None, now: datetime) -> bool:
        if self.leases.get(rule) not in (None, owner, instead_of):
            return False
        self.leases[rule] = owner
        return True

    def renew_lease(self, rule: str, owner: str, now: datetime) -> None:
        if self.leases.get(rule) != owner:
            raise LeaseLost(f"This run of {rule} no longer holds the rule's lease.")

    def free_lease(self, rule: str, owner: str) -> None:
        if self.leases.get(rule) == owner:
            del self.leases[rule]

    def remember_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        known = self.uploads.setdefault(rule, [])
        known += [upload for upload in uploads if upload not in known]

    def remembered_uploads(self, rule: str) -> list[Upload]:
        return list(self.uploads.get(rule, []))

    def forget_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        self.uploads[rule] = [upload for upload in self.uploads.get(rule, []) if upload not in uploads]

    def count_attempt(self, rule: str, transfer: str, leg: int) -> int:
        last_leg, count = self.attempts.get((rule, transfer), (leg, 0))
        count = count + 1 if last_leg == leg else 1
        self.attempts[rule, transfer] = (leg, count)
        return count

    def forget_attempts(self, rule: str, transfer: str) -> None:
        self.attempts.pop((rule, transfer), None)
