"""The line that a person reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from rdbkeeper.domain.outcome import Outcome, Status, count_statuses, describe, human_duration, human_size, report_line

NEXT = datetime(2026, 11, 22, 2, 30, tzinfo=ZoneInfo("Asia/Tokyo"))


def copied(level: str = "verified", size_bytes: int = 1_200_000_000, seconds: float = 14) -> Outcome:
    return Outcome("b", Status.COPIED, "Published", level=level, file_count=2, size_bytes=size_bytes, seconds=seconds)


def present() -> Outcome:
    return Outcome("b", Status.PRESENT, "AlreadyKept")


def test_the_line_of_a_good_night() -> None:
    assert report_line("orders-nightly", {"present": 2}, [copied()], NEXT, "Asia/Tokyo") == (
        "orders-nightly: 3 backups found, 2 already kept, 1 copied (2 files, 1.2 GB in 14 s), verified, 0 failed; "
        "next run Sun 22 Nov 02:30 Asia/Tokyo"
    )


def test_what_was_not_verified_is_called_unchecked() -> None:
    assert "1 copied (2 files, 1.2 GB in 14 s), unchecked, 0" in report_line(
        "r", {}, [copied("unchecked")], NEXT, "UTC"
    )
    both = report_line("r", {}, [copied(), copied("unchecked")], NEXT, "UTC")
    assert "1 verified and 1 unchecked" in both


def test_the_line_of_a_bad_night_counts_what_did_not_happen() -> None:
    outcomes = [Outcome("a", status, "Why") for status in (Status.FAILED, Status.POSTPONED, Status.SKIPPED)]
    assert report_line("r", {"skipped": 2}, outcomes, None, "UTC") == (
        "r: 5 backups found, 0 already kept, 0 copied, 1 postponed, 3 skipped, 1 failed; no next run is scheduled"
    )


@pytest.mark.parametrize(
    "size_bytes, text",
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_960, "10 kB"),
        (999_600, "1.0 MB"),
        (420 * 10**9, "420 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_are_short(size_bytes: int, text: str) -> None:
    assert human_size(size_bytes) == text


@pytest.mark.parametrize("seconds, text", [(0.2, "1 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_what_became_of_one_backup_is_a_sentence() -> None:
    assert describe(copied()) == "b copied: 2 files, 1.2 GB, verified"
    unchecked = replace(copied("unchecked"), detail="no CRC")
    assert describe(unchecked) == "b copied: 2 files, 1.2 GB, unchecked - no CRC"
    assert describe(present()) == "b present"
    assert describe(Outcome("b", Status.FAILED, "Why", "It was cut.")) == "b failed: It was cut."


def test_an_outcome_survives_being_written_down() -> None:
    assert Outcome.from_record(copied().as_record()) == copied()


def test_statuses_are_counted_in_plain_data() -> None:
    assert count_statuses([present(), present(), copied()]) == {"copied": 1, "present": 2}
