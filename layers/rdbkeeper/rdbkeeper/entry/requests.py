"""Turns an event into a command that cannot be wrong, or raises InvalidRequest with the field and a hint."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rdbkeeper.domain.errors import InvalidRequest, RdbkeeperError, UnknownAction
from rdbkeeper.domain.rule import PROVIDERS, Rule, RuleEdit, check_instance_name, check_name
from rdbkeeper.entry.json_object import JsonObject
from rdbkeeper.entry.rule_fields import read_edit, read_many, read_rule

LARGEST_PAGE = 200
# The AWS CLI and `sam remote invoke` wait a minute for an answer, and then send the request again.
WAIT_S = 45
LONGEST_WAIT_S = 780  # what a function's 15 minutes leave for what was begun last
RULES_PER_PAGE = 100
RUNS_PER_PAGE = 20
# With a rule's name of 31 characters it fits into an execution's name ("Invoke" in the Lambda API reference: 64).
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_LONGEST_PAGE_MARK = 512  # a run's is its time and its id; DynamoDB takes keys of up to 1,024 bytes


@dataclass(frozen=True)
class CreateRule:
    """Register a rule."""

    rule: Rule


@dataclass(frozen=True)
class CreateManyRules:
    """Register a rule for each of several instances; each by its name, with what is wrong with it where it is."""

    wanted: tuple[tuple[str, Rule | RdbkeeperError], ...]
    wait_s: int


@dataclass(frozen=True)
class GetRule:
    """Show one rule."""

    name: str


@dataclass(frozen=True)
class ListRules:
    """Show a page of rules."""

    after: str
    limit: int


@dataclass(frozen=True)
class UpdateRule:
    """Edit a rule as it was read at a revision."""

    name: str
    revision: int
    edit: RuleEdit


@dataclass(frozen=True)
class PauseRule:
    """Switch a rule's timer off."""

    name: str


@dataclass(frozen=True)
class ResumeRule:
    """Switch a rule's timer on again, and run at once if asked to."""

    name: str
    run_now: bool
    request_id: str


@dataclass(frozen=True)
class RunRule:
    """Start a run now."""

    name: str
    request_id: str


@dataclass(frozen=True)
class DeleteRule:
    """Delete a rule; its copies stay."""

    name: str


@dataclass(frozen=True)
class PreviewRule:
    """Show what a rule will do."""

    name: str


@dataclass(frozen=True)
class PreviewWish:
    """Show what a rule would do that does not exist yet."""

    rule: Rule


@dataclass(frozen=True)
class ShowHistory:
    """Show a page of a rule's runs."""

    name: str
    before: str
    limit: int


@dataclass(frozen=True)
class ListInstances:
    """Show what can be protected."""

    provider: str


@dataclass(frozen=True)
class ListBackups:
    """Show an instance's backups."""

    provider: str
    instance: str


@dataclass(frozen=True)
class ReconcileFleet:
    """Make the fleet equal the rules."""

    closely: bool
    dry_run: bool


Command = (
    CreateRule
    | CreateManyRules
    | GetRule
    | ListRules
    | UpdateRule
    | PauseRule
    | ResumeRule
    | RunRule
    | DeleteRule
    | PreviewRule
    | PreviewWish
    | ShowHistory
    | ListInstances
    | ListBackups
)


def parse(event: object, now: datetime) -> Command:
    """The command that an event asks for. Raises InvalidRequest, UnknownAction."""
    request = JsonObject.of(event, "", "Send a JSON object such as the files in events/.")
    action = request.text("action")
    if action not in _READERS:
        raise UnknownAction(
            f"The action {action[:80]!r} is unknown.", field="action", hint=f"Use one of {', '.join(_READERS)}."
        )
    command = _READERS[action](request, now)
    request.refuse_the_rest()
    return command


def parse_reconcile(event: object) -> ReconcileFleet:
    """The command that an event to the reconciling function asks for. Raises InvalidRequest, UnknownAction."""
    request = JsonObject.of(event, "", "Send a JSON object such as events/reconcile.json.")
    action = request.text("action")
    if action != "reconcile":
        raise UnknownAction(f"The action {action[:80]!r} is unknown.", field="action", hint="Use reconcile.")
    command = ReconcileFleet(request.flag("closely", default=False), request.flag("dry_run", default=False))
    request.refuse_the_rest()
    return command


