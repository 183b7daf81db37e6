"""Reads a server key by key, for servers that forbid replication, and puts an RDB file together as it goes.

Each key's value and expiry are asked in one transaction, so they belong together; two keys are of two moments. SCAN
names every key that is there from its beginning to its end ("SCAN", Redis commands: guarantees), so what is missing at
the end was deleted, had expired, or was made meanwhile: a key that is renamed, or moved to another database, is deleted
and made. What a server's own file also holds and this one does not: what modules keep beside keys, and how recently
keys were used.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from rdbkeeper.domain.backup import Consistency
from rdbkeeper.domain.errors import ServerLost, ServerTooLarge
from rdbkeeper.domain.live import LiveFindings
from rdbkeeper.ports import Clock
from rdbkeeper.rdb import assembly
from rdbkeeper.sources.redis.connection import Server
from rdbkeeper.sources.redis.counting import KeyCount, ask_swaps, check_named, check_not_swapped
from rdbkeeper.sources.redis.keys import KeyReader, Read
from rdbkeeper.sources.redis.nodes import NodeFacts, Standing, check_unchanged
from rdbkeeper.sources.redis.refusals import Doing, Refusal, translated
from rdbkeeper.sources.redis.seen_keys import MOST_KEYS, SeenKeys

# A value of this size is handed on as it came, smaller ones are put together.
_LARGE_BYTES = 1 << 18
# The formats that servers without FUNCTION DUMP write (rdb.h of each), for one that holds no key to tell it by.
_VERSIONS = (((5, 0), 9), ((4, 0), 8), ((3, 2), 7), ((0, 0), 6))


class LogicalStream:
    """The file as a stream; an error ends it for good."""

    def __init__(self, server: Server, reading: LogicalReading) -> None:
        self._server = server
        self._reading = reading
        self._pieces = reading.pieces()
        self._rest = memoryview(b"")
        self._error: Exception | None = None

    def readinto(self, buffer: memoryview, /) -> int:
        if self._error is not None:
            raise self._error
        try:
            while not self._rest:
                self._rest = memoryview(next(self._pieces))
        except StopIteration:
            self._server.close()
            return 0
        except Exception as error:  # whatever it was, the file is not whole, and a generator that failed says no more
            self._error = error
            self._server.close()
            raise
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._pieces.close()
        self._server.close()

    @property
    def findings(self) -> LiveFindings:
        return self._reading.findings()


@dataclass
class LogicalReading:
    """One reading of one server; `facts` and `standing` are those of its beginning.

    `why`, where it is given, is told in the findings beside how the server was read.
    """

    server: Server
    reader: KeyReader
    facts: NodeFacts
    standing: Standing
    clock: Clock
    why: str
    _sums: assembly.Summed = field(default_factory=assembly.Summed)
    _version: int | None = None
    _keys: int = 0
    _vanished: int = 0
    _before: int = 0
    _after: int = 0
    _swaps: int | None = None
    _seconds: float | None = None

    def pieces(self) -> Generator[bytes | memoryview, None, None]:
        """The file's pieces in their order. Raises errors of a source, ChecksumMismatch."""
        began_s = self.clock.monotonic()
        doing = self._doing
        with translated(doing):
            leave_untouched(self.server)
            self._swaps = None if self.facts.is_cluster else ask_swaps(self.server)
            functions = self._functions()
            if functions is not None:
                yield from self._open(assembly.check_dump(functions))
                yield self._sums.add(assembly.functions(functions))
            # A proxy may leave out of INFO which databases there are; the first is always there.
            for number in sorted({0, *self.facts.keys}):
                yield from self._database(number)
            if self._version is None:
                yield from self._open(_version_of(self.facts))
            facts = NodeFacts.ask(self.server)
            check_unchanged(self.standing, Standing.ask(self.server, facts), doing)
            if self._swaps is not None:
                check_not_swapped(self._swaps, ask_swaps(self.server), doing)
            yield self._sums.end()
        self._seconds = self.clock.monotonic() - began_s

    def findings(self) -> LiveFindings:
        if self._seconds is None:
            raise ValueError("what became of a stream is known at its end")
        vanished = f"; {self._vanished} keys vanished meanwhile" if self._vanished else ""
        unsure = self._swaps is None and not self.facts.is_cluster  # a cluster swaps none
        swapped = "; whether databases changed places meanwhile (SWAPDB) the server does not say" if unsure else ""
        reason = (
            f"read key by key over {_duration(self._seconds)}{self.why}: each key is of its own moment; {self._keys:,} "
            f"keys were read, and the server counted {self._before:,} before and {self._after:,} after"
            f"{vanished}{swapped}"
        )
        return LiveFindings(Consistency.LOGICAL, reason, self._keys, self._vanished, self._seconds)

    @property
    def _doing(self) -> Doing:
        return Doing("Reading the keys of", self.server.address, is_begun=True)

    def _functions(self) -> bytes | None:
        if self.facts.redis_version < (7, 0):
            return None
        try:
            dump: bytes = self.server.ask("FUNCTION", "DUMP")
        except Refusal as refusal:
            if refusal.is_unknown:
                return None
            raise
        return dump

    def _open(self, version: int) -> Iterator[bytes | memoryview]:
        """The file's beginning, once its version is known."""
        self._version = version
        product = f"{self.facts.engine}-ver"
        bits = self.facts.fields.get("arch_bits", "64")
        yield self._sums.add(
            assembly.header(version, is_valkey=self.facts.is_valkey)
            + assembly.aux(product, self.facts.engine_version)
            + assembly.aux("redis-bits", bits)
            + assembly.aux("ctime", str(int(self.clock.now().timestamp())))
        )

    def _database(self, number: int) -> Iterator[bytes | memoryview]:
        self.reader.select(number)
        before = KeyCount.ask(self.server, self.facts, number)
        seen = SeenKeys(min(before.keys, MOST_KEYS))
        yield from self._keys_of(number, seen)
        after = KeyCount.ask(self.server, NodeFacts.ask(self.server), number)
        check_named(len(seen), before, after, number, self._doing)
        self._before += before.keys
        self._after += after.keys

    def _keys_of(self, number: int, seen: SeenKeys) -> Iterator[bytes | memoryview]:
        is_named = False
        for group in self.reader.read(lambda names: self._new(seen, names)):
            self._vanished += group.vanished
            if not group.keys:
                continue
            if self._version is None:
                yield from self._open(group.version)
            elif group.version != self._version:
                raise _upgraded(self._doing)
            if not is_named:
                is_named = True
                yield self._sums.add(assembly.database(number))
            self._keys += len(group.keys)
            yield from self._put_together(group)

    def _new(self, seen: SeenKeys, names: Sequence[bytes]) -> list[bytes]:
        found = [name for name in names if seen.add(name)]
        if len(seen) > MOST_KEYS:
            raise too_many_keys(self.server.address)
        return found

    def _put_together(self, group: Read) -> Iterator[bytes | memoryview]:
        small: list[bytes | memoryview] = []
        for name, dump, expires_at_ms in group.keys:
            begin, value = assembly.key(name, dump, expires_at_ms)
            small.append(begin)
            if len(value) < _LARGE_BYTES:
                small.append(value)
                continue
            yield self._sums.add(b"".join(small))
            yield self._sums.add(value)
            small.clear()
        if small:
            yield self._sums.add(b"".join(small))


def leave_untouched(server: Server) -> None:
    """Let reading a key not count as using it, where the server knows how to (Redis 7.2, Valkey) and the user may."""
    with suppress(Refusal):
        server.ask("CLIENT", "NO-TOUCH", "ON")


def too_many_keys(address: str) -> ServerTooLarge:
    """The error for more keys than can be remembered."""
    return ServerTooLarge(
        f"The server {address} holds more than {MOST_KEYS:,} keys in one database.",
        hint="So many cannot be read key by key. Let the server allow SYNC to the rule's user, so that `way` can be "
        "`full-sync`.",
    )


def _upgraded(doing: Doing) -> ServerLost:
    return ServerLost(
        f"{doing}: the server's format changed meanwhile.", hint="It was upgraded. The next run begins anew."
    )


def _version_of(facts: NodeFacts) -> int:
    return next(version for since, version in _VERSIONS if facts.redis_version >= since)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
