"""Every scenario, by its name."""

from __future__ import annotations

from tests.faults import scenarios_at_rest
from tests.faults.scenarios import SCENARIOS
from tests.faults.scenarios_at_rest import AT_REST

__all__ = ["AT_REST", "SCENARIOS", "scenarios_at_rest"]
