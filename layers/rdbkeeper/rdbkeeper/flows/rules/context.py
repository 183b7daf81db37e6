"""What every action on rules has at hand, and the questions that several of them ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.errors import BackupsDisabled, InstanceNotFound, RuleNotFound, RuleNotReady, VaultNotFound
from rdbkeeper.domain.live_backup import assume_server
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.source import name_missing
from rdbkeeper.domain.status import find_instance_block
from rdbkeeper.domain.vault import VaultBinding
from rdbkeeper.flows.fleet.work import FleetWork
from rdbkeeper.flows.rules.describe import describe_locks
from rdbkeeper.ports import Adapters, Clock, Journal, RuleTable, RunTable, VaultTable


@dataclass(frozen=True)
class RulesContext:
    """The fleet that rules run on, and through it the ports that actions on rules work with.

    `pause` waits for some seconds; in `staging_bucket` the provider's files lie until they are copied.
    """

    fleet: FleetWork
    pause: Callable[[float], None] = time.sleep
    staging_bucket: str = ""

    @property
    def rules(self) -> RuleTable:
        return self.fleet.rules

    @property
    def runs(self) -> RunTable:
        return self.fleet.runs

    @property
    def vaults(self) -> VaultTable:
        return self.fleet.vaults

    @property
    def adapters(self) -> Adapters:
        return self.fleet.adapters

    @property
    def journal(self) -> Journal:
        return self.fleet.journal

    @property
    def clock(self) -> Clock:
        return self.fleet.clock

    def get_rule(self, name: str) -> Rule:
        """The rule of that name. Raises RuleNotFound."""
        rule = self.rules.find_rule(name)
        if rule is None:
            raise RuleNotFound(
                f"There is no rule {name}.", field="name", hint="The action `list` shows the rules that there are."
            )
        return rule

    def get_settled_rule(self, name: str) -> Rule:
        """The rule of that name. Raises RuleNotFound, and RuleNotReady while it is being made or deleted."""
        rule = self.get_rule(name)
        if rule.state in (RuleState.CREATING, RuleState.DELETING):
            raise RuleNotReady(
                f"The rule {name} is {rule.state.value}.",
                field="name",
                hint="Send the request again when that is done; what was cut off is finished within the hour, or by "
                "sending the create or delete again.",
            )
        return rule

    def find_instance(self, rule: Rule) -> Instance | None:
        """The rule's instance, or None. A server reached directly is taken to be there: its runs alone can see it."""
        if rule.is_live:
            return assume_server(rule.instance)
        return self.adapters.source(rule.provider, rule.access).find_instance(rule.instance)

    def get_vault(self, name: str, field: str = "name") -> VaultBinding:
        """The vault of that name. Raises VaultNotFound, naming the field that it stands in."""
        binding = self.vaults.find_vault(name)
        if binding is None:
            raise VaultNotFound(
                f"There is no vault {name}.",
                field=field,
                hint="The action `vaults` shows those that there are; `bind_vault` makes one of a bucket.",
            )
        return binding

    def find_lock_notes(self, rule: Rule) -> list[str]:
        """What the locks of the rule's vault mean to its retention."""
        return describe_locks(rule.retention, self.vaults.find_vault(rule.vault), self.vaults.find_probe(rule.vault))

    def check_wish(self, rule: Rule, *, take_over: bool = False) -> Instance:
        """The instance of a rule that is still to be made. Raises what keeps it from being, but for what is taken.

        What another stack has claimed counts as taken as well, unless it is to be taken over.
        """
        rule.cycle.get_next_fire_times(self.clock.now(), 1)
        self.fleet.stack.check_function_name(rule.name)
        self.fleet.stack.check_role(rule.role)
        self.fleet.stack.check_hooks(rule.backup_first)
        self.fleet.stack.get_network(is_live=rule.is_live)
        instance = self.get_instance(rule)
        self.check_new_place(rule, take_over=take_over)
        return instance

    def check_new_place(self, rule: Rule, *, take_over: bool) -> None:
        """Raise VaultNotFound, or PlaceTaken when another stack has claimed the place that the rule is to have.

        A vault that is known to be offline is not asked: the rule waits for it, and so does its claim.
        """
        self.get_vault(rule.vault, "vault")
        if not take_over and self.fleet.find_vault_block(rule.vault) is None:
            self.fleet.check_place_is_unclaimed(rule)

    def get_instance(self, rule: Rule) -> Instance:
        """The rule's instance. Raises InstanceNotFound, and BackupsDisabled when it cannot be protected."""
        instance = self.find_instance(rule)
        if instance is None:
            message, hint = name_missing(rule.provider, rule.instance, rule.access)
            raise InstanceNotFound(message, field="source.instance", hint=hint)
        block = find_instance_block(rule, instance)
        if block is not None and block.code == BackupsDisabled.__name__:
            raise BackupsDisabled(block.message, field="source.instance", hint=f"Switch them on first. {block.hint}")
        return instance
