"""What people ask of vaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rdbkeeper.domain.vault import VaultBinding
from rdbkeeper.domain.vault_edit import VaultEdit
from rdbkeeper.entry.json_object import JsonObject
from rdbkeeper.entry.request_fields import read_revision, read_vault_name
from rdbkeeper.entry.vault_fields import read_binding, read_vault_edit


@dataclass(frozen=True)
class BindVault:
    """Register a bucket as a vault."""

    wanted: VaultBinding


@dataclass(frozen=True)
class ListVaults:
    """Show all vaults."""


@dataclass(frozen=True)
class GetVault:
    """Show one vault."""

    name: str


@dataclass(frozen=True)
class UpdateVault:
    """Edit a vault as it was read at a revision."""

    name: str
    revision: int
    edit: VaultEdit


@dataclass(frozen=True)
class UnbindVault:
    """Let go of a vault; its copies stay."""

    name: str


@dataclass(frozen=True)
class ProbeVault:
    """Find out now what a vault's store honours."""

    name: str


VaultCommand = BindVault | ListVaults | GetVault | UpdateVault | UnbindVault | ProbeVault


def _bind(request: JsonObject, now: datetime) -> VaultCommand:
    return BindVault(read_binding(request, now))


def _list(_: JsonObject, __: datetime) -> VaultCommand:
    return ListVaults()


def _get(request: JsonObject, _: datetime) -> VaultCommand:
    return GetVault(read_vault_name(request))


def _update(request: JsonObject, _: datetime) -> VaultCommand:
    return UpdateVault(read_vault_name(request), read_revision(request), read_vault_edit(request))


def _unbind(request: JsonObject, _: datetime) -> VaultCommand:
    return UnbindVault(read_vault_name(request))


def _probe(request: JsonObject, _: datetime) -> VaultCommand:
    return ProbeVault(read_vault_name(request))


VAULT_READERS: Mapping[str, Callable[[JsonObject, datetime], VaultCommand]] = {
    "bind_vault": _bind,
    "vaults": _list,
    "vault": _get,
    "update_vault": _update,
    "unbind_vault": _unbind,
    "probe_vault": _probe,
}
