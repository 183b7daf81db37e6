"""Puts the tests that look back on the whole suite at its end, and says whether it was whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples everywhere, and as much time for each as it takes: a slow machine fails nothing.
settings.register_profile("any-machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

# The tests whose functions make every call that the stack is meant to make.
RUNNING_THE_STACK = Path(__file__).parent / "end_to_end"
_deselected = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "looks_back: runs last, and looks at what the tests before it did")


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[_deselected] = True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("looks_back") is not None)


@pytest.fixture
def whole_suite(request: pytest.FixtureRequest) -> None:
    """Skips a test that only says something when all that runs the stack has run and passed."""
    wanted = set(RUNNING_THE_STACK.glob("test_*.py"))
    some = request.config.stash.get(_deselected, False) or any("::" in name for name in request.config.args)
    if some or not wanted <= {item.path for item in request.session.items}:
        pytest.skip("only some of the tests were selected; this one is about all of them")
    if request.session.testsfailed:
        pytest.skip("an earlier test failed, and may have left out calls")
