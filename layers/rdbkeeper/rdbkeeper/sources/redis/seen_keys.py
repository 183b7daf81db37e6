"""Remembers which keys of a database were read, in a few bytes each.

SCAN may name a key more than once ("SCAN", Redis commands: "a given element may be returned multiple times"), and a
server refuses to start with a file that holds a key twice.
"""

from __future__ import annotations

import hashlib
import secrets
from array import array
from struct import Struct

MOST_KEYS = 10_000_000
"""As many keys of one database as are remembered: in 240 MB, twice that while the table grows."""

_FEWEST_SLOTS = 1 << 10
_FULL = 0.75
_ROOMY = 1.5  # slots a key, when the number of keys is known beforehand
_HALVES = Struct("<QQ")


class SeenKeys:
    """A set of keys, as 16 bytes of a keyed hash each, in one flat table: about 24 bytes a key.

    Two keys are taken for one another with odds of n squared to 2 to the 128th: for ten million keys, 1 in 10 to the
    24th. The hash's key is new each time, so nobody can name keys that collide.
    """

    def __init__(self, expected: int = 0) -> None:
        self._key = secrets.token_bytes(16)
        self._table = self._make_table(max(_FEWEST_SLOTS, int(expected * _ROOMY)))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, name: bytes) -> bool:
        """Remember a key; True when it is new."""
        first, second = _HALVES.unpack(hashlib.blake2b(name, digest_size=16, key=self._key).digest())
        if self._count >= (len(self._table) >> 1) * _FULL:
            self._grow()
        is_new = _put(self._table, first, second | 1)  # 0 marks a free place
        self._count += is_new
        return is_new

    def _grow(self) -> None:
        old, slots = self._table, len(self._table)  # as many slots as there were halves: twice as many
        self._table = self._make_table(slots)
        for at in range(0, len(old), 2):
            if old[at + 1]:
                _put(self._table, old[at], old[at + 1])

    @staticmethod
    def _make_table(slots: int) -> array[int]:
        return array("Q", bytes(16)) * slots


def _put(table: array[int], first: int, second: int) -> bool:
    """Put both halves into the first free place from where they belong; False when they are there already."""
    end = len(table)
    at = (first % (end >> 1)) << 1
    while table[at + 1]:
        if table[at] == first and table[at + 1] == second:
            return False
        at += 2
        if at == end:
            at = 0
    table[at], table[at + 1] = first, second
    return True
