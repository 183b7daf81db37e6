"""The moments at which the backups of these tests were taken."""

from __future__ import annotations

from datetime import UTC, datetime

FIRST_NIGHT = datetime(2026, 11, 20, 2, 15, tzinfo=UTC)
