"""What every source keeps about backups on demand: made once, found, and removed only if they are ours."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from rdbkeeper.domain.backup import Backup, BackupState
from rdbkeeper.domain.errors import BackupBusy, BackupQuotaUsed, SourceRefused
from tests.contract.source_lab import FILES, Provider, only_backup, pair, provider, read, wait_for_files

__all__ = ["provider"]

NAME = "rdbkeeper-0a1b2c3d-20261121030000"
TAGS = {"rdbkeeper:stack": "rdbkeeper", "rdbkeeper:rule": "orders-nightly"}
OTHERS = {"rdbkeeper:stack": "rdbkeeper", "rdbkeeper:rule": "another"}


def wait_until_made(provider: Provider, name: str = NAME) -> Backup:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = provider.source.find_requested_backup(pair(provider.source), name)
        if found is not None and found.state is not BackupState.IN_PROGRESS:
            return found
        time.sleep(0.02)
    raise AssertionError("the backup was not made")


def make(provider: Provider, name: str = NAME, tags: dict[str, str] = TAGS) -> Backup:
    provider.source.request_backup(pair(provider.source), name, tags)
    return wait_until_made(provider, name)


def test_a_backup_that_was_asked_for_is_made_and_listed_like_any_other(provider: Provider) -> None:
    before = provider.now() - timedelta(seconds=2)
    made = make(provider)
    assert (made.instance, made.state, made.automatic) == ("pair", BackupState.COMPLETE, False)
    assert (made.backup_id == NAME) is provider.names_backups
    assert made.taken_at is not None
    assert before <= made.taken_at <= provider.now() + timedelta(seconds=2)
    assert only_backup(provider.source) == made


def test_a_backup_that_was_asked_for_is_exported_like_any_other(provider: Provider) -> None:
    made = make(provider)
    provider.source.request_export(made, "attempt")
    files = wait_for_files(provider.source, made, "attempt")
    assert [file.shard.name for file in files] == FILES
    assert read(provider.source, files[0], 0, 5)[:5] in (b"REDIS", b"VALKE")


def test_nothing_is_found_before_it_is_asked_for(provider: Provider) -> None:
    assert provider.source.find_requested_backup(pair(provider.source), NAME) is None


def test_a_backup_that_is_being_made_is_in_progress_and_cannot_be_removed(provider: Provider) -> None:
    provider.hold_making(True)
    provider.source.request_backup(pair(provider.source), NAME, TAGS)
    found = provider.source.find_requested_backup(pair(provider.source), NAME)
    assert found is not None
    assert (found.state, found.backup_id) == (BackupState.IN_PROGRESS, NAME)
    with pytest.raises(BackupBusy):
        provider.source.remove_backup(pair(provider.source), NAME, TAGS)
    provider.hold_making(False)
    assert wait_until_made(provider).state is BackupState.COMPLETE


def test_asking_twice_is_asking_once(provider: Provider) -> None:
    made = make(provider)
    provider.source.request_backup(pair(provider.source), NAME, TAGS)
    assert wait_until_made(provider) == made == only_backup(provider.source)


def test_asking_twice_while_it_is_being_made_is_asking_once(provider: Provider) -> None:
    provider.hold_making(True)
    for _ in range(2):
        provider.source.request_backup(pair(provider.source), NAME, TAGS)
    provider.hold_making(False)
    made = wait_until_made(provider)
    assert only_backup(provider.source) == made


def test_a_name_that_is_taken_by_another_is_refused(provider: Provider) -> None:
    theirs = make(provider, tags=OTHERS)
    with pytest.raises(SourceRefused, match=NAME):
        provider.source.request_backup(pair(provider.source), NAME, TAGS)
    assert only_backup(provider.source) == theirs


def test_a_backup_that_fails_is_found_failed_and_can_be_removed(provider: Provider) -> None:
    provider.fail_making()
    assert make(provider).state is BackupState.FAILED
    assert provider.source.remove_backup(pair(provider.source), NAME, TAGS)
    assert provider.source.backups(pair(provider.source)) == []


def test_what_is_ours_is_removed_and_once_is_enough(provider: Provider) -> None:
    make(provider)
    for _ in range(2):
        assert provider.source.remove_backup(pair(provider.source), NAME, TAGS)
        assert provider.source.backups(pair(provider.source)) == []


@pytest.mark.parametrize("tags", [OTHERS, {**TAGS, "rdbkeeper:stack": "another"}, {**TAGS, "more": "of them"}, {}])
def test_a_backup_that_lacks_a_tag_stays(provider: Provider, tags: dict[str, str]) -> None:
    made = make(provider)
    assert not provider.source.remove_backup(pair(provider.source), NAME, tags)
    assert only_backup(provider.source) == made


@pytest.mark.parametrize("name", ["by-hand", "rdbkeeper-by-hand"])
def test_a_persons_backup_stays_whatever_it_is_called(provider: Provider, name: str) -> None:
    provider.take_backup(name, provider.now() - timedelta(hours=1))
    assert not provider.source.remove_backup(pair(provider.source), name, TAGS)
    assert only_backup(provider.source).backup_id == name


def test_a_backup_that_bears_our_tags_under_a_name_that_is_not_ours_stays(provider: Provider) -> None:
    made = make(provider, name="before-the-migration")
    assert not provider.source.remove_backup(pair(provider.source), made.backup_id, TAGS)
    assert only_backup(provider.source) == made


def test_an_instance_that_cannot_be_backed_up_now_is_busy(provider: Provider) -> None:
    provider.set_status("deleting", available=False)
    with pytest.raises(BackupBusy, match=NAME):
        provider.source.request_backup(pair(provider.source), NAME, TAGS)


def test_an_instance_that_is_gone_is_refused(provider: Provider) -> None:
    known = pair(provider.source)
    provider.remove()
    with pytest.raises(SourceRefused, match=NAME) as refused:
        provider.source.request_backup(known, NAME, TAGS)
    assert not refused.value.retryable


def test_the_days_quota_is_known_and_nothing_is_made_beyond_it(provider: Provider) -> None:
    a_day = provider.source.backups_a_day
    if a_day is None:
        return
    for number in range(a_day - 1):
        provider.take_backup(f"by-hand-{number}", provider.now() - timedelta(minutes=number + 1))
    make(provider, f"{NAME}-1")
    assert provider.source.remove_backup(pair(provider.source), f"{NAME}-1", TAGS)  # it has counted all the same
    with pytest.raises(BackupQuotaUsed, match=NAME):
        provider.source.request_backup(pair(provider.source), NAME, TAGS)
    assert len(provider.source.backups(pair(provider.source))) == a_day - 1
