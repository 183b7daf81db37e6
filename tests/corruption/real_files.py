"""RDB files that a real server wrote, and what it held when it wrote them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.corruption.forging import forge_checksum
from tests.local_cloud.dataset import Digest, digest, fill
from tests.local_cloud.engines import Engine

# Short strings stand in a file as they are; longer ones may be compressed, and numbers are not written as text.
WITNESS = b"all is well"
ANCHOR = b"<anchor>"
ZEROS_AFTER_FF = b"\xff" + bytes(8)
# None of these bytes is 0x00 or 0xff, so what follows from a file's last nine bytes is the same each time.
FIXED_CHECKSUM = 0x0123456789ABCDEF

_VERSION = re.compile(rb"REDIS(\d{4})|VALKEY(\d{3})")


@dataclass(frozen=True)
class RealFile:
    """One file as the server wrote it; `digest` is what that server held, or holds after loading it."""

    name: str
    data: bytes
    digest: Digest


@dataclass(frozen=True)
class RealFiles:
    """The files that get damaged.

    `various` are as different as files get, from an empty server's to one with every type. `fixed` holds every type
    and the marked strings, and its CRC64 is FIXED_CHECKSUM. `without_sum` was written with rdbchecksum off.
    """

    various: tuple[RealFile, ...]
    fixed: RealFile
    without_sum: RealFile


def find_version(header: bytes) -> int | None:
    """The format version that a header states, or None when it is no RDB file's."""
    match = _VERSION.fullmatch(header)
    return int(match[1] or match[2]) if match else None


def make_real_files(directory: Path) -> RealFiles:
    """Start real servers, fill them, and keep the files that they save."""
    rich = _save(directory, "rich", _fill_with_every_type(1))
    plain = _save(directory, "plain", _fill_with_every_type(2), "--rdbcompression", "no")
    small = _save(directory, "small", _fill_a_little)
    empty = _save(directory, "empty", _leave_empty)
    marked = _save(directory, "marked", _fill_with_marks)
    without_sum = _save(directory, "without sum", _fill_a_little, "--rdbchecksum", "no")
    return RealFiles((rich, plain, small, empty), _fix_checksum(directory, marked), without_sum)


def load_digest(directory: Path, data: bytes) -> Digest:
    """What a server holds after loading these bytes. Raises EngineError when it refuses them."""
    path = directory / "loaded.rdb"
    path.write_bytes(data)
    with Engine(rdb=path) as engine:
        return digest(engine.port)


class _ConfiguredEngine(Engine):
    """A server with further words on its command line."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self._words = words

    def _arguments(self, directory: Path) -> list[str]:
        return [*super()._arguments(directory), *self._words]


def _save(directory: Path, name: str, fill_it: Callable[[Engine], None], *words: str) -> RealFile:
    with _ConfiguredEngine(words) as engine:
        fill_it(engine)
        path = engine.bgsave(directory / f"{name}.rdb")
        return RealFile(name, path.read_bytes(), digest(engine.port))


def _fix_checksum(directory: Path, file: RealFile) -> RealFile:
    data = forge_checksum(file.data, file.data.index(ANCHOR), FIXED_CHECKSUM)
    return RealFile("fixed", data, load_digest(directory, data))


def _fill_with_every_type(seed: int) -> Callable[[Engine], None]:
    return lambda engine: fill(engine.port, seed=seed, spread_keys=60)


def _fill_a_little(engine: Engine) -> None:
    engine.command("SET", "witness", WITNESS)
    engine.command("SET", "expiring", "later", "PXAT", 4_102_444_800_123)
    engine.command("RPUSH", "list", "first", "second")
    engine.command("HSET", "hash", "field", "value", "other", 12)
    engine.command("ZADD", "sorted", 1.5, "one", 2, "two")
    engine.command("XADD", "stream", "1-1", "field", "value")


def _fill_with_marks(engine: Engine) -> None:
    _fill_with_every_type(3)(engine)
    engine.command("SET", "witness", WITNESS)
    engine.command("SET", "anchor", ANCHOR)
    engine.command("SET", "zeros", ZEROS_AFTER_FF)


def _leave_empty(engine: Engine) -> None:
    """A server that holds nothing still saves a file."""
