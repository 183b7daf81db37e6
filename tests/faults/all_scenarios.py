"""Every scenario, by its name."""

from __future__ import annotations

from tests.faults import scenarios_at_rest, scenarios_of_sources
from tests.faults.scenarios import SCENARIOS
from tests.faults.scenarios_at_rest import AT_REST
from tests.faults.scenarios_of_sources import OF_SOURCES, ON_DEMAND

__all__ = ["AT_REST", "OF_SOURCES", "ON_DEMAND", "SCENARIOS", "scenarios_at_rest", "scenarios_of_sources"]
