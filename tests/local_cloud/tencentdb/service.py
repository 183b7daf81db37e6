"""TencentDB on two ports of 127.0.0.1: the API, the backup files, and the switches that tests use."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from werkzeug.wrappers import Request, Response

from tests.local_cloud.engines import Engine
from tests.local_cloud.tencentdb.backups import LINK_LIFE_S, LISTED_TYPES, BackupOperations
from tests.local_cloud.tencentdb.file_faults import FileFault, FileFaults
from tests.local_cloud.tencentdb.file_server import FileServer, Read
from tests.local_cloud.tencentdb.instances import InstanceOperations
from tests.local_cloud.tencentdb.records import BACKUP_EXPIRED, Backup
from tests.local_cloud.tencentdb.restrictions import LIMIT_TYPES, Restriction
from tests.local_cloud.tencentdb.serving import QuietServer
from tests.local_cloud.tencentdb.signature import Key, Signed, check_signature
from tests.local_cloud.tencentdb.state import State
from tests.local_cloud.tencentdb.wire import ACTIONS, VERSION, ApiError, read_parameters, write_answer, write_error

REGIONS = (
    "ap-beijing",
    "ap-chengdu",
    "ap-guangzhou",
    "ap-hongkong",
    "ap-shanghai",
    "ap-singapore",
    "ap-tokyo",
    "eu-frankfurt",
    "na-siliconvalley",
)
Operation = Callable[[str, Mapping[str, Any]], dict[str, Any]]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Call:
    """One request to the API: what was asked where, and the code of the error that it was answered with, if any."""

    action: str
    region: str
    error: str


class TencentDB:
    """Answers Tencent's own SDK for one account; nothing is left behind after close().

    endpoint: host and port for HttpProfile (protocol http). file_host: host and port of all public links. secret_id,
    secret_key: the account's key. calls, reads: what was asked of the API and of the files so far. backup_delay_s: how
    long a manual backup takes. clock: what the time is (aware).
    """

    secret_id = "AKIDlocalcloudaccount"
    secret_key = "local-cloud-secret-key"

    def __init__(self, *, backup_delay_s: float = 0.2, clock: Callable[[], datetime] = _now) -> None:
        self._state = State(clock)
        self._backups = BackupOperations(self._state, backup_delay_s)
        self._instances = InstanceOperations(self._state)
        self._faults = FileFaults()
        self._keys = {self.secret_id: Key(self.secret_key)}
        self._refusals: dict[str, tuple[str, int | None]] = {}
        self._per_second: int | None = None
        self._recent: dict[str, deque[float]] = {}
        self._lock = threading.Lock()
        self.calls: list[Call] = []
        self._operations: dict[str, Operation] = {
            "DescribeInstances": self._instances.describe,
            "DescribeInstanceBackups": self._backups.describe_backups,
            "DescribeBackupDetail": self._backups.describe_detail,
            "DescribeBackupUrl": self._backups.describe_urls,
            "DescribeBackupDownloadRestriction": self._backups.describe_restriction,
            "ManualBackupInstance": self._backups.back_up,
            "DescribeAutoBackupConfig": self._backups.describe_settings,
            "DescribeTaskInfo": self._backups.describe_task,
        }
        files = FileServer(self._state, self._faults)
        self.reads: list[Read] = files.reads
        self._servers = (QuietServer(self._answer, "tencentdb"), QuietServer(files.answer, "tencentdb-files"))
        self.endpoint, self.file_host = (server.address for server in self._servers)
        self._backups.file_host = self.file_host

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop every server and all background work and remove every file; repeating it is harmless."""
        self._state.closing.set()
        for server in self._servers:
            server.close()
        self._state.close()

    @property
    def problems(self) -> list[str]:
        """Return what went wrong in the background so far."""
        return list(self._state.problems)

    def create_instance(
        self,
        name: str,
        *,
        region: str = "ap-guangzhou",
        cluster_shards: int | None = None,
        replicas: int = 1,
        shard_size_mb: int = 1024,
        engine: str = "Redis",
    ) -> str:
        """Start an instance and return its id, crs-...; without cluster_shards it is a standard one (one server)."""
        if region not in REGIONS:
            raise ValueError(f"{region} is none of {REGIONS}")
        return self._instances.create(
            name,
            region=region,
            cluster_shards=cluster_shards,
            replicas=replicas,
            shard_size_mb=shard_size_mb,
            engine=engine,
        )

    def remove_instance(self, instance_id: str) -> None:
        """Stop an instance's servers and forget it and its backups."""
        self._instances.remove(instance_id)

    def engines(self, instance_id: str) -> tuple[Engine, ...]:
        """Return the running servers of an instance, in the order of its shards."""
        with self._state.lock:
            return self._state.get_instance(instance_id).engines

    def set_status(self, instance_id: str, status: int) -> None:
        """Set an instance's status: 0 being made, 1 in a process, 2 running, -2 isolated, -3 to be deleted."""
        self._instances.set_status(instance_id, status)

    def take_backup(
        self,
        instance_id: str,
        taken_at: datetime | None = None,
        *,
        kind: str = "automatic",
        remark: str = "",
        storage_days: int = 1825,
        encrypted: bool = False,
    ) -> str:
        """Take an `automatic` or `manual` backup that is complete on return, and return its id.

        taken_at: the StartTime that it states (aware); the data is today's. storage_days is long, so that a backup with
        an old time has not expired.
        """
        return self._backups.take_now(
            instance_id, kind, taken_at, remark=remark, storage_days=storage_days, encrypted=encrypted
        )

    def set_backup_status(self, backup_id: str, status: int) -> None:
        """Set a backup's status: 1 locked by a process, 2 normal, 3 being exported, 4 exported, -1 expired."""
        self._state.change_backup(backup_id, status=status)

    def expire_backup(self, backup_id: str) -> None:
        """Let a backup expire: it is no longer among the normal ones, and its files answer 404."""
        self._state.change_backup(backup_id, status=BACKUP_EXPIRED)

    def hide_sizes(self, backup_id: str) -> None:
        """State a FileSize of 0, which the service does for a size that it does not know."""
        self._state.change_backup(backup_id, sizes_stated=False)

    def backup_files(self, backup_id: str) -> list[Path]:
        """Return the stored files of a backup, in the order of its shards; only read them."""
        return [file.stored for file in self._get(backup_id).files]

    def hold_backups(self, *, held: bool) -> None:
        """Keep manual backups from finishing while held; releasing lets them go on."""
        self._backups.hold(held=held)

    def fail_next_backup(self, instance_id: str) -> None:
        """Let the next manual backup of an instance fail: its task says so, and no backup remains."""
        self._backups.fail_next(instance_id)

    def set_link_life(self, seconds: int) -> None:
        """Let links that are taken from now on be good for so long; usually it is six hours."""
        self._backups.link_life_s = seconds

    def set_listed_types(self, types: tuple[str, str]) -> None:
        """Choose one of LISTED_TYPES, by which lists tell backups made by hand from the service's own."""
        self._backups.listed_types = types

    def restrict_downloads(
        self,
        limit_type: str = "NoLimit",
        *,
        region: str = "ap-guangzhou",
        ips: Sequence[str] = (),
        ips_allowed: bool | None = None,
    ) -> None:
        """Set who may read a region's backup files: NoLimit, LimitOnlyIntranet or Customize.

        For Customize, ips_allowed says whether only `ips` may (In) or all others (NotIn); None: private networks only.
        """
        if limit_type not in LIMIT_TYPES:
            raise ValueError(f"{limit_type} is none of {LIMIT_TYPES}")
        self._state.restrictions[region] = Restriction(limit_type, tuple(ips), ips_allowed)

    def fault(
        self,
        backup_id: str,
        mode: FileFault,
        *,
        shard: int = 1,
        at: int | None = None,
        times: int | None = None,
        location: str = "http://10.0.0.7/backup.rdb",
    ) -> None:
        """Let reading one shard's file go wrong; see `FileFault` for the modes.

        at: an offset in the file (default: its middle for cut, short and flip, else its start). times: how often
        (default: once for expire, busy and cut, else until repaired).
        """
        file = self._get(backup_id).files[shard - 1]
        self._faults.add(file.path, mode, size_bytes=file.size_bytes, at=at, times=times, location=location)

    def repair(self, backup_id: str) -> None:
        """End what fault() began for a backup."""
        self._faults.clear([file.path for file in self._get(backup_id).files])

    def refuse(self, action: str, code: str = "UnauthorizedOperation.NoCAMAuthed", times: int | None = None) -> None:
        """Answer an action with an error, so many times or until it is allowed again."""
        if action not in ACTIONS:
            raise ValueError(f"{action} is none of {sorted(ACTIONS)}")
        with self._lock:
            self._refusals[action] = (code, times)

    def allow(self, action: str) -> None:
        """End what refuse() began."""
        with self._lock:
            self._refusals.pop(action, None)

    def limit_rate(self, per_second: int | None) -> None:
        """Answer RequestLimitExceeded beyond so many requests a second for each action (really: 20); None ends it."""
        with self._lock:
            self._per_second = per_second
            self._recent.clear()

    def skew_clock(self, by: timedelta) -> None:
        """Let the service's clock be ahead of the client's, or behind it with a negative time."""
        self._state.skew = by

    def restore(self) -> None:
        """End all that was switched on: faults, refusals, restrictions, held backups, rate, clock, links, types."""
        with self._lock:
            self._refusals.clear()
        self._faults.clear()
        self._state.restrictions.clear()
        self.limit_rate(None)
        self.hold_backups(held=False)
        self.skew_clock(timedelta())
        self.set_link_life(LINK_LIFE_S)
        self.set_listed_types(LISTED_TYPES[0])

    def add_temporary_key(self, secret_id: str, secret_key: str, token: str) -> None:
        """Accept another key, together with its token only."""
        self._keys[secret_id] = Key(secret_key, token)

    def _get(self, backup_id: str) -> Backup:
        with self._state.lock:
            return self._state.get_backup(backup_id)

    def _answer(self, request: Request) -> Response:
        request_id = str(uuid.uuid4())
        action, region = request.headers.get("X-TC-Action", ""), request.headers.get("X-TC-Region", "")
        code = ""
        try:
            body = write_answer(self._run(request, action, region), request_id)
        except ApiError as error:
            body, code = write_error(error, request_id), error.code
        self.calls.append(Call(action, region, code))
        return Response(body, status=200, content_type="application/json")

    def _run(self, request: Request, action: str, region: str) -> dict[str, Any]:
        body = request.get_data(cache=True)
        if (request.method, request.path, request.mimetype) != ("POST", "/", "application/json"):
            raise ApiError("UnsupportedProtocol", "Only POST with application/json is done here.")
        _require({"Action": action, "Version": request.headers.get("X-TC-Version"), "Region": region})
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = request.query_string.decode("latin-1")
        check_signature(Signed(request.method, query, headers, body), self._keys, self._state.now())
        if request.headers["X-TC-Version"] != VERSION:
            raise ApiError("NoSuchVersion", f"The version {request.headers['X-TC-Version']} does not exist.")
        if action not in self._operations:
            raise ApiError("InvalidAction", f"The action {action} does not exist, or is not done here.")
        if region not in REGIONS:
            raise ApiError("UnsupportedRegion", f"The region {region} is not supported.")
        self._check_refused(action)
        return self._operations[action](region, read_parameters(action, body))

    def _check_refused(self, action: str) -> None:
        with self._lock:
            code, left = self._refusals.get(action, ("", 0))
            if code:
                if left == 1:
                    del self._refusals[action]
                elif left is not None:
                    self._refusals[action] = (code, left - 1)
                raise ApiError(code, f"redis:{action} was refused.")
            if self._per_second is not None and not self._has_turn(action, self._per_second):
                raise ApiError("RequestLimitExceeded", f"{action}: {self._per_second} requests a second are the limit.")

    def _has_turn(self, action: str, per_second: int) -> bool:
        now, recent = time.monotonic(), self._recent.setdefault(action, deque())
        while recent and now - recent[0] >= 1:
            recent.popleft()
        if len(recent) >= per_second:
            return False
        recent.append(now)
        return True


def _require(parameters: Mapping[str, str | None]) -> None:
    for name, value in parameters.items():
        if not value:
            raise ApiError("MissingParameter", f"The request is missing a required parameter `{name}`.")
