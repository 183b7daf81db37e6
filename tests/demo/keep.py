"""The folder in which `make run KEEP=folder` leaves what it copied, for checking with other tools."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIST = "kept.json"


class KeepError(Exception):
    """The folder cannot be used, and why."""


class KeepFolder:
    """Holds the files of one run; those of an earlier one, which its list names, make room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: list[str] = []
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._remove_earlier()
            self._write_list()
        except (OSError, ValueError) as error:
            raise KeepError(f"KEEP={folder} cannot be used: {error}. Name a folder that can be written to.") from error

    def keep(self, key: str, body: bytes) -> None:
        """Write one file under its key in the vault."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        with self._lock:
            self._kept.append(key)
            self._write_list()

    def keep_document(self, key: str, document: Mapping[str, Any]) -> None:
        """Write one JSON document."""
        self.keep(key, (json.dumps(document, indent=2) + "\n").encode())

    def _remove_earlier(self) -> None:
        earlier = self.folder / LIST
        if earlier.exists():
            for key in json.loads(earlier.read_text()):
                (self.folder / key).unlink(missing_ok=True)

    def _write_list(self) -> None:
        (self.folder / LIST).write_text(json.dumps(self._kept, indent=2) + "\n")
