"""Bugs in reading servers directly."""

from __future__ import annotations

from tests.faults.planted.bug import Change, PlantedBug, Promise

_LIVE = "flows/runs/live.py"
_FINDINGS = "domain/live.py"
_PLAN = "domain/live_backup.py"
_SCAN = "flows/runs/scan.py"

READING_SERVERS = (
    PlantedBug(
        "a stream has a second attempt",
        Promise.IDENTICAL,
        Change(
            _LIVE,
            "if self.context.runs.count_attempt(rule.name, ticket.attempt, number) > 1:",
            "if not ticket.attempt:",
        ),
    ),
    PlantedBug(
        "what ended a stream is tried again",
        Promise.ENDS,
        Change(_LIVE, 'return {"failed": error.as_record()}', "raise"),
        also=Change(
            _LIVE,
            "if self.context.runs.count_attempt(rule.name, ticket.attempt, number) > 1:",
            "if not ticket.attempt:",
        ),
    ),
    PlantedBug(
        "the attempt at a stream is counted after it",
        Promise.IDENTICAL,
        Change(_LIVE, "self._count_attempt(rule, ticket, number, file)", "pass"),
        also=Change(
            _LIVE,
            "findings = stream.findings",
            "findings = stream.findings; self._count_attempt(rule, ticket, number, file)",
        ),
    ),
    PlantedBug(
        "the uploads of a stream that was cut stay open",
        Promise.NOTHING_LEFT,
        Change(_LIVE, "self.context.give_up_uploads(rule, self.context.runs.remembered_uploads(rule.name))", "pass"),
    ),
    PlantedBug(
        "all shards are written under the first one's name",
        Promise.IDENTICAL,
        Change(
            _LIVE,
            "key = data_key(rule.place.path, copy_id, file.shard.name)",
            "key = data_key(rule.place.path, copy_id, plan.files[0].shard.name)",
        ),
    ),
    PlantedBug(
        "the shards of a server are mixed up",
        Promise.IDENTICAL,
        Change(
            _LIVE,
            "for number, file in enumerate(plan.files, start=1):",
            "for number, file in enumerate(reversed(plan.files), start=1):",
        ),
    ),
    PlantedBug(
        "the last bytes of a stream that fill no part are lost",
        Promise.IDENTICAL,
        Change(_LIVE, "if not length and number:", "if length < self.part_bytes and number:"),
    ),
    PlantedBug(
        "a stream is taken to end with its first part",
        Promise.IDENTICAL,
        Change(_LIVE, "if length < self.part_bytes:", "if length:"),
    ),
    PlantedBug(
        "a buffer is used again before its part is put",
        Promise.IDENTICAL,
        Change(
            _LIVE,
            "free = deque(bytearray(self.part_bytes) for _ in range(self.lanes + 1))",
            "free = deque([bytearray(self.part_bytes)] * (self.lanes + 1))",
        ),
    ),
    PlantedBug(
        "the parts of a stream are all put as the first one",
        Promise.IDENTICAL,
        Change(_LIVE, "number += 1", "number = 1"),
    ),
    PlantedBug(
        "a stream's sums are joined the wrong way round",
        Promise.IDENTICAL,
        Change(_LIVE, "whole = checksum.join(whole, sums)", "whole = checksum.join(sums, whole)"),
    ),
    PlantedBug(
        "a copy is as consistent as its best shard",
        Promise.CONSISTENT,
        Change(_FINDINGS, "worst = max(findings,", "worst = min(findings,"),
    ),
    PlantedBug(
        "a copy is as consistent as its first shard",
        Promise.CONSISTENT,
        Change(
            _FINDINGS,
            "worst = max(findings, key=lambda found: order.index(found.consistency))",
            "worst = findings[0]",
        ),
    ),
    PlantedBug(
        "a copy of a server does not say how consistent it is",
        Promise.CONSISTENT,
        Change(
            _LIVE,
            ".with_consistency(consistency, reason)",
            ".with_consistency(type(consistency)('point-in-time'), reason)",
        ),
    ),
    PlantedBug(
        "a server that is too large is begun",
        Promise.ENDS,
        Change(_LIVE, "check_fits(file, rule.access.keys_per_second, rule.bandwidth_mbps, longest_s)", "pass"),
    ),
    PlantedBug(
        "a stream goes on when its time is over",
        Promise.ENDS,
        Change(_LIVE, "if self.clock.monotonic() > self.until:", "if not self.until:"),
    ),
    PlantedBug(
        "a server is read for a rule that points elsewhere",
        Promise.WANTED,
        Change(_LIVE, "self.context.check_still_wanted(rule)", "pass"),
    ),
    PlantedBug(
        "one fire that is delivered twice makes two backups",
        Promise.ONCE,
        Change(
            _PLAN,
            'backup_id = f"run-{(_read(scheduled_at) or started_at).astimezone(UTC):%Y%m%dT%H%M%SZ}"',
            'backup_id = f"run-{started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"',
        ),
    ),
    PlantedBug(
        "a server's copy is told to be taken when it was due",
        Promise.ONCE,
        Change(_PLAN, "taken_at=made_at or now.replace(microsecond=0),", "taken_at=now.replace(microsecond=0),"),
    ),
    PlantedBug(
        "a server's copy that a person removed is taken again",
        Promise.STAYS,
        Change(
            _PLAN,
            "known = [*(entry.copy_id for entry in catalog.entries), *catalog.removed]",
            "known = [entry.copy_id for entry in catalog.entries]",
        ),
    ),
    PlantedBug(
        "a server's shards are not looked at",
        Promise.MANIFEST_LAST,
        Change(
            _LIVE,
            "files.append(FileTransfer(",
            "files[:] = [] if number < len(plan.files) else [*files]; files.append(FileTransfer(",
        ),
    ),
)
