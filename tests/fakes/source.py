"""A provider in memory: instances, backups, and exports that take a while."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rdbkeeper.domain.backup import Backup, BackupState, EngineFacts, Instance, Shard, StagedFile
from rdbkeeper.domain.errors import BackupGone, RdbkeeperError, StagedFileChanged
from rdbkeeper.ports import Clock
from tests.fakes.clock import FakeClock


class BytesStream:
    """A stream over bytes that may be shorter than what was asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def readinto(self, buffer: memoryview, /) -> int:
        piece = self._data[: min(len(buffer), 4096)]
        buffer[: len(piece)] = piece
        self._data = self._data[len(piece) :]
        return len(piece)

    def close(self) -> None:
        pass


@dataclass
class MemorySource:
    """An export takes `looks_until_ready` looks, of one backup `slow`; `cut_at` cuts a shard's stream there."""

    looks_until_ready: int = 1
    stuck: set[str] = field(default_factory=set)
    slow: dict[str, int] = field(default_factory=dict)
    failing: dict[str, RdbkeeperError] = field(default_factory=dict)
    cut_at: dict[str, int] = field(default_factory=dict)
    _instances: dict[str, Instance] = field(default_factory=dict)
    _backups: dict[str, list[Backup]] = field(default_factory=dict)
    _files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    exports: dict[str, int] = field(default_factory=dict)
    staged: dict[str, bytes] = field(default_factory=dict)
    staged_at: dict[str, datetime] = field(default_factory=dict)
    clock: Clock = field(default_factory=FakeClock)

    # What a test sets up

    def add_instance(self, name: str, retention_days: int = 7) -> Instance:
        self._instances[name] = Instance("elasticache", name, "redis", "available", True, retention_days, "02:00-03:00")
        self._backups[name] = []
        return self._instances[name]

    def set_status(self, name: str, status: str, *, available: bool) -> None:
        self._instances[name] = replace(self._instances[name], status=status, available=available)

    def set_retention(self, name: str, retention_days: int) -> None:
        self._instances[name] = replace(self._instances[name], backup_retention_days=retention_days)

    def remove_instance(self, name: str) -> None:
        """Its automatic backups go with it, manual ones stay."""
        del self._instances[name]
        self._backups[name] = [backup for backup in self._backups[name] if not backup.automatic]

    def add_backup(
        self,
        instance: str,
        backup_id: str,
        taken_at: datetime | None,
        files: dict[str, bytes],
        state: BackupState = BackupState.COMPLETE,
        automatic: bool = True,
        source_size: str = "",
    ) -> Backup:
        shards = tuple(Shard(name, "0-16383") for name in files)
        facts = EngineFacts(engine="redis", engine_version="7.1", node_type="cache.t4g.small", shard_count=len(files))
        backup = Backup("elasticache", instance, backup_id, state, automatic, taken_at, shards, facts, source_size)
        self._backups[instance].append(backup)
        self._files[backup_id] = files
        return backup

    def remove_backup(self, instance: str, backup_id: str) -> None:
        self._backups[instance] = [b for b in self._backups[instance] if b.backup_id != backup_id]

    # The port

    def instances(self) -> Iterator[Instance]:
        yield from self._instances.values()

    def find_instance(self, name: str) -> Instance | None:
        return self._instances.get(name)

    def backups(self, instance: Instance) -> list[Backup]:
        return list(self._backups.get(instance.name, ()))

    def count_backups(self, instances: Sequence[Instance]) -> dict[str, int]:
        return {instance.name: len(self.backups(instance)) for instance in instances}

    def request_export(self, backup: Backup, attempt: str) -> None:
        if backup.backup_id in self.failing:
            raise self.failing[backup.backup_id]
        if backup not in self._backups.get(backup.instance, ()):
            raise BackupGone(f"Exporting the backup {backup.backup_id} failed: it is gone.")
        self.exports.setdefault(self._target(backup, attempt), 0)

    def find_staged_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...] | None:
        target = self._target(backup, attempt)
        if target not in self.exports or backup.backup_id in self.stuck:
            return None
        self.exports[target] += 1
        looks = self.slow.get(backup.backup_id, self.looks_until_ready)
        if self.exports[target] < looks:
            return None
        if self.exports[target] == looks:
            for name, data in self._files[backup.backup_id].items():
                self.staged[f"{target}-{name}.rdb"] = data
                self.staged_at[f"{target}-{name}.rdb"] = self.clock.now()
        keys = {shard: f"{target}-{shard.name}.rdb" for shard in backup.shards}
        if not set(keys.values()) <= set(self.staged):
            return None
        return tuple(
            StagedFile(shard, key, len(self.staged[key]), etag_of(self.staged[key])) for shard, key in keys.items()
        )

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> BytesStream:
        data = self.staged.get(file.key)
        if data is None:
            raise BackupGone(f"Reading the staged file {file.key} failed: it is gone.")
        if etag_of(data) != file.etag:
            raise StagedFileChanged(f"Reading the staged file {file.key} failed: it is another one now.")
        end = min(first_byte + length_bytes, self.cut_at.get(file.shard.name, len(data)))
        return BytesStream(data[first_byte:end])

    def discard_export(self, backup: Backup, attempt: str) -> None:
        target = self._target(backup, attempt)
        gone = [self.staged.pop(f"{target}-{shard.name}.rdb", None) for shard in backup.shards]
        if any(data is not None for data in gone):
            del self.exports[target]  # nothing remembers it, so the same wish is a new one

    def discard_leftovers(
        self, instance: Instance, rule_tag: str, keep_chain_tag: str, older_than: datetime
    ) -> list[str]:
        ours = re.compile(f"{instance.name}-{rule_tag}([0-9a-f]{{8}})[0-9a-f]{{12}}-[0-9]+[.]rdb")
        names = [(name, found[1]) for name in self.staged if (found := ours.fullmatch(name))]
        old = [name for name, chain in names if chain != keep_chain_tag and self._staged_at(name) < older_than]
        for name in old:
            del self.staged[name]
            self.exports.pop(name.rpartition("-")[0], None)
        return sorted(old)

    def _staged_at(self, name: str) -> datetime:
        return self.staged_at.setdefault(name, self.clock.now())

    @staticmethod
    def _target(backup: Backup, attempt: str) -> str:
        return f"{backup.instance}-{attempt}"


def etag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
