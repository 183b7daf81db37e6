"""The versions of what was measured, and how fast this machine does what bounds our copy."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Mapping

from tests.bench.clients import TOOLS
from tests.bench.servers import nginx_path

ASK_TIMEOUT_S = 30.0
_HASHED_BYTES = 64 << 20
_BY_IMPORT = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


def find_versions(environment: Mapping[str, str]) -> dict[str, str]:
    """Each program's version in a word; what is not there is left out."""
    tools = str(TOOLS / "python")
    asked = {
        "boto3": [sys.executable, "-c", _BY_IMPORT, "boto3"],
        "anycrc": [sys.executable, "-c", _BY_IMPORT, "anycrc"],
        "awscli": [tools, "-c", _BY_IMPORT, "awscli"],
        "obstore": [tools, "-c", _BY_IMPORT, "obstore"],
        "s5cmd": [str(TOOLS / "s5cmd"), "version"],
        "rclone": [str(TOOLS / "rclone"), "version"],
        "nginx": [nginx_path(), "-v"],
        "Ceph": ["ceph", "--version"],
    }
    found = {name: _ask(command, environment) for name, command in asked.items()}
    return {name: version for name, version in found.items() if version}


def _ask(command: list[str], environment: Mapping[str, str]) -> str:
    """The first word with a digit and a dot in what a program says of itself; "" where it cannot be asked."""
    try:
        ended = subprocess.run(
            command, env=dict(environment), capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False
        )
    except OSError:
        return ""
    words = (ended.stdout + ended.stderr).replace("/", " ").split() if ended.returncode == 0 else []
    return next((word for word in words if "." in word and any(letter.isdigit() for letter in word)), "")


def sha256_bytes_per_s() -> float:
    """How much one core of this machine hashes in a second of processor time."""
    data = bytes(_HASHED_BYTES)
    began_s = time.process_time()
    hashlib.sha256(data).digest()
    return _HASHED_BYTES / (time.process_time() - began_s)
