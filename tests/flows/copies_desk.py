"""A desk at which people look after copies: a rule, its vault, and copies that were put there by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rdbkeeper.domain.backup import EngineFacts
from rdbkeeper.domain.catalog import Level, manifest_key
from rdbkeeper.domain.copy import CopiedFile, Manifest, data_key
from rdbkeeper.domain.copy_query import RulePlace, VaultPlace
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.flows.copies.marks import MarkCopies
from rdbkeeper.flows.copies.show import ShowCopies
from rdbkeeper.flows.rules.context import RulesContext
from tests.fakes.vault import MemoryVault
from tests.flows.desk import NAME, Desk, Through, directly, new_rule

NIGHT = datetime(2026, 11, 1, 2, 15, tzinfo=UTC)
PATH = "redis/orders/"
HERE = RulePlace(NAME)
BESIDE = VaultPlace("default", "redis/", "orders")


def at_desk(*levels: Level) -> Desk:
    """A desk with a rule and a copy for each level given, one a night."""
    desk = Desk()
    desk.tables.rules.create_rule(new_rule(state=RuleState.ACTIVE), 0)
    for night, level in enumerate(levels):
        put_copy(desk.vault, night, level)
    return desk


def context(desk: Desk, through: Through = directly) -> RulesContext:
    return RulesContext(desk.work(through), pause=desk.clock.advance)


def show(desk: Desk, through: Through = directly) -> ShowCopies:
    return ShowCopies(context(desk, through))


def mark(desk: Desk, through: Through = directly) -> MarkCopies:
    return MarkCopies(context(desk, through))


def id_of(night: int) -> str:
    return f"{NIGHT + timedelta(days=night):%Y%m%dT%H%M%SZ}-automatic.orders"


def put_copy(vault: MemoryVault, night: int, level: Level = Level.VERIFIED, path: str = PATH) -> Manifest:
    """A copy of two small files, published as a run does."""
    copy_id = id_of(night)
    files = tuple(_file(path, copy_id, name, level) for name in ("0001", "0002"))
    for number, file in enumerate(files):
        vault.create_object(file.key, bytes([number]) * file.size_bytes, "application/octet-stream")
    manifest = Manifest(
        copy_id=copy_id,
        rule=NAME,
        provider="elasticache",
        instance="orders",
        backup_id="automatic.orders",
        automatic=True,
        taken_at=NIGHT + timedelta(days=night),
        copied_at=NIGHT + timedelta(days=night, hours=1),
        engine=EngineFacts("redis", "7.1", "cache.r7g.large"),
        files=files,
        made_by="rdbkeeper 0.1.0",
    )
    vault.create_object(manifest_key(path, copy_id, level), manifest.to_json(), "application/json")
    return manifest


def keys_of(vault: MemoryVault, night: int) -> list[str]:
    """What there is of a copy, marks included."""
    return sorted(key for key in vault.objects if id_of(night) in key)


def _file(path: str, copy_id: str, name: str, level: Level) -> CopiedFile:
    return CopiedFile(
        name=name,
        key=data_key(path, copy_id, name),
        slots="",
        size_bytes=100,
        rdb_version="0011",
        crc64="0" * 16,
        crc64nvme="0" * 16,
        part_size_bytes=100,
        part_sha256=("0" * 64,),
        checks=("length",),
        unchecked_reason="" if level is Level.VERIFIED else "it has no checksum",
    )


def in_vault(desk: Desk, **capabilities: object) -> MemoryVault:
    """The default vault, as a store that honours these."""
    desk.vault.capabilities = replace(desk.vault.capabilities, **capabilities)
    return desk.vault
