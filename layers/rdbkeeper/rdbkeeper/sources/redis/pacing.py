"""Keeps reading at a rate that the source can bear."""

from __future__ import annotations

from rdbkeeper.ports import Clock


class KeyPace:
    """Lets so many keys pass a second; time that was not used up is not made up for."""

    def __init__(self, clock: Clock, keys_per_second: int) -> None:
        self._clock = clock
        self._rate = keys_per_second
        self._free_at = clock.monotonic()

    @property
    def burst_keys(self) -> int:
        """As many keys as may be looked at in one go."""
        return max(10, self._rate // 10)

    def take(self, keys: int) -> None:
        """Wait until these keys may be read."""
        now = self._clock.monotonic()
        if self._free_at > now:
            self._clock.sleep(self._free_at - now)
        self._free_at = max(self._free_at, now) + keys / self._rate
