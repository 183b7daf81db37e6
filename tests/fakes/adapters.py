"""The adapters of a world in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.fakes.source import MemorySource
from tests.fakes.vault import MemoryVault


@dataclass
class MemoryAdapters:
    the_source: MemorySource = field(default_factory=MemorySource)
    the_vault: MemoryVault = field(default_factory=MemoryVault)

    def source(self, provider: str) -> MemorySource:
        assert provider == "elasticache"
        return self.the_source

    def vault(self, name: str) -> MemoryVault:
        assert name == "default"
        return self.the_vault
