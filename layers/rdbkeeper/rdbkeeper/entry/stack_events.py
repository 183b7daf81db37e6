"""Serves CloudFormation, which tells a custom resource of each deploy and of the stack's end.

Source: "Custom resource request types" and "response objects" in the CloudFormation user guide: the answer is one PUT
of at most 4,096 bytes to the ResponseURL, whatever happens; a changed PhysicalResourceId means a new resource.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rdbkeeper.domain.errors import InvalidRequest, RdbkeeperError
from rdbkeeper.flows.fleet.reconcile import Reconcile
from rdbkeeper.ports import Journal, Record

REQUEST_TYPES = ("Create", "Update", "Delete")
LONGEST_TEXT_BYTES = 1400  # as JSON; it is told twice, and the ids of the request need room as well


@dataclass(frozen=True)
class StackEvent:
    """What CloudFormation asks; `response_url` is signed and must not be shown."""

    request_type: str
    response_url: str = field(repr=False)
    stack_id: str
    request_id: str
    logical_id: str


def find_stack_event(event: object) -> StackEvent | None:
    """The event, if it is one of CloudFormation's."""
    if not isinstance(event, Mapping) or "RequestType" not in event or "ResponseURL" not in event:
        return None
    fields: Mapping[str, Any] = event
    if fields["RequestType"] not in REQUEST_TYPES:
        raise InvalidRequest("CloudFormation asks for something unknown.", field="RequestType", hint="Nothing is done.")
    return StackEvent(
        request_type=fields["RequestType"],
        response_url=str(fields["ResponseURL"]),
        stack_id=str(fields.get("StackId", "")),
        request_id=str(fields.get("RequestId", "")),
        logical_id=str(fields.get("LogicalResourceId", "")),
    )


def check_is_our_stack(event: StackEvent, stack_id: str) -> None:
    """Raise InvalidRequest for an event of another stack: it may come from anybody who can call the function."""
    if event.stack_id != stack_id:
        raise InvalidRequest(
            "The request claims to come from CloudFormation and names another stack.",
            field="StackId",
            hint="Nothing is done, and nobody is answered.",
        )


def serve_stack_event(
    event: StackEvent, reconcile: Callable[[], Reconcile], journal: Journal, send: Callable[[str, Record], None]
) -> Record:
    """Let the fleet follow a deploy, or take it down with its stack; send the one answer, and return it."""
    problem, line = _work(event, reconcile, journal)
    told = _shorten(problem or line)
    answer = {
        "Status": "FAILED" if problem and event.request_type == "Delete" else "SUCCESS",
        "Reason": told,
        "PhysicalResourceId": "rule-fleet",
        "StackId": event.stack_id,
        "RequestId": event.request_id,
        "LogicalResourceId": event.logical_id,
        "Data": {"Line": told},
    }
    send(event.response_url, answer)
    return answer


def _work(event: StackEvent, reconcile: Callable[[], Reconcile], journal: Journal) -> tuple[str, str]:
    """What went wrong with the whole of it ("" for nothing), and the line that tells the rest.

    A rule that fails is told and left to the hourly reconciling. A deploy does not even fail when nothing could be
    read: the rollback would call this again, fail the same way and leave the stack stuck, while the hourly
    reconciling goes on trying and its alarm tells when it does not. Only the stack's end must not leave functions
    behind that nobody would find again.
    """
    try:
        if event.request_type != "Delete":
            return "", str(reconcile().begin()["line"])
        answer = reconcile().end()
        remains = sorted({failure["rule"] for failure in answer["failures"]} | set(answer["left"]))
    except RdbkeeperError as error:
        journal.error("StackEventFailed", str(error), reason=error.code)
        return f"{error.code}: {error}", ""
    except Exception as error:  # noqa: BLE001 - CloudFormation would wait for an hour for an answer that never comes
        journal.exception("UnexpectedError", f"Serving CloudFormation: {type(error).__name__}")
        return f"UnexpectedError: {type(error).__name__}; the function's log has the stack trace.", ""
    if remains:
        names = ", ".join(remains)
        return f"Delete the stack again: these rules' functions could not be removed: {names}.", ""
    return "", str(answer["line"])


def _shorten(text: str) -> str:
    """As much of a text as fits into its share of the answer."""
    while len(json.dumps(text)) > LONGEST_TEXT_BYTES:
        text = text[: min(LONGEST_TEXT_BYTES, len(text) * 9 // 10)]
    return text
