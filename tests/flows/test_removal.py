"""Removing one copy: whole or not at all, cut off anywhere, never against a hold or a lock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from rdbkeeper.domain.catalog import CatalogEntry, Mark, mark_key
from rdbkeeper.domain.errors import ObjectExists, VaultDenied, VaultUnavailable
from rdbkeeper.domain.removal import RemovalEnd, RemovalOutcome, RemovalPlan
from rdbkeeper.flows.copies.removal import find_plan, finish_removals, remove_copy
from rdbkeeper.ports import Lock
from tests.fakes.rdb_files import rdb_file
from tests.flows.world import World, after_each

PATH = "redis/orders/"
OLD, NEW = "20261120T021500Z-b0", "20261121T021500Z-b1"
DATA = f"{PATH}{OLD}/0001.rdb"
MANIFEST = f"{PATH}manifests/{OLD}.verified.json"
PLAN = mark_key(PATH, Mark.REMOVAL, OLD)


@pytest.fixture
def world() -> World:
    """Two copies, the older one of two files."""
    world = World()
    world.add_backup("b0", 0, {"0001": rdb_file(300, seed=1), "0002": rdb_file(200, seed=2)})
    world.add_backup("b1", 1)
    world.run()
    world.vault.capabilities = replace(world.vault.capabilities, locks=True)
    return world


def entry(world: World) -> CatalogEntry:
    found = world.vault.catalog(PATH).find(OLD)
    assert found is not None
    return found


def remove(world: World, of: CatalogEntry, by: str = "a test") -> RemovalOutcome:
    return remove_copy(world.vault, PATH, of, reason="It is old.", by=by, clock=world.clock, journal=world.journal)


def finish(world: World) -> list[str]:
    done = finish_removals(world.vault, PATH, world.vault.catalog(PATH), world.clock, world.journal)
    return [outcome.copy_id for outcome in done]


def test_a_copy_goes_whole_and_nothing_else_does(world: World) -> None:
    others = {key: body for key, body in world.vault.objects.items() if OLD not in key}
    sizes = sum(len(body) for key, body in world.vault.objects.items() if key.startswith(f"{PATH}{OLD}/"))
    outcome = remove(world, entry(world))
    assert (outcome.end, outcome.size_bytes, outcome.left) == (RemovalEnd.REMOVED, sizes, ())
    assert world.vault.objects == others


def test_the_plan_is_there_before_and_the_manifest_goes_before_the_data(world: World) -> None:
    seen: list[tuple[bool, bool]] = []
    after_each(world.vault, "remove_object", lambda: seen.append((PLAN in world.vault.objects, DATA in world.data())))
    remove(world, entry(world))
    assert world.vault.removed == [MANIFEST, DATA, f"{PATH}{OLD}/0002.rdb", PLAN]
    assert seen[0] == (True, True)


def test_a_plan_that_was_sent_twice_is_known_for_our_own(world: World) -> None:
    create = world.vault.create_object

    def create_and_lose_the_answer(key: str, body: bytes, content_type: str) -> None:
        create(key, body, content_type)
        if key == PLAN:
            raise ObjectExists("Creating it failed: it exists.")

    world.vault.create_object = create_and_lose_the_answer
    assert remove(world, entry(world)).end is RemovalEnd.REMOVED
    assert world.vault.removed == [MANIFEST, DATA, f"{PATH}{OLD}/0002.rdb", PLAN]  # the plan last, and once


def test_the_plan_tells_every_key_with_its_tag_and_why_and_by_whom(world: World) -> None:
    begin(world, entry(world), "a test")
    plan = find_plan(world.vault, PATH, OLD)
    assert plan is not None
    assert [planned.key for planned in plan.manifests] == [MANIFEST]
    assert [planned.key for planned in plan.objects] == [DATA, f"{PATH}{OLD}/0002.rdb"]
    tags = {found.key: found.etag for found in world.vault.find_objects(PATH)}
    assert all(tags[planned.key] == planned.etag for planned in (*plan.manifests, *plan.objects))
    assert (plan.copy_id, plan.reason, plan.by, plan.at) == (OLD, "It is old.", "a test", world.clock.now())


def test_a_held_copy_stays_and_no_plan_is_left(world: World) -> None:
    known = entry(world)
    world.vault.objects[mark_key(PATH, Mark.HOLD, OLD)] = b"{}"  # after the catalog was read
    before = dict(world.vault.objects)
    assert remove(world, known).end is RemovalEnd.HELD
    assert world.vault.objects == before


def test_a_hold_that_comes_while_a_removal_is_planned_either_stops_it_or_sees_it(world: World) -> None:
    """A hold writes its mark and then looks: whenever it comes, the copy stays or the plan or its trace is seen."""
    known = entry(world)
    moments = 0
    for moment in range(40):
        world.vault.objects = dict(world.vault.objects)
        kept = dict(world.vault.objects)
        calls = 0
        sights: list[tuple[bool, bool]] = []

        def hold(at: int = moment, sights: list[tuple[bool, bool]] = sights) -> None:
            nonlocal calls
            calls += 1
            if calls == at:
                world.vault.objects[mark_key(PATH, Mark.HOLD, OLD)] = b"{}"
                sights.append((PLAN in world.vault.objects, MANIFEST in world.vault.objects))

        before = {name: getattr(world.vault, name) for name in CALLS}
        for name in CALLS:
            after_each(world.vault, name, hold)
        outcome = remove(world, known)
        for name, call in before.items():
            setattr(world.vault, name, call)
        if sights:
            moments += 1
            plan_seen, manifest_seen = sights[0]
            assert outcome.end is RemovalEnd.HELD or plan_seen or not manifest_seen
        world.vault.objects = kept
    assert moments > 8


CALLS = ("find_objects", "read_object", "find_lock", "create_object", "find_object", "remove_object")


@pytest.mark.parametrize("key", [MANIFEST, DATA])
def test_a_locked_copy_stays_as_it_is_and_says_until_when(world: World, key: str) -> None:
    until = world.clock.now() + timedelta(days=3)
    world.vault.locks[key] = Lock(until)
    before = dict(world.vault.objects)
    outcome = remove(world, entry(world))
    assert (outcome.end, outcome.retained_until) == (RemovalEnd.LOCKED, until)
    assert outcome.detail == f"retained until {until:%d %b %Y %H:%M} UTC by its store"
    assert world.vault.objects == before


def test_the_lock_that_holds_longest_is_told(world: World) -> None:
    world.vault.locks[DATA] = Lock(world.clock.now() + timedelta(days=9))
    world.vault.locks[MANIFEST] = Lock(world.clock.now() + timedelta(days=3))
    assert remove(world, entry(world)).retained_until == world.clock.now() + timedelta(days=9)


def test_a_legal_hold_has_no_end(world: World) -> None:
    world.vault.locks[DATA] = Lock(is_legal_hold=True)
    outcome = remove(world, entry(world))
    assert (outcome.end, outcome.retained_until) == (RemovalEnd.LOCKED, None)
    assert "legal hold" in outcome.detail


def test_a_lock_that_is_over_holds_nothing(world: World) -> None:
    world.vault.locks[DATA] = Lock(world.clock.now())
    assert remove(world, entry(world)).end is RemovalEnd.REMOVED


def test_a_lock_that_must_not_be_read_keeps_the_copy(world: World) -> None:
    before = dict(world.vault.objects)
    world.vault.failing["find_lock"] = [VaultDenied("Reading the lock failed: AccessDenied.")]
    with pytest.raises(VaultDenied):
        remove(world, entry(world))
    assert world.vault.objects == before


@pytest.mark.parametrize("body", [b"", b"{}", b"not JSON", b'{"format": "rdbkeeper-manifest/9"}'])
def test_a_copy_whose_manifest_cannot_be_read_stays(world: World, body: bytes) -> None:
    world.vault.objects[MANIFEST] = body
    before = dict(world.vault.objects)
    outcome = remove(world, entry(world))
    assert (outcome.end, world.vault.objects) == (RemovalEnd.REFUSED, before)
    assert f"Reading the manifest {MANIFEST} failed" in outcome.detail


def test_a_manifest_that_names_objects_elsewhere_removes_nothing(world: World) -> None:
    world.vault.objects[MANIFEST] = world.vault.objects[MANIFEST].replace(DATA.encode(), b"redis/stock/x/0001.rdb")
    before = dict(world.vault.objects)
    assert remove(world, entry(world)).end is RemovalEnd.REFUSED
    assert world.vault.objects == before


def test_data_that_are_gone_already_are_no_obstacle(world: World) -> None:
    del world.vault.objects[DATA]
    assert remove(world, entry(world)).end is RemovalEnd.REMOVED
    assert not [key for key in world.vault.objects if OLD in key]


def test_what_somebody_put_beside_the_data_stays(world: World) -> None:
    world.vault.objects[f"{PATH}{OLD}/notes.txt"] = b"mine"
    remove(world, entry(world))
    assert [key for key in world.vault.objects if OLD in key] == [f"{PATH}{OLD}/notes.txt"]


def test_an_object_that_is_another_by_then_stays_and_is_told(world: World) -> None:
    def swap() -> None:
        if PLAN in world.vault.objects and DATA in world.vault.objects:
            world.vault.objects[DATA] = b"another"

    after_each(world.vault, "create_object", swap)
    outcome = remove(world, entry(world))
    assert (outcome.end, outcome.left) == (RemovalEnd.REMOVED, (DATA,))
    assert [key for key in world.vault.objects if OLD in key] == [DATA]
    assert "ObjectLeft" in world.journal.events()


def test_a_manifest_that_is_another_by_then_keeps_everything(world: World) -> None:
    after_each(world.vault, "create_object", lambda: world.vault.objects.update({MANIFEST: b"another"}))
    outcome = remove(world, entry(world))
    assert outcome.end is RemovalEnd.REFUSED
    assert DATA in world.vault.objects and MANIFEST in world.vault.objects and PLAN not in world.vault.objects


def test_both_manifests_of_a_copy_go(world: World) -> None:
    second = MANIFEST.replace("verified", "unchecked")
    world.vault.objects[second] = world.vault.objects[MANIFEST]
    assert remove(world, entry(world)).end is RemovalEnd.REMOVED
    assert not [key for key in world.vault.objects if OLD in key]


def test_a_copy_whose_name_begins_alike_is_another_one(world: World) -> None:
    world.vault.objects[f"{PATH}manifests/{OLD}.more.verified.json"] = b"another copy's"
    world.vault.objects[f"{PATH}{OLD}.more/0001.rdb"] = b"another copy's"
    assert remove(world, entry(world)).end is RemovalEnd.REMOVED
    assert len([key for key in world.vault.objects if f"{OLD}.more" in key]) == 2


def test_the_mark_of_damage_goes_with_its_copy(world: World) -> None:
    world.vault.objects[mark_key(PATH, Mark.DAMAGED, OLD)] = b"{}"
    remove(world, entry(world))
    assert not [key for key in world.vault.objects if OLD in key]


def test_a_copy_that_is_gone_is_gone(world: World) -> None:
    known = entry(world)
    remove(world, known)
    before = dict(world.vault.objects)
    assert remove(world, known).end is RemovalEnd.GONE
    assert world.vault.objects == before


# --------------------------------------------------------------- cut off


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("goes_on", ["repeated", "finished"])
@pytest.mark.parametrize("call", range(1, 16))
def test_cut_off_at_any_call_it_is_gone_on_with_or_undone(world: World, call: int, goes_on: str, is_done: bool) -> None:
    known = entry(world)
    whole = dict(world.vault.objects)
    cut_off_at(world, call, is_done=is_done)
    with suppress(VaultUnavailable):
        remove(world, known)
    mend(world)
    if goes_on == "repeated":
        remove(world, known)
        assert not [key for key in world.vault.objects if OLD in key]
    else:
        world.clock.advance(16 * 60)
        finish(world)
        gone = {key: body for key, body in whole.items() if OLD not in key}
        assert world.vault.objects in (whole, gone)
    assert {key for key in whole if NEW in key} <= set(world.vault.objects)


def test_a_plan_that_may_be_at_work_is_left_to_whoever_wrote_it(world: World) -> None:
    known = entry(world)
    begin(world, known, "somebody else")
    world.clock.advance(14 * 60)
    before = dict(world.vault.objects)
    assert finish(world) == []
    assert remove(world, known).end is RemovalEnd.UNDER_WAY
    assert world.vault.objects == before
    world.clock.advance(60)
    assert remove(world, known).end is RemovalEnd.REMOVED


@pytest.mark.parametrize("minutes", [14, 20])
@pytest.mark.parametrize("by", ["somebody", "somebody else"])
def test_a_plan_that_is_taken_over_is_as_young_as_what_is_done_by_it(world: World, by: str, minutes: int) -> None:
    """A hold takes an older one for nobody's and says that the copy stays."""
    known = entry(world)
    begin(world, known, "somebody")
    world.clock.advance(minutes * 60)
    seen: list[bytes] = []
    after_each(world.vault, "find_object", lambda: seen.append(world.vault.objects.get(PLAN, b"")))
    outcome = remove(world, known, by)
    if by == "somebody else" and minutes == 14:
        assert outcome.end is RemovalEnd.UNDER_WAY
    else:
        assert outcome.end is RemovalEnd.REMOVED
        plan = RemovalPlan.from_json([body for body in seen if body][-1], PLAN)
        assert (plan.by, plan.at) == (by, world.clock.now())


