"""The region's instances and snapshots, behind one lock, and the work that goes on in the background."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.local_cloud.elasticache.events import EventLog
from tests.local_cloud.elasticache.records import Instance, Shard, Snapshot
from tests.local_cloud.elasticache.serverless_records import ServerlessCache, ServerlessSnapshot
from tests.local_cloud.managed.background import Background
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.servers import stop_engines
from tests.local_cloud.managed.tags import Tags

Clock = Callable[[], datetime]

_ARN_ERRORS = {
    "replicationgroup": "ReplicationGroupNotFoundFault",
    "cluster": "CacheClusterNotFound",
    "snapshot": "SnapshotNotFoundFault",
    "serverlesscache": "ServerlessCacheNotFoundFault",
    "serverlesscachesnapshot": "ServerlessCacheSnapshotNotFoundFault",
}


class State(Background):
    """Everything the stand-in remembers. Hold `lock` while reading two things or writing one."""

    def __init__(self, region: str, account: str, clock: Clock) -> None:
        super().__init__("snapshots")
        self.region = region
        self.account = account
        self.clock = clock
        self.groups: dict[str, Instance] = {}
        self.clusters: dict[str, Instance] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.caches: dict[str, ServerlessCache] = {}
        self.serverless_snapshots: dict[str, ServerlessSnapshot] = {}
        self.tags = Tags(invalid="InvalidParameterValue")
        self.events = EventLog(clock)
        self.forced_statuses: dict[str, str] = {}
        self.disabled_keys: set[str] = set()
        self.names_snapshots_by_arn = False

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of a replicationgroup, cluster, snapshot, serverlesscache or serverlesscachesnapshot."""
        return f"arn:aws:elasticache:{self.region}:{self.account}:{kind}:{name}"

    def instances(self) -> list[Instance]:
        """Return all replication groups, then all stand-alone clusters, each in the order of their names."""
        return [self.groups[key] for key in sorted(self.groups)] + [self.clusters[key] for key in sorted(self.clusters)]

    def get_group(self, group_id: str) -> Instance:
        """Return a replication group; ids are not case sensitive. Raises ReplicationGroupNotFoundFault."""
        group = self.groups.get(group_id.lower())
        if group is None:
            raise ServiceError("ReplicationGroupNotFoundFault", f"ReplicationGroup {group_id} not found.")
        return group

    def get_node(self, node_id: str) -> tuple[Instance, Shard | None]:
        """Return the instance and shard that a cache cluster belongs to. Raises CacheClusterNotFound."""
        wanted = node_id.lower()
        for instance in self.instances():
            if wanted in instance.node_ids:
                holding = (shard for shard in instance.shards if wanted in shard.node_ids)
                return instance, next(holding, None)
        raise ServiceError("CacheClusterNotFound", f"CacheCluster not found: {node_id}")

    def get_snapshot(self, name: str) -> Snapshot:
        """Return a snapshot; names are stored in lower case. Raises SnapshotNotFoundFault."""
        snapshot = self.snapshots.get(name.lower())
        if snapshot is None:
            raise ServiceError("SnapshotNotFoundFault", f"Snapshot not found: {name}")
        return snapshot

    def status_of(self, instance: Instance) -> str:
        """Return what a test says; else `snapshotting` while a snapshot of it is being made, else `available`."""
        if instance.arn in self.forced_statuses:
            return self.forced_statuses[instance.arn]
        making = any(
            snapshot.status == "creating" and snapshot.instance.arn == instance.arn
            for snapshot in self.snapshots.values()
        )
        return "snapshotting" if making else "available"

    def check_arn(self, arn: str) -> None:
        """Raise InvalidARN or the not-found error of its kind unless the ARN names something that exists."""
        kind, _, name = arn.removeprefix(self.arn("", "")[:-1]).partition(":")
        if not arn.startswith(self.arn("", "")[:-1]) or kind not in _ARN_ERRORS:
            raise ServiceError("InvalidARN", f"{arn} names nothing of ElastiCache in {self.region}.")
        known = {
            "replicationgroup": set(self.groups),
            "cluster": {node_id for instance in self.instances() for node_id in instance.node_ids},
            "snapshot": set(self.snapshots),
            "serverlesscache": set(self.caches),
            "serverlesscachesnapshot": set(self.serverless_snapshots),
        }
        if name not in known[kind]:
            raise ServiceError(_ARN_ERRORS[kind], f"{kind} {name} not found.")

    def page(
        self, names: Sequence[str], parameters: Mapping[str, Any], *, largest: int
    ) -> tuple[list[str], str | None]:
        """Return the names of one page and the marker of the next one. Raises InvalidParameterValue."""
        size = parameters.get("MaxRecords", largest)
        if not 20 <= size <= largest:
            raise ServiceError("InvalidParameterValue", f"MaxRecords must be from 20 to {largest}: {size}")
        marker = parameters.get("Marker")
        after = _read_marker(marker) if marker else ""
        rest = [name for name in sorted(names) if name > after]
        page = rest[:size]
        more = len(rest) > size
        return page, base64.urlsafe_b64encode(page[-1].encode()).decode() if more else None

    def note(self, snapshot: ServerlessSnapshot, message: str) -> None:
        """Keep an event of a serverless cache's snapshot."""
        source_id = snapshot.arn if self.names_snapshots_by_arn else snapshot.name
        self.events.note("serverless-cache-snapshot", source_id, message)

    def close(self) -> None:
        """End all background work, stop every server and remove every file; repeating it is harmless."""
        self.end()
        with self.lock:
            for instance in self.instances():
                stop_servers(instance)
            for cache in self.caches.values():
                stop_engines(cache.engines)
            for known in (self.groups, self.clusters, self.snapshots, self.caches, self.serverless_snapshots):
                known.clear()
        self.remove_files()


def stop_servers(instance: Instance) -> None:
    """Stop the Redis servers of an instance."""
    stop_engines(shard.engine for shard in instance.shards)


def check_identifier(value: str, parameter: str, longest: int) -> str:
    """Return an identifier in lower case. Raises InvalidParameterValue when it breaks the service's rule."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", value)
    if not plain or len(value) > longest or "--" in value or value.endswith("-"):
        raise ServiceError(
            "InvalidParameterValue",
            f"The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must "
            "contain only ASCII letters, digits, and hyphens; must not end with a hyphen or contain two "
            f"consecutive hyphens; and have at most {longest} characters.",
        )
    return value.lower()


def _read_marker(marker: str) -> str:
    try:
        return base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise ServiceError("InvalidParameterValue", f"The marker {marker!r} is not valid.") from error
