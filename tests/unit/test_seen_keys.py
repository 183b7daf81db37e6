"""The set of keys that were read: it forgets none, takes none for another, and stays small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkeeper.sources.redis import seen_keys
from rdbkeeper.sources.redis.seen_keys import SeenKeys


@given(st.lists(st.binary(max_size=3), max_size=200))
def test_a_key_is_new_once(names: list[bytes]) -> None:
    seen, model = SeenKeys(), set()
    for name in names:
        assert seen.add(name) == (name not in model)
        model.add(name)
    assert len(seen) == len(model)


def test_nothing_is_forgotten_while_the_table_grows() -> None:
    seen, names = SeenKeys(), [b"%d" % number for number in range(20_000)]
    assert all(seen.add(name) for name in names)
    assert not any(seen.add(name) for name in names)
    assert len(seen) == 20_000


def test_keys_that_begin_at_the_tables_end_go_on_at_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneEnd:
        """A hash whose first half is the same for all."""

        def __init__(self, name: bytes, **_: object) -> None:
            self._name = name

        def digest(self) -> bytes:
            return (1023).to_bytes(8, "little") + self._name.rjust(8, b"\x01")

    monkeypatch.setattr(seen_keys.hashlib, "blake2b", OneEnd)
    seen, names = SeenKeys(), [b"a\x01", b"c\x01", b"e\x01"]
    assert [seen.add(name) for name in names * 2] == [True] * 3 + [False] * 3


def test_a_hash_of_zeros_is_remembered_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Zeros:
        def __init__(self, name: bytes, **_: object) -> None: ...

        def digest(self) -> bytes:
            return bytes(16)

    monkeypatch.setattr(seen_keys.hashlib, "blake2b", Zeros)
    seen = SeenKeys()
    assert [seen.add(b"key"), seen.add(b"key")] == [True, False]


def test_a_key_takes_24_bytes_when_their_number_is_known_beforehand() -> None:
    seen = SeenKeys(100_000)
    for number in range(100_000):
        seen.add(b"%d" % number)
    assert seen._table.itemsize * len(seen._table) == 24 * 100_000


def test_two_sets_hash_with_keys_of_their_own() -> None:
    assert SeenKeys()._key != SeenKeys()._key
