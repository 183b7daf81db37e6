"""Making, listing and removing instances."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from tests.local_cloud.engines import Engine, join_cluster
from tests.local_cloud.tencentdb.records import Instance, describe_instance
from tests.local_cloud.tencentdb.state import State, stop_servers
from tests.local_cloud.tencentdb.wire import page


def start_engines(cluster_shards: int | None) -> tuple[Engine, ...]:
    """Start one server, or as many as a cluster has shards."""
    with ExitStack() as undo:
        engines = [Engine(cluster_mode=cluster_shards is not None) for _ in range(cluster_shards or 1)]
        for engine in engines:
            undo.callback(engine.stop)
            engine.start()
        if cluster_shards is not None:
            join_cluster(engines)
        undo.pop_all()
    return tuple(engines)


class InstanceOperations:
    """The operations on instances."""

    def __init__(self, state: State) -> None:
        self._state = state

    def create(
        self, name: str, *, region: str, cluster_shards: int | None, replicas: int, shard_size_mb: int, engine: str
    ) -> str:
        """Start an instance's servers and return its id; see TencentDB.create_instance."""
        if cluster_shards is not None and cluster_shards < 1:
            raise ValueError("a cluster has one shard or more")
        number = self._state.next_number()
        instance = Instance(
            instance_id=f"crs-{hashlib.sha256(f'{number} {name}'.encode()).hexdigest()[:8]}",
            name=name,
            region=region,
            cluster=cluster_shards is not None,
            engine=engine,
            replicas=replicas,
            shard_size_mb=shard_size_mb,
            engines=start_engines(cluster_shards),
            created_at=self._state.now(),
        )
        with self._state.lock:
            self._state.instances[instance.instance_id] = instance
        return instance.instance_id

    def remove(self, instance_id: str) -> None:
        """Stop an instance's servers and forget it and its backups."""
        with self._state.lock:
            instance = self._state.instances.pop(instance_id)
            for backup in list(self._state.backups.values()):
                if backup.instance.instance_id == instance_id:
                    del self._state.backups[backup.backup_id]
        stop_servers(instance)

    def set_status(self, instance_id: str, status: int) -> None:
        """Set an instance's status; its servers and its backups stay as they are."""
        with self._state.lock:
            instance = self._state.get_instance(instance_id)
            self._state.instances[instance_id] = replace(instance, status=status)

    def describe(self, region: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """List the region's instances, in the order they were made; an unknown InstanceId lists none."""
        with self._state.lock:
            found = [each for each in self._state.instances.values() if each.region == region]
        if "InstanceId" in parameters:
            found = [each for each in found if each.instance_id == parameters["InstanceId"]]
        if "InstanceIds" in parameters:
            found = [each for each in found if each.instance_id in parameters["InstanceIds"]]
        if "SearchKey" in parameters:
            found = [each for each in found if parameters["SearchKey"] in (each.instance_id, each.name)]
        if "Status" in parameters:
            found = [each for each in found if each.status in parameters["Status"]]
        if "Type" in parameters:
            found = [each for each in found if each.type == parameters["Type"]]
        listed = found[page(parameters, largest=1000)]
        return {"TotalCount": len(found), "InstanceSet": [describe_instance(each) for each in listed]}
