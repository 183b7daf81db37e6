"""Errors that were written down as plain data, read again."""

from __future__ import annotations

from collections.abc import Mapping

from rdbkeeper.domain.errors import RdbkeeperError, UnexpectedError


def from_record(record: Mapping[str, str]) -> RdbkeeperError:
    """The error that `as_record` wrote down; an unknown code becomes `UnexpectedError`."""
    error = _classes(RdbkeeperError).get(record["code"], UnexpectedError)
    return error(record["message"], hint=record.get("hint", ""), field=record.get("field", ""))


def _classes(root: type[RdbkeeperError]) -> dict[str, type[RdbkeeperError]]:
    below = (_classes(child) for child in root.__subclasses__())
    return {root.__name__: root, **{code: error for classes in below for code, error in classes.items()}}
