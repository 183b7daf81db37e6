"""Copies at rest are read again within a run, over a world in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rdbkeeper.domain.audit import Damage, Fault
from rdbkeeper.domain.catalog import Mark, mark_key
from rdbkeeper.domain.errors import LeaseLost, RunFailed, StoreMismatch, VaultDenied, VaultUnavailable
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.flows.runs import audit
from rdbkeeper.ports import Record
from tests.fakes.engine import ProcessDied
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.flows.world import NIGHT, World, after_each

PART_BYTES = 1000
PATH = "redis/orders/"
AUDIT = RunRequest(on_request=True, audits=True)


def copy_id(days: int) -> str:
    return f"{NIGHT + timedelta(days=days):%Y%m%dT%H%M%SZ}-b{days}"


def data(days: int, file: str = "0001") -> str:
    return f"{PATH}{copy_id(days)}/{file}.rdb"


@pytest.fixture
def world() -> World:
    """Three copies, of 2,500 to 2,502 bytes in parts of 1,000, read again on request."""
    world = World(copying=CopySettings(part_size_bytes=PART_BYTES, lanes=2))
    world.vault.smallest_part_bytes = 1
    for days in range(3):
        world.add_backup(f"b{days}", days, {"0001": rdb_file(2500 + days, seed=days)})
        world.run()
        world.clock.advance(86_400)
    world.journal.lines.clear()
    return world


def run_audit(world: World, request: RunRequest = AUDIT) -> Record:
    return world.run(request=request)


def damage(world: World, days: int, at: int) -> None:
    world.vault.objects[data(days)] = flip_bit(world.vault.objects[data(days)], at)


def mark_of(world: World, days: int) -> Damage | None:
    key = mark_key(PATH, Mark.DAMAGED, copy_id(days))
    return Damage.from_json(world.vault.objects[key], key) if key in world.vault.objects else None


def lines(world: World, event: str) -> list[str]:
    return [line.message for line in world.journal.lines if line.event == event]


def test_whole_copies_are_read_again_and_that_is_put_down(world: World) -> None:
    run_audit(world)
    assert world.report() == "orders-nightly: 3 audited; next run Wed 25 Nov 02:30 Asia/Tokyo"
    assert world.tables.runs.checks("orders-nightly") == {copy_id(days): world.clock.now() for days in range(3)}
    assert world.history()[0].state.value == "succeeded"
    assert not world.tables.leases


def test_an_audit_on_request_copies_nothing(world: World) -> None:
    world.add_backup("b9", 9)
    run_audit(world)
    assert "b9" not in world.copied_backups()


@pytest.mark.parametrize(("at", "part"), [(0, 1), (999, 1), (1000, 2), (1999, 2), (2000, 3), (2499, 3)])
def test_a_damaged_part_is_named_with_its_bytes(world: World, at: int, part: int) -> None:
    damage(world, 0, at)
    with pytest.raises(RunFailed, match="3 audited, 1 damaged"):
        run_audit(world)
    mark = mark_of(world, 0)
    assert mark is not None
    (finding,) = mark.findings
    last_byte = min(part * PART_BYTES, 2500) - 1
    assert (finding.fault, finding.part, finding.first_byte) == (Fault.DAMAGED_PART, part, (part - 1) * PART_BYTES)
    assert finding.last_byte == last_byte
    (line,) = lines(world, "CopyDamaged")
    assert f"0001.rdb: part {part} of 3, bytes {finding.first_byte:,} to {last_byte:,}" in line
    assert copy_id(0) not in world.tables.runs.checks("orders-nightly")


def test_a_missing_file_and_a_wrong_length_are_damage(world: World) -> None:
    del world.vault.objects[data(0)]
    world.vault.objects[data(1)] += b"!"
    with pytest.raises(RunFailed, match="3 audited, 2 damaged"):
        run_audit(world)
    marks = [mark_of(world, 0), mark_of(world, 1)]
    assert [mark.findings[0].fault for mark in marks if mark] == [Fault.MISSING_FILE, Fault.WRONG_LENGTH]


def test_a_manifest_that_cannot_be_read_is_damage(world: World) -> None:
    (key,) = (key for key in world.vault.objects if f"manifests/{copy_id(0)}" in key)
    world.vault.objects[key] = b"{}"
    with pytest.raises(RunFailed):
        run_audit(world)
    mark = mark_of(world, 0)
    assert mark is not None and mark.findings[0].fault is Fault.MANIFEST


def test_damage_calls_once_and_is_told_from_then_on(world: World) -> None:
    damage(world, 0, 1500)
    with pytest.raises(RunFailed):
        run_audit(world)
    run_audit(world)
    assert "3 audited, 1 damaged" in world.report()


def test_known_damage_is_told_by_reading_the_least(world: World) -> None:
    damage(world, 0, 2400)
    with pytest.raises(RunFailed):
        run_audit(world)
    read: list[object] = []
    after_each(world.vault, "open_range", lambda: read.append(1))
    world.tables.runs.record_check("orders-nightly", copy_id(1), world.clock.now())
    world.edit(audit_every_days=30)
    world.run()
    assert len(read) == 2  # the damaged part alone, and once more before it is believed


def test_a_mended_copy_loses_its_mark(world: World) -> None:
    whole = world.vault.objects[data(0)]
    damage(world, 0, 1500)
    with pytest.raises(RunFailed):
        run_audit(world)
    world.vault.objects[data(0)] = whole
    run_audit(world)
    assert mark_of(world, 0) is None
    assert lines(world, "CopyMended") == [f"The mark of damage of {copy_id(0)} is taken away."]
    assert "3 audited, 1 mended" in world.report()
    assert copy_id(0) in world.tables.runs.checks("orders-nightly")


def test_a_copy_that_was_mended_in_one_place_and_is_damaged_in_another_stays_marked(world: World) -> None:
    whole = world.vault.objects[data(0)]
    damage(world, 0, 1500)
    with pytest.raises(RunFailed):
        run_audit(world)
    world.vault.objects[data(0)] = flip_bit(whole, 10)
    run_audit(world)
    assert mark_of(world, 0) is not None


def test_one_reading_alone_alarms_nobody(world: World) -> None:
    whole = world.vault.objects[data(0)]
    damage(world, 0, 1500)
    wrong = world.vault.objects[data(0)]
    etag = world.vault._etag_at(data(0))
    open_range, readings = world.vault.open_range, []

    def flaky(key: str, tag: str, first_byte: int, length_bytes: int) -> object:
        if key != data(0):
            return open_range(key, tag, first_byte, length_bytes)
        readings.append(first_byte)
        world.vault.objects[key] = wrong if readings.count(first_byte) == 1 else whole
        return open_range(key, world.vault._etag_at(key), first_byte, length_bytes)

    assert etag
    world.vault.open_range = flaky  # type: ignore[assignment]
    run_audit(world)
    assert mark_of(world, 0) is None
    assert readings.count(1000) == 2


def test_a_store_that_fails_to_answer_is_no_damage(world: World) -> None:
    world.vault.failing["find_object"] = [VaultUnavailable("no answer")] * 3
    run_audit(world)
    assert "2 audited, 1 could not be read" in world.report()
    assert not any(mark_of(world, days) for days in range(3))
    assert len(world.tables.runs.checks("orders-nightly")) == 2


def test_a_store_that_answers_again_is_asked_again(world: World) -> None:
    world.vault.failing["find_object"] = [VaultUnavailable("no answer")] * 2
    run_audit(world)
    assert "3 audited;" in world.report()


def test_one_copy_that_must_not_be_read_stops_no_other(world: World) -> None:
    world.vault.failing["find_object"] = [VaultDenied("AccessDenied")]
    run_audit(world)
    assert "2 audited, 1 could not be read" in world.report()
    assert "AccessDenied" in lines(world, "CopyUnread")[0]


def test_a_run_that_can_read_not_one_copy_fails(world: World) -> None:
    world.vault.failing["find_object"] = [VaultDenied("AccessDenied")] * 3
    with pytest.raises(RunFailed, match="0 audited, 3 could not be read"):
        run_audit(world)


def test_a_store_that_is_down_is_not_asked_for_every_copy(world: World) -> None:
    for days in range(3, 8):
        world.add_backup(f"b{days}", days)
    world.run()
    world.vault.failing["find_object"] = [VaultUnavailable("no answer")] * 9
    with pytest.raises(RunFailed):
        run_audit(world)
    assert lines(world, "AuditStopped") == [
        "The vault failed one copy after the other; 5 more are left to the next run."
    ]
    assert not world.vault.failing["find_object"]


def test_a_stream_that_breaks_is_opened_again_where_it_broke(world: World) -> None:
    opened: list[tuple[int, int]] = []
    open_range = world.vault.open_range

    def cut(key: str, etag: str, first_byte: int, length_bytes: int) -> object:
        if key == data(0):
            opened.append((first_byte, length_bytes))
            if len(opened) == 1:
                return open_range(key, etag, first_byte, 300)
        return open_range(key, etag, first_byte, length_bytes)

    world.copying = CopySettings(part_size_bytes=PART_BYTES, lanes=1)
    world.vault.open_range = cut  # type: ignore[assignment]
    run_audit(world)
    assert opened[:3] == [(0, 1000), (300, 700), (1000, 1000)]
    assert "3 audited;" in world.report()


def test_a_copy_that_is_removed_meanwhile_is_no_damage(world: World) -> None:
    def remove() -> None:
        for key in [key for key in world.vault.objects if copy_id(1) in key]:
            del world.vault.objects[key]

    after_each(world.vault, "catalog", remove)
    run_audit(world)
    assert "2 audited;" in world.report()
    assert mark_of(world, 1) is None


def test_a_copy_that_is_removed_while_it_is_marked_bears_no_mark(world: World) -> None:
    damage(world, 1, 5)

    def remove() -> None:
        for key in [key for key in world.vault.objects if f"manifests/{copy_id(1)}" in key]:
            del world.vault.objects[key]

    after_each(world.vault, "create_object", remove)
    run_audit(world)
    assert mark_of(world, 1) is None


def test_checks_of_copies_that_are_gone_are_struck_off(world: World) -> None:
    world.tables.runs.record_check("orders-nightly", "20200101T000000Z-gone", NIGHT)
    run_audit(world)
    assert "20200101T000000Z-gone" not in world.tables.runs.checks("orders-nightly")


def test_a_rule_audits_in_its_own_runs_what_is_due(world: World) -> None:
    world.edit(audit_every_days=2)
    world.run()
    assert "3 already kept, 0 copied, 0 failed, 2 audited; next run" in world.report()
    world.run()
    assert "audited" not in world.report()


def test_a_rule_that_asks_for_no_audits_reads_no_copy_again(world: World) -> None:
    world.vault.open_range = None  # type: ignore[assignment]
    world.run()
    assert "audited" not in world.report()


def test_damage_found_by_a_timers_run_fails_it(world: World) -> None:
    world.edit(audit_every_days=1)
    damage(world, 2, 5)
    with pytest.raises(RunFailed, match="0 failed, 3 audited, 1 damaged"):
        world.run()
    kept = world.status().kept
    assert kept is not None and kept.newest_copy == copy_id(1)


def test_a_listing_that_fails_ends_no_run_that_has_copied(world: World) -> None:
    world.edit(audit_every_days=1)
    context = world.context("x")
    runs = context.runs
    checks = runs.checks
    runs.checks = lambda rule: (_ for _ in ()).throw(VaultDenied("AccessDenied"))  # type: ignore[method-assign]
    world.run()
    runs.checks = checks  # type: ignore[method-assign]
    assert "AuditStopped" in world.journal.events()


def test_no_more_is_read_than_the_request_allows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BYTES_PER_GIGABYTE", 5001)
    run_audit(world, RunRequest(on_request=True, audits=True, most_gigabytes=1))
    assert "2 audited;" in world.report()
    assert "1 more are due" in lines(world, "CopiesAudited")[0]


def test_one_copy_is_read_however_large_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_BYTES", 10)
    run_audit(world)
    assert "1 audited;" in world.report()
    run_audit(world)
    assert len(world.tables.runs.checks("orders-nightly")) == 2


def slow_reads(world: World, seconds: float) -> None:
    after_each(world.vault, "open_range", lambda: world.clock.advance(seconds))


@pytest.mark.parametrize(("seconds", "legs"), [(130, 2), (180, 3)])
def test_a_leg_ends_in_time_within_a_copy_and_between_two(world: World, seconds: float, legs: int) -> None:
    world.copying = CopySettings(part_size_bytes=PART_BYTES, lanes=1)
    slow_reads(world, seconds)
    run_audit(world)
    assert "3 audited;" in world.report()
    assert len(lines(world, "AuditLegDone")) == legs
    assert "LegCutShort" not in world.journal.events()


def test_a_copy_that_is_read_in_several_legs_is_judged_whole(world: World) -> None:
    world.copying = CopySettings(part_size_bytes=PART_BYTES, lanes=1)
    slow_reads(world, 300)
    damage(world, 0, 2499)
    with pytest.raises(RunFailed, match="3 audited, 1 damaged"):
        run_audit(world)
    assert len(lines(world, "AuditLegDone")) > 3
    mark = mark_of(world, 0)
    assert mark is not None and [finding.part for finding in mark.findings] == [3]


def test_a_leg_begins_with_time_enough(world: World) -> None:
    engine = world.engine()
    engine.seconds_per_invocation = 300
    world.run(engine, AUDIT)
    assert engine.invocations == 2


def test_a_leg_that_is_killed_again_and_again_is_given_up(world: World) -> None:
    def begin_ten_times() -> None:
        for _ in range(10):
            world.tables.runs.count_attempt("orders-nightly", audit.ATTEMPTS_OF, 0)

    after_each(world.vault, "catalog", begin_ten_times)
    run_audit(world)
    assert "2 audited, 1 could not be read" in world.report()
    assert [line.fields["reason"] for line in world.journal.lines if line.event == "CopyUnread"] == ["LegNeverEnds"]


def test_a_rule_that_is_pointed_elsewhere_ends_its_audit(world: World) -> None:
    after_each(world.vault, "catalog", lambda: world.rule.prefix == "redis/" and world.edit(prefix="elsewhere/"))
    assert run_audit(world)["refused"] == "RuleChanged"
    assert world.tables.runs.checks("orders-nightly") == {}
    assert not world.tables.leases


def test_on_request_also_what_is_not_due_is_read(world: World) -> None:
    world.edit(audit_every_days=30)
    run_audit(world)
    run_audit(world)
    assert "3 audited;" in world.report()


def test_a_copy_that_is_being_removed_is_left_alone(world: World) -> None:
    world.vault.objects[mark_key(PATH, Mark.REMOVAL, copy_id(1))] = b"{}"
    run_audit(world)
    assert copy_id(1) not in world.tables.runs.checks("orders-nightly")
    assert "2 audited;" in world.report()


def test_damage_found_on_request_is_reported_once_and_counts_for_what_is_kept(world: World) -> None:
    damage(world, 2, 5)
    with pytest.raises(RunFailed):
        run_audit(world)
    assert "RunFailed" not in world.journal.events()
    report, kept = world.history()[0], world.status().kept
    assert (report.state.value, report.line) == ("failed", world.report())
    assert kept is not None and kept.newest_copy == copy_id(1)


def test_no_copy_is_begun_after_an_hour(world: World) -> None:
    world.copying = CopySettings(part_size_bytes=PART_BYTES, lanes=1)
    slow_reads(world, 500)
    run_audit(world)
    assert "2 audited;" in world.report()


def test_a_copy_that_cannot_be_read_in_a_runs_time_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BEGINS_COPIES_FOR_S", 100)
    monkeypatch.setattr(audit, "LONGEST_AUDIT_S", 1500)
    world.copying = CopySettings(part_size_bytes=PART_BYTES, lanes=1)
    slow_reads(world, 500)
    with pytest.raises(RunFailed, match="0 audited, 1 could not be read"):
        run_audit(world)


@pytest.mark.parametrize("dies_after", range(9))
def test_an_audit_goes_on_after_a_crash(world: World, dies_after: int) -> None:
    world.copying = CopySettings(part_size_bytes=PART_BYTES, lanes=1)
    slow_reads(world, 130)
    damage(world, 1, 1500)
    engine = world.engine()
    engine.dies_after = dies_after
    try:
        world.run(engine, AUDIT)
    except ProcessDied:
        engine.begin_invocation()
        with pytest.raises(RunFailed, match="3 audited, 1 damaged"):
            world.run(engine, AUDIT)
    except RunFailed:
        pass
    assert mark_of(world, 1) is not None
    assert len(world.tables.runs.checks("orders-nightly")) == 2


def test_a_run_that_lost_its_lease_stops_before_it_marks(world: World) -> None:
    damage(world, 0, 5)
    after_each(world.vault, "open_range", world.steal_lease)
    with pytest.raises(LeaseLost):
        run_audit(world)
    assert mark_of(world, 0) is None


def test_an_object_that_changes_while_it_is_read_is_left_to_the_next_audit(world: World) -> None:
    def changes(key: str, etag: str, first_byte: int, length_bytes: int) -> object:
        raise StoreMismatch("another object by now")

    open_range = world.vault.open_range
    world.vault.open_range = lambda key, *rest: (changes if key == data(2) else open_range)(key, *rest)  # type: ignore[assignment]
    run_audit(world)
    assert "2 audited, 1 could not be read" in world.report()
    assert mark_of(world, 2) is None


def test_an_audit_keeps_to_the_rules_bandwidth(world: World) -> None:
    world.edit(bandwidth_mbps=1)
    began = world.clock.monotonic()
    run_audit(world)
    assert world.clock.monotonic() - began > 6_000 / 125_000 / 2


def test_a_request_for_an_audit_survives_its_record() -> None:
    request = RunRequest(on_request=True, audits=True, most_gigabytes=7)
    assert RunRequest.from_record(request.as_record()) == request
    assert not RunRequest.from_record({"audits": "yes"}).audits
    with pytest.raises(ValueError, match="most_gigabytes"):
        RunRequest.from_record({"most_gigabytes": -1})
