"""What is checked of the copies, by other means than rdbkeeper's own."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.demo.keep import KeepFolder
from tests.demo.world import World
from tests.local_cloud.dataset import digest
from tests.local_cloud.engines import Engine, load


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


def find_strays(
    world: World, manifests: Sequence[Mapping[str, Any]], places: Mapping[str, str], listed: Sequence[str]
) -> list[str]:
    """What lies in the vault and should not, or should and does not.

    `places` is each rule's place, `listed` are the backups that providers have; what runs made is gone there.
    """
    # A deleted rule's claim went with it.
    expected = {f"{place}claim.json" for rule, place in places.items() if rule in world.schedule_names()}
    for manifest in manifests:
        place, copy_id = places[manifest["rule"]], manifest["copy_id"]
        expected.add(f"{place}manifests/{copy_id}.{manifest['level']}.json")
        keys = [f"{place}{copy_id}/{shard}.rdb" for shard in sorted(world.digests_of(manifest))]
        expected |= set(keys)
        if [file["key"] for file in manifest["files"]] != keys:
            expected.add(f"the files of {copy_id} as its shards are: {keys}")
    copied = {manifest["source"]["backup_id"] for manifest in manifests if not is_made_by_run(manifest)}
    return sorted(expected ^ world.vault_objects().keys()) + sorted(copied ^ set(listed))


def is_made_by_run(manifest: Mapping[str, Any]) -> bool:
    """True for the copy of a backup that its own run took, or had taken."""
    source = manifest["source"]
    return source["provider"] == "redis" or source["backup_id"].startswith("rdbkeeper-")


@contextmanager
def load_copy(body: bytes) -> Iterator[Engine]:
    """Load a copied file into a second real server, for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        rdb = Path(folder) / "dump.rdb"
        rdb.write_bytes(body)
        with load(rdb) as engine:
            yield engine


def load_and_compare(
    world: World, manifest: Mapping[str, Any], file: Mapping[str, Any], keep: KeepFolder | None
) -> bool:
    """Load one copied file into a second real server; True when its digest equals the source's at backup time."""
    body = world.read(file["key"])
    source = world.digests_of(manifest)[file["name"]]
    with load_copy(body) as engine:
        copy = digest(engine.port)
    if keep is not None:
        keep.keep(file["key"], body)
        digests = {"source": dataclasses.asdict(source), "copy": dataclasses.asdict(copy)}
        keep.keep_document(f"{file['key'].removesuffix('.rdb')}.digest.json", digests)
    return copy == source and len(body) == file["size_bytes"]
