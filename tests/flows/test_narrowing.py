"""Editing a retention: widening is in force at once, narrowing waits and says what it will remove."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rdbkeeper.domain.catalog import Level, manifest_key
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import VaultUnavailable
from rdbkeeper.domain.retention import KEEP_EVERYTHING, Retention
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.ports import Record
from tests.flows.desk import NAME, NOW, Desk, new_rule
from tests.flows.requests import AS_CREATED, MANUAL

DAY_S = 86_400
TEN_DAYS = Retention(keep_days=10)
GRACE_ENDS = "2026-11-24T03:00:00+00:00"


@pytest.fixture
def desk() -> Desk:
    """A rule that keeps ten days, and has a copy of each of them."""
    desk = Desk()
    desk.register.create(new_rule(retention=TEN_DAYS))
    for days in range(11):
        copy_id = f"{NOW - timedelta(days=days):%Y%m%dT%H%M%SZ}-b"
        desk.vault.objects[manifest_key(desk.rule().place.path, copy_id, Level.VERIFIED)] = b"{}"
    return desk


def edit(desk: Desk, revision: int = AS_CREATED, **changes: object) -> Record:
    return desk.register.update(NAME, revision, RuleEdit(**changes))


def will_remove(answer: Record) -> list[str]:
    return [removal["copy_id"][:8] for removal in answer["will_remove"]]


def test_a_narrowed_retention_says_what_it_will_remove_and_from_when_on(desk: Desk) -> None:
    answer = edit(desk, retention=Retention(keep_last=9))
    # Three more will have come when the grace period is over.
    assert will_remove(answer) == ["20261115", "20261114", "20261113", "20261112", "20261111"]
    assert answer["will_remove_count"] == 5
    assert answer["will_remove"][0]["detail"] == "The retention does not keep it; it keeps only the last 9."
    assert answer["removes_from"] == GRACE_ENDS


def test_a_widened_retention_is_in_force_at_once_and_says_nothing(desk: Desk) -> None:
    for revision, wider in enumerate((Retention(keep_days=11), Retention(keep_days=11, keep_last=2), KEEP_EVERYTHING)):
        answer = edit(desk, AS_CREATED + revision, retention=wider)
        assert not answer.keys() & {"will_remove", "removes_from"}
        assert desk.rule().retention == wider


def test_an_edit_of_something_else_says_nothing_of_retention(desk: Desk) -> None:
    assert "will_remove" not in edit(desk, cycle=Cycle("daily", "UTC", at="05:00"))


def test_the_same_narrowing_sent_again_has_the_same_answer(desk: Desk) -> None:
    first, second = (edit(desk, retention=Retention(keep_last=9)) for _ in range(2))
    assert second["will_remove"] == first["will_remove"] and second["removes_from"] == first["removes_from"]


def test_a_manual_rule_counts_on_no_copies_to_come() -> None:
    desk = Desk()
    desk.register.create(new_rule(retention=TEN_DAYS, cycle=MANUAL))
    for days in range(3):
        copy_id = f"{NOW - timedelta(days=days):%Y%m%dT%H%M%SZ}-b"
        desk.vault.objects[manifest_key(desk.rule().place.path, copy_id, Level.VERIFIED)] = b"{}"
    assert will_remove(edit(desk, retention=Retention(keep_last=2))) == ["20261119"]


def test_removals_begin_when_the_first_copy_goes_and_the_last_plan_is_told(desk: Desk) -> None:
    edit(desk, retention=Retention(keep_last=11))  # of ten days and eleven copies, either may keep one
    desk.clock.advance(DAY_S)
    answer = edit(desk, AS_CREATED + 1, retention=Retention(keep_last=5))
    assert answer["removes_from"] == GRACE_ENDS
    assert len(will_remove(answer)) == 9


def test_an_earlier_retention_that_ends_does_not_count_while_another_keeps_the_same(desk: Desk) -> None:
    edit(desk, retention=Retention(keep_last=20))
    desk.clock.advance(DAY_S)
    answer = edit(desk, AS_CREATED + 1, retention=Retention(keep_last=5))
    assert answer["removes_from"] == "2026-11-25T03:00:00+00:00"


def test_a_narrowing_that_costs_no_copy_says_so(desk: Desk) -> None:
    answer = edit(desk, retention=Retention(keep_last=500))
    assert (answer["will_remove"], answer["will_remove_count"]) == ([], 0)
    assert answer["removes_from"] == GRACE_ENDS


def test_a_retention_that_came_with_another_place_spares_what_lies_there(desk: Desk) -> None:
    path = "elsewhere/orders/"
    for days in (1, 40):
        copy_id = f"{NOW - timedelta(days=days):%Y%m%dT%H%M%SZ}-b"
        desk.vault.objects[manifest_key(path, copy_id, Level.VERIFIED)] = b"{}"
    answer = edit(desk, prefix="elsewhere/")
    assert will_remove(answer) == ["20261012"] and answer["removes_from"] == GRACE_ENDS


def test_an_edit_is_done_though_its_copies_cannot_be_listed(desk: Desk) -> None:
    desk.vault.failing["catalog"] = [VaultUnavailable("no answer")]
    answer = edit(desk, retention=Retention(keep_last=9))
    assert answer["will_remove"] is None and "no answer" in answer["why_unknown"]
    assert desk.rule().retention == Retention(keep_last=9)


def test_when_the_grace_period_is_over_nothing_more_is_said(desk: Desk) -> None:
    edit(desk, retention=Retention(keep_last=9))
    desk.clock.advance(3 * DAY_S)
    assert "will_remove" not in edit(desk, AS_CREATED + 1, cycle=Cycle("daily", "UTC", at="05:00"))


def test_another_time_zone_says_what_it_will_remove_and_from_when_on(desk: Desk) -> None:
    edit(desk, retention=Retention(keep_daily=9))
    desk.clock.advance(4 * DAY_S)
    answer = edit(desk, AS_CREATED + 1, cycle=Cycle("daily", "Pacific/Kiritimati", at="05:00"))
    assert answer["will_remove_count"] > 0 and answer["removes_from"] == "2026-11-28T03:00:00+00:00"


def test_only_copies_that_are_there_are_named(desk: Desk) -> None:
    answer = edit(desk, retention=Retention(keep_last=1))
    assert answer["will_remove_count"] == len(answer["will_remove"]) == 11  # and not two of those that will have come
