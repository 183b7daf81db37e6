"""What a server answers about a key that cannot be read is told with the key's type; nothing else is made of it."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import ChecksumMismatch, KeyUndumpable
from rdbkeeper.sources.redis import keys
from rdbkeeper.sources.redis.keys import KeyReader, Read
from rdbkeeper.sources.redis.pacing import KeyPace
from rdbkeeper.sources.redis.refusals import Refusal
from rdbkeeper.sources.redis.window import Window
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


@pytest.fixture(autouse=True)
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many keys are asked for at once as were found: how many that is otherwise has tests of its own."""
    monkeypatch.setattr(Window, "fit", lambda _, weights, start: len(weights) - start)


def test_keys_come_with_their_values_and_expiries() -> None:
    (found,) = read(scanned(b"a", b"b", b"c"), executed([-1, 77, -2], [bulk(GOOD), bulk(GOOD), b"$-1\r\n"]))
    assert found.keys == [(b"a", GOOD, None), (b"b", GOOD, 77)]
    assert (found.version, found.vanished) == (10, 1)


@pytest.mark.parametrize(
    "dump", [b"-ERR this module writes nothing\r\n", bulk(dump_of(b"\xf3\x01meta\x00\x05value")), bulk(b""), b":1\r\n"]
)
def test_a_key_that_cannot_be_dumped_is_named_with_its_type(dump: bytes) -> None:
    with pytest.raises(
        KeyUndumpable, match=r"\(5 bytes, SHA-256 \w{8}\.\.\.\) of graphdata in database 3 cannot be dumped"
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


@pytest.mark.parametrize(
    "said",
    [
        b"-ERR unknown command 'MEMORY'",
        b"-ERR syntax error",
        b"-NOPERM User reader has no permissions to run the 'memory|usage' command",
    ],
)
def test_a_server_that_weighs_nothing_is_read_key_by_key(said: bytes) -> None:
    unweighed = scanned(b"a", b"b").replace(b":50\r\n", said + b"\r\n")
    found = read(unweighed, executed([-1], [bulk(GOOD)]), executed([-1], [bulk(GOOD)]))
    assert [[name for name, _, _ in group.keys] for group in found] == [[b"a"], [b"b"]]


def test_a_refusal_to_weigh_that_says_more_ends_the_reading() -> None:
    with pytest.raises(Refusal, match="MOVED"):
        read(scanned(b"a").replace(b":50\r\n", b"-MOVED 1 10.0.0.1:6379\r\n"))


def test_a_value_that_is_too_large_among_others_is_asked_for_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_MOST_TOGETHER_BYTES", 100)
    large = dump_of(b"\x00\x80\x00\x00\x00\xc8" + b"v" * 200)
    together = executed([-1, 7, 8], [bulk(GOOD), bulk(large), bulk(GOOD)])
    first, again = read(scanned(b"a", b"b", b"c"), together, executed([9], [bulk(large)]))
    assert first.keys == [(b"a", GOOD, None), (b"c", GOOD, 8)]
    assert again.keys == [(b"b", large, 9)], "the expiry is of the value's own moment"


def test_a_name_that_is_too_long_to_be_held_is_an_error_of_its_own() -> None:
    with pytest.raises(KeyUndumpable, match="A key takes 300,000,000 bytes"):
        read(b"*2\r\n$1\r\n0\r\n*1\r\n$300000000\r\n")


def test_a_value_that_weighs_far_more_than_can_be_read_is_not_asked_for() -> None:
    heavy = scanned(b"a").replace(b":50\r\n", b":%d\r\n" % (16 * keys.MOST_VALUE_BYTES + 1))
    with pytest.raises(KeyUndumpable, match="takes 4,294,967,297 bytes"):
        read(heavy)


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
