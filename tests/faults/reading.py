"""What each execution was shown: copies, its rule, and the bytes of objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.reference import KnownCopy

if TYPE_CHECKING:
    from rdbkeeper.domain.rule import Rule


@dataclass
class Seen:
    """What an execution was shown last: the copies of its place, and its rule."""

    copies: tuple[KnownCopy, ...] = ()
    listed_at: int = -1  # the number of the event
    rule: Rule | None = None
    calls_since_rule: int = 0
    found_instance: bool = False


class Reading:
    """Listens to streams."""

    def __init__(self) -> None:
        self._stretches: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)

    def listener(self, arn: str, key: str, first_byte: int, body: bytes) -> Callable[[int, memoryview], None]:
        """Who is to be told what one stream delivers: where in its range, and which bytes. Right ones count."""
        stretches = self._stretches[arn, key]

        def tell(offset: int, delivered: memoryview) -> None:
            begin = first_byte + offset
            if bytes(delivered) == body[begin : begin + len(delivered)]:
                stretches.append((begin, begin + len(delivered)))

        return tell

    def forget(self, key: str) -> None:
        """Let go of what was read of an object."""
        for known in [known for known in self._stretches if known[1] == key]:
            del self._stretches[known]

    def covers_by_any(self, key: str, size_bytes: int) -> bool:
        """True when some execution, with its workers, has read every byte of an object."""
        return any(self.covers(arn, key, size_bytes) for arn, of_key in list(self._stretches) if of_key == key)

    def covers(self, arn: str, key: str, size_bytes: int) -> bool:
        """True when an execution has read every byte of an object, rightly, in whatever order."""
        reached = 0
        for begin, end in sorted(self._stretches.get((arn, key), ())):
            if begin > reached:
                return False
            reached = max(reached, end)
        return reached >= size_bytes


def place_of(manifest: str) -> str:
    """The path of the place in which a manifest lies."""
    return manifest.partition("manifests/")[0]


def copy_id_of(manifest: str) -> str:
    """The id of the copy that a manifest describes."""
    return manifest.rsplit("/", 1)[-1].rsplit(".", 2)[0]
