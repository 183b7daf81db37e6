"""A run of a rule, over a world in memory."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup import Backup, BackupState
from rdbkeeper.domain.errors import (
    BackupBusy,
    RunFailed,
    SourceDenied,
    SourceUnavailable,
    VaultDenied,
    VaultUnavailable,
)
from rdbkeeper.domain.selection import MOST_BACKUPS_PER_RUN
from rdbkeeper.domain.status import RunState
from rdbkeeper.flows.runs import copy
from tests.fakes.engine import ProcessDied
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.flows.world import NIGHT, World, after_each

MEBIBYTE = 1 << 20


def test_each_new_backup_is_copied_byte_for_byte_with_its_manifest(world: World) -> None:
    first = world.add_backup("automatic.orders-1")
    second = world.add_backup("automatic.orders-2", 1, {"0001": rdb_file(300), "0002": rdb_file(400, seed=2)})

    world.run()

    assert world.data() == {
        "redis/orders/20261120T021500Z-automatic.orders-1/0001.rdb": first["0001"],
        "redis/orders/20261121T021500Z-automatic.orders-2/0001.rdb": second["0001"],
        "redis/orders/20261121T021500Z-automatic.orders-2/0002.rdb": second["0002"],
    }
    assert sorted(world.manifests()) == [
        "redis/orders/manifests/20261120T021500Z-automatic.orders-1.verified.json",
        "redis/orders/manifests/20261121T021500Z-automatic.orders-2.verified.json",
    ]


def test_a_run_of_an_instance_without_any_backup_succeeds_and_says_when_there_will_be_one() -> None:
    world = World()
    world.run()
    run = world.history()[0]
    assert (run.state, run.outcomes) == (RunState.SUCCEEDED, ())
    assert "0 failed, none made yet (its next automatic backup comes in its backup window (02:00-03:00)" in run.line
    (line,) = [line for line in world.journal.lines if line.event == "NoBackupsYet"]
    assert line.level == "warning" and "Hint:" in line.message and "`backup_now`" in line.message
    world.add_backup("automatic.orders-1")
    world.run()
    assert "none made yet" not in world.history()[0].line


def test_of_an_instance_that_makes_no_backups_none_is_announced() -> None:
    world = World()
    world.source.set_retention("orders", 0)
    world.run()
    assert "NoBackupsYet" not in world.journal.events() and "none made yet" not in world.history()[0].line


def test_a_second_run_copies_nothing(world: World) -> None:
    world.add_backup("automatic.orders-1")
    world.run()
    parts_put = world.vault.parts_put

    world.run()

    assert world.vault.parts_put == parts_put
    assert world.report() == (
        "orders-nightly: 1 backup found, 1 already kept, 0 copied, 0 failed; next run Sun 22 Nov 02:30 Asia/Tokyo"
    )


def test_the_report_tells_the_run_in_one_line(world: World) -> None:
    world.add_backup("automatic.orders-1", 0, {"0001": rdb_file(20_000), "0002": rdb_file(30_000)})
    world.run()
    assert world.report() == (
        "orders-nightly: 1 backup found, 0 already kept, 1 copied (2 files, 50 kB in 1 s), verified, 0 failed; "
        "next run Sun 22 Nov 02:30 Asia/Tokyo"
    )


def test_the_backups_are_listed_once_in_an_invocation(world: World) -> None:
    world.add_backup("one", 0)
    world.add_backup("two", 1)
    listings: list[str] = []
    after_each(world.source, "backups", lambda: listings.append("listed"))
    world.run()
    assert listings == ["listed"]


def test_every_line_about_a_backup_names_it(world: World) -> None:
    world.add_backup("automatic.orders-1")
    world.run()
    about_backups = [
        line for line in world.journal.lines if line.event in ("ExportRequested", "BackupOutcome", "LegDone")
    ]
    assert len(about_backups) == 3
    assert {line.fields["backup"] for line in about_backups} == {"automatic.orders-1"}


def test_the_oldest_backup_is_copied_first(world: World) -> None:
    for days in (3, 0, 2, 1):
        world.add_backup(f"b-{days}", days)
    world.run()
    copied = [line.fields["backup"] for line in world.journal.lines if line.event == "BackupOutcome"]
    assert copied == ["b-0", "b-1", "b-2", "b-3"]


def test_a_name_that_is_used_again_is_another_backup(world: World) -> None:
    world.add_backup("manual", 0)
    world.run()
    world.source.lose_backup("orders", "manual")
    world.add_backup("manual", 1)
    world.run()
    assert len(world.manifests()) == 2


def test_a_file_of_many_parts_is_the_same_in_the_vault(world: World) -> None:
    file = rdb_file(40 * MEBIBYTE + 12345)
    world.add_backup("large", 0, {"0001": file})
    world.run()
    (manifest,) = world.manifests().values()
    assert list(world.data().values()) == [file]
    assert len(manifest.files[0].part_sha256) == 3
    assert manifest.level.value == "verified"


def test_a_file_copied_in_several_legs_is_checked_against_its_own_trailer(world: World) -> None:
    file = rdb_file(70 * MEBIBYTE)
    world.add_backup("large", 0, {"0001": file, "0002": rdb_file(99)})
    engine = world.engine()
    engine.seconds_per_invocation = 0  # every leg's time is over at once, so each moves a single part
    read = world.source.open_range
    world.source.open_range = lambda *args: (world.clock.advance(60), read(*args))[1]

    world.run(engine)

    assert engine.invocations == 8  # for each of six legs, and to publish
    assert sorted(map(len, world.data().values())) == [99, len(file)]
    assert world.copied_backups() == ["large"]


def test_the_manifest_keeps_what_making_the_same_instance_needs(world: World) -> None:
    world.add_backup("automatic.orders-1")
    world.run()
    (manifest,) = world.manifests().values()
    assert manifest.engine.engine_version == "7.1"
    assert manifest.engine.node_type == "cache.t4g.small"
    assert manifest.files[0].slots == "0-16383"
    assert manifest.files[0].checks == ("length", "header", "end", "crc64", "store crc64nvme")


def test_a_zero_checksum_is_kept_as_unchecked_with_the_reason(world: World) -> None:
    world.add_backup("nochecksum", 0, {"0001": rdb_file(500, checksum=False)})
    world.run()
    (key,) = world.manifests()
    (manifest,) = world.manifests().values()
    assert key.endswith(".unchecked.json")
    assert manifest.files[0].unchecked_reason.startswith("no CRC")
    assert "crc64" not in manifest.files[0].checks
    assert "unchecked" in world.report() and "verified" not in world.report()


DAMAGED = {
    "a changed byte": (flip_bit(rdb_file(500), 250), "ChecksumMismatch"),
    "a truncated file": (rdb_file(500)[:-20], "EndMarkerMissing"),
    "something after the end": (rdb_file(500) + b"\x01garbage!", "EndMarkerMissing"),
    "an error page": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "NotAnRdbFile"),
    "almost nothing": (b"REDIS0011\xff", "EndMarkerMissing"),
}


@pytest.mark.parametrize("damaged, reason", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_never_published_and_the_others_are_copied(world: World, damaged: bytes, reason: str) -> None:
    world.add_backup("bad", 0, {"0001": rdb_file(100), "0002": damaged})
    world.add_backup("good", 1)

    with pytest.raises(RunFailed, match="1 failed"):
        world.run()

    assert world.outcomes() == {"bad": reason, "good": "Published"}
    assert world.copied_backups() == ["good"]
    assert [key for key in world.data() if "bad" in key] == []
    assert world.vault.uploads == {}


def test_a_copy_that_would_lack_a_shard_is_not_published(world: World) -> None:
    world.add_backup("one", 0, {"0001": rdb_file(100), "0002": rdb_file(200)})
    find = world.source.find_staged_files

    def lose_the_last(backup: Backup, attempt: str) -> Any:
        found = find(backup, attempt)
        return found and found[:1]

    world.source.find_staged_files = lose_the_last
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"one": "FileMissing"}
    assert world.vault.objects == {} and world.vault.uploads == {}


def test_a_cut_stream_leaves_no_manifest_and_no_upload(world: World) -> None:
    world.add_backup("cut", 0, {"0001": rdb_file(5000)})
    world.source.cut_at["0001"] = 1234
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"cut": "StreamCutShort"}
    assert "stopped at 1,234 of 5,000 bytes" in world.journal.text()
    assert world.vault.objects == {} and world.vault.uploads == {}


def test_the_next_run_tries_a_failed_backup_again(world: World) -> None:
    world.add_backup("cut", 0, {"0001": rdb_file(5000)})
    world.source.cut_at["0001"] = 1234
    with pytest.raises(RunFailed):
        world.run()
    world.source.cut_at.clear()
    world.run()
    assert world.copied_backups() == ["cut"]


def test_an_export_that_never_finishes_fails_while_the_others_are_copied(world: World) -> None:
    world.add_backup("stuck", 0)
    world.add_backup("fine", 1)
    world.source.stuck.add("stuck")
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"stuck": "ExportTimedOut", "fine": "Published"}
    assert world.clock.now() - NIGHT > timedelta(hours=3)


def test_an_older_backup_whose_export_takes_longer_is_still_copied_first(world: World) -> None:
    world.add_backup("older", 0)
    world.add_backup("newer", 1)
    world.source.slow["older"] = 4
    world.run()
    assert list(world.outcomes()) == ["older", "newer"]


def test_an_export_that_hangs_is_overtaken_after_a_while(world: World) -> None:
    world.add_backup("hangs", 0)
    world.add_backup("newer", 1)
    world.source.slow["hangs"] = 20
    world.run()
    assert list(world.outcomes()) == ["newer", "hangs"]


def test_a_vault_that_denies_publishes_nothing(world: World) -> None:
    world.add_backup("first", 0)
    world.add_backup("second", 1)
    world.vault.failing["put_part"] = [VaultDenied("Putting part 1 failed: AccessDenied.")]
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"first": "VaultDenied", "second": "Published"}
    assert world.vault.uploads == {}


def test_an_upload_that_cannot_be_aborted_stops_neither_this_run_nor_the_next(world: World) -> None:
    world.add_backup("bad", 0, {"0001": flip_bit(rdb_file(500), 250)})
    world.add_backup("good", 1)
    world.vault.denies_aborts = True
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"bad": "ChecksumMismatch", "good": "Published"}
    assert "UploadLeft" in world.journal.events()

    world.add_backup("next", 2)
    with pytest.raises(RunFailed):
        world.run()
    assert sorted(world.copied_backups()) == ["good", "next"]

    world.vault.denies_aborts = False
    with pytest.raises(RunFailed):
        world.run()
    assert world.vault.uploads == {}
    assert world.tables.runs.remembered_uploads("orders-nightly") == []


def test_an_export_that_cannot_even_be_looked_at_ends_at_its_deadline(world: World) -> None:
    world.add_backup("one")
    world.source.find_staged_files = _raises(SourceUnavailable("no answer"))
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"one": "ExportTimedOut"}
    assert "could not be looked at (SourceUnavailable)" in world.journal.text()


def test_a_thousand_kept_backups_fit_a_steps_result(world: World) -> None:
    for number in range(1000):
        world.add_backup(f"manual-backup-with-quite-a-long-name-{number:04d}", number)
    for backup in world.source.backups(world.source._instances["orders"]):
        world.vault.objects[f"redis/orders/manifests/{backup.copy_id}.verified.json"] = b"{}"
    world.run()
    assert world.report().startswith("orders-nightly: 1000 backups found, 1000 already kept, 0 copied, 0 failed")


def test_what_took_long_to_copy_is_published_in_a_fresh_invocation(world: World) -> None:
    world.add_backup("one")
    engine = world.engine()

    def spend_the_time(*args: Any) -> Any:
        engine.seconds_per_invocation = 200
        return read(*args)

    read, world.source.open_range = world.source.open_range, spend_the_time
    world.run(engine)
    assert engine.invocations == 2


def test_no_leg_is_begun_in_what_little_an_invocation_has_left(world: World) -> None:
    world.add_backup("one")
    world.add_backup("two", 1)
    engine = world.engine()
    engine.seconds_per_invocation = 300
    world.run(engine)
    assert engine.invocations == 5  # before each leg, and before each publishing


def test_a_part_whose_connection_broke_is_read_again_within_the_leg(world: World) -> None:
    files = world.add_backup("one", 0, {"0001": rdb_file(40 * MEBIBYTE)})
    read, failures = world.source.open_range, [SourceUnavailable("the connection broke off")] * 2

    def break_twice(*args: Any) -> Any:
        if failures:
            raise failures.pop()
        return read(*args)

    world.source.open_range = break_twice
    world.run()
    assert list(world.data().values()) == list(files.values())
    assert world.vault.parts_put == 3


def test_a_source_that_denies_fails_the_run_by_name_and_frees_the_lease(world: World) -> None:
    world.source.backups = _raises(SourceDenied("Listing failed: AccessDenied."))
    with pytest.raises(SourceDenied):
        world.run()
    assert "RunFailed" in world.journal.events()
    assert world.tables.leases == {}


def test_what_passes_by_itself_is_tried_again_within_the_run(world: World) -> None:
    world.add_backup("one")
    world.vault.failing["put_part"] = [VaultUnavailable("slow down")]
    world.vault.failing["catalog"] = [VaultUnavailable("slow down")]
    world.run()
    assert world.copied_backups() == ["one"]


def test_a_backup_that_the_provider_is_working_on_is_postponed_and_is_no_failure(world: World) -> None:
    world.add_backup("busy", 0)
    world.source.failing["busy"] = BackupBusy("InvalidSnapshotState")
    world.source.add_backup("orders", "making", None, {"0001": b""}, BackupState.IN_PROGRESS)
    world.run()
    assert world.outcomes() == {"busy": "BackupBusy", "making": "BackupInProgress"}
    assert "2 postponed" in world.report()


def test_a_backup_that_failed_at_its_source_is_skipped(world: World) -> None:
    world.source.add_backup("orders", "broken", NIGHT, {"0001": b""}, BackupState.FAILED)
    world.run()
    assert world.outcomes() == {"broken": "BackupFailedAtSource"}
    assert "1 skipped" in world.report()


def test_a_backup_that_vanishes_before_its_export_fails_alone(world: World) -> None:
    world.add_backup("vanishes", 0)
    world.add_backup("stays", 1)
    ask = world.source.request_export

    def vanish_then_ask(backup: Backup, attempt: str) -> None:
        world.source.lose_backup("orders", "vanishes")
        ask(backup, attempt)

    world.source.request_export = vanish_then_ask
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"vanishes": "BackupGone", "stays": "Published"}


def test_a_backup_that_vanishes_after_its_export_is_copied_all_the_same(world: World) -> None:
    files = world.add_backup("expires")
    ask = world.source.request_export

    def ask_then_vanish(backup: Backup, attempt: str) -> None:
        ask(backup, attempt)
        world.source.lose_backup("orders", "expires")

    world.source.request_export = ask_then_vanish
    world.run()
    assert world.outcomes() == {"expires": "Published"}
    assert list(world.data().values()) == list(files.values())


def test_what_a_run_leaves_over_is_the_next_ones(world: World) -> None:
    for number in range(MOST_BACKUPS_PER_RUN + 2):
        world.add_backup(f"b-{number:03d}", number)
    world.run()
    assert len(world.manifests()) == MOST_BACKUPS_PER_RUN
    assert "2 postponed" in world.report()
    world.run()
    assert len(world.manifests()) == MOST_BACKUPS_PER_RUN + 2


def test_staged_files_are_removed_after_the_copy_and_after_a_failure(world: World) -> None:
    world.add_backup("good", 0)
    world.add_backup("bad", 1, {"0001": flip_bit(rdb_file(500), 250)})
    with pytest.raises(RunFailed):
        world.run()
    assert world.source.staged == {}


def discards(world: World) -> list[str]:
    """The backups whose exports are discarded from now on."""
    discarded: list[str] = []
    discard = world.source.discard_export

    def note(backup: Backup, attempt: str) -> None:
        discarded.append(backup.backup_id)
        discard(backup, attempt)

    world.source.discard_export = note
    return discarded


@pytest.mark.parametrize(
    "error, discarded",
    [(SourceDenied("no"), ["one"]), (SourceUnavailable("no answer"), []), (BackupBusy("busy"), [])],
    ids=["refused", "perhaps begun", "busy"],
)
def test_what_was_put_down_for_an_export_that_is_refused_is_taken_away(
    world: World, error: Exception, discarded: list[str]
) -> None:
    world.add_backup("one")
    world.source.failing["one"] = error
    noted = discards(world)
    with contextlib.suppress(RunFailed):
        world.run()
    assert noted == discarded
    assert world.outcomes() == {"one": type(error).__name__}


def test_a_refused_export_that_cannot_be_looked_up_any_more_fails_alone(world: World) -> None:
    world.add_backup("one")
    world.add_backup("two", 1)
    world.source.failing["one"] = SourceDenied("no")
    engine = world.engine()
    engine.dies_after = 4
    with pytest.raises(ProcessDied):
        world.run(engine)
    engine.begin_invocation()
    backups = world.source.backups
    world.source.backups = lambda instance: [one for one in backups(instance) if one.backup_id != "one"]
    with pytest.raises(RunFailed):
        world.run(engine)
    assert world.outcomes() == {"one": "SourceDenied", "two": "Published"}
    assert "StagedFilesLeft" in world.journal.events()


def test_staged_files_that_cannot_be_removed_are_logged_and_fail_nothing(world: World) -> None:
    world.add_backup("one")
    world.source.discard_export = _raises(SourceUnavailable("no answer"))
    world.run()
    assert "StagedFilesLeft" in world.journal.events()
    assert world.copied_backups() == ["one"]


def _raises(error: Exception) -> Any:
    def method(*_: object) -> None:
        raise error

    return method


def test_a_backup_that_its_rules_cap_would_never_let_through_fails_with_the_cap_that_would(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "LONGEST_COPY_S", 0.001)
    world.edit(bandwidth_mbps=1)
    world.add_backup("one", files={"0001": rdb_file(400)})
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes() == {"one": "CopyTooSlow"}
    assert "bandwidth_mbps to 4 at least" in world.journal.text()
    assert world.vault.uploads == {}


def test_what_was_completed_is_not_aborted(world: World) -> None:
    world.add_backup("one")
    aborted: list[object] = []
    world.vault.abort_upload = aborted.append
    world.run()
    assert aborted == []
    assert world.tables.runs.remembered_uploads("orders-nightly") == []
