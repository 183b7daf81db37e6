"""Turns an event into a command that cannot be wrong, or raises InvalidRequest with the field and a hint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rdbkeeper.domain.errors import UnknownAction
from rdbkeeper.entry.copy_requests import COPY_READERS, CopyCommand
from rdbkeeper.entry.json_object import JsonObject
from rdbkeeper.entry.rule_requests import RULE_READERS, RuleCommand
from rdbkeeper.entry.vault_requests import VAULT_READERS, VaultCommand

Command = RuleCommand | CopyCommand | VaultCommand

_READERS: Mapping[str, Callable[[JsonObject, datetime], Command]] = {
    **RULE_READERS,
    **COPY_READERS,
    **VAULT_READERS,
}
ACTIONS = tuple(_READERS)


@dataclass(frozen=True)
class ReconcileFleet:
    """Make the fleet equal the rules."""

    closely: bool
    dry_run: bool


def parse(event: object, now: datetime) -> Command:
    """The command that an event asks for. Raises InvalidRequest, UnknownAction."""
    request = JsonObject.of(event, "", "Send a JSON object such as the files in events/.")
    action = request.text("action")
    if action not in _READERS:
        raise UnknownAction(
            f"The action {action[:80]!r} is unknown.", field="action", hint=f"Use one of {', '.join(_READERS)}."
        )
    command = _READERS[action](request, now)
    request.refuse_the_rest()
    return command


def parse_reconcile(event: object) -> ReconcileFleet:
    """The command that an event to the reconciling function asks for. Raises InvalidRequest, UnknownAction."""
    request = JsonObject.of(event, "", "Send a JSON object such as events/reconcile.json.")
    action = request.text("action")
    if action != "reconcile":
        raise UnknownAction(f"The action {action[:80]!r} is unknown.", field="action", hint="Use reconcile.")
    command = ReconcileFleet(request.flag("closely", default=False), request.flag("dry_run", default=False))
    request.refuse_the_rest()
    return command
