"""Log lines as structured JSON, for the console's log viewer; metrics are lines that CloudWatch picks from the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools import Logger

from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.metrics import NAMESPACE

# Lines that a handler has not bound yet still carry the three keys, so that every query can filter on them.
UNBOUND = {"rule": "-", "run": "-", "backup": "-"}
LIBRARIES = ("aws_durable_execution_sdk_python", "boto3", "botocore", "urllib3")


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
        self._logger.error(message, exc_info=True, extra=self._extra(event, fields))  # noqa: LOG014 - called in a handler

    def measure(self, metric: str, value: float, dimensions: Sequence[tuple[str, str]]) -> None:
        from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

        # By itself Powertools adds the dimension `service` from the environment where there is none, and an alarm that
        # names other dimensions than the metric has reads nothing.
        metrics = EphemeralMetrics(namespace=NAMESPACE, service="")
        for name, text in dimensions:
            metrics.add_dimension(name, text)
        metrics.add_metric(metric, MetricUnit.NoUnit, value)
        metrics.flush_metrics()

    def _extra(self, event: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {**self._keys, "event": event, **fields}


def make_journal(**keys: str) -> LambdaJournal:
    """A journal that writes to this function's log group; what libraries log takes the same form and keys."""
    # The line of code that logged is always this module's, so it says nothing.
    logger = Logger(location=None)
    logger.append_keys(**{**UNBOUND, **keys})
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers = list(logger.handlers)
        library.propagate = False
        # urllib3's warnings hold the addresses of requests, and an address may be signed.
        library.setLevel(logging.ERROR if name == "urllib3" else logging.WARNING)
    for handler in logger.handlers:
        if not any(isinstance(known, _ToldAlready) for known in handler.filters):
            handler.addFilter(_ToldAlready())
    return LambdaJournal(logger, keys)


class _ToldAlready(logging.Filter):
    """Drops what a library says of an error of ours: the journal has told it, and that it will be tried again."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (record.name.startswith(LIBRARIES) and isinstance(error, RdbkeeperError))
