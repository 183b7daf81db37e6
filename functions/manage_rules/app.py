"""Registers, shows and deletes rules; a request is one JSON object, as in events/."""

from __future__ import annotations

import os
from typing import Any

from rdbkeeper.entry import wiring
from rdbkeeper.entry.answers import answer, serve
from rdbkeeper.entry.requests import parse
from rdbkeeper.entry.settings import ManageSettings


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Do what the request asks for, or say what is wrong with it."""
    journal = wiring.journal()
    return answer(
        journal,
        lambda: serve(
            parse(event, wiring.clock().now()),
            wiring.rules(ManageSettings.from_environment(os.environ), journal),
        ),
    )
