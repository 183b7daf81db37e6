"""Tells of defects: errors that rdbkeeper does not raise on purpose."""

from __future__ import annotations

from rdbkeeper.domain.errors import UnexpectedError, unexpected
from rdbkeeper.ports import Journal


def report_defect(journal: Journal, what: str, error: Exception) -> UnexpectedError:
    """Log a defect that was met while doing `what`, with its stack trace; returns the error that tells of it."""
    journal.exception(UnexpectedError.__name__, f"{what}: {type(error).__name__}")
    return unexpected(what, error)
