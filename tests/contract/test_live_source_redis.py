"""What is read directly from real servers is what they hold: every type, all databases, expiries, functions, streams.

Each server program of this machine is read both ways and loads its own files.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from redis.crc import key_slot

from rdbkeeper.domain.errors import KeyUndumpable, ServerLost, ServerTooLarge, SourceRefused, SourceUnavailable
from rdbkeeper.domain.live import LiveFile, LiveFindings
from rdbkeeper.domain.source import Way
from rdbkeeper.sources.redis import keys, logical, measuring, patience, wire
from rdbkeeper.sources.redis.connection import Server
from rdbkeeper.sources.redis.keys import KeyReader
from rdbkeeper.sources.redis.source import RedisSource
from tests.contract.elasticache_place import wait_for
from tests.contract.live_lab import (
    MORE_THAN_SOCKETS_HOLD,
    loaded,
    read_file,
    read_whole,
    real_source,
    running,
)
from tests.fakes.clock import FakeClock
from tests.local_cloud.dataset import digest
from tests.local_cloud.engines import Engine
from tests.local_cloud.more_servers import find_servers
from tests.local_cloud.redis_server import ServerBinary

WAYS = (Way.FULL_SYNC, Way.LOGICAL)
SERVERS = find_servers()


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: f"{server.product}-{server.version_text}")
def filled(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with running(request.param, ballast_bytes=500_000) as (engine,):
        yield engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An empty server of the usual program."""
    with running(filled=False) as (found,):
        yield found


def only_file(source: RedisSource) -> LiveFile:
    (file,) = source.measure().files
    return file


class MeddlingClock(FakeClock):
    """Does something to the server while its reader waits, `times` times."""

    def __init__(self, meddle: Callable[[], object], times: int = 1) -> None:
        super().__init__()
        self._meddle = meddle
        self._times = times

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self._times:
            self._times -= 1
            self._meddle()


def read_slowly(engine: Engine, meddle: Callable[[], object], times: int = 1) -> tuple[bytes, LiveFindings]:
    """The file of a server that is read ten keys at a time, with something happening in between, and its findings."""
    source = real_source(engine.port, Way.LOGICAL, clock=MeddlingClock(meddle, times), keys_per_second=100)
    stream = source.open_stream(only_file(source))
    data = read_whole(stream)
    return data, stream.findings


# ------------------------------------------------------------- whole and right


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_what_was_read_is_what_the_server_holds(filled: Engine, way: Way, diskless: str, tmp_path: Path) -> None:
    filled.command("CONFIG", "SET", "repl-diskless-sync", diskless)
    source = real_source(filled.port, way)
    data = read_file(source, only_file(source))
    with loaded(data, tmp_path, filled.server) as other:
        assert digest(other.port) == digest(filled.port)


@pytest.mark.parametrize("way", WAYS)
def test_a_hashs_fields_expire_when_they_did(filled: Engine, way: Way, tmp_path: Path) -> None:
    if filled.server.version < ((9, 0, 0) if filled.server.product == "valkey" else (7, 4, 0)):
        pytest.skip("this server's hash fields do not expire")
    source = real_source(filled.port, way)
    fields = {"hash:small-expiring": ["a", "b", "c"], "hash:large-expiring": [f"field {n}" for n in range(20)]}
    with loaded(read_file(source, only_file(source)), tmp_path, filled.server) as other:
        for name, of_one in fields.items():
            asked = ("HPEXPIRETIME", name, "FIELDS", len(of_one), *of_one)
            expiries = filled.command(*asked)
            assert other.command(*asked) == expiries
            assert {expiry > 0 for expiry in expiries} == {True, False}


