"""How the making of backups goes: it takes a while, is held back, or fails, as a test says."""

from __future__ import annotations

import threading

from tests.local_cloud.managed.background import Background

TAKES_S = 0.2


class Making:
    """Decides over backups that are asked for through the service's API; each is `creating` meanwhile."""

    def __init__(self, background: Background, takes_s: float = TAKES_S) -> None:
        self._background = background
        self._takes_s = takes_s
        self._released = threading.Event()
        self._released.set()
        self._failures = 0

    def hold(self, held: bool) -> None:
        """Keep every backup from being finished while held."""
        if held:
            self._released.clear()
        else:
            self._released.set()

    def fail_next(self, times: int = 1) -> None:
        """Let the next so many backups fail."""
        self._failures = times

    def wait(self) -> bool:
        """Return True when the backup is to be taken now, False when everything ends."""
        if self._background.closing.wait(self._takes_s):
            return False
        while not self._released.wait(0.05):
            if self._background.closing.is_set():
                return False
        return not self._background.closing.is_set()

    def fails(self) -> bool:
        """True when this backup is one that is to fail; each asking counts."""
        with self._background.lock:
            failing = self._failures > 0
            self._failures -= failing
        return failing
