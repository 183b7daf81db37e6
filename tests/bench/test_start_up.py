"""The bound on a handler's start; what is measured is `make bench`'s."""

from __future__ import annotations

from tests.bench.start_up import MOST_MS, StartUp
from tests.packaging.template import REPOSITORY


def test_a_start_holds_up_to_its_bound() -> None:
    assert StartUp("run_rule", 450.0, 1500.0, 450.0).holds
    assert not StartUp("run_rule", 450.1, 1500.0, 450.0).holds


def test_a_start_without_a_bound_holds() -> None:
    assert StartUp("manage_rules", 10_000.0, 20_000.0).holds


def test_every_bound_is_a_handlers() -> None:
    assert all((REPOSITORY / "functions" / name / "app.py").is_file() for name in MOST_MS)
