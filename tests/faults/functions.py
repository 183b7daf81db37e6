"""The owner's two functions: one freezes the writes of an application, the other lets them go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rdbkeeper.domain.errors import HookFailed
from rdbkeeper.ports import Record

if TYPE_CHECKING:
    from tests.fakes.clock import FakeClock

FREEZE = "stop-writes"
THAW = "let-writes-go-on"
Held = tuple[str, str]  # an instance, and the alias of the functions by which its writes are frozen


@dataclass(frozen=True)
class Frozen:
    """Since when writes are frozen (seconds of the world's clock), and how often any were before."""

    since_s: float
    number: int


@dataclass
class OwnersFunctions:
    """What one function freezes the other of the same alias thaws, and that of a newer alias, and no other one.

    So it must be: the functions that a rule names by now are called where those of before fail.
    """

    clock: FakeClock
    missing: set[str] = field(default_factory=set)
    half_done: bool = False  # what freezes fails when it has frozen
    calls: list[tuple[str, str]] = field(default_factory=list)
    frozen: dict[Held, Frozen] = field(default_factory=dict)
    lasted_s: dict[int, float] = field(default_factory=dict)
    _count: int = 0

    def call(self, function: str, payload: Record, longest_s: float) -> None:
        phase, instance = payload["phase"], payload["instance"]
        name, _, alias = function.partition(":")
        self.calls.append((function, phase))
        if name in self.missing or name != {"freeze": FREEZE, "thaw": THAW}[phase] or longest_s <= 0:
            raise HookFailed(f"Calling the hook {function} to {phase} writes failed: there is none.")
        if phase == "freeze":
            if (instance, alias) not in self.frozen:
                self._count += 1
                self.frozen[instance, alias] = Frozen(self.clock.monotonic(), self._count)
            if self.half_done:
                raise HookFailed(f"The hook {function}, called to {phase} writes, failed.")
        else:
            for held in {(instance, ""), (instance, alias)} & self.frozen.keys():
                frozen = self.frozen.pop(held)
                self.lasted_s[frozen.number] = self.clock.monotonic() - frozen.since_s

    def numbers(self, instance: str) -> frozenset[int]:
        """Which of all freezes hold writes to an instance now."""
        return frozenset(frozen.number for (of, _), frozen in self.frozen.items() if of == instance)

    def count(self, phase: str) -> int:
        return sum(of_phase == phase for _, of_phase in self.calls)
