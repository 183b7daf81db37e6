"""Copies of the package, in which one line is another."""

from __future__ import annotations

import compileall
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.planted.bug import Change, PlantedBug

ROOT = Path(__file__).parents[3]
LAYER = ROOT / "layers/rdbkeeper"


class NotThere(Exception):
    """The line that a bug changes is not in its file, or not once."""


class Workshop:
    """A copy of the package in a folder of its own, into which one bug at a time is planted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(LAYER / "rdbkeeper", folder / "rdbkeeper", ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(folder, quiet=1)

    @contextmanager
    def planted(self, bug: PlantedBug) -> Iterator[None]:
        """The copy has this bug until the context ends."""
        files = {self.folder / "rdbkeeper" / change.file for change in bug.changes}
        before = {file: file.read_text() for file in files}
        try:
            for change in bug.changes:
                file = self.folder / "rdbkeeper" / change.file
                _write(file, change_text(file.read_text(), change))
            yield
        finally:
            for file, text in before.items():
                _write(file, text)


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    # What was compiled from a text of the same length, in the same second, would count as this one's.
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
        compiled.unlink()


def change_text(text: str, change: Change) -> str:
    """A file's text with one line changed. Raises NotThere unless that line is there exactly once."""
    lines = text.splitlines(keepends=True)
    found = [at for at, line in enumerate(lines) if change.was in line and _is_below(lines, at, change.below)]
    if len(found) != 1 or lines[found[0]].count(change.was) != 1:
        raise NotThere(f"{change.file} has {change.was!r} {len(found)} times")
    lines[found[0]] = lines[found[0]].replace(change.was, change.instead)
    return "".join(lines)


def _is_below(lines: list[str], at: int, below: str) -> bool:
    return not below or (at > 0 and lines[at - 1].strip() == below)
