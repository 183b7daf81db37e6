"""Where rules are managed and the fleet is reconciled, over a world in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any

from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import NO_ACCESS, SourceAccess
from rdbkeeper.domain.vault import Capabilities, VaultBinding
from rdbkeeper.entry.answers import RuleActions
from rdbkeeper.flows.fleet.reconcile import Reconcile
from rdbkeeper.flows.fleet.work import FleetWork
from rdbkeeper.flows.rules.browse import BrowseSources
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.flows.rules.register import RegisterRules
from rdbkeeper.flows.rules.show import ShowRules
from rdbkeeper.flows.rules.start import StartRuns
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.flows.runs.run import run_rule
from rdbkeeper.flows.vaults.bind import KeepVaults
from rdbkeeper.ports import Record, Upload
from tests.fakes.adapters import MemoryAdapters
from tests.fakes.clock import FakeClock
from tests.fakes.engine import ReplayEngine
from tests.fakes.fleet import SETTINGS, MemoryExecutions, MemoryFleet, MemoryFunction
from tests.fakes.journal import ListJournal
from tests.fakes.source import MemorySource
from tests.fakes.table import MemoryTables
from tests.fakes.vault import MemoryVault
from tests.flows.world import POLL, make_rule

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
NAME = "orders-nightly"
FUNCTION = "rdbkeeper-rule-orders-nightly"
LOG_GROUP = "/aws/lambda/rdbkeeper-rule-orders-nightly"
ALARM = "rdbkeeper-rule-orders-nightly-overdue"
ARCHIVIST = "archivist"
HOOKS = ("stop", "go-on", "another")
STAGING_BUCKET = "the-staging-bucket"

Through = Callable[[Any], Any]
"""Puts something between the flows and a port."""


def directly(port: Any) -> Any:
    """Puts nothing between; calls from several threads come one at a time, for which the fakes are not made."""
    return _OneAtATime(port)


def new_rule(name: str = NAME, **changes: object) -> Rule:
    """A rule as a request brings it."""
    return make_rule(name, **{"state": RuleState.CREATING, "created_at": NOW, **changes})


@dataclass
class Desk:
    """The instances are `orders` and `sessions`; rules may name the role `archivist`, the `HOOKS`."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    journal: ListJournal = field(default_factory=ListJournal)
    fleet: MemoryFleet = field(init=False)
    tables: MemoryTables = field(init=False)
    adapters: MemoryAdapters = field(default_factory=MemoryAdapters)
    executions: MemoryExecutions = field(default_factory=MemoryExecutions)
    seconds_left: float = 900.0

    def __post_init__(self) -> None:
        role = f"arn:aws:iam::000000000000:role/{ARCHIVIST}"
        hooks = tuple(f"arn:aws:lambda:us-east-1:000000000000:function:{name}" for name in HOOKS)
        self.fleet = MemoryFleet(replace(SETTINGS, rule_role_arns=(role,), hook_function_arns=hooks))
        self.tables = MemoryTables(self.clock)
        self.vault.clock = self.clock
        for name in ("orders", "sessions"):
            self.source.add_instance(name)

    # -------------------------------------------------------------- the flows

    def work(self, through: Through = directly) -> FleetWork:
        return FleetWork(
            stack=self.fleet.settings,
            rules=through(self.tables.rules),
            runs=through(self.tables.runs),
            vaults=through(self.tables.vaults),
            services=through(self.fleet),
            adapters=_AdaptersThrough(self.adapters, through),
            journal=self.journal,
            clock=self.clock,
        )

    def actions(self, through: Through = directly) -> RuleActions:
        """What a person does with rules, with something between the flows and their ports."""
        return RuleActions.over(RulesContext(self.work(through), staging_bucket=STAGING_BUCKET))

    def reconcile(self, through: Through = directly) -> Reconcile:
        return Reconcile(self.work(through), lambda: self.seconds_left)

    @property
    def register(self) -> RegisterRules:
        return self.actions().register

    @property
    def start(self) -> StartRuns:
        return self.actions().start

    @property
    def show(self) -> ShowRules:
        return self.actions().show

    @property
    def vaults(self) -> KeepVaults:
        return self.actions().vaults

    @property
    def browse(self) -> BrowseSources:
        return self.actions().browse

    def fire(self, name: str = NAME, *, on_request: bool = False) -> Record:
        """One run of a rule from its beginning to its end, as its timer starts it."""
        execution = self.fleet.begin_run(name)
        context = RunContext(
            rule_name=name,
            execution=execution,
            rules=self.tables.rules,
            runs=self.tables.runs,
            adapters=self.adapters,
            executions=self.executions,
            journal=self.journal,
            clock=self.clock,
            export_timeout=timedelta(hours=3),
            stack_name=SETTINGS.stack,
            stack_id=SETTINGS.stack_id,
            request=RunRequest(on_request=on_request),
        )
        try:
            return run_rule(ReplayEngine(self.clock, execution=execution), context, POLL)
        finally:
            self.fleet.end_run(execution)

    # -------------------------------------------------------------- the world

    @property
    def source(self) -> MemorySource:
        return self.adapters.the_source

    @property
    def vault(self) -> MemoryVault:
        return self.adapters.the_vault

    def rule(self, name: str = NAME) -> Rule:
        found = self.tables.rules.find_rule(name)
        assert found is not None
        return found

    def function(self, name: str = NAME) -> MemoryFunction:
        return self.fleet.functions[self.fleet.settings.function_name(name)]

    def shown(self, name: str = NAME) -> Record:
        """The rule as `get` shows it."""
        rule: Record = self.show.get(name)["rule"]
        return rule

    def leave_upload_open(self, name: str = NAME) -> Upload:
        """An upload that a run of the rule began and did not end."""
        upload = self.vault.open_upload(f"{self.rule(name).place.path}x/0001.rdb")
        self.tables.runs.remember_uploads(name, [upload])
        return upload

    def nothing_was_made(self) -> bool:
        """True while there is no rule and nothing of the fleet but log groups."""
        return not self.tables.rules.rules() and self.nothing_runs()

    def nothing_runs(self) -> bool:
        """True while there is nothing of the fleet but log groups."""
        return not (self.fleet.functions or self.fleet.schedules or self.fleet.alarms)


_lock = RLock()


class _OneAtATime:
    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if not callable(value):
            return value

        def call(*given: Any, **named: Any) -> Any:
            with _lock:
                return value(*given, **named)

        return call


@dataclass(frozen=True)
class _AdaptersThrough:
    adapters: MemoryAdapters
    through: Through

    def source(self, provider: str, access: SourceAccess = NO_ACCESS, longest_call_s: float | None = None) -> Any:
        return self.through(self.adapters.source(provider, access))

    def live_source(self, access: SourceAccess) -> Any:
        return self.through(self.adapters.live_source(access))

    @property
    def hooks(self) -> Any:
        return self.through(self.adapters.hooks)

    def vault(self, name: str) -> Any:
        return self.through(self.adapters.vault(name))

    def open_vault(self, binding: VaultBinding, capabilities: Capabilities) -> Any:
        return self.through(self.adapters.open_vault(binding, capabilities))

    def probe_vault(self, binding: VaultBinding, *, closely: bool) -> Any:
        return self.through(self.adapters).probe_vault(binding, closely=closely)
