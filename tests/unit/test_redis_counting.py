"""A database that was not read whole is told by its count, and so is one that changed places."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import ServerLost
from rdbkeeper.sources.redis.counting import KeyCount, ask_swaps, check_named, check_not_swapped
from rdbkeeper.sources.redis.nodes import NodeFacts
from rdbkeeper.sources.redis.refusals import Doing, Refusal

DOING = Doing("Reading the keys of", "server:6379", is_begun=True)


class Answering:
    """Answers DBSIZE with a number and INFO with some fields, or refuses."""

    def __init__(self, size: int | None = 0, stats: dict[str, str] | None = None) -> None:
        self._size = size
        self._stats = stats

    def ask(self, *_: object) -> int:
        if self._size is None:
            raise Refusal("NOPERM", "no")
        return self._size

    def info(self, *_: str) -> dict[str, str]:
        if self._stats is None:
            raise Refusal("NOPERM", "no")
        return self._stats


def counted(keys: int, expiring: int = 0) -> KeyCount:
    return KeyCount(keys, expiring)


@pytest.mark.parametrize(
    ("named", "before", "after"),
    [
        (3000, counted(3000), counted(3000)),
        (2900, counted(3000), counted(3000)),  # about as many as there are at any time
        (780, counted(3000), counted(700)),  # the others were removed
        (780, counted(700), counted(3000)),  # the others were made
        (4000, counted(3000), counted(3000)),
        (0, counted(3), counted(3)),  # a lock that comes and goes
        (0, counted(0), counted(0)),
        (800, counted(1000, 1000), counted(1000, 1000)),  # the others have expired and are not reaped yet
    ],
)
def test_a_database_of_which_enough_was_named_is_read(named: int, before: KeyCount, after: KeyCount) -> None:
    check_named(named, before, after, 0, DOING)


@pytest.mark.parametrize(
    ("named", "before", "after"),
    [
        (780, counted(3000), counted(3000)),  # one shard of four behind a proxy
        (1500, counted(3000), counted(3000)),  # one of two
        (1500, counted(3000, 3000), counted(3000, 3000)),
        (40, counted(80), counted(100)),
        (0, counted(100), counted(3000)),
    ],
)
def test_a_database_of_which_too_little_was_named_is_lost(named: int, before: KeyCount, after: KeyCount) -> None:
    with pytest.raises(ServerLost, match=f"named {named:,} keys of database 7"):
        check_named(named, before, after, 7, DOING)


@pytest.mark.parametrize(("size", "keys"), [(100, 100), (5, 30), (None, 30)])
def test_the_larger_count_counts(size: int | None, keys: int) -> None:
    facts = NodeFacts({"db2": "keys=30,expires=12,avg_ttl=0", "db0": "keys=1"})
    found = KeyCount.ask(Answering(size), facts, 2)  # type: ignore[arg-type] # as much of a server as is asked
    assert found == KeyCount(keys, 12)


@pytest.mark.parametrize(
    ("stats", "swaps"),
    [
        ({"cmdstat_info": "calls=1,usec=1", "cmdstat_swapdb": "calls=17,usec=9,usec_per_call=0.5"}, 17),
        ({"cmdstat_info": "calls=1,usec=1"}, 0),
        ({"redis_version": "7.0.0"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_swaps_are_known_where_the_server_counts_commands(stats: dict[str, str] | None, swaps: int | None) -> None:
    assert ask_swaps(Answering(stats=stats)) == swaps  # type: ignore[arg-type] # as above


@pytest.mark.parametrize(("before", "now"), [(0, 1), (3, 0), (0, 2)])
def test_databases_that_changed_places_are_lost(before: int, now: int) -> None:
    with pytest.raises(ServerLost, match="SWAPDB"):
        check_not_swapped(before, now, DOING)


@pytest.mark.parametrize(("before", "now"), [(0, 0), (3, 3), (None, 1), (1, None)])
def test_databases_that_stayed_or_of_which_nobody_knows_are_not(before: int | None, now: int | None) -> None:
    check_not_swapped(before, now, DOING)
