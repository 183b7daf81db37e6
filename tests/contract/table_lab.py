"""The tables over one store, in memory and in DynamoDB, with rules and runs to put into them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest

from rdbkeeper.aws.rule_table import DynamoRuleTable
from rdbkeeper.aws.run_table import DynamoRunTable
from rdbkeeper.aws.vault_table import DynamoVaultTable
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.outcome import Outcome, Status
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.status import RunReport, RunState
from rdbkeeper.domain.vault import DEFAULT_VAULT, VaultBinding
from rdbkeeper.ports import RuleTable, RunTable, VaultTable
from tests.fakes.clock import FakeClock
from tests.fakes.table import MemoryTables
from tests.local_cloud.server import LocalCloud

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
DAY_S = 24 * 3600
DEFAULT = VaultBinding(DEFAULT_VAULT, "the-default-bucket", NOW, region="eu-west-1")
_numbers = count(1)


@dataclass(frozen=True)
class Tables:
    """The ports over one store, and the clock that decides what has expired."""

    rules: RuleTable
    runs: RunTable
    vaults: VaultTable
    clock: FakeClock


@dataclass(frozen=True)
class DynamoTable:
    """An empty table in the local cloud."""

    client: Any
    name: str

    def tables(self, client: Any = None) -> Tables:
        """Both ports over it; pauses take no time."""
        clock = FakeClock(NOW)
        rules = DynamoRuleTable(client or self.client, self.name, clock, pause=lambda _: None)
        runs = DynamoRunTable(client or self.client, self.name, clock)
        return Tables(rules, runs, DynamoVaultTable(client or self.client, self.name, DEFAULT), clock)

    def stored_keys(self) -> list[tuple[str, str]]:
        """The keys of everything in it."""
        items = self.client.scan(TableName=self.name, ConsistentRead=True)["Items"]
        return sorted((item["pk"]["S"], item["sk"]["S"]) for item in items)


@pytest.fixture
def dynamodb(cloud: LocalCloud) -> DynamoTable:
    client, name = cloud.client("dynamodb"), f"table-{next(_numbers)}"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return DynamoTable(client, name)


@pytest.fixture(params=["memory", "dynamodb"])
def tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    if request.param == "memory":
        memory = MemoryTables(FakeClock(NOW))
        yield Tables(memory.rules, memory.runs, memory.vaults, memory.clock)
        return
    yield request.getfixturevalue("dynamodb").tables()


def unconnected_client() -> Any:
    """A client for botocore's Stubber, which lets nothing out."""
    return boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")


def make_rule(name: str = "orders-nightly", **changes: object) -> Rule:
    values: dict[str, object] = {
        "name": name,
        "provider": "elasticache",
        "instance": "orders",
        "cycle": Cycle(kind="daily", at="02:30", time_zone="Asia/Tokyo"),
        "created_at": datetime(2026, 11, 1, tzinfo=UTC),
        "prefix": f"{name}/",
        "state": RuleState.ACTIVE,
    }
    return Rule(**{**values, **changes})


def add_rules(table: RuleTable, *names: str) -> None:
    for name in names:
        table.create_rule(make_rule(name), table.registry_revision())


def make_report(run: str = "run-1", hours_ago: float = 0.0, **changes: Any) -> RunReport:
    values = {"state": RunState.SUCCEEDED, "line": f"{run} went well", "outcomes": (make_outcome(),)}
    return RunReport(run, NOW - timedelta(hours=hours_ago), **{**values, **changes})


def make_outcome(backup_id: str = "automatic.orders", **changes: Any) -> Outcome:
    values = {"reason": "Copied", "level": "verified", "file_count": 2, "size_bytes": 1 << 40, "seconds": 14.25}
    return Outcome(backup_id, Status.COPIED, **{**values, **changes})