@pytest.mark.parametrize("way", WAYS)
def test_the_file_says_the_servers_own_format(filled: Engine, way: Way) -> None:
    wait_for(lambda: not filled.command("INFO", "persistence")["rdb_bgsave_in_progress"])  # a replica's, from before
    own = filled.bgsave().read_bytes()
    source = real_source(filled.port, way)
    assert read_file(source, only_file(source))[:9] == own[:9]


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: f"{server.product}-{server.version_text}")
@pytest.mark.parametrize("way", WAYS)
def test_an_empty_server_gives_a_whole_empty_file(server: ServerBinary, way: Way, tmp_path: Path) -> None:
    with running(server, filled=False) as (empty,):
        own = empty.bgsave().read_bytes()
        source = real_source(empty.port, way)
        data = read_file(source, only_file(source))
        assert data[:9] == own[:9]
    with loaded(data, tmp_path, server) as other:
        assert other.command("DBSIZE") == 0


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: f"{server.product}-{server.version_text}")
@pytest.mark.parametrize("way", WAYS)
def test_every_shard_of_a_cluster_is_read(server: ServerBinary, way: Way, tmp_path: Path) -> None:
    with running(server, shards=3) as engines:
        source = real_source(engines[1].port, way)
        plan = source.measure()
        assert [file.shard.slots for file in plan.files] == ["0-5460", "5461-10921", "10922-16383"]
        assert plan.engine.cluster_mode
        for shard, file in zip(engines, plan.files, strict=True):
            with loaded(read_file(source, file), tmp_path, server) as other:
                assert digest(other.port) == digest(shard.port)


@pytest.mark.parametrize("way", WAYS)
def test_a_replica_is_read_as_itself(engine: Engine, way: Way, tmp_path: Path) -> None:
    with running() as (primary,):
        engine.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_for(lambda: engine.command("INFO", "replication")["master_link_status"] == "up")
        source = real_source(engine.port, way)
        stream = source.open_stream(only_file(source))
        data = read_whole(stream)
        assert "replica" in stream.findings.reason
        with loaded(data, tmp_path) as other:
            assert digest(other.port) == digest(primary.port)


@pytest.mark.parametrize("way", [Way.AUTO, *WAYS])
def test_a_replica_that_has_lost_its_primary_is_not_read(engine: Engine, way: Way) -> None:
    source = real_source(engine.port, way)
    file = only_file(source)
    engine.command("REPLICAOF", "127.0.0.1", 1)
    for ask in (source.measure, lambda: source.open_stream(file)):
        with pytest.raises(SourceUnavailable, match="lost its primary"):
            ask()


@pytest.mark.parametrize("room", [1, 40, 5_000])
def test_a_stream_fills_whatever_room_it_is_given(engine: Engine, room: int) -> None:
    engine.command("SET", "key", b"v" * 20_000 if room > 1 else b"v" * 100)
    for way in WAYS:
        source = real_source(engine.port, way)
        data = read_whole(source.open_stream(only_file(source)), room)
        assert data.startswith(b"REDIS") and data[-9] == 0xFF


def test_values_that_are_handed_on_as_they_come_are_in_their_place(engine: Engine, tmp_path: Path) -> None:
    for number in range(12):
        engine.command("SET", f"large:{number}", os.urandom(700_000))
        engine.command("SET", f"small:{number}", number)
    source = real_source(engine.port, Way.LOGICAL)
    with loaded(read_file(source, only_file(source)), tmp_path) as other:
        assert digest(other.port) == digest(engine.port)


# --------------------------------------------------- what happens meanwhile


def test_a_key_that_changes_its_type_while_it_is_read_is_right_by_itself(engine: Engine, tmp_path: Path) -> None:
    names = [f"key:{number}" for number in range(100)]
    for name in names:
        engine.command("SET", name, "text", "PX", 100_000_000)

    def change() -> None:
        for name in names:
            engine.command("DEL", name)
            engine.command("RPUSH", name, "a", "list")

    data, _ = read_slowly(engine, change)
    with loaded(data, tmp_path) as other:
        kinds = {name: other.command("TYPE", name) for name in names}
        assert set(kinds.values()) == {b"string", b"list"}
        for name, kind in kinds.items():
            assert (other.command("PTTL", name) > 0) == (kind == b"string"), "a value and its expiry belong together"


