"""Manifests and the keys of a copy."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rdbkeeper.domain.backup import EngineFacts
from rdbkeeper.domain.catalog import Level
from rdbkeeper.domain.copy import CopiedFile, Manifest
from rdbkeeper.domain.errors import ManifestUnreadable

FILE = CopiedFile("0001", "p/orders/c/0001.rdb", "0-8191", 9, "REDIS0011", "aa", "bb", 16, ("cc",), ("length",), "")
MANIFEST = Manifest(
    copy_id="20261122T021500Z-automatic.orders",
    rule="orders-nightly",
    provider="elasticache",
    instance="orders",
    backup_id="automatic.orders",
    automatic=True,
    taken_at=datetime(2026, 11, 22, 2, 15, tzinfo=UTC),
    copied_at=datetime(2026, 11, 22, 3, 0, tzinfo=UTC),
    engine=EngineFacts(engine="valkey", engine_version="8.1", shard_count=2, cluster_mode=True),
    files=(FILE, replace(FILE, name="0002", key="p/orders/c/0002.rdb")),
    made_by="rdbkeeper 0.1.0",
)


def test_a_manifest_survives_being_written_down() -> None:
    assert Manifest.from_json(MANIFEST.to_json(), "key") == MANIFEST


def test_a_manifest_is_readable_at_3_am() -> None:
    document = json.loads(MANIFEST.to_json())
    assert document["level"] == "verified"
    assert document["size_bytes"] == 18
    assert document["source"]["taken_at"] == "2026-11-22T02:15:00+00:00"
    assert MANIFEST.to_json().count(b"\n") > 20


def test_one_unchecked_file_makes_the_copy_unchecked() -> None:
    assert MANIFEST.level is Level.VERIFIED
    assert replace(MANIFEST, files=(FILE, replace(FILE, unchecked_reason="no CRC"))).level is Level.UNCHECKED


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"format": "rdbkeeper-manifest/9"}', b"\xff", MANIFEST.to_json()[:-30]]
)
def test_what_is_not_a_manifest_is_refused_by_its_key(body: bytes) -> None:
    with pytest.raises(ManifestUnreadable, match="the/key"):
        Manifest.from_json(body, "the/key")