def test_of_two_that_take_an_old_plan_over_one_goes_on(world: World) -> None:
    known = entry(world)
    begin(world, known, "somebody")
    world.clock.advance(20 * 60)
    theirs = plan_of_another(world)
    put_before(world, "remove_object", theirs)
    assert remove(world, known).end is RemovalEnd.UNDER_WAY
    assert world.vault.objects[PLAN] == theirs and MANIFEST in world.vault.objects


def test_a_plan_that_somebody_else_put_in_its_place_is_not_dropped(world: World) -> None:
    known = entry(world)
    theirs = plan_of_another(world)
    world.vault.objects[mark_key(PATH, Mark.HOLD, OLD)] = b"{}"
    put_before(world, "find_object", theirs)
    assert remove(world, known).end is RemovalEnd.HELD
    assert world.vault.objects[PLAN] == theirs


def test_a_hold_that_comes_while_it_is_asked_whether_the_copy_is_needed_counts(world: World) -> None:
    def is_needed() -> bool:
        world.vault.objects[mark_key(PATH, Mark.HOLD, OLD)] = b"{}"
        return False

    outcome = remove_copy(
        world.vault,
        PATH,
        entry(world),
        reason="",
        by="a test",
        clock=world.clock,
        journal=world.journal,
        is_needed=is_needed,
    )
    assert outcome.end is RemovalEnd.HELD
    assert MANIFEST in world.vault.objects and PLAN not in world.vault.objects


