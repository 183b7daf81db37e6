"""Many rules with all that they run on, in memory, and their rows in a table of the local cloud."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rdbkeeper.aws.table_items import pack
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.fleet.parts import ScheduleSent
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.status import KeptCopies, RunReport, RunState
from rdbkeeper.ports import Record
from tests.unit.fleet_model import ModelFleet

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
TABLE = "many-rules"
RULES_PER_INSTANCE = 4
_MOST_IN_A_BATCH = 25
_CYCLES = (
    Cycle("daily", "Asia/Tokyo", at="02:30"),
    Cycle("weekly", "Europe/Berlin", at="04:00", days=("SUN", "WED")),
    Cycle("custom", "America/New_York", cron="0 3 1 * MON"),  # two schedules
    Cycle("custom", "UTC", cron="rate(12 hours)"),
)


def make_rules(count: int) -> list[Rule]:
    """So many rules of every kind of cycle, several to an instance."""
    return [
        Rule(
            name=f"rule-{number:05}",
            provider="elasticache",
            instance=f"instance-{number // RULES_PER_INSTANCE}",
            cycle=_CYCLES[number % len(_CYCLES)],
            created_at=NOW - timedelta(days=90),
            prefix=f"redis/prod/{number % RULES_PER_INSTANCE}/",
            state=RuleState.ACTIVE,
            revision=2,
        )
        for number in range(count)
    ]


def make_fleet(rules: Sequence[Rule]) -> ModelFleet:
    """All that these rules want."""
    fleet = ModelFleet()
    fleet.make(*rules)
    return fleet


def put_rows(client: Any, rules: Sequence[Rule], fleet: ModelFleet, deleted: int = 20) -> None:
    """The table's rows of rules that ran an hour ago and of some that were deleted; a table of its own is made."""
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    rows = [row for rule in rules for row in _rows_of(rule, fleet.sent.get(rule.name, {}))]
    expires_at = int((NOW + timedelta(days=30)).timestamp())
    gone = (f"gone-{number}" for number in range(deleted))
    rows += [{"pk": "deleted", "sk": name, "deletion": {}, "expires_at": expires_at} for name in gone]
    for first in range(0, len(rows), _MOST_IN_A_BATCH):
        batch = [{"PutRequest": {"Item": pack(row)}} for row in rows[first : first + _MOST_IN_A_BATCH]]
        client.batch_write_item(RequestItems={TABLE: batch})


def _rows_of(rule: Rule, sent: dict[str, ScheduleSent]) -> Iterable[Record]:
    ran = RunReport(
        run="0d9d2f4c-7a55-4c39-b0c8-6d2f1f7f5b11",
        started_at=NOW - timedelta(hours=1),
        ended_at=NOW - timedelta(minutes=59),
        state=RunState.SUCCEEDED,
        line=f"{rule.name}: 7 backups found, 6 already kept, 1 copied (2 files, 1.2 GB in 14 s), verified, 0 failed",
    )
    kept = KeptCopies(
        f"20261121T021500Z-automatic.{rule.instance}-2026-11-21-02-15", NOW - timedelta(hours=1), rule.place.path
    )
    schedules = {
        name: {"fingerprint": one.fingerprint, "modified_at": one.modified_at.isoformat()} for name, one in sent.items()
    }
    yield {"pk": "rules", "sk": rule.name, "rule": rule.as_record()}
    yield {"pk": "status", "sk": rule.name, "run": ran.as_summary(), "kept": kept.as_record()}
    yield {"pk": "sent", "sk": rule.name, "schedules": schedules}
