"""What is checked of the copies, by other means than rdbkeeper's own."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def load_and_compare(world: World, manifest: Mapping[str, Any], file: Mapping[str, Any], keep: Path | None) -> bool:
    """Load one copied file into a second real server; True when its digest equals the source's at backup time."""
    body = world.read(file["key"])
    source = world.digests[manifest["source"]["backup_id"], file["name"]]
    with tempfile.TemporaryDirectory() as folder:
        rdb = Path(folder) / "dump.rdb"
        rdb.write_bytes(body)
        with load(rdb) as engine:
            copy = digest(engine.port)
    if keep is not None:
        path = keep / file["key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        digests = {"source": dataclasses.asdict(source), "copy": dataclasses.asdict(copy)}
        path.with_suffix(".digest.json").write_text(json.dumps(digests, indent=2) + "\n")
    return copy == source and len(body) == file["size_bytes"]