def test_an_unfinished_plan_whose_manifest_is_there_is_dropped(world: World) -> None:
    begin(world, entry(world), "somebody")
    world.clock.advance(15 * 60)
    assert finish(world) == []
    assert PLAN not in world.vault.objects and DATA in world.vault.objects and MANIFEST in world.vault.objects
    assert "RemovalDropped" in world.journal.events()


def test_an_unfinished_plan_whose_manifest_is_gone_is_finished_at_once(world: World) -> None:
    begin(world, entry(world), "somebody")
    del world.vault.objects[MANIFEST]
    assert finish(world) == [OLD]
    assert not [key for key in world.vault.objects if OLD in key]
    assert "RemovalFinished" in world.journal.events()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"format": "rdbkeeper-removal/1"}'])
def test_a_plan_that_is_none_of_ours_removes_nothing(world: World, body: bytes) -> None:
    world.vault.objects[PLAN] = body
    del world.vault.objects[MANIFEST]
    before = dict(world.vault.objects)
    assert finish(world) == []
    assert world.vault.objects == before
    assert "RemovalFailed" in world.journal.events()


def test_a_plan_that_names_other_objects_removes_nothing(world: World) -> None:
    begin(world, entry(world), "somebody")
    del world.vault.objects[MANIFEST]
    world.vault.objects[PLAN] = world.vault.objects[PLAN].replace(f"{OLD}/0001".encode(), f"{NEW}/0001".encode())
    before = dict(world.vault.objects)
    assert finish(world) == []
    assert world.vault.objects == before


