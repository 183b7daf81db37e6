"""What people ask of rules, of runs, and of what could be protected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rdbkeeper.domain.errors import InvalidRequest, RdbkeeperError
from rdbkeeper.domain.rule import Rule, check_instance_name
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.source import NO_ACCESS, SourceAccess
from rdbkeeper.entry.json_object import JsonObject
from rdbkeeper.entry.request_fields import (
    LARGEST_PAGE,
    about_rule,
    read_listing,
    read_page_mark,
    read_request_id,
    read_revision,
    read_rule_name,
)
from rdbkeeper.entry.rule_fields import read_edit, read_many, read_rule

# The AWS CLI and `sam remote invoke` wait a minute for an answer, and then send the request again.
WAIT_S = 45
LONGEST_WAIT_S = 780  # what a function's 15 minutes leave for what was begun last
RULES_PER_PAGE = 100
RUNS_PER_PAGE = 20


@dataclass(frozen=True)
class CreateRule:
    """Register a rule; `take_over` a place that another stack's claim is on."""

    rule: Rule
    take_over: bool = False


@dataclass(frozen=True)
class CreateManyRules:
    """Register a rule for each of several instances; each by its name, with what is wrong with it where it is."""

    wanted: tuple[tuple[str, Rule | RdbkeeperError], ...]
    wait_s: int
    take_over: bool = False


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
    take_over: bool = False


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
class BackUpNow:
    """Start a run that asks for a backup first."""

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
    access: SourceAccess = NO_ACCESS


@dataclass(frozen=True)
class ListBackups:
    """Show an instance's backups."""

    provider: str
    instance: str
    access: SourceAccess = NO_ACCESS


RuleCommand = (
    CreateRule
    | CreateManyRules
    | GetRule
    | ListRules
    | UpdateRule
    | PauseRule
    | ResumeRule
    | RunRule
    | BackUpNow
    | DeleteRule
    | PreviewRule
    | PreviewWish
    | ShowHistory
    | ListInstances
    | ListBackups
)


def _create(request: JsonObject, now: datetime) -> RuleCommand:
    with about_rule():
        rule = read_rule(request.child("rule"), now)
    return CreateRule(rule, _take_over(request))


def _create_many(request: JsonObject, now: datetime) -> RuleCommand:
    with about_rule("instances"):
        wanted = tuple(read_many(request.child("rule"), request.texts("instances"), now))
    return CreateManyRules(wanted, request.number("wait_s", 1, LONGEST_WAIT_S, WAIT_S), _take_over(request))


def _get(request: JsonObject, _: datetime) -> RuleCommand:
    return GetRule(read_rule_name(request))


def _list(request: JsonObject, _: datetime) -> RuleCommand:
    return ListRules(read_page_mark(request, "after"), request.number("limit", 1, LARGEST_PAGE, RULES_PER_PAGE))


def _update(request: JsonObject, _: datetime) -> RuleCommand:
    name, revision = read_rule_name(request), read_revision(request)
    with about_rule():
        edit = read_edit(request.child("rule"))
    return UpdateRule(name, revision, edit, _take_over(request))


def _pause(request: JsonObject, _: datetime) -> RuleCommand:
    return PauseRule(read_rule_name(request))


def _resume(request: JsonObject, _: datetime) -> RuleCommand:
    when = request.text("run", "next")
    if when not in ("now", "next"):
        raise InvalidRequest(
            f"The field run is {when[:80]!r}.",
            field="run",
            hint="Write `now` to run at once, or `next` (as when it is left out) to wait for the next time.",
        )
    return ResumeRule(read_rule_name(request), when == "now", read_request_id(request))


def _run(request: JsonObject, _: datetime) -> RuleCommand:
    return RunRule(read_rule_name(request), read_request_id(request))


def _backup_now(request: JsonObject, _: datetime) -> RuleCommand:
    return BackUpNow(read_rule_name(request), read_request_id(request))


def _delete(request: JsonObject, _: datetime) -> RuleCommand:
    return DeleteRule(read_rule_name(request))


def _preview(request: JsonObject, now: datetime) -> RuleCommand:
    if request.has("rule"):
        with about_rule():
            return PreviewWish(read_rule(request.child("rule"), now))
    return PreviewRule(read_rule_name(request))


def _history(request: JsonObject, _: datetime) -> RuleCommand:
    limit = request.number("limit", 1, LARGEST_PAGE, RUNS_PER_PAGE)
    return ShowHistory(read_rule_name(request), read_page_mark(request, "before"), limit)


def _instances(request: JsonObject, _: datetime) -> RuleCommand:
    return ListInstances(*read_listing(request))


def _backups(request: JsonObject, _: datetime) -> RuleCommand:
    instance = request.text("instance")
    provider, access = read_listing(request)
    check_instance_name(instance, "instance", provider)
    return ListBackups(provider, instance, access)


def _take_over(request: JsonObject) -> bool:
    return request.flag("take_over", default=False)


RULE_READERS: Mapping[str, Callable[[JsonObject, datetime], RuleCommand]] = {
    "create": _create,
    "create_many": _create_many,
    "get": _get,
    "list": _list,
    "update": _update,
    "pause": _pause,
    "resume": _resume,
    "run": _run,
    "backup_now": _backup_now,
    "delete": _delete,
    "preview": _preview,
    "history": _history,
    "instances": _instances,
    "backups": _backups,
}
