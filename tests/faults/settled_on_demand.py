"""What a run that met a passing fault must have taken all the same: its own backup, or its server."""

from __future__ import annotations

from rdbkeeper.domain.rule import Rule
from tests.faults.fault import LIVE_STREAM, Kind
from tests.faults.world import World

_OVERCOME = {Kind.UNAVAILABLE, Kind.ANSWER_LOST, Kind.SENT_TWICE, Kind.SLOW, Kind.UNSEEN}
_DEATHS = {Kind.CRASH_BEFORE, Kind.CRASH_AFTER, Kind.STALLED}
# A stream comes once: what befalls one of these calls costs the attempt, as the adapters have tried again already.
_OF_THE_ATTEMPT = (LIVE_STREAM, "vault.put_part", "runs.count_attempt")


def check_taken(world: World) -> None:
    """Raise Violation where a fault that passes has kept a run from its own backup, or from its server."""
    struck = [(fault.kind, call) for fault, call, _ in world.injector.struck]
    kinds = {kind for kind, _ in struck}
    for rule in world.tables.rules.rules():
        if not world.runs_by_itself(rule):
            continue
        if rule.is_live and kinds <= _OVERCOME and not any(call in _OF_THE_ATTEMPT for _, call in struck):
            newest = f"{world.ticked_at:%Y%m%dT%H%M%SZ}"
            copies = world.the_vault.catalog(rule.place.path).entries
            is_there = any(entry.copy_id >= newest for entry in copies)
            world.oracles.check(is_there, f"a passing fault kept {rule.name} from reading its server")
        if _makes_one(world, rule) and kinds <= _OVERCOME | _DEATHS:
            made = [backup for backup in world.oracles.on_demand.requested.values() if backup.instance == rule.instance]
            copied = world.oracles.published_copies()
            is_there = any(backup.copy_id in copied for backup in made)
            world.oracles.check(is_there, f"a passing fault kept {rule.name} from having a backup made")


def _makes_one(world: World, rule: Rule) -> bool:
    if rule.is_live or world.the_source._not_made or world.the_source._never_made:
        return False
    is_demanding = rule.backup_first is not None and rule.backup_first.demands_application
    return (rule.backup_first is not None or world.request.backs_up) and not is_demanding
