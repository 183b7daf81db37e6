"""The planted bugs can be planted, and nothing is found where none is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.planted.all_stories import STORIES
from tests.faults.planted.bug import PlantedBug, Promise
from tests.faults.planted.catalogue import BUGS
from tests.faults.planted.runner import plant_all
from tests.faults.planted.workshop import LAYER, Workshop, change_text

NAMES = ("the CRC64 is not judged", "runs follow each other for ever")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_bug_changes_a_line_that_is_there_once_and_the_file_stays_python(bug: PlantedBug) -> None:
    for change in bug.changes:
        text = (LAYER / "rdbkeeper" / change.file).read_text()
        changed = change_text(text, change)
        assert changed != text
        compile(changed, change.file, "exec")


def test_there_are_many_bugs_of_every_kind_and_no_two_of_one_name_or_change() -> None:
    assert len(BUGS) >= 40
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert len({bug.changes for bug in BUGS}) == len(BUGS)
    assert {bug.promise for bug in BUGS} == set(Promise)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_holds_where_no_bug_was_planted(name: str) -> None:
    STORIES[name]()


def test_a_copy_is_whole_again_when_its_bug_is_taken_out(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    for bug in BUGS:
        with workshop.planted(bug):
            pass
    for original in (LAYER / "rdbkeeper").rglob("*.py"):
        assert (tmp_path / original.relative_to(LAYER)).read_text() == original.read_text()


def test_planted_bugs_are_caught_by_a_fresh_interpreter() -> None:
    verdicts = plant_all(processes=1, bugs=[bug for bug in BUGS if bug.name in NAMES])
    assert [(verdict.bug.name, verdict.is_caught) for verdict in verdicts] == [(name, True) for name in NAMES]
