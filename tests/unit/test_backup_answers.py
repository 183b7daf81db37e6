"""What is read alike from the answers of several providers."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.backup import BackupState, Instance
from rdbkeeper.sources.backup_answers import count_by_owner, join_sizes, state_of


@pytest.mark.parametrize(
    "is_complete, has_failed, state",
    [
        (True, False, BackupState.COMPLETE),
        (False, False, BackupState.IN_PROGRESS),
        (False, True, BackupState.FAILED),
        (True, True, BackupState.FAILED),
    ],
)
def test_a_backup_that_is_neither_complete_nor_failed_is_in_progress(
    is_complete: bool, has_failed: bool, state: BackupState
) -> None:
    assert state_of(is_complete=is_complete, has_failed=has_failed) is state


def test_backups_are_counted_by_their_owners() -> None:
    instances = [Instance("memorydb", name, "redis", "available", True, 1, "") for name in ("ledger", "idle")]
    assert count_by_owner(["ledger", "others", "ledger", ""], instances) == {"ledger": 2, "idle": 0}


@pytest.mark.parametrize(
    "sizes, told",
    [
        (["10 MB"], "10 MB"),
        (["10 MB", "5 MB"], "15 MB"),
        (["1.5 GB", "2.25 GB"], "3.75 GB"),
        (["900 MB", "2 GB"], "900 MB, 2 GB"),
        (["large", "5 MB"], "large, 5 MB"),
        (["large", "large"], "large, large"),
        (["10 MB", ""], ""),
        ([], ""),
    ],
)
def test_the_sizes_of_shards_are_joined_as_far_as_they_can_be(sizes: list[str], told: str) -> None:
    assert join_sizes(sizes) == told
