"""Asks a server for its keys: their names, what they weigh, their values and expiries, so many at once as it bears."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from rdbkeeper.domain.errors import KeyUndumpable, SourceDenied
from rdbkeeper.rdb import assembly
from rdbkeeper.sources.redis.connection import Server
from rdbkeeper.sources.redis.pacing import KeyPace
from rdbkeeper.sources.redis.refusals import Doing, NotRedis, Refusal, ValueTooLong, taken_apart, translated
from rdbkeeper.sources.redis.window import LARGE_BYTES, MOST_BYTES, SAMPLES, Window
from rdbkeeper.sources.redis.wire import MOST_VALUE_BYTES, Reply, command

_SCAN_KEYS = 512
# As many as a server answers in one go, while its other clients wait.
_TRANSACTION_KEYS = 16
# What is held of one transaction's answer; as much as it can be without a value that was weighed wrong, and some more.
_MOST_TOGETHER_BYTES = 2 * MOST_BYTES
# More than weights can mislead: a dump may take a fifth of its value's memory, or less where it is compressed. Beyond,
# the server is spared to write one.
_MOST_WEIGHTS = 16
_OK, _QUEUED = b"+OK\r\n", b"+QUEUED\r\n"
_MULTI, _EXEC, _TIME = command("MULTI"), command("EXEC"), command("TIME")
_SAMPLES = b"$7\r\nSAMPLES\r\n$%d\r\n%d\r\n" % (len(str(SAMPLES)), SAMPLES)
_SEPARATOR = re.compile(rb"[:./]")
_UNSHOWN = re.compile(r"[^ -~]|[0-9]{6,}")


@dataclass
class Read:
    """What one transaction brought: name, dump and expiry of each key, the dumps' version, how many were gone.

    `too_long` are keys that are still to be asked for, each alone.
    """

    keys: list[tuple[bytes, bytes | bytearray, int | None]] = field(default_factory=list)
    version: int = 0
    vanished: int = 0
    too_long: list[bytes] = field(default_factory=list)


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
        self._window = Window()
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

        Raises Refusal, KeyUndumpable, SourceDenied, ChecksumMismatch, OSError, EOFError.
        """
        for found in self._scan():
            names = choose(found)
            weights = self._weigh(names)
            start = 0
            while start < len(names):
                end = start + self._window.fit(weights, start)
                self._pace.take(end - start)
                yield from self._read_together(names[start:end], weights[start:end])
                start = end

    def _scan(self) -> Iterator[Sequence[bytes]]:
        cursor = b"0"
        while True:
            self._wire.send([command("SCAN", cursor, "COUNT", min(_SCAN_KEYS, self._pace.burst_keys))])
            try:
                answer = _granted(self._wire.reply())
            except ValueTooLong as error:
                raise self._too_large(None, error.length_bytes) from error
            if not isinstance(answer, list) or len(answer) != 2:
                raise NotRedis
            cursor, names = cast("tuple[bytes, list[bytes]]", answer)
            if names:
                yield names
            if cursor == b"0":
                return

    def _weigh(self, names: Sequence[bytes]) -> list[int]:
        """What each key takes in the server's memory, or is taken to where nobody says."""
        unweighed = [LARGE_BYTES] * len(names)
        if not self._can_weigh:
            return unweighed
        self._wire.send(
            b"*5\r\n$6\r\nMEMORY\r\n$5\r\nUSAGE\r\n$%d\r\n%b\r\n%b" % (len(name), name, _SAMPLES) for name in names
        )
        answers = [self._wire.reply() for _ in names]
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Refusal):
                # ERR is what a server says that does not know the command, or not the samples.
                if not answer.is_denied and answer.code != "ERR":
                    raise answer
                self._can_weigh = False
            elif isinstance(answer, int) and answer > _MOST_WEIGHTS * MOST_VALUE_BYTES:
                raise self._too_large(name, answer)
        return [answer if isinstance(answer, int) else 0 for answer in answers] if self._can_weigh else unweighed

    def _read_together(self, names: list[bytes], weights: list[int]) -> Iterator[Read]:
        size = _TRANSACTION_KEYS if self._can_weigh and not self._is_cluster else 1
        groups = [names[start : start + size] for start in range(0, len(names), size)]
        self._wire.send(piece for group in groups for piece in self._commands(group))
        again: list[bytes] = []
        for start, group in zip(range(0, len(names), size), groups, strict=True):
            found = self._read_group(group, weights[start : start + size])
            again += found.too_long
            yield found
        for name in again:
            self._wire.send(self._commands([name]))
            yield self._read_group([name], [MOST_VALUE_BYTES])

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

    def _read_group(self, group: list[bytes], weights: list[int]) -> Read:
        count = 2 * len(group) + (not self._knows_expiry_times)
        if not self._wire.skip(_OK + _QUEUED * count):
            raise self._refused(group, count)
        is_one = len(group) == 1
        try:
            answers = _granted(self._wire.reply(None if is_one else _MOST_TOGETHER_BYTES))
        except ValueTooLong as error:
            raise self._too_large(group[0] if is_one else None, error.length_bytes) from error
        if not isinstance(answers, list) or len(answers) != count:
            raise NotRedis
        now_ms = None if self._knows_expiry_times else _milliseconds(answers.pop(0))
        self._window.saw([_size_of(dump) for dump in answers[len(group) :]], weights)
        return self._pair(group, answers, now_ms)

    def _pair(self, group: list[bytes], answers: list[Reply], now_ms: int | None) -> Read:
        found, half = Read(), len(group)
        for name, expiry, dump in zip(group, answers[:half], answers[half:], strict=True):
            if dump is None:
                found.vanished += 1
                continue
            if isinstance(dump, ValueTooLong):
                found.too_long.append(name)
                continue
            if not isinstance(dump, bytes | bytearray) or not isinstance(expiry, int):
                said = [answer for answer in (dump, expiry) if isinstance(answer, Refusal)]
                raise self._undumpable(name, *said[:1] or [Refusal("ERR", "something that is no dump")])
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
                return SourceDenied(f"{self._describe(name)} may not be read by the rule's user.", hint=hint)
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
    """What a key is called before its first colon, its length and its sum: the rest of its name may be a secret."""
    prefix, *rest = _SEPARATOR.split(name, maxsplit=1)
    shown = _UNSHOWN.sub("?", prefix[:16].decode("latin-1")) if rest else ""
    return f"`{shown}...` ({len(name)} bytes, SHA-256 {hashlib.sha256(name).hexdigest()[:8]}...)"


def _size_of(dump: Reply) -> int:
    if isinstance(dump, bytes | bytearray):
        return len(dump)
    return dump.length_bytes if isinstance(dump, ValueTooLong) else 0


def _granted(reply: Reply) -> Reply:
    if isinstance(reply, Refusal):
        raise reply
    return reply


@taken_apart()
def _milliseconds(time: Reply) -> int:
    seconds, microseconds = cast("list[bytes]", time)
    return int(seconds) * 1000 + int(microseconds) // 1000
