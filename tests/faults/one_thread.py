"""Does what several lanes do in the one thread of the harness, so that a schedule always tells the same story.

What a live stream's lanes do is done as late as any pool may do it, so that a buffer which is used again too early
shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from rdbkeeper.flows.fleet import thawing
from rdbkeeper.flows.runs import live

_POOL, _LOOKS_POOL = live.ThreadPoolExecutor, thawing.ThreadPoolExecutor
_PART_BYTES_FOR = live.part_bytes_for
_inside: list[int] = []  # invocations that are going: in a simulation they take turns


class LateFuture:
    """What somebody is to do once its result is asked for."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self._do = do
        self._is_done = False
        self._result: Any = None
        self._error: Exception | None = None

    def finish(self) -> None:
        if self._is_done:
            return
        self._is_done = True
        try:
            self._result = self._do()
        except Exception as error:  # noqa: BLE001 - as a pool does
            self._error = error

    def result(self) -> Any:
        self.finish()
        if self._error is not None:
            raise self._error
        return self._result


class LatePool:
    """A pool that is always behind."""

    def __init__(self, most: int, thread_name_prefix: str = "") -> None:
        self._futures: list[LateFuture] = []

    def submit(self, do: Callable[..., Any], *given: Any) -> LateFuture:
        self._futures.append(LateFuture(lambda: do(*given)))
        return self._futures[-1]

    def map(self, do: Callable[[Any], Any], given: Iterable[Any]) -> list[Any]:
        return [do(one) for one in given]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None or issubclass(kind, Exception):  # a process that died does nothing any more
            for future in self._futures:
                with suppress(Exception):
                    future.finish()


@contextmanager
def one_thread(part_bytes: int) -> Iterator[None]:
    """While it lasts, streams are cut into parts of that size, which are put by this thread."""
    _inside.append(part_bytes)
    live.ThreadPoolExecutor = LatePool  # type: ignore[misc, assignment]
    live.part_bytes_for = lambda file: part_bytes
    try:
        yield
    finally:
        _inside.pop()
        if not _inside:
            live.ThreadPoolExecutor, live.part_bytes_for = _POOL, _PART_BYTES_FOR  # type: ignore[misc]


@contextmanager
def look_in_one_thread() -> Iterator[None]:
    """While it lasts, what was left frozen is thawed by this thread."""
    thawing.ThreadPoolExecutor = LatePool  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        thawing.ThreadPoolExecutor = _LOOKS_POOL  # type: ignore[misc]
