"""What docs/codes.md promises to explain: every code that somebody meets in a log or in an answer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from rdbkeeper.domain import errors
from tests.packaging.template import REPOSITORY

LAYER = REPOSITORY / "layers" / "rdbkeeper" / "rdbkeeper"
TABLE = (REPOSITORY / "docs" / "codes.md").read_text(encoding="utf-8")
CODE = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)+")
# A journal's own methods, and what logs by one of them.
LOGGING = {"info", "warning", "error", "write", "hold", "_warn", "repair_record"}


def logged_codes() -> Iterator[tuple[str, str]]:
    """Yield each code that the layer logs, with the file that does."""
    for file in sorted(LAYER.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name_of(node.func) in LOGGING:
                texts = (part.value for part in node.args if isinstance(part, ast.Constant))
                yield from ((text, file.name) for text in texts if isinstance(text, str) and CODE.fullmatch(text))


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_the_codes_of_the_log_are_found() -> None:
    found = {code for code, _ in logged_codes()}
    assert {"CopyRemoved", "VaultOffline", "RunFailed", "RetentionWaits"} <= found


def test_every_code_that_is_logged_has_a_row() -> None:
    assert not {(code, file) for code, file in logged_codes() if f"`{code}`" not in TABLE}


def test_every_error_that_people_meet_has_a_row() -> None:
    leaves = [
        found
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, errors.RdbkeeperError) and not found.__subclasses__()
    ]
    assert leaves
    assert not [found.__name__ for found in leaves if f"`{found.__name__}`" not in TABLE]
