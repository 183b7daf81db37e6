"""The harness's own parts for backups on demand and for servers: that they see, and do, what they are for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rdbkeeper.domain.backup import StagedFile
from rdbkeeper.domain.backup_first import Freeze
from rdbkeeper.domain.errors import HookFailed, SourceUnavailable
from tests.fakes.clock import FakeClock
from tests.faults.all_scenarios import SCENARIOS
from tests.faults.functions import FREEZE, THAW, OwnersFunctions
from tests.faults.one_thread import LatePool, one_thread
from tests.faults.oracles import Violation
from tests.faults.process import Process
from tests.faults.scenarios_of_sources import BY_HOOKS, INSTANCE, RULE, world_of
from tests.faults.world import World

LONG_AGO = datetime(2026, 11, 20, tzinfo=UTC)


def _payload(phase: str) -> dict[str, str]:
    return {"rule": RULE, "instance": INSTANCE, "run": "1", "phase": phase}


def _freeze(world: World, until: datetime = LONG_AGO) -> None:
    world.functions.call(FREEZE, _payload("freeze"), 60)
    world.tables.runs.record_freeze(RULE, Freeze(THAW, INSTANCE, "an-execution", LONG_AGO, until))


def test_one_function_thaws_what_the_other_of_its_alias_or_an_older_one_has_frozen() -> None:
    functions = OwnersFunctions(FakeClock())
    for alias in ("", ":new"):
        functions.call(f"{FREEZE}{alias}", _payload("freeze"), 60)
    functions.call(THAW, _payload("thaw"), 60)
    assert list(functions.frozen) == [(INSTANCE, "new")]
    functions.call(FREEZE, _payload("freeze"), 60)
    functions.call(f"{THAW}:new", _payload("thaw"), 60)
    assert not functions.frozen and len(functions.lasted_s) == 3
    functions.missing.add(THAW)
    with pytest.raises(HookFailed):
        functions.call(THAW, _payload("thaw"), 60)


def test_the_hourly_look_comes_while_time_passes() -> None:
    world = world_of(backup_first=BY_HOOKS)
    _freeze(world)
    world.hours.pass_by(1_000)
    assert world.functions.frozen
    world.hours.pass_by(3_000)
    assert not world.functions.frozen and world.clock.monotonic() == 4_000


def test_the_oracles_see_writes_that_are_left_frozen() -> None:
    world = world_of(backup_first=BY_HOOKS)
    _freeze(world)
    with pytest.raises(Violation, match="left frozen"):
        world.oracles.on_demand.check_settled()


def test_the_oracles_see_a_freeze_that_is_not_on_record() -> None:
    world = world_of(backup_first=BY_HOOKS)
    process = Process(world, world.fire(RULE))
    with pytest.raises(Violation, match="not on record"):
        process.hooks.call(FREEZE, _payload("freeze"), 60)


def test_the_oracles_see_a_copy_that_is_called_better_than_it_is() -> None:
    world = SCENARIOS["a_backup_first"]()
    backups = world.the_source.backups

    def claim(instance: object) -> list[object]:
        made = world.tables.runs.made_backups(RULE)
        for one in made:
            text = world.tables.made_records[RULE][one.name]
            world.tables.made_records[RULE][one.name] = text.replace("point-in-time", "application")
        return backups(instance)  # type: ignore[arg-type, return-value]

    world.the_source.backups = claim  # type: ignore[method-assign, assignment]
    with pytest.raises(Violation, match="says application, and writes went on"):
        world.tick()


def test_a_pool_that_is_late_does_everything_before_it_is_left() -> None:
    done: list[int] = []
    with LatePool(1) as pool:
        futures = [pool.submit(done.append, number) for number in range(3)]
        assert done == []
        futures[1].result()
        assert done == [1]
    assert done == [1, 0, 2]


def test_the_package_has_its_own_pool_again_when_no_invocation_is_going() -> None:
    from rdbkeeper.flows.runs import live

    before = live.ThreadPoolExecutor, live.part_bytes_for
    with one_thread(64), one_thread(64):
        assert live.ThreadPoolExecutor is LatePool
    assert (live.ThreadPoolExecutor, live.part_bytes_for) == before


def test_a_link_is_over_after_some_uses_and_another_one_is_given() -> None:
    world = SCENARIOS["files_behind_links"]()
    source = world.the_source
    instance = source.find_instance(INSTANCE)
    assert instance is not None
    file: StagedFile = source.find_staged_files(source.backups(instance)[0], "a")[0]  # type: ignore[index]
    source.open_range(file, 0, 10)
    source.open_range(file, 10, 10)
    with pytest.raises(SourceUnavailable, match="over"):
        source.open_range(file, 20, 10)
    source.open_range(file, 20, 10)


def test_what_was_asked_for_is_made_after_a_while_whoever_waits() -> None:
    world = world_of()
    instance = world.the_source.find_instance(INSTANCE)
    assert instance is not None
    world.the_source.request_backup(instance, "rdbkeeper-00000000-20261121030000", {"a": "b"})
    assert world.the_source.backups(instance)[0].state == "in progress"
    world.clock.advance(timedelta(hours=2).total_seconds())
    assert world.the_source.backups(instance)[0].state == "complete"


def test_a_server_gives_other_data_whenever_it_is_read() -> None:
    world = SCENARIOS["a_server"]()
    plan = world.server.measure()
    for _ in range(2):
        world.server.open_stream(plan.files[0])
    (_, first), (_, second) = world.server.files
    assert first != second and len(first) == len(second)
