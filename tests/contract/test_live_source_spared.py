"""Reading a server key by key costs it little memory, whatever its values are, and leaves its eviction alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rdbkeeper.domain.source import Way
from rdbkeeper.sources.redis import keys, wire
from rdbkeeper.sources.redis.window import Window
from tests.contract.live_lab import Login, loaded, read_whole, real_source, running
from tests.contract.test_live_source_access import BY_KEYS
from tests.local_cloud.dataset import digest
from tests.local_cloud.engines import Engine
from tests.local_cloud.more_servers import find_servers
from tests.local_cloud.redis_server import ServerBinary

MEBIBYTE = 1 << 20
SERVERS = find_servers()
READER = Login("reader", "a-password-of-nobody")


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An empty server of the usual program."""
    with running(filled=False) as (found,):
        yield found


def read(engine: Engine, login: Login | None = None) -> bytes:
    source = real_source(engine.port, Way.LOGICAL, login=login)
    stream = source.open_stream(source.measure().files[0])
    try:
        return read_whole(stream)
    finally:
        stream.close()


def allow(engine: Engine, *more: str) -> Login:
    """A user with the rights that the documents name, and these."""
    engine.command("ACL", "SETUSER", READER.username, "reset", "on", f">{READER.password}", *BY_KEYS, *more)
    return READER


def fill_with_hidden(engine: Engine, count: int, payload_bytes: int) -> None:
    """Hashes of many small fields and one large one, which five samples overlook, among many small keys."""
    engine.command("DEBUG", "POPULATE", 200, "small", 100)
    small = [word for number in range(40) for word in (f"field{number}", "x" * 30)]
    for number in range(count):
        engine.command("HSET", f"session:{number}", *small, "payload", os.urandom(payload_bytes))


def memory(engine: Engine) -> dict[str, int]:
    return dict(engine.command("INFO", "memory"))


def bound_memory(engine: Engine, spare_bytes: int) -> int:
    """Let the server evict keys when it takes so much more than now; what it takes then."""
    engine.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    most = memory(engine)["used_memory"] + spare_bytes
    engine.command("CONFIG", "SET", "maxmemory", most)
    return most


@pytest.mark.parametrize("has_grown", [False, True], ids=["at first", "after many small keys"])
def test_no_key_is_evicted_where_the_largest_value_has_room(
    engine: Engine, has_grown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_grown:
        monkeypatch.setattr(Window, "_calm_keys", property(lambda _: 1_000_000, lambda *_: None), raising=False)
    fill_with_hidden(engine, 24, MEBIBYTE)
    held = engine.command("DBSIZE")
    most = bound_memory(engine, 5 * MEBIBYTE)
    assert len(read(engine, allow(engine, "+memory|usage"))) > 24 * MEBIBYTE
    assert (engine.command("DBSIZE"), engine.command("INFO", "stats")["evicted_keys"]) == (held, 0)
    assert memory(engine)["used_memory_peak"] < most


def test_no_key_is_evicted_where_nobody_weighs_large_values_either(engine: Engine) -> None:
    for number in range(12):
        engine.command("SET", f"page:{number}", os.urandom(3 * MEBIBYTE))
    most = bound_memory(engine, 8 * MEBIBYTE)
    assert len(read(engine, allow(engine))) > 36 * MEBIBYTE
    assert (engine.command("DBSIZE"), engine.command("INFO", "stats")["evicted_keys"]) == (12, 0)
    assert memory(engine)["used_memory_peak"] < most


@pytest.mark.parametrize("rights", [["+memory|usage"], []], ids=["weighed", "unweighed"])
def test_a_server_that_bounds_its_clients_answers_is_read(engine: Engine, rights: list[str]) -> None:
    for number in range(16):
        engine.command("SET", f"page:{number}", os.urandom(MEBIBYTE))
    engine.command("CONFIG", "SET", "client-output-buffer-limit", "normal 4mb 0 0")
    assert len(read(engine, allow(engine, *rights))) > 16 * MEBIBYTE


def test_values_that_are_larger_than_they_were_weighed_are_asked_for_again_alone(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_with_hidden(engine, 24, 400_000)
    monkeypatch.setattr(keys, "_SAMPLES", b"$7\r\nSAMPLES\r\n$1\r\n5\r\n")
    monkeypatch.setattr(Window, "fit", lambda _, weights, start: min(256, len(weights) - start))
    monkeypatch.setattr(keys, "_MOST_TOGETHER_BYTES", 300_000)
    alone = []
    read_group = keys.KeyReader._read_group

    def listen(reader: keys.KeyReader, group: list[bytes], weights: list[int]) -> keys.Read:
        if len(group) == 1:
            alone.extend(group)
        return read_group(reader, group, weights)

    monkeypatch.setattr(keys.KeyReader, "_read_group", listen)
    data = read(engine)
    assert {b"session:%d" % number for number in range(24)} <= set(alone)
    with loaded(data, tmp_path) as other:
        assert digest(other.port) == digest(engine.port)


def test_a_value_whose_dump_is_small_is_read_though_it_weighs_much(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (keys, wire):
        monkeypatch.setattr(module, "MOST_VALUE_BYTES", 100_000)
    engine.command("SET", "log", "x" * 1_000_000)
    with loaded(read(engine), tmp_path) as other:
        assert digest(other.port) == digest(engine.port)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: f"{server.product}-{server.version_text}")
def test_a_key_that_was_read_does_not_count_as_used(server: ServerBinary) -> None:
    with running(server, filled=False) as (engine,):
        if engine.server.product == "redis" and engine.server.version < (7, 2, 0):
            pytest.skip("this server has no CLIENT NO-TOUCH")
        # Each use counts, and none is forgotten.
        engine.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu", "lfu-log-factor", 0, "lfu-decay-time", 0)
        engine.command("SET", "cold", "value")
        before = engine.command("OBJECT", "FREQ", "cold")
        for rights, used in (["+client|no-touch"], 0), ([], 1):
            read(engine, allow(engine, *rights))
            assert engine.command("OBJECT", "FREQ", "cold") == before + used