def test_keys_that_vanish_are_counted_and_leave_the_others(engine: Engine, tmp_path: Path) -> None:
    for number in range(60):
        engine.command("SET", f"key:{number}", number)
    data, findings = read_slowly(engine, lambda: engine.command("FLUSHALL"))
    with loaded(data, tmp_path) as other:
        kept = other.command("DBSIZE")
    assert 0 < kept < 60
    # Of those that were named before they went; the rest was never seen.
    assert findings.keys == kept and findings.vanished > 0
    assert f"{findings.vanished} keys vanished meanwhile" in findings.reason
    assert findings.seconds == pytest.approx(kept / 100, abs=0.2)


def test_a_key_that_is_named_twice_is_in_the_file_once(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2_000):
        engine.command("SET", f"key:{number}", number)
    scan = KeyReader._scan

    def scan_twice(reader: KeyReader) -> Iterator[Sequence[bytes]]:
        for names in scan(reader):
            yield names
            yield names

    monkeypatch.setattr(KeyReader, "_scan", scan_twice)
    source = real_source(engine.port, Way.LOGICAL)
    stream = source.open_stream(only_file(source))
    data = read_whole(stream)
    assert stream.findings.keys == 2_000
    with loaded(data, tmp_path) as other:  # a server refuses a file that holds a key twice
        assert other.command("DBSIZE") == 2_000


def test_a_server_that_does_not_say_which_databases_it_has_is_not_taken_for_an_empty_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(60):
        engine.command("SET", f"key:{number}", number)
    info = Server.info

    def leave_out(what: str) -> None:
        monkeypatch.setattr(
            Server,
            "info",
            lambda server, *section: {
                name: value for name, value in info(server, *section).items() if not name.startswith(what)
            },
        )

    leave_out("db")
    source = real_source(engine.port, Way.LOGICAL)
    file = only_file(source)
    with loaded(read_file(source, file), tmp_path) as other:
        assert digest(other.port) == digest(engine.port)
    leave_out("# Keyspace")
    for ask in (source.measure, lambda: source.open_stream(file)):
        with pytest.raises(SourceRefused, match="which databases"):
            ask()
    assert real_source(engine.port, Way.FULL_SYNC).measure().files


def test_databases_that_change_places_while_they_are_read_are_a_loss(engine: Engine) -> None:
    for number in range(60):
        engine.command("SET", f"key:{number}", number)
    with pytest.raises(ServerLost, match="SWAPDB"):
        read_slowly(engine, lambda: engine.command("SWAPDB", 0, 5))


