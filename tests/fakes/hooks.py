"""The owner's functions in memory: what was called, and what each is to do when it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rdbkeeper.domain.errors import HookMissing
from rdbkeeper.ports import Record


@dataclass
class MemoryHooks:
    """A function that is not among `functions` does not exist; one that raises has failed."""

    functions: dict[str, Callable[[Record], None]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def call(self, function: str, payload: Record, longest_s: float) -> None:
        assert set(payload) == {"rule", "provider", "instance", "run", "phase"}
        assert longest_s > 0
        self.calls.append((function, payload["phase"]))
        if function not in self.functions:
            raise HookMissing(f"Calling the hook {function} to {payload['phase']} writes failed: there is none.")
        self.functions[function](payload)
