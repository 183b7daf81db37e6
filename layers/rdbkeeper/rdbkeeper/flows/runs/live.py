"""Copies a server that is reached directly: each shard is one stream of a length that nobody knows beforehand.

A stream cannot be read again from an offset, so each has one attempt, within one invocation. What is read is cut into
parts as it comes; the parts are summed and put by lanes while the next one is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from rdbkeeper.domain.backup import Backup, StagedFile
from rdbkeeper.domain.copy import data_key
from rdbkeeper.domain.error_records import from_record
from rdbkeeper.domain.errors import CopyTooSlow, LegNeverEnds, RdbkeeperError, ServerTooLarge
from rdbkeeper.domain.live import LiveFile, LiveFindings, LivePlan, join_findings
from rdbkeeper.domain.live_estimate import check_fits, part_bytes_for
from rdbkeeper.domain.outcome import human_duration, human_size
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.sums import Sums
from rdbkeeper.domain.transfer import MOST_PARTS_OF_A_STREAM, FileTransfer, Receipt, Stretch, Transfer
from rdbkeeper.flows.runs.context import RunContext, Ticket
from rdbkeeper.flows.runs.copy import LEG_RESERVE_S
from rdbkeeper.flows.runs.export import Export
from rdbkeeper.flows.runs.pace import Pace
from rdbkeeper.flows.runs.transfer import PART_GRACE_S, READ_BYTES, lanes_for, put_part
from rdbkeeper.ports import Clock, Engine, LiveStream, Record, Upload, Vault
from rdbkeeper.rdb import checksum

# A stream leaves this much of its invocation for the parts that are still being put.
STREAM_RESERVE_S = LEG_RESERVE_S - PART_GRACE_S


@dataclass(frozen=True)
class LiveSteps:
    """Measures a server, and streams its shards into the vault."""

    context: RunContext

    def measure(self, rule: Rule, backup: Backup) -> Record:
        """What there is to read. Raises ServerTooLarge for what would not be read within one invocation."""
        self.context.renew_lease()
        plan = self.context.live_source(rule).measure()
        longest_s = self.context.longest_invocation.total_seconds() - STREAM_RESERVE_S
        for file in plan.files:
            check_fits(file, rule.access.keys_per_second, rule.bandwidth_mbps, longest_s)
        shards = tuple(file.shard for file in plan.files)
        self.context.journal.bind(backup=backup.backup_id).info("ServerMeasured", _describe(plan))
        planned = replace(backup, shards=shards, engine=plan.engine)
        now = self.context.clock.now().isoformat()
        return {"backup": planned.as_record(), "plan": plan.as_record(), "asked_at": now}

    def stream(
        self, rule: Rule, ticket: Ticket, number: int, file: LiveFile, seconds_left: Callable[[], float]
    ) -> Record:
        """Stream one shard into an upload of its own, which stays open until the copy is published.

        A failure is remembered like a success, as `failed`: raised, it would have the step tried again.
        """
        self.context.renew_lease()
        self.context.check_still_wanted(rule)
        vault, key = self.context.vault(rule), data_key(rule.place.path, ticket.copy_id, file.shard.name)
        upload = vault.open_upload(key)
        self.context.runs.remember_uploads(rule.name, [upload])
        clock, part_bytes = self.context.clock, part_bytes_for(file)
        started, began_at = clock.monotonic(), clock.now().isoformat()
        pace = Pace.of(rule.bandwidth_mbps, 1, clock)
        lanes = max(1, lanes_for(part_bytes, self.context.copying.lanes + 1) - 1)
        writer = _Writer(vault, upload, part_bytes, lanes, pace, clock, started + seconds_left() - STREAM_RESERVE_S)
        try:
            self._count_attempt(rule, ticket, number, file)
            stream = self.context.live_source(rule).open_stream(file)
            with closing(stream):
                stretch = writer.write(stream, file.shard.name)
                findings = stream.findings
        except RdbkeeperError as error:
            # Those of the shards before this one as well: without all of them there is no copy.
            self.context.give_up_uploads(rule, self.context.runs.remembered_uploads(rule.name))
            return {"failed": error.as_record()}
        seconds = clock.monotonic() - started
        size_bytes = stretch.sums.size_bytes
        self.context.log(ticket).info(
            "StreamRead",
            f"Read {human_size(size_bytes)} of {rule.instance} from {file.address} in {human_duration(seconds)}"
            f"{'' if findings.keys is None else f', {findings.keys:,} keys'}: {findings.reason}",
            size_bytes=size_bytes,
            seconds=round(seconds, 3),
        )
        return {
            "upload_id": upload.upload_id,
            "part_bytes": writer.part_bytes,
            "stretch": stretch.as_record(),
            "findings": findings.as_record(),
            "began_at": began_at,
            "seconds": seconds,
        }

    def _count_attempt(self, rule: Rule, ticket: Ticket, number: int, file: LiveFile) -> None:
        """Raise LegNeverEnds when this stream has been begun before, by an invocation that was killed."""
        if self.context.runs.count_attempt(rule.name, ticket.attempt, number) > 1:
            raise LegNeverEnds(
                f"Reading {file.shard.name} of {rule.instance} was cut off: the invocation that read it was killed.",
                hint="If it repeats, raise the stack's parameter RunMemoryMegabytes.",
            )


@dataclass
class _Writer:
    """Cuts a stream into parts and puts them, a few at a time, while the next is read."""

    vault: Vault
    upload: Upload
    part_bytes: int
    lanes: int
    pace: Pace
    clock: Clock
    until: float

    def write(self, stream: LiveStream, name: str) -> Stretch:
        """Put the whole stream. Memory is the part's size times the lanes and one."""
        free = deque(bytearray(self.part_bytes) for _ in range(self.lanes + 1))
        waiting: deque[tuple[bytearray, Future[tuple[Receipt, Sums]]]] = deque()
        receipts: list[Receipt] = []
        whole = Sums()

        def settle() -> None:
            nonlocal whole
            buffer, future = waiting.popleft()
            receipt, sums = future.result()
            receipts.append(receipt)
            whole = checksum.join(whole, sums)
            free.append(buffer)

        with ThreadPoolExecutor(self.lanes, thread_name_prefix="lane") as pool:
            number = 0
            while True:
                if not free:
                    settle()
                buffer = free.popleft()
                length = self._fill(buffer, stream, name, number)
                if not length and number:
                    break
                number += 1
                if number > MOST_PARTS_OF_A_STREAM:
                    raise _larger_than_thought(name, number * self.part_bytes)
                body = memoryview(buffer)[:length]
                waiting.append((buffer, pool.submit(put_part, self.upload, number, body, self.vault)))
                if length < self.part_bytes:
                    break
            while waiting:
                settle()
        return Stretch(1, tuple(receipts), whole)

    def _fill(self, buffer: bytearray, stream: LiveStream, name: str, number: int) -> int:
        """Read until the buffer is full or the stream at its end; returns how many bytes."""
        view, filled = memoryview(buffer), 0
        while filled < len(buffer):
            read = stream.readinto(view[filled : filled + READ_BYTES])
            if not read:
                break
            filled += read
            self.pace.take(read)
            if self.clock.monotonic() > self.until:
                raise _too_slow(name, number * self.part_bytes + filled)
        return filled


