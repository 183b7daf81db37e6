"""An audit is asked for as a run is, and starts one that says so."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import RuleNotFound, RunIsGoing
from rdbkeeper.domain.run_request import RunRequest
from tests.flows.desk import LOG_GROUP, NAME, Desk
from tests.flows.requests import made


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    made(desk)
    return desk


def test_an_audit_starts_a_run_that_only_audits(desk: Desk) -> None:
    answer = desk.start.audit(NAME, "monday", 7)
    (execution,) = desk.fleet.going[NAME]
    (wish,) = desk.fleet.wishes.values()
    assert RunRequest.from_record(wish) == RunRequest(on_request=True, audits=True, most_gigabytes=7)
    assert (answer["run"], answer["log_group"]) == (execution.rsplit("/", 1)[-1], LOG_GROUP)


def test_the_same_request_again_answers_with_the_same_audit(desk: Desk) -> None:
    assert desk.start.audit(NAME, "monday") == desk.start.audit(NAME, "monday")
    assert len(desk.fleet.going[NAME]) == 1


def test_an_audit_and_a_run_of_one_request_id_are_two_wishes(desk: Desk) -> None:
    desk.start.run(NAME, "monday")
    with pytest.raises(RunIsGoing):
        desk.start.audit(NAME, "monday")


def test_an_ordinary_run_is_started_with_the_same_words_as_ever(desk: Desk) -> None:
    desk.start.run(NAME, "monday")
    assert list(desk.fleet.wishes.values()) == [{}]


def test_an_audit_of_a_rule_that_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(RuleNotFound):
        desk.start.audit("nothing")
