"""Reads a JSON object field by field, and says of what is wrong where it stands and what belongs there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rdbkeeper.domain.errors import InvalidRequest


class JsonObject:
    """A JSON object being read: each field once, by its type; whatever is left over is refused."""

    def __init__(self, fields: Mapping[str, Any], path: str) -> None:
        self._fields = dict(fields)
        self._path = path

    @classmethod
    def of(cls, value: object, path: str, hint: str) -> JsonObject:
        if not isinstance(value, Mapping):
            what = f"The field {path}" if path else "The request"
            raise InvalidRequest(f"{what} is {_kind(value)}, not an object.", field=path, hint=hint)
        return cls(value, path)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._take(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a text")
        if not _is_writable(value):
            raise self._unwritable(name)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._take(name, None)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, value, "a list of texts")
        if not all(map(_is_writable, value)):
            raise self._unwritable(name)
        return tuple(value)

    def all_texts(self) -> tuple[tuple[str, str], ...]:
        """Every field that is there, each a text, by name."""
        if not all(map(_is_writable, self._fields)):
            raise self._unwritable("")
        return tuple((name, self.text(name)) for name in sorted(map(str, self._fields)))

    def number(self, name: str, lowest: int, highest: int, default: int | None = None) -> int:
        value = self._take(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, value, "a whole number")
        if not lowest <= value <= highest:
            raise InvalidRequest(
                f"The field {self._at(name)} is {value if abs(value) < 10**12 else 'a number'}, out of range.",
                field=self._at(name),
                hint=f"Write a whole number from {lowest} to {highest}.",
            )
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def flag_or_child(self, name: str) -> bool | JsonObject:
        """An object where there is one; else true or false, which null and nothing at all stand for as well."""
        value = self._take(name, default=False)
        if isinstance(value, Mapping):
            return JsonObject.of(value, self._at(name), "")
        if not isinstance(value, bool | None):
            raise self._wrong(name, value, "true, false or an object")
        return bool(value)

    def has(self, name: str) -> bool:
        return name in self._fields

    def child(self, name: str) -> JsonObject:
        return JsonObject.of(self._take(name, None), self._at(name), "Write an object; the files in events/ show it.")

    def refuse_the_rest(self) -> None:
        if self._fields:
            where = shorten(self._at(min(map(str, self._fields))))
            raise InvalidRequest(
                f"The field {where} is unknown or does not belong here.",
                field=where,
                hint="Remove it or check its spelling; the files in events/ show every field.",
            )

    def _take(self, name: str, default: str | int | None) -> Any:
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

    def _unwritable(self, name: str) -> InvalidRequest:
        return InvalidRequest(
            f"The field {self._at(name)} holds half a character (a lone surrogate), which no file or answer can hold.",
            field=self._at(name),
            hint="Write the whole character, or leave it out.",
        )

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def shorten(text: str) -> str:
    """Somebody's text as an answer may repeat it: its first 80 characters, and `?` for what cannot be written."""
    return text[:80].encode(errors="replace").decode()


def _is_writable(text: str) -> bool:
    # JSON can say "\ud800", half of a pair of surrogates; UTF-8, in which answers and logs leave, cannot.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
