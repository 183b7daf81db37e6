"""Taking and listing backups, and giving links to their files; the data comes from a BGSAVE of each shard.

Rests on "DescribeInstanceBackups", "DescribeBackupDetail", "DescribeBackupUrl", "ManualBackupInstance" and
"DescribeTaskInfo", and on the error codes that the actions' pages list. Believed: newest first; without times the last
30 days; that an instance makes one backup at a time; and the code for too many manual ones, of which an older
"ManualBackupInstance" says "no more than 24 calls a day".
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.local_cloud.engines import Engine
from tests.local_cloud.tencentdb.links import make_link
from tests.local_cloud.tencentdb.records import (
    AUTOMATIC,
    BACKUP_EXPORTED,
    BACKUP_IN_PROCESS,
    BACKUP_NORMAL,
    INSTANCE_RUNNING,
    MANUAL,
    Backup,
    BackupFile,
    Instance,
    china_time,
    describe_backup,
    describe_detail,
    read_china_time,
)
from tests.local_cloud.tencentdb.restrictions import Restriction, describe_restriction, read_restriction
from tests.local_cloud.tencentdb.state import State, Task, etag_of
from tests.local_cloud.tencentdb.wire import ApiError, invalid, page

MANUAL_PER_DAY = 24
LINK_LIFE_S = 6 * 3600
LONGEST_SPAN = timedelta(days=30)
LONGEST_STORAGE_DAYS = 1825
_STATUSES = (1, 2, 3, 4, -1, -2)
_BACKUP_SETS = {"manual": MANUAL, "automatic": AUTOMATIC}
# What a list calls a backup that was made by hand, and one that the service made, as editions of
# "DescribeInstanceBackups" have had it: today's, an older one, and the oldest.
LISTED_TYPES = (("0", "1"), ("1", "0"), ("manualBackupInstance", "systemBackupInstance"))
Parameters = Mapping[str, Any]


class BackupOperations:
    """The operations on backups."""

    def __init__(self, state: State, backup_delay_s: float) -> None:
        self._state = state
        self._delay_s = backup_delay_s
        self._released = threading.Event()
        self._released.set()
        self._failing: set[str] = set()
        self.link_life_s: float = LINK_LIFE_S
        self.listed_types = LISTED_TYPES[0]
        self.file_host = ""

    def take_now(
        self, instance_id: str, kind: str, taken_at: datetime | None, *, remark: str, storage_days: int, encrypted: bool
    ) -> str:
        """Take a backup that is complete on return, and return its id."""
        if taken_at is not None and taken_at.tzinfo is None:
            raise ValueError("taken_at must say its time zone")
        with self._state.lock:
            instance = self._state.get_instance(instance_id)
            started_at = taken_at or self._state.now()
            if started_at < instance.created_at:
                # No backup is older than its instance: whoever lists them looks back no further.
                instance = self._state.instances[instance_id] = replace(instance, created_at=started_at)
            backup = self._draft(instance, _BACKUP_SETS[kind], remark, started_at, storage_days, encrypted=encrypted)
        self._save(backup)
        return backup.backup_id

    def hold(self, *, held: bool) -> None:
        """Keep manual backups from finishing while held."""
        if held:
            self._released.clear()
        else:
            self._released.set()

    def fail_next(self, instance_id: str) -> None:
        """Let the next manual backup of an instance fail."""
        with self._state.lock:
            self._failing.add(instance_id)

    def describe_backups(self, region: str, parameters: Parameters) -> dict[str, Any]:
        """List the backups that began within the times, newest first."""
        begin, end = self._span(parameters)
        wanted = parameters.get("Status", [BACKUP_NORMAL])
        if unknown := sorted(set(wanted) - set(_STATUSES)):
            raise invalid(f"Status has values that no backup has: {unknown}")
        with self._state.lock:
            if "InstanceId" in parameters:
                self._state.get_instance(parameters["InstanceId"], region)
            found = [
                each
                for each in self._state.backups.values()
                if each.instance.region == region
                and each.status in wanted
                # The service knows whole seconds.
                and begin <= each.started_at.replace(microsecond=0) <= end
                and parameters.get("InstanceId", each.instance.instance_id) == each.instance.instance_id
                and parameters.get("InstanceName", each.instance.name) == each.instance.name
            ]
        found.sort(key=lambda each: (each.started_at, each.backup_id), reverse=True)
        listed = found[page(parameters, largest=100)]
        return {"TotalCount": len(found), "BackupSet": [self._list(each) for each in listed]}

    def _list(self, backup: Backup) -> dict[str, Any]:
        return {**describe_backup(backup), "BackupType": self.listed_types[backup.kind != MANUAL]}

    def describe_detail(self, region: str, parameters: Parameters) -> dict[str, Any]:
        """Tell more about one backup."""
        return describe_detail(self._get(region, parameters))

    def describe_urls(self, region: str, parameters: Parameters) -> dict[str, Any]:
        """Give two links to each file, one for the public and one for the service's private network."""
        backup = self._get(region, parameters)
        if backup.status not in (BACKUP_NORMAL, BACKUP_EXPORTED):
            raise ApiError(
                "ResourceUnavailable.BackupStatusInvalid", f"The status of backup {backup.backup_id} is invalid."
            )
        restriction = read_restriction(parameters)
        infos = [self._links(backup, file, restriction) for file in backup.files]
        return {
            "BackupInfos": infos,
            "DownloadUrl": [info["DownloadUrl"] for info in infos],
            "InnerDownloadUrl": [info["InnerDownloadUrl"] for info in infos],
            "Filenames": [info["FileName"] for info in infos],
        }

    def describe_restriction(self, region: str, _: Parameters) -> dict[str, Any]:
        """Tell who may read the region's backup files."""
        return describe_restriction(self._state.restrictions.get(region, Restriction()))

    def describe_settings(self, region: str, parameters: Parameters) -> dict[str, Any]:
        """Tell when an instance is backed up and how long that is kept; here they all have the service's defaults."""
        with self._state.lock:
            self._state.get_instance(parameters["InstanceId"], region)
        return {
            "AutoBackupType": 1,
            "WeekDays": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
            "TimePeriod": "02:00-03:00",
            "BackupStorageDays": 7,
        }

    def back_up(self, region: str, parameters: Parameters) -> dict[str, Any]:
        """Start a manual backup and answer the task that takes it."""
        days = parameters.get("StorageDays", 0)
        if not 0 <= days <= LONGEST_STORAGE_DAYS:
            raise invalid(f"StorageDays must be from 0 to {LONGEST_STORAGE_DAYS}: {days}")
        state = self._state
        with state.lock:
            instance = state.get_instance(parameters["InstanceId"], region)
            self._check_free(instance)
            remark = parameters.get("Remark", "")
            backup = self._draft(instance, MANUAL, remark, state.now(), days or 7, encrypted=False)
            task = Task(state.next_number() + 6_954_000, instance, state.now())
            state.tasks[task.task_id] = task
            fails = instance.instance_id in self._failing
            self._failing.discard(instance.instance_id)
        state.run_in_background(lambda: self._finish(task, backup, fails=fails), f"backup {backup.backup_id}")
        return {"TaskId": task.task_id}

    def describe_task(self, region: str, parameters: Parameters) -> dict[str, Any]:
        """Tell what a task has come to. The code for an unknown one is believed."""
        task = self._state.tasks.get(parameters["TaskId"])
        if task is None or task.instance.region != region:
            raise ApiError("FailedOperation.FlowNotExists", f"The task {parameters['TaskId']} does not exist.")
        return {
            "Status": task.status,
            "StartTime": china_time(task.started_at),
            "TaskType": "backup",
            "InstanceId": task.instance.instance_id,
            "TaskMessage": task.message,
        }

    def _span(self, parameters: Parameters) -> tuple[datetime, datetime]:
        end = read_china_time(parameters["EndTime"], "EndTime") if "EndTime" in parameters else self._state.now()
        begin = end - LONGEST_SPAN
        if "BeginTime" in parameters:
            begin = read_china_time(parameters["BeginTime"], "BeginTime")
        if not timedelta() <= end - begin <= LONGEST_SPAN:
            raise invalid(f"From BeginTime to EndTime must be 0 to {LONGEST_SPAN.days} days.")
        return begin, end

    def _get(self, region: str, parameters: Parameters) -> Backup:
        with self._state.lock:
            instance = self._state.get_instance(parameters["InstanceId"], region)
            backup = self._state.get_backup(parameters["BackupId"])
        if backup.instance.instance_id != instance.instance_id:
            raise ApiError("InvalidParameterValue.BackupNotExists", f"{instance.instance_id} has no such backup.")
        return backup

    def _check_free(self, instance: Instance) -> None:
        own = [each for each in self._state.backups.values() if each.instance.instance_id == instance.instance_id]
        if instance.status != INSTANCE_RUNNING:
            raise ApiError(
                "ResourceUnavailable.InstanceStatusAbnormal", f"The status of {instance.instance_id} is abnormal."
            )
        if any(each.status == BACKUP_IN_PROCESS for each in own):
            raise ApiError("ResourceUnavailable.InstanceLockedError", f"{instance.instance_id} is locked by a process.")
        since = self._state.now() - timedelta(hours=24)
        if sum(each.kind == MANUAL and each.started_at > since for each in own) >= MANUAL_PER_DAY:
            raise ApiError("LimitExceeded", f"{instance.instance_id} had {MANUAL_PER_DAY} manual backups in a day.")

    def _draft(
        self, instance: Instance, kind: str, remark: str, started_at: datetime, storage_days: int, *, encrypted: bool
    ) -> Backup:
        number = self._state.next_number()
        backup = Backup(
            backup_id=f"{154_570_000 + number}-{1_165_730_000 + number}-{random.randrange(10**8, 10**9)}",
            instance=instance,
            kind=kind,
            remark=remark,
            started_at=started_at,
            storage_days=storage_days,
            encrypted=encrypted,
        )
        self._state.backups[backup.backup_id] = backup
        return backup

    def _finish(self, task: Task, backup: Backup, *, fails: bool) -> None:
        state = self._state
        if state.closing.wait(self._delay_s / 2):
            return
        state.change_task(task.task_id, "running")
        while not self._released.wait(0.02):
            if state.closing.is_set():
                return
        if state.closing.wait(self._delay_s / 2):
            return
        if fails:
            with state.lock:
                del state.backups[backup.backup_id]
            state.change_task(task.task_id, "failed", "The backup could not be taken.")
            return
        self._save(backup)
        state.change_task(task.task_id, "succeed")

    def _save(self, backup: Backup) -> None:
        number = self._state.next_number()
        engines = backup.instance.engines
        files = tuple(self._save_shard(backup, number, shard, engine) for shard, engine in enumerate(engines, start=1))
        ended_at = backup.started_at + timedelta(seconds=len(files))
        self._state.change_backup(backup.backup_id, files=files, ended_at=ended_at, status=BACKUP_NORMAL)

    def _save_shard(self, backup: Backup, number: int, shard: int, engine: Engine) -> BackupFile:
        stored = engine.bgsave(self._state.directory / f"{number:06d}-{shard}.rdb")
        if backup.encrypted:
            # How an encrypted file looks is documented nowhere; that nobody can read it is what matters.
            size = (stored.stat().st_size // 16 + 1) * 16
            stored.write_bytes(random.Random(f"{backup.backup_id} {shard}").randbytes(size))
        name = f"{9_527_000 + number}-redis-server-{engine.server.version_text}-ignore-{shard}-ignore.rdb"
        path = f"/{backup.instance.region}/redis/data/{backup.started_at:%Y-%m-%d}/-{name}"
        return BackupFile(name, path, stored, stored.stat().st_size, etag_of(stored))

    def _links(self, backup: Backup, file: BackupFile, restriction: Restriction | None) -> dict[str, Any]:
        now = self._state.now()
        # Links that are taken within one second must differ, so that one can be over while the other is good.
        valid_from = now - timedelta(seconds=self._state.next_number() % 3600)
        valid_until = now + timedelta(seconds=self.link_life_s)
        public, signature = make_link(self.file_host, file.path, valid_from, valid_until)
        # Nothing listens there: the private network is out of reach from here.
        private_host = f"127.0.0.2:{self.file_host.partition(':')[2]}"
        private, _ = make_link(private_host, file.path, valid_from, valid_until)
        if restriction is not None:
            with self._state.lock:
                self._state.link_restrictions[signature] = restriction
        return {
            "FileName": file.name,
            "FileSize": file.size_bytes if backup.sizes_stated else 0,
            "DownloadUrl": public,
            "InnerDownloadUrl": private,
        }
