"""Helps a run with one large backup: each request is a share of it, copied in a sandbox of its own."""

from __future__ import annotations

import os
from typing import Any

from rdbkeeper.entry import wiring
from rdbkeeper.entry.settings import StoreSettings, read_logged
from rdbkeeper.flows.runs.context import run_id_of
from rdbkeeper.flows.runs.worker import do_share


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Copy a share as `flows.worker.write_share` wrote it down; only runs send them."""
    rule_name, execution = event["rule"]["name"], event["execution"]
    journal = wiring.journal(rule=rule_name, run=run_id_of(execution))
    store = read_logged(StoreSettings.from_environment, os.environ, journal)
    run = wiring.leg_context(store, rule_name, execution, journal)
    return do_share(run, event, context.get_remaining_time_in_millis() / 1000)
