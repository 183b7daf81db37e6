"""The account's instances, backups, tasks and restrictions, behind one lock, and the work in the background."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.local_cloud.leftovers import make_directory, remove_directory
from tests.local_cloud.tencentdb.records import BACKUP_EXPIRED, Backup, BackupFile, Instance
from tests.local_cloud.tencentdb.restrictions import Restriction
from tests.local_cloud.tencentdb.wire import ApiError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What DescribeTaskInfo tells of."""

    task_id: int
    instance: Instance
    started_at: datetime
    status: str = "preparing"
    message: str = ""


class State:
    """Everything the stand-in remembers. Hold `lock` while reading two things or writing one."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.skew = timedelta()
        self.lock = threading.RLock()
        self.instances: dict[str, Instance] = {}
        self.backups: dict[str, Backup] = {}
        self.tasks: dict[int, Task] = {}
        self.restrictions: dict[str, Restriction] = {}
        # By the link's signature: what a call asked for its own links, and which links are over before their time.
        self.link_restrictions: dict[str, Restriction] = {}
        self.ended_links: set[str] = set()
        self.problems: list[str] = []
        self.closing = threading.Event()
        self.directory = make_directory("tencentdb")
        self._count = 0
        self._threads: list[threading.Thread] = []

    def now(self) -> datetime:
        """Return what the time is at the service: an aware datetime in UTC."""
        return (self._clock() + self.skew).astimezone(UTC)

    def next_number(self) -> int:
        """Return a number that was not returned before."""
        with self.lock:
            self._count += 1
            return self._count

    def get_instance(self, instance_id: str, region: str | None = None) -> Instance:
        """Return an instance, of that region if one is given. Raises ApiError."""
        instance = self.instances.get(instance_id)
        if instance is None or region not in (None, instance.region):
            raise ApiError("ResourceNotFound.InstanceNotExists", f"The instance {instance_id} does not exist.")
        return instance

    def get_backup(self, backup_id: str) -> Backup:
        """Return a backup. Raises ApiError."""
        backup = self.backups.get(backup_id)
        if backup is None:
            raise ApiError("InvalidParameterValue.BackupNotExists", f"The backup {backup_id} does not exist.")
        return backup

    def find_file(self, path: str) -> tuple[Backup, BackupFile] | None:
        """Return the file at a link's path, while its backup has not expired."""
        with self.lock:
            for backup in self.backups.values():
                for file in backup.files:
                    if file.path == path:
                        return None if backup.status == BACKUP_EXPIRED else (backup, file)
        return None

    def change_backup(self, backup_id: str, **changes: object) -> Backup:
        """Change a backup and return it. Raises ApiError."""
        with self.lock:
            changed = replace(self.get_backup(backup_id), **changes)  # type: ignore[arg-type]  # the fields' own types
            self.backups[backup_id] = changed
        return changed

    def change_task(self, task_id: int, status: str, message: str = "") -> None:
        """Set what a task has come to."""
        with self.lock:
            self.tasks[task_id] = replace(self.tasks[task_id], status=status, message=message)

    def run_in_background(self, work: Callable[[], None], what: str) -> None:
        """Run work in a thread that close() waits for; a failure is logged and kept in `problems`."""

        def run() -> None:
            try:
                work()
            except Exception as error:
                self.problems.append(f"{what}: {error}")
                log.exception("%s failed", what)

        thread = threading.Thread(target=run, name=what, daemon=True)
        with self.lock:
            self._threads = [known for known in self._threads if known.is_alive()] + [thread]
        thread.start()

    def close(self) -> None:
        """End all background work, stop every server and remove every file; repeating it is harmless."""
        self.closing.set()
        for thread in self._threads:
            thread.join(timeout=60)
        with self.lock:
            for instance in self.instances.values():
                stop_servers(instance)
            self.instances.clear()
            self.backups.clear()
        remove_directory(self.directory)


def stop_servers(instance: Instance) -> None:
    """Stop the Redis servers of an instance."""
    for engine in instance.engines:
        engine.stop()


def etag_of(stored: Path) -> str:
    """Return the ETag of a file as COS states it for what was sent in one piece."""
    with stored.open("rb") as content:
        return f'"{hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()}"'
