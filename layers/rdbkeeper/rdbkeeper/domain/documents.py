"""The documents beside copies: JSON that a person may have to read, and that anybody may have changed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rdbkeeper.domain.errors import ManifestUnreadable


def write_document(document: Mapping[str, Any]) -> bytes:
    """A document as it is stored: UTF-8 JSON, indented, since at 3 a.m. a person reads it."""
    return (json.dumps(document, indent=2) + "\n").encode()


def read_document(body: bytes, wanted_format: str) -> dict[str, Any]:
    """A document of that format. Raises what `reading` translates."""
    document: dict[str, Any] = json.loads(body)
    if document["format"] != wanted_format:
        raise ValueError(f"its format is {document['format']!r}")
    return document


@contextmanager
def reading(what: str, hint: str) -> Iterator[None]:
    """Raise ManifestUnreadable for whatever keeps a document from being read as what it should be."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestUnreadable(f"Reading {what} failed: {type(error).__name__}: {error}.", hint=hint) from error
