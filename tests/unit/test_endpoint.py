"""What is the address of a store, and which addresses are the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rdbkeeper.domain.endpoint import host_of, is_endpoint
from rdbkeeper.domain.vault import VaultBinding, VaultOptions
from rdbkeeper.entry.settings import StoreSettings

GOOD = [
    "https://minio.example.com",
    "http://MINIO.example.com:9000/",
    "https://store",
    "https://store.example.com.",
    "http://127.0.0.1:9000",
    "https://[2001:db8::1]:9000",
    f"https://{'a' * 63}.example",
]
BAD = [
    "https://my_store:9000",
    "https://h o",
    "https://a..b",
    "https://.a",
    "https://-a.example",
    "https://a-.example",
    "https://store\n.example",
    "https://store.example\n",
    "https://store\t.example",
    "https://127.0.0.1\\.example",
    f"https://{'a' * 300}",
    f"https://{'a' * 64}.example",
    "https://" + ".".join(["a" * 50] * 6),
    "https://störe.example",
    "https://[fe80::1%25eth0]",
    "https://[::1",
    "https://store:0",
    "https://store:99999",
    "https://",
    "store.example",
]


@pytest.mark.parametrize("endpoint", GOOD)
def test_an_address_is_taken(endpoint: str) -> None:
    assert is_endpoint(endpoint)


@pytest.mark.parametrize("endpoint", BAD)
def test_what_no_client_would_take_is_refused_at_the_edge(endpoint: str) -> None:
    assert not is_endpoint(endpoint)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://s.example", "https://S.EXAMPLE:443/"),
        ("https://s.example", "https://s.example."),
        ("https://[::1]:1", "https://[0:0::1]:1"),
        ("https://[::ffff:192.0.2.1]", "https://192.0.2.1"),
    ],
)
def test_two_ways_to_write_an_address_are_one(one: str, other: str) -> None:
    assert host_of(one) == host_of(other)
    assert host_of(one) != host_of(one + ":8080" if one.count(":") == 1 else "https://t.example")


def test_account_numbers_and_external_ids_do_not_show_themselves() -> None:
    number = "000000000000"
    binding = VaultBinding(
        "v",
        "copies",
        datetime(2026, 1, 1, tzinfo=UTC),
        role=f"arn:aws:iam::{number}:role/keeper",
        external_id="between-us",
        options=VaultOptions(kms_key=f"arn:aws:kms:us-east-1:{number}:key/a"),
    )
    shown = repr(binding) + repr(StoreSettings("table", "vault", "staging", account=number))
    assert number not in shown
    assert "between-us" not in shown
