"""Serving CloudFormation: one answer, whatever happens, short enough, and the link it goes to is never shown."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rdbkeeper.domain.errors import FleetDenied, FleetUnavailable, InvalidRequest, SettingsError
from rdbkeeper.entry.stack_events import StackEvent, check_is_our_stack, find_stack_event, serve_stack_event
from rdbkeeper.flows.fleet.reconcile import Reconcile
from rdbkeeper.ports import Record
from tests.flows.desk import Desk, new_rule

URL = "https://x.s3.amazonaws.com/answer?Signature=secret"
LONGEST_ANSWER_BYTES = 4096  # "Custom resource response objects" in the CloudFormation user guide
EVENT = {
    "RequestType": "Create",
    "ResponseURL": URL,
    "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/rdbkeeper/51af3dc0-da77-11e4-872e-1234567db123",
    "RequestId": "5f5ba9ef-5d2d-4c54-b0b1-0d1c5c2f0e5b",
    "LogicalResourceId": "RuleFleet",
    "ResourceType": "Custom::RuleFleet",
    "ResourceProperties": {"ServiceToken": "arn", "Version": "7"},
}

ENDS = [("Create", "SUCCESS"), ("Update", "SUCCESS"), ("Delete", "FAILED")]


@dataclass
class Stack:
    """A stack with one rule, and CloudFormation waiting for answers."""

    desk: Desk = field(default_factory=Desk)
    sent: list[tuple[str, Record]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk.tables.rules.create_rule(new_rule("orders"), 0)
        self.desk.clock.advance(3600)  # nobody is making it any more
        self.fleet, self.journal = self.desk.fleet, self.desk.journal

    def serve(self, request_type: str) -> Record:
        event = find_stack_event({**EVENT, "RequestType": request_type})
        assert event is not None
        answer = serve_stack_event(event, self.desk.reconcile, self.journal, lambda *sent: self.sent.append(sent))
        assert self.sent.pop() == (URL, answer)
        assert self.sent == [], "CloudFormation takes one answer"
        assert len(json.dumps(answer)) <= LONGEST_ANSWER_BYTES
        assert "Signature" not in f"{answer}{self.journal.text()}"
        return answer


@pytest.fixture
def stack() -> Stack:
    return Stack()


@pytest.fixture
def made(stack: Stack) -> Stack:
    stack.serve("Create")
    stack.journal.lines.clear()
    return stack


# What is asked


def test_an_event_of_cloudformations_is_known_by_its_fields() -> None:
    assert find_stack_event(EVENT) == StackEvent(
        request_type="Create",
        response_url=URL,
        stack_id=str(EVENT["StackId"]),
        request_id=str(EVENT["RequestId"]),
        logical_id="RuleFleet",
    )


@pytest.mark.parametrize("event", [None, [], "RequestType", 7, {}, {"action": "reconcile"}, {"RequestType": "Delete"}])
def test_other_events_are_none_of_cloudformations(event: object) -> None:
    assert find_stack_event(event) is None


@pytest.mark.parametrize("asked", ["Drop", "", None, 7, ["Create"], {}])
def test_a_request_type_that_is_unknown_is_refused(asked: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        find_stack_event({**EVENT, "RequestType": asked})
    assert refused.value.field == "RequestType"
    assert "Signature" not in str(refused.value)


def test_an_event_is_shown_without_its_link() -> None:
    assert "Signature" not in repr(find_stack_event(EVENT))


def test_an_event_that_names_another_stack_is_refused() -> None:
    event = find_stack_event({**EVENT, "RequestType": "Delete"})
    assert event is not None
    check_is_our_stack(event, str(EVENT["StackId"]))
    for other in ("", "arn:aws:cloudformation:us-east-1:000000000000:stack/somebody-elses/1"):
        with pytest.raises(InvalidRequest) as refused:
            check_is_our_stack(event, other)
        assert refused.value.field == "StackId"


# What is answered


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_after_a_deploy_the_fleet_follows_and_the_answer_tells_in_a_line(stack: Stack, request_type: str) -> None:
    answer = stack.serve(request_type)
    assert answer == {
        "Status": "SUCCESS",
        "Reason": answer["Data"]["Line"],
        "PhysicalResourceId": "rule-fleet",
        "StackId": EVENT["StackId"],
        "RequestId": EVENT["RequestId"],
        "LogicalResourceId": "RuleFleet",
        "Data": {"Line": "1 rules checked, 6 repairs, 0 reports, 0 failed"},
    }
    assert list(stack.fleet.functions) == ["rdbkeeper-rule-orders"]


def test_the_resource_stays_the_same_one_so_that_it_is_never_replaced(stack: Stack) -> None:
    ids = {stack.serve(request_type)["PhysicalResourceId"] for request_type in ("Create", "Update", "Delete")}
    assert len(ids) == 1


def test_at_the_stacks_end_the_fleet_goes_and_the_table_stays(made: Stack) -> None:
    answer = made.serve("Delete")
    assert answer["Status"] == "SUCCESS"
    assert (made.fleet.functions, made.fleet.schedules, made.fleet.alarms) == ({}, {}, {})
    assert [rule.name for rule in made.desk.tables.rules.rules()] == ["orders"]
    assert made.fleet.log_groups


def test_a_rule_that_fails_is_told_and_is_no_reason_to_fail_the_deploy(stack: Stack) -> None:
    stack.fleet.failing["make_function"] = [FleetUnavailable("Making the function failed.")]
    answer = stack.serve("Create")
    assert answer["Status"] == "SUCCESS"
    assert answer["Reason"].endswith("1 failed")


@pytest.mark.parametrize("request_type, status", ENDS)
def test_when_nothing_can_be_read_a_deploy_goes_through_and_the_stacks_end_does_not(
    made: Stack, request_type: str, status: str
) -> None:
    made.fleet.failing["observe"] = [FleetDenied("Listing failed: AccessDenied.", hint="Look at the role.")]
    answer = made.serve(request_type)
    assert answer["Status"] == status
    assert answer["Reason"] == "FleetDenied: Listing failed: AccessDenied. Hint: Look at the role."
    assert answer["Data"]["Line"] == answer["Reason"]
    assert made.journal.events() == ["StackEventFailed"]
    assert list(made.fleet.functions) == ["rdbkeeper-rule-orders"]


@pytest.mark.parametrize("request_type, status", ENDS)
def test_a_defect_is_answered_without_its_text_and_logged_with_its_trace(
    made: Stack, request_type: str, status: str
) -> None:
    made.fleet.failing["observe"] = [ZeroDivisionError(URL)]  # a defect, no error of ours
    answer = made.serve(request_type)
    assert answer["Status"] == status
    assert answer["Reason"] == "UnexpectedError: ZeroDivisionError; the function's log has the stack trace."
    assert [line.level for line in made.journal.lines] == ["exception"]


def test_settings_that_are_wrong_are_answered_too(stack: Stack) -> None:
    def cannot_be_built() -> Reconcile:
        raise SettingsError("The environment variable X is missing.")

    sent: list[Any] = []
    event = find_stack_event({**EVENT, "RequestType": "Delete"})
    assert event is not None
    answer = serve_stack_event(event, cannot_be_built, stack.journal, lambda *given: sent.append(given))
    assert (answer["Status"], len(sent)) == ("FAILED", 1)


def test_functions_that_remain_fail_the_deletion_by_name(made: Stack) -> None:
    made.fleet.failing["remove_function"] = [FleetUnavailable("Removing failed.")]
    answer = made.serve("Delete")
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == "Delete the stack again: these rules' functions could not be removed: orders."
    assert made.serve("Delete")["Status"] == "SUCCESS"


def test_functions_for_which_there_is_no_time_left_fail_the_deletion_by_name(made: Stack) -> None:
    made.desk.seconds_left = 10.0
    answer = made.serve("Delete")
    assert (answer["Status"], answer["Reason"].endswith("orders.")) == ("FAILED", True)


@pytest.mark.parametrize("character", ["a", '"', "\\", "é", "\U0001f600", "\x00"])
def test_the_answer_is_never_longer_than_cloudformation_takes(made: Stack, character: str) -> None:
    made.fleet.failing["observe"] = [FleetDenied(character * 50_000)]
    answer = made.serve("Delete")  # which measures it
    assert answer["Reason"].startswith("FleetDenied: " + character)
    assert len(json.dumps(answer["Reason"])) > 1000


def test_many_functions_that_remain_are_told_as_far_as_they_fit(made: Stack) -> None:
    for number in range(200):
        function = replace(made.fleet.functions["rdbkeeper-rule-orders"], rule=f"a-rule-with-a-long-name-{number}")
        made.fleet.functions[f"rdbkeeper-rule-a-rule-with-a-long-name-{number}"] = function
    made.desk.seconds_left = 10.0
    assert "a-rule-with-a-long-name-0, " in made.serve("Delete")["Reason"]
