"""What is checked of the copies, by other means than rdbkeeper's own."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.demo.keep import KeepFolder
from tests.demo.world import World
from tests.local_cloud.dataset import digest
from tests.local_cloud.engines import load


@dataclass(frozen=True)
class Tally:
    """The figures of the last line; `failed` counts everything that did not hold."""

    found: int
    copied: int
    files: int
    size_bytes: int
    verified: int
    loaded: int
    failed: int

    @property
    def holds(self) -> bool:
        """True when every backup was copied, every copy verified and every file loaded with the source's digest."""
        return self.failed == 0 < self.found == self.copied == self.verified and self.files == self.loaded > 0

    def __str__(self) -> str:
        return (
            f"rdbkeeper: {self.found} backups found, {self.copied} copied, {self.files} files, "
            f"{self.size_bytes} bytes, {self.verified} verified, {self.loaded} loaded, {self.failed} failed"
        )


def read_manifests(world: World) -> list[Mapping[str, Any]]:
    """Every manifest in the vault, oldest first."""
    keys = sorted(key for key in world.vault_objects() if "/manifests/" in key)
    return [json.loads(world.read(key)) for key in keys]


def find_strays(world: World, manifests: Sequence[Mapping[str, Any]], places: Mapping[str, str]) -> list[str]:
    """What lies in the vault and should not, or should and does not; `places` is each rule's place."""
    # A deleted rule's claim went with it.
    expected = {f"{place}claim.json" for rule, place in places.items() if rule in world.schedule_names()}
    for manifest in manifests:
        place, copy_id = places[manifest["rule"]], manifest["copy_id"]
        expected.add(f"{place}manifests/{copy_id}.{manifest['level']}.json")
        backup_id = manifest["source"]["backup_id"]
        shards = sorted(shard for backup, shard in world.digests if backup == backup_id)
        expected |= {f"{place}{copy_id}/{shard}.rdb" for shard in shards}
        if [file["key"] for file in manifest["files"]] != [f"{place}{copy_id}/{shard}.rdb" for shard in shards]:
            expected.add(f"the files of {backup_id} as its shards are: {shards}")
    copied = {manifest["source"]["backup_id"] for manifest in manifests}
    return sorted(expected ^ world.vault_objects().keys()) + sorted(copied ^ set(world.listed_backups()))


def load_and_compare(
    world: World, manifest: Mapping[str, Any], file: Mapping[str, Any], keep: KeepFolder | None
) -> bool:
    """Load one copied file into a second real server; True when its digest equals the source's at backup time."""
    body = world.read(file["key"])
    source = world.digests[manifest["source"]["backup_id"], file["name"]]
    with tempfile.TemporaryDirectory() as folder:
        rdb = Path(folder) / "dump.rdb"
        rdb.write_bytes(body)
        with load(rdb) as engine:
            copy = digest(engine.port)
    if keep is not None:
        keep.keep(file["key"], body)
        digests = {"source": dataclasses.asdict(source), "copy": dataclasses.asdict(copy)}
        keep.keep_document(f"{file['key'].removesuffix('.rdb')}.digest.json", digests)
    return copy == source and len(body) == file["size_bytes"]
