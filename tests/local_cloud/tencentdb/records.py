"""What the stand-in knows of its instances and backups, and how that looks in an answer.

The fields are those that "DescribeInstances", "DescribeInstanceBackups" and "DescribeBackupDetail" document and that
somebody who copies backups reads. Times are China's, without a zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.local_cloud.engines import Engine
from tests.local_cloud.tencentdb.wire import invalid

CHINA = timezone(timedelta(hours=8))
_TIME = "%Y-%m-%d %H:%M:%S"

INSTANCE_RUNNING = 2
BACKUP_IN_PROCESS, BACKUP_NORMAL, BACKUP_EXPORTED, BACKUP_EXPIRED = 1, 2, 4, -1
MANUAL, AUTOMATIC = "0", "1"

# The documentation's numbers, architecture without shards first: 6 and 7 for Redis 4.0 up to 17 and 18 for 7.0.
_TYPES = {4: (6, 7), 5: (8, 9), 6: (15, 16), 7: (17, 18)}


@dataclass(frozen=True)
class Instance:
    """One instance; each of its shards is a running server."""

    instance_id: str
    name: str
    region: str
    cluster: bool
    engine: str
    replicas: int
    shard_size_mb: int
    engines: tuple[Engine, ...]
    created_at: datetime
    status: int = INSTANCE_RUNNING

    @property
    def type(self) -> int:
        """Return the service's number for its version and architecture; 7.0's for versions that have none."""
        return _TYPES.get(self.engines[0].server.version[0], _TYPES[7])[self.cluster]


@dataclass(frozen=True)
class BackupFile:
    """One shard's file: the path in its link, where it is stored, its length and its ETag."""

    name: str
    path: str
    stored: Path
    size_bytes: int
    etag: str


@dataclass(frozen=True)
class Backup:
    """One backup; its files are there once it is normal."""

    backup_id: str
    instance: Instance
    kind: str
    remark: str
    started_at: datetime
    storage_days: int
    encrypted: bool
    status: int = BACKUP_IN_PROCESS
    ended_at: datetime | None = None
    files: tuple[BackupFile, ...] = ()
    sizes_stated: bool = True

    @property
    def size_bytes(self) -> int:
        """Return the length of all its files."""
        return sum(file.size_bytes for file in self.files)


def china_time(time: datetime | None) -> str:
    """Return a time as the service writes it; empty for none."""
    return time.astimezone(CHINA).strftime(_TIME) if time else ""


def read_china_time(text: str, name: str) -> datetime:
    """Return the time that a parameter says. Raises ApiError unless it is 'YYYY-MM-DD hh:mm:ss'."""
    try:
        time = datetime.strptime(text, _TIME).replace(tzinfo=CHINA)
    except ValueError as error:
        raise invalid(f"{name} must look like 2017-02-08 16:46:34: {text}") from error
    if time.strftime(_TIME) != text:
        raise invalid(f"{name} must look like 2017-02-08 16:46:34: {text}")
    return time


def describe_instance(instance: Instance) -> dict[str, Any]:
    """Return an instance as DescribeInstances does."""
    return {
        "InstanceId": instance.instance_id,
        "InstanceName": instance.name,
        "Status": instance.status,
        "Type": instance.type,
        "ProductType": "cluster" if instance.cluster else "standalone",
        "Engine": instance.engine,
        "CurrentRedisVersion": instance.engines[0].server.version_text,
        "Size": float(instance.shard_size_mb * len(instance.engines)),
        "RedisShardNum": len(instance.engines),
        "RedisShardSize": instance.shard_size_mb,
        "RedisReplicasNum": instance.replicas,
        "WanIp": "127.0.0.1",
        "Port": instance.engines[0].port,
        "Region": instance.region,
        "Createtime": china_time(instance.created_at),
        "InstanceTags": [],
        "NoAuth": True,
        "BillingMode": 0,
    }


def describe_backup(backup: Backup) -> dict[str, Any]:
    """Return a backup as DescribeInstanceBackups does."""
    return {
        "BackupId": backup.backup_id,
        "StartTime": china_time(backup.started_at),
        "EndTime": china_time(backup.ended_at),
        "BackupType": backup.kind,
        "Status": backup.status,
        "Remark": backup.remark,
        "Locked": int(backup.status == BACKUP_IN_PROCESS),
        "BackupSize": backup.size_bytes,
        "FullBackup": 0,
        "InstanceType": backup.instance.type,
        "InstanceId": backup.instance.instance_id,
        "InstanceName": backup.instance.name,
        "Region": backup.instance.region,
        "FileType": f"RDB-Redis {'.'.join(map(str, backup.instance.engines[0].server.version[:2]))}",
        "ExpireTime": china_time(backup.started_at + timedelta(days=backup.storage_days)),
        "Encrypted": backup.encrypted,
    }


def describe_detail(backup: Backup) -> dict[str, Any]:
    """Return a backup as DescribeBackupDetail does.

    Its BackupType is documented the other way round than the list's: 1 manual, 0 automatic.
    """
    kept = ("BackupId", "StartTime", "EndTime", "Status", "Remark", "Locked", "BackupSize", "InstanceType", "Encrypted")
    described = {name: value for name, value in describe_backup(backup).items() if name in kept}
    key = {"DecryptKey": "a2V5", "KmsKeyId": "b2f531ee-local", "KeyAlgorithm": "AES-256-CBC"}
    return described | {
        "BackupType": AUTOMATIC if backup.kind == MANUAL else MANUAL,
        "MemSize": backup.instance.shard_size_mb,
        "ShardNum": len(backup.instance.engines),
        "ReplicasNum": backup.instance.replicas,
        **(key if backup.encrypted else dict.fromkeys(key, "")),
    }
