"""Two requests at once: somebody else's whole request comes before each call of the first, in turn.

However they meet, the world ends as if one had come after the other, or as if the one that was refused had never come.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from rdbkeeper.domain.errors import FleetUnavailable, NameTaken, PlaceTaken, RdbkeeperError, RevisionStale
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.ports import Record
from tests.flows import requests as asked
from tests.flows.desk import Desk, Through, directly, new_rule
from tests.flows.disturbances import Killed, Meanwhile, count_calls, once_at
from tests.flows.order import disorders, picture
from tests.flows.requests import AS_CREATED, Request, Send

UPDATE = asked.update(cycle=asked.BOTH_DAYS)
UPDATE_OTHERWISE = asked.update(cycle=asked.MANUAL)
MOVE = asked.update(prefix="elsewhere/")

PAIRS: dict[str, tuple[Request, Send]] = {
    "create, the same create": (Request(asked.nothing, asked.create), asked.create),
    "create, another create": (Request(asked.nothing, asked.create), asked.create_elsewhere),
    "create, delete": (Request(asked.nothing, asked.create), asked.delete),
    "create, reconcile": (Request(asked.nothing, asked.create), asked.reconcile),
    "finish a create, reconcile": (Request(asked.half_created, asked.create), asked.reconcile),
    "finish a create, delete": (Request(asked.half_created, asked.create), asked.delete),
    "update, another update": (Request(asked.made, UPDATE), UPDATE_OTHERWISE),
    "update, the same update": (Request(asked.made, UPDATE), UPDATE),
    "update, move": (Request(asked.made, UPDATE), MOVE),
    "update, pause": (Request(asked.made, UPDATE), asked.pause),
    "update, delete": (Request(asked.made, UPDATE), asked.delete),
    "update, reconcile": (Request(asked.made, UPDATE), asked.reconcile),
    "pause, update": (Request(asked.made, asked.pause), UPDATE),
    "pause, delete": (Request(asked.made, asked.pause), asked.delete),
    "pause, reconcile": (Request(asked.made, asked.pause), asked.reconcile),
    "resume, pause": (Request(asked.paused, asked.resume), asked.pause),
    "run, delete": (Request(asked.made, asked.run), asked.delete),
    "run, the same run": (Request(asked.made, asked.run), asked.run),
    "delete, run": (Request(asked.made, asked.delete), asked.run),
    "delete, create": (Request(asked.made_and_running, asked.delete), asked.create),
    "delete, the same delete": (Request(asked.made_and_running, asked.delete), asked.delete),
    "delete, update": (Request(asked.made, asked.delete), UPDATE),
    "delete, reconcile": (Request(asked.made_and_running, asked.delete), asked.reconcile),
    "finish a delete, reconcile": (Request(asked.half_deleted, asked.delete), asked.reconcile),
    "reconcile, create": (Request(asked.nothing, asked.reconcile), asked.create),
    "reconcile, finish a create": (Request(asked.half_created, asked.reconcile), asked.create),
    "reconcile, delete what is half made": (Request(asked.half_created, asked.reconcile), asked.delete),
    "reconcile, delete": (Request(asked.tampered_with, asked.reconcile), asked.delete),
    "reconcile, finish a delete": (Request(asked.half_deleted, asked.reconcile), asked.delete),
    "reconcile, update": (Request(asked.tampered_with, asked.reconcile), UPDATE),
    "reconcile, pause": (Request(asked.tampered_with, asked.reconcile), asked.pause),
    "reconcile, pause what owes a run": (Request(asked.owing_a_run, asked.reconcile), asked.pause),
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_requests_at_once_end_as_one_after_the_other(name: str) -> None:
    first, second = PAIRS[name]
    ends = [_one_after_the_other(first, first.send, second), _one_after_the_other(first, second, first.send)]
    alone = _one_after_the_other(first, second)
    wrong = []
    for meeting in _meetings(first, second):
        was_refused = meeting.hold() == {}
        wrong += [f"{meeting.what}: {disorder}" for disorder in _reconcile(meeting.desk)]
        end = picture(meeting.desk)
        wrong += [] if end in ends or (was_refused and end == alone) else [f"{meeting.what}: ends as {end}"]
    assert wrong == []


@pytest.mark.parametrize("name", PAIRS)
def test_what_a_request_leaves_that_dies_after_it_met_another_is_settled_by_reconciling(name: str) -> None:
    wrong = []
    for meeting in _meetings(*PAIRS[name], first_dies=True):
        meeting.hold()
        wrong += [f"{meeting.what}: {disorder}" for disorder in _reconcile(meeting.desk)]
    assert wrong == []


def test_of_two_edits_at_once_one_wins_and_the_other_is_told() -> None:
    for meeting in _meetings(Request(asked.made, UPDATE), UPDATE_OTHERWISE):
        meeting.hold()
        [refusal] = meeting.refusals
        assert isinstance(refusal, RevisionStale) and refusal.field == "revision", meeting.what
        assert meeting.desk.rule().cycle in (asked.BOTH_DAYS, asked.MANUAL)


def test_of_two_different_creates_of_one_name_at_once_one_wins_and_the_other_is_told() -> None:
    for meeting in _meetings(Request(asked.nothing, asked.create), asked.create_elsewhere):
        meeting.hold()
        [refusal] = meeting.refusals
        assert isinstance(refusal, NameTaken) and refusal.field == "name", meeting.what
        assert len(meeting.desk.tables.rules.rules()) == 1


def test_two_people_who_create_at_once_do_not_get_one_place() -> None:
    def create_the_same_place(desk: Desk, through: Through, _: int) -> Record:
        return desk.actions(through).register.create(new_rule("somebody-elses"))

    for meeting in _meetings(Request(asked.nothing, asked.create), create_the_same_place):
        meeting.hold()
        [refusal] = meeting.refusals
        assert isinstance(refusal, PlaceTaken), meeting.what
        assert _reconcile(meeting.desk) == []


def test_two_people_who_move_their_rules_at_once_do_not_get_one_place() -> None:
    def two_rules(desk: Desk) -> None:
        asked.made(desk)
        desk.register.create(new_rule("somebody-elses", prefix="theirs/"))

    def move_theirs(desk: Desk, through: Through, revision: int) -> Record:
        return desk.actions(through).register.update("somebody-elses", revision, RuleEdit(prefix="elsewhere/"))

    for meeting in _meetings(Request(two_rules, MOVE), move_theirs):
        meeting.hold()
        [refusal] = meeting.refusals
        assert isinstance(refusal, PlaceTaken), meeting.what
        assert _reconcile(meeting.desk) == []


def test_a_pause_is_not_refused_because_somebody_edits_the_rule() -> None:
    for meeting in _meetings(*PAIRS["pause, update"]):
        assert meeting.hold()["rule"]["state"] == "paused", meeting.what


def test_a_delete_in_the_midst_of_a_create_or_an_edit_leaves_nothing_for_reconciling() -> None:
    for name in ("create, delete", "finish a create, delete", "update, delete", "pause, delete"):
        for meeting in _meetings(*PAIRS[name]):
            meeting.hold()
            assert meeting.desk.nothing_was_made() or not meeting.desk.tables.rules.deletions(), meeting.what


def test_a_create_in_whose_midst_a_deletion_is_cut_off_is_told() -> None:
    def begin_to_delete(desk: Desk, through: Through, revision: int) -> Record:
        desk.fleet.failing["find_going_run"] = [FleetUnavailable("no answer")]
        return asked.delete(desk, through, revision)

    meetings = list(_meetings(Request(asked.half_created, asked.create), begin_to_delete))
    [activation] = [meeting.number for meeting in meetings if meeting.call == "MemoryRuleTable.replace_rule"]
    for meeting in meetings:
        assert bool(meeting.hold()) == (meeting.number > activation), meeting.what
        assert meeting.desk.rule().state is RuleState.DELETING, meeting.what
        assert _reconcile(meeting.desk) == [], meeting.what


def test_a_rule_that_is_made_anew_while_the_deletion_of_the_one_before_it_is_finished_stays_with_its_uploads() -> None:
    def delete_and_make_anew(desk: Desk, through: Through, revision: int) -> Record:
        answer = asked.delete_and_create_anew(desk, through, revision)
        desk.leave_upload_open()
        return answer

    for finish in (asked.reconcile, asked.delete):
        for meeting in list(_meetings(Request(asked.half_deleted, finish), delete_and_make_anew))[1:]:
            meeting.hold()
            assert meeting.desk.rule().prefix == "elsewhere/", meeting.what
            assert len(meeting.desk.vault.uploads) == 1, meeting.what
            assert _reconcile(meeting.desk) == [], meeting.what


def test_reconciling_takes_nobody_who_was_faster_for_a_failure_and_nothing_just_made_for_a_stray() -> None:
    for name in (name for name in PAIRS if name.startswith("reconcile, ")):
        for meeting in _meetings(*PAIRS[name]):
            answer = meeting.hold()
            assert (answer["failures"], answer["reports"]) == ([], []), f"{name}: {meeting.what}"


ENDINGS = {
    "create": Request(asked.nothing, asked.create),
    "update": Request(asked.made, UPDATE),
    "pause": Request(asked.made, asked.pause),
    "delete": Request(asked.made_and_running, asked.delete),
    "reconcile what was tampered with": Request(asked.tampered_with, asked.reconcile),
    "reconcile after a deploy": Request(asked.deployed_anew, asked.reconcile),
    "reconcile a half creation": Request(asked.half_created, asked.reconcile),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_nothing_runs_any_more_when_a_request_meets_the_end_of_its_stack(name: str) -> None:
    request = ENDINGS[name]
    for meeting in (*_meetings(request, asked.end), *_meetings(Request(request.prepare, asked.end), request.send)):
        meeting.hold()
        assert meeting.desk.nothing_runs(), meeting.what


@dataclass
class Meeting:
    """The second request comes in the midst of the first, before one of its calls."""

    desk: Desk
    first: Send
    second: Send
    number: int
    call: str
    first_dies: bool
    refusals: list[RdbkeeperError] = field(default_factory=list)

    @property
    def what(self) -> str:
        return f"before call {self.number}, {self.call}"

    def hold(self) -> Record:
        """The first one's answer; {} when it was refused, or died after the second had come."""
        try:
            return self.first(self.desk, Meanwhile(once_at(self.number, self._come_between)).before, AS_CREATED)
        except RdbkeeperError as refusal:
            self.refusals.append(refusal)
        except Killed:
            pass
        return {}

    def _come_between(self) -> None:
        try:
            self.second(self.desk, directly, AS_CREATED)
        except RdbkeeperError as refusal:
            self.refusals.append(refusal)
        if self.first_dies:
            raise Killed


def _meetings(first: Request, second: Send, *, first_dies: bool = False) -> Iterator[Meeting]:
    """One for each call that the first request makes."""
    calls = count_calls(lambda through: first.send(first.world(), through, AS_CREATED))
    for number, call in enumerate(calls, 1):
        yield Meeting(first.world(), first.send, second, number, call, first_dies)


def _one_after_the_other(world: Request, *sends: Send) -> Record:
    desk = world.world()
    for send in sends:
        with suppress(RdbkeeperError):
            send(desk, directly, AS_CREATED)
    return picture(desk)


def _reconcile(desk: Desk) -> list[str]:
    """What is not in order after reconciling once or, for the sake of old versions, twice; or what is then repaired."""
    desk.clock.advance(3600)
    desk.reconcile().run()
    desk.reconcile().run()
    left = disorders(desk)
    return [*left, *(str(repair) for repair in desk.reconcile().run()["repairs"])]
