"""Stories of copies that lie there: what stays, what goes, what is read again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from rdbkeeper.domain.retention import Retention
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.vault import Capabilities, StoreSum
from rdbkeeper.ports import Lock
from tests.fakes.rdb_files import rdb_file
from tests.faults.all_scenarios import AT_REST, SCENARIOS
from tests.faults.copies_at_rest import PLACE, add_copy, mark, spoil
from tests.faults.fault import Kind
from tests.faults.planted.strict import make_strict
from tests.faults.planted.telling import RULE, STORIES, once, story
from tests.faults.process import Process
from tests.faults.settled import check_settled
from tests.faults.world import DAILY, World

# Which copies there are after a first run and after a third one, by their backups; not listed where both are all.
_THERE: dict[str, tuple[set[str], set[str]]] = {
    "the_last_copy_is_kept": ({"new"}, {"new"}),
    "copies_of_every_standing": ({"old0", "old1", "present"}, {"old0", "old1", "present"}),
    "a_narrower_retention_is_under_way": ({"old1", "old2"}, {"old2"}),
    "the_newest_copy_has_lost_its_data": ({"old1", "newest"}, {"old1", "newest"}),
    "an_overdue_rule_with_old_copies": ({"old0", "old1"}, {"old0", "old1"}),
    "removals_that_were_cut_off": ({"kept"}, {"kept"}),
    "what_was_left_behind": ({"one", "present"}, {"one", "present"}),
    "a_store_that_sums_parts_alone": ({"one"}, {"one"}),
}


def _tell_scenario(name: str) -> Callable[[], None]:
    def tell() -> None:
        world = SCENARIOS[name]()
        first, third = _THERE.get(name, (_ids(world), _ids(world)))
        first, third = (there | {true.backup.backup_id for true in _listed(world)} for there in (first, third))
        make_strict(world)
        world.tick()
        world.oracles.check(_ids(world) == first, f"{sorted(_ids(world))} are there and were to be {sorted(first)}")
        world.quiet_tick()
        world.quiet_tick()
        world.oracles.check(_ids(world) == third, f"{sorted(_ids(world))} are there and were to be {sorted(third)}")
        check_settled(world)

    return tell


def _ids(world: World) -> set[str]:
    """The backups whose copies are there."""
    return {copy_id.split("-", 1)[1] for copy_id in world.oracles.published_copies()}


def _listed(world: World) -> list[object]:
    return [true for true in world.truth.values() if true.backup in world.the_source._backups["orders"]]


STORIES.update({f"plain {name}": _tell_scenario(name) for name in AT_REST})


@story
def other_things_below_a_copys_id_stay() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    oldest = min(world.oracles.published_copies())
    notes = f"{PLACE}{oldest}/notes.txt"
    world.the_vault.objects[notes] = b"somebody's own"
    world.tick()
    world.oracles.check(notes in world.the_vault.objects, f"{notes} was removed with the copy")


@story
def a_lock_of_data_alone_keeps_their_copy() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    world.the_vault.capabilities = Capabilities(locks=True)
    oldest = min(world.oracles.published_copies())
    world.the_vault.locks[f"{PLACE}{oldest}/0001.rdb"] = Lock(world.clock.now() + timedelta(hours=20))
    world.tick()
    world.oracles.check(oldest in world.oracles.published_copies(), f"{oldest} was removed and its data are locked")
    world.quiet_tick()
    world.quiet_tick()
    world.oracles.check(oldest not in world.oracles.published_copies(), f"{oldest} is kept by a lock that is over")


@story
def the_mark_of_damage_goes_with_its_copy() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    damaged = mark(world, "damaged", min(world.oracles.published_copies()))
    spoil(world, damaged.replace("damaged/", "").replace(".json", "/0001.rdb"), None)
    world.tick()
    world.oracles.check(damaged not in world.the_vault.objects, f"{damaged} is there and its copy has gone")


@story
def a_hold_that_comes_when_the_plan_is_written_counts() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    oldest = min(world.oracles.at_rest.published)
    plan = oldest.replace("manifests/", "removals/").replace(".verified", "")

    def befall(process: Process, label: str) -> None:
        rule = world.find_rule(RULE)
        if plan in world.the_vault.objects and rule is not None and not world.counts["held"]:
            world.note("held")
            world.the_vault.create_object(oldest.replace("manifests/", "holds/").replace(".verified", ""), b"{}", "")
            world.oracles.at_rest.held.add(oldest)

    make_strict(world, befall)
    world.tick()
    world.oracles.check(oldest in world.oracles.at_rest.published, "a copy went that was held in time")


@story
def a_verified_copy_outlives_newer_unchecked_ones() -> None:
    world = World()
    world.add_rule(retention=Retention(keep_days=2), cycle=DAILY)
    verified = add_copy(world, "verified", 4.90, {"0001": rdb_file(40, seed=1)})
    for number in range(2):
        add_copy(world, f"plain{number}", 4.95 + number / 50, {"0001": rdb_file(40, seed=2 + number, checksum=False)})
    make_strict(world)
    world.tick()
    there = world.oracles.published_copies()
    world.oracles.check(verified in there, "the only verified copy was removed")
    world.oracles.check(_ids(world) == {"verified", "plain1"}, f"{sorted(there)} are there")


@story
def a_rule_is_made_to_keep_everything_while_copies_go() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    widened = False

    def befall(process: Process, label: str) -> None:
        nonlocal widened
        if label == "vault.remove_object" and not widened:
            widened = True
            world.request_edit(RULE, RuleEdit(retention=Retention()))

    make_strict(world, befall)
    world.tick()
    gone = {"old0", "old1", "old2", "new"} - _ids(world)
    world.oracles.check(len(gone) == 1, f"{sorted(gone)} were removed by a rule that keeps everything")


@story
def the_keeper_is_removed_while_copies_go() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    make_strict(world, once("vault.remove_object", lambda process: world.let_happen(Kind.COPY_DELETED, RULE)))
    world.tick()
    world.oracles.check(bool(world.oracles.published_copies()), "all copies are gone")


@story
def another_stack_has_taken_the_place_over() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    make_strict(world)
    world.let_happen(Kind.PLACE_CLAIMED, RULE)
    world.tick()
    world.oracles.check(len(_ids(world)) == 4, "a copy was removed that is another stack's")


@story
def the_instance_goes_while_its_last_backup_is_copied() -> None:
    world = SCENARIOS["the_last_copy_is_kept"]()
    make_strict(world, once("vault.create_object", lambda process: world.let_happen(Kind.INSTANCE_VANISHES, RULE)))
    world.tick()
    world.oracles.check(len(_ids(world)) == 4, "a copy was removed and its source is gone")


@story
def what_would_not_be_kept_is_not_copied() -> None:
    world = World()
    world.add_rule(retention=Retention(keep_last=1))
    for number in range(3):
        world.add_backup(f"b{number}", number, {"0001": rdb_file(40, seed=number)})
    make_strict(world)
    world.tick()
    asked = {copy_id.split("-", 1)[1] for copy_id in world.oracles.attempts.values()}
    world.oracles.check(asked == {"b2"}, f"{sorted(asked)} were exported and only the newest would be kept")


@story
def what_a_person_removed_stays_removed() -> None:
    world = SCENARIOS["copies_of_every_standing"]()
    make_strict(world)
    world.let_happen(Kind.COPY_DELETED, RULE)
    world.tick()
    world.oracles.check("present" not in _ids(world), "what a person removed was fetched again")


@story
def a_fragment_that_is_young_stays() -> None:
    world = SCENARIOS["what_was_left_behind"]()
    make_strict(world)
    world.tick()
    fragments = {key.split("/")[-2].split("-", 1)[1] for key in world.the_vault.objects if key.endswith(".rdb")}
    world.oracles.check(fragments == {"young", "one", "present"}, f"the data of {sorted(fragments)} are there")
    world.oracles.check(len(world.the_vault.uploads) == 1, "another stack's upload was given up")


@story
def a_store_keeps_other_bytes_than_were_sent() -> None:
    world = World()
    world.add_rule()
    world.add_backup("one", 0, {"0001": rdb_file(100, seed=5)})
    world.the_vault.capabilities = Capabilities(StoreSum.PART_MD5)
    make_strict(world)
    complete = world.the_vault.complete_upload

    def damage(upload: object, *given: object) -> None:
        complete(upload, *given)  # type: ignore[arg-type]
        key = upload.key  # type: ignore[attr-defined]
        world.the_vault.objects[key] = world.the_vault.objects[key][:-1] + b"?"

    world.the_vault.complete_upload = damage  # type: ignore[method-assign, assignment]
    world.tick()
    world.oracles.check(not world.oracles.published_copies(), "a copy was published that its store damaged")
