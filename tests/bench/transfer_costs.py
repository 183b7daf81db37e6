"""What a transfer takes: its parts, legs and sandboxes, time and money, for backups of several sizes. Pure.

The plan is the package's own arithmetic. The rates and the prices are not measured here: each says where it is from.
Left out, as they do not come of copying: the export and the wait for it, storage in either bucket, and the rule table
(some ten writes a leg). Neither is the start of a sandbox counted, half a second for each leg.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rdbkeeper.domain.outcome import human_duration
from rdbkeeper.domain.transfer import CopySettings, part_size_bytes
from rdbkeeper.flows.runs.copy import leg_budget_s
from rdbkeeper.flows.runs.transfer import MOST_ITEMS_PER_LEG

MEBIBYTE = 1 << 20
GIGABYTE = 10**9
TERABYTE = 10**12
SIZES_BYTES = (GIGABYTE, 100 * GIGABYTE, TERABYTE)
# AWS documents no bandwidth of a function. Others measured 400 to 700 Mbit/s, with little gain from memory. 75 MB/s
# assumes that reading and writing each have that much; 40 MB/s, that they share it. A vCPU sums and sends some 400 MB/s
# by our own measurements, so it is the network that bounds a sandbox.
RATES_BYTES_PER_S = (75 * 10**6, 40 * 10**6)
MEMORY_MEGABYTES = 1_024  # RunMemoryMegabytes, as the template has it
INVOCATION_S = 900.0  # the template's Timeout

# US dollars in us-east-1, without any free tier.
# "AWS Lambda Pricing": arm64, the first tier of duration; and requests.
USD_PER_GIGABYTE_SECOND = 0.0000133334
USD_PER_INVOCATION = 0.20 / 10**6
# "Amazon S3 pricing", S3 Standard, as others quote it; the page itself was not looked up. Data that stays within a
# region is free.
USD_PER_PUT = 0.005 / 1_000
USD_PER_GET = 0.0004 / 1_000
# "AWS Lambda Pricing", durable functions, as others quote it; the page itself was not looked up.
USD_PER_OPERATION = 8.0 / 10**6
USD_PER_BYTE_WRITTEN = 0.25 / 10**9

# What a run of one backup does beside its legs: begin, lease, scan, export, wait, open, publish, discard, report.
OPERATIONS_BESIDE_LEGS = 9
BYTES_WRITTEN_PER_PART = 150  # a part's receipt in a leg's result
PUTS_BESIDE_PARTS = 3  # the upload's beginning and end, and the manifest


@dataclass(frozen=True)
class Legs:
    """How the parts are copied: in so many rounds of so many sandboxes at once, each sandbox a leg a round."""

    workers: int
    rounds: int

    @property
    def count(self) -> int:
        return self.workers * self.rounds

    @property
    def invocations(self) -> int:
        """Legs of a sandbox alone are the run's own; otherwise it runs before and after each round."""
        return self.rounds if self.workers == 1 else self.count + self.rounds + 1

    @property
    def operations(self) -> int:
        """A leg alone is a step, with a renewed invocation between two; a round is one and one for each worker."""
        return 2 * self.rounds - 1 if self.workers == 1 else self.rounds * (1 + self.workers)


@dataclass(frozen=True)
class TransferCost:
    """One backup of a single file at one rate of a sandbox, and what copying it costs in US dollars."""

    size_bytes: int
    bytes_per_s: int
    part_size_bytes: int
    legs: Legs
    memory_megabytes: int

    @property
    def parts(self) -> int:
        return max(1, math.ceil(self.size_bytes / self.part_size_bytes))

    @property
    def seconds(self) -> float:
        return self.size_bytes / self.bytes_per_s / self.legs.workers

    @property
    def lambda_usd(self) -> float:
        gigabyte_seconds = self.seconds * self.legs.workers * self.memory_megabytes / 1_024
        return gigabyte_seconds * USD_PER_GIGABYTE_SECOND + self.legs.invocations * USD_PER_INVOCATION

    @property
    def requests_usd(self) -> float:
        """One ranged GET of the staging bucket and one PUT of the vault for each part."""
        return (self.parts + PUTS_BESIDE_PARTS) * USD_PER_PUT + self.parts * USD_PER_GET

    @property
    def engine_usd(self) -> float:
        operations = OPERATIONS_BESIDE_LEGS + self.legs.operations
        return operations * USD_PER_OPERATION + self.parts * BYTES_WRITTEN_PER_PART * USD_PER_BYTE_WRITTEN

    @property
    def usd(self) -> float:
        return self.lambda_usd + self.requests_usd + self.engine_usd

    def as_row(self) -> str:
        """The transfer as a row of Markdown under `HEADER`."""
        cells = [
            f"{self.size_bytes // TERABYTE} TB" if self.size_bytes >= TERABYTE else f"{self.size_bytes // GIGABYTE} GB",
            f"{self.bytes_per_s // 10**6} MB/s",
            f"{self.part_size_bytes // MEBIBYTE} MiB x {self.parts:,}",
            f"{self.legs.workers}",
            f"{self.legs.count}",
            human_duration(self.seconds),
            *(f"{usd:.4f}" for usd in (self.lambda_usd, self.requests_usd, self.engine_usd, self.usd)),
        ]
        return f"| {' | '.join(cells)} |"


HEADER = (
    "| backup | a sandbox moves | parts | sandboxes at once | legs | time | Lambda $ | S3 requests $ | engine $ | "
    "together $ |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def plan_transfer(
    size_bytes: int,
    bytes_per_s: int,
    copying: CopySettings | None = None,
    memory_megabytes: int = MEMORY_MEGABYTES,
) -> TransferCost:
    """How a backup of one file is copied where a sandbox moves so many bytes a second."""
    copying = copying or CopySettings()
    part_bytes = part_size_bytes(size_bytes, copying.part_size_bytes)
    parts = max(1, math.ceil(size_bytes / part_bytes))
    workers = 1 if size_bytes < copying.spread_from_bytes else min(copying.workers, parts)
    in_time_bytes = leg_budget_s(INVOCATION_S) * bytes_per_s
    on_record_bytes = (MOST_ITEMS_PER_LEG - 1) * part_bytes
    rounds = max(1, math.ceil(size_bytes / workers / min(in_time_bytes, on_record_bytes)))
    return TransferCost(size_bytes, bytes_per_s, part_bytes, Legs(workers, rounds), memory_megabytes)


def table(sizes_bytes: Iterable[int] = SIZES_BYTES, rates: Iterable[int] = RATES_BYTES_PER_S) -> str:
    """The transfers of all sizes at all rates, in Markdown."""
    listed = tuple(rates)
    rows = [plan_transfer(size_bytes, rate).as_row() for size_bytes in sizes_bytes for rate in listed]
    return "\n".join([HEADER, *rows])
