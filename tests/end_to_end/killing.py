"""Kills the processes of a function with SIGKILL, at moments that a seeded generator of random numbers chooses."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from tests.local_cloud.durable import CLOSED_STATUSES
from tests.local_cloud.permissions.calls import Call
from tests.local_cloud.server import LocalCloud

# One kill in six comes while a new process still loads its code, which takes it most of a second.
_SHARE_AT_START = 1 / 6
_LOADING_S = 0.8
_WAKING_S = 0.01
# How long it may take until a kill is seen to have cut an invocation off; one of an idle process never is.
_CUT_OFF_S = 2.0
_REASON = "signal: killed"


@dataclass(frozen=True)
class Moment:
    """When to kill: after so many more calls, of one operation if named, and then a little later.

    After no call at all means: as soon as there is a process that was not killed yet.
    """

    calls: int
    delay_s: float
    operation: str = ""


def soon_after(operations: Iterable[str], chance: random.Random) -> Iterator[Moment]:
    """Moments that follow the next call of each of these operations."""
    for operation in operations:
        yield Moment(1, chance.uniform(0, 0.05), operation)


def at_random(chance: random.Random, first_calls: int, most_calls: int) -> Iterator[Moment]:
    """Moments without end: the first within so many calls, each other one within so many more."""
    most = first_calls
    while True:
        if chance.random() < _SHARE_AT_START:
            yield Moment(0, chance.uniform(0, _LOADING_S))
        else:
            yield Moment(chance.randint(1, most), chance.uniform(0, 0.1))
        most = most_calls


class Killer:
    """Kills a function's processes while an execution of it is going.

    `hits` names for each kill that cut an invocation off the last call that had been made, "" for none; a kill of an
    idle process is not in it.
    """

    def __init__(self, cloud: LocalCloud, function: str, role: str) -> None:
        self.hits: list[str] = []
        self._cloud = cloud
        self._function = function
        self._role = role
        self._calls: list[str] = []
        self._called = threading.Condition()
        self._killed: set[int] = set()
        self._failures_seen = len(cloud.functions.failures)
        cloud.watchers.append(self._note)

    def _note(self, role: str, call: Call) -> None:
        if role == self._role:
            with self._called:
                self._calls.append(call.operation)
                self._called.notify_all()

    def strike(self, execution: str, moments: Iterable[Moment], most: int) -> None:
        """Kill at each of the moments, so many times at most, until the execution has ended."""
        for moment in islice(moments, most):
            if not self._wait_for(moment, execution):
                return
            time.sleep(moment.delay_s)
            self._kill()

    def _wait_for(self, moment: Moment, execution: str) -> bool:
        """Return True when the moment has come, False when the execution has ended before it."""
        with self._called:
            begin = len(self._calls)
            while not self._has_come(moment, begin):
                if self._cloud.executions.status(execution)["Status"] in CLOSED_STATUSES:
                    return False
                self._called.wait(_WAKING_S)
        return True

    def _has_come(self, moment: Moment, begin: int) -> bool:
        if moment.calls == 0:
            return bool(set(self._cloud.functions.processes(self._function)) - self._killed)
        calls = [call for call in self._calls[begin:] if moment.operation in ("", call)]
        return len(calls) >= moment.calls

    def _kill(self) -> None:
        with self._called:
            last_call = self._calls[-1] if self._calls else ""
        self._killed.update(self._cloud.functions.kill(self._function))
        failures = self._cloud.functions.failures
        deadline = time.monotonic() + _CUT_OFF_S
        while len(failures) == self._failures_seen and time.monotonic() < deadline:
            time.sleep(_WAKING_S)
        self.hits += [last_call for failed in failures[self._failures_seen :] if _REASON in failed.error.message]
        self._failures_seen = len(failures)
