"""A folder is read as a bucket is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rdbkeeper.domain.errors import StoreMismatch, VaultRefused
from rdbkeeper.vaults.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"0123456789")
    return Folder(tmp_path)


def read(folder: Folder, etag: str, first_byte: int, length_bytes: int) -> bytes:
    stream = folder.open_range("a/file", etag, first_byte, length_bytes)
    buffer = memoryview(bytearray(100))
    found = b""
    while count := stream.readinto(buffer):
        found += bytes(buffer[:count])
    stream.close()
    return found


def test_a_range_is_exactly_what_was_asked_for(folder: Folder) -> None:
    found = folder.find_object("a/file")
    assert found is not None and found.size_bytes == 10
    assert read(folder, found.etag, 3, 4) == b"3456"
    assert read(folder, found.etag, 8, 4) == b"89"


def test_a_file_that_was_changed_is_another_object(folder: Folder) -> None:
    found = folder.find_object("a/file")
    assert found is not None
    (folder.root / "a" / "file").write_bytes(b"another one")
    with pytest.raises(StoreMismatch):
        folder.open_range("a/file", found.etag, 0, 1)


def test_what_is_no_file_is_no_object(folder: Folder) -> None:
    assert folder.find_object("a") is None
    assert folder.find_object("a/file/below") is None
    assert folder.keys("") == ["a/file"]
    with pytest.raises(VaultRefused):
        folder.read_object("nothing")


def test_what_only_looks_like_a_document_is_listed_and_refused(folder: Folder) -> None:
    (folder.root / "b.json").mkdir()
    (folder.root / "c.json").symlink_to("/nowhere/at/all")
    os.mkfifo(folder.root / "d.json")
    assert folder.keys("") == ["a/file", "b.json", "c.json", "d.json"]
    for key in ("b.json", "c.json", "d.json"):
        with pytest.raises(VaultRefused):
            folder.read_object(key)
