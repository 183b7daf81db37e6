"""A simulated world: rules, backups, a vault, tables, executions that come and go, and time that moves when told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from rdbkeeper.domain.backup import Backup, BackupState, Instance
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import FleetRefused, RdbkeeperError
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.flows.runs.run import run_rule
from rdbkeeper.ports import Poll, Record
from tests.fakes.clock import FakeClock
from tests.fakes.journal import Line
from tests.fakes.table import MemoryTables
from tests.fakes.vault import MemoryVault
from tests.faults.execution import LONGEST_EXECUTION_S, REPLAY_AFTER_S, Execution, SimulatedEngine, Suspended
from tests.faults.functions import OwnersFunctions
from tests.faults.hourly import Hours
from tests.faults.injector import ForeignError, Injector
from tests.faults.one_thread import one_thread
from tests.faults.oracles import Oracles, has_crc
from tests.faults.people import let_happen
from tests.faults.people_at_rest import delete
from tests.faults.process import Process, ProcessDied
from tests.faults.servers import ChangingServer
from tests.faults.sources import SimulatedSource

FIRST_NIGHT = datetime(2026, 11, 14, 2, 15, tzinfo=UTC)
DAY_S = 24 * 3600.0
POLL = Poll(30, 120)
PART_BYTES = 64
MOST_INVOCATIONS = 1_500  # of one execution; what takes more never ends
MANUALLY = Cycle(kind="manual", time_zone="UTC")
DAILY = Cycle(kind="daily", at="03:00", time_zone="UTC")


@dataclass(frozen=True)
class TrueBackup:
    """What a backup really is: its files' bytes, and whether they are whole RDB files."""

    backup: Backup
    files: dict[str, bytes]
    is_whole: bool = True

    @property
    def has_crc(self) -> bool:
        """True when every file has a sum of its own, so that the copy can be verified."""
        return all(has_crc(file) for file in self.files.values())


@lru_cache(maxsize=64)
def _rule(name: str, instance: str, what: tuple[tuple[str, Any], ...]) -> Rule:
    made_at = datetime(2026, 11, 1, tzinfo=UTC)
    return Rule(name=name, instance=instance, created_at=made_at, prefix="redis/", state=RuleState.ACTIVE, **dict(what))


