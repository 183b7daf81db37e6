"""The one backup that a run takes of a server that is reached directly. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from rdbkeeper.domain.backup import Backup, BackupState, EngineFacts, Instance
from rdbkeeper.domain.catalog import Catalog, find_taken_at
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.source import LIVE_PROVIDER


def plan_live_backup(
    rule: Rule, instance: Instance, catalog: Catalog, scheduled_at: str, started_at: datetime, now: datetime
) -> Backup:
    """The backup that a run begun at `started_at` takes from `now` on; how it is read and what of is found out later.

    Its id is the time for which the run was scheduled, or at which it was begun by hand: so a timer's event that is
    delivered twice makes one copy. It is taken now, as a run may have waited for long by then. `scheduled_at` is as
    Scheduler writes it, "" for a run by hand.
    """
    backup_id = f"run-{(_read(scheduled_at) or started_at).astimezone(UTC):%Y%m%dT%H%M%SZ}"
    known = [*(entry.copy_id for entry in catalog.entries), *catalog.removed]
    made_at = next((find_taken_at(copy_id) for copy_id in known if copy_id.endswith(f"-{backup_id}")), None)
    return Backup(
        provider=rule.provider,
        instance=rule.instance,
        backup_id=backup_id,
        state=BackupState.COMPLETE,
        automatic=False,
        taken_at=made_at or now.replace(microsecond=0),
        shards=(),
        engine=EngineFacts(engine=instance.engine),
    )


def assume_server(name: str) -> Instance:
    """The instance of a server that was not asked: only functions in its network can reach it."""
    return Instance(LIVE_PROVIDER, name, "", "not asked", available=True, backup_retention_days=0, backup_window="")


def _read(scheduled_at: str) -> datetime | None:
    """The moment in an event, or None for what is none: a person's event may hold anything."""
    try:
        moment = datetime.fromisoformat(scheduled_at)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
