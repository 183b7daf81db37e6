"""Work that a stand-in goes on with after it has answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from tests.local_cloud.leftovers import make_directory, remove_directory

log = logging.getLogger(__name__)


class Background:
    """Threads that end with their stand-in, a lock for what they share, and a directory for its files.

    Hold `lock` while reading two things or writing one. `problems` says what went wrong so far.
    """

    def __init__(self, purpose: str) -> None:
        self.lock = threading.RLock()
        self.problems: list[str] = []
        self.closing = threading.Event()
        self.directory = make_directory(purpose)
        self._threads: list[threading.Thread] = []
        self._file_count = 0

    def run_in_background(self, work: Callable[[], None], what: str) -> None:
        """Run work in a thread that end() waits for; a failure is logged and kept in `problems`."""

        def run() -> None:
            try:
                work()
            except Exception as error:
                self.problems.append(f"{what}: {error}")
                log.exception("%s failed", what)

        thread = threading.Thread(target=run, name=what, daemon=True)
        with self.lock:
            self._threads = [known for known in self._threads if known.is_alive()] + [thread]
        thread.start()

    def new_file(self) -> Path:
        """Return a path in the directory that nothing has used yet."""
        with self.lock:
            self._file_count += 1
            return self.directory / f"{self._file_count:06d}.rdb"

    def end(self) -> None:
        """Tell all background work to end and wait for it; repeating it is harmless."""
        self.closing.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def remove_files(self) -> None:
        """Remove the directory with all that is in it."""
        remove_directory(self.directory)
