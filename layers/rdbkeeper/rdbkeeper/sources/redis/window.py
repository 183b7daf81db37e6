"""How many keys a server is asked for at once, so that its answers take little of its memory, and of ours.

A server holds an answer until it has been sent, and counts it towards its `maxmemory`: a cache that is asked for much
at once evicts its owner's keys. Sources: "Key eviction" and "Redis client handling" (output buffers) of Redis.
"""

from __future__ import annotations

from collections.abc import Sequence

LARGE_BYTES = 1 << 15
"""A value that is larger is asked for alone."""
SAMPLES = 1024
"""How many elements of a value are weighed. So many take about LARGE_BYTES: a lighter value was weighed whole."""

MOST_BYTES = 1 << 20
_MOST_KEYS = 256
# With one value in a hundred that is large and weighed wrong, it is rare that two of them are asked for together.
_SEEN_FOR_EACH = 8


class Window:
    """Grows from one key while answers are as small as they were weighed; one that is not makes it begin anew.

    A key that nobody weighed is taken to weigh LARGE_BYTES.
    """

    def __init__(self) -> None:
        self._calm_keys = 0

    def fit(self, weights: Sequence[int], start: int) -> int:
        """How many keys from `start` on may be asked for together; at least one."""
        most_keys = min(max(1, self._calm_keys // _SEEN_FOR_EACH), _MOST_KEYS, len(weights) - start)
        together = 0
        for count in range(most_keys):
            weight = weights[start + count]
            together += weight
            if weight > LARGE_BYTES or together > MOST_BYTES:
                return max(1, count)
        return most_keys

    def saw(self, sizes: Sequence[int], weights: Sequence[int]) -> None:
        """Take into account what keys of these weights were answered with."""
        if max(sizes) <= LARGE_BYTES:  # as nearly always
            self._calm_keys += len(sizes)
            return
        for size, weight in zip(sizes, weights, strict=True):
            self._calm_keys = 0 if size > max(weight, LARGE_BYTES) else self._calm_keys + 1
