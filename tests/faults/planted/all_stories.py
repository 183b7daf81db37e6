"""Every story, by its name."""

from __future__ import annotations

from tests.faults.planted import (
    stories,
    stories_at_rest,
    stories_of_freezes,
    stories_of_servers,
    stories_of_several,
    stories_on_demand,
)
from tests.faults.planted.telling import STORIES

__all__ = [
    "STORIES",
    "stories",
    "stories_at_rest",
    "stories_of_freezes",
    "stories_of_servers",
    "stories_of_several",
    "stories_on_demand",
]
