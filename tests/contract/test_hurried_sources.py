"""Sources whose calls must end soon, before a service that takes every call and answers none."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from threading import Thread

import pytest

from rdbkeeper.aws.secrets import ApiKey
from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.errors import SourceUnavailable
from rdbkeeper.domain.source import NO_ACCESS, SourceAccess
from rdbkeeper.entry.settings import StoreSettings
from rdbkeeper.entry.wiring import AwsAdapters
from rdbkeeper.ports import Source

TENCENT = SourceAccess(region="ap-guangzhou", secret="rdbkeeper/tencent")
NAME = "rdbkeeper-0123abcd-20261121021500"
TAGS = {"rdbkeeper:stack": "keeper", "rdbkeeper:rule": "orders"}
LONGEST_S = 0.6
# A busy machine may take some seconds; a call that is not bounded takes a minute.
PATIENT_S = 30.0


@dataclass
class SilentService:
    """Takes every connection, and says nothing."""

    listening: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    taken: list[socket.socket] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                self.taken.append(self.listening.accept()[0])
            except OSError:
                return


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentService]:
    service = SilentService()
    Thread(target=service.serve, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", service.endpoint)
    with closing(service.listening):
        yield service
        service.listening.shutdown(socket.SHUT_RDWR)
    for taken in service.taken:
        taken.close()


def adapters_of(silent: SilentService) -> AwsAdapters:
    settings = StoreSettings(
        "table", "bucket", "staging", allows_private_endpoints=True, tencent_endpoint=silent.endpoint
    )
    return AwsAdapters(settings, lambda _: None)  # none of the clients that wait for long is asked for


def ask(source: Source, instance: Instance) -> None:
    source.request_backup(instance, NAME, TAGS)


def look(source: Source, instance: Instance) -> None:
    source.find_requested_backup(instance, NAME)


@pytest.mark.parametrize("call", [ask, look])
@pytest.mark.parametrize(
    "provider, access",
    [
        ("elasticache", NO_ACCESS),
        ("elasticache-serverless", NO_ACCESS),
        ("memorydb", NO_ACCESS),
        ("tencentdb", TENCENT),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_call_is_made_once_and_given_up_in_time(
    silent: SilentService,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    access: SourceAccess,
    call: Callable[[Source, Instance], None],
) -> None:
    monkeypatch.setattr("rdbkeeper.aws.secrets.read_api_key", lambda client, name: ApiKey("id", "key"))
    source = adapters_of(silent).source(provider, access, LONGEST_S)
    instance = Instance(provider, "orders", "redis", "available", True, 7, "")
    began = time.monotonic()
    with pytest.raises(SourceUnavailable):
        call(source, instance)
    assert time.monotonic() - began < PATIENT_S
    assert len(silent.taken) == 1
