"""One rule over a world in memory, run as the handler runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from rdbkeeper.domain.copy import Manifest
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.status import RuleStatus, RunReport
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.flows.runs.run import run_rule
from rdbkeeper.flows.runs.worker import do_share
from rdbkeeper.ports import Poll, Record
from tests.fakes.adapters import MemoryAdapters
from tests.fakes.clock import FakeClock
from tests.fakes.engine import ReplayEngine
from tests.fakes.fleet import MemoryExecutions
from tests.fakes.journal import ListJournal
from tests.fakes.rdb_files import rdb_file
from tests.fakes.source import MemorySource
from tests.fakes.table import MemoryTables
from tests.fakes.vault import MemoryVault

NIGHT = datetime(2026, 11, 20, 2, 15, tzinfo=UTC)
POLL = Poll(30, 120)


def make_rule(name: str = "orders-nightly", **changes: object) -> Rule:
    values: dict[str, object] = {
        "name": name,
        "provider": "elasticache",
        "instance": "orders",
        "cycle": Cycle(kind="daily", at="02:30", time_zone="Asia/Tokyo"),
        "created_at": datetime(2026, 11, 1, tzinfo=UTC),
        "prefix": "redis/",
        "state": RuleState.ACTIVE,
    }
    return Rule(**{**values, **changes})


@dataclass
class World:
    rule: Rule = field(default_factory=make_rule)
    clock: FakeClock = field(default_factory=FakeClock)
    journal: ListJournal = field(default_factory=ListJournal)
    tables: MemoryTables = field(init=False)
    adapters: MemoryAdapters = field(default_factory=MemoryAdapters)
    executions: MemoryExecutions = field(default_factory=MemoryExecutions)
    copying: CopySettings = field(default_factory=lambda: CopySettings(lanes=1))
    stack_name: str = "rdbkeeper"
    runs: int = 0

    def __post_init__(self) -> None:
        self.tables = MemoryTables(self.clock)
        self.vault.clock = self.clock
        self.source.clock = self.clock
        self.tables.rules.create_rule(self.rule, 0)
        self.source.add_instance("orders")

    @property
    def source(self) -> MemorySource:
        return self.adapters.the_source

    @property
    def vault(self) -> MemoryVault:
        return self.adapters.the_vault

    def add_backup(self, backup_id: str, days: int = 0, files: dict[str, bytes] | None = None) -> dict[str, bytes]:
        """A complete backup taken `days` after the first night; by default one small file."""
        given = files or {"0001": rdb_file(200 + days, seed=days)}
        self.source.add_backup("orders", backup_id, NIGHT + timedelta(days=days), given)
        return given

    def engine(self) -> ReplayEngine:
        self.runs += 1
        return ReplayEngine(self.clock, execution=f"arn:aws:lambda:::function:f:1/durable-execution/run/{self.runs}")

    def edit(self, **changes: object) -> None:
        """Change the rule as a person would, at its next revision."""
        edited = replace(self.rule, revision=self.rule.revision + 1, **changes)
        self.tables.rules.replace_rule(edited, self.rule.revision)
        self.rule = edited

    def status(self) -> RuleStatus:
        return self.tables.rules.find_status(self.rule.name)

    def history(self) -> list[RunReport]:
        return list(self.tables.runs.history(self.rule.name, "", 100).runs)

    def run(self, engine: ReplayEngine | None = None, request: RunRequest | None = None) -> Record:
        """One run, as the handler makes it; several sandboxes are at work where the copying settings say so."""
        engine = engine or self.engine()
        engine.worker = lambda share: do_share(self.context(share["execution"]), share, seconds_left=900)
        return run_rule(engine, self.context(engine.execution, request), POLL)

    def context(self, execution: str, request: RunRequest | None = None) -> RunContext:
        return RunContext(
            rule_name=self.rule.name,
            execution=execution,
            rules=self.tables.rules,
            runs=self.tables.runs,
            adapters=self.adapters,
            executions=self.executions,
            journal=self.journal,
            clock=self.clock,
            export_timeout=timedelta(hours=3),
            request=request or RunRequest(),
            copying=self.copying,
            stack_name=self.stack_name,
            stack_id="this one",
        )

    def steal_lease(self) -> None:
        """Let another run hold the rule's lease."""
        self.tables.leases[self.rule.name] = "somebody else"

    def manifests(self) -> dict[str, Manifest]:
        return {key: Manifest.from_json(body, key) for key, body in self.vault.objects.items() if "/manifests/" in key}

    def data(self) -> dict[str, bytes]:
        return {key: body for key, body in self.vault.objects.items() if key.endswith(".rdb")}

    def copied_backups(self) -> list[str]:
        return [manifest.backup_id for manifest in self.manifests().values()]

    def report(self) -> str:
        return next(line.message for line in reversed(self.journal.lines) if line.event == "RunFinished")

    def outcomes(self) -> dict[str, str]:
        return {
            line.fields["backup"]: line.fields["reason"] for line in self.journal.lines if line.event == "BackupOutcome"
        }


def after_each(port: object, method: str, act: Callable[[], object]) -> None:
    """Let something happen after each call of a port's method."""
    call = getattr(port, method)

    def call_then_act(*args: object) -> object:
        answer = call(*args)
        act()
        return answer

    setattr(port, method, call_then_act)
