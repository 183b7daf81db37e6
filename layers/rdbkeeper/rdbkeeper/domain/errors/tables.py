"""What is on record could not be read or written."""

from __future__ import annotations

from rdbkeeper.domain.errors.base import RdbkeeperError


class TableError(RdbkeeperError):
    """The rule table did not do what was asked."""


class TableUnavailable(TableError):
    """The table did not answer, or asked for a slower pace."""

    retryable = True


class TableDenied(TableError):
    """The table refused for lack of permission."""


class TableRefused(TableError):
    """The table says that this cannot be done."""
