"""Copies are held, released and removed on a person's word, whole or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rdbkeeper.domain.catalog import CatalogEntry, Level, Mark, manifest_key, mark_key
from rdbkeeper.domain.copy import data_key
from rdbkeeper.domain.copy_query import RulePlace
from rdbkeeper.domain.errors import (
    CopyHeld,
    CopyLocked,
    CopyNotFound,
    ManifestUnreadable,
    NotConfirmed,
    RuleBusy,
    RuleNotFound,
    VaultDenied,
)
from rdbkeeper.domain.removal import RemovalPlan
from rdbkeeper.flows.copies.removal import remove_copy
from rdbkeeper.ports import Lock, Record
from tests.flows.copies_desk import BESIDE, HERE, PATH, at_desk, id_of, in_vault, keys_of, mark, put_copy
from tests.flows.desk import NAME, Desk, Through, directly

VERIFIED, UNCHECKED = Level.VERIFIED, Level.UNCHECKED
COPY = id_of(0)
HOLD, REMOVED, PLAN = (mark_key(PATH, one, COPY) for one in (Mark.HOLD, Mark.REMOVED, Mark.REMOVAL))
MANIFEST = manifest_key(PATH, COPY, VERIFIED)
LONG = datetime(2027, 1, 1, tzinfo=UTC)


def delete(desk: Desk, night: int = 0, note: str = "") -> Record:
    return mark(desk).delete(HERE, id_of(night), id_of(night), note)


def by_retention(desk: Desk, night: int = 0, through: Through = directly) -> str:
    """What a run does with a copy that its rule's retention no longer keeps."""
    vault = through(desk.vault)
    entry = vault.catalog(PATH).find(id_of(night)) or CatalogEntry(id_of(night), VERIFIED)
    outcome = remove_copy(vault, PATH, entry, reason="7 days", by="run-1", clock=desk.clock, journal=desk.journal)
    return outcome.end.value


def plan_of(desk: Desk, age: timedelta = timedelta()) -> None:
    """The plan of a run's removal that was cut off before anything was removed."""
    plan = RemovalPlan(COPY, "7 days", "run-1", desk.clock.now() - age, (), ())
    desk.vault.create_object(PLAN, plan.to_json(), "application/json")


