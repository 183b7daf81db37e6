"""The worlds in which every call is made to fail: each a rule or two, their backups, and what is there already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from rdbkeeper.domain.backup import BackupState
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.status import RunReport, RunState
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.ports import Upload
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.faults.world import DAY_S, PART_BYTES, World

SCENARIOS: dict[str, Callable[[], World]] = {}
_SPREADING = CopySettings(part_size_bytes=PART_BYTES, lanes=1, spread_from_bytes=200, workers=3)


@dataclass(frozen=True)
class Scenario:
    """A world that can be made again and again, always the same."""

    name: str
    make: Callable[[], World]


def scenarios() -> list[Scenario]:
    """All of them, in the order of this file."""
    return [Scenario(name, make) for name, make in SCENARIOS.items()]


def scenario(make: Callable[[], World]) -> Callable[[], World]:
    """Put a scenario on the list, by the name of its function."""
    SCENARIOS[make.__name__] = make
    return make


@cache
def file_of(size_bytes: int, seed: int, *, checksum: bool = True) -> bytes:
    """A whole RDB file of that size; the same one for the same seed."""
    return rdb_file(size_bytes, seed, checksum=checksum)


def _world() -> World:
    world = World()
    world.add_rule()
    return world


@scenario
def one_small_backup() -> World:
    world = _world()
    world.add_backup("one", 0, {"0001": file_of(50, 1)})
    return world


@scenario
def shards_of_several_parts() -> World:
    world = _world()
    world.add_backup("one", 0, {"0001": file_of(150, 1), "0002": file_of(128, 2)})
    return world


@scenario
def one_damaged_among_good_ones() -> World:
    world = _world()
    world.add_backup("good", 0, {"0001": file_of(60, 1)})
    world.add_backup("bad", 1, {"0001": flip_bit(file_of(90, 2), 40)}, is_whole=False)
    world.add_backup("late", 2, {"0001": file_of(70, 3)})
    return world


@scenario
def files_without_a_sum() -> World:
    world = _world()
    world.add_backup("plain", 0, {"0001": file_of(80, 1, checksum=False), "0002": file_of(60, 2)})
    return world


@scenario
def whole_data_without_a_manifest() -> World:
    world = _world()
    true = world.add_backup("one", 0, {"0001": file_of(100, 1), "0002": file_of(60, 2), "0003": file_of(40, 3)})
    place = f"redis/orders/{true.backup.copy_id}"
    world.the_vault.objects[f"{place}/0001.rdb"] = true.files["0001"]
    world.the_vault.objects[f"{place}/0002.rdb"] = true.files["0002"]
    world.the_vault.without_sum.add(f"{place}/0002.rdb")  # of what others wrote, the store keeps no sum
    return world


@scenario
def fragments_that_are_not_whole() -> World:
    world = _world()
    true = world.add_backup("one", 0, {"0001": file_of(100, 1), "0002": file_of(60, 2)})
    place = f"redis/orders/{true.backup.copy_id}"
    world.the_vault.objects[f"{place}/0001.rdb"] = flip_bit(true.files["0001"], 70)
    world.the_vault.objects[f"{place}/0002.rdb"] = true.files["0002"][:-1]
    return world


@scenario
def spread_over_workers() -> World:
    world = _world()
    world.copying = _SPREADING
    world.add_backup("large", 0, {"0001": file_of(200, 1), "0002": file_of(60, 2)})
    world.add_backup("small", 1, {"0001": file_of(40, 3)})
    return world


@scenario
def no_worker_can_be_reached() -> World:
    world = _world()
    world.copying = _SPREADING
    world.without_workers = True
    world.add_backup("large", 0, {"0001": file_of(210, 1)})
    return world


@scenario
def many_legs() -> World:
    world = _world()
    world.seconds_per_invocation = 1.0  # every leg is over after its first part
    world.seconds_per_read = 6.0
    world.add_backup("one", 0, {"0001": file_of(130, 1), "0002": file_of(60, 2)})
    return world


@scenario
def hand_over_to_successors() -> World:
    world = _world()
    world.operations_weigh = 250  # a run has room for one backup
    for number in range(2):
        world.add_backup(f"b{number}", number, {"0001": file_of(40 + number, number)})
    return world


@scenario
def a_paused_rule_run_by_hand() -> World:
    world = _world()
    world.request = RunRequest(on_request=True)
    world.edit("nightly", state=RuleState.PAUSED)
    world.add_backup("one", 0, {"0001": file_of(60, 1)})
    return world


@scenario
def exports_that_take_their_time() -> World:
    world = _world()
    world.the_source.looks_until_ready = 2
    world.the_source.slow["slowest"] = 4
    world.add_backup("slowest", 0, {"0001": file_of(60, 1)})
    world.add_backup("slow", 1, {"0001": file_of(61, 2)})
    return world


@scenario
def an_export_that_never_ends() -> World:
    world = _world()
    world.the_source.stuck.add("stuck")
    world.export_timeout = timedelta(minutes=12)  # longer than the patience with the oldest
    world.add_backup("stuck", 0, {"0001": file_of(60, 1)})
    world.add_backup("good", 1, {"0001": file_of(61, 2)})
    return world


@scenario
def backups_in_other_states() -> World:
    world = _world()
    world.add_backup("failed", 0, {"0001": file_of(60, 1)}, state=BackupState.FAILED)
    world.add_backup("growing", 1, {"0001": file_of(60, 2)}, state=BackupState.IN_PROGRESS)
    world.add_backup("good", 2, {"0001": file_of(60, 3)})
    return world


@scenario
def a_bandwidth_cap() -> World:
    world = World()
    world.add_rule(bandwidth_mbps=1)
    world.add_backup("one", 0, {"0001": file_of(100, 1)})
    return world


@scenario
def two_rules() -> World:
    world = World()
    for name, instance in (("first", "orders"), ("second", "carts")):
        world.add_rule(name, instance)
        world.add_backup(f"of-{instance}", 0, {"0001": file_of(70, len(name))}, instance)
    return world


@scenario
def after_a_run_that_was_killed() -> World:
    world = _world()
    true = world.add_backup("one", 0, {"0001": file_of(100, 1)})
    killed = world.fire("nightly")
    world.clock.advance(60)
    killed.end("STOPPED")
    world.clock.advance(780)  # its last invocation may still live for a while
    world.tables.leases["nightly"] = killed.arn
    started_at = world.clock.now().replace(microsecond=0)
    world.tables.runs.record_run("nightly", RunReport(killed.arn.rsplit("/", 1)[-1], started_at, RunState.GOING))
    key = f"redis/orders/{true.backup.copy_id}/0001.rdb"
    upload = world.the_vault.open_upload(key)
    world.tables.runs.remember_uploads("nightly", [upload, Upload("redis/orders/gone/0001.rdb", "long gone")])
    world.the_vault.open_upload(key)  # and one that died before it could be put on record
    return world


@scenario
def nothing_new() -> World:
    world = _world()
    world.add_backup("one", 0, {"0001": file_of(60, 1)})
    world.tick()
    world.clock.advance(DAY_S)
    return world
