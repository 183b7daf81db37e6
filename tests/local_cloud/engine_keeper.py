"""Ends what a Python process leaves behind, whatever way that process dies.

Run as a program of its own. It reads one request a line from its standard input: `+process <id>`,
`-process <id>`, `+directory <path>`, `-directory <path>`. The input ends when the process that holds the
other end has died; then every process group still noted is killed and every directory still noted is removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterable


def keep(requests: Iterable[str]) -> None:
    """Note processes and directories until the requests end, then end and remove what is still noted."""
    processes: set[int] = set()
    directories: set[str] = set()
    for request in requests:
        verb, _, value = request.rstrip("\n").partition(" ")
        if verb == "+process":
            processes.add(int(value))
        elif verb == "-process":
            processes.discard(int(value))
        elif verb == "+directory":
            directories.add(value)
        elif verb == "-directory":
            directories.discard(value)
    for process_id in processes:
        end_process_group(process_id)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def end_process_group(process_id: int) -> None:
    """Kill a process that leads its group, and its children; one that is gone already is fine."""
    try:
        os.killpg(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    # Whoever stops the parent with Ctrl-C or a group-wide signal must not stop its keeper first.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    keep(sys.stdin)
