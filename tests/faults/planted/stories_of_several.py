"""Stories of several sandboxes that copy one backup, and of runs that follow each other."""

from __future__ import annotations

from rdbkeeper.domain.errors import VaultUnavailable
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.faults.all_scenarios import SCENARIOS
from tests.faults.planted.strict import MOST_HAND_OVERS, check_done, check_nothing_is_open, count_rounds, make_strict
from tests.faults.planted.telling import make_world, once, story
from tests.faults.process import Process
from tests.faults.world import World


def _spread_world() -> World:
    return SCENARIOS["spread_over_workers"]()


# ------------------------------------------------------- several sandboxes


@story
def every_worker_dies() -> None:
    world = _spread_world()

    def kill(process: Process, label: str) -> None:
        if process.is_worker:
            process.die()

    oracles = make_strict(world, kill)
    world.tick()
    oracles.check_ends(failing=frozenset({"large"}))
    check_nothing_is_open(world)


@story
def workers_need_one_round() -> None:
    world = _spread_world()
    make_strict(world)
    world.tick()
    check_done(world)
    world.oracles.check(count_rounds(world, "large") == 1, "a part was given to no worker")


@story
def one_worker_dies() -> None:
    world = _spread_world()
    make_strict(world, once("source.open_range", lambda process: process.die()))
    world.tick()
    check_done(world)
    world.oracles.check(count_rounds(world, "large") == 2, "a share was not given to another worker")


@story
def the_staged_files_go_while_workers_read_them() -> None:
    world = _spread_world()
    oracles = make_strict(world, once("source.open_range", lambda process: world.the_source.staged.clear()))
    world.tick()
    oracles.check_ends(failing=frozenset({"large", "small"}))
    check_nothing_is_open(world)


@story
def workers_meet_a_store_that_is_away() -> None:
    world = _spread_world()
    oracles = make_strict(world)
    put_part = world.the_vault.put_part

    def put(upload: object, *given: object) -> object:
        if "large" in str(upload):
            raise VaultUnavailable("The vault is away.")
        return put_part(upload, *given)  # type: ignore[arg-type]

    world.the_vault.put_part = put  # type: ignore[method-assign, assignment]
    world.tick()
    oracles.check_ends(failing=frozenset({"large"}))
    check_nothing_is_open(world)


# ----------------------------------------------------- runs that follow


@story
def a_chain_is_longer_than_chains_may_be() -> None:
    world = make_world(*range(40, 54))
    world.operations_weigh = 400  # a run has room for one
    make_strict(world)
    world.tick()
    handed_over = world.counts["handed over"]
    world.oracles.check(handed_over == MOST_HAND_OVERS, f"a chain of runs was handed over {handed_over} times")
    world.operations_weigh = 1
    world.quiet_tick()
    check_done(world)


@story
def what_failed_is_not_tried_again_in_its_chain() -> None:
    world = make_world(40, 41, 42, 43)
    world.add_backup("bad", -1, {"0001": flip_bit(rdb_file(90, seed=8), 40)}, is_whole=False)
    world.operations_weigh = 150
    oracles = make_strict(world)
    world.tick()
    world.oracles.check(world.counts["handed over"] >= 2, "the chain was to have three runs")
    check_done(world)
    oracles.check_ends(failing=frozenset({"bad"}))
