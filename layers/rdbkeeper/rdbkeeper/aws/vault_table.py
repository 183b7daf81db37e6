"""Registered vaults and what probes of them found, in DynamoDB; `table_items` shows the layout."""

from __future__ import annotations

from typing import Any

from rdbkeeper.aws.table_items import Condition, TableItems, in_partition
from rdbkeeper.domain.errors import NameTaken, RuleBusy
from rdbkeeper.domain.vault import ProbeReport, VaultBinding
from rdbkeeper.ports import Record

_ABSENT = Condition("attribute_not_exists(pk)")


class DynamoVaultTable:
    """The vault table over a DynamoDB client; `default` is the stack's own vault as it is until somebody changes it."""

    def __init__(self, client: Any, table: str, default: VaultBinding) -> None:
        self._items = TableItems(client, table)
        self._default = default

    def find_vault(self, name: str) -> VaultBinding | None:
        item = self._items.find(_vault_key(name))
        if item is not None:
            return VaultBinding.from_record(item["vault"])
        return self._default if name == self._default.name else None

    def vaults(self) -> list[VaultBinding]:
        found = [VaultBinding.from_record(item["vault"]) for item in self._items.query(in_partition("vaults"))]
        if self._default.name not in {binding.name for binding in found}:
            found.append(self._default)
        return sorted(found, key=lambda binding: binding.name)

    def create_vault(self, binding: VaultBinding, registry_revision: int) -> None:
        taken = NameTaken(f"There is a vault {binding.name} already.", field="name", hint="Choose another name.")
        if binding.name == self._default.name:
            raise taken  # it is there without a row
        writes = [self._put(binding, _ABSENT), self._items.counted_up(registry_revision)]
        refusal = self._items.write_together(writes, f"Registering the vault {binding.name}")
        if refusal is None or self._is_there(binding):
            return
        if self.find_vault(binding.name) is not None:
            raise taken from refusal
        raise _busy("Something else was registered at the same moment.") from refusal

    def replace_vault(self, binding: VaultBinding, revision: int) -> None:
        refusal = self._items.write_together(
            [self._put(binding, self._at(binding.name, revision))], f"Changing the vault {binding.name}"
        )
        if refusal is not None and not self._is_there(binding):
            raise _busy(f"The vault {binding.name} was changed by somebody else at the same moment.") from refusal

    def remove_vault(self, name: str, revision: int, registry_revision: int) -> None:
        writes = [
            self._items.delete_request(_vault_key(name), self._at(name, revision)),
            self._items.delete_request(_probe_key(name)),
            self._items.counted_up(registry_revision),
        ]
        if self.find_vault(name) is None:
            return
        refusal = self._items.write_together(writes, f"Removing the vault {name}")
        if refusal is not None and self.find_vault(name) is not None:
            raise _busy(
                f"The vault {name}, or who keeps copies where, was changed by somebody else at the same moment."
            ) from refusal

    def record_probe(self, name: str, report: ProbeReport) -> None:
        self._items.put({**_probe_key(name), "probe": report.as_record()}, f"Noting what a probe of {name} found")

    def find_probe(self, name: str) -> ProbeReport | None:
        item = self._items.find(_probe_key(name))
        return ProbeReport.from_record(item["probe"]) if item else None

    def probes(self) -> dict[str, ProbeReport]:
        items = self._items.query(in_partition("probes"))
        return {str(item["sk"]): ProbeReport.from_record(item["probe"]) for item in items}

    def _put(self, binding: VaultBinding, condition: Condition) -> Record:
        return self._items.put_request({**_vault_key(binding.name), "vault": binding.as_record()}, condition)

    def _at(self, name: str, revision: int) -> Condition:
        at_revision = "vault.revision = :revision"
        if name == self._default.name and revision == self._default.revision:
            at_revision = f"attribute_not_exists(pk) OR {at_revision}"
        return Condition(at_revision, {}, {":revision": revision})

    def _is_there(self, binding: VaultBinding) -> bool:
        """True when it is our own write that is there: its answer was lost, and it was repeated."""
        there = self.find_vault(binding.name)
        return there is not None and there.as_record() == binding.as_record()


def _vault_key(name: str) -> Record:
    return {"pk": "vaults", "sk": name}


def _probe_key(name: str) -> Record:
    return {"pk": "probes", "sk": name}


def _busy(message: str) -> RuleBusy:
    return RuleBusy(message, hint="Look at it again and repeat the request.")
