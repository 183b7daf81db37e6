"""Real Redis or Valkey servers on this machine, one process a shard.

Nothing is left behind: a stopped engine's process is reaped and its directory removed, and when this Python
process dies in any way, the keeper (`engine_keeper.py`) does the same for whatever was still running.
"""

from __future__ import annotations

import itertools
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.local_cloud.engine_keeper import end_process_group
from tests.local_cloud.leftovers import forget_process, keep_process, make_directory, remove_directory
from tests.local_cloud.redis_server import EngineError, ServerBinary, find_server

__all__ = ["Engine", "EngineError", "ServerBinary", "find_server", "join_cluster", "load", "slot_ranges"]

SLOT_COUNT = 16384
START_TIMEOUT_S = 60.0
SAVE_TIMEOUT_S = 120.0
CLUSTER_TIMEOUT_S = 30.0
_BUS_PORT_OFFSET = 10_000


class Engine:
    """One Redis server process on 127.0.0.1 that persists nothing by itself and dies with this process."""

    def __init__(
        self, *, cluster_mode: bool = False, rdb: Path | None = None, server: ServerBinary | None = None
    ) -> None:
        self.cluster_mode = cluster_mode
        self.server = server or find_server()
        self._rdb = rdb
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        self._admin: redis.Redis | None = None
        self._saving = threading.Lock()
        self._saves = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Return the port it listens on; 0 before start."""
        return self._port

    @property
    def process_id(self) -> int | None:
        """Return the server's process id, or None when it is not running."""
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start the server and return it once it answers (and has loaded its RDB file, if it was given one).

        An engine that runs already is returned as it is. Raises EngineError with the end of the server's log
        when it does not come up.
        """
        if self._process is not None:
            return self
        for attempt in range(5):
            try:
                return self._start_once()
            except EngineError as error:
                self.stop()
                # Another program may take the port between the look and the start.
                if "already in use" not in str(error) or attempt == 4:
                    raise
            except BaseException:
                self.stop()
                raise
        raise EngineError("unreachable: the last attempt raises")

    def _start_once(self) -> Self:
        self._directory = make_directory("engine")
        if self._rdb is not None:
            shutil.copyfile(self._rdb, self._directory / "dump.rdb")
        self._port = _free_port(with_bus=self.cluster_mode)
        self._process = subprocess.Popen(
            [str(self.server.path), *self._arguments(self._directory)],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        keep_process(self._process.pid)
        self._admin = self.client()
        self._wait_until_ready(self._admin)
        return self

    def _arguments(self, directory: Path) -> list[str]:
        options = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "dir": str(directory),
            "dbfilename": "dump.rdb",
            "logfile": str(directory / "server.log"),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            # The end of a background save is noticed on the server's own tick: every 10 ms, not 100.
            "hz": "100",
        }
        if self.server.version >= (7, 0, 0):
            options["enable-debug-command"] = "local"
        if self.cluster_mode:
            options |= {"cluster-enabled": "yes", "cluster-config-file": "nodes.conf"}
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _wait_until_ready(self, client: redis.Redis) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self._check_identity(client)
                # Unlike INFO, PING is refused while the RDB file is still being loaded.
                client.ping()
            except (redis.ConnectionError, redis.BusyLoadingError) as error:
                if self._process is None or self._process.poll() is not None:
                    raise EngineError(f"Starting {self.server.path} failed:\n{self._log_end()}") from error
                if time.monotonic() > deadline:
                    raise EngineError(
                        f"{self.server.path} did not answer within {START_TIMEOUT_S:.0f} s:\n{self._log_end()}"
                    ) from error
                time.sleep(0.01)
            else:
                return

    def _check_identity(self, client: redis.Redis) -> None:
        # A stranger that holds the port would answer too.
        answering = client.execute_command("INFO", "server")["process_id"]
        if self._process is None or int(answering) != self._process.pid:
            raise EngineError(f"Port {self._port} is already in use by the Redis of process {answering}")

    def _log_end(self) -> str:
        log = self._directory / "server.log" if self._directory else None
        if log is None or not log.exists():
            return "(it wrote no log)"
        return "\n".join(log.read_text(errors="replace").splitlines()[-15:])

    def client(self, database: int = 0) -> redis.Redis:
        """Return a new client of one database; answers are bytes."""
        # Without redis-py's retries, which would wait seconds for a server that refuses to start.
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(host="127.0.0.1", port=self._port, db=database, protocol=2, retry=retry)

    def command(self, *words: Any) -> Any:
        """Run one command on database 0 and return its answer."""
        if self._admin is None:
            raise EngineError(f"{words[0]} cannot run: this engine is not started")
        return self._admin.execute_command(*words)

    def used_memory_bytes(self) -> int:
        """Return how much memory the data set takes, as the server counts it."""
        return int(self.command("INFO", "memory")["used_memory"])

    def bgsave(self, into: Path | None = None) -> Path:
        """Save the data set in the background, wait for it, and return a file that no later save changes.

        The file is `into`, or one in the engine's own directory, which goes when the engine stops.
        """
        with self._saving:
            if self._directory is None:
                raise EngineError("BGSAVE cannot run: this engine is not started")
            self._saves += 1
            self.command("BGSAVE")
            deadline = time.monotonic() + SAVE_TIMEOUT_S
            while (state := self.command("INFO", "persistence"))["rdb_bgsave_in_progress"]:
                if time.monotonic() > deadline:
                    raise EngineError(f"BGSAVE on port {self._port} took over {SAVE_TIMEOUT_S:.0f} s")
                time.sleep(0.005)
            if state["rdb_last_bgsave_status"] != "ok":
                raise EngineError(f"BGSAVE on port {self._port} failed:\n{self._log_end()}")
            target = into or self._directory / f"backup-{self._saves:04d}.rdb"
            shutil.move(self._directory / "dump.rdb", target)
            return target

    def stop(self) -> None:
        """Kill and reap the server and remove its directory; repeating it is harmless."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._process is not None:
            # Nothing has to be saved, so there is nothing to wait for; the group holds a save's child too.
            end_process_group(self._process.pid)
            self._process.wait()
            forget_process(self._process.pid)
            self._process = None
        if self._directory is not None:
            remove_directory(self._directory)
            self._directory = None