class _ReadOnly:
    """A port at which nothing may be written."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        assert name not in ("create_object", "remove_object"), f"{name} was called"
        return getattr(self._port, name)


# Hold and release


def test_a_held_copy_is_marked_and_stays_when_its_retention_ends() -> None:
    desk = at_desk(VERIFIED)
    answer = mark(desk).hold(HERE, COPY, "before the migration")
    assert answer == {
        "copy_id": COPY,
        "held": True,
        "held_since": "2026-11-21T03:00:00+00:00",
        "note": "before the migration",
        "removal_under_way": False,
    }
    assert json.loads(desk.vault.objects[HOLD]) == {
        "copy_id": COPY,
        "note": "before the migration",
        "at": "2026-11-21T03:00:00+00:00",
        "made_by": "rdbkeeper 0.1.0",
    }
    assert by_retention(desk) == "held"
    assert "HoldPlaced" in desk.journal.events()


def test_holding_a_held_copy_answers_as_the_first_time() -> None:
    desk = at_desk(VERIFIED)
    first = mark(desk).hold(HERE, COPY, "first")
    desk.clock.advance(3600)
    assert mark(desk).hold(BESIDE, COPY, "second") == first
    assert desk.journal.events().count("HoldPlaced") == 1


def test_a_released_copy_can_be_removed_again() -> None:
    desk = at_desk(VERIFIED)
    mark(desk).hold(HERE, COPY, "")
    for _ in range(2):
        assert mark(desk).release(HERE, COPY) == {"copy_id": COPY, "held": False}
    assert desk.journal.events().count("HoldReleased") == 1
    assert by_retention(desk) == "removed"
    assert keys_of(desk.vault, 0) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"not json"])
def test_a_hold_written_by_hand_holds_whatever_it_says(body: bytes) -> None:
    desk = at_desk(VERIFIED)
    desk.vault.create_object(HOLD, body, "text/plain")
    assert mark(desk).hold(HERE, COPY, "")["held"]
    with pytest.raises(CopyHeld):
        delete(desk)


def test_a_copy_that_is_not_there_is_neither_held_nor_released() -> None:
    desk = at_desk(VERIFIED)
    for act in (lambda: mark(desk).hold(HERE, id_of(1), ""), lambda: mark(desk).release(HERE, id_of(1))):
        with pytest.raises(CopyNotFound):
            act()
    assert keys_of(desk.vault, 1) == []
    with pytest.raises(RuleNotFound):
        mark(desk).hold(RulePlace("nightly"), COPY, "")


def test_a_hold_that_was_left_without_its_copy_is_taken_away() -> None:
    desk = at_desk()
    desk.vault.create_object(HOLD, b"{}", "application/json")
    with pytest.raises(CopyNotFound):
        mark(desk).hold(HERE, COPY, "")
    assert desk.vault.objects == {}


def test_a_hold_while_a_removal_is_going_says_that_it_may_be_too_late() -> None:
    desk = at_desk(VERIFIED)
    plan_of(desk)
    assert mark(desk).hold(HERE, COPY, "")["removal_under_way"] is True
    desk.clock.advance(900)
    assert mark(desk).hold(HERE, COPY, "")["removal_under_way"] is False


def test_a_plan_that_nobody_is_at_any_more_does_not_make_a_hold_late() -> None:
    desk = at_desk(VERIFIED)
    plan_of(desk, timedelta(minutes=15))
    assert mark(desk).hold(HERE, COPY, "")["removal_under_way"] is False


# Removal


def test_a_removed_copy_is_gone_and_its_backup_is_not_fetched_again() -> None:
    desk = at_desk(VERIFIED, VERIFIED)
    desk.tables.runs.record_check(NAME, COPY, LONG)
    answer = delete(desk, note="holds test data")
    assert answer == {
        "copy_id": COPY,
        "removed": True,
        "removed_at": "2026-11-21T03:00:00+00:00",
        "note": "holds test data",
        "was_last_verified": False,
        "notes": [],
    }
    assert keys_of(desk.vault, 0) == [REMOVED]
    assert len(keys_of(desk.vault, 1)) == 3
    catalog = desk.vault.catalog(PATH)
    assert catalog.removed == {COPY} and catalog.find(COPY) is None
    assert desk.tables.runs.checks(NAME) == {}
    assert "CopyDeleted" in desk.journal.events()


def test_the_word_is_put_before_anything_is_removed() -> None:
    desk = at_desk(VERIFIED)
    order: list[str] = []
    create, remove = desk.vault.create_object, desk.vault.remove_object
    desk.vault.create_object = lambda key, *rest: (order.append(key), create(key, *rest))[1]  # type: ignore[method-assign]
    desk.vault.remove_object = lambda key, etag: (order.append(key), remove(key, etag))[1]  # type: ignore[method-assign]
    delete(desk)
    assert order[:4] == [REMOVED, PLAN, MANIFEST, data_key(PATH, COPY, "0001")]


def test_removing_a_removed_copy_answers_as_the_first_time() -> None:
    desk = at_desk(VERIFIED)
    first = delete(desk, note="first")
    desk.clock.advance(3600)
    assert mark(desk).delete(BESIDE, COPY, COPY, "second") == first


@pytest.mark.parametrize(
    "levels, is_last",
    [
        ((VERIFIED,), True),
        ((VERIFIED, UNCHECKED), True),
        ((VERIFIED, VERIFIED), False),
        ((UNCHECKED, UNCHECKED), False),
        ((UNCHECKED, VERIFIED), False),
    ],
)
def test_the_answer_says_when_it_was_the_last_verified_copy(levels: tuple[Level, ...], is_last: bool) -> None:
    desk = at_desk(*levels)
    answer = delete(desk)
    assert (answer["was_last_verified"], bool(answer["notes"])) == (is_last, is_last)
    assert delete(desk) == answer


def test_a_damaged_copy_is_none_to_fall_back_on() -> None:
    desk = at_desk(VERIFIED, VERIFIED)
    desk.vault.create_object(mark_key(PATH, Mark.DAMAGED, id_of(1)), b"{}", "application/json")
    assert delete(desk)["was_last_verified"] is True
    assert delete(desk, 1)["was_last_verified"] is False
    assert keys_of(desk.vault, 1) == []


@pytest.mark.parametrize("confirm", ["", COPY.lower(), id_of(1), f"{COPY} "])
def test_a_removal_is_confirmed_by_the_very_id(confirm: str) -> None:
    desk = at_desk(VERIFIED)
    with pytest.raises(NotConfirmed) as refused:
        mark(desk).delete(HERE, COPY, confirm, "")
    assert refused.value.field == "confirm"
    assert len(keys_of(desk.vault, 0)) == 3


def test_a_held_copy_is_not_removed() -> None:
    desk = at_desk(VERIFIED)
    mark(desk).hold(HERE, COPY, "")
    with pytest.raises(CopyHeld):
        delete(desk)
    assert len(keys_of(desk.vault, 0)) == 4 and REMOVED not in desk.vault.objects
    with pytest.raises(CopyHeld):
        mark(desk, _ReadOnly).delete(HERE, COPY, COPY, "")
    mark(desk).release(HERE, COPY)
    assert delete(desk)["removed"]


def test_a_removal_that_was_cut_off_and_is_refused_now_takes_its_word_back() -> None:
    desk = at_desk(VERIFIED)
    desk.vault.create_object(REMOVED, b"{}", "application/json")
    mark(desk).hold(HERE, COPY, "")
    with pytest.raises(CopyHeld):
        delete(desk)
    assert REMOVED not in desk.vault.objects
    assert len(keys_of(desk.vault, 0)) == 4


@pytest.mark.parametrize("key", [MANIFEST, data_key(PATH, COPY, "0002")])
@pytest.mark.parametrize(
    "lock, how", [(Lock(LONG), "retained until 01 Jan 2027 00:00 UTC"), (Lock(is_legal_hold=True), "legal hold")]
)
def test_a_locked_copy_is_not_removed_and_the_refusal_says_until_when(key: str, lock: Lock, how: str) -> None:
    desk = at_desk(VERIFIED)
    in_vault(desk, locks=True).locks[key] = lock
    with pytest.raises(CopyLocked, match=how):
        delete(desk)
    assert len(keys_of(desk.vault, 0)) == 3
    assert REMOVED not in desk.vault.objects


def test_a_lock_that_must_not_be_read_keeps_the_copy() -> None:
    desk = at_desk(VERIFIED)
    in_vault(desk, locks=True).failing["find_lock"] = [VaultDenied("Reading the lock failed: AccessDenied.")]
    with pytest.raises(VaultDenied):
        delete(desk)
    assert len(keys_of(desk.vault, 0)) == 3


def test_a_copy_whose_manifest_cannot_be_read_stays_and_is_not_called_removed() -> None:
    desk = at_desk(VERIFIED)
    desk.vault.objects[MANIFEST] = b"?"
    with pytest.raises(ManifestUnreadable):
        delete(desk)
    assert len(keys_of(desk.vault, 0)) == 3
    assert REMOVED not in desk.vault.objects


def test_data_removed_by_hand_do_not_keep_a_copy_from_being_removed() -> None:
    desk = at_desk(VERIFIED)
    del desk.vault.objects[data_key(PATH, COPY, "0001")]
    assert delete(desk)["removed"]
    assert keys_of(desk.vault, 0) == [REMOVED]


def test_foreign_objects_beside_the_data_stay() -> None:
    desk = at_desk(VERIFIED)
    foreign = f"{PATH}{COPY}/notes.txt"
    desk.vault.create_object(foreign, b"mine", "text/plain")
    delete(desk)
    assert keys_of(desk.vault, 0) == sorted([foreign, REMOVED])


def test_a_copy_that_never_was_cannot_be_removed() -> None:
    desk = at_desk(VERIFIED)
    with pytest.raises(CopyNotFound):
        delete(desk, 1)
    assert keys_of(desk.vault, 1) == []


def test_a_copy_that_a_run_is_removing_is_left_to_the_run() -> None:
    desk = at_desk(VERIFIED)
    plan_of(desk)
    with pytest.raises(RuleBusy) as refused:
        delete(desk)
    assert refused.value.field == "copy_id"
    assert REMOVED not in desk.vault.objects
    desk.clock.advance(900)
    assert delete(desk)["removed"]
    assert keys_of(desk.vault, 0) == [REMOVED]


def test_a_copy_that_retention_removed_can_no_longer_be_removed() -> None:
    desk = at_desk(VERIFIED)
    by_retention(desk)
    with pytest.raises(CopyNotFound):
        delete(desk)


def test_a_copy_of_a_place_without_a_rule_is_removed() -> None:
    desk = Desk()
    put_copy(desk.vault, 0)
    assert mark(desk).delete(BESIDE, COPY, COPY, "")["removed"]
    assert keys_of(desk.vault, 0) == [REMOVED]
