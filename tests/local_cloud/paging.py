"""Pages of a listing: how services cut them, and the tokens that lead from one to the next."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
_PLACE = re.compile(r"from ([1-9][0-9]*)")


class BadTokenError(ValueError):
    """A token that no page of this listing ended with."""


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items of a listing; the token is None when they are its last."""

    items: Sequence[Item]
    next_token: str | None


def cut_page(items: Sequence[Item], token: str | None, size: int) -> Page[Item]:
    """Return the page that the token leads to. Raises BadTokenError for a token that is none."""
    start = _place_of(token) if token else 0
    end = start + size
    next_token = base64.urlsafe_b64encode(f"from {end}".encode()).decode() if end < len(items) else None
    return Page(items[start:end], next_token)


def _place_of(token: str) -> int:
    try:
        found = _PLACE.fullmatch(base64.b64decode(token, altchars=b"-_", validate=True).decode())
    except (binascii.Error, UnicodeDecodeError):
        found = None
    if found is None:
        raise BadTokenError(f"{token!r} is not a token that a page ended with.")
    return int(found[1])
