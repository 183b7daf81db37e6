"""Lets writes go on that a run has frozen, whoever finds them frozen: the run, the next one, or the hourly look."""

from __future__ import annotations

from datetime import datetime

from rdbkeeper.domain.backup_first import Freeze
from rdbkeeper.domain.errors import HookFailed, HookMissing
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.rule import Rule
from rdbkeeper.ports import Hooks, Journal, Record, RuleTable, RunTable

# How long a hook may take. A synchronous call may last 15 minutes; one that freezes writes should take seconds.
LONGEST_HOOK_S = 60.0


def hook_request(rule: str, provider: str, instance: str, run: str, phase: str) -> Record:
    """What a hook is called with; `phase` is `freeze` or `thaw`, so that one function can be both."""
    return {"rule": rule, "provider": provider, "instance": instance, "run": run, "phase": phase}


def thaw(
    rule: str, freeze: Freeze, rules: RuleTable, runs: RunTable, hooks: Hooks, journal: Journal, now: datetime
) -> bool:
    """Call what thaws, and strike the freeze off the record. Raises HookFailed, and then the freeze stays on record.

    False where it stays as well, as the call that was to freeze may still come through: to be thawed again. Where what
    thaws fails, or cannot be called, the present hook of a rule of the same instance is called in its stead, and where
    it is gone that of any. HookMissing where the rule names none then: that is told once, and the freeze struck off, as
    nobody could ever end it.
    """
    request = hook_request(rule, freeze.provider, freeze.instance, freeze.execution.rsplit("/", 1)[-1], "thaw")
    called = freeze.thaw
    try:
        hooks.call(called, request, LONGEST_HOOK_S)
    except HookFailed as error:
        is_gone = isinstance(error, HookMissing)
        called = _find_present_thaw(rules.find_rule(rule), freeze, of_any_instance=is_gone)
        if is_gone and not called:
            runs.forget_freeze(rule, freeze.execution)
            raise _cannot_be_thawed(freeze) from error
        if called in ("", freeze.thaw):
            raise
        hooks.call(called, request, LONGEST_HOOK_S)
    told = f"Writes to {freeze.instance} go on: {called} was called."
    if freeze.late_until is not None and freeze.may_come_late(now):
        until = write_moment(freeze.late_until)
        journal.warning("WritesThawed", f"{told} The call to freeze them may still come through, until {until}.")
        return False
    runs.forget_freeze(rule, freeze.execution)
    journal.info("WritesThawed", told)
    return True


def _find_present_thaw(rule: Rule | None, freeze: Freeze, *, of_any_instance: bool) -> str:
    """What a rule has called by now to thaw, or "". One that is meant for another instance may do nothing to this."""
    if rule is None or rule.backup_first is None:
        return ""
    is_of_it = rule.instance == freeze.instance and freeze.provider in ("", rule.provider)
    return rule.backup_first.thaw if is_of_it or of_any_instance else ""


def _cannot_be_thawed(freeze: Freeze) -> HookMissing:
    return HookMissing(
        f"Writes to {freeze.instance} may still be frozen: there is no function {freeze.thaw} any more, which was to "
        "thaw them, and the rule names no other. It is not tried again.",
        hint="Let writes go on by hand.",
    )
