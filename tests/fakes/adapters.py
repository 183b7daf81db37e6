"""The adapters of a world in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from rdbkeeper.domain.errors import RdbkeeperError, VaultNotFound
from rdbkeeper.domain.source import LIVE_PROVIDER, NO_ACCESS, SourceAccess, check_access
from rdbkeeper.domain.vault import Capabilities, VaultBinding
from rdbkeeper.ports import ProbeFindings
from tests.fakes.hooks import MemoryHooks
from tests.fakes.live_source import MemoryLiveSource
from tests.fakes.source import MemorySource
from tests.fakes.vault import MemoryVault


@dataclass
class MemoryAdapters:
    """`the_vault` is the default one; `others` are the rest, by name; `probes` what probing each meets."""

    the_source: MemorySource = field(default_factory=MemorySource)
    the_vault: MemoryVault = field(default_factory=MemoryVault)
    others: dict[str, MemoryVault] = field(default_factory=dict)
    probes: dict[str, RdbkeeperError | ProbeFindings] = field(default_factory=dict)
    hooks: MemoryHooks = field(default_factory=MemoryHooks)
    live: MemoryLiveSource = field(default_factory=MemoryLiveSource)
    probed: list[tuple[str, bool]] = field(default_factory=list)

    def source(
        self, provider: str, access: SourceAccess = NO_ACCESS, longest_call_s: float | None = None
    ) -> MemorySource:
        check_access(provider, access)
        assert provider != LIVE_PROVIDER, "a server that is reached directly lists nothing"
        return self.the_source

    def live_source(self, access: SourceAccess) -> MemoryLiveSource:
        check_access(LIVE_PROVIDER, access)
        return self.live

    def vault(self, name: str) -> MemoryVault:
        if name == "default":
            return self.the_vault
        if name not in self.others:
            raise VaultNotFound(f"There is no vault {name}.", field="vault")
        return self.others[name]

    def open_vault(self, binding: VaultBinding, capabilities: Capabilities) -> MemoryVault:
        return self.others.setdefault(binding.name, MemoryVault())

    def probe_vault(self, binding: VaultBinding, *, closely: bool) -> ProbeFindings:
        self.probed.append((binding.name, closely))
        found = self.probes.get(binding.name)
        if isinstance(found, RdbkeeperError):
            raise found
        if found is not None:
            return found
        vault = self.the_vault if binding.name == "default" else self.others.setdefault(binding.name, MemoryVault())
        return ProbeFindings(binding.region or "eu-west-1", vault.capabilities if closely else None)
