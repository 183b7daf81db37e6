"""Writes the files of backups into buckets: in their own time, held back or damaged as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.local_cloud.managed.background import Background

DamageMode = Literal["flip", "truncate"]


@dataclass(frozen=True)
class ExportedFile:
    """One file of a backup: what it is called there, and where it lies here."""

    file_id: str
    rdb: Path


class ExportWriter:
    """Writes each file whole at once, one after the other; `delay_s` is how long all files of a backup take."""

    def __init__(self, background: Background, s3: Callable[[], Any], delay_s: float) -> None:
        self.delay_s = delay_s
        self._background = background
        self._s3 = s3
        self._held_after: int | None = None
        self._changed = threading.Condition()
        self._damages: dict[tuple[str, str], tuple[DamageMode, int | None]] = {}

    def hold(self, held: bool, after_files: int = 0) -> None:
        """Keep every export from going beyond so many files while held, those that run included."""
        with self._changed:
            self._held_after = after_files if held else None
            self._changed.notify_all()

    def damage(self, arn: str, file_id: str, mode: DamageMode, at: int | None) -> None:
        """Write one file of a backup with a changed byte, or cut short, from now on."""
        self._damages[arn, file_id] = (mode, at)

    def repair(self, arn: str) -> None:
        """Write a damaged backup whole again."""
        self._damages = {key: value for key, value in self._damages.items() if key[0] != arn}

    def write(self, arn: str, bucket: str, files: Mapping[str, ExportedFile], is_there: Callable[[], bool]) -> bool:
        """Write files by their keys; return False when the backup, or everything, has gone meanwhile."""
        s3 = self._s3()
        for number, (key, file) in enumerate(files.items()):
            if self._background.closing.wait(self.delay_s / len(files)) or not self._wait_for_release(number):
                return False
            if not is_there():
                return False
            damage = self._damages.get((arn, file.file_id))
            with file.rdb.open("rb") as whole:
                body = _damaged(whole.read(), *damage) if damage else whole
                s3.put_object(Bucket=bucket, Key=key, Body=body)
        return self._wait_for_release(len(files)) and is_there()

    def _wait_for_release(self, written: int) -> bool:
        with self._changed:
            while self._held_after is not None and written >= self._held_after:
                if self._background.closing.is_set():
                    return False
                self._changed.wait(0.05)
        return not self._background.closing.is_set()


def _damaged(whole: bytes, mode: DamageMode, at: int | None) -> bytes:
    content = bytearray(whole)
    offset = len(content) // 2 if at is None else at
    if mode == "flip":
        content[offset] ^= 0x01
    else:
        del content[offset:]
    return bytes(content)
