"""What requests say of vaults: the whole of one, or an edit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.vault import Addressing, LockMode, VaultBinding, VaultOptions
from rdbkeeper.domain.vault_edit import VaultEdit, needs_probe
from rdbkeeper.entry.requests import Command, parse
from rdbkeeper.entry.vault_requests import BindVault, GetVault, ListVaults, ProbeVault, UnbindVault, UpdateVault

EVENTS = Path(__file__).parents[2] / "events"
NOW = datetime(2026, 11, 21, 3, 4, 5, 678, tzinfo=UTC)
ROLE = "arn:aws:iam::000000000000:role/rdbkeeper-copies"
KEY = "arn:aws:kms:eu-west-1:000000000000:key/0123"


def asked(action: str, **fields: object) -> Command:
    return parse({"action": action, **fields}, NOW)


def bound(**fields: object) -> VaultBinding:
    command = asked("bind_vault", **{"name": "offsite", "bucket": "copies", **fields})
    assert isinstance(command, BindVault)
    return command.wanted


def edited(**fields: object) -> VaultEdit:
    command = asked("update_vault", **{"name": "offsite", "revision": 1, **fields})
    assert isinstance(command, UpdateVault)
    return command.edit


def test_a_name_and_a_bucket_are_a_vault_of_amazon() -> None:
    assert bound() == VaultBinding("offsite", "copies", NOW.replace(microsecond=0))


def test_every_field_of_a_vault_is_read() -> None:
    options = {"kms_key": KEY, "storage_class": "STANDARD_IA", "lock_mode": "COMPLIANCE", "lock_days": 30}
    vault = bound(
        region="eu-west-1",
        role=ROLE,
        external_id="orders",
        options={**options, "tags": {"b": "2", "a": "1"}},
        note="far",
    )
    wanted = VaultOptions(KEY, "STANDARD_IA", LockMode.COMPLIANCE, 30, (("a", "1"), ("b", "2")))
    assert (vault.region, vault.role, vault.external_id, vault.note) == ("eu-west-1", ROLE, "orders", "far")
    assert vault.options == wanted


def test_an_endpoint_has_its_buckets_in_the_path_unless_something_else_is_said() -> None:
    elsewhere = {"endpoint": "https://minio.example.com:9000", "secret": "rdbkeeper/minio"}
    assert bound(**elsewhere).addressing is Addressing.PATH
    assert bound(**elsewhere, addressing="virtual").addressing is Addressing.VIRTUAL
    assert bound().addressing is Addressing.VIRTUAL


@pytest.mark.parametrize(
    "name, command",
    [
        ("list_vaults", ListVaults()),
        ("get_vault", GetVault("offsite")),
        ("unbind_vault", UnbindVault("offsite")),
        ("probe_vault", ProbeVault("offsite")),
    ],
)
def test_the_events_about_vaults_become_their_commands(name: str, command: Command) -> None:
    assert parse(json.loads((EVENTS / f"{name}.json").read_text()), NOW) == command


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "Off Site"}, "name"),
    ({"bucket": "Copies"}, "bucket"),
    ({"bucket": "a.b"}, "bucket"),
    ({"bucket": None}, "bucket"),
    ({"region": "eu west"}, "region"),
    ({"role": "rdbkeeper-copies"}, "role"),
    ({"external_id": "orders"}, "external_id"),
    ({"role": ROLE, "external_id": "a b"}, "external_id"),
    ({"endpoint": "ftp://minio.example.com", "secret": "rdbkeeper/minio"}, "endpoint"),
    ({"endpoint": "https://a:b@minio.example.com", "secret": "rdbkeeper/minio"}, "endpoint"),
    ({"endpoint": "https://minio.example.com/path", "secret": "rdbkeeper/minio"}, "endpoint"),
    ({"endpoint": "https://minio.example.com:99999", "secret": "rdbkeeper/minio"}, "endpoint"),
    ({"endpoint": "https://[::1", "secret": "rdbkeeper/minio"}, "endpoint"),
    ({"endpoint": "https://s3.eu-west-1.amazonaws.com", "secret": "rdbkeeper/minio"}, "endpoint"),
    ({"endpoint": "https://S3.cn-north-1.AMAZONAWS.com.cn.", "secret": "rdbkeeper/minio"}, "endpoint"),
    ({"endpoint": "https://minio.example.com"}, "secret"),
    ({"secret": "rdbkeeper/minio"}, "secret"),
    ({"endpoint": "https://minio.example.com", "secret": "prod/database"}, "secret"),
    ({"endpoint": "https://minio.example.com", "secret": "rdbkeeper/minio", "role": ROLE}, "role"),
    ({"addressing": "dns"}, "addressing"),
    ({"note": "two\nlines"}, "note"),
    ({"note": "x" * 501}, "note"),
    ({"options": []}, "options"),
    ({"options": {"kms_key": "alias/mine"}}, "options.kms_key"),
    ({"options": {"storage_class": "GLACIER"}}, "options.storage_class"),
    ({"options": {"lock_mode": "LEGAL"}}, "options.lock_mode"),
    ({"options": {"lock_days": 3651}}, "options.lock_days"),
    ({"options": {"lock_days": "7"}}, "options.lock_days"),
    ({"options": {"tags": {"aws:team": "a"}}}, "options.tags"),
    ({"options": {"tags": {"team": 7}}}, "options.tags.team"),
    ({"options": {"tags": {str(number): "" for number in range(11)}}}, "options.tags"),
    ({"options": {"tags": ["team"]}}, "options.tags"),
    ({"options": {"colour": "red"}}, "options.colour"),
    ({"colour": "red"}, "colour"),
]


@pytest.mark.parametrize("fields, field", WRONG, ids=lambda given: str(given)[:60])
def test_a_wrong_field_is_refused_by_name_with_a_hint(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bound(**fields)
    assert refused.value.field == field
    assert refused.value.hint


@pytest.mark.parametrize("field", ["bucket", "endpoint", "region", "addressing"])
def test_where_a_vault_is_cannot_be_edited(field: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot change") as refused:
        edited(**{field: "another"})
    assert refused.value.field == field


def test_what_an_edit_leaves_out_stays_as_it_is() -> None:
    vault = bound(role=ROLE, external_id="orders", options={"kms_key": KEY, "lock_days": 7}, note="far")
    after = edited(options={"lock_days": 30}).apply_to(vault)
    assert after.options == VaultOptions(KEY, lock_days=30)
    assert (after.role, after.external_id, after.note, after.revision) == (ROLE, "orders", "far", 2)


def test_an_edit_that_changes_nothing_is_no_new_revision() -> None:
    vault = bound(note="far", options={"lock_days": 7})
    assert edited(note="far", options={"lock_days": 7}).apply_to(vault) is vault
    assert edited().apply_to(vault) is vault


def test_a_role_that_goes_takes_its_external_id_along() -> None:
    vault = bound(role=ROLE, external_id="orders")
    assert edited(role="").apply_to(vault).external_id == ""


def test_an_edit_that_makes_no_vault_of_it_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        edited(secret="rdbkeeper/minio").apply_to(bound())
    assert refused.value.field == "secret"


@pytest.mark.parametrize("field, value", [("role", ROLE), ("secret", "rdbkeeper/minio"), ("external_id", "orders")])
def test_the_default_vault_takes_no_credentials(field: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match="default vault") as refused:
        edited(**{field: value}).apply_to(VaultBinding("default", "copies", NOW))
    assert refused.value.field == field


def test_only_an_edit_of_more_than_the_note_needs_a_probe() -> None:
    vault = bound(role=ROLE)
    assert not needs_probe(vault, edited(note="nearer").apply_to(vault))
    for fields in ({"external_id": "orders"}, {"options": {"lock_days": 1}}, {"note": "a", "role": ""}):
        assert needs_probe(vault, edited(**fields).apply_to(vault)), fields


def test_no_secret_is_in_what_is_logged_of_a_request() -> None:
    command = asked(
        "bind_vault",
        name="a",
        bucket="copies",
        endpoint="https://minio.example.com",
        secret="rdbkeeper/minio",
    )
    assert "minio'" not in repr(command).replace("minio.example.com", "")
    assert "rdbkeeper/minio" not in repr(edited(secret="rdbkeeper/minio"))