def copy_live(
    engine: Engine, steps: LiveSteps, rule: Rule, ticket: Ticket, backup: Backup
) -> tuple[Export, Transfer, float]:
    """Bring every shard into the vault, one after the other; returns what is to be published, and the seconds taken.

    What stands here is replayed: it only computes from the results of steps.
    """
    copy_id = ticket.copy_id
    measured = engine.step(f"measure {copy_id}", partial(steps.measure, rule, backup))
    plan = LivePlan.from_record(measured["plan"])
    files, findings, began, seconds = [], [], [], 0.0
    for number, file in enumerate(plan.files, start=1):
        # One attempt should have all the time that there is.
        engine.renew_invocation(f"renew before {file.shard.name} of {copy_id}")
        read = engine.step(
            f"stream {file.shard.name} of {copy_id}",
            partial(steps.stream, rule, ticket, number, file, engine.seconds_left),
        )
        if "failed" in read:
            raise from_record(read["failed"])
        stretch = Stretch.from_record(read["stretch"])
        staged = StagedFile(file.shard, "", stretch.sums.size_bytes, "")
        key = data_key(rule.place.path, copy_id, file.shard.name)
        files.append(FileTransfer(staged, key, read["upload_id"], read["part_bytes"], stretches=(stretch,)))
        findings.append(LiveFindings.from_record(read["findings"]))
        began.append(datetime.fromisoformat(read["began_at"]))
        seconds += read["seconds"]
    consistency, reason = join_findings(findings, began, plan)
    read_backup = Backup.from_record(measured["backup"]).with_consistency(consistency, reason)
    export = Export.from_record(ticket, {"backup": read_backup.as_record(), "asked_at": measured["asked_at"]})
    return export, Transfer(tuple(files)), seconds


def _describe(plan: LivePlan) -> str:
    size_bytes, keys = sum(file.size_bytes for file in plan.files), sum(file.keys for file in plan.files)
    ways = " and ".join(sorted({file.way.value for file in plan.files}))
    shards = f"{len(plan.files)} shard{'' if len(plan.files) == 1 else 's'}"
    return f"{shards}, {keys:,} keys, {human_size(size_bytes)} in memory, read by {ways}: {plan.reason}"


def _too_slow(name: str, at_byte: int) -> CopyTooSlow:
    return CopyTooSlow(
        f"Reading {name} was at byte {at_byte:,} when its invocation's time was over.",
        hint="A stream must be read in one invocation. Raise the stack's parameter RunMemoryMegabytes, or the rule's "
        "keys_per_second and bandwidth_mbps; or divide the data among more shards.",
    )


def _larger_than_thought(name: str, size_bytes: int) -> ServerTooLarge:
    return ServerTooLarge(
        f"Reading {name} went on after {human_size(size_bytes)}, far more than its server's memory told.",
        hint="Nothing was published; the next run measures anew.",
    )
