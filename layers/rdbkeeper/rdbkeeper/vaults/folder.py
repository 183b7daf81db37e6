"""A folder on this machine, in which copies lie as they do in a bucket; it can only be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rdbkeeper.domain.errors import StoreMismatch, VaultRefused, VaultUnavailable
from rdbkeeper.ports import ByteStream, StoredObject


class FileStream:
    """A range of a file, as a ByteStream."""

    def __init__(self, file: BinaryIO, path: Path, length_bytes: int) -> None:
        self._file = file
        self._path = path
        self._left = length_bytes

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            count = self._file.readinto(buffer[: self._left])  # type: ignore[attr-defined] # every file on disk has it
        except OSError as error:
            raise _unreadable(self._path, error) from error
        self._left -= count
        return int(count)

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Folder:
    """What lies below a folder, by keys that are paths from there. A file's tag is its size and when it was written."""

    root: Path

    def find_object(self, key: str) -> StoredObject | None:
        """What lies under a key, or None. Raises VaultUnavailable for what must not be looked at."""
        path = self.root / key
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        return StoredObject(found.st_size, f"{found.st_size}-{found.st_mtime_ns}", None) if path.is_file() else None

    def read_object(self, key: str) -> bytes:
        """A small file whole. Raises VaultRefused when there is none that can be read."""
        path = self.root / key
        try:
            if path.exists() and not path.is_file():
                raise VaultRefused(f"{path} is no file.")  # to read from a pipe would never end
            return path.read_bytes()
        except OSError as error:
            raise VaultRefused(f"Reading {path} failed: {error.strerror or error}.") from error

    def open_range(self, key: str, etag: str, first_byte: int, length_bytes: int) -> ByteStream:
        """Open a range of the file whose tag is `etag`. Raises StoreMismatch when it is another by now."""
        path = self.root / key
        found = self.find_object(key)
        if found is None or found.etag != etag:
            raise StoreMismatch(f"{path} was changed while it was read.", hint="Check it again once nothing writes.")
        try:
            file = path.open("rb")
            file.seek(first_byte)
        except OSError as error:
            raise _unreadable(path, error) from error
        return FileStream(file, path, length_bytes)

    def keys(self, prefix: str) -> list[str]:
        """Everything below a folder that is none itself, or that has the name of a document; as keys, in order."""
        found = (self.root / prefix).rglob("*")
        return sorted(path.relative_to(self.root).as_posix() for path in found if _is_listed(path))


def _is_listed(path: Path) -> bool:
    # A link to nothing and a folder named like a manifest stand for copies that cannot be checked: they are not left
    # out as if they were none.
    return not path.is_dir() or path.suffix == ".json"


def _unreadable(path: Path, error: OSError) -> VaultUnavailable:
    reason = error.strerror or error
    return VaultUnavailable(f"Reading {path} failed: {reason}.", hint="Look at its permissions and its disk.")
