"""Documents beside copies: whatever somebody made of them, they are read or refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rdbkeeper.domain.audit import DAMAGE_FORMAT, Damage
from rdbkeeper.domain.copy import MANIFEST_FORMAT, Manifest
from rdbkeeper.domain.documents import write_document
from rdbkeeper.domain.errors import ManifestUnreadable
from rdbkeeper.domain.removal import PLAN_FORMAT, RemovalPlan

KINDS = [(Manifest.from_json, MANIFEST_FORMAT), (RemovalPlan.from_json, PLAN_FORMAT), (Damage.from_json, DAMAGE_FORMAT)]


@pytest.mark.parametrize("read, its_format", KINDS)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"format": "of another kind"}']
)
def test_what_is_no_such_document_is_refused_by_its_key(
    read: Callable[[bytes, str], object], its_format: str, body: bytes
) -> None:
    with pytest.raises(ManifestUnreadable, match="the/key"):
        read(body, "the/key")


@pytest.mark.parametrize("read, its_format", KINDS)
def test_a_document_that_lacks_what_it_should_say_is_refused(
    read: Callable[[bytes, str], object], its_format: str
) -> None:
    with pytest.raises(ManifestUnreadable, match="KeyError"):
        read(write_document({"format": its_format}), "the/key")
