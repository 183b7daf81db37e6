"""What docs/codes.md promises to explain: every code that somebody meets in a log, in an answer or in a history."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from rdbkeeper.domain import errors
from tests.packaging.template import REPOSITORY

LAYER = REPOSITORY / "layers" / "rdbkeeper" / "rdbkeeper"
TABLE = (REPOSITORY / "docs" / "codes.md").read_text(encoding="utf-8")
CODE = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)*")
# A journal's own methods, and what logs by one of them.
LOGGING = {"info", "warning", "error", "write", "hold", "_warn", "repair_record"}
# What looks like a code where codes come from: metrics, and words of CloudWatch, of a calendar and of sentences.
NO_CODES = {"HoursOverdue", "GreaterThanThreshold", "Maximum", "Factory", "Part", "The"}


def logged_codes() -> Iterator[tuple[str, str]]:
    """Yield each code that the layer logs, with the file that does."""
    for file in sorted(LAYER.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name_of(node.func) in LOGGING:
                texts = (part.value for part in node.args if isinstance(part, ast.Constant))
                yield from ((text, file.name) for text in texts if isinstance(text, str) and CODE.fullmatch(text))


def codes_of_flows() -> Iterator[tuple[str, str]]:
    """Yield whatever looks like a code in what is decided and done, however it gets into a line or a history."""
    families = {name for name, found in vars(errors).items() if isinstance(found, type) and found.__subclasses__()}
    for folder in ("domain", "flows"):
        for file in sorted((LAYER / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                text = node.value if isinstance(node, ast.Constant) else None
                if isinstance(text, str) and CODE.fullmatch(text) and text not in NO_CODES | families:
                    yield text, file.name


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_the_codes_of_the_log_are_found() -> None:
    found = {code for code, _ in logged_codes()}
    assert {"CopyRemoved", "VaultOffline", "RunFailed", "RetentionWaits"} <= found


def test_the_codes_of_a_history_and_those_that_reach_the_log_by_other_ways_are_found() -> None:
    found = {code for code, _ in codes_of_flows()}
    assert {"Published", "AlreadyKept", "RuleCreated", "RuleResumed", "WritesFrozen", "LastVerified"} <= found


def test_every_code_that_is_logged_or_put_into_a_history_has_a_row() -> None:
    met = {*logged_codes(), *codes_of_flows()}
    assert not {(code, file) for code, file in met if f"`{code}`" not in TABLE}


def test_every_error_that_people_meet_has_a_row() -> None:
    leaves = [
        found
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, errors.RdbkeeperError) and not found.__subclasses__()
    ]
    assert leaves
    assert not [found.__name__ for found in leaves if f"`{found.__name__}`" not in TABLE]
