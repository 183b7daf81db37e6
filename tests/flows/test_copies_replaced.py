"""A damaged copy that a person removes makes room for another one of the same backup."""

from __future__ import annotations

from contextlib import suppress

import pytest

from rdbkeeper.domain.catalog import Level, Mark, mark_key
from rdbkeeper.domain.errors import CopyHeld, CopyNotFound, RuleBusy
from rdbkeeper.ports import Record
from tests.fakes.faults import Faults, FaultyPort
from tests.flows.copies_desk import HERE, PATH, at_desk, id_of, keys_of, mark
from tests.flows.desk import Desk, Through, directly
from tests.flows.disturbances import Killed, count_calls

COPY = id_of(0)
HOLD, DAMAGED, REMOVED = (mark_key(PATH, one, COPY) for one in (Mark.HOLD, Mark.DAMAGED, Mark.REMOVED))


def damaged_desk() -> Desk:
    desk = at_desk(Level.VERIFIED, Level.VERIFIED)
    desk.vault.create_object(DAMAGED, b"{}", "application/json")
    return desk


def delete(desk: Desk, through: Through = directly) -> Record:
    return mark(desk, through).delete(HERE, COPY, COPY, "")


def test_a_damaged_copy_that_is_removed_may_be_copied_again_and_the_answer_says_so() -> None:
    desk = damaged_desk()
    answer = delete(desk)
    assert answer["removed"] and answer["removed_at"] == "2026-11-21T03:00:00+00:00"
    assert answer["notes"] == ["It was damaged: the next run copies its backup again if the source still has it."]
    assert keys_of(desk.vault, 0) == [] and len(keys_of(desk.vault, 1)) == 3
    assert COPY not in desk.vault.catalog(PATH).removed
    with pytest.raises(CopyNotFound):
        delete(desk)


def test_a_whole_copy_that_is_removed_promises_no_other() -> None:
    desk = at_desk(Level.VERIFIED, Level.VERIFIED)
    assert delete(desk)["notes"] == []
    assert keys_of(desk.vault, 0) == [REMOVED]


def test_a_damaged_copy_that_is_held_stays_without_a_word_of_its_removal() -> None:
    desk = damaged_desk()
    before = set(desk.vault.objects) | {HOLD}
    mark(desk).hold(HERE, COPY, "")
    with pytest.raises(CopyHeld):
        delete(desk)
    assert set(desk.vault.objects) == before


def test_what_was_said_of_a_copy_before_it_was_found_damaged_stays_said() -> None:
    desk = damaged_desk()
    desk.vault.create_object(REMOVED, b"{}", "application/json")
    assert delete(desk)["notes"] == []
    assert keys_of(desk.vault, 0) == [REMOVED]


@pytest.mark.parametrize("when", ["before", "after"])
def test_wherever_its_removal_is_cut_off_it_ends_when_it_is_sent_again(when: str) -> None:
    for number in range(1, len(count_calls(lambda through: delete(damaged_desk(), through))) + 1):
        desk, faults = damaged_desk(), Faults(number, when, Killed())
        with suppress(Killed):
            delete(desk, lambda port, faults=faults: FaultyPort(port, faults))
        was_gone = keys_of(desk.vault, 0) == []
        try:
            answer = delete(desk)
        except RuleBusy:
            desk.clock.advance(900)
            answer = delete(desk)
        except CopyNotFound:
            assert was_gone
            continue
        assert "It was damaged" in answer["notes"][-1]
        assert keys_of(desk.vault, 0) == []
