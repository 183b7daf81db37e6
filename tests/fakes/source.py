"""A provider in memory: instances, backups, and exports that take a while."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rdbkeeper.domain.backup import Backup, BackupState, EngineFacts, Instance, Shard, StagedFile
from rdbkeeper.domain.errors import (
    BackupBusy,
    BackupGone,
    BackupQuotaUsed,
    NotExportable,
    RdbkeeperError,
    SourceRefused,
    StagedFileChanged,
)
from rdbkeeper.ports import Clock
from tests.fakes.clock import FakeClock
from tests.fakes.rdb_files import rdb_file


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
    """An export takes `looks_until_ready` looks, of one backup `slow`; `cut_at` cuts a shard's stream there.

    A backup on demand takes `looks_until_made` looks and holds the instance's `data`; the next one fails, or is never
    made, where `fails_to_make_next` or `never_makes_next` says so. `requests` are those that were asked for, by
    instance; they count for the day's quota even when they are gone.
    """

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
    looks_until_made: int = 2
    never_makes_next: bool = False
    fails_to_make_next: bool = False
    data: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str, datetime]] = field(default_factory=list)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    backups_a_day: int | None = 20
    _looks: dict[str, int] = field(default_factory=dict)
    _never_made: set[str] = field(default_factory=set)
    _not_made: set[str] = field(default_factory=set)

    # What a test sets up

    def add_instance(self, name: str, retention_days: int = 7) -> Instance:
        self._instances[name] = Instance(
            "elasticache", name, "redis", "available", True, retention_days, "02:00-03:00", data_tiering="disabled"
        )
        self._backups[name] = []
        return self._instances[name]

    def set_status(self, name: str, status: str, *, available: bool) -> None:
        self._instances[name] = replace(self._instances[name], status=status, available=available)

    def set_retention(self, name: str, retention_days: int) -> None:
        self._instances[name] = replace(self._instances[name], backup_retention_days=retention_days)

    def set_data_tiering(self, name: str, said: str) -> None:
        self._instances[name] = replace(self._instances[name], data_tiering=said)

    def set_engine(self, backup: Backup, **facts: str) -> None:
        self._replace(backup, replace(backup, engine=replace(backup.engine, **facts)))

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

    def lose_backup(self, instance: str, backup_id: str) -> None:
        """What the provider's retention does, or a person."""
        self.tags.pop(backup_id, None)
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
        found = self._find_by_id(backup)
        if found is None:
            raise BackupGone(f"Exporting the backup {backup.backup_id} failed: it is gone.")
        if backup.state is not BackupState.COMPLETE:
            raise BackupBusy(f"Exporting the backup {backup.backup_id} failed: it is {backup.state.value}.")
        if backup.engine.data_tiering == "enabled":
            raise NotExportable(f"Exporting the backup {backup.backup_id} failed: its instance has data tiering.")
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

    def request_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> None:
        what = f"Making the backup {name} of {instance.name}"
        if name in self.failing:
            raise self.failing[name]
        known = self._instances.get(instance.name)
        if known is None:
            raise SourceRefused(f"{what} failed: there is no such instance.")
        if any(backup.backup_id == name for listed in self._backups.values() for backup in listed):
            if self.tags.get(name) != dict(tags):
                raise SourceRefused(f"{what} failed: there is one of that name, and it is not ours.")
            return
        if not known.available:
            raise BackupBusy(f"{what} failed: the instance is {known.status}.")
        now = self.clock.now()
        made = {asked: at for of, asked, at in self.requests if of == instance.name}
        by_hand = {one.backup_id: one.taken_at for one in self._backups[instance.name] if not one.automatic}
        of_today = [at for at in (by_hand | made).values() if at is not None and at > now - timedelta(hours=24)]
        if self.backups_a_day is not None and len(of_today) >= self.backups_a_day:
            raise BackupQuotaUsed(f"{what} failed: there have been {len(of_today)} within 24 hours.")
        self.requests.append((instance.name, name, now))
        for is_so, names in ((self.fails_to_make_next, self._not_made), (self.never_makes_next, self._never_made)):
            if is_so:
                names.add(name)
        self.fails_to_make_next = self.never_makes_next = False
        self.tags[name] = dict(tags)
        files = self.data.get(instance.name) or {"0001": rdb_file(300)}
        making = self.add_backup(instance.name, name, now, files, BackupState.IN_PROGRESS, automatic=False)
        # What a provider says of a backup that it is still making is not yet when it was taken, and of which shards.
        self._replace(making, replace(making, taken_at=None, shards=()))

    def find_requested_backup(self, instance: Instance, name: str) -> Backup | None:
        found = self._find(instance, name)
        if found is None or found.state is not BackupState.IN_PROGRESS or name not in self.tags:
            return found
        self._looks[name] = self._looks.get(name, 0) + 1
        if name in self._never_made or self._looks[name] < self.looks_until_made:
            return found
        if name in self._not_made:
            return self._replace(found, replace(found, state=BackupState.FAILED))
        asked_at = next(at for of, asked, at in reversed(self.requests) if (of, asked) == (instance.name, name))
        shards = tuple(Shard(file, "0-16383") for file in self._files[name])
        made = replace(found, state=BackupState.COMPLETE, taken_at=asked_at.replace(microsecond=0), shards=shards)
        return self._replace(found, made)

    def remove_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> bool:
        found = self._find(instance, name)
        if found is None:
            return True
        if found.automatic or not name.startswith("rdbkeeper-") or not tags:
            return False
        if not dict(tags).items() <= self.tags.get(name, {}).items():
            return False
        if found.state is BackupState.IN_PROGRESS:
            raise BackupBusy(f"Removing the backup {name} failed: it is {found.state.value}.")
        self.lose_backup(instance.name, name)
        return True

    def _find_by_id(self, backup: Backup) -> Backup | None:
        """The backup as it is listed; a run may know more of it."""
        listed = self._backups.get(backup.instance, ())
        identity = (backup.backup_id, backup.taken_at)
        return next((one for one in listed if (one.backup_id, one.taken_at) == identity), None)

    def _find(self, instance: Instance, name: str) -> Backup | None:
        return next((one for one in self._backups.get(instance.name, ()) if one.backup_id == name), None)

    def _replace(self, old: Backup, new: Backup) -> Backup:
        self._backups[old.instance] = [new if one is old else one for one in self._backups[old.instance]]
        return new

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
