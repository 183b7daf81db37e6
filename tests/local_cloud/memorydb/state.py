"""The region's clusters and snapshots, behind one lock."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.local_cloud.managed.background import Background
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.servers import stop_engines
from tests.local_cloud.managed.tags import Tags
from tests.local_cloud.memorydb.records import Cluster, Snapshot
from tests.local_cloud.memorydb.wire import INVALID
from tests.local_cloud.paging import BadTokenError, Page, cut_page

Clock = Callable[[], datetime]
# Neither is documented; the other services of the kind have these.
MOST_RESULTS = 100
LONGEST_NAME = 40

_ARN_ERRORS = {"cluster": "ClusterNotFoundFault", "snapshot": "SnapshotNotFoundFault"}


class State(Background):
    """Everything the stand-in remembers. Hold `lock` while reading two things or writing one."""

    def __init__(self, region: str, account: str, clock: Clock) -> None:
        super().__init__("memorydb")
        self.region = region
        self.account = account
        self.clock = clock
        self.clusters: dict[str, Cluster] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.tags = Tags(invalid=INVALID)
        self.forced_statuses: dict[str, str] = {}
        self.disabled_keys: set[str] = set()

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of a cluster or snapshot; the kind and the name have a slash between them."""
        return f"arn:aws:memorydb:{self.region}:{self.account}:{kind}/{name}"

    def get_cluster(self, name: str) -> Cluster:
        """Return a cluster; names are not case sensitive. Raises ClusterNotFoundFault."""
        cluster = self.clusters.get(name.lower())
        if cluster is None:
            raise ServiceError("ClusterNotFoundFault", f"Cluster {name} not found.")
        return cluster

    def get_available_cluster(self, name: str) -> Cluster:
        """Return a cluster on which operations are possible. Raises InvalidClusterStateFault.

        "Snapshot constraints": while a cluster is snapshotted, no other operation on it is.
        """
        cluster = self.get_cluster(name)
        if (status := self.status_of(cluster)) != "available":
            raise ServiceError("InvalidClusterStateFault", f"Cluster {cluster.name} is {status}, not available.")
        return cluster

    def get_snapshot(self, name: str) -> Snapshot:
        """Return a snapshot; names are stored in lower case. Raises SnapshotNotFoundFault."""
        snapshot = self.snapshots.get(name.lower())
        if snapshot is None:
            raise ServiceError("SnapshotNotFoundFault", f"Snapshot {name} not found.")
        return snapshot

    def status_of(self, cluster: Cluster) -> str:
        """Return what a test says; else `snapshotting` while a snapshot of it is being made, else `available`."""
        if cluster.arn in self.forced_statuses:
            return self.forced_statuses[cluster.arn]
        making = any(each.status == "creating" and each.cluster.arn == cluster.arn for each in self.snapshots.values())
        return "snapshotting" if making else "available"

    def check_arn(self, arn: str) -> None:
        """Raise InvalidARNFault or the not-found error of its kind unless the ARN names something that exists."""
        here = self.arn("", "").removesuffix("/")
        kind, _, name = arn.removeprefix(here).partition("/")
        if not arn.startswith(here) or kind not in _ARN_ERRORS:
            raise ServiceError("InvalidARNFault", f"{arn} names nothing of MemoryDB in {self.region}.")
        if name not in (self.clusters if kind == "cluster" else self.snapshots):
            raise ServiceError(_ARN_ERRORS[kind], f"{kind} {name} not found.")

    def close(self) -> None:
        """End all background work, stop every server and remove every file; repeating it is harmless."""
        self.end()
        with self.lock:
            for cluster in self.clusters.values():
                stop_cluster(cluster)
            self.clusters.clear()
            self.snapshots.clear()
        self.remove_files()


def stop_cluster(cluster: Cluster) -> None:
    """Stop the Redis servers of a cluster."""
    stop_engines(shard.engine for shard in cluster.shards)


def page_of(found: Sequence[Any], parameters: Mapping[str, Any]) -> Page[Any]:
    """Return the page that a request is for. Raises InvalidParameterValueException."""
    size = parameters.get("MaxResults", MOST_RESULTS)
    if not 1 <= size <= MOST_RESULTS:
        raise ServiceError(INVALID, f"MaxResults must be from 1 to {MOST_RESULTS}: {size}")
    try:
        return cut_page(found, parameters.get("NextToken"), size)
    except BadTokenError as error:
        raise ServiceError(INVALID, str(error)) from error


def check_name(value: str, parameter: str) -> str:
    """Return a name in lower case. Raises InvalidParameterValueException when it breaks the service's rule."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", value)
    if not plain or len(value) > LONGEST_NAME or "--" in value or value.endswith("-"):
        raise ServiceError(
            INVALID,
            f"{parameter} must have 1 to {LONGEST_NAME} letters, digits and hyphens, begin with a letter, and have "
            f"no hyphen at its end nor two in a row: {value!r}",
        )
    return value.lower()