class World:
    """Everything that there is in one schedule or one seed."""

    def __init__(self, provider: type[SimulatedSource] = SimulatedSource) -> None:
        self.clock = FakeClock()
        self.tables = MemoryTables(self.clock)
        self.the_source = provider(clock=self.clock)
        self.the_vault = MemoryVault(clock=self.clock, smallest_part_bytes=PART_BYTES)
        self.server = ChangingServer()
        self.functions = OwnersFunctions(self.clock)
        self.hours = Hours(self)
        self.executions = SimulatedExecutions(self)
        self.injector = Injector(self)
        self.oracles = Oracles(self)
        self.copying = CopySettings(part_size_bytes=PART_BYTES, lanes=1, spread_from_bytes=10**9, workers=3)
        self.seconds_per_invocation = 900.0
        self.seconds_per_read = 0.0
        self.export_timeout = timedelta(minutes=40)
        self.operations_weigh = 1
        self.without_workers = False
        self.request = RunRequest()
        self.truth: dict[str, TrueBackup] = {}  # by copy id
        self.lines: list[Line] = []
        self.counts: Counter[str] = Counter()
        self.told: list[str] | None = None
        self.take_turns: Callable[[Process, str], None] | None = None
        self.arrivals = 0
        self.ticked_at = self.clock.now()
        self.cut_deletions: list[tuple[str, str]] = []  # rules and manifests

    # ------------------------------------------------------------- set it up

    def add_rule(self, name: str = "nightly", instance: str = "orders", **what: object) -> None:
        """A rule that says so, and otherwise what a rule of a test says; its instance is there."""
        said = {"provider": "elasticache", "cycle": MANUALLY, **what}
        rule = _rule(name, instance, tuple(said.items()))
        self.tables.rules.create_rule(rule, self.tables.registry_revision)
        if not rule.is_live:
            self.the_source.add_instance(instance)

    def add_backup(
        self,
        backup_id: str,
        nights: float,
        files: dict[str, bytes],
        instance: str = "orders",
        state: BackupState = BackupState.COMPLETE,
        *,
        is_whole: bool = True,
    ) -> TrueBackup:
        """A backup taken so many days after the first night."""
        taken_at = FIRST_NIGHT + timedelta(days=nights)
        backup = self.the_source.add_backup(instance, backup_id, taken_at, files, state)
        return self.add_truth(backup, files, is_whole=is_whole)

    def add_truth(self, backup: Backup, files: dict[str, bytes], *, is_whole: bool = True) -> TrueBackup:
        """Know what a backup really is."""
        self.truth[backup.copy_id] = TrueBackup(backup, files, is_whole)
        return self.truth[backup.copy_id]

    # ---------------------------------------------------------- let time pass

    def fire(self, rule: str, request: RunRequest | None = None, arn_name: str = "") -> Execution:
        """A timer's delivery: a new execution of the rule's function, which begins when `drive` comes to it."""
        return self.executions.start(rule, request or self.request, arn_name)

    def tick(self) -> None:
        """One fire of every rule, until nothing is going any more."""
        self.ticked_at = self.clock.now()
        for name in sorted(self.tables.rule_records):
            self.fire(name)
        self.drive()

    def quiet_tick(self) -> None:
        """The next day's fire, on which nothing fails."""
        self.hours.pass_by(DAY_S)
        self.tick()

    def drive(self) -> None:
        """Run what is due, the earliest first, until every execution has ended."""
        while going := self.executions.going():
            execution = min(going, key=lambda execution: (execution.wake_s, execution.order))
            wait_s = execution.wake_s - self.clock.monotonic()
            if wait_s > 0:
                self.hours.pass_by(wait_s)
            self.invoke(execution)

    def invoke(self, execution: Execution, skew_s: float = 0.0) -> None:
        """One invocation of an execution, to its end, its death or its next wait."""
        if self.clock.monotonic() - execution.began_s > LONGEST_EXECUTION_S:
            execution.end("TIMED_OUT")
            return
        process = Process(self, execution, skew_s)
        execution.process = process
        execution.invocations += 1
        self.oracles.check(execution.invocations <= MOST_INVOCATIONS, "an execution never ends")
        self.trace(f"{execution.arn} begins its invocation {execution.invocations}")
        try:
            with one_thread(PART_BYTES):
                answer = run_rule(SimulatedEngine(process), execution.context(process), POLL)
            self.oracles.check_answer(answer)
            self.oracles.on_demand.check_answer(execution, answer)
            self._end(execution, process, "SUCCEEDED")
        except Suspended as wait:
            if process.is_alive:
                execution.wake_s = self.clock.monotonic() + wait.seconds
            else:
                execution.wake_s = self.clock.monotonic() + REPLAY_AFTER_S
        except ProcessDied:
            self.note("process died")
            self.trace("    its process is dead")
            execution.wake_s = self.clock.monotonic() + REPLAY_AFTER_S
        except RdbkeeperError as error:
            self.oracles.check_text(str(error))
            self._end(execution, process, "FAILED")
        except ForeignError:
            self._end(execution, process, "FAILED")
        finally:
            process.is_over = True

    def _end(self, execution: Execution, process: Process, state: str) -> None:
        if process.is_alive:
            self.oracles.check(state != "FAILED" or execution.has_told_of_trouble, "a run failed without a word")
            self.oracles.on_demand.check_end(execution)
            execution.end(state)
            self.trace(f"{execution.arn} has ended: {state}")
        else:
            execution.wake_s = self.clock.monotonic() + REPLAY_AFTER_S

    def turn(self, process: Process, label: str) -> None:
        """Before each call: in a simulation, whoever else is going may come first."""
        if self.take_turns is not None:
            self.take_turns(process, label)
        if self.told is not None:
            self.told.append(f"    {process.execution.arn.rsplit('/', 1)[-1]} {label}")

    # ------------------------------------------------------------- tell of it

    def write(self, line: Line, execution: Execution) -> None:
        self.lines.append(line)
        self.counts[line.event] += 1
        execution.has_told_of_trouble |= line.level != "info"
        self.oracles.check_line(line, execution)
        if self.told is not None:
            self.told.append(f"    - {line.event}: {line.message}")

    def note(self, what: str) -> None:
        """Count something worth having happened."""
        self.counts[what] += 1

    def trace(self, text: str) -> None:
        if self.told is not None:
            self.told.append(f"{self.clock.monotonic():>9.0f} {text}")

    def find_rule(self, name: str) -> Rule | None:
        return self.tables.rules.find_rule(name)

    def find_instance(self, rule: Rule) -> Instance | None:
        """The instance of a rule as its provider knows it."""
        return (self.server if rule.is_live else self.the_source).find_instance(rule.instance)

    def runs_by_itself(self, rule: Rule) -> bool:
        """Whether the rule's timer brings a run that gets as far as copying."""
        instance = self.find_instance(rule)
        return rule.state is RuleState.ACTIVE and instance is not None and instance.available

    def edit(self, name: str, **changes: object) -> None:
        """Change a rule as a person would; nothing where it is gone."""
        rule = self.find_rule(name)
        if rule is not None and rule.state is not RuleState.DELETING:
            edited = replace(rule, revision=rule.revision + 1, **changes)
            self.tables.rules.replace_rule(edited, rule.revision)

    def request_edit(self, name: str, edit: RuleEdit) -> None:
        """Have a rule edited as a request for it would; nothing where it is gone."""
        rule = self.find_rule(name)
        if rule is not None and rule.state is not RuleState.DELETING:
            edited = edit.apply_to(rule, self.clock.now())
            if edited is not rule:
                self.tables.rules.replace_rule(edited, rule.revision)

    def end_people(self) -> None:
        """People leave things alone from now on: who paused a rule resumes it, whose request was cut off repeats it."""
        self.clock.advance(1_000)  # by then nobody can be at work on what was cut off
        for name, manifest in self.cut_deletions:
            rule = self.find_rule(name)
            if rule is not None:
                delete(self, rule, manifest)
        self.cut_deletions.clear()
        if self.request.audits:
            self.request = RunRequest()  # from now on its timer alone starts runs
        for rule in self.tables.rules.rules():
            if rule.state is RuleState.PAUSED:
                self.edit(rule.name, state=RuleState.ACTIVE)

    def let_happen(self, kind: object, rule: str) -> None:
        let_happen(self, kind, rule)


@dataclass
class SimulatedExecutions:
    """Every execution of the world, and the port that knows of them."""

    world: World
    all: dict[str, Execution] = field(default_factory=dict)

    def start(self, rule: str, request: RunRequest, name: str = "") -> Execution:
        order = len(self.all) + 1
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{rule}:1/durable-execution/{name or order}/{order}"
        now_s = self.world.clock.monotonic()
        self.all[arn] = Execution(self.world, arn, rule, request, now_s, now_s, order)
        return self.all[arn]

    def going(self) -> list[Execution]:
        return [execution for execution in self.all.values() if execution.ended_at is None]

    # The port

    def find_end(self, execution: str) -> datetime | None:
        known = self.all.get(execution)
        return known.ended_at if known is not None else datetime.min.replace(tzinfo=UTC)

    def start_successor(self, execution: str, name: str, request: Record) -> None:
        for known in self.all.values():
            if f"/durable-execution/{name}/" in known.arn:
                if known.request.as_record() != request:
                    raise FleetRefused(f"A run {name} was started with another request.")
                return
        self.world.note("handed over")
        self.start(self.all[execution].rule, RunRequest.from_record(request), name)
