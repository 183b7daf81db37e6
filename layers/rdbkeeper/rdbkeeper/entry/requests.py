"""Turns an event into a command that cannot be wrong, or raises InvalidRequest with the field and a hint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest, UnknownAction
from rdbkeeper.domain.rule import DEFAULT_VAULT, Rule, check_name


@dataclass(frozen=True)
class CreateRule:
    """Register a rule."""

    rule: Rule


@dataclass(frozen=True)
class GetRule:
    """Show one rule."""

    name: str


@dataclass(frozen=True)
class ListRules:
    """Show every rule."""


@dataclass(frozen=True)
class DeleteRule:
    """Delete a rule; its copies stay."""

    name: str


Command = CreateRule | GetRule | ListRules | DeleteRule
ACTIONS = ("create", "get", "list", "delete")


def parse(event: object, now: datetime) -> Command:
    """The command that an event asks for. Raises InvalidRequest, UnknownAction."""
    request = _Object.of(event, "", "Send a JSON object such as the files in events/.")
    action = request.text("action")
    match action:
        case "create":
            command: Command = CreateRule(_rule(request.child("rule"), now))
        case "get" | "delete":
            name = request.text("name")
            check_name(name)
            command = GetRule(name) if action == "get" else DeleteRule(name)
        case "list":
            command = ListRules()
        case _:
            raise UnknownAction(
                f"The action {action[:80]!r} is unknown.",
                field="action",
                hint=f"Use one of {', '.join(ACTIONS)}.",
            )
    request.refuse_the_rest()
    return command


def _rule(given: _Object, now: datetime) -> Rule:
    source = given.child("source")
    rule = Rule(
        name=given.text("name"),
        provider=source.text("provider"),
        instance=source.text("instance"),
        cycle=_cycle(given.child("cycle")),
        vault=given.text("vault", DEFAULT_VAULT),
        prefix=given.text("prefix", ""),
        created_at=now.replace(microsecond=0),
    )
    source.refuse_the_rest()
    given.refuse_the_rest()
    return rule


def _cycle(given: _Object) -> Cycle:
    kind, time_zone = given.text("kind"), given.text("time_zone")
    match kind:
        case "daily":
            cycle = Cycle(kind, time_zone, at=given.text("at"))
        case "weekly":
            cycle = Cycle(kind, time_zone, at=given.text("at", "00:00"), days=given.texts("days"))
        case "custom":
            cycle = Cycle(kind, time_zone, cron=given.text("cron"))
        case _:
            cycle = Cycle(kind, time_zone)  # refuses a kind that it does not know
    given.refuse_the_rest()
    return cycle


class _Object:
    """A JSON object being read: each field once, by its type; whatever is left over is refused."""

    def __init__(self, fields: Mapping[str, Any], path: str) -> None:
        self._fields = dict(fields)
        self._path = path

    @classmethod
    def of(cls, value: object, path: str, hint: str) -> _Object:
        if not isinstance(value, Mapping):
            what = f"The field {path}" if path else "The request"
            raise InvalidRequest(f"{what} is {_kind(value)}, not an object.", field=path, hint=hint)
        return cls(value, path)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._take(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._take(name, None)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, value, "a list of texts")
        return tuple(value)

    def child(self, name: str) -> _Object:
        return _Object.of(self._take(name, None), self._at(name), "Write an object; the files in events/ show it.")

    def refuse_the_rest(self) -> None:
        if self._fields:
            name = min(map(str, self._fields))
            raise InvalidRequest(
                f"The field {self._at(name)[:80]} is unknown or does not belong here.",
                field=self._at(name)[:80],
                hint="Remove it or check its spelling; the files in events/ show every field.",
            )

    def _take(self, name: str, default: str | None) -> Any:
        if name in self._fields:
            return self._fields.pop(name)
        if default is None:
            raise InvalidRequest(
                f"The field {self._at(name)} is missing.",
                field=self._at(name),
                hint="The files in events/ show it.",
            )
        return default

    def _wrong(self, name: str, value: object, wanted: str) -> InvalidRequest:
        return InvalidRequest(
            f"The field {self._at(name)} is {_kind(value)}, not {wanted}.",
            field=self._at(name),
            hint="The files in events/ show it.",
        )

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"
