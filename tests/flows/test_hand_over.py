"""What is more than one run takes is handed to a run that follows at once."""

from __future__ import annotations

from contextlib import suppress

import pytest

from rdbkeeper.domain import selection
from rdbkeeper.domain.backup import Backup
from rdbkeeper.domain.errors import FleetDenied, RunFailed
from rdbkeeper.domain.run_request import MOST_HAND_OVERS, RunRequest
from rdbkeeper.flows.runs import hand_over
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.flows.world import World


def follow(world: World, seen: set[str]) -> RunRequest | None:
    """The wish of the successor that has not been looked at yet."""
    new = [(name, request) for name, (_, request) in world.executions.successors.items() if name not in seen]
    seen.update(name for name, _ in new)
    assert len(new) <= 1
    return RunRequest.from_record(new[0][1]) if new else None


def run_chain(world: World, request: RunRequest | None = None) -> int:
    """Run and run the successors; returns how many runs there were."""
    seen = set(world.executions.successors)
    runs, wish = 0, request or RunRequest()
    while wish is not None:
        runs += 1
        with suppress(RunFailed):
            world.run(request=wish)
        wish = follow(world, seen)
    return runs


def remember_wishes(world: World) -> list[tuple[str, str]]:
    """Every wish for an export from now on: the backup and the attempt's name."""
    asked: list[tuple[str, str]] = []
    request_export = world.source.request_export

    def remember(backup: Backup, attempt: str) -> None:
        asked.append((backup.backup_id, attempt))
        request_export(backup, attempt)

    world.source.request_export = remember
    return asked


def test_a_run_with_room_for_all_has_no_successor(world: World) -> None:
    world.add_backup("one")
    world.run()
    assert world.executions.successors == {}


def test_backups_beyond_what_one_run_takes_are_copied_by_its_successors(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MOST_BACKUPS_PER_RUN", 3)
    for day in range(8):
        world.add_backup(f"b{day}", day)
    assert run_chain(world) == 3
    assert world.copied_backups() == [f"b{day}" for day in range(8)]
    assert "5 postponed" in next(line.message for line in world.journal.lines if line.event == "RunFinished")


def test_a_run_stops_between_two_backups_when_its_operations_run_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_over, "MOST_OPERATIONS", 25)
    for day in range(8):
        world.add_backup(f"b{day}", day)
    assert run_chain(world) > 2
    assert sorted(world.copied_backups()) == [f"b{day}" for day in range(8)]
    assert world.source.staged == {}


def test_ninety_shards_in_thirty_five_backups_stay_far_from_what_an_execution_holds(world: World) -> None:
    for day in range(35):
        world.add_backup(f"b{day}", day, files={f"{n:04d}": rdb_file(40, seed=n) for n in range(90)})
    engine = world.engine()
    world.run(engine)
    assert engine.operations <= hand_over.MOST_OPERATIONS + 100
    assert len(world.copied_backups()) == 35
    assert world.executions.successors == {}


def test_a_run_that_has_gone_on_for_long_hands_over(world: World) -> None:
    world.add_backup("one")
    world.add_backup("two", 1)
    put_part = world.vault.put_part

    def put_slowly(*args: object) -> object:
        world.clock.advance(hand_over.BEGINS_BACKUPS_FOR.total_seconds() + 1)
        return put_part(*args)

    world.vault.put_part = put_slowly
    world.run()
    assert world.copied_backups() == ["one"]
    assert world.outcomes()["two"] == "RunIsFull"
    assert len(world.executions.successors) == 1


def test_a_successor_leaves_alone_what_failed_before_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MOST_BACKUPS_PER_RUN", 2)
    world.add_backup("bad", 0, files={"0001": flip_bit(rdb_file(300), 100)})
    for day in range(1, 4):
        world.add_backup(f"b{day}", day)
    asked = remember_wishes(world)
    assert run_chain(world) == 2
    assert world.outcomes()["bad"] == "TriedAlready"
    assert [backup_id for backup_id, _ in asked] == ["bad", "b1", "b2", "b3"]
    # The next fire begins a new chain, and tries it again.
    with pytest.raises(RunFailed):
        world.run()
    assert world.outcomes()["bad"] == "ChecksumMismatch"


def test_the_runs_of_a_chain_share_their_exports(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_over, "MOST_OPERATIONS", 25)
    for day in range(6):
        world.add_backup(f"b{day}", day)
    asked = remember_wishes(world)
    assert run_chain(world) > 1
    assert len(asked) > 6
    assert len(set(asked)) == 6


def test_a_chain_ends_even_when_it_never_comes_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MOST_BACKUPS_PER_RUN", 1)
    for day in range(20):
        world.add_backup(f"b{day}", day)
    assert run_chain(world) == MOST_HAND_OVERS + 1
    last = [line.message for line in world.journal.lines if line.event == "BackupOutcome"][-1]
    assert len(world.copied_backups()) == MOST_HAND_OVERS + 1, last


def test_the_successor_of_a_run_that_a_person_asked_for_heeds_a_paused_rule_as_little(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MOST_BACKUPS_PER_RUN", 1)
    world.add_backup("one")
    world.add_backup("two", 1)
    world.run(request=RunRequest(on_request=True))
    ((_, request),) = world.executions.successors.values()
    assert RunRequest.from_record(request).on_request


def test_the_lease_is_free_before_the_successor_begins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MOST_BACKUPS_PER_RUN", 1)
    world.add_backup("one")
    world.add_backup("two", 1)
    owners: list[object] = []
    start = world.executions.start_successor

    def look(*args: object) -> None:
        owners.append(world.tables.leases.get("orders-nightly"))
        start(*args)

    world.executions.start_successor = look
    world.run()
    assert owners == [None]


def test_a_run_whose_successor_cannot_be_started_says_so_and_ends_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MOST_BACKUPS_PER_RUN", 1)
    world.add_backup("one")
    world.add_backup("two", 1)

    def deny(*_: object) -> None:
        raise FleetDenied("Starting a run was denied.")

    world.executions.start_successor = deny
    monkeypatch.setattr(hand_over, "MOST_OPERATIONS", 1)
    monkeypatch.setattr(selection, "MOST_BACKUPS_PER_RUN", 2)
    assert world.run()["failed"] == 0
    assert world.copied_backups() == ["one"]
    assert world.source.staged == {}
    assert "NotHandedOver" in world.journal.events()


def test_a_run_hands_over_before_its_results_outgrow_what_an_execution_may_write(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(4):
        world.add_backup(f"b{day}", day)
    engine = world.engine()
    world.run(engine)
    assert engine.written_bytes > 4_000
    monkeypatch.setattr(hand_over, "MOST_WRITTEN_BYTES", engine.written_bytes // 2)
    world = World()
    for day in range(4):
        world.add_backup(f"b{day}", day)
    assert run_chain(world) > 1
    assert len(world.copied_backups()) == 4