def load(rdb: Path) -> Engine:
    """Start a second server, not in cluster mode, that holds what an RDB file holds.

    Raises EngineError with the server's own words when it refuses the file. The caller stops the engine.
    """
    return Engine(rdb=rdb).start()


def slot_ranges(shard_count: int) -> list[tuple[int, int]]:
    """Cut the 16,384 slots into even ranges, both ends included."""
    bounds = [shard * SLOT_COUNT // shard_count for shard in range(shard_count + 1)]
    return [(first, following - 1) for first, following in itertools.pairwise(bounds)]


def join_cluster(engines: Sequence[Engine]) -> None:
    """Give each started cluster-mode engine its slots, introduce them, and wait until all say `ok`."""
    for number, (engine, (first, last)) in enumerate(zip(engines, slot_ranges(len(engines)), strict=True), start=1):
        engine.command("CLUSTER", "ADDSLOTS", *range(first, last + 1))
        # Equal epochs would be settled by a vote among the nodes; distinct ones from the start need none.
        engine.command("CLUSTER", "SET-CONFIG-EPOCH", number)
        if number > 1:
            engine.command("CLUSTER", "MEET", "127.0.0.1", engines[0].port)
    deadline = time.monotonic() + CLUSTER_TIMEOUT_S
    while not all(_sees_whole_cluster(engine, len(engines)) for engine in engines):
        if time.monotonic() > deadline:
            states = [engine.command("CLUSTER INFO")["cluster_state"] for engine in engines]
            raise EngineError(f"{len(engines)} nodes did not form a cluster; their states: {states}")
        time.sleep(0.02)


def _sees_whole_cluster(engine: Engine, shard_count: int) -> bool:
    state = engine.command("CLUSTER INFO")
    return state["cluster_state"] == "ok" and int(state["cluster_size"]) == shard_count


def _free_port(*, with_bus: bool) -> int:
    # Below the range that the kernel gives to outgoing connections.
    for port in random.sample(range(12_000, 22_000), 200):
        if _is_free(port) and (not with_bus or _is_free(port + _BUS_PORT_OFFSET)):
            return port
    raise EngineError("No free port between 12000 and 22000 on 127.0.0.1 for a Redis server; free some.")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
