"""What every step of a run has at hand: whose run it is, the ports, and how to log and to stay in charge."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.errors import RuleChanged, RuleGone
from rdbkeeper.domain.outcome import Outcome, Status, describe
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.flows.uploads import give_up_uploads
from rdbkeeper.ports import (
    Adapters,
    Clock,
    Executions,
    Hooks,
    Journal,
    LiveSource,
    RuleTable,
    RunTable,
    Source,
    Upload,
    Vault,
)

LONGEST_INVOCATION = timedelta(minutes=15)  # "Timeout", Lambda quotas


def run_id_of(execution: str) -> str:
    """What logs, history and answers call an execution: the last part of its ARN, which tells no account."""
    return execution.rsplit("/", 1)[-1]


def rule_tag(rule: str) -> str:
    """What the names of all exports of a rule begin with, whichever run asked for them."""
    return hashlib.sha256(rule.encode()).hexdigest()[:8]


def made_tag(stack: str, rule: str) -> str:
    """What tells the backups that a rule of a stack has made from those of every other one, by their names."""
    return hashlib.sha256(f"{stack}\n{rule}".encode()).hexdigest()[:8]


def chain_tag(chain: str) -> str:
    """What follows in the names of the exports of one chain of runs."""
    return hashlib.sha256(chain.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Ticket:
    """One backup to be copied in this run: its copy's id, its own id, and the name of this attempt at its export."""

    copy_id: str
    backup_id: str
    attempt: str

    def as_record(self) -> list[str]:
        return [self.copy_id, self.backup_id, self.attempt]


@dataclass(frozen=True)
class RunContext:
    """One run over the ports. Holds nothing that a fresh invocation could not find out again.

    `longest_invocation` is how long one invocation of the rule's function may live.
    """

    rule_name: str
    execution: str
    rules: RuleTable
    runs: RunTable
    adapters: Adapters
    executions: Executions
    journal: Journal
    clock: Clock
    export_timeout: timedelta
    request: RunRequest = field(default_factory=RunRequest)
    copying: CopySettings = field(default_factory=CopySettings)
    longest_invocation: timedelta = LONGEST_INVOCATION
    stack_name: str = ""
    stack_id: str = ""

    @property
    def run_id(self) -> str:
        """The run's id as logs, history and answers show it."""
        return run_id_of(self.execution)

    @property
    def chain(self) -> str:
        """What the runs of one chain have in common: the id of the first."""
        return self.request.chain or self.run_id

    def renew_lease(self) -> None:
        """Stay in charge of the rule, at the beginning of each step. Raises LeaseLost."""
        self.runs.renew_lease(self.rule_name, self.execution, self.clock.now())

    def find_wanted_rule(self) -> Rule | None:
        """The rule as it is now, or None when it is gone or being deleted."""
        rule = self.rules.find_rule(self.rule_name)
        return None if rule is None or rule.state is RuleState.DELETING else rule

    def get_wanted_rule(self) -> Rule:
        """The rule as it is now. Raises RuleGone when it is gone or being deleted."""
        rule = self.find_wanted_rule()
        if rule is None:
            raise RuleGone(
                f"The rule {self.rule_name} was deleted while its run was going.", hint="Nothing more is copied."
            )
        return rule

    def check_still_wanted(self, rule: Rule) -> None:
        """Raise RuleGone or RuleChanged unless the rule still says what this run goes by.

        Asked before anything that cannot be undone: the rule may have been deleted or edited while its run was going.
        """
        self.get_unmoved_rule(rule)

    def get_unmoved_rule(self, rule: Rule) -> Rule:
        """The rule as it is now, at the place that this run goes by. Raises RuleGone or RuleChanged."""
        fresh = self.get_wanted_rule()
        if not fresh.has_same_target(rule):
            raise RuleChanged(
                f"The rule {self.rule_name} was pointed at another instance or place while its run was going.",
                hint="Nothing more is copied to where it pointed; the next run goes by the rule as it is now.",
            )
        return fresh

    def source(self, rule: Rule) -> Source:
        return self.adapters.source(rule.provider, rule.access)

    def live_source(self, rule: Rule) -> LiveSource:
        return self.adapters.live_source(rule.access)

    def find_instance(self, rule: Rule) -> Instance | None:
        """The rule's instance, or None."""
        if rule.is_live:
            return self.live_source(rule).find_instance(rule.instance)
        return self.source(rule).find_instance(rule.instance)

    @property
    def hooks(self) -> Hooks:
        return self.adapters.hooks

    def vault(self, rule: Rule) -> Vault:
        return self.adapters.vault(rule.vault)

    def give_up_uploads(self, rule: Rule, uploads: Sequence[Upload]) -> list[Upload]:
        """Abort uploads that nobody will complete; returns those that were."""
        return give_up_uploads(rule, uploads, self.vault(rule), self.runs, self.journal)

    def log(self, ticket: Ticket) -> Journal:
        """The journal of one backup."""
        return self.journal.bind(backup=ticket.backup_id)

    def log_outcome(self, outcome: Outcome) -> None:
        """Log what became of one backup."""
        journal = self.journal.bind(backup=outcome.backup_id)
        write = journal.error if outcome.status is Status.FAILED else journal.info
        write(
            "BackupOutcome",
            describe(outcome),
            status=outcome.status.value,
            reason=outcome.reason,
            copy_id=outcome.copy_id,
            verification=outcome.level,
            files=outcome.file_count,
            size_bytes=outcome.size_bytes,
        )
