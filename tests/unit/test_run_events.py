"""What starts a run."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.run_request import MOST_HAND_OVERS, RunRequest
from rdbkeeper.entry.run_events import read_run_request
from tests.fakes.journal import ListJournal


def test_a_timers_event_asks_for_nothing_special_and_tells_when_it_was_due() -> None:
    event = {"rule": "orders", "scheduled_at": "2026-11-22T02:30:00Z"}
    assert read_run_request(event, ListJournal()) == RunRequest(scheduled_at="2026-11-22T02:30:00Z")
    assert read_run_request({"rule": "orders"}, ListJournal()) == RunRequest()


def test_an_event_may_ask_for_a_backup_first_and_its_successor_asks_for_none() -> None:
    asked = RunRequest(on_request=True, backs_up=True)
    assert read_run_request({"rule": "orders", **asked.as_record()}, ListJournal()) == asked
    follower = asked.successor("run-1", ())
    assert not follower.backs_up and follower.on_request
    for unsaid in ("yes", 1, None):
        assert not read_run_request({"backs_up": unsaid}, ListJournal()).backs_up


def test_a_run_that_is_owed_is_followed_by_one_that_is_and_a_timers_or_a_persons_never_is() -> None:
    owed = RunRequest(on_request=True, owed=True)
    assert read_run_request({"rule": "orders", **owed.as_record()}, ListJournal()) == owed
    follower = owed.successor("run-1", ())
    assert read_run_request(follower.as_record(), ListJournal()).owed
    for event in ({}, {"requested": True}, {"scheduled_at": "2026-11-22T02:30:00Z"}, {"owed": "yes"}):
        assert not read_run_request(event, ListJournal()).owed


def test_a_persons_event_is_on_request() -> None:
    assert read_run_request({"requested": True}, ListJournal()).on_request


def test_a_successors_event_is_what_its_forerunner_wrote() -> None:
    first = RunRequest(on_request=True)
    second = first.successor("run-1", ("a", "b")).successor("run-2", ("b", "c"))
    assert second == RunRequest(on_request=True, chain="run-1", hand_overs=2, tried=("a", "b", "c"))
    assert read_run_request({"rule": "orders", **second.as_record()}, ListJournal()) == second


def test_a_chain_is_bounded() -> None:
    assert RunRequest(hand_overs=MOST_HAND_OVERS - 1).may_hand_over
    assert not RunRequest(hand_overs=MOST_HAND_OVERS).may_hand_over


@pytest.mark.parametrize(
    "event",
    [
        None,
        "orders",
        [],
        {"hand_overs": "many"},
        {"hand_overs": None},
        {"tried": 3},
        {"tried": "abc"},
        {"hand_overs": -1},
    ],
)
def test_any_other_event_is_refused_and_logged(event: object) -> None:
    journal = ListJournal()
    with pytest.raises(InvalidRequest):
        read_run_request(event, journal)
    assert journal.events() == ["EventWrong"]
