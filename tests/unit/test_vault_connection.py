"""How vaults are reached: which endpoints are refused, which credentials are used, and what is never shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rdbkeeper.aws.secrets import KeyPair, read_key_pair
from rdbkeeper.domain.errors import InvalidRequest, VaultDenied, VaultRefused, VaultUnavailable
from rdbkeeper.domain.vault import Addressing, VaultBinding
from rdbkeeper.vaults.addresses import check_endpoint
from rdbkeeper.vaults.connection import Connections

ROLE = "arn:aws:iam::999999999999:role/keeper"
SECRET_KEY = "never-to-be-seen"
NEVER = [
    "169.254.169.254",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",  # noqa: S104 - an address to be refused
    "::",
    "240.0.0.1",
]
PRIVATE = [
    "127.0.0.1",
    "::1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "fd12:3456::1",
    "fec0::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a01:203",
]
PUBLIC = ["52.95.110.1", "2a05:d07a:a000::1", "64:ff9b::345f:6e01"]


def check(*addresses: str, allows_private: bool = False) -> None:
    check_endpoint(
        "https://store.example.com", allows_private=allows_private, resolve=lambda host, port: list(addresses)
    )


@pytest.mark.parametrize("address", NEVER)
def test_where_no_store_is_nobody_is_led(address: str) -> None:
    for allows_private in (False, True):
        with pytest.raises(InvalidRequest) as refused:
            check(address, allows_private=allows_private)
        assert refused.value.field == "endpoint"


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_unless_the_stack_allows_it(address: str) -> None:
    with pytest.raises(InvalidRequest, match="AllowPrivateEndpoints"):
        check(address)
    check(address, allows_private=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached(address: str) -> None:
    check(address)


def test_one_bad_address_among_good_ones_is_enough() -> None:
    with pytest.raises(InvalidRequest):
        check(PUBLIC[0], PRIVATE[0])


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "[::1]:9000"])
def test_other_ways_to_write_this_machine_are_seen_through(host: str) -> None:
    with pytest.raises(InvalidRequest):
        check_endpoint(f"http://{host}", allows_private=False)


def by_host(answers: dict[str, str], endpoint: str = "https://store.example.com", bucket: str = "copies") -> list[str]:
    """The hosts that are looked at."""
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        if host not in answers:
            raise OSError("no such name")
        return [answers[host]]

    check_endpoint(endpoint, allows_private=False, bucket=bucket, resolve=resolve)
    return asked


def test_the_host_that_has_the_bucket_s_name_in_it_is_looked_at_too() -> None:
    good = {"store.example.com": PUBLIC[0], "copies.store.example.com": PUBLIC[0]}
    assert by_host(good) == list(good)
    with pytest.raises(InvalidRequest, match=r"copies\.store\.example\.com"):
        by_host({**good, "copies.store.example.com": PRIVATE[0]})
    with pytest.raises(VaultUnavailable) as refused:
        by_host({"store.example.com": PUBLIC[0]})
    assert '"path"' in refused.value.hint


def test_in_front_of_an_address_stands_no_bucket() -> None:
    assert by_host({PUBLIC[0]: PUBLIC[0]}, f"https://{PUBLIC[0]}") == [PUBLIC[0]]


@pytest.mark.parametrize(("addressing", "hosts"), [("virtual", 2), ("path", 1)])
def test_the_bucket_s_host_is_looked_at_where_the_client_will_ask_it(
    addressing: str, hosts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def resolve(host: str, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", (PUBLIC[0], 0))]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    there = {**AT_HOME, "endpoint": "https://store.example.com", "addressing": Addressing(addressing)}
    Made().connections.client(binding(**there))
    assert asked == ["store.example.com", "copies.store.example.com"][:hosts]


def test_an_endpoint_that_the_client_refuses_is_no_defect() -> None:
    class Refusing(Made):
        def make(self, **asked: Any) -> Any:
            raise ValueError("Invalid endpoint")

    with pytest.raises(InvalidRequest) as refused:
        Refusing().connections.client(binding(**AT_HOME))
    assert refused.value.field == "endpoint"


def test_a_name_without_an_address_may_have_one_later() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(VaultUnavailable, match=r"store\.example\.com has no address"):
        check_endpoint("https://store.example.com", allows_private=False, resolve=unknown)


# -- credentials


class Made:
    """Connections over clients that are only names of what was asked for."""

    def __init__(self, *, allows_private_endpoints: bool = True) -> None:
        self.made: list[dict[str, Any]] = []
        self.connections = Connections(
            lambda: "own",
            self.make,
            lambda name: KeyPair("key-id", SECRET_KEY),
            Session,
            region="eu-west-1",
            account="000000000000",
            allows_private_endpoints=allows_private_endpoints,
        )

    def make(self, **asked: Any) -> Any:
        self.made.append(asked)
        return f"client {len(self.made)}"


class Session:
    """A botocore session that is never asked."""

    def create_client(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("no credentials were to be got yet")

    def get_credentials(self) -> None:
        return None


def binding(**more: Any) -> VaultBinding:
    return VaultBinding("v", "copies", datetime(2026, 1, 1, tzinfo=UTC), **more)


AT_HOME = {"endpoint": "http://127.0.0.1:9000", "secret": "rdbkeeper/store"}


@pytest.mark.parametrize("region", ["", "eu-west-1"])
def test_this_account_s_buckets_of_this_region_are_reached_by_the_function_s_own_client(region: str) -> None:
    made = Made()
    assert made.connections.client(binding(region=region)) == "own"
    assert made.connections.owner(binding(region=region)) == "000000000000"
    assert made.made == []


def test_another_region_s_bucket_has_a_client_of_its_region() -> None:
    made = Made()
    made.connections.client(binding(region="us-east-1"))
    assert made.made == [{"region": "us-east-1"}]


def test_another_account_s_bucket_is_reached_by_its_role_and_must_be_that_account_s() -> None:
    made, other = Made(), binding(role=ROLE, external_id="orders")
    made.connections.client(other)
    (asked,) = made.made
    assert asked["region"] == "eu-west-1"
    fetcher = asked["credentials"]._refresh_using.__self__
    assert fetcher._role_arn == ROLE
    assert fetcher._assume_kwargs == {"RoleArn": ROLE, "RoleSessionName": "rdbkeeper", "ExternalId": "orders"}
    assert made.connections.owner(other) == "999999999999"


def test_a_store_elsewhere_is_reached_at_its_endpoint_by_its_key_pair() -> None:
    made = Made()
    made.connections.client(binding(**AT_HOME))
    (asked,) = made.made
    assert (asked["endpoint"], asked["region"], asked["addressing"]) == (AT_HOME["endpoint"], "us-east-1", "virtual")
    assert (asked["credentials"].access_key, asked["credentials"].secret_key) == ("key-id", SECRET_KEY)
    assert made.connections.owner(binding(**AT_HOME)) == ""


def test_a_client_is_made_once_and_anew_for_another_vault() -> None:
    made = Made()
    assert made.connections.client(binding(**AT_HOME)) is made.connections.client(binding(**AT_HOME, note="new"))
    assert made.connections.client(binding(**AT_HOME, region="moon")) == "client 2"


def test_an_endpoint_that_must_not_be_reached_gets_no_client_and_no_key_pair() -> None:
    made = Made(allows_private_endpoints=False)
    with pytest.raises(InvalidRequest):
        made.connections.client(binding(**AT_HOME))
    assert made.made == []


# -- secrets


class Secrets:
    """Secrets Manager, with one secret or one refusal."""

    def __init__(self, value: str = "", code: str = "") -> None:
        self._value = value
        self._code = code

    def get_secret_value(self, **_: str) -> dict[str, str]:
        if self._code:
            answer = {"Error": {"Code": self._code, "Message": "words"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(answer, "GetSecretValue")
        return {"SecretString": self._value}


def test_a_key_pair_is_read_and_does_not_show_itself() -> None:
    text = f'{{"access_key_id": "key-id", "secret_access_key": "{SECRET_KEY}\\n"}}'
    pair = read_key_pair(Secrets(text), "rdbkeeper/store")
    assert (pair.access_key_id, pair.secret_access_key) == ("key-id", SECRET_KEY)
    assert SECRET_KEY not in repr(pair) + f"{pair}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET_KEY,
        f'["{SECRET_KEY}"]',
        f'{{"secret_access_key": "{SECRET_KEY}"}}',
        f'{{"access_key_id": 1, "secret_access_key": "{SECRET_KEY}"}}',
        f'{{"access_key_id": " ", "secret_access_key": "{SECRET_KEY}"}}',
        f'{{"access_key_id": "key\\nid", "secret_access_key": "{SECRET_KEY}"}}',
        f'{{"access_key_id": "key-id", "secret_access_key": "{SECRET_KEY} x"}}',
        f'{{"access_key_id": "key-id", "secret_access_key": "{SECRET_KEY}\\ud800"}}',
        f'{{"access_key_id": "ключ", "secret_access_key": "{SECRET_KEY}"}}',
        f'{{"access_key_id": "key-id", "secret_access_key": "{SECRET_KEY * 20}"}}',
        "[" * 200_000,
    ],
)
def test_what_is_no_key_pair_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(VaultRefused) as refused:
        read_key_pair(Secrets(text), "rdbkeeper/store")
    assert "rdbkeeper/store" in refused.value.message
    assert "access_key_id" in refused.value.hint
    assert SECRET_KEY not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("code", "error", "hint"),
    [
        ("ResourceNotFoundException", VaultRefused, "Make the secret"),
        ("AccessDeniedException", VaultDenied, "secretsmanager:GetSecretValue"),
        ("DecryptionFailure", VaultDenied, "kms:Decrypt"),
        ("InvalidRequestException", VaultRefused, "being deleted"),
    ],
)
def test_a_secret_that_cannot_be_read_says_what_to_do(code: str, error: type[Exception], hint: str) -> None:
    with pytest.raises(error) as refused:
        read_key_pair(Secrets(code=code), "rdbkeeper/store")
    assert hint in refused.value.hint  # type: ignore[attr-defined]  # both have one
