"""What a server answers about a key that cannot be read is told with the key's type; nothing else is made of it."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import ChecksumMismatch, KeyUndumpable
from rdbkeeper.sources.redis.keys import KeyReader, Read
from rdbkeeper.sources.redis.pacing import KeyPace
from rdbkeeper.sources.redis.refusals import Refusal
from rdbkeeper.sources.redis.wire import Wire
from tests.fakes.clock import FakeClock
from tests.unit.test_assembly import dump_of
from tests.unit.test_redis_wire import PiecewiseSocket

GOOD = dump_of(b"\x00\x05value")


class ScriptedServer:
    """Answers what it was told to, whatever it is asked, and TYPE with a module's type."""

    def __init__(self, *answers: bytes) -> None:
        self.address = "server:6379"
        self.wire = Wire(PiecewiseSocket(b"".join(answers), []))
        self.asked: list[tuple[object, ...]] = []

    def ask(self, *words: object) -> bytes:
        self.asked.append(words)
        return b"graphdata" if words[0] == "TYPE" else b"OK"

    def close(self) -> None: ...


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


def scanned(*names: bytes) -> bytes:
    """The answers to a SCAN that names these keys and no more, and to the weighing of each."""
    found = b"*%d\r\n" % len(names) + b"".join(map(bulk, names))
    return b"*2\r\n" + bulk(b"0") + found + b":50\r\n" * len(names)


def executed(expiries: list[int], dumps: list[bytes]) -> bytes:
    """The answers to a transaction of as many keys."""
    queued = b"+OK\r\n" + b"+QUEUED\r\n" * 2 * len(dumps)
    return queued + b"*%d\r\n" % (2 * len(dumps)) + b"".join(b":%d\r\n" % at for at in expiries) + b"".join(dumps)


def read(*answers: bytes) -> list[Read]:
    server = ScriptedServer(*answers)
    reader = KeyReader(
        server,  # type: ignore[arg-type] # as much of a server as is asked
        KeyPace(FakeClock(), 1_000_000),
        is_cluster=False,
        knows_expiry_times=True,
        ask_again=lambda: server,  # type: ignore[arg-type,return-value]
    )
    reader.select(3)
    return list(reader.read(list))


def test_keys_come_with_their_values_and_expiries() -> None:
    (found,) = read(scanned(b"a", b"b", b"c"), executed([-1, 77, -2], [bulk(GOOD), bulk(GOOD), b"$-1\r\n"]))
    assert found.keys == [(b"a", GOOD, None), (b"b", GOOD, 77)]
    assert (found.version, found.vanished) == (10, 1)


@pytest.mark.parametrize(
    "dump", [b"-ERR this module writes nothing\r\n", bulk(dump_of(b"\xf3\x01meta\x00\x05value")), bulk(b"")]
)
def test_a_key_that_cannot_be_dumped_is_named_with_its_type(dump: bytes) -> None:
    with pytest.raises(
        KeyUndumpable, match=r"`graph` \(5 bytes\) of graphdata in database 3 cannot be dumped"
    ) as raised:
        read(scanned(b"a", b"graph"), executed([-1, -1], [bulk(GOOD), dump]))
    assert "full-sync" in raised.value.hint and not raised.value.retryable


def test_a_value_that_was_damaged_on_the_way_is_found() -> None:
    damaged = GOOD.replace(b"value", b"valve")
    with pytest.raises(ChecksumMismatch):
        read(scanned(b"a"), executed([-1], [bulk(damaged)]))


def test_two_formats_in_one_answer_are_refused() -> None:
    with pytest.raises(Refusal):
        read(scanned(b"a", b"b"), executed([-1, -1], [bulk(GOOD), bulk(dump_of(b"\x00\x05value", version=11))]))


def test_a_server_that_weighs_nothing_is_read_key_by_key() -> None:
    unweighed = scanned(b"a", b"b").replace(b":50\r\n", b"-ERR unknown command 'MEMORY'\r\n")
    found = read(unweighed, executed([-1], [bulk(GOOD)]), executed([-1], [bulk(GOOD)]))
    assert [[name for name, _, _ in group.keys] for group in found] == [[b"a"], [b"b"]]


@pytest.mark.parametrize(
    ("is_cluster", "database", "asked"),
    [(False, 0, True), (False, 3, True), (True, 0, False), (True, 3, True)],  # a cluster of Valkey 9 may have several
)
def test_every_database_but_the_only_one_of_a_cluster_is_turned_to(
    is_cluster: bool, database: int, asked: bool
) -> None:
    server = ScriptedServer()
    reader = KeyReader(
        server,  # type: ignore[arg-type] # as much of a server as is asked
        KeyPace(FakeClock(), 1_000_000),
        is_cluster=is_cluster,
        knows_expiry_times=True,
        ask_again=lambda: server,  # type: ignore[arg-type,return-value]
    )
    reader.select(database)
    assert server.asked == ([("SELECT", database)] if asked else [])
