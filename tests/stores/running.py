"""Servers that tests share, each with what its probe found."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from rdbkeeper.domain.vault import Addressing, Capabilities, VaultBinding
from rdbkeeper.ports import ProbeFindings
from rdbkeeper.vaults.probe import probe
from tests.stores.servers import KINDS, Server


class Servers:
    """Starts a server when it is first asked for; a test that asks for one that is not installed is skipped."""

    def __init__(self, started: ExitStack, folders: pytest.TempPathFactory) -> None:
        self._started = started
        self._folders = folders
        self._running: dict[str, Server] = {}
        self._found: dict[str, Capabilities] = {}
        self._buckets = 0

    def get(self, name: str) -> Server:
        reason = KINDS[name].why_not()
        if reason:
            pytest.skip(reason)
        if name not in self._running:
            self._running[name] = self._started.enter_context(KINDS[name].start(self._folders.mktemp(name)))
        return self._running[name]

    def make_bucket(self, name: str, **options: Any) -> str:
        """A new bucket of the server."""
        self._buckets += 1
        bucket = f"bucket-{self._buckets}"
        self.get(name).client().create_bucket(Bucket=bucket, **options)
        return bucket

    def capabilities(self, name: str) -> Capabilities:
        """What the probe itself finds that the server honours."""
        if name not in self._found:
            found = probe_server(self.get(name), self.make_bucket(name)).capabilities
            assert found is not None
            self._found[name] = found
        return self._found[name]


class OneClient:
    """Connections that lead to one client, whatever the vault."""

    def __init__(self, client: Any, owner: str = "") -> None:
        self._client = client
        self._owner = owner

    def client(self, binding: VaultBinding) -> Any:
        return self._client

    def owner(self, binding: VaultBinding) -> str:
        return self._owner


def binding_of(bucket: str, endpoint: str, **more: Any) -> VaultBinding:
    """A vault at a server."""
    secret = "rdbkeeper/keys" if endpoint else ""
    values = {"endpoint": endpoint, "secret": secret, "addressing": Addressing.PATH, **more}
    return VaultBinding("v", bucket, datetime(2026, 11, 22, tzinfo=UTC), **values)


def probe_server(server: Server, bucket: str, *, closely: bool = True, **more: Any) -> ProbeFindings:
    """What a probe finds in a bucket of the server."""
    binding = binding_of(bucket, server.endpoint, **more)
    return probe(OneClient(server.client()), binding, datetime.now(UTC), closely=closely)
