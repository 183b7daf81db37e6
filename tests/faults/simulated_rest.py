"""What lies in the vault of a simulated world from its beginning, and by which retention its rule goes."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import cache

from rdbkeeper.domain.retention import OutgoingRetention, Retention
from rdbkeeper.domain.vault import Capabilities, StoreSum
from rdbkeeper.ports import Lock
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.faults.copies_at_rest import PLACE, add_copy, begin_removal, leave_fragment, mark, spoil, stage_leftovers
from tests.faults.world import DAILY, MANUALLY, World

_RETENTIONS = (
    Retention(),
    Retention(keep_last=1),
    Retention(keep_last=2),
    Retention(keep_days=3),
    Retention(keep_days=1, keep_weekly=1),
    Retention(keep_daily=2),
)


def make_at_rest(world: World, chance: random.Random, rule: str) -> None:
    """Add the rule, and up to five copies of days past, in whatever state."""
    world.add_rule(
        rule,
        retention=chance.choice(_RETENTIONS),
        audit_every_days=chance.choice((0, 0, 1)),
        cycle=chance.choice((MANUALLY, MANUALLY, DAILY)),
    )
    if chance.random() < 0.2:
        until = world.clock.now() + timedelta(hours=chance.choice((1, 20, 50)))
        world.edit(rule, outgoing=(OutgoingRetention(chance.choice(_RETENTIONS), until),))
    _choose_store(world, chance)
    for number in range(chance.choice((1, 2, 3, 4, 5))):
        _add_copy(world, chance, number)
    if chance.random() < 0.15:
        leave_fragment(
            world, "fragment", -2.5, {"0001": _file(40, 80)}, timedelta(hours=chance.choice((1, 20, 23, 60)))
        )
    if chance.random() < 0.1:
        stage_leftovers(world)


def _choose_store(world: World, chance: random.Random) -> None:
    roll = chance.random()
    if roll < 0.15:
        world.the_vault.capabilities = Capabilities(locks=True)
        world.the_vault.lock_days = chance.choice((0, 1, 5))
    elif roll < 0.25:
        world.the_vault.capabilities = Capabilities(
            chance.choice((StoreSum.PART_MD5, StoreSum.NONE)),
            conditional_create=False,
            conditional_complete=False,
            conditional_delete=False,
            conditional_read=False,
            lists_uploads=chance.random() < 0.5,
        )


def _add_copy(world: World, chance: random.Random, number: int) -> None:
    body = _file(chance.choice((40, 64, 100)), 60 + number, checksum=chance.random() > 0.2)
    files = {"0001": body} | ({"0002": _file(50, 70 + number)} if chance.random() < 0.2 else {})
    copy_id = add_copy(world, f"old{number}", -9 + 2 * number, files, is_listed=chance.random() < 0.3)
    key = f"{PLACE}{copy_id}/0001.rdb"
    roll = chance.random()
    if roll < 0.1:
        mark(world, "holds", copy_id)
    elif roll < 0.25:
        spoil(world, key, chance.choice((None, flip_bit(body, 30))))
        if chance.random() < 0.5:
            mark(world, "damaged", copy_id)
    elif roll < 0.35:
        begin_removal(world, copy_id, manifest_went=chance.random() < 0.6, data_went=chance.choice((0, 1)))
    elif roll < 0.45 and world.the_vault.capabilities.locks:
        manifest = next(one for one in world.oracles.at_rest.published if f"/{copy_id}." in one)
        until = world.clock.now() + timedelta(days=chance.choice((0.1, 1.5, 30)))
        for one in (key, manifest):
            world.the_vault.locks[one] = Lock(until)


@cache
def _file(size_bytes: int, seed: int, *, checksum: bool = True) -> bytes:
    return rdb_file(size_bytes, seed, checksum=checksum)
