"""What a listing of a place tells: its copies, and what is said of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rdbkeeper.domain.catalog import (
    Catalog,
    CatalogEntry,
    FoundObject,
    Level,
    Mark,
    begin_of_marks,
    claim_key,
    find_taken_at,
    manifest_key,
    mark_key,
    read_catalog,
)
from rdbkeeper.domain.copy import data_key

PATH = "redis/orders/"
COPY = "20261122T021500Z-a.b.verified"
WHEN = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def listing(*keys: str) -> list[FoundObject]:
    return [FoundObject(key, 9, '"tag"', WHEN) for key in keys]


def test_a_listing_tells_the_copies_and_their_level() -> None:
    key = manifest_key(PATH, COPY, Level.UNCHECKED)
    assert key == "redis/orders/manifests/20261122T021500Z-a.b.verified.unchecked.json"
    assert read_catalog(PATH, listing(key)).entries == (CatalogEntry(COPY, Level.UNCHECKED, WHEN),)
    assert data_key(PATH, "c", "0001") == "redis/orders/c/0001.rdb"


@pytest.mark.parametrize(
    "name",
    [
        "manifests/readme.txt",
        "manifests/c.json",
        "manifests/deeper/c.verified.json",
        "manifests/",
        "holds/",
        "holds/deeper/c.json",
        "removed/readme.txt",
        "claim.json",
        "whatever",
    ],
)
def test_what_else_lies_in_a_place_says_nothing_of_copies(name: str) -> None:
    assert read_catalog(PATH, listing(f"{PATH}{name}")) == Catalog()


def test_marks_are_said_of_the_copy_that_they_name() -> None:
    other = "20261123T021500Z-other"
    keys = [manifest_key(PATH, copy_id, Level.VERIFIED) for copy_id in (COPY, other)]
    catalog = read_catalog(PATH, listing(mark_key(PATH, Mark.HOLD, COPY), mark_key(PATH, Mark.DAMAGED, other), *keys))
    assert [(entry.is_held, entry.is_damaged) for entry in catalog.entries] == [(True, False), (False, True)]


def test_a_mark_outlives_its_copy() -> None:
    keys = [mark_key(PATH, mark, COPY) for mark in Mark]
    assert read_catalog(PATH, listing(*keys)) == Catalog((), frozenset({COPY}), (COPY,))


@pytest.mark.parametrize("backwards", [False, True])
def test_the_verified_manifest_counts_where_there_are_two(backwards: bool) -> None:
    found = listing(*(manifest_key(PATH, COPY, level) for level in Level))
    assert [entry.level for entry in read_catalog(PATH, found[::-1] if backwards else found).entries] == [
        Level.VERIFIED
    ]


def test_marks_and_manifests_come_after_all_data_in_a_listing() -> None:
    first = begin_of_marks(PATH)
    assert all(data_key(PATH, f"{digit}0261122T021500Z-x", "0001") < first for digit in range(10))
    assert all(mark_key(PATH, mark, COPY) > first for mark in Mark)
    assert manifest_key(PATH, COPY, Level.VERIFIED) > first
    assert claim_key(PATH) > first


@pytest.mark.parametrize(
    "copy_id", ["", "x", "20261122-x", "20261122T021500-x", "99999999T999999Z-x", "2026W477T021500Z"]
)
def test_what_is_no_id_of_ours_has_no_time(copy_id: str) -> None:
    assert find_taken_at(copy_id) is None


def test_an_id_tells_when_its_backup_was_taken() -> None:
    assert find_taken_at(COPY) == datetime(2026, 11, 22, 2, 15, tzinfo=UTC)
