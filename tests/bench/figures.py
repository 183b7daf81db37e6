"""The figures: calls of AWS for lists and for a reconciling that finds nothing to do, and what planning takes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rdbkeeper.aws.fleet import AwsFleet
from rdbkeeper.aws.rule_table import DynamoRuleTable
from rdbkeeper.aws.run_table import DynamoRunTable
from rdbkeeper.domain.fleet.parts import Fleet
from rdbkeeper.domain.fleet.plan import Registry, plan
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.vault import Capabilities, ProbeReport, VaultBinding
from rdbkeeper.entry.settings import StoreSettings
from rdbkeeper.entry.wiring import AwsAdapters
from rdbkeeper.flows.fleet.reconcile import Reconcile
from rdbkeeper.flows.fleet.work import FleetWork
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.flows.rules.show import ShowRules
from rdbkeeper.ports import ProbeFindings, Record
from tests.bench.many_rules import NOW, RULES_PER_INSTANCE, TABLE, make_fleet, make_rules, put_rows
from tests.bench.paged_services import PagedServices
from tests.fakes.clock import FakeClock
from tests.fakes.journal import ListJournal
from tests.unit.fleet_model import PROTOTYPE, ModelFleet

READS = ("List", "Describe", "Get", "Query")
PAGE = 100


@dataclass(frozen=True)
class Asked:
    """One answer and the calls that it took, by service and operation."""

    answer: Record
    calls: Counter[str]

    @property
    def writes(self) -> list[str]:
        """The operations among the calls that are no reads."""
        return sorted(name for name in self.calls if not name.partition(".")[2].startswith(READS))

    @property
    def total(self) -> int:
        return self.calls.total()


class Shop:
    """A stack with many rules and nothing to do, over AWS's clients."""

    def __init__(self, count: int, dynamodb: Any) -> None:
        self.rules = make_rules(count)
        fleet = make_fleet(self.rules)
        put_rows(dynamodb, self.rules, fleet)
        instances = sorted({rule.instance for rule in self.rules})
        assert len(instances) == -(-count // RULES_PER_INSTANCE)
        self._services = PagedServices(fleet, instances, dynamodb)
        self.journal = ListJournal()
        self._work = _work_over(self._services.client, fleet, self.journal)

    def list_first_page(self) -> Asked:
        show = ShowRules(RulesContext(self._work))
        return self._ask(lambda: show.list("", PAGE))

    def reconcile(self) -> Asked:
        return self._ask(Reconcile(self._work, lambda: 900.0).run)

    def _ask(self, ask: Callable[[], Record]) -> Asked:
        self._services.calls.clear()
        answer = ask()
        return Asked(answer, Counter(self._services.calls))


class _SparedVaults(AwsAdapters):
    """The adapters, less the probes of vaults: there are few of these, however many rules there are."""

    def probe_vault(self, binding: VaultBinding, *, closely: bool) -> ProbeFindings:
        assert not closely, "this hour is one of those in which vaults are only looked at"
        return ProbeFindings(binding.region, None)


def _work_over(client: Callable[[str], Any], fleet: ModelFleet, journal: ListJournal) -> FleetWork:
    clock, stack = FakeClock(NOW), fleet.prototype.stack
    adapters = _SparedVaults(StoreSettings(TABLE, "vault", "staging", region="us-east-1"), client)
    adapters.vaults.record_probe("default", ProbeReport(NOW, None, Capabilities(), NOW))
    return FleetWork(
        stack=stack,
        rules=DynamoRuleTable(client("dynamodb"), TABLE, clock),
        runs=DynamoRunTable(client("dynamodb"), TABLE, clock),
        vaults=adapters.vaults,
        services=AwsFleet(client, stack),
        adapters=adapters,
        journal=journal,
        clock=clock,
    )


def plan_cpu_s(count: int) -> tuple[float, float]:
    """The processor time for planning so many rules: with nothing to do, and with everything still to make."""
    rules = tuple(make_rules(count))
    fleet = make_fleet(rules)
    quiet, changes = _timed(rules, fleet, fleet.listed())
    assert changes == 0
    everything, changes = _timed(rules, fleet, Fleet({}, {}, {}, {}))
    assert changes > 5 * count
    return quiet, everything


def _timed(rules: tuple[Rule, ...], fleet: ModelFleet, there: Fleet) -> tuple[float, int]:
    registry = Registry(rules, NOW, fleet.sent)
    before = time.process_time()
    changes = plan(registry, PROTOTYPE, there)
    return time.process_time() - before, len(changes)
