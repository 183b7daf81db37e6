"""Log lines as structured JSON, for the console's log viewer."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger

# Lines that a handler has not bound yet still carry the three keys, so that every query can filter on them.
UNBOUND = {"rule": "-", "run": "-", "backup": "-"}


class LambdaJournal:
    """Writes each line through Powertools' Logger; every line carries rule, run and backup."""

    def __init__(self, logger: Logger, keys: dict[str, str] | None = None) -> None:
        self._logger = logger
        self._keys = {**UNBOUND, **(keys or {})}

    def bind(self, **keys: str) -> LambdaJournal:
        return LambdaJournal(self._logger, {**self._keys, **keys})

    def info(self, event: str, message: str, **fields: Any) -> None:
        self._logger.info(message, extra=self._extra(event, fields))

    def warning(self, event: str, message: str, **fields: Any) -> None:
        self._logger.warning(message, extra=self._extra(event, fields))

    def error(self, event: str, message: str, **fields: Any) -> None:
        self._logger.error(message, extra=self._extra(event, fields))

    def exception(self, event: str, message: str, **fields: Any) -> None:
        self._logger.exception(message, extra=self._extra(event, fields))

    def _extra(self, event: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {**self._keys, "event": event, **fields}


def make_journal(**keys: str) -> LambdaJournal:
    """A journal that writes to this function's log group."""
    # The line of code that logged is always this module's, so it says nothing.
    return LambdaJournal(Logger(location=None), keys)
