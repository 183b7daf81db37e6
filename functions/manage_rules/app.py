"""Everything that a person does with rules; a request is one JSON object, as in events/."""

from __future__ import annotations

import os
from typing import Any

from rdbkeeper.entry import wiring
from rdbkeeper.entry.answers import RuleActions, answer
from rdbkeeper.entry.requests import parse
from rdbkeeper.entry.settings import ManageSettings


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Do what the request asks for, or say what is wrong with it."""
    journal = wiring.journal()

    def serve() -> dict[str, Any]:
        command = parse(event, wiring.clock().now())
        actions = RuleActions.over(wiring.rules(ManageSettings.from_environment(os.environ), journal))
        return actions.serve(command, lambda: context.get_remaining_time_in_millis() / 1000)

    return answer(journal, serve)
