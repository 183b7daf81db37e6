"""Sees to it that processes and directories do not outlive this Python process, however it dies."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.local_cloud import engine_keeper


class Keeper:
    """One helper process for this Python process; see engine_keeper."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def tell(self, request: str) -> None:
        with self._lock:
            process = self._running()
            if process.stdin is None:
                raise RuntimeError("the keeper of processes has no standard input")
            process.stdin.write(request + "\n")
            process.stdin.flush()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._owner != os.getpid():
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", engine_keeper.__file__],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            atexit.register(self._finish, self._process, self._owner)
        return self._process

    @staticmethod
    def _finish(process: subprocess.Popen[str], owner: int) -> None:
        if owner == os.getpid() and process.stdin is not None:
            process.stdin.close()
            process.wait(timeout=10)


_keeper = Keeper()


def make_directory(purpose: str) -> Path:
    """Make a temporary directory that is removed by remove_directory, or when this process dies."""
    directory = Path(tempfile.mkdtemp(prefix=f"rdbkeeper-{purpose}-"))
    _keeper.tell(f"+directory {directory}")
    return directory


def remove_directory(directory: Path) -> None:
    """Remove a directory that make_directory made; repeating it is harmless."""
    shutil.rmtree(directory, ignore_errors=True)
    _keeper.tell(f"-directory {directory}")


def keep_process(process_id: int) -> None:
    """See that a process that leads its own group is killed when this process dies."""
    _keeper.tell(f"+process {process_id}")


def forget_process(process_id: int) -> None:
    """Say that a kept process has ended and was reaped."""
    _keeper.tell(f"-process {process_id}")
