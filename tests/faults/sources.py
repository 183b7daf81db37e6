"""Providers that do otherwise than the first one: whose exports bear no name of ours, and who hand out links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rdbkeeper.domain.backup import Backup, BackupState, Instance, Shard, StagedFile
from rdbkeeper.domain.errors import BackupGone, SourceUnavailable, StagedFileChanged
from tests.fakes.source import BytesStream, MemorySource, etag_of

USES_OF_A_LINK = 2
MADE_AFTER = timedelta(hours=1)


class SimulatedSource(MemorySource):
    """The first one, as every world has it that says nothing else."""

    forgets_made = True  # it removes what was made when it is asked to

    def show(self, backup: Backup) -> Backup:
        """A backup as it is listed."""
        return backup

    def backups(self, instance: Instance) -> list[Backup]:
        """Every backup of it; what was asked for a while ago is made by now, whoever waits for it."""
        for of, name, asked_at in self.requests:
            if of == instance.name and self.clock.now() - asked_at > MADE_AFTER:
                self._looks[name] = self.looks_until_made
                super().find_requested_backup(instance, name)
        return [self.show(backup) for backup in super().backups(instance)]

    def find_made(self, instance: str, name: str) -> Backup | None:
        """What was asked for by that name, as it is listed; None where it is gone."""
        found = (one for one in self._backups.get(instance, ()) if one.backup_id == name)
        return next((self.show(one) for one in found), None)


class NamelessSource(SimulatedSource):
    """Lists backups without their shards; what an export makes is named after its backup, whoever asked for it."""

    def add_backup(self, instance: str, *given: Any, **named: Any) -> Backup:
        backup = super().add_backup(instance, *given, **named)
        return self._replace(backup, replace(backup, shards=()))

    def find_requested_backup(self, instance: Instance, name: str) -> Backup | None:
        found = super().find_requested_backup(instance, name)
        return None if found is None else self._replace(found, replace(found, shards=()))

    def request_export(self, backup: Backup, attempt: str) -> None:
        super().request_export(backup, attempt)
        for target in [other for other in self.exports if self._is_other(backup, attempt, other)]:
            del self.exports[target]  # a second export fails while its objects are there: they go first
            for name in [name for name in self.staged if name.startswith(f"{target}-")]:
                del self.staged[name]

    def _is_other(self, backup: Backup, attempt: str, target: str) -> bool:
        """Whether an export of the same backup was asked for by another attempt; attempts end in their copy's hash."""
        return target != self._target(backup, attempt) and target.endswith(attempt[-12:])

    def find_staged_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...] | None:
        if backup.backup_id not in self._files:
            return None
        shards = tuple(Shard(name) for name in self._files[backup.backup_id])
        return super().find_staged_files(replace(backup, shards=shards), attempt)

    def discard_export(self, backup: Backup, attempt: str) -> None:
        shards = tuple(Shard(name) for name in self._files[backup.backup_id])
        super().discard_export(replace(backup, shards=shards), attempt)


class LinkedSource(SimulatedSource):
    """Stages nothing: each file is read by a link that is soon over, which shows when it is used.

    A backup that is asked for gets an id of the provider's own, and is removed by nobody.
    """

    forgets_made = False

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.uses: dict[str, int] = {}

    def show(self, backup: Backup) -> Backup:
        if not backup.backup_id.startswith("rdbkeeper-"):
            return backup
        return replace(backup, backup_id=f"tc{backup.backup_id.rsplit('-', 1)[-1]}")

    def find_requested_backup(self, instance: Instance, name: str) -> Backup | None:
        found = super().find_requested_backup(instance, name)
        return None if found is None else self.show(found)

    def remove_backup(self, instance: Instance, name: str, tags: Mapping[str, str]) -> bool:
        return self._find(instance, name) is None

    def request_export(self, backup: Backup, attempt: str) -> None:
        self._get_files(backup)

    def find_staged_files(self, backup: Backup, attempt: str) -> tuple[StagedFile, ...] | None:
        files = self._get_files(backup)
        return tuple(
            StagedFile(Shard(name), f"{backup.instance}/{backup.copy_id}/{name}", len(data), etag_of(data))
            for name, data in files.items()
        )

    def open_range(self, file: StagedFile, first_byte: int, length_bytes: int) -> BytesStream:
        instance, copy_id, name = file.key.split("/")
        listed = [self.show(one) for one in self._backups.get(instance, ()) if one.taken_at is not None]
        backup = next((one for one in listed if one.copy_id == copy_id), None)
        if backup is None:
            raise BackupGone(f"Reading the file of shard {file.shard.name} failed: its backup is gone.")
        self.uses[file.key] = self.uses.get(file.key, 0) + 1
        if self.uses[file.key] > USES_OF_A_LINK:
            self.uses[file.key] = 0
            raise SourceUnavailable(f"Reading the file of shard {file.shard.name} failed: its link is over.")
        data = self._get_files(backup)[name]
        if etag_of(data) != file.etag:
            raise StagedFileChanged(f"Reading the file of shard {file.shard.name}: it is another one.")
        return BytesStream(data[first_byte : first_byte + length_bytes])

    def discard_export(self, backup: Backup, attempt: str) -> None:
        pass

    def discard_leftovers(
        self, instance: Instance, rule_tag: str, keep_chain_tag: str, older_than: datetime
    ) -> list[str]:
        return []

    def _get_files(self, backup: Backup) -> dict[str, bytes]:
        listed: Sequence[Backup] = self._backups.get(backup.instance, ())
        for one in listed:
            if self.show(one).backup_id == backup.backup_id and one.state is BackupState.COMPLETE:
                return self._files[one.backup_id]
        raise BackupGone(f"There is no backup {backup.backup_id} that could be read.")