def test_one_plan_that_cannot_be_finished_keeps_no_other(world: World) -> None:
    begin(world, entry(world), "somebody")
    del world.vault.objects[MANIFEST]
    world.vault.objects[f"{PATH}removals/20260101T000000Z-a.json"] = b"nonsense"
    assert finish(world) == [OLD]


def plan_of_another(world: World) -> bytes:
    return RemovalPlan(OLD, "It is old.", "another", world.clock.now(), (), ()).to_json()


def put_before(world: World, name: str, plan: bytes) -> None:
    """Let somebody else's plan lie in the place of the one there before each such call."""
    do: Callable[..., object] = getattr(world.vault, name)

    def put_and_do(*args: object) -> object:
        if PLAN in world.vault.objects:
            world.vault.objects[PLAN] = plan
        return do(*args)

    setattr(world.vault, name, put_and_do)


def begin(world: World, of: CatalogEntry, by: str) -> None:
    """Cut a removal off after its plan was written."""
    mend(world)
    cut_off_at(world, 1, is_done=False, only="remove_object")
    with pytest.raises(VaultUnavailable):
        remove(world, of, by)
    mend(world)


def cut_off_at(world: World, call: int, *, is_done: bool, only: str = "") -> None:
    """Let the vault answer no more from its nth call on; `is_done` where that call still has its effect."""
    calls = 0
    for name in (only,) if only else CALLS:
        do: Callable[..., object] = getattr(type(world.vault), name)

        def cut(*args: object, do: Callable[..., object] = do) -> object:
            nonlocal calls
            calls += 1
            if calls < call:
                return do(world.vault, *args)
            if is_done and calls == call:
                do(world.vault, *args)
            raise VaultUnavailable("The vault does not answer.")

        setattr(world.vault, name, cut)


def mend(world: World) -> None:
    for name in CALLS:
        vars(world.vault).pop(name, None)
