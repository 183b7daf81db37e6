"""Every provider that a rule can name has a source."""

from __future__ import annotations

from rdbkeeper.domain.source import LIVE_PROVIDER, PROVIDERS
from rdbkeeper.entry.source_wiring import MAKERS


def test_every_provider_has_a_source() -> None:
    assert {*MAKERS, LIVE_PROVIDER} == set(PROVIDERS)
