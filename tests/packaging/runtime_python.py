"""The Python of Lambda's runtime, where this machine has one."""

from __future__ import annotations

import shutil
import subprocess
import sys

VERSION = (3, 13)
# The middle of the names that this version gives to compiled files.
CACHE_TAG = f"cpython-{VERSION[0]}{VERSION[1]}"


def find_python() -> str | None:
    """Return a Python of the runtime's version that starts: a shim of pyenv's that is not active does not count."""
    found = sys.executable if sys.version_info[:2] == VERSION else shutil.which(f"python{VERSION[0]}.{VERSION[1]}")
    if found and subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode == 0:
        return found
    return None
