"""Makes the fleet equal the rules: after each deploy, every hour, on demand, and when the stack goes."""

from __future__ import annotations

import os
from typing import Any

from rdbkeeper.entry import wiring
from rdbkeeper.entry.answers import answer
from rdbkeeper.entry.requests import parse_reconcile
from rdbkeeper.entry.settings import ManageSettings
from rdbkeeper.entry.stack_events import check_is_our_stack, find_stack_event, serve_stack_event
from rdbkeeper.flows.fleet.reconcile import Reconcile


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Reconcile, or answer CloudFormation."""
    journal = wiring.journal()

    def reconcile() -> Reconcile:
        settings = ManageSettings.from_environment(os.environ)
        return Reconcile(wiring.fleet_work(settings, journal), lambda: context.get_remaining_time_in_millis() / 1000)

    def serve() -> dict[str, Any]:
        stack_event = find_stack_event(event)
        if stack_event is not None:
            check_is_our_stack(stack_event, os.environ.get("RDBKEEPER_STACK_ID", ""))
            return serve_stack_event(stack_event, reconcile, journal, wiring.send_stack_answer)
        command = parse_reconcile(event)
        return reconcile().run(closely=command.closely, dry_run=command.dry_run)

    return answer(journal, serve)
