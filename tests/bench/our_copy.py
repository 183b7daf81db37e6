"""Our copy, in a process of its own: `python -m tests.bench.our_copy SOURCE TARGET BUCKET SIZE ...`.

It is the package's own code from opening the uploads over all legs to publishing the manifest, with its adapters for
S3 and the client's settings that a function has. What stands in is what is not S3: the tables and the journal are in
memory, and ElastiCache says that the backup is there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anycrc

import copy_leg.app
from rdbkeeper.aws.clock import SystemClock
from rdbkeeper.domain.backup import Backup, BackupState, EngineFacts, Shard
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.source import NO_ACCESS, SourceAccess
from rdbkeeper.domain.transfer import DEFAULT_PART_BYTES, CopySettings, Transfer
from rdbkeeper.entry import wiring
from rdbkeeper.flows.runs.context import RunContext, Ticket
from rdbkeeper.flows.runs.copy import CopySteps
from rdbkeeper.flows.runs.export import Export
from rdbkeeper.flows.runs.legs import Legs
from rdbkeeper.ports import Part, Source, StoredObject, Upload, Vault
from rdbkeeper.sources.elasticache.source import ElastiCacheSource
from rdbkeeper.vaults.s3 import S3Vault
from tests.bench.servers import STAGING_BUCKET
from tests.fakes.clock import FakeClock
from tests.fakes.engine import ReplayEngine
from tests.fakes.fleet import MemoryExecutions
from tests.fakes.journal import ListJournal
from tests.fakes.table import MemoryTables

# What a sandbox that copies loads at its start, and what summing its first part loads then.
LOADED = (copy_leg.app, anycrc)
TAKEN_AT = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)
ATTEMPT = "bench"
EXECUTION = "arn:aws:lambda:us-east-1:000000000000:function:bench:1/durable-execution/run/1"


@dataclass(frozen=True)
class Report:
    """What one copy tells of itself.

    `baseline_rss_bytes` is its memory once everything is loaded and before a client is made, `written_files` what it
    opened for writing, and `key` where the data went.
    """

    key: str
    leg_s: float
    parts: int
    baseline_rss_bytes: int
    peak_rss_bytes: int
    written_files: list[str]


class ReadyBackups:
    """ElastiCache, as far as a copy asks it: the backup is available."""

    def describe_snapshots(self, **_: Any) -> dict[str, Any]:
        return {"Snapshots": [{"SnapshotStatus": "available"}]}


class SumKeepingVault(S3Vault):
    """A vault over a store that forgets the sum which it was sent with an upload's end; the length is the store's."""

    def __init__(self, client: Any, bucket: str) -> None:
        super().__init__(client, bucket)
        self._sums: dict[str, int] = {}

    def complete_upload(self, upload: Upload, parts: Sequence[Part], size_bytes: int, crc64nvme: int) -> None:
        super().complete_upload(upload, parts, size_bytes, crc64nvme)
        self._sums[upload.key] = crc64nvme

    def find_object(self, key: str) -> StoredObject | None:
        found = super().find_object(key)
        return found and replace(found, crc64nvme=self._sums.get(key))


class BenchAdapters:
    """The source and the vault over two endpoints, with the clients that a function makes.

    `keeps_sums` is False for a store that keeps no CRC64NVME of whole objects.
    """

    def __init__(self, source_endpoint: str, target_endpoint: str, bucket: str, *, keeps_sums: bool) -> None:
        source_client, vault_client = _client_for(source_endpoint), _client_for(target_endpoint)
        self._source = ElastiCacheSource(ReadyBackups(), lambda: source_client, STAGING_BUCKET)
        vault_over = S3Vault if keeps_sums else SumKeepingVault
        self._vault = vault_over(lambda: vault_client, bucket)

    def source(self, provider: str, access: SourceAccess = NO_ACCESS, longest_call_s: float | None = None) -> Source:
        return self._source

    def vault(self, name: str) -> Vault:
        return self._vault


def _client_for(endpoint: str) -> Any:
    os.environ["AWS_ENDPOINT_URL_S3"] = endpoint
    return wiring.client.__wrapped__("s3")  # past its cache, which holds one client a service


def make_rule() -> Rule:
    """A rule for the one instance there is."""
    return Rule(
        name="bench",
        provider="elasticache",
        instance="orders",
        cycle=Cycle(kind="daily", at="02:30", time_zone="UTC"),
        created_at=TAKEN_AT - timedelta(days=1),
        prefix="redis/",
        state=RuleState.ACTIVE,
    )


def make_context(adapters: BenchAdapters, rule: Rule, copying: CopySettings) -> RunContext:
    """A run that holds its rule's lease."""
    tables = MemoryTables(FakeClock(TAKEN_AT))
    tables.rules.create_rule(rule, 0)
    tables.runs.take_lease(rule.name, EXECUTION, None, TAKEN_AT)
    return RunContext(
        rule_name=rule.name,
        execution=EXECUTION,
        rules=tables.rules,
        runs=tables.runs,
        adapters=adapters,
        executions=MemoryExecutions(),
        journal=ListJournal(),
        clock=SystemClock(),
        export_timeout=timedelta(hours=1),
        copying=copying,
    )


def copy(adapters: BenchAdapters, copying: CopySettings) -> tuple[Transfer, float]:
    """Copy the staged backup and publish it; returns what was moved and the seconds that the legs took."""
    rule = make_rule()
    backup = Backup(
        rule.provider,
        rule.instance,
        "automatic.orders",
        BackupState.COMPLETE,
        automatic=True,
        taken_at=TAKEN_AT,
        shards=(Shard("0001"),),
        engine=EngineFacts(engine="redis"),
    )
    ticket = Ticket(backup.copy_id, backup.backup_id, ATTEMPT)
    export = Export(ticket, backup, TAKEN_AT)
    steps = CopySteps(make_context(adapters, rule, copying))
    legs = Legs(ReplayEngine(FakeClock(TAKEN_AT), EXECUTION), steps, rule, ticket)
    transfer = Transfer.from_plan_record(steps.open(rule, export), rule.place.path, ticket.copy_id)
    transfer = legs.copy(transfer)
    outcome = steps.publish(rule, export, transfer, legs.seconds)
    if outcome["level"] != "verified":
        raise RuntimeError(f"the copy is not verified: {outcome}")
    return transfer, legs.seconds


def _watch_writes() -> list[str]:
    """The list to which every file that this process opens for writing is added from now on."""
    written: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(str(arguments[0]))

    sys.addaudithook(watch)
    return written


def _rss_bytes() -> int:
    resident_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return resident_pages * resource.getpagesize()


def _peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("bucket")
    parser.add_argument("--store-keeps-no-sums", action="store_true")
    parser.add_argument("--part-bytes", type=int, default=DEFAULT_PART_BYTES)
    parser.add_argument("--lanes", type=int, default=CopySettings().lanes)
    return parser.parse_args()


def main() -> None:
    """Copy once and print the report as JSON."""
    asked = _parse()
    written, baseline = _watch_writes(), _rss_bytes()
    adapters = BenchAdapters(asked.source, asked.target, asked.bucket, keeps_sums=not asked.store_keeps_no_sums)
    transfer, leg_s = copy(adapters, CopySettings(part_size_bytes=asked.part_bytes, lanes=asked.lanes))
    (file,) = transfer.files
    report = Report(file.key, leg_s, file.parts_done, baseline, _peak_rss_bytes(), written)
    json.dump(asdict(report), sys.stdout)


if __name__ == "__main__":
    main()
