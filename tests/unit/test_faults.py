"""The fake that lets calls fail: a test that sweeps over all calls rests on its counting."""

from __future__ import annotations

import pytest

from tests.fakes.faults import Faults, FaultyPort


class Shelf:
    """A port of a kind."""

    label = "top"

    def __init__(self) -> None:
        self.books: list[str] = []

    def add(self, book: str, *, twice: bool = False) -> int:
        self.books += [book] * (2 if twice else 1)
        return len(self.books)


def test_calls_of_all_ports_are_counted_together_and_go_through() -> None:
    faults = Faults()
    one, other = FaultyPort(Shelf(), faults), FaultyPort(Shelf(), faults)
    assert (one.add("a"), one.add("b", twice=True), other.add("c")) == (1, 3, 1)
    assert faults.calls == ["Shelf.add"] * 3
    assert not faults.struck


def test_a_call_that_fails_before_has_no_effect_and_one_that_fails_after_has() -> None:
    for when, expected in (("before", ["a"]), ("after", ["a", "b"])):
        shelf = Shelf()
        port = FaultyPort(shelf, Faults(2, when, TimeoutError("lost")))
        port.add("a")
        with pytest.raises(TimeoutError, match="lost"):
            port.add("b")
        assert shelf.books == expected


def test_only_one_call_fails_and_the_next_goes_through() -> None:
    faults = Faults(1)
    port = FaultyPort(Shelf(), faults)
    with pytest.raises(ConnectionError):
        port.add("a")
    assert faults.struck
    assert port.add("a") == 1


def test_what_is_no_call_is_not_counted() -> None:
    faults = Faults(1)
    port = FaultyPort(Shelf(), faults)
    assert (port.label, port.books) == ("top", [])
    assert faults.calls == []
