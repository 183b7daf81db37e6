"""Plain data, as it crosses the edges."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]
"""Plain data that JSON can carry: what a step hands back to the engine, what a request is answered with."""
