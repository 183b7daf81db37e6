"""Calls that fail: any port, any one of its calls, before it has done anything or after it has done it all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Faults:
    """Lets the `at`th call fail, counted from 1 over every port that shares this; 0 lets none fail and only counts.

    `when` says whether the call has had its effect ("after": its answer got lost) or none ("before"). It fails once:
    whoever tries again gets through. `calls` is the log, the failed one included: `MemoryRuleTable.create_rule`.
    """

    at: int = 0
    when: Literal["before", "after"] = "before"
    error: BaseException = field(default_factory=lambda: ConnectionError("made to fail"))
    calls: list[str] = field(default_factory=list)

    @property
    def struck(self) -> bool:
        """True once a call was made to fail."""
        return 0 < self.at <= len(self.calls)


class FaultyPort:
    """A port whose public methods are counted and may fail; everything else is the port's own."""

    def __init__(self, port: Any, faults: Faults) -> None:
        self._port = port
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if name.startswith("_") or not callable(value):
            return value
        faults = self._faults

        def call(*arguments: Any, **named: Any) -> Any:
            faults.calls.append(f"{type(self._port).__name__}.{name}")
            strikes = len(faults.calls) == faults.at
            if strikes and faults.when == "before":
                raise faults.error
            answer = value(*arguments, **named)
            if strikes:
                raise faults.error
            return answer

        return call
