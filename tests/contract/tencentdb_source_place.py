"""TencentDB as a place for the contracts of sources: its instance and its backups have the names that these go by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rdbkeeper.aws.clock import SystemClock
from rdbkeeper.aws.secrets import ApiKey
from rdbkeeper.domain.backup import StagedFile
from rdbkeeper.sources.tencentdb.source import TencentDbSource
from tests.contract.tencentdb_place import REGION
from tests.local_cloud.tencentdb import TencentDB

_STATUSES = {"creating": 0, "modifying": 1, "available": 2, "deleting": -3}


@dataclass
class Tencent:
    """A cluster of two shards."""

    tells_shards = False
    usual_status, stages, names_backups = "running", False, False
    source: TencentDbSource
    service: TencentDB

    def now(self) -> datetime:
        return datetime.now(UTC)

    def take_backup(self, name: str, taken_at: datetime) -> None:
        backups = self.service._state.backups
        backup_id = self.service.take_backup("pair", taken_at, kind="manual")
        # The service makes up ids by itself; the contracts go by names.
        backups[name] = replace(backups.pop(backup_id), backup_id=name)

    def lose_backup(self, name: str) -> None:
        self.service.expire_backup(name)

    def set_status(self, status: str, *, available: bool) -> None:
        self.service.set_status("pair", _STATUSES[status])

    def remove(self) -> None:
        self.service.remove_instance("pair")

    def overwrite(self, file: StagedFile) -> None:
        _, name, _ = file.key.split("/")
        self.service.fault(name, "changed", shard=int(file.shard.name))

    def hold_making(self, held: bool) -> None:
        self.service.hold_backups(held=held)

    def fail_making(self) -> None:
        self.service.fail_next_backup("pair")


@contextmanager
def tencentdb_place(service: TencentDB) -> Iterator[Tencent]:
    """The place at a service; what was there is gone afterwards."""
    source = TencentDbSource(
        lambda: ApiKey(service.secret_id, service.secret_key),
        REGION,
        SystemClock(),
        endpoint=f"http://{service.endpoint}",
        file_hosts=(service.file_host,),
        allows_private=True,
    )
    instances = service._state.instances
    if "pair" not in instances:
        instance_id = service.create_instance("pair", cluster_shards=2)
        instances["pair"] = replace(instances.pop(instance_id), instance_id="pair")
    yield Tencent(source, service)
    service.restore()
    if "pair" in instances:
        service.set_status("pair", 2)
    service._state.backups.clear()
