"""Fills real Redis servers with every type and encoding they know, and proves two servers hold the same."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.crc import key_slot

LARGE_BALLAST_BYTES = 20 * 1024 * 1024
"""Ballast that makes a shard's RDB file longer than 16 MiB, so that it needs two multipart parts."""

DATABASES = (0, 1, 7, 15)
_BALLAST_CHUNK_BYTES = 4 * 1024 * 1024
_YEAR_2100_MS = 4_102_444_800_123
_PENDING_SINCE_MS = 1_700_000_000_000
_LIBRARY = """#!lua name=rdbkeeper_{name}
redis.register_function('rdbkeeper_{name}', function(keys, args) return {answer} end)"""


@dataclass(frozen=True)
class Digest:
    """What one server holds; equal digests mean equal data sets, expiries, consumer groups and functions.

    `dataset` is the server's own DEBUG DIGEST, which two different versions may compute differently.
    """

    dataset: str
    keys_per_database: Mapping[int, int]
    types: Mapping[str, int]
    expiries: str
    streams: str
    functions: str

    @property
    def key_count(self) -> int:
        """Return the number of keys in all databases."""
        return sum(self.keys_per_database.values())


class _Writer:
    """Writes keys that all begin with one prefix to one database of one server."""

    def __init__(self, client: redis.Redis, prefix: str, source: random.Random) -> None:
        self.client = client
        self._prefix = prefix.encode()
        self.random = source

    def key(self, name: str | bytes) -> bytes:
        return self._prefix + (name.encode() if isinstance(name, str) else name)

    def run(self, command: str, name: str | bytes, *arguments: Any) -> Any:
        return self.client.execute_command(command, self.key(name), *arguments)

    def raw(self, *words: Any) -> Any:
        return self.client.execute_command(*words)


def fill(ports: int | Sequence[int], *, seed: int = 1, ballast_bytes: int = 0, spread_keys: int = 300) -> None:
    """Fill one server, or every shard of one cluster, with every type; the same seed gives the same data.

    ports: the server's port, or the ports of all shards of a cluster. ballast_bytes: random bytes a shard
    beside the rest, in strings of up to 4 MiB. spread_keys: small strings over all shards (and databases).
    No key expires before the year 2100, so a digest taken now holds.
    """
    for number, port in enumerate([ports] if isinstance(ports, int) else ports):
        source = random.Random(f"{seed}/{number}")
        with _connect_plainly(port) as client:
            slots = _slots_of(client, port)
            prefix = f"{{{_tag_within(slots)}}}:" if slots else ""
            writer = _Writer(client, prefix, source)
            fill_types(writer)
            _fill_ballast(writer, ballast_bytes)
            _fill_spread(client, slots, random.Random(f"{seed}/spread"), spread_keys)
        _fill_functions(port, f"shard{number}")
        if not slots:
            _fill_databases(port, source)


def fill_types(writer: _Writer) -> None:
    """Write at least one key of each type and encoding that the server knows."""
    _fill_strings(writer)
    _fill_lists_and_sets(writer)
    _fill_hashes_and_sorted_sets(writer)
    _fill_streams(writer)
    _fill_expiries(writer)
    _fill_field_expiries(writer)


def _fill_strings(writer: _Writer) -> None:
    numbers = {"empty": "", "int8": -12, "int16": 30_000, "int32": -2_000_000_000, "int64": 2**63 - 1}
    for name, value in numbers.items():
        writer.run("SET", f"string:{name}", value)
    writer.run("SET", "string:not-a-number", "0001")
    writer.run("SET", "string:binary", bytes(range(256)))
    writer.run("SET", "string:compressible", "a" * 10_000)
    writer.run("SET", "string:random", writer.random.randbytes(70_000))
    writer.run("SET", b"string:odd\x00name\xff\r\n", "value")
    writer.run("SET", "string:" + "k" * 20_000, "a key of 20,000 bytes")
    writer.run("SETBIT", "bitmap", 100_000, 1)
    writer.run("PFADD", "hyperloglog:dense", *range(5_000))
    writer.run("PFADD", "hyperloglog:sparse", 1, 2, 3)


def _fill_lists_and_sets(writer: _Writer) -> None:
    writer.run("RPUSH", "list:small", 1, 2, 3, "four")
    writer.run("RPUSH", "list:long", *[f"element {number}" * 5 for number in range(3_000)])
    writer.run("RPUSH", "list:wide-element", "z" * 20_000, writer.random.randbytes(9_000), 1)
    writer.run("SADD", "set:integers16", *range(100))
    writer.run("SADD", "set:integers64", 2**60, 1, -5)
    writer.run("SADD", "set:many-integers", *range(600))
    writer.run("SADD", "set:small", "a", "b", "c")
    writer.run("SADD", "set:large", *[f"member {number}" for number in range(1_000)])


