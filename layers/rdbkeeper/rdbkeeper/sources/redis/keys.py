"""Asks a server for its keys: their names, what they weigh, their values and expiries, in batches of bounded size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from rdbkeeper.domain.errors import KeyUndumpable
from rdbkeeper.rdb import assembly
from rdbkeeper.sources.redis.connection import Server
from rdbkeeper.sources.redis.pacing import KeyPace
from rdbkeeper.sources.redis.refusals import Doing, Refusal, ValueTooLong, translated
from rdbkeeper.sources.redis.wire import MOST_VALUE_BYTES, Reply, command

_SCAN_KEYS = 512
_BATCH_KEYS = 256
_BATCH_BYTES = 1 << 20
# As many as a server answers in one go, while its other clients wait.
_TRANSACTION_KEYS = 16
# Where nothing can be weighed, fewer answers are let pile up in the server's memory.
_UNWEIGHED_KEYS = 16
_OK, _QUEUED = b"+OK\r\n", b"+QUEUED\r\n"
_MULTI, _EXEC, _TIME = command("MULTI"), command("EXEC"), command("TIME")
_UNSHOWN = re.compile(r"[^ -~]|[0-9]{6,}")


@dataclass
class Read:
    """What one transaction brought: name, dump and expiry of each key, the dumps' version, and how many were gone."""

    keys: list[tuple[bytes, bytes | bytearray, int | None]] = field(default_factory=list)
    version: int = 0
    vanished: int = 0


