"""How many manual backups a service takes of one owner in a day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

Made = tuple[str, datetime]


class DailyQuota:
    """Counts what was asked for in any 24 hours; a backup that was deleted since has counted all the same.

    What a test takes without asking the service counts only while it is there.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._asked: dict[str, set[Made]] = {}

    def note(self, owner: str, name: str, at: datetime) -> None:
        """Count one backup of an owner that the service was asked for."""
        self._asked.setdefault(owner, set()).add((name, at))

    def forget(self) -> None:
        """Count from the beginning, as on another day."""
        self._asked.clear()

    def is_used_up(self, owner: str, present: Iterable[Made], now: datetime) -> bool:
        """True when the owner, whose manual backups these are, may have no further one now."""
        since = now - timedelta(hours=24)
        made = self._asked.get(owner, set())
        # One that was asked for and is there has its time twice, of the asking and of the taking.
        asked_names = {name for name, _ in made}
        made = made | {(name, at) for name, at in present if name not in asked_names}
        return sum(since < at <= now for _, at in made) >= self.most