def _fill_hashes_and_sorted_sets(writer: _Writer) -> None:
    writer.run("HSET", "hash:small", "a", 1, "b", "two")
    fields = [(f"field {number}", "v" * writer.random.randint(1, 80)) for number in range(1_000)]
    writer.run("HSET", "hash:large", *[word for field in fields for word in field])
    writer.run("ZADD", "sorted:small", 1, "one", 2.5, "two", "-inf", "lowest", "+inf", "highest")
    scores = [(writer.random.uniform(-1e6, 1e6), f"member {number}") for number in range(1_000)]
    writer.run("ZADD", "sorted:large", *[word for score in scores for word in score])
    writer.run("GEOADD", "geo", 13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")


def _fill_streams(writer: _Writer) -> None:
    stream = writer.key("stream")
    for number in range(1, 401):
        writer.run("XADD", "stream", f"{number}-1", "field", number, "other", "x" * (number % 40))
    writer.raw("XGROUP", "CREATE", stream, "readers", "0")
    writer.raw("XGROUP", "CREATE", stream, "late", "$")
    for consumer, count in (("first", 50), ("second", 7)):
        writer.raw("XREADGROUP", "GROUP", "readers", consumer, "COUNT", count, "STREAMS", stream, ">")
    writer.raw("XACK", stream, "readers", "1-1")
    # A fixed time of delivery, so that the same seed gives the same pending entries.
    pending = [f"{number}-1" for number in range(2, 58)]
    claim = ("TIME", _PENDING_SINCE_MS, "RETRYCOUNT", 3, "FORCE", "JUSTID")
    writer.raw("XCLAIM", stream, "readers", "first", 0, *pending[:49], *claim)
    writer.raw("XCLAIM", stream, "readers", "second", 0, *pending[49:], *claim)
    writer.raw("XDEL", stream, "100-1", "101-1", "300-1")
    writer.raw("XTRIM", stream, "MAXLEN", 350)
    writer.run("XADD", "stream:emptied", "5-5", "a", "b")
    writer.run("XDEL", "stream:emptied", "5-5")
    writer.raw("XGROUP", "CREATE", writer.key("stream:never-used"), "readers", "$", "MKSTREAM")


def _fill_expiries(writer: _Writer) -> None:
    for number, name in enumerate(("string:compressible", "hash:large", "stream:never-used", "set:small")):
        writer.run("PEXPIREAT", name, _YEAR_2100_MS + number * 86_400_000)


def _fill_field_expiries(writer: _Writer) -> None:
    # Only Redis from 7.4 and Valkey from 9 have hash fields that expire.
    if not _knows(writer.client, "HPEXPIREAT"):
        return
    writer.run("HSET", "hash:small-expiring", "a", 1, "b", 2, "c", 3)
    writer.run("HPEXPIREAT", "hash:small-expiring", _YEAR_2100_MS, "FIELDS", 1, "a")
    names = [f"field {number}" for number in range(800)]
    writer.run("HSET", "hash:large-expiring", *[word for name in names for word in (name, "value")])
    writer.run("HPEXPIREAT", "hash:large-expiring", _YEAR_2100_MS + 5, "FIELDS", 10, *names[:10])


def _fill_ballast(writer: _Writer, ballast_bytes: int) -> None:
    for number, start in enumerate(range(0, ballast_bytes, _BALLAST_CHUNK_BYTES)):
        length = min(_BALLAST_CHUNK_BYTES, ballast_bytes - start)
        writer.run("SET", f"ballast:{number:04d}", writer.random.randbytes(length))


def _fill_spread(client: redis.Redis, slots: list[tuple[int, int]], source: random.Random, spread_keys: int) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(spread_keys):
        name, value = f"spread:{number:06d}", source.randbytes(source.randint(0, 200))
        if not slots or _holds(slots, key_slot(name.encode())):
            pipeline.execute_command("SET", name, value)
            if number % 3 == 0:
                pipeline.execute_command("PEXPIREAT", name, _YEAR_2100_MS + number * 1_000_000)
    pipeline.execute()


def _fill_functions(port: int, name: str) -> None:
    with _connect(port) as client:
        if _major_version(client) < 7:
            return
        for answer, library in ((42, name), (43, f"{name}_more")):
            client.execute_command("FUNCTION LOAD", "REPLACE", _LIBRARY.format(name=library, answer=answer))


def _fill_databases(port: int, source: random.Random) -> None:
    for database in DATABASES[1:]:
        with _connect_plainly(port, database) as client:
            writer = _Writer(client, f"database{database}:", source)
            for number in range(50):
                writer.run("SET", f"string:{number}", number)
            _fill_hashes_and_sorted_sets(writer)


def digest(port: int) -> Digest:
    """Return what the server on this port holds, in a form that can be compared with another's."""
    keys: dict[int, int] = {}
    types: Counter[str] = Counter()
    expiries, streams = hashlib.sha256(), hashlib.sha256()
    with _connect(port) as client:
        databases = sorted(int(name[2:]) for name in client.info("keyspace"))
        dataset = client.execute_command("DEBUG", "DIGEST").decode()
        functions = _functions_of(client)
    for database in databases:
        with _connect_plainly(port, database) as client:
            names = sorted(_scan(client))
            kinds = _each(client, names, "TYPE")
            keys[database] = len(names)
            types.update(kind.decode() for kind in kinds)
            for name, expires_at in zip(names, _expiries_of(client, names), strict=True):
                expiries.update(repr((database, name, expires_at)).encode())
            for name, kind in zip(names, kinds, strict=True):
                if kind == b"stream":
                    answer = client.execute_command("XINFO", "STREAM", name, "FULL", "COUNT", 0)
                    streams.update(repr((database, name, list(_lasting(answer)))).encode())
    return Digest(dataset, keys, dict(types), expiries.hexdigest(), streams.hexdigest(), functions)


def _scan(client: redis.Redis) -> set[bytes]:
    names: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, found = client.execute_command("SCAN", cursor, "COUNT", 1000)
        names.update(found)
        if cursor == b"0":
            return names


def _each(client: redis.Redis, names: Sequence[bytes], command: str) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.execute_command(command, name)
    return list(pipeline.execute())


def _expiries_of(client: redis.Redis, names: Sequence[bytes]) -> list[int]:
    if _knows(client, "PEXPIRETIME"):
        return _each(client, names, "PEXPIRETIME")
    # Servers before 7.0 only say how long is left; ten seconds swallow the time that the asking takes.
    seconds, microseconds = client.execute_command("TIME")
    now_ms = int(seconds) * 1000 + int(microseconds) // 1000
    left = _each(client, names, "PTTL")
    return [ttl if ttl < 0 else (now_ms + ttl + 5_000) // 10_000 * 10_000 for ttl in left]


def _knows(client: redis.Redis, command: str) -> bool:
    return bool(client.execute_command("COMMAND", "INFO", command) != [None])


def _lasting(answer: list[Any]) -> Iterator[Any]:
    """Yield a stream's description without what a reload changes: tree shapes and when somebody looked."""
    passing = {b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"active-time"}
    skip_next = False
    for item in answer:
        if skip_next:
            skip_next = False
        elif isinstance(item, bytes) and item in passing:
            skip_next = True
        else:
            yield list(_lasting(item)) if isinstance(item, list) else item


def _functions_of(client: redis.Redis) -> str:
    if _major_version(client) < 7:
        return ""
    libraries = sorted(repr(library) for library in client.execute_command("FUNCTION LIST", "WITHCODE"))
    return hashlib.sha256("".join(libraries).encode()).hexdigest() if libraries else ""


def _connect(port: int, database: int = 0) -> redis.Redis:
    return redis.Redis(host="127.0.0.1", port=port, db=database, protocol=2)


def _connect_plainly(port: int, database: int = 0) -> redis.Redis:
    """Connect with answers as the server sends them: redis-py reshapes some and stumbles over others."""
    client = _connect(port, database)
    client.response_callbacks.clear()
    return client


def _major_version(client: redis.Redis) -> int:
    # Valkey also states the Redis version that it is compatible with, which knows functions from 7 on.
    return int(str(client.info("server")["redis_version"]).split(".")[0])


def _slots_of(client: redis.Redis, port: int) -> list[tuple[int, int]]:
    if b"cluster_enabled:1" not in client.execute_command("INFO", "cluster"):
        return []
    table = client.execute_command("CLUSTER", "SLOTS")
    return [(first, last) for first, last, primary, *_ in table if primary[1] == port]


def _tag_within(slots: list[tuple[int, int]]) -> str:
    return next(tag for tag in (f"t{number}" for number in range(200_000)) if _holds(slots, key_slot(tag.encode())))


def _holds(slots: list[tuple[int, int]], slot: int) -> bool:
    return any(first <= slot <= last for first, last in slots)
