"""Lets writes go on that a run has frozen, whoever finds them frozen: the run, the next one, or the hourly look."""

from __future__ import annotations

from rdbkeeper.domain.backup_first import Freeze
from rdbkeeper.ports import Hooks, Journal, Record, RunTable

# How long a hook may take. A synchronous call may last 15 minutes; one that freezes writes should take seconds.
LONGEST_HOOK_S = 60.0


def hook_request(rule: str, instance: str, run: str, phase: str) -> Record:
    """What a hook is called with; `phase` is `freeze` or `thaw`, so that one function can be both."""
    return {"rule": rule, "instance": instance, "run": run, "phase": phase}


def thaw(rule: str, freeze: Freeze, runs: RunTable, hooks: Hooks, journal: Journal) -> None:
    """Call what thaws, and strike the freeze off the record. Raises HookFailed, and then the freeze stays on record."""
    hooks.call(
        freeze.thaw,
        hook_request(rule, freeze.instance, freeze.execution.rsplit("/", 1)[-1], "thaw"),
        LONGEST_HOOK_S,
    )
    runs.forget_freeze(rule, freeze.execution)
    journal.info("WritesThawed", f"Writes to {freeze.instance} go on: {freeze.thaw} was called.")
