"""A journal that keeps its lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Line(NamedTuple):
    level: str
    event: str
    message: str
    fields: dict[str, Any]


@dataclass
class ListJournal:
    keys: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    measures: list[tuple[str, float, tuple[tuple[str, str], ...]]] = field(default_factory=list)

    def bind(self, **keys: str) -> ListJournal:
        return ListJournal({**self.keys, **keys}, self.lines, self.measures)

    def info(self, event: str, message: str, **fields: Any) -> None:
        self._add("info", event, message, fields)

    def warning(self, event: str, message: str, **fields: Any) -> None:
        self._add("warning", event, message, fields)

    def error(self, event: str, message: str, **fields: Any) -> None:
        self._add("error", event, message, fields)

    def exception(self, event: str, message: str, **fields: Any) -> None:
        self._add("exception", event, message, fields)

    def measure(self, metric: str, value: float, dimensions: Sequence[tuple[str, str]]) -> None:
        assert dimensions and all(name and text for name, text in dimensions)
        self.measures.append((metric, value, tuple(dimensions)))

    def events(self) -> list[str]:
        return [line.event for line in self.lines]

    def text(self) -> str:
        return "\n".join(f"{line.message} {line.fields}" for line in self.lines)

    def _add(self, level: str, event: str, message: str, fields: dict[str, Any]) -> None:
        self.lines.append(Line(level, event, message, {**self.keys, **fields}))
