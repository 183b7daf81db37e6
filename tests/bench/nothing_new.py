"""What a run costs that finds nothing new, with few and with many copies in the vault: calls of AWS and processor time.

The run is the real one over the real adapters. What is left out is the same whatever the vault holds: the start of
the sandbox, the engine's own calls, and the lines of the log.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median

from rdbkeeper.aws.executions import DurableExecutions
from rdbkeeper.aws.rule_table import DynamoRuleTable
from rdbkeeper.aws.run_table import DynamoRunTable
from rdbkeeper.domain.catalog import Level, manifest_key
from rdbkeeper.domain.copy import data_key
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.retention import KEEP_EVERYTHING, Retention
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.status import RunReport, RunState
from rdbkeeper.entry.settings import StoreSettings
from rdbkeeper.entry.wiring import AwsAdapters
from rdbkeeper.flows.runs.context import RunContext
from rdbkeeper.flows.runs.run import run_rule
from rdbkeeper.ports import Poll, Record
from tests.bench.answering_services import LISTED_ETAG, AnsweringServices
from tests.bench.answering_store import AnsweringStore, Lying
from tests.fakes.clock import FakeClock
from tests.fakes.engine import ReplayEngine
from tests.fakes.journal import ListJournal
from tests.unit.copies_on_disk import a_manifest

COUNTS = (10, 100, 1_000, 10_000)
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
BACKUPS_AT_SOURCE = 7
LIST = "s3.ListObjectsV2"
_TABLE = "rules"
_BUCKET = "vault"
_ROUNDS = 5
_RULE = Rule(
    name="orders-nightly",
    provider="elasticache",
    instance="orders",
    cycle=Cycle("daily", "Asia/Tokyo", at="02:30"),
    created_at=NOW - timedelta(days=90),
    prefix="redis/prod/",
    state=RuleState.ACTIVE,
    revision=2,
)


# Of one copy a day it would keep all that are there, so deciding on each is all that it adds.
KEEP_ALL_THERE = Retention(keep_last=10_000, keep_daily=7, keep_weekly=5, keep_monthly=12, keep_yearly=10)
MOST_CPU_S = 2.0  # with 10,000 copies and that retention


@dataclass(frozen=True)
class NothingNew:
    """One run: how many copies it found kept, by which retention, its calls by operation, and its processor seconds."""

    copies: int
    retention: Retention
    answer: Record
    calls: Counter[str]
    cpu_s: float

    @property
    def list_calls(self) -> int:
        return self.calls[LIST]

    def as_row(self) -> str:
        """The run as a row of Markdown under `HEADER`."""
        broken = "" if self.cpu_s <= MOST_CPU_S else f", at most {1000 * MOST_CPU_S:.0f}: BROKEN"
        figures = (f"{self.copies:,}", self.retention.in_words, self.calls.total(), self.list_calls)
        return f"| {' | '.join(map(str, figures))} | {1000 * self.cpu_s:.0f}{broken} |"


HEADER = (
    "| copies in the vault | the rule keeps | calls of AWS | of these, lists of the vault | CPU ms |\n"
    "|---:|---|---:|---:|---:|"
)


def measure(copies: int, retention: Retention = KEEP_EVERYTHING, rounds: int = _ROUNDS) -> NothingNew:
    """A run with so many copies in the vault, those of all backups at the source among them; the median of rounds."""
    services = _prepare(copies, retention)
    _run(copies, retention, services)  # makes the clients
    runs = [_run(copies, retention, services) for _ in range(rounds)]
    return replace(runs[-1], cpu_s=median(run.cpu_s for run in runs))


def run_once(copies: int, retention: Retention = KEEP_EVERYTHING, *, is_first_of_day: bool = False) -> NothingNew:
    """The same run for its calls alone, which are the same every time; its processor time holds that of a start.

    The first run of a day looks for what others have left.
    """
    return _run(copies, retention, _prepare(copies, retention, is_first_of_day=is_first_of_day))


def run_with_one_too_many(copies: int) -> tuple[NothingNew, AnsweringStore]:
    """A run whose rule keeps one copy less than there are, so that the oldest goes; and what then lies in the store.

    The catalog is read twice: once to choose what is copied, and once more, in pages of its own, right before anything
    is removed. Copying may have taken hours in between, and what a person did meanwhile must count.
    """
    retention = Retention(keep_last=copies - 1)
    services, store = _prepare_with_store(copies, retention)
    for service in ("dynamodb", "elasticache", "s3"):
        services.client(service)  # making one is part of a start
    return _run(copies, retention, services), store


def _prepare_with_store(copies: int, retention: Retention) -> tuple[AnsweringServices, AnsweringStore]:
    """The services of such a run. Of the newest copy, which outlives all, and of the oldest the objects lie there."""
    path = _RULE.place.path
    taken = [NOW - timedelta(days=age, minutes=45) for age in (0, copies - 1)]
    objects: dict[str, Lying] = {}
    for copy_id in (f"{at:%Y%m%dT%H%M%SZ}-automatic.orders-{at:%Y-%m-%d-%H-%M}" for at in taken):
        bytes_on_disk = b"a copy's data, which nothing here reads"
        manifest = a_manifest({"0001": bytes_on_disk}, copy_id=copy_id)
        file = replace(manifest.files[0], key=data_key(path, copy_id, "0001"))
        body = replace(manifest, files=(file,)).to_json()
        objects[manifest_key(path, copy_id, Level.VERIFIED)] = Lying(LISTED_ETAG, len(body), body)
        objects[file.key] = Lying(LISTED_ETAG, file.size_bytes)
    store = AnsweringStore(_BUCKET, objects)
    return _prepare(copies, retention, store=store), store


def _prepare(
    copies: int, retention: Retention, *, is_first_of_day: bool = False, store: AnsweringStore | None = None
) -> AnsweringServices:
    # One copy a day, the newest of last night, as a rule has them that has kept everything ever since.
    taken = [NOW - timedelta(days=age, minutes=45) for age in range(max(copies, BACKUPS_AT_SOURCE))]
    backups = [(f"automatic.orders-{at:%Y-%m-%d-%H-%M}", at) for at in taken]
    kept = (f"{at:%Y%m%dT%H%M%SZ}-{name}" for name, at in backups[:copies])
    keys = sorted(manifest_key(_RULE.place.path, copy_id, Level.VERIFIED) for copy_id in kept)
    before = NOW - timedelta(days=1) if is_first_of_day else NOW - timedelta(hours=1)
    last_run = RunReport("the-run-before", before, RunState.SUCCEEDED, "Nothing new.", before)
    return AnsweringServices(
        replace(_RULE, retention=retention), keys, backups[: min(copies, BACKUPS_AT_SOURCE)], last_run, store
    )


def _run(copies: int, retention: Retention, services: AnsweringServices) -> NothingNew:
    clock = FakeClock(NOW)
    engine = ReplayEngine(clock)
    context = RunContext(
        rule_name=_RULE.name,
        execution=engine.execution,
        rules=DynamoRuleTable(services.client("dynamodb"), _TABLE, clock),
        runs=DynamoRunTable(services.client("dynamodb"), _TABLE, clock),
        adapters=AwsAdapters(StoreSettings(_TABLE, _BUCKET, "staging"), services.client),
        executions=DurableExecutions(services.client),
        journal=ListJournal(),
        clock=clock,
        export_timeout=timedelta(hours=3),
    )
    services.calls.clear()
    before = time.process_time()
    answer = run_rule(engine, context, Poll(30, 120))
    cpu_s = time.process_time() - before
    return NothingNew(copies, retention, answer, Counter(services.calls), cpu_s)
