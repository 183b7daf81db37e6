"""What a request is answered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from rdbkeeper.domain.errors import RdbkeeperError, RequestError
from rdbkeeper.entry.requests import Command, CreateRule, DeleteRule, GetRule, ListRules
from rdbkeeper.flows.rules import Rules
from rdbkeeper.ports import Journal, Record


def answer(journal: Journal, serve: Callable[[], Record]) -> Record:
    """The result of `serve`, or `{"error": {code, message, hint, field}}` for an error of rdbkeeper's own.

    Anything else is a defect: it leaves the function as an error, with its stack trace in the log.
    """
    try:
        return serve()
    except RdbkeeperError as error:
        write = journal.info if isinstance(error, RequestError) else journal.error
        write("RequestRefused", str(error), reason=error.code)
        return {"error": {"field": "", **error.as_record()}}


def serve(command: Command, rules: Rules) -> Record:
    """Do what a command says."""
    match command:
        case CreateRule(rule):
            return rules.create(rule)
        case GetRule(name):
            return rules.get(name)
        case DeleteRule(name):
            return rules.delete(name)
        case ListRules():
            return rules.list()
        case _:
            assert_never(command)
