"""Clean-up in a run: what earlier runs left goes by exact key when nobody can be using it, and is told."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rdbkeeper.domain import selection
from rdbkeeper.domain.backup import EngineFacts
from rdbkeeper.domain.catalog import Level, Mark, manifest_key, mark_key
from rdbkeeper.domain.copy import Manifest
from rdbkeeper.domain.errors import RunFailed, SourceDenied, TableUnavailable, VaultDenied
from rdbkeeper.domain.outcome import Outcome, Status
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.status import RunReport, RunState
from rdbkeeper.flows.copies.removal import remove_copy
from rdbkeeper.flows.runs.clean_up import PastRuns
from tests.fakes.engine import ProcessDied
from tests.fakes.rdb_files import rdb_file
from tests.flows.world import NIGHT, World, after_each

PATH = "redis/orders/"
ORPHAN = "20261101T021500Z-lost"
KEPT = Manifest(
    copy_id="20261031T021500Z-kept",
    rule="orders-nightly",
    provider="elasticache",
    instance="orders",
    backup_id="kept",
    automatic=True,
    taken_at=datetime(2026, 10, 31, 2, 15, tzinfo=UTC),
    copied_at=datetime(2026, 10, 31, 3, 0, tzinfo=UTC),
    engine=EngineFacts(),
    files=(),
    made_by="rdbkeeper",
)
DAY = 86400


def leave_fragment(world: World, copy_id: str = ORPHAN) -> str:
    """Data without a manifest, written now, beside a copy that has its own."""
    world.vault.objects.setdefault(manifest_key(PATH, "20261031T021500Z-kept", Level.VERIFIED), KEPT.to_json())
    key = f"{PATH}{copy_id}/0001.rdb"
    world.vault.objects[key] = rdb_file(150, seed=9)
    world.vault.written_at[key] = world.clock.now()
    return key


def removed_fragments(world: World) -> list[str]:
    return [line.fields["key"] for line in world.journal.lines if line.event == "FragmentRemoved"]


# ---------------------------------------------------------------- uploads


def test_an_upload_on_record_is_given_up_at_once(world: World) -> None:
    upload = world.vault.open_upload(f"{PATH}{ORPHAN}/0001.rdb")
    world.tables.runs.remember_uploads(world.rule.name, [upload])
    world.run()
    assert not world.vault.uploads
    assert "UploadAborted" in world.journal.events()


def test_an_upload_that_nobody_recorded_is_given_up_when_it_is_older_than_a_day(world: World) -> None:
    world.vault.open_upload(f"{PATH}{ORPHAN}/0001.rdb")
    world.clock.advance(DAY)
    world.run()
    assert len(world.vault.uploads) == 1
    world.clock.advance(1)
    world.run()
    assert not world.vault.uploads


def test_an_upload_of_somebody_elses_object_stays(world: World) -> None:
    world.vault.open_upload(f"{PATH}a-picture.png")
    world.vault.open_upload("redis/stock/20261101T021500Z-lost/0001.rdb")
    world.clock.advance(3 * DAY)
    world.run()
    assert len(world.vault.uploads) == 2


# ---------------------------------------------------------------- fragments


def test_a_fragment_goes_by_its_keys_when_it_is_older_than_a_day(world: World) -> None:
    key = leave_fragment(world)
    world.clock.advance(DAY + 1)
    world.run()
    assert removed_fragments(world) == [key]
    assert [one for one in world.vault.objects if ORPHAN in one] == []
    assert world.vault.removed == [key, mark_key(PATH, Mark.REMOVAL, ORPHAN)]


def test_a_younger_fragment_stays(world: World) -> None:
    key = leave_fragment(world)
    world.clock.advance(DAY - 1)
    world.run()
    assert key in world.vault.objects and not removed_fragments(world)


def test_a_fragment_of_which_one_object_is_younger_stays_whole(world: World) -> None:
    leave_fragment(world)
    world.clock.advance(DAY + 1)
    world.vault.objects[f"{PATH}{ORPHAN}/0002.rdb"] = b"new"
    world.run()
    assert len([key for key in world.vault.objects if ORPHAN in key]) == 2


def test_a_fragment_that_a_backup_at_the_source_will_adopt_stays(world: World) -> None:
    data = world.add_backup("b0")
    key = f"{PATH}20261120T021500Z-b0/0001.rdb"
    world.vault.objects[key] = data["0001"]
    world.vault.written_at[key] = NIGHT - timedelta(days=5)
    world.run()
    assert not removed_fragments(world)
    assert "FragmentAdopted" in world.journal.events()


def test_a_fragment_of_a_backup_that_this_chain_tried_in_vain_stays_for_its_next_attempt(world: World) -> None:
    world.add_backup("b0")
    key = leave_fragment(world, "20261120T021500Z-b0")
    world.clock.advance(2 * DAY)
    world.run(request=RunRequest(tried=("20261120T021500Z-b0",)))
    assert key in world.vault.objects
    assert not removed_fragments(world)


@pytest.mark.parametrize("name", ["notes.txt", "deeper/0001.rdb"])
def test_a_folder_with_anything_that_is_not_our_data_stays_whole(world: World, name: str) -> None:
    leave_fragment(world)
    world.vault.objects[f"{PATH}{ORPHAN}/{name}"] = b"mine"
    world.vault.written_at[f"{PATH}{ORPHAN}/{name}"] = world.clock.now()
    world.clock.advance(2 * DAY)
    before = set(world.vault.objects)
    world.run()
    assert set(world.vault.objects) == before


@pytest.mark.parametrize("folder", ["pictures", "20261399T021500Z-b0", "holds", "2026"])
def test_a_folder_that_is_no_copys_stays(world: World, folder: str) -> None:
    leave_fragment(world, folder)
    world.clock.advance(2 * DAY)
    before = set(world.vault.objects)
    world.run()
    assert set(world.vault.objects) == before


def test_a_copy_that_is_published_while_its_data_are_looked_at_stays_whole(world: World) -> None:
    key = leave_fragment(world)
    world.clock.advance(2 * DAY)
    manifest = f"{PATH}manifests/{ORPHAN}.verified.json"
    after_each(world.vault, "create_object", lambda: world.vault.objects.update({manifest: b"{}"}))
    world.run()
    assert key in world.vault.objects
    assert not removed_fragments(world)
    assert mark_key(PATH, Mark.REMOVAL, ORPHAN) not in world.vault.objects


def test_a_fragments_removal_that_was_cut_off_is_finished_by_the_next_run(world: World) -> None:
    key = leave_fragment(world)
    world.clock.advance(2 * DAY)
    remove = world.vault.remove_object

    def fail(*_: object) -> None:
        raise VaultDenied("Removing was denied.")

    world.vault.remove_object = fail
    world.run()
    assert "TidyingLeft" in world.journal.events()
    world.vault.remove_object = remove
    world.run()
    assert key not in world.vault.objects
    assert "RemovalFinished" in world.journal.events()


def test_fragments_are_looked_for_once_a_day(world: World) -> None:
    looked: list[str] = []
    after_each(world.vault, "folders", lambda: looked.append("looked"))
    for _ in range(3):
        world.run()
        world.clock.advance(3600)
    assert len(looked) == 1
    world.clock.advance(DAY)
    world.run()
    assert len(looked) == 2


@pytest.mark.parametrize("count, removed", [(3, 3), (4, 0)])
def test_more_than_a_few_folders_without_manifests_are_told_and_stay(world: World, count: int, removed: int) -> None:
    for number in range(count):
        leave_fragment(world, f"20261101T0215{number:02}Z-lost")
    world.clock.advance(2 * DAY)
    world.run()
    assert len(removed_fragments(world)) == removed
    told = [line for line in world.journal.lines if line.event == "DataWithoutManifest"]
    if removed:
        assert not told
        return
    (line,) = told
    assert line.level == "warning" and line.fields["folders"] == 4
    assert f"{PATH}20261101T021500Z-lost/" in line.message and "bucket's versions" in line.message


def test_data_in_a_place_without_any_manifest_stay(world: World) -> None:
    key = leave_fragment(world)
    del world.vault.objects[manifest_key(PATH, KEPT.copy_id, Level.VERIFIED)]
    world.clock.advance(2 * DAY)
    world.run()
    assert key in world.vault.objects
    assert "DataWithoutManifest" in world.journal.events()


def test_copies_whose_manifests_were_taken_away_stay(world: World) -> None:
    for night in range(6):
        world.add_backup(f"b{night}", night)
    world.run()
    for night in range(6):
        world.source.lose_backup("orders", f"b{night}")
    for manifest in world.manifests():
        del world.vault.objects[manifest]
    world.clock.advance(7 * DAY)
    world.run()
    assert len(world.data()) == 6


def test_a_fragment_of_long_ago_is_told_once_a_day_and_stays(world: World) -> None:
    old = leave_fragment(world)
    world.clock.advance(29 * DAY)
    young = leave_fragment(world, "20261102T021500Z-lost")
    world.clock.advance(DAY + 1)
    for _ in range(2):
        world.run()
        world.clock.advance(3600)
    assert old in world.vault.objects
    assert removed_fragments(world) == [young]
    (line,) = [line for line in world.journal.lines if line.event == "DataWithoutManifest"]
    assert "in 1 folder of" in line.message and old.removesuffix("0001.rdb") in line.message


def test_a_fragment_of_which_one_object_is_of_long_ago_stays_whole(world: World) -> None:
    old = leave_fragment(world)
    world.clock.advance(30 * DAY)
    young = old.replace("0001", "0002")
    world.vault.objects[young] = b"young"
    world.vault.written_at[young] = world.clock.now()
    world.clock.advance(DAY + 1)
    world.run()
    assert {old, young} <= set(world.vault.objects)


@pytest.mark.parametrize("method", ["folders", "find_objects"])
def test_clean_up_that_fails_keeps_no_backup_from_being_copied(world: World, method: str) -> None:
    leave_fragment(world)
    world.clock.advance(2 * DAY)
    world.add_backup("b0")
    world.vault.failing[method] = [VaultDenied("Listing was denied.")]
    world.run()
    assert world.copied_backups() == ["kept", "b0"]
    assert "TidyingLeft" in world.journal.events()


# ---------------------------------------------------------------- removals


def test_a_persons_removal_that_was_cut_off_is_finished(world: World) -> None:
    world.add_backup("b0")
    world.run()
    entry = world.vault.catalog(PATH).entries[0]
    removes = iter([True, False])
    remove = world.vault.remove_object

    def remove_one(key: str, etag: str) -> None:
        if not next(removes):
            raise VaultDenied("Removing was denied.")
        remove(key, etag)

    world.vault.remove_object = remove_one
    with pytest.raises(VaultDenied):
        remove_copy(world.vault, PATH, entry, reason="", by="me", clock=world.clock, journal=world.journal)
    world.vault.remove_object = remove
    world.source.lose_backup("orders", "b0")
    world.run()
    assert not world.vault.objects


# ---------------------------------------------------------------- staged files


def stage(world: World, rule: str, chain: str) -> str:
    tags = [hashlib.sha256(text.encode()).hexdigest()[:8] for text in (rule, chain)]
    name = f"orders-{''.join(tags)}0123456789ab-0001.rdb"
    world.source.staged[name] = b"staged"
    world.source.staged_at[name] = world.clock.now()
    return name


def test_staged_files_of_earlier_chains_go_when_they_are_older_than_a_day(world: World) -> None:
    mine = stage(world, "orders-nightly", "an earlier chain")
    others = stage(world, "another-rule", "an earlier chain")
    world.clock.advance(DAY)
    young = stage(world, "orders-nightly", "another earlier chain")
    world.clock.advance(1)
    world.run()
    assert sorted(world.source.staged) == sorted([others, young])
    line = next(line for line in world.journal.lines if line.event == "StagedFileRemoved")
    assert mine in line.message


def test_what_a_cut_off_run_staged_is_found_by_its_name(world: World) -> None:
    world.add_backup("b0")
    engine = world.engine()
    engine.dies_after = 5
    with pytest.raises(ProcessDied):
        world.run(engine)
    assert world.source.exports
    world.source.staged.update({f"{next(iter(world.source.exports))}-0001.rdb": b"staged"})
    world.source.staged_at[next(iter(world.source.staged))] = world.clock.now()
    world.source.lose_backup("orders", "b0")
    world.tables.leases.clear()
    world.clock.advance(2 * DAY)
    world.run()
    assert not world.source.staged


def test_a_source_that_denies_the_listing_keeps_nothing_from_going_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> list[str]:
        raise SourceDenied("Looking for staged files was denied.")

    monkeypatch.setattr(world.source, "discard_leftovers", deny)
    world.add_backup("b0")
    world.run()
    assert world.copied_backups() == ["b0"]
    assert "TidyingLeft" in world.journal.events()


# ---------------------------------------------------------------- the run before


def report(run: str, hours_ago: float, *failed: str) -> RunReport:
    outcomes = tuple(Outcome(copy_id, Status.FAILED, "Broken", copy_id=copy_id) for copy_id in failed)
    return RunReport(run, NIGHT - timedelta(hours=hours_ago), RunState.FAILED, outcomes=outcomes)


def test_the_first_run_of_a_day_of_utc_is_told_by_the_one_before() -> None:
    assert PastRuns.of([], "now", NIGHT).is_first_of_day
    assert not PastRuns.of([report("before", 2)], "now", NIGHT).is_first_of_day
    assert PastRuns.of([report("before", 2.5)], "now", NIGHT).is_first_of_day


def test_the_run_itself_is_not_the_one_before() -> None:
    runs = [report("now", 0, "a"), report("before", 30, "b", "c")]
    assert PastRuns.of(runs, "now", NIGHT) == PastRuns(frozenset({"b", "c"}), is_first_of_day=True)


def test_what_failed_when_it_was_last_tried_is_known_from_all_runs_of_a_chain() -> None:
    copied = Outcome("b", Status.COPIED, "Copied", copy_id="b")
    runs = [
        report("third", 1, "c"),
        replace(report("second", 2), outcomes=(copied,)),
        report("first", 3, "a", "b"),
    ]
    assert PastRuns.of(runs, "now", NIGHT).failed == {"a", "c"}


def test_several_bad_backups_in_a_chain_keep_no_older_one_from_being_copied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MOST_BACKUPS_PER_RUN", 1)
    world.edit(retention=replace(world.rule.retention, keep_last=1))
    world.add_backup("good", 0)
    for night in (1, 2, 3):
        world.add_backup(f"bad{night}", night, {"0001": b"no RDB file, and so it fails every time it is tried" * 3})
    for _ in range(2):
        request, known = RunRequest(), set(world.executions.successors)
        while request is not None:
            with suppress(RunFailed):
                world.run(request=request)
            events = [event for name, (_, event) in world.executions.successors.items() if name not in known]
            known = set(world.executions.successors)
            request = RunRequest.from_record(events[0]) if events else None
    assert world.copied_backups() == ["good"]


def test_a_backup_that_failed_last_time_keeps_no_older_one_from_being_copied(world: World) -> None:
    """Otherwise one that is damaged at its source would, being the last, for ever stand for the copy to keep."""
    world.edit(retention=replace(world.rule.retention, keep_last=1))
    world.add_backup("good", 0)
    world.add_backup("bad", 1, {"0001": b"no RDB file, and so it fails every time it is tried" * 3})
    with pytest.raises(RunFailed):
        world.run()
    assert world.copied_backups() == []
    with pytest.raises(RunFailed):
        world.run()
    assert world.copied_backups() == ["good"]


def test_a_history_that_cannot_be_read_keeps_nothing_from_being_copied(world: World) -> None:
    def fail(*_: object) -> None:
        raise TableUnavailable("The table does not answer.")

    world.tables.runs.history = fail
    world.add_backup("b0")
    world.run()
    assert world.copied_backups() == ["b0"]
    assert "HistoryUnread" in world.journal.events()
