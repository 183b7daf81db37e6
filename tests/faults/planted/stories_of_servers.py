"""Stories of servers that are reached directly, and of sources that list otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import Way
from tests.faults.fault import Kind
from tests.faults.planted.stories_on_demand import read_manifest
from tests.faults.planted.strict import check_done, check_nothing_is_open, make_strict
from tests.faults.planted.telling import RULE, once, story
from tests.faults.process import Process
from tests.faults.scenarios_of_sources import A_SERVER, world_of
from tests.faults.world import World


def _server(*sizes: int, **rule: object) -> World:
    world = world_of(**A_SERVER, **rule)
    world.server.shards = {f"{number:04d}": size for number, size in enumerate(sizes, 1)}
    return world


def _manifests(world: World) -> list[str]:
    return sorted(key for key in world.the_vault.objects if "/manifests/" in key)


@story
def a_server_is_copied_by_every_run() -> None:
    world = _server(64, 65, 200)
    oracles = make_strict(world)
    world.tick()
    check_done(world)
    world.quiet_tick()
    check_done(world)
    oracles.check_ends()
    oracles.check(len(_manifests(world)) == 2, "not every run made a copy")
    read = [shard for shard, _ in world.server.files]
    oracles.check(read == ["0001", "0002", "0003"] * 2, "the shards were not read once each, in turn")


@story
def a_copy_is_as_consistent_as_its_worst_shard() -> None:
    for worst in ("0001", "0002", "0003"):
        world = _server(40, 41, 42)
        world.server.ways[worst] = Way.LOGICAL
        make_strict(world)
        world.tick()
        check_done(world)
        said = read_manifest(world, _manifests(world)[0])["consistency"]
        world.oracles.check(said == "logical", f"{worst} was read key by key, and the copy is called {said}")


@story
def one_fire_that_is_delivered_twice_makes_one_copy() -> None:
    world = _server(80)
    make_strict(world)
    for _ in range(2):
        world.fire(RULE, RunRequest(scheduled_at="2026-11-21T03:00:00Z"))
        world.drive()
        world.clock.advance(60)
    world.oracles.check(len(_manifests(world)) == 1, "one fire that was delivered twice made two copies")


@story
def a_server_that_goes_away_leaves_nothing() -> None:
    for kind in (Kind.RESET_FIRST, Kind.RESET_MIDWAY, Kind.RESET_LAST, Kind.CUT_MIDWAY, Kind.FLIP_MIDWAY):
        world = _server(100, 150)
        oracles = make_strict(world)
        struck = [kind]
        opened = world.server.files

        def choose(label: str, struck: list[Kind] = struck, opened: list[object] = opened) -> Kind | None:  # type: ignore[assignment]
            return struck.pop() if label == "live.open_stream" and opened and struck else None

        world.injector.choose = choose
        world.tick()
        world.injector.end_faults()
        oracles.check(not _manifests(world), "a copy of half a server was published")
        check_nothing_is_open(world)
        failed = [line for line in world.lines if line.event == "BackupOutcome" and line.fields["status"] == "failed"]
        oracles.check(len(failed) == 1, "a server went away and nobody is told")
        world.quiet_tick()
        check_done(world)


@story
def a_server_that_goes_away_leaves_nothing_where_uploads_are_not_listed() -> None:
    world = _server(100, 150)
    world.the_vault.capabilities = replace(world.the_vault.capabilities, lists_uploads=False)
    make_strict(world)
    struck = [Kind.RESET_MIDWAY]
    world.injector.choose = lambda label: struck.pop() if label == "live.open_stream" and struck else None
    world.tick()
    check_nothing_is_open(world)


@story
def a_run_that_dies_in_a_stream_reads_no_second_time() -> None:
    world = _server(150)
    oracles = make_strict(world, once("vault.put_part", lambda process: process.die()))
    world.tick()
    oracles.check(len(world.server.files) == 1, "a stream had a second attempt")
    oracles.check(not _manifests(world), "half a stream was published")
    check_nothing_is_open(world)
    world.quiet_tick()
    check_done(world)


@story
def a_store_that_takes_no_part_ends_the_attempt() -> None:
    world = _server(150)
    oracles = make_strict(world)
    world.injector.choose = lambda label: Kind.UNAVAILABLE if label == "vault.put_part" else None
    world.tick()
    oracles.check(len(world.server.files) == 1, "a stream had a second attempt")
    check_nothing_is_open(world)
    world.injector.end_faults()
    world.quiet_tick()
    check_done(world)


@story
def a_server_that_is_too_large_is_not_begun() -> None:
    world = _server(150)
    world.server.measured_bytes = 10**12
    oracles = make_strict(world)
    world.tick()
    oracles.check(not world.server.files, "a server was read that is too large for one attempt")
    check_nothing_is_open(world)


@story
def a_stream_that_is_too_slow_is_given_up() -> None:
    world = _server(300)
    oracles = make_strict(world)
    world.injector.choose = lambda label: Kind.SLOW_STREAM if label == "live.open_stream" else None
    world.tick()
    reasons = [line.fields["reason"] for line in world.lines if line.event == "BackupOutcome"]
    oracles.check(reasons == ["CopyTooSlow"], f"a stream that is too slow ended as {reasons}")
    check_nothing_is_open(world)


@story
def a_server_whose_rule_is_deleted_is_not_read() -> None:
    world = _server(60, 60)
    opened: list[int] = []

    def delete(process: Process, label: str) -> None:
        if label == "live.open_stream" and not opened:
            opened.append(1)
            world.let_happen(Kind.RULE_MOVED, RULE)

    oracles = make_strict(world, delete)
    world.tick()
    oracles.check(len(world.server.files) == 1, "a server was read for a rule that points elsewhere")
    oracles.check(not _manifests(world), "a copy was made where no rule points any more")


@story
def a_copy_that_a_person_removed_is_not_taken_again() -> None:
    world = _server(60)
    make_strict(world)
    request = RunRequest(scheduled_at="2026-11-21T03:00:00Z")
    world.fire(RULE, request)
    world.drive()
    world.fire(RULE, RunRequest())
    world.clock.advance(timedelta(hours=1).total_seconds())
    world.drive()
    world.let_happen(Kind.OLD_COPY_DELETED, RULE)
    left = len(_manifests(world))
    world.fire(RULE, request)
    world.drive()
    world.oracles.check(len(_manifests(world)) == left, "a copy that a person removed was taken again")
