"""Damaged files on the way that a backup goes: a run of a rule over a world in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rdbkeeper.domain.copy import Manifest
from rdbkeeper.domain.errors import RunFailed
from rdbkeeper.domain.transfer import CopySettings
from tests.corruption.rulings import VERIFIED
from tests.flows.world import NIGHT, World

# Below what one run takes on, so that no run has to hand over to another.
_BACKUPS_PER_RUN = 40


@dataclass(frozen=True)
class Delivery:
    """A backup of one file: what the provider delivers, and what has to be said of it.

    `cut_at` ends its stream there, though the provider lists all of its bytes.
    """

    what: str
    data: bytes
    expected: str
    cut_at: int | None = None

    @property
    def is_copied(self) -> bool:
        return self.expected.startswith((VERIFIED, "unchecked"))


def wrong_nights(deliveries: Sequence[Delivery], part_size_bytes: int) -> Iterator[str]:
    """A sentence for each backup of which something else became than has to; a run takes many of them at once."""
    for start in range(0, len(deliveries), _BACKUPS_PER_RUN):
        tonight = deliveries[start : start + _BACKUPS_PER_RUN]
        world = _run_night(tonight, part_size_bytes)
        yield from (problem for number, one in enumerate(tonight) for problem in _problems_of(world, number, one))
        copied = sum(one.is_copied for one in tonight)
        left = (len(world.data()), len(world.manifests()), len(world.vault.uploads))
        if left != (copied, copied, 0):
            yield f"{left} files, manifests and open uploads are there, and {copied} backups were to be copied"


def _run_night(tonight: Sequence[Delivery], part_size_bytes: int) -> World:
    world = World(copying=CopySettings(part_size_bytes=part_size_bytes, lanes=1))
    world.vault.smallest_part_bytes = 1
    for number, one in enumerate(tonight):
        name = f"{number:04d}"
        world.source.add_backup("orders", f"b-{name}", NIGHT + timedelta(minutes=number), {name: one.data})
        if one.cut_at is not None:
            world.source.cut_at[name] = one.cut_at
    fails = not all(one.is_copied for one in tonight)
    try:
        world.run()
    except RunFailed:
        assert fails, "a run in which every backup is copied ends well"
    else:
        assert not fails, "a run in which a backup fails fails loudly"
    return world


def _problems_of(world: World, number: int, one: Delivery) -> Iterator[str]:
    backup_id = f"b-{number:04d}"
    reason = world.outcomes()[backup_id]
    found = {manifest.backup_id: manifest for manifest in world.manifests().values()}
    became = _ruling(found[backup_id]) if backup_id in found else reason
    if became != one.expected:
        yield f"{one.what}: {became} in place of {one.expected}"
    elif one.is_copied and world.vault.objects[found[backup_id].files[0].key] != one.data:
        yield f"{one.what}: other bytes were published than were delivered"
    elif not one.is_copied and not _is_told(world, number, one):
        yield f"{one.what}: the log does not say what happened to which file, and what to do"


def _ruling(manifest: Manifest) -> str:
    (file,) = manifest.files
    assert (manifest.level.value == VERIFIED) == ("crc64" in file.checks) == (file.unchecked_reason == "")
    return f"unchecked: {file.unchecked_reason}" if file.unchecked_reason else VERIFIED


def _is_told(world: World, number: int, one: Delivery) -> bool:
    """True when the journal has an error for this backup with the file's name and a hint."""
    return any(
        line.level == "error"
        and line.fields.get("backup") == f"b-{number:04d}"
        and line.fields.get("reason") == one.expected
        and f"{number:04d}.rdb" in line.message
        and "Nothing was published" in line.message
        for line in world.journal.lines
    )
