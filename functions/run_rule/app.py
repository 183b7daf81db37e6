"""A rule's function: its timer fires, and one run copies every backup that the vault lacks."""

from __future__ import annotations

import os
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution

from rdbkeeper.entry import wiring
from rdbkeeper.entry.run_events import read_run_request
from rdbkeeper.entry.settings import RunSettings, read_logged, rule_of
from rdbkeeper.flows.runs.context import run_id_of
from rdbkeeper.flows.runs.run import run_rule


@durable_execution
def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    """Run the rule that this function belongs to."""
    execution = context.execution_context.durable_execution_arn
    journal = wiring.journal(rule=rule_of(os.environ), run=run_id_of(execution))
    settings = read_logged(RunSettings.from_environment, os.environ, journal)
    run = wiring.run_context(settings, execution, journal, read_run_request(event, journal))
    return run_rule(wiring.engine(context, journal, settings), run, settings.poll)
