"""What a run costs that finds nothing new: a list call for every 1,000 copies, and nothing else that grows."""

from __future__ import annotations

import math
from functools import cache

import pytest

from tests.bench.answering_services import KEYS_PER_PAGE
from tests.bench.nothing_new import (
    BACKUPS_AT_SOURCE,
    KEEP_ALL_THERE,
    LIST,
    run_once,
    run_with_one_too_many,
)

READINGS_OF_THE_VAULT = 1  # to decide what to copy; what is kept is known from then on
# The data of the copy that is to stay, the manifest and the data of the one that goes.
LISTS_OF_A_REMOVAL = 3
CALLS_OF_A_REMOVAL = 30


run = cache(run_once)


@pytest.mark.parametrize("copies", [0, 10, 1_000, 1_001, 2_500])
def test_a_run_that_finds_nothing_new_lists_one_page_for_every_thousand_copies(copies: int) -> None:
    assert run(copies).list_calls == READINGS_OF_THE_VAULT * max(1, math.ceil(copies / KEYS_PER_PAGE))


@pytest.mark.parametrize("copies", [1_000, 10_000])
def test_deciding_by_a_retention_what_stays_lists_nothing_a_second_time(copies: int) -> None:
    retaining = run_once(copies, KEEP_ALL_THERE)
    assert retaining.calls == run(copies).calls
    assert "removed" not in retaining.answer["line"]


@pytest.mark.parametrize("copies", [10, 1_000, 2_500])
def test_the_first_run_of_a_day_lists_the_folders_as_well_and_what_is_staged(copies: int) -> None:
    pages_of_folders = math.ceil((copies + 1) / KEYS_PER_PAGE)  # a copy has one, and the manifests
    extra = run_once(copies, is_first_of_day=True).calls - run(copies).calls
    assert extra == {LIST: pages_of_folders + 1}


def test_it_has_found_every_backup_kept() -> None:
    found = run(10)
    assert f"{BACKUPS_AT_SOURCE} backups found, {BACKUPS_AT_SOURCE} already kept" in found.answer["line"]
    assert found.answer["failed"] == 0


def test_nothing_but_the_lists_grows_with_the_vault() -> None:
    assert run(2_500).calls - run(10).calls == {LIST: run(2_500).list_calls - run(10).list_calls}


def test_it_makes_few_other_calls_and_writes_into_the_table_alone() -> None:
    calls = run(10).calls
    assert {name for name in calls if not name.startswith("dynamodb.")} == {
        LIST,
        "s3.ListMultipartUploads",
        "elasticache.DescribeReplicationGroups",
        "elasticache.DescribeCacheClusters",
        "elasticache.DescribeSnapshots",
    }
    assert calls.total() <= 25


def test_a_run_that_removes_a_copy_reads_the_catalog_twice_and_lists_little_else() -> None:
    copies = 10_000
    removing, store = run_with_one_too_many(copies)
    assert "1 removed" in removing.answer["line"]
    assert removing.list_calls <= 2 * copies // KEYS_PER_PAGE + LISTS_OF_A_REMOVAL
    few, _ = run_with_one_too_many(10)
    assert removing.calls - few.calls == {LIST: 2 * (copies // KEYS_PER_PAGE - 1)}
    assert (removing.calls - run(copies).calls).total() <= CALLS_OF_A_REMOVAL + copies // KEYS_PER_PAGE
    left = {key.removeprefix("redis/prod/orders/") for key in store.objects}
    newest = "20261121T021500Z-automatic.orders-2026-11-21-02-15"
    assert left == {f"manifests/{newest}.verified.json", f"{newest}/0001.rdb"}
