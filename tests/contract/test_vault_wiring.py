"""Registered vaults are opened by their own credentials, with what their probes found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.credentials import Credentials
from moto.core.models import DEFAULT_ACCOUNT_ID
from werkzeug.wrappers import Request, Response

from rdbkeeper.domain.errors import InvalidRequest, VaultDenied, VaultNotFound
from rdbkeeper.domain.vault import Addressing, Capabilities, ProbeReport, StoreSum, VaultBinding
from rdbkeeper.entry import wiring
from rdbkeeper.entry.settings import StoreSettings
from rdbkeeper.entry.wiring import AwsAdapters
from tests.contract.guarded_server import guarded
from tests.fakes.table import MemoryTables
from tests.local_cloud.front import Forward
from tests.local_cloud.s3_guard import S3Guard
from tests.stores.running import Servers
from tests.stores.servers import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Server

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Secrets:
    """Secrets Manager, which counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def get_secret_value(self, **_: str) -> dict[str, str]:
        self.asked += 1
        return {"SecretString": json.dumps({"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY})}


class Place:
    """Adapters whose vaults are kept in memory."""

    def __init__(self, *bindings: VaultBinding, allows_private_endpoints: bool = True) -> None:
        self.secrets = Secrets()
        settings = StoreSettings("table", "default-bucket", "staging", "us-east-1")
        settings = StoreSettings(
            **{**vars(settings), "account": "000000000000", "allows_private_endpoints": allows_private_endpoints}
        )
        self.adapters = AwsAdapters(settings, lambda service: self.secrets)
        self.vaults = MemoryTables().vaults
        self.adapters.vaults = self.vaults
        for revision, binding in enumerate(bindings):
            self.vaults.create_vault(binding, revision)


def at(server: Server, bucket: str) -> VaultBinding:
    return VaultBinding(
        "elsewhere", bucket, NOW, endpoint=server.endpoint, addressing=Addressing.PATH, secret="rdbkeeper/elsewhere"
    )


@pytest.fixture
def server(servers: Servers) -> Server:
    return servers.get("rclone")


def test_a_store_elsewhere_is_used_by_its_key_pair_which_is_read_once(servers: Servers, server: Server) -> None:
    place = Place(at(server, servers.make_bucket("rclone")))
    vault = place.adapters.vault("elsewhere")
    vault.create_object("p/k", b"body", "text/plain")
    assert vault.read_object("p/k") == b"body"
    assert vault.find_objects("p/")[0].written_at.tzinfo is not None
    assert place.adapters.vault("elsewhere") is vault
    assert place.secrets.asked == 1


def test_the_probe_of_a_store_elsewhere_goes_the_same_way(servers: Servers, server: Server) -> None:
    binding = at(server, servers.make_bucket("rclone"))
    found = Place().adapters.probe_vault(binding, closely=True)
    assert found.capabilities is not None and found.capabilities.sum is StoreSum.NONE


def test_a_private_endpoint_is_not_reached_unless_allowed(servers: Servers, server: Server) -> None:
    binding = at(server, servers.make_bucket("rclone"))
    place = Place(binding, allows_private_endpoints=False)
    with pytest.raises(InvalidRequest):
        place.adapters.probe_vault(binding, closely=False)
    with pytest.raises(InvalidRequest):
        place.adapters.vault("elsewhere").find_objects("")
    assert place.secrets.asked == 0


def test_a_vault_has_the_capabilities_that_its_last_probe_saw() -> None:
    binding = VaultBinding("elsewhere", "bucket", NOW, endpoint="https://store.example.com", secret="rdbkeeper/x")
    place = Place(binding)
    seen = Capabilities(StoreSum.PART_MD5, conditional_delete=False)
    place.vaults.record_probe("elsewhere", ProbeReport(NOW, capabilities=seen))
    assert place.adapters.vault("elsewhere").capabilities == seen


def test_of_a_store_that_no_probe_saw_nothing_is_taken_for_granted() -> None:
    binding = VaultBinding("elsewhere", "bucket", NOW, endpoint="https://store.example.com", secret="rdbkeeper/x")
    honours = Place(binding).adapters.vault("elsewhere").capabilities
    assert honours.sum is StoreSum.NONE
    assert not any((honours.conditional_create, honours.conditional_complete, honours.conditional_delete))
    assert honours.locks  # so that each removal asks


def test_a_bucket_of_amazon_that_no_probe_saw_may_hold_locked_objects() -> None:
    place = Place(VaultBinding("own", "own-bucket", NOW))
    assert place.adapters.vault("own").capabilities == Capabilities(locks=True)


def test_a_vault_that_is_not_registered_is_not_found() -> None:
    with pytest.raises(VaultNotFound):
        Place().adapters.vault("nobody-s")


# -- by a role


class Roles:
    """STS before moto: one role may be assumed."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    def handle(self, request: Request, forward: Forward) -> Response:
        self.asked.append(dict(request.form))
        if request.form["RoleArn"].endswith("/forbidden"):
            denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
            return Response(denied, status=403, content_type="text/xml")
        return forward(request)


@pytest.fixture
def roles(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Roles, Any]]:
    roles = Roles()
    with guarded({"s3": S3Guard(DEFAULT_ACCOUNT_ID), "sts": roles}) as client:
        s3 = client("s3")
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.meta.endpoint_url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield roles, s3


def by_role(bucket: str, role: str) -> VaultBinding:
    arn = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/{role}"
    return VaultBinding("other", bucket, NOW, region="us-east-1", role=arn, external_id="orders")


def test_another_account_s_bucket_is_used_by_a_role_that_is_assumed_when_needed(roles: tuple[Roles, Any]) -> None:
    asked, s3 = roles
    s3.create_bucket(Bucket="of-another-account")
    vault = Place(by_role("of-another-account", "keeper")).adapters.vault("other")
    assert asked.asked == []
    vault.create_object("k", b"body", "text/plain")
    assert vault.read_object("k") == b"body"
    assert [(call["ExternalId"], call["RoleSessionName"]) for call in asked.asked] == [("orders", "rdbkeeper")]


def test_a_role_that_may_not_be_assumed_is_named_as_the_reason(roles: tuple[Roles, Any]) -> None:
    _, s3 = roles
    s3.create_bucket(Bucket="forbidden-bucket")
    with pytest.raises(VaultDenied, match="role could not be assumed"):
        Place().adapters.probe_vault(by_role("forbidden-bucket", "forbidden"), closely=False)


def test_every_client_reads_times_by_the_standard_library() -> None:
    for credentials in (None, Credentials("key-id", "secret")):
        client = wiring.s3_client(region="us-east-1", credentials=credentials)
        parsing = client._endpoint._response_parser_factory._defaults
        assert parsing["timestamp_parser"] is wiring._read_time
