"""Functions of the owner's that are called around a backup."""

from __future__ import annotations

from typing import Protocol

from rdbkeeper.ports.records import Record


class Hooks(Protocol):
    """Calls the owner's functions."""

    def call(self, function: str, payload: Record, longest_s: float) -> None:
        """Call a function and wait for its end, at most so long. Raises HookFailed, also where it answers that it did.

        It is HookUnanswered when no answer comes: the function may still be at work; HookUncalled when the call was
        refused, so that nothing was done; and of these HookMissing where there is no such function.
        """
