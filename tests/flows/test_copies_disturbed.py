"""A person's word about a copy, cut off at every call, or with somebody else at the same copy in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread

import pytest

from rdbkeeper.domain.errors import CopyNotFound, RdbkeeperError, RequestError, RuleBusy
from rdbkeeper.flows.copies.removal import finish_removals
from rdbkeeper.ports import Record
from tests.fakes.faults import Faults, FaultyPort
from tests.flows.copies_desk import HERE, PATH, at_desk, in_vault, keys_of, mark
from tests.flows.desk import NAME, Desk, Through, directly
from tests.flows.disturbances import Killed, Meanwhile, count_calls, once_at, outage_from, unavailable
from tests.flows.test_copies_marked import COPY, HOLD, LONG, MANIFEST, PLAN, REMOVED, VERIFIED, by_retention

Act = Callable[[Desk, Through], object]


def hold(desk: Desk, through: Through) -> Record:
    return mark(desk, through).hold(HERE, COPY, "")


def release(desk: Desk, through: Through) -> Record:
    return mark(desk, through).release(HERE, COPY)


def delete(desk: Desk, through: Through) -> Record:
    return mark(desk, through).delete(HERE, COPY, COPY, "")


def retain(desk: Desk, through: Through) -> str:
    return by_retention(desk, through=through)


def free(_: Desk) -> None:
    """Nobody has said anything."""


def held(desk: Desk) -> None:
    hold(desk, directly)


def locked(desk: Desk) -> None:
    in_vault(desk, locks=True).lock_object(
        MANIFEST.replace(f"manifests/{COPY}.verified.json", f"{COPY}/0001.rdb"), LONG
    )


def removed(desk: Desk) -> None:
    delete(desk, directly)


WORLDS: dict[str, tuple[Act, Callable[[Desk], None]]] = {
    "hold": (hold, free),
    "hold a held one": (hold, held),
    "hold a removed one": (hold, removed),
    "release": (release, held),
    "release a free one": (release, free),
    "delete": (delete, free),
    "delete a held one": (delete, held),
    "delete a locked one": (delete, locked),
    "delete a removed one": (delete, removed),
}


def cut_off(desk: Desk) -> None:
    """Somebody's removal ended right before the manifest went, a while ago."""
    calls = count_calls(lambda through: asked(delete, world(free), through))
    faults = Faults(calls.index("MemoryVault.remove_object") + 1, "before", Killed())
    with suppress(Killed):
        asked(delete, desk, lambda port: FaultyPort(port, faults))
    assert PLAN in desk.vault.objects
    desk.clock.advance(1200)


def world(prepare: Callable[[Desk], None]) -> Desk:
    desk = at_desk(VERIFIED, VERIFIED)
    desk.tables.runs.record_check(NAME, COPY, LONG)
    in_vault(desk, locks=True)
    prepare(desk)
    return desk


def asked(act: Act, desk: Desk, through: Through = directly) -> object:
    """What is answered, or the code of what refuses."""
    try:
        return act(desk, through)
    except RequestError as error:
        return error.code


def picture(desk: Desk) -> tuple[object, ...]:
    return (sorted(desk.vault.objects), desk.tables.runs.checks(NAME))


def disturbances(act: Act, prepare: Callable[[Desk], None]) -> Iterator[tuple[str, Through]]:
    for number, call in enumerate(count_calls(lambda through: asked(act, world(prepare), through)), 1):
        for when in ("before", "after"):
            for error in (unavailable(call), Killed()):
                faults = Faults(number, when, error)
                what = f"{type(error).__name__} {when} call {number}, {call}"
                yield what, lambda port, faults=faults: FaultyPort(port, faults)
        yield f"outage from call {number} on, {call}", Meanwhile(outage_from(number)).before


@pytest.mark.parametrize("name", WORLDS)
def test_what_was_cut_off_ends_when_it_is_repeated_as_if_it_had_not_been(name: str) -> None:
    act, prepare = WORLDS[name]
    healthy = world(prepare)
    answer, end = asked(act, healthy), picture(healthy)
    wrong, tried = [], 0
    for what, through in disturbances(act, prepare):
        desk = world(prepare)
        try:
            asked(act, desk, through)
        except (RdbkeeperError, Killed):
            tried += 1
        again = asked(act, desk)
        if again == RuleBusy.__name__:  # whether the one that was cut off is still at work nobody can know
            desk.clock.advance(900)
            again = asked(act, desk)
        wrong += [f"{what}: answers {again}"] if again != answer else []
        wrong += [f"{what}: ends as {picture(desk)}"] if picture(desk) != end else []
    assert wrong == []
    assert tried > 5