def _create(request: JsonObject, now: datetime) -> Command:
    return CreateRule(read_rule(request.child("rule"), now))


def _create_many(request: JsonObject, now: datetime) -> Command:
    wanted = tuple(read_many(request.child("rule"), request.texts("instances"), now))
    return CreateManyRules(wanted, request.number("wait_s", 1, LONGEST_WAIT_S, WAIT_S))


def _get(request: JsonObject, _: datetime) -> Command:
    return GetRule(_name(request))


def _list(request: JsonObject, _: datetime) -> Command:
    return ListRules(_page_mark(request, "after"), request.number("limit", 1, LARGEST_PAGE, RULES_PER_PAGE))


def _update(request: JsonObject, _: datetime) -> Command:
    return UpdateRule(_name(request), request.number("revision", 1, 10**9), read_edit(request.child("rule")))


def _pause(request: JsonObject, _: datetime) -> Command:
    return PauseRule(_name(request))


def _resume(request: JsonObject, _: datetime) -> Command:
    when = request.text("run", "next")
    if when not in ("now", "next"):
        raise InvalidRequest(
            f"The field run is {when[:80]!r}.",
            field="run",
            hint="Write `now` to run at once, or `next` (as when it is left out) to wait for the next time.",
        )
    return ResumeRule(_name(request), when == "now", _request_id(request))


def _run(request: JsonObject, _: datetime) -> Command:
    return RunRule(_name(request), _request_id(request))


def _delete(request: JsonObject, _: datetime) -> Command:
    return DeleteRule(_name(request))


def _preview(request: JsonObject, now: datetime) -> Command:
    if request.has("rule"):
        return PreviewWish(read_rule(request.child("rule"), now))
    return PreviewRule(_name(request))


def _history(request: JsonObject, _: datetime) -> Command:
    limit = request.number("limit", 1, LARGEST_PAGE, RUNS_PER_PAGE)
    return ShowHistory(_name(request), _page_mark(request, "before"), limit)


def _instances(request: JsonObject, _: datetime) -> Command:
    return ListInstances(_provider(request))


def _backups(request: JsonObject, _: datetime) -> Command:
    instance = request.text("instance")
    check_instance_name(instance, "instance")
    return ListBackups(_provider(request), instance)


_READERS: dict[str, Callable[[JsonObject, datetime], Command]] = {
    "create": _create,
    "create_many": _create_many,
    "get": _get,
    "list": _list,
    "update": _update,
    "pause": _pause,
    "resume": _resume,
    "run": _run,
    "delete": _delete,
    "preview": _preview,
    "history": _history,
    "instances": _instances,
    "backups": _backups,
}
ACTIONS = tuple(_READERS)


def _name(request: JsonObject) -> str:
    name = request.text("name")
    check_name(name)
    return name


def _provider(request: JsonObject) -> str:
    provider = request.text("provider", PROVIDERS[0])
    if provider not in PROVIDERS:
        raise InvalidRequest(
            f"The provider {provider[:80]!r} is unknown.", field="provider", hint=f"Use {' or '.join(PROVIDERS)}."
        )
    return provider


def _request_id(request: JsonObject) -> str:
    request_id = request.text("request_id", "")
    if request_id and not _REQUEST_ID.fullmatch(request_id):
        raise InvalidRequest(
            f"The field request_id is {request_id[:80]!r}.",
            field="request_id",
            hint="Write up to 32 letters, digits, `-` and `_`; the same again means the same request.",
        )
    return request_id


def _page_mark(request: JsonObject, name: str) -> str:
    mark = request.text(name, "")
    if len(mark) > _LONGEST_PAGE_MARK or not (mark.isascii() and mark.isprintable()):
        raise InvalidRequest(
            f"The field {name} is {mark[:80]!r}, which no page said.",
            field=name,
            hint=f"Pass on what the last page said as `next_{name}`, or leave it out to begin at the first.",
        )
    return mark
