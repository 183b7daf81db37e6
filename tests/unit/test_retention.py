"""A retention in words, and which of two keeps more."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.retention import KEEP_EVERYTHING, Retention


@pytest.mark.parametrize(
    "retention, words",
    [
        (KEEP_EVERYTHING, "everything"),
        (Retention(keep_days=7, keep_last=3, keep_weekly=4, keep_monthly=12), "7 days, the last 3, 4 weeks, 12 months"),
        (Retention(keep_days=1, keep_last=1), "1 day, the last one"),
        (Retention(keep_daily=14, keep_yearly=1), "the newest of 14 days, 1 year"),
    ],
)
def test_a_retention_is_said_in_words(retention: Retention, words: str) -> None:
    assert retention.in_words == words


@pytest.mark.parametrize(
    "retention, other, covers",
    [
        (KEEP_EVERYTHING, Retention(keep_days=3650), True),
        (Retention(keep_days=3650), KEEP_EVERYTHING, False),
        (KEEP_EVERYTHING, KEEP_EVERYTHING, True),
        (Retention(keep_days=7, keep_last=3), Retention(keep_days=7), True),
        (Retention(keep_days=7), Retention(keep_days=6, keep_last=1), False),
        (Retention(keep_days=30), Retention(keep_daily=3), False),
    ],
)
def test_a_retention_covers_another_when_no_part_of_it_is_smaller(
    retention: Retention, other: Retention, covers: bool
) -> None:
    assert retention.covers(other) is covers