def test_a_server_that_does_not_count_its_commands_leaves_it_open(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.command("SET", "key", "value")
    reason = read_slowly(engine, lambda: None)[1].reason
    assert "SWAPDB" not in reason
    monkeypatch.setattr(logical, "ask_swaps", lambda _: None)
    reason = read_slowly(engine, lambda: None)[1].reason
    assert "SWAPDB" in reason and "does not say" in reason


def test_a_proxy_that_names_the_keys_of_one_shard_alone_gives_no_whole_file(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        engine.command("SET", f"key:{number}", number)
    scan = KeyReader._scan
    monkeypatch.setattr(
        KeyReader, "_scan", lambda reader: ([name for name in names if name[-1] % 2] for names in scan(reader))
    )
    source = real_source(engine.port, Way.LOGICAL)
    stream = source.open_stream(only_file(source))
    for _ in range(2):
        with pytest.raises(ServerLost, match="held 200 before and 200 after"):
            read_whole(stream)


def test_keys_that_have_expired_and_are_still_counted_are_no_loss(engine: Engine) -> None:
    engine.command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    for number in range(300):
        engine.command("SET", f"gone:{number}", number, "PX", 1)
        engine.command("SET", f"key:{number}", number)
    time.sleep(0.01)
    assert engine.command("DBSIZE") == 600
    source = real_source(engine.port, Way.LOGICAL)
    stream = source.open_stream(only_file(source))
    read_whole(stream)
    assert stream.findings.keys == 300
    assert "300 keys were read, and the server counted 600 before and 300 after" in stream.findings.reason


def test_a_server_that_sends_drops_is_left_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIND_TIMEOUT_S", "MEASURE_TIMEOUT_S"):
        monkeypatch.setattr(f"rdbkeeper.sources.redis.source.{name}", 0.5)
    with dripping() as port:
        source = real_source(port)
        for ask in (lambda: source.find_instance("orders"), source.measure):
            began = time.monotonic()
            with pytest.raises(SourceUnavailable, match="in time"):
                ask()
            assert time.monotonic() - began < 30


@contextmanager
def dripping() -> Iterator[int]:
    """Something that answers PING, and INFO with a byte now and then; its port."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client, suppress(OSError):
                    if b"PING" in client.recv(4096):
                        client.sendall(b"+PONG\r\n")
                    client.sendall(b"$100000\r\n")
                    while True:
                        client.sendall(b"x")
                        time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_server_is_read_no_faster_than_its_rule_says(engine: Engine) -> None:
    engine.command("DEBUG", "POPULATE", 1_000)
    clock = FakeClock()
    source = real_source(engine.port, Way.LOGICAL, clock=clock, keys_per_second=200)
    stream = source.open_stream(only_file(source))
    read_whole(stream)
    assert clock.monotonic() == pytest.approx(5.0, abs=0.2)
    assert stream.findings.reason.startswith("read key by key over 5 s")


def test_a_restart_meanwhile_is_a_loss(engine: Engine) -> None:
    for number in range(60):
        engine.command("SET", f"key:{number}", number)
    with running(filled=False) as (primary,), pytest.raises(ServerLost, match="another's replica"):
        read_slowly(engine, lambda: engine.command("REPLICAOF", "127.0.0.1", primary.port))


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_falls_silent_is_lost(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SILENT_TIMEOUT_S", 2.0)
    with running(ballast_bytes=MORE_THAN_SOCKETS_HOLD, filled=True) as (engine,):
        source = real_source(engine.port, way)
        stream = source.open_stream(only_file(source))
        assert stream.readinto(memoryview(bytearray(4096)))
        os.killpg(engine.process_id or 0, signal.SIGSTOP)
        try:
            with pytest.raises(ServerLost):
                read_whole(stream)
        finally:
            os.killpg(engine.process_id or 0, signal.SIGCONT)


def test_newlines_while_the_server_writes_its_file_count_as_life(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENT_TIMEOUT_S", 3.5)
    engine.command("CONFIG", "SET", "repl-diskless-sync-delay", "5")
    began = time.monotonic()
    source = real_source(engine.port, Way.FULL_SYNC)
    read_file(source, only_file(source))
    assert time.monotonic() - began > 3.5


# ------------------------------------------------------------------ clusters


@pytest.fixture
def cluster() -> Iterator[list[Engine]]:
    with running(shards=3) as engines:
        yield engines


def give_away(engines: list[Engine], slot: int) -> None:
    """Move an empty slot from the first node to the second."""
    new = engines[1].command("CLUSTER", "MYID").decode()
    for engine in engines[:2]:
        engine.command("CLUSTER", "SETSLOT", slot, "NODE", new)


def free_slot(engine: Engine) -> int:
    return next(slot for slot in range(5_460) if engine.command("CLUSTER", "COUNTKEYSINSLOT", slot) == 0)


@pytest.mark.parametrize("way", WAYS)
def test_slots_that_moved_since_the_plan_are_noticed(cluster: list[Engine], way: Way) -> None:
    source = real_source(cluster[0].port, way)
    first, second, _ = source.measure().files
    give_away(cluster, free_slot(cluster[0]))
    for file in (first, second):
        with pytest.raises(ServerLost, match="resharded"):
            source.open_stream(file)


@pytest.mark.parametrize("way", WAYS)
def test_slots_that_move_while_they_are_read_are_noticed(cluster: list[Engine], way: Way) -> None:
    source = real_source(cluster[0].port, way)
    stream = source.open_stream(source.measure().files[0])
    assert stream.readinto(memoryview(bytearray(9)))
    give_away(cluster, free_slot(cluster[0]))
    for _ in range(2):
        with pytest.raises(ServerLost, match="resharded"):
            read_whole(stream)


@pytest.mark.parametrize("way", WAYS)
def test_a_cluster_that_is_being_resharded_is_not_begun(cluster: list[Engine], way: Way) -> None:
    source = real_source(cluster[0].port, way)
    file = source.measure().files[0]
    target = cluster[1].command("CLUSTER", "MYID").decode()
    cluster[0].command("CLUSTER", "SETSLOT", free_slot(cluster[0]), "MIGRATING", target)
    with pytest.raises(ServerLost, match="resharded"):
        source.open_stream(file)


@pytest.fixture
def valkeys() -> Iterator[list[Engine]]:
    """A cluster whose slots can be moved as a whole, as long as it takes."""
    found = [server for server in SERVERS if server.product == "valkey" and server.version >= (9, 0, 0)]
    if not found:
        pytest.skip("no Valkey 9 on this machine")
    with running(found[0], shards=3, filled=False) as engines:
        for engine in engines:
            engine.command("DEBUG", "SLOTMIGRATION", "PREVENT-PAUSE", 1)
        for number in range(300):
            tag = next(tag for tag in itertools.count(number * 1_000) if key_slot(b"%d" % tag) < 3_000)
            engines[0].command("SET", tag, "value")
        yield engines


def begin_to_move(engines: list[Engine]) -> None:
    """Move slots with keys from the first node to the second, which holds some of them by now."""
    target = engines[1].command("CLUSTER", "MYID").decode()
    engines[0].command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 3_000, "NODE", target)
    # A server reckons its memory now and then.
    for engine, end in ((engines[0], "export"), (engines[1], "import")):
        wait_for(lambda engine=engine, end=end: engine.command("INFO", "memory")[f"mem_cluster_slot_{end}"] > 0)


@pytest.mark.parametrize("way", WAYS)
def test_slots_that_are_being_moved_as_a_whole_are_noticed_at_both_ends(valkeys: list[Engine], way: Way) -> None:
    source = real_source(valkeys[0].port, way)
    files = source.measure().files
    begun = [source.open_stream(file) for file in files]
    begin_to_move(valkeys)
    assert not [line for engine in valkeys for line in engine.command("CLUSTER", "NODES") if "[" in str(line)]
    for file, stream in zip(files[:2], begun[:2], strict=True):
        with pytest.raises(ServerLost, match="resharded"):
            source.open_stream(file)
        with pytest.raises(ServerLost, match="resharded"):
            read_whole(stream)
    read_whole(begun[2])
    read_file(source, files[2])


@pytest.mark.parametrize("way", WAYS)
def test_slots_that_came_and_went_while_they_were_read_are_noticed(valkeys: list[Engine], way: Way) -> None:
    source = real_source(valkeys[0].port, way)
    file = source.measure().files[1]
    stream = source.open_stream(file)
    begin_to_move(valkeys)
    valkeys[0].command("CLUSTER", "CANCELSLOTMIGRATIONS")
    wait_for(lambda: valkeys[1].command("INFO", "memory")["mem_cluster_slot_import"] == 0)
    with pytest.raises(ServerLost, match="resharded"):
        read_whole(stream)
    read_file(source, file)


def test_a_key_that_moved_to_another_node_is_not_taken_for_one_that_vanished(cluster: list[Engine]) -> None:
    first, second = cluster[:2]
    ids = [engine.command("CLUSTER", "MYID").decode() for engine in (first, second)]

    def migrate() -> None:
        for slot in range(5_461):
            found = first.command("CLUSTER", "GETKEYSINSLOT", slot, 100)
            if found:
                second.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
                first.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
                first.command("MIGRATE", "127.0.0.1", second.port, "", 0, 5000, "KEYS", *found)

    source = real_source(first.port, Way.LOGICAL, clock=MeddlingClock(migrate), keys_per_second=100)
    stream = source.open_stream(source.measure().files[0])
    with pytest.raises(ServerLost, match="resharded"):
        read_whole(stream)


def test_a_cluster_that_lacks_slots_is_not_planned(cluster: list[Engine]) -> None:
    cluster[0].command("CLUSTER", "DELSLOTS", 0)
    with pytest.raises(SourceUnavailable, match="16,383 of 16,384"):
        real_source(cluster[0].port).measure()


# ------------------------------------------------------- what cannot be read


def test_a_value_that_is_too_large_is_named_before_it_is_read(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST_VALUE_BYTES", 10_000)
    engine.command("SET", "small", "value")
    engine.command("RPUSH", "large:list", *["x" * 10_000] * 30)
    source = real_source(engine.port, Way.LOGICAL)
    with pytest.raises(
        KeyUndumpable, match=r"`large\.\.\.` \(10 bytes, SHA-256 \w{8}\.\.\.\) of list in database 0"
    ) as raised:
        read_whole(source.open_stream(only_file(source)))
    assert "full-sync" in raised.value.hint


def test_a_value_that_nobody_may_weigh_is_not_read_when_it_is_too_large(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_VALUE_BYTES", 100_000)
    engine.command("SET", "large", b"x" * 50_000 + os.urandom(100_000))
    engine.command("ACL", "SETUSER", "default", "-memory|usage")
    source = real_source(engine.port, Way.LOGICAL)
    with pytest.raises(KeyUndumpable, match=r"\(5 bytes, SHA-256 \w{8}\.\.\.\) of string"):
        read_whole(source.open_stream(only_file(source)))


def test_more_keys_than_can_be_remembered_are_refused_beforehand(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MOST_KEYS", 99)
    engine.command("DEBUG", "POPULATE", 100)
    with pytest.raises(ServerTooLarge, match="holds more than"):
        real_source(engine.port, Way.LOGICAL).measure()
    assert real_source(engine.port, Way.FULL_SYNC).measure().files[0].keys == 100


@pytest.mark.parametrize("why", ["slow", "many"])
def test_what_is_too_much_to_be_read_by_keys_is_refused_before_sync_is_given_up_for_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    engine.command("DEBUG", "POPULATE", 1_000)
    source = real_source(engine.port, keys_per_second=100, longest_s=9 if why == "slow" else 11)
    file = only_file(source)
    engine.command("ACL", "SETUSER", "default", "-sync", "-psync")
    if why == "many":
        source.open_stream(file).close()
        monkeypatch.setattr(measuring, "MOST_KEYS", 999)
    with pytest.raises(ServerTooLarge, match="would take" if why == "slow" else "holds more than"):
        source.open_stream(file)


def test_keys_that_became_too_many_meanwhile_end_the_stream(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logical, "MOST_KEYS", 99)
    engine.command("DEBUG", "POPULATE", 100)
    source = real_source(engine.port, Way.LOGICAL)
    with pytest.raises(ServerTooLarge):
        read_whole(source.open_stream(only_file(source)))


def test_a_server_that_is_loading_is_there_and_cannot_be_read(engine: Engine) -> None:
    engine.command("DEBUG", "POPULATE", 20_000)
    source = real_source(engine.port)
    file = only_file(source)
    engine.command("CONFIG", "SET", "key-load-delay", "1000")
    engine.command("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
    other = engine.client()
    other.connection_pool.get_connection().send_command("DEBUG", "RELOAD")
    wait_for(lambda: engine.client().execute_command("INFO", "persistence")["loading"] == 1)
    found = source.find_instance("orders")
    assert found is not None and (found.status, found.available) == ("loading", False)
    for ask in (source.measure, lambda: source.open_stream(file)):
        with pytest.raises(SourceUnavailable, match="loading"):
            ask()
