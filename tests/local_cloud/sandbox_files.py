"""The files of a sandbox: a function's code and its layers, unzipped once for each content."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path

# A layer made for this machine may name packages instead of holding copies of them: one absolute path a line.
LINKS_FILE = "python/.local_packages"


class BadLayerError(Exception):
    """A layer's list of local packages names something that cannot be linked."""


class UnpackedFiles:
    """Unzips code and layers below one folder, each content once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    def task_dir(self, code: bytes) -> Path:
        """Return the folder that holds a function's code."""
        return self._unpacked("task", [code])

    def opt_dir(self, layers: Sequence[bytes]) -> Path:
        """Return the folder that holds the layers over each other, later ones last, as /opt does."""
        return self._unpacked("opt", layers)

    def _unpacked(self, kind: str, archives: Sequence[bytes]) -> Path:
        digest = hashlib.sha256()
        for archive in archives:
            digest.update(hashlib.sha256(archive).digest())
        target = self._root / kind / digest.hexdigest()[:32]
        with self._lock:
            if not target.exists():
                partial = target.with_suffix(".partial")
                partial.mkdir(parents=True)
                for archive in archives:
                    with zipfile.ZipFile(io.BytesIO(archive)) as content:
                        content.extractall(partial)
                    _link_local_packages(partial)
                partial.rename(target)
        return target


def _link_local_packages(opt_dir: Path) -> None:
    links = opt_dir / LINKS_FILE
    if not links.exists():
        return
    for line in filter(None, map(str.strip, links.read_text(encoding="utf-8").splitlines())):
        source = Path(line)
        if not source.is_absolute() or not source.exists():
            raise BadLayerError(f"Linking {line} into a layer failed: it is not an existing absolute path.")
        link = opt_dir / "python" / source.name
        if link.exists() or link.is_symlink():
            if link.is_symlink() and link.readlink() == source:
                continue
            raise BadLayerError(f"Linking {line} into a layer failed: the layer holds {source.name} already.")
        link.symlink_to(source)
    links.unlink()
