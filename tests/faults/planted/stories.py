"""Short stories in which nothing fails, or one known thing does. Each raises Violation when something does not hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.run_request import RunRequest
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.fakes.source import BytesStream
from tests.faults.all_scenarios import AT_REST, SCENARIOS
from tests.faults.fault import Kind
from tests.faults.planted.strict import check_done, check_nothing_is_open, make_strict
from tests.faults.planted.telling import RULE, STORIES, make_world, once, story
from tests.faults.process import Process, ProcessDied

# What fails in a scenario although nothing is made to fail.
_FAILING = {
    "one_damaged_among_good_ones": {"bad"},
    "an_export_that_never_ends": {"stuck"},
    "a_backup_that_fails_at_its_provider": {"rdbkeeper-2cd9593d-20261121030000"},
    "files_behind_links": {"bad"},
}


# ---------------------------------------------------------- nothing fails


def _tell_scenario(name: str) -> Callable[[], None]:
    def tell() -> None:
        world = SCENARIOS[name]()
        oracles = make_strict(world)
        world.tick()
        check_done(world)
        oracles.check_ends(failing=frozenset(_FAILING.get(name, ())))
        world.quiet_tick()
        oracles.check_ends(failing=frozenset(_FAILING.get(name, ())))

    return tell


STORIES.update({f"plain {name}": _tell_scenario(name) for name in SCENARIOS if name not in AT_REST})


@story
def backups_are_copied_oldest_first() -> None:
    world = make_world(40, 41, 42)
    make_strict(world)
    world.tick()
    told = [line.fields["copy_id"] for line in world.lines if line.event == "BackupOutcome"]
    world.oracles.check(told == sorted(told), "the oldest backup does not come first")


@story
def a_late_backup_is_copied_all_the_same() -> None:
    world = make_world(40, 41)
    make_strict(world)
    world.tick()
    world.add_backup("late", -3, {"0001": rdb_file(60, seed=9)})
    world.quiet_tick()
    check_done(world)


@story
def the_name_of_a_deleted_backup_is_used_again() -> None:
    world = make_world(40)
    make_strict(world)
    world.tick()
    world.the_source.lose_backup("orders", "b0")
    world.add_backup("b0", 3, {"0001": rdb_file(60, seed=9)})
    world.quiet_tick()
    check_done(world)


@story
def a_copy_without_sums_is_left_alone() -> None:
    world = SCENARIOS["files_without_a_sum"]()
    make_strict(world)
    world.tick()
    world.injector.choose = lambda label: Kind.EMPTY_LIST if label == "vault.catalog" else None
    world.quiet_tick()
    world.injector.end_faults()
    world.quiet_tick()
    check_done(world)


@story
def damaged_data_without_sums_are_replaced() -> None:
    world = make_world()
    body = rdb_file(100, seed=4, checksum=False)
    true = world.add_backup("plain", 0, {"0001": body})
    world.the_vault.objects[f"redis/orders/{true.backup.copy_id}/0001.rdb"] = flip_bit(body, 50)
    make_strict(world)
    world.tick()
    check_done(world)


@story
def what_is_not_complete_at_its_source_is_not_copied() -> None:
    world = SCENARIOS["backups_in_other_states"]()
    make_strict(world)
    world.tick()
    copies = world.oracles.published_copies()
    world.oracles.check(len(copies) == 1, f"{sorted(copies)} were copied and only one of them is complete")
    asked = world.injector.calls.count("source.request_export")
    world.oracles.check(asked == 1, "an export was asked for of a backup that is not complete")


@story
def uploads_of_others_stay_open() -> None:
    world = make_world(40)
    for key in ("redis/orders/notes.txt", "redis/orders/notes/of/mine.rdb"):
        upload = world.the_vault.open_upload(key)
        world.the_vault.opened_at[upload.upload_id] -= timedelta(days=9)
    make_strict(world)
    world.tick()
    world.oracles.check(len(world.the_vault.uploads) == 2, "an upload of somebody else was aborted")


@story
def a_paused_rule_does_nothing_by_its_timer() -> None:
    world = make_world(40)
    world.edit(RULE, state=RuleState.PAUSED)
    make_strict(world)
    world.tick()
    world.oracles.check(not world.the_vault.objects, "a paused rule was run by its timer")
    world.fire(RULE, RunRequest(on_request=True))
    world.drive()
    world.oracles.check(bool(world.the_vault.objects), "a paused rule was not run by hand")


# ------------------------------------------------------- one thing happens


def _tell_of_an_edit(kind: Kind) -> None:
    world = make_world(150)
    make_strict(world, once("vault.put_part", lambda process: world.let_happen(kind, RULE)))
    world.tick()
    world.oracles.check(not world.the_vault.objects, "a copy was made for a rule that did not want it any more")
    check_nothing_is_open(world)


@story
def a_rule_is_deleted_while_parts_are_moved() -> None:
    _tell_of_an_edit(Kind.RULE_DELETED)


@story
def a_rule_is_pointed_elsewhere_while_parts_are_moved() -> None:
    _tell_of_an_edit(Kind.RULE_MOVED)


@story
def a_run_is_stopped_and_its_rule_pointed_elsewhere() -> None:
    world = make_world(150)

    def stop(process: Process) -> None:
        world.let_happen(Kind.RULE_MOVED, RULE)
        process.execution.end("STOPPED")
        process.die()

    make_strict(world, once("vault.put_part", stop))
    world.tick()
    world.quiet_tick()
    check_done(world)


@story
def a_run_is_stopped_and_its_process_lives_on() -> None:
    world = make_world(150)

    def stop(process: Process) -> None:
        process.execution.end("STOPPED")
        world.clock.advance(700)
        world.invoke(world.fire(RULE))

    make_strict(world, once("vault.put_part", stop))
    world.tick()
    check_done(world)


@story
def the_answer_about_a_manifest_is_lost() -> None:
    world = make_world(40)
    oracles = make_strict(world)
    lost = [Kind.ANSWER_LOST]
    world.injector.choose = lambda label: lost.pop() if label == "vault.create_object" and lost else None
    world.tick()
    check_done(world)
    oracles.check_ends()


@story
def the_catalog_cannot_be_listed() -> None:
    world = make_world(40)
    make_strict(world)
    world.injector.choose = lambda label: Kind.DENIED if label == "vault.catalog" else None
    world.tick()
    check_nothing_is_open(world)
    world.injector.end_faults()
    world.quiet_tick()
    check_done(world)


@story
def parts_cannot_be_put() -> None:
    world = make_world(40)
    oracles = make_strict(world)
    world.injector.choose = lambda label: Kind.REFUSED if label == "vault.put_part" else None
    world.tick()
    oracles.check_ends(failing=frozenset({"b0"}))
    check_nothing_is_open(world)


@story
def uploads_cannot_be_aborted() -> None:
    world = SCENARIOS["one_damaged_among_good_ones"]()
    left = world.the_vault.open_upload("redis/orders/20261101T000000Z-gone/0001.rdb")
    world.the_vault.opened_at[left.upload_id] -= timedelta(days=2)
    world.the_vault.denies_aborts = True
    oracles = make_strict(world)
    world.tick()
    oracles.check_ends(failing=frozenset({"bad"}))
    oracles.check(
        len(oracles.published_copies()) == 2, "an upload that stays open kept a good backup from being copied"
    )


@story
def a_store_sends_the_whole_file_instead_of_a_range() -> None:
    world = make_world()
    world.add_backup("plain", 0, {"0001": rdb_file(150, seed=4, checksum=False)})
    source, asked = world.the_source, set()
    open_range = source.open_range

    def open_from_the_beginning(file: object, first_byte: int, length_bytes: int) -> BytesStream:
        is_first = first_byte not in asked
        asked.add(first_byte)
        return open_range(file, 0 if is_first else first_byte, 10_000 if is_first else length_bytes)  # type: ignore[arg-type]

    source.open_range = open_from_the_beginning  # type: ignore[method-assign]
    make_strict(world)
    world.tick()
    check_done(world)


@story
def a_leg_is_killed_each_time() -> None:
    world = make_world(40, 150)
    put_part = world.the_vault.put_part

    def kill(upload: object, number: int, *given: object) -> object:
        if number == 2:
            raise ProcessDied
        return put_part(upload, number, *given)  # type: ignore[arg-type]

    world.the_vault.put_part = kill  # type: ignore[method-assign, assignment]
    oracles = make_strict(world)
    world.tick()
    oracles.check_ends(failing=frozenset({"b1"}))
    check_nothing_is_open(world)
