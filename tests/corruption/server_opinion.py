"""What a real server says of a file: its checking tool, and a server that is told to load it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.corruption.real_files import load_digest
from tests.local_cloud.dataset import Digest
from tests.local_cloud.engines import EngineError
from tests.local_cloud.redis_server import find_server

_CHECK_TIMEOUT_S = 60


@dataclass(frozen=True)
class Opinion:
    """`passes_check` is the tool's answer, `holds` what a server held after loading, `words` why it did not load."""

    passes_check: bool
    holds: Digest | None
    words: str = ""


def ask_server(directory: Path, data: bytes) -> Opinion:
    """Have real programs read these bytes."""
    passes_check = _check(directory, data)
    try:
        return Opinion(passes_check, load_digest(directory, data))
    except EngineError as error:
        return Opinion(passes_check, None, str(error))


def _check(directory: Path, data: bytes) -> bool:
    path = directory / "checked.rdb"
    path.write_bytes(data)
    server = find_server()
    # The checking tool is the server program under another name, so it is there wherever a server is.
    name = f"{server.product}-check-rdb"
    done = subprocess.run(
        [name, str(path)], executable=server.path, capture_output=True, timeout=_CHECK_TIMEOUT_S, check=False
    )
    return done.returncode == 0