@pytest.mark.parametrize("name", WORLDS)
def test_whatever_is_cut_off_leaves_a_whole_copy_or_none_that_is_visible(name: str) -> None:
    act, prepare = WORLDS[name]
    wrong = []
    for what, through in disturbances(act, prepare):
        desk = world(prepare)
        with suppress(RdbkeeperError, Killed):
            asked(act, desk, through)
        wrong += [f"{what}: {torn}" for torn in tears(desk)]
    assert wrong == []


def tears(desk: Desk) -> list[str]:
    """What must never be, at no moment."""
    data = [key for key in keys_of(desk.vault, 0) if key.endswith(".rdb")]
    there = MANIFEST in desk.vault.objects
    return [
        *(["a manifest without its data"] if there and len(data) < 2 else []),
        *(["data that no plan names any more"] if not there and data and PLAN not in desk.vault.objects else []),
        *(["the other copy was touched"] if len(keys_of(desk.vault, 1)) != 3 else []),
    ]


PAIRS = [
    (hold, delete),
    (hold, retain),
    (delete, hold),
    (delete, retain),
    (delete, delete),
    (release, delete),
    (delete, release),
    (hold, hold),
    (hold, release),
]


@pytest.mark.parametrize("first, second", PAIRS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("prepare", [free, held], ids=lambda prepare: prepare.__name__)
def test_two_at_one_copy_are_both_told_the_truth(first: Act, second: Act, prepare: Callable[[Desk], None]) -> None:
    """The second comes and goes between any two calls of the first."""
    wrong = []
    for number, call in enumerate(count_calls(lambda through: asked(first, world(prepare), through)), 1):
        desk = world(prepare)
        told: dict[str, object] = {}

        def come_between(desk: Desk = desk, told: dict[str, object] = told) -> None:
            told["second"] = asked(second, desk)

        told["first"] = asked(first, desk, Meanwhile(once_at(number, come_between)).before)
        said = [(first, told["first"]), (second, told.get("second"))]
        wrong += [f"before call {number}, {call}: {lie}" for lie in [*lies(desk, said), *tears(desk)]]
    assert wrong == []


@pytest.mark.parametrize(
    "first, between, second",
    [(delete, None, hold), (retain, None, hold), (hold, None, delete), (delete, hold, delete), (delete, None, retain)],
    ids=lambda act: act.__name__ if act else "-",
)
def test_two_whose_calls_alternate_are_both_told_the_truth(first: Act, between: Act | None, second: Act) -> None:
    """The first stops before one call, the second before another; then the first ends, and then the second."""
    wrong = []
    firsts, seconds = (
        len(count_calls(lambda through, act=act: asked(act, world(free), through))) for act in (first, second)
    )
    for stop in range(1, firsts + 1):
        for other_stop in range(1, seconds + 1):
            desk = world(free)
            one, other = Halting(first, desk, stop), Halting(second, desk, other_stop)
            one.go_until_it_halts()
            said = [(between, asked(between, desk))] if between else []
            other.go_until_it_halts()
            said += [(first, one.end()), (second, other.end())]
            wrong += [f"{stop}, {other_stop}: {lie}" for lie in [*lies(desk, said), *tears(desk)]]
    assert wrong == []


def test_a_hold_between_two_removals_is_told_the_truth() -> None:
    """Two removals halt before a call each, and a hold after its mark; then one ends, the hold, and the other."""
    wrong = []
    looks = count_calls(lambda through: asked(hold, world(free), through)).index("MemoryVault.create_object") + 2
    for stop in range(1, number_of_calls(delete) + 1):
        for other_stop in range(1, number_of_calls(delete) + 1):
            desk = world(free)
            one, other, holder = (
                Halting(delete, desk, stop),
                Halting(delete, desk, other_stop),
                Halting(hold, desk, looks),
            )
            for somebody in (one, other, holder):
                somebody.go_until_it_halts()
            said = [(delete, other.end()), (hold, holder.end()), (delete, one.end())]
            wrong += [f"{stop}, {other_stop}: {lie}" for lie in [*lies(desk, said), *tears(desk)]]
    assert wrong == []


def test_a_hold_beside_a_removal_that_goes_on_after_a_while_is_told_the_truth() -> None:
    wrong = []
    for number, call in enumerate(count_calls(lambda through: asked(delete, world(cut_off), through)), 1):
        desk, told = world(cut_off), []
        come_between = once_at(number, lambda desk=desk, told=told: told.append(asked(hold, desk)))
        answer = asked(delete, desk, Meanwhile(come_between).before)
        said = [(delete, answer), (hold, told[0])]
        # What is refused beforehand leaves the old plan to the next run.
        finish_removals(desk.vault, PATH, desk.vault.catalog(PATH), desk.clock, desk.journal)
        wrong += [f"before call {number}, {call}: {lie}" for lie in [*lies(desk, said), *tears(desk)]]
    assert wrong == []


def test_who_is_refused_leaves_the_word_of_whom_it_is_left_to() -> None:
    """The first is killed after its manifest went; the second had been told meanwhile that somebody is at it."""
    calls = count_calls(lambda through: asked(delete, world(free), through))
    removes_manifest = calls.index("MemoryVault.remove_object") + 1
    desk, told = world(free), []

    def happen(this: int, _: str) -> None:
        if this == removes_manifest:
            told.append(asked(delete, desk))
        elif this > removes_manifest:
            raise Killed

    with suppress(Killed):
        asked(delete, desk, Meanwhile(happen).before)
    assert told == [RuleBusy.__name__]
    assert MANIFEST not in desk.vault.objects and REMOVED in desk.vault.objects


def number_of_calls(act: Act) -> int:
    return len(count_calls(lambda through: asked(act, world(free), through)))


class Halting:
    """Somebody who asks, and halts before one call until told to go on; no two are ever at work at once."""

    def __init__(self, act: Act, desk: Desk, stop: int) -> None:
        self._halted, self._may_go_on = Event(), Event()
        self._told: list[object] = []
        through = Meanwhile(once_at(stop, self._halt)).before
        self._thread = Thread(target=lambda: self._ask(act, desk, through), daemon=True)

    def go_until_it_halts(self) -> None:
        self._thread.start()
        assert self._halted.wait(60)

    def end(self) -> object:
        self._may_go_on.set()
        self._thread.join(60)
        return self._told[0]

    def _halt(self) -> None:
        self._halted.set()
        assert self._may_go_on.wait(60)

    def _ask(self, act: Act, desk: Desk, through: Through) -> None:
        try:
            self._told.append(asked(act, desk, through))
        except RdbkeeperError as error:
            self._told.append(error.code)
        finally:
            self._halted.set()


def lies(desk: Desk, said: list[tuple[Act, object]]) -> list[str]:
    """Where somebody was told what is not so."""
    objects = desk.vault.objects
    there = MANIFEST in objects
    answers = [(act.__name__, answer) for act, answer in said]
    was_removed = any(isinstance(answer, dict) and answer.get("removed") for _, answer in answers)
    was_held = any(isinstance(a, dict) and a.get("held") and not a["removal_under_way"] for _, a in answers)
    is_unsure = any(isinstance(a, dict) and a.get("removal_under_way") for _, a in answers)
    was_retained = ("retain", "removed") in answers
    released = any(name == "release" for name, _ in answers)
    return [
        *([f"called removed and is there: {answers}"] if was_removed and there else []),
        *([f"called removed and not marked so: {answers}"] if was_removed and REMOVED not in objects else []),
        *([f"marked as removed and nobody was told: {answers}"] if REMOVED in objects and not was_removed else []),
        *([f"called held and gone: {answers}"] if was_held and not there and not released else []),
        *([f"called held and not marked so: {answers}"] if was_held and HOLD not in objects and not released else []),
        *([f"gone and nobody was told: {answers}"] if not there and not (was_removed or was_retained) else []),
        *([f"a hold without its copy: {answers}"] if HOLD in objects and not there and not is_unsure else []),
        *([f"a plan is left: {answers}"] if PLAN in objects else []),
    ]


def test_a_hold_that_could_not_know_learns_when_it_is_sent_again() -> None:
    calls = count_calls(lambda through: asked(delete, world(free), through))
    desk, told = world(free), []
    before_the_manifest_goes = Meanwhile(
        once_at(calls.index("MemoryVault.remove_object") + 1, lambda: told.append(asked(hold, desk)))
    )
    asked(delete, desk, before_the_manifest_goes.before)
    assert told[0]["removal_under_way"] is True
    assert asked(hold, desk) == CopyNotFound.__name__
    assert HOLD not in desk.vault.objects


@pytest.mark.parametrize("kill_at", range(1, 40))
def test_a_hold_beside_a_removal_that_was_killed_never_lies(kill_at: int) -> None:
    """The removal dies at its nth call; the hold that follows knows, or says that it does not."""
    desk = world(free)
    faults = Faults(kill_at, "before", Killed())
    with suppress(Killed):
        asked(delete, desk, lambda port: FaultyPort(port, faults))
    answer = asked(hold, desk)
    there = MANIFEST in desk.vault.objects
    assert there == isinstance(answer, dict)
    assert there or answer == CopyNotFound.__name__
    assert (HOLD in desk.vault.objects) == there