class KeyReader:
    """Reads a server's databases. `ask_again` makes another connection to it, to ask about a key that was refused.

    Commands that must fit one slot go one key at a time where the server is in a cluster.
    """

    def __init__(
        self,
        server: Server,
        pace: KeyPace,
        *,
        is_cluster: bool,
        knows_expiry_times: bool,
        ask_again: Callable[[], Server],
    ) -> None:
        self._server = server
        self._wire = server.wire
        self._pace = pace
        self._is_cluster = is_cluster
        self._knows_expiry_times = knows_expiry_times
        self._ask_again = ask_again
        self._can_weigh = True
        self._database = 0

    def select(self, database: int) -> None:
        """Turn to a database. Raises what Server.ask raises."""
        # Most clusters have one database, and know no SELECT.
        if database or not self._is_cluster:
            self._server.ask("SELECT", database)
        self._database = database

    def read(self, choose: Callable[[Sequence[bytes]], list[bytes]]) -> Iterator[Read]:
        """Every key of the database that is selected that `choose` leaves of those that were found.

        Raises Refusal, KeyUndumpable, ChecksumMismatch, OSError, EOFError.
        """
        for names in self._scan():
            for batch in self._batches(choose(names)):
                self._pace.take(len(batch))
                yield from self._read_batch(batch)

    def _scan(self) -> Iterator[Sequence[bytes]]:
        cursor = b"0"
        while True:
            self._wire.send([command("SCAN", cursor, "COUNT", min(_SCAN_KEYS, self._pace.burst_keys))])
            answer = _granted(self._wire.reply())
            cursor, names = cast("tuple[bytes, list[bytes]]", answer)
            if names:
                yield names
            if cursor == b"0":
                return

    def _batches(self, names: list[bytes]) -> Iterator[list[bytes]]:
        """The names in batches whose answers are not too many to be held, by the server and here."""
        weights = self._weigh(names)
        if weights is None:
            rest = iter(names)
            while batch := list(islice(rest, _UNWEIGHED_KEYS)):
                yield batch
            return
        batch, batch_bytes = [], 0
        for name, weight in zip(names, weights, strict=True):
            if batch and (batch_bytes + weight > _BATCH_BYTES or len(batch) == _BATCH_KEYS):
                yield batch
                batch, batch_bytes = [], 0
            batch.append(name)
            batch_bytes += weight + len(name)
        if batch:
            yield batch

    def _weigh(self, names: Sequence[bytes]) -> list[int] | None:
        """What each key takes in the server's memory; None where nobody says."""
        if not self._can_weigh:
            return None
        self._wire.send(b"*3\r\n$6\r\nMEMORY\r\n$5\r\nUSAGE\r\n$%d\r\n%b\r\n" % (len(name), name) for name in names)
        answers = [self._wire.reply() for _ in names]
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Refusal):
                if not (answer.is_denied or answer.is_unknown):
                    raise answer
                self._can_weigh = False
            elif isinstance(answer, int) and answer > MOST_VALUE_BYTES:
                raise self._too_large(name, answer)
        return [answer if isinstance(answer, int) else 0 for answer in answers] if self._can_weigh else None

    def _read_batch(self, batch: list[bytes]) -> Iterator[Read]:
        size = _TRANSACTION_KEYS if self._can_weigh and not self._is_cluster else 1
        groups = [batch[start : start + size] for start in range(0, len(batch), size)]
        self._wire.send(piece for group in groups for piece in self._commands(group))
        for group in groups:
            yield self._read_group(group)

    def _commands(self, group: list[bytes]) -> Iterator[bytes]:
        yield _MULTI
        if self._knows_expiry_times:
            for name in group:
                yield b"*2\r\n$11\r\nPEXPIRETIME\r\n$%d\r\n%b\r\n" % (len(name), name)
        else:
            # Right after one another: what is left is counted from a moment that is known to the millisecond.
            yield _TIME
            for name in group:
                yield b"*2\r\n$4\r\nPTTL\r\n$%d\r\n%b\r\n" % (len(name), name)
        for name in group:
            yield b"*2\r\n$4\r\nDUMP\r\n$%d\r\n%b\r\n" % (len(name), name)
        yield _EXEC

    def _read_group(self, group: list[bytes]) -> Read:
        count = 2 * len(group) + (not self._knows_expiry_times)
        if not self._wire.skip(_OK + _QUEUED * count):
            raise self._refused(group, count)
        try:
            answers = cast("list[Reply]", _granted(self._wire.reply()))
        except ValueTooLong as error:
            raise self._too_large(group[0] if len(group) == 1 else None, error.length_bytes) from error
        now_ms = None if self._knows_expiry_times else _milliseconds(answers.pop(0))
        return self._pair(group, answers, now_ms)

    def _pair(self, group: list[bytes], answers: list[Reply], now_ms: int | None) -> Read:
        found, half = Read(), len(group)
        for name, expiry, dump in zip(group, answers[:half], answers[half:], strict=True):
            if dump is None:
                found.vanished += 1
                continue
            if not isinstance(dump, bytes | bytearray) or not isinstance(expiry, int):
                raise self._undumpable(name, next(answer for answer in (dump, expiry) if isinstance(answer, Refusal)))
            if not assembly.is_plain_value(dump):
                raise self._undumpable(name, Refusal("ERR", "its dump is of a form that is not known"))
            version = assembly.check_dump(dump)
            if found.version not in (0, version):
                raise Refusal("ERR", "two formats in one answer")
            found.version = version
            expires_at_ms = None if expiry < 0 else expiry + (now_ms or 0)
            found.keys.append((name, dump, expires_at_ms))
        return found

    def _refused(self, group: list[bytes], count: int) -> Exception:
        """The error for a transaction that was not even queued."""
        for at in range(count + 1):
            answer = self._wire.reply()
            if not isinstance(answer, Refusal):
                continue
            if answer.is_denied and not answer.command:
                name = group[(at - 1 - count % 2) % len(group)]  # after MULTI, and TIME where that is asked
                hint = "Allow all keys to the rule's user: ACL SETUSER ... ~*"
                return KeyUndumpable(f"{self._describe(name)} may not be read by the rule's user.", hint=hint)
            return answer
        return Refusal("ERR", "a transaction was answered by something else")

    def _undumpable(self, name: bytes, refusal: Refusal) -> KeyUndumpable:
        return KeyUndumpable(
            f"{self._describe(name)} cannot be dumped: the server says {refusal.words}.",
            hint="Values of a module that writes none cannot be read key by key. Let the rule's `way` be `full-sync`, "
            "or remove the key.",
        )

    def _too_large(self, name: bytes | None, size_bytes: int) -> KeyUndumpable:
        what = self._describe(name) if name is not None else "A key"
        return KeyUndumpable(
            f"{what} takes {size_bytes:,} bytes; key by key at most {MOST_VALUE_BYTES:,} are read.",
            hint="Let the server allow SYNC to the rule's user, so that `way` can be `full-sync`, or cut the value up.",
        )

    def _describe(self, name: bytes) -> str:
        """A key as an error may show it, and what it is."""
        another = self._ask_again()
        try:
            with translated(Doing("Asking", self._server.address)):
                if self._database or not self._is_cluster:
                    another.ask("SELECT", self._database)
                kind = another.ask("TYPE", name).decode("ascii", "replace")
        except Exception:  # noqa: BLE001 - the key is what matters, its type only helps to find it
            kind = "unknown type"
        finally:
            another.close()
        return f"The key {show_key(name)} of {kind} in database {self._database}"


def show_key(name: bytes) -> str:
    """A key's beginning, without long numbers, and its length: enough to find it, little to tell."""
    text = _UNSHOWN.sub("?", name[:32].decode("latin-1"))
    return f"`{text}{'...' if len(name) > 32 else ''}` ({len(name)} bytes)"


def _granted(reply: Reply) -> Reply:
    if isinstance(reply, Refusal):
        raise reply
    return reply


def _milliseconds(time: Reply) -> int:
    seconds, microseconds = cast("list[bytes]", time)
    return int(seconds) * 1000 + int(microseconds) // 1000
