"""A source and its provider, with which every contract of a source is held; in memory and in the local cloud.

To hold the contracts with one more source: write a place, which is a class with what `Provider` says and a context
manager that gives one, with an instance `pair` whose backups make the files 0001 and 0002, and leaves nothing behind;
and name it in PLACES. `request` gives it fixtures such as `cloud` and `deployment`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import pytest

from rdbkeeper.domain.backup import Backup, Instance, StagedFile
from rdbkeeper.ports import Source
from tests.contract.aws_source_places import elasticache_place, memorydb_place, serverless_place
from tests.contract.source_moments import FIRST_NIGHT
from tests.fakes.rdb_files import rdb_file
from tests.fakes.source import MemorySource

__all__ = ["FIRST_NIGHT"]

FILES = ["0001", "0002"]


class Provider(Protocol):
    """A source, and what happens at the provider without it."""

    @property
    def source(self) -> Source: ...

    @property
    def tells_shards(self) -> bool:
        """Whether the list of backups says which shards each has, before its files do."""

    @property
    def usual_status(self) -> str:
        """The provider's word for an instance that works."""

    @property
    def stages(self) -> bool:
        """Whether a backup's files can be read only once they were exported."""

    @property
    def names_backups(self) -> bool:
        """Whether a backup that was asked for under a name has it as its id."""

    def now(self) -> datetime: ...

    def take_backup(self, name: str, taken_at: datetime) -> None:
        """Take a manual backup of the pair that is complete on return."""

    def lose_backup(self, name: str) -> None: ...

    def set_status(self, status: str, *, available: bool) -> None: ...

    def remove(self) -> None:
        """Delete the pair; its manual backups stay."""

    def overwrite(self, file: StagedFile) -> None:
        """Put other bytes where a staged file lies."""

    def hold_making(self, held: bool) -> None:
        """Keep backups that are asked for from being complete while held."""

    def fail_making(self) -> None:
        """Let the next backup that is asked for fail."""


Place = Callable[[pytest.FixtureRequest], AbstractContextManager[Provider]]


@dataclass
class Memory:
    tells_shards = True
    usual_status, stages, names_backups = "available", True, True
    source: MemorySource

    def now(self) -> datetime:
        return self.source.clock.now()

    def take_backup(self, name: str, taken_at: datetime) -> None:
        files = {"0001": rdb_file(300), "0002": rdb_file(400)}
        self.source.add_backup("pair", name, taken_at, files, automatic=False, source_size="2 MB")

    def lose_backup(self, name: str) -> None:
        self.source.lose_backup("pair", name)

    def set_status(self, status: str, *, available: bool) -> None:
        self.source.set_status("pair", status, available=available)

    def remove(self) -> None:
        self.source.remove_instance("pair")

    def overwrite(self, file: StagedFile) -> None:
        self.source.staged[file.key] = b"another"

    def hold_making(self, held: bool) -> None:
        self.source.looks_until_made = 1_000_000 if held else 2

    def fail_making(self) -> None:
        self.source.fails_to_make_next = True


@contextmanager
def memory_place(_: pytest.FixtureRequest) -> Iterator[Memory]:
    source = MemorySource(looks_until_ready=2)
    source.add_instance("pair")
    source.data["pair"] = {"0001": rdb_file(300), "0002": rdb_file(400)}
    yield Memory(source)


PLACES: dict[str, Place] = {
    "memory": memory_place,
    "elasticache": elasticache_place,
    "elasticache-serverless": serverless_place,
    "memorydb": memorydb_place,
}
# Where each attempt stages files of its own; the others stage a backup's files for one rule at a time, or stage none.
NAMING = ("memory", "elasticache", "memorydb")


@pytest.fixture(params=PLACES)
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    with PLACES[request.param](request) as place:
        yield place


@pytest.fixture(params=NAMING)
def naming_provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    with PLACES[request.param](request) as place:
        yield place


def pair(source: Source) -> Instance:
    found = source.find_instance("pair")
    assert found is not None
    return found


def only_backup(source: Source) -> Backup:
    (backup,) = source.backups(pair(source))
    return backup


def wait_for_files(source: Source, backup: Backup, attempt: str) -> tuple[StagedFile, ...]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (files := source.find_staged_files(backup, attempt)) is not None:
            return files
        time.sleep(0.02)
    raise AssertionError("the export did not become readable")


def far_from_now(provider: Provider) -> datetime:
    """A moment before which everything was staged."""
    return provider.now() + timedelta(minutes=1)


def read(source: Source, file: StagedFile, first_byte: int, length_bytes: int) -> bytes:
    stream, data = source.open_range(file, first_byte, length_bytes), b""
    buffer = memoryview(bytearray(length_bytes))
    while got := stream.readinto(buffer):
        data += bytes(buffer[:got])
    stream.close()
    return data
