"""Ends waiting for a store that does not answer, or answers too slowly.

The time-out of a socket begins anew with each byte, so whoever sends one now and then never meets it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

from rdbkeeper.domain.errors import VaultUnavailable

_Result = TypeVar("_Result")


class Deadline:
    """A moment after which nothing more is asked of a store."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise VaultUnavailable once it has passed."""
        if time.monotonic() >= self._end:
            raise self.error()

    def error(self) -> VaultUnavailable:
        return VaultUnavailable(
            f"The store did not answer in time: looking at the vault was not done after {self._seconds:g} seconds.",
            hint="Look at the store and at the network on the way to it; the next probe asks again.",
        )


def in_time(seconds: float, work: Callable[[Deadline], _Result]) -> _Result:
    """What `work` returns or raises; VaultUnavailable when it has done neither after so many seconds.

    Work that was given up goes on until it next checks the deadline, or for as long as the store holds it.
    """
    deadline = Deadline(seconds)
    done: Future[_Result] = Future()

    def run() -> None:
        try:
            done.set_result(work(deadline))
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
            done.set_exception(error)

    Thread(target=run, name="deadline", daemon=True).start()
    wait([done], timeout=seconds)
    if not done.done():
        raise deadline.error()
    return done.result()
