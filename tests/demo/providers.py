"""An instance at every provider, filled with real data, and the rule that protects it; servers' logins as well."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.demo.world import World
from tests.local_cloud.dataset import LARGE_BALLAST_BYTES, fill
from tests.local_cloud.engines import Engine
from tests.local_cloud.managed.instances import make_memorydb_cluster, make_serverless_cache
from tests.local_cloud.managed.servers import start_engines, stop_engines

REGION = "ap-guangzhou"
API_KEY, SERVER_LOGIN = "rdbkeeper/tencent", "rdbkeeper/sessions-reader"
SERVER_USER, SERVER_PASSWORD = "rdbkeeper", "only-the-secret-knows-this"
_REGISTERED_AT_ONCE = 4
# What a server's owner allows who reads it key by key: no replication, and nothing that changes anything.
WHAT_A_READER_MAY = ("~*", "-@all", "+ping", "+info", "+select", "+scan", "+multi", "+exec", "+dump")
AND_SINCE_VERSION_7 = ("+pexpiretime", "+function|dump")
AND_BEFORE_IT = ("+pttl", "+time")


@dataclass(frozen=True)
class Protected:
    """An instance, the name of the rule that protects it, what the rule says of its source, and what it looks like."""

    rule: str
    source: Mapping[str, Any]
    shape: str
    backup_id: str = ""  # "" where the run takes the backup itself

    @property
    def instance(self) -> str:
        return str(self.source["instance"])

    @property
    def place(self) -> str:
        return f"{self.instance}/"


@dataclass
class Providers:
    """Makes instances in a world. Servers that nobody manages end with `close`."""

    world: World
    closing: ExitStack = field(default_factory=ExitStack)
    servers: dict[str, list[Engine]] = field(default_factory=dict)

    def close(self) -> None:
        """Stop the servers that nobody manages."""
        self.closing.close()

    def make_all(self) -> list[Protected]:
        """Make an instance of every kind but `elasticache`; they start side by side."""
        self.keep_secrets()
        makers: tuple[Callable[[], Protected], ...] = (
            self.make_serverless,
            self.make_memorydb,
            self.make_tencent,
            self.make_tencent_cluster,
            self.make_server,
            self.make_server_without_sync,
            self.make_server_cluster,
        )
        with ThreadPoolExecutor(len(makers)) as pool:
            return list(pool.map(lambda make: make(), makers))

    def keep_secrets(self) -> None:
        """Put into Secrets Manager what rules name there."""
        client, tencentdb = self.world.cloud.client("secretsmanager"), self.world.cloud.tencentdb
        key = {"secret_id": tencentdb.secret_id, "secret_key": tencentdb.secret_key}
        client.create_secret(Name=API_KEY, SecretString=json.dumps(key))
        login = {"username": SERVER_USER, "password": SERVER_PASSWORD}
        client.create_secret(Name=SERVER_LOGIN, SecretString=json.dumps(login))

    def make_serverless(self) -> Protected:
        """A cache of which nobody sees how many servers it has."""
        ports = make_serverless_cache(self.world.cloud, "catalogue", seed=11)
        backup_id = self.world.cloud.elasticache.serverless.take_automatic_backup("catalogue")
        self.world.note_digests(backup_id, ports)
        source = {"provider": "elasticache-serverless", "instance": "catalogue"}
        return Protected("catalogue-nightly", source, "serverless", backup_id)

    def make_memorydb(self) -> Protected:
        """A cluster of two shards."""
        ports = make_memorydb_cluster(self.world.cloud, "ledger", seed=12)
        backup_id = self.world.cloud.memorydb.take_automatic_backup("ledger")
        self.world.note_digests(backup_id, ports)
        return Protected("ledger-nightly", {"provider": "memorydb", "instance": "ledger"}, "2 shards", backup_id)

    def make_tencent(self) -> Protected:
        """A standard instance; the link to its backup is over once its file has been read from the beginning."""
        protected = self._make_tencent("carts", shards=None, shape="standard", ballast_bytes=LARGE_BALLAST_BYTES)
        self.world.cloud.tencentdb.fault(protected.backup_id, "expire", at=1)
        return protected

    def make_tencent_cluster(self) -> Protected:
        """A cluster of two shards."""
        return self._make_tencent("baskets", shards=2, shape="2 shards")

    def _make_tencent(self, name: str, *, shards: int | None, shape: str, ballast_bytes: int = 0) -> Protected:
        tencentdb = self.world.cloud.tencentdb
        instance = tencentdb.create_instance(name, region=REGION, cluster_shards=shards)
        ports = [engine.port for engine in tencentdb.engines(instance)]
        fill(ports, seed=len(name), ballast_bytes=ballast_bytes)
        backup_id = tencentdb.take_backup(instance)
        self.world.note_digests(backup_id, ports)
        source = {"provider": "tencentdb", "instance": instance, "region": REGION, "secret": API_KEY}
        return Protected(f"{name}-nightly", source, shape, backup_id)

    def make_server(self) -> Protected:
        """A server that gives its data to whoever asks as a replica would."""
        return self.make_live("queue", "single")

    def make_server_without_sync(self) -> Protected:
        """A server whose user may not replicate, so that it is read key by key."""
        protected = self.make_live("visits", "single, no SYNC", secret=SERVER_LOGIN)
        (engine,) = self.servers["visits"]
        rest = AND_SINCE_VERSION_7 if engine.server.version >= (7, 0, 0) else AND_BEFORE_IT
        engine.command("ACL", "SETUSER", SERVER_USER, "on", f">{SERVER_PASSWORD}", *WHAT_A_READER_MAY, *rest)
        return protected

    def make_server_cluster(self) -> Protected:
        """A cluster of three servers, read key by key as its rule says."""
        return self.make_live("timeline", "3 shards", servers=3, way="logical", keys_per_second=100_000)

    def make_live(self, instance: str, shape: str, *, servers: int = 1, **access: Any) -> Protected:
        """Servers that nobody manages, without TLS unless `access` says so."""
        engines = start_engines(servers, cluster_mode=servers > 1)
        self.closing.callback(stop_engines, engines)
        self.servers[instance] = engines
        ports = [engine.port for engine in engines]
        fill(ports, seed=len(instance))
        self.world.note_digests(instance, ports)
        address = f"127.0.0.1:{ports[0]}"
        source = {"provider": "redis", "instance": instance, "address": address, "tls": False, **access}
        return Protected(f"{instance}-nightly", source, shape)


def register(world: World, protected: Protected, **fields: Any) -> Mapping[str, Any]:
    """Register the rule that protects an instance; it is run by hand or by firing its timer."""
    rule = {
        "name": protected.rule,
        "source": protected.source,
        "cycle": {"kind": "daily", "at": "02:30", "time_zone": "Asia/Shanghai"},
        **fields,
    }
    answer = world.invoke("manage-rules", {"action": "create", "rule": rule})
    if "error" in answer:
        raise RuntimeError(f"The rule {protected.rule} was answered with {json.dumps(answer)}")
    return answer


def register_all(
    world: World, protected: Sequence[Protected], more: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Mapping[str, Any]]:
    """Register the rules of several instances, a few at once, and return the answers; `more` is of rules by name."""
    with ThreadPoolExecutor(_REGISTERED_AT_ONCE) as pool:
        return list(pool.map(lambda one: register(world, one, **(more or {}).get(one.rule, {})), protected))
