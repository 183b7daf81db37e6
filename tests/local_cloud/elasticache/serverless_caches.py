"""Creating, listing and deleting serverless caches."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.local_cloud.elasticache.serverless_records import ServerlessCache, describe_cache
from tests.local_cloud.elasticache.state import State, check_identifier
from tests.local_cloud.engines import find_server
from tests.local_cloud.managed.errors import ServiceError
from tests.local_cloud.managed.servers import start_engines, stop_engines
from tests.local_cloud.paging import BadTokenError, Page, cut_page

ENGINES = ("redis", "valkey", "memcached")
MOST_RESULTS = 50
Parameters = Mapping[str, Any]


class ServerlessCacheOperations:
    """The operations on serverless caches. servers: how many the next cache gets, its hidden shards."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.servers = 1

    def create_serverless_cache(self, parameters: Parameters) -> dict[str, Any]:
        """Start a cache's servers, which form one cluster as the service's do; it is available at once."""
        state = self._state
        name = check_identifier(parameters["ServerlessCacheName"], "ServerlessCacheName", 40)
        engine = parameters["Engine"]
        if engine not in ENGINES:
            raise ServiceError("InvalidParameterValue", f"Invalid cache engine {engine}.")
        version = "1.6.22" if engine == "memcached" else find_server().version_text
        major = version.split(".", maxsplit=1)[0]
        if parameters.get("MajorEngineVersion", major) != major:
            raise ServiceError("InvalidParameterValue", f"This local ElastiCache runs {engine} {major} only.")
        with state.lock:
            if name in state.caches:
                raise ServiceError("ServerlessCacheAlreadyExistsFault", f"Serverless cache {name} already exists.")
            arn = state.arn("serverlesscache", name)
            state.tags.add(arn, parameters.get("Tags", ()))
            cache = ServerlessCache(
                name=name,
                arn=arn,
                description=parameters.get("Description", ""),
                engine=engine,
                major_version=major,
                full_version=version,
                created_at=state.clock(),
                retention_days=_retention(parameters),
                daily_snapshot_time=_daily_time(parameters),
                kms_key_id=parameters.get("KmsKeyId", ""),
                engines=() if engine == "memcached" else tuple(start_engines(self.servers, cluster_mode=True)),
            )
            state.caches[name] = cache
        state.events.note("serverless-cache", name, f"Cache {name} is created and ready to use.")
        return {"ServerlessCache": describe_cache(cache, "available")}

    def describe_serverless_caches(self, parameters: Parameters) -> dict[str, Any]:
        """List caches by name, or the one that is named."""
        state = self._state
        with state.lock:
            wanted = parameters.get("ServerlessCacheName")
            found = [self.get(wanted)] if wanted else [state.caches[name] for name in sorted(state.caches)]
            page = page_of(found, parameters)
            described = [describe_cache(cache, self.status_of(cache)) for cache in page.items]
        return {"NextToken": page.next_token, "ServerlessCaches": described}

    def delete_serverless_cache(self, parameters: Parameters) -> dict[str, Any]:
        """Stop a cache's servers; its automatic snapshots go with it, manual ones stay."""
        state = self._state
        with state.lock:
            cache = self.get_available(parameters["ServerlessCacheName"])
            del state.caches[cache.name]
            state.tags.forget(cache.arn)
            for name, snapshot in list(state.serverless_snapshots.items()):
                if snapshot.cache.arn == cache.arn and snapshot.kind == "automated":
                    del state.serverless_snapshots[name]
        stop_engines(cache.engines)
        state.events.note("serverless-cache", cache.name, f"Cache {cache.name} was deleted.")
        return {"ServerlessCache": describe_cache(cache, "deleting")}

    def get(self, name: str) -> ServerlessCache:
        """Return a cache; names are not case sensitive. Raises ServerlessCacheNotFoundFault."""
        cache = self._state.caches.get(name.lower())
        if cache is None:
            raise ServiceError("ServerlessCacheNotFoundFault", f"Serverless cache {name} not found.")
        return cache

    def get_available(self, name: str) -> ServerlessCache:
        """Return a cache on which operations are possible. Raises InvalidServerlessCacheStateFault.

        "Making manual backups": while a serverless cache is backed up, no other operation on it is.
        """
        cache = self.get(name)
        status = self.status_of(cache)
        making = [
            each.name
            for each in self._state.serverless_snapshots.values()
            if each.status == "creating" and each.cache.arn == cache.arn
        ]
        if status.lower() != "available" or making:
            doing = f"is being backed up as {making[0]}" if making else f"is {status}"
            raise ServiceError("InvalidServerlessCacheStateFault", f"Serverless cache {cache.name} {doing}.")
        return cache

    def status_of(self, cache: ServerlessCache) -> str:
        """Return what a test says, else `available`."""
        return self._state.forced_statuses.get(cache.arn, "available")


def page_of(found: Sequence[Any], parameters: Parameters) -> Page[Any]:
    """Return the page that a request is for. Raises InvalidParameterValue."""
    size = parameters.get("MaxResults", MOST_RESULTS)
    if not 1 <= size <= MOST_RESULTS:
        raise ServiceError("InvalidParameterValue", f"MaxResults must be from 1 to {MOST_RESULTS}: {size}")
    try:
        return cut_page(found, parameters.get("NextToken"), size)
    except BadTokenError as error:
        raise ServiceError("InvalidParameterValue", str(error)) from error


def _retention(parameters: Parameters) -> int:
    days = int(parameters.get("SnapshotRetentionLimit", 0))
    if not 0 <= days <= 35:
        raise ServiceError("InvalidParameterValue", f"SnapshotRetentionLimit must be 0 to 35 days: {days}")
    return days


def _daily_time(parameters: Parameters) -> str:
    time = str(parameters.get("DailySnapshotTime", ""))
    if time and not re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", time):
        raise ServiceError("InvalidParameterValue", f"DailySnapshotTime must be hh24:mi, not {time!r}.")
    return time
