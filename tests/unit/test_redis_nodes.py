"""What a server says of itself is read rightly, and what it refuses becomes an error that says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rdbkeeper.domain.errors import ServerLost, SourceDenied, SourceError, SourceRefused, SourceUnavailable
from rdbkeeper.sources.redis.connection import check_reachable, join_address, split_address
from rdbkeeper.sources.redis.keys import show_key
from rdbkeeper.sources.redis.nodes import NodeFacts, Standing, check_unchanged, read_primaries, slots_text
from rdbkeeper.sources.redis.pacing import KeyPace
from rdbkeeper.sources.redis.refusals import Doing, NotRedis, Refusal, taken_apart, translated, typed
from tests.fakes.clock import FakeClock

DOING = Doing("Asking", "server:6379")
BEGUN = Doing("Reading", "server:6379", is_begun=True)


def node(port: int, host: bytes | None = b"10.0.0.1", *notes: bytes) -> list[object]:
    return [host, port, b"id", list(notes)]


def test_shards_come_in_order_of_their_slots_with_all_that_they_hold() -> None:
    table = [[10_001, 16_383, node(2)], [5_000, 10_000, node(1), node(9)], [0, 4_998, node(2)], [4_999, 4_999, node(2)]]
    found = read_primaries(table, "asked", prefers_names=False)
    assert [(primary.address, primary.slots) for primary in found] == [
        ("10.0.0.1:2", "0-4999,10001-16383"),
        ("10.0.0.1:1", "5000-10000"),
    ]


@pytest.mark.parametrize("host", [b"", None, b"?"])
def test_a_node_that_says_no_address_is_where_it_was_asked(host: bytes | None) -> None:
    (found,) = read_primaries([[0, 16_383, node(7, host)]], "asked", prefers_names=False)
    assert found.address == "asked:7"


def test_a_node_is_called_by_its_name_where_certificates_are_looked_at() -> None:
    table = [[0, 16_383, node(7, b"10.0.0.1", b"hostname", b"one.example")]]
    assert read_primaries(table, "asked", prefers_names=True)[0].address == "one.example:7"
    assert read_primaries(table, "asked", prefers_names=False)[0].address == "10.0.0.1:7"


def test_a_cluster_that_serves_not_every_slot_is_not_read() -> None:
    with pytest.raises(SourceUnavailable, match="16,383 of 16,384"):
        read_primaries([[0, 16_382, node(1)]], "asked", prefers_names=False)


def test_slots_are_written_as_ranges() -> None:
    assert slots_text([(0, 5), (6, 6), (8, 8), (10, 16_383)]) == "0-6,8,10-16383"
    assert slots_text([]) == ""


def test_addresses_are_put_together_and_taken_apart() -> None:
    for host in ("one.example", "10.0.0.1", "fd00::1"):
        assert split_address(join_address(host, 6379)) == (host, 6379)


def test_size_and_keys_are_guessed_from_above() -> None:
    facts = NodeFacts({"used_memory_dataset": "1000", "used_memory": "9", "db0": "keys=3,expires=0", "db12": "keys=4"})
    assert facts.keys == {0: 3, 12: 4}
    assert facts.size_bytes == 1000 + 7 * 32
    assert NodeFacts({"used_memory": "9"}).size_bytes == 9


def test_valkey_is_told_from_redis() -> None:
    valkey = NodeFacts({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"})
    assert (valkey.engine, valkey.engine_version, valkey.redis_version) == ("valkey", "9.1.2", (7, 2))
    redis = NodeFacts({"redis_version": "6.2.14"})
    assert (redis.engine, redis.engine_version, redis.redis_version) == ("redis", "6.2.14", (6, 2))


STANDING = Standing("run", "", "0-5460", epoch="1")


@pytest.mark.parametrize(
    "now",
    [
        replace(STANDING, slots="0-5459"),
        replace(STANDING, is_moving=True),
        replace(STANDING, epoch="2"),
        replace(STANDING, came_bytes="1"),
        replace(STANDING, run_id="another"),
        replace(STANDING, replicates="10.0.0.1:1"),
    ],
)
def test_a_node_that_is_not_what_it_was_is_lost(now: Standing) -> None:
    check_unchanged(STANDING, STANDING, BEGUN)
    with pytest.raises(ServerLost, match="resharded"):
        check_unchanged(STANDING, now, BEGUN)


class Node:
    """Says of itself that it holds these slots."""

    def ask(self, *_: object) -> bytes:
        return b"id 10.0.0.1:6379@16379 myself,master - 0 0 2 connected 0-5460\n"


@pytest.mark.parametrize("end", ["mem_cluster_slot_import", "mem_cluster_slot_export"])
def test_slots_that_are_moved_as_a_whole_are_known_by_the_memory_that_they_take(end: str) -> None:
    for bytes_, is_moving in (("0", False), ("1672", True)):
        facts = NodeFacts({"cluster_enabled": "1", "run_id": "run", end: bytes_})
        found = Standing.ask(Node(), facts)  # type: ignore[arg-type] # only this is asked of it
        assert found == Standing("run", "", "0-5460", is_moving, epoch="2")


def test_a_server_without_keys_is_told_from_one_that_does_not_say() -> None:
    assert NodeFacts({"redis_version": "7.2.0", "# Keyspace": ""}).tells_keys
    assert not NodeFacts({"redis_version": "7.2.0", "# Memory": ""}).tells_keys


@pytest.mark.parametrize("strange", [ValueError, TypeError, AttributeError, IndexError, RecursionError])
def test_an_answer_of_another_form_is_that_of_a_stranger_and_a_defect_of_ours_is_not(strange: type[Exception]) -> None:
    for doing, error in ((DOING, SourceRefused), (BEGUN, ServerLost)):
        with pytest.raises(error), translated(doing), taken_apart():
            raise strange
        with pytest.raises(strange), translated(doing):
            raise strange


@pytest.mark.parametrize("field", ["connected_slaves", "used_memory_dataset"])
def test_a_number_that_is_none_is_a_strangers(field: str) -> None:
    facts = NodeFacts({"redis_version": "7.2.0", field: "many"})
    with pytest.raises(NotRedis):
        _ = facts.replicas + facts.size_bytes


def test_a_server_without_slots_that_became_anothers_replica_is_lost() -> None:
    with pytest.raises(ServerLost, match="another's replica"):
        check_unchanged(Standing("run", ""), Standing("run", "10.0.0.1:1"), BEGUN)


@pytest.mark.parametrize(
    "said, error, words",
    [
        ("NOAUTH Authentication required.", SourceDenied, "did not accept the login"),
        ("WRONGPASS invalid username-password pair or user is disabled.", SourceDenied, "login"),
        ("ERR AUTH <password> called without any password configured", SourceDenied, "leave `secret` out"),
        ("ERR Client sent AUTH, but no password is set", SourceDenied, "leave `secret` out"),
        ("NOPERM User reader has no permissions to run the 'memory|usage' command", SourceDenied, "+memory|usage"),
        ("NOPERM No permissions to access a key", SourceDenied, "~*"),
        ("DENIED Redis is running in protected mode because ...", SourceDenied, "protected mode"),
        ("LOADING Redis is loading the dataset in memory", SourceUnavailable, "LOADING"),
        ("CLUSTERDOWN The cluster is down", SourceUnavailable, "CLUSTERDOWN"),
        ("ERR max number of clients reached", SourceUnavailable, "clients"),
        ("ERR unknown command 'SCAN', with args beginning with: 'order:7' ", SourceRefused, "unknown command 'SCAN'"),
        ("MOVED 3999 10.0.0.1:6381", ServerLost, "resharded"),
    ],
)
def test_a_refusal_becomes_an_error_that_says_what_to_do(said: str, error: type[SourceError], words: str) -> None:
    found = typed(Refusal.of(said), DOING)
    assert type(found) is error
    assert words in str(found)
    assert found.hint
    assert "reader" not in str(found) and "order:7" not in str(found)


def test_once_a_stream_has_begun_nothing_is_left_to_try_again() -> None:
    found = typed(Refusal.of("LOADING Redis is loading the dataset in memory"), BEGUN)
    assert type(found) is ServerLost and not found.retryable


@pytest.mark.parametrize("broken", [OSError("gone"), EOFError(), TimeoutError()])
def test_a_connection_that_breaks_is_another_error_before_and_after_the_beginning(broken: Exception) -> None:
    for doing, error in ((DOING, SourceUnavailable), (BEGUN, ServerLost)):
        with pytest.raises(error, match="server:6379"), translated(doing):
            raise broken


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "fe80::1", "0.0.0.0", "224.0.0.1"])  # noqa: S104
def test_no_address_is_asked_where_clouds_keep_credentials(address: str) -> None:
    with pytest.raises(SourceRefused, match="link-local, metadata"):
        check_reachable("server", address)
    check_reachable("server", "127.0.0.1")
    check_reachable("server", "10.0.0.1")


@pytest.mark.parametrize(
    "name, shown",
    [
        (b"sess:Zk3vQx9TbLw0aYp7RmNc2uHd", "`sess...` (29 bytes, SHA-256 341718d0...)"),
        (b"orders/42", "`orders...` (9 bytes, SHA-256 "),
        (b"a-prefix-of-thirty-characters.x", "`a-prefix-of-thir...` (31 bytes, SHA-256 "),
        (b"Zk3vQx9TbLw0aYp7", "`...` (16 bytes, SHA-256 "),
        (b"card 4111111111111111:7", "`card ?...` (23 bytes, SHA-256 "),
        (b"\x00\xff:1", "`??...` (4 bytes, SHA-256 "),
        (b"", "`...` (0 bytes, SHA-256 "),
    ],
)
def test_of_a_keys_name_no_more_is_shown_than_its_kind(name: bytes, shown: str) -> None:
    assert show_key(name).startswith(shown)


def test_keys_pass_at_the_rate_that_the_rule_says() -> None:
    clock = FakeClock()
    pace = KeyPace(clock, 1_000)
    for _ in range(10):
        pace.take(500)
    assert clock.monotonic() == pytest.approx(4.5)


def test_time_that_was_not_used_up_is_not_made_up_for() -> None:
    clock = FakeClock()
    pace = KeyPace(clock, 1_000)
    clock.advance(60)
    pace.take(1_000)
    pace.take(1_000)
    assert clock.monotonic() == pytest.approx(61)


@pytest.mark.parametrize("rate, burst", [(100, 10), (1_000, 100), (1_000_000, 100_000)])
def test_a_slow_rate_looks_at_few_keys_in_one_go(rate: int, burst: int) -> None:
    assert KeyPace(FakeClock(), rate).burst_keys == burst
