"""What every vault table keeps, in memory and in DynamoDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.stub import ANY, Stubber

from rdbkeeper.aws.vault_table import DynamoVaultTable
from rdbkeeper.domain.errors import NameTaken, RuleBusy
from rdbkeeper.domain.vault import (
    Addressing,
    Capabilities,
    LockMode,
    ProbeReport,
    StoreSum,
    VaultBinding,
    VaultOptions,
)
from rdbkeeper.ports import VaultTable
from tests.contract.table_lab import (
    DEFAULT,
    NOW,
    DynamoTable,
    Tables,
    dynamodb,
    make_rule,
    tables,
    unconnected_client,
)

__all__ = ["dynamodb", "tables"]

OFFSITE = VaultBinding("offsite", "copies-offsite", NOW)
EVERYTHING = VaultBinding(
    "elsewhere",
    "copies",
    NOW,
    region="us-east-1",
    endpoint="https://minio.example.com:9000",
    addressing=Addressing.PATH,
    secret="rdbkeeper/minio",
    options=VaultOptions("", "STANDARD_IA", LockMode.COMPLIANCE, 30, (("a", "1"), ("b", ""))),
    note="far away",
    revision=7,
)
SEEN = Capabilities(sum=StoreSum.PART_MD5, conditional_delete=False, locks=True, default_lock_days=30)
REPORT = ProbeReport(NOW, None, SEEN, NOW - timedelta(hours=5), ("It keeps no versions.",))
OFFLINE = ProbeReport(NOW, {"code": "VaultDenied", "message": "Listing failed.", "hint": "Grant it."})


@pytest.fixture
def table(tables: Tables) -> VaultTable:
    return tables.vaults


def add(tables: Tables, *bindings: VaultBinding) -> None:
    for binding in bindings:
        tables.vaults.create_vault(binding, tables.rules.registry_revision())


# Vaults


@pytest.mark.parametrize("binding", [OFFSITE, EVERYTHING], ids=lambda binding: str(binding.name))
def test_a_vault_is_found_as_it_was(tables: Tables, binding: VaultBinding) -> None:
    add(tables, binding)
    assert tables.vaults.find_vault(binding.name) == binding


def test_the_default_vault_is_always_there(table: VaultTable) -> None:
    assert table.find_vault("default") == DEFAULT
    assert table.vaults() == [DEFAULT]
    assert table.find_vault("offsite") is None


def test_vaults_come_by_name(tables: Tables) -> None:
    add(tables, *(replace(OFFSITE, name=name) for name in ("z", "a", "m")))
    assert [vault.name for vault in tables.vaults.vaults()] == ["a", "default", "m", "z"]


def test_a_name_is_given_once(tables: Tables) -> None:
    add(tables, OFFSITE)
    for name in ("offsite", "default"):
        with pytest.raises(NameTaken):
            add(tables, replace(OFFSITE, name=name, bucket="other-copies"))
    assert tables.vaults.find_vault("offsite") == OFFSITE


def test_creating_the_very_same_vault_again_is_creating_it_once(tables: Tables) -> None:
    revision = tables.rules.registry_revision()
    for _ in range(2):
        tables.vaults.create_vault(OFFSITE, revision)
    assert tables.rules.registry_revision() == revision + 1


def test_a_vault_and_a_rule_that_are_registered_at_once_notice_each_other(tables: Tables) -> None:
    revision = tables.rules.registry_revision()
    tables.rules.create_rule(make_rule(), revision)
    with pytest.raises(RuleBusy):
        tables.vaults.create_vault(OFFSITE, revision)
    revision = tables.rules.registry_revision()
    tables.vaults.create_vault(OFFSITE, revision)
    with pytest.raises(RuleBusy):
        tables.rules.create_rule(make_rule("second"), revision)
    assert tables.rules.find_rule("second") is None


# Changing


def test_a_vault_is_replaced_as_it_was_read(tables: Tables) -> None:
    add(tables, OFFSITE)
    registry = tables.rules.registry_revision()
    changed = replace(OFFSITE, note="nearer", revision=2)
    tables.vaults.replace_vault(changed, 1)
    tables.vaults.replace_vault(changed, 1)  # the answer was lost
    assert tables.vaults.find_vault("offsite") == changed
    with pytest.raises(RuleBusy):
        tables.vaults.replace_vault(replace(OFFSITE, note="farther", revision=2), 1)
    assert tables.vaults.find_vault("offsite") == changed
    assert tables.rules.registry_revision() == registry


def test_a_vault_that_is_not_there_is_not_replaced(table: VaultTable) -> None:
    with pytest.raises(RuleBusy):
        table.replace_vault(replace(OFFSITE, revision=2), 1)
    assert table.find_vault("offsite") is None


def test_the_default_vault_is_replaced_at_its_first_revision_once(table: VaultTable) -> None:
    with pytest.raises(RuleBusy):
        table.replace_vault(replace(DEFAULT, note="ours", revision=3), 2)
    changed = replace(DEFAULT, note="ours", revision=2)
    table.replace_vault(changed, 1)
    assert table.find_vault("default") == changed and table.vaults() == [changed]
    with pytest.raises(RuleBusy):
        table.replace_vault(replace(DEFAULT, note="theirs", revision=2), 1)
    table.replace_vault(replace(changed, note="ours again", revision=3), 2)


# Letting go


def test_a_vault_goes_with_its_probe(tables: Tables) -> None:
    add(tables, OFFSITE, EVERYTHING)
    for name in ("offsite", "elsewhere"):
        tables.vaults.record_probe(name, REPORT)
    tables.vaults.remove_vault("offsite", 1, tables.rules.registry_revision())
    assert tables.vaults.vaults() == [DEFAULT, EVERYTHING]
    assert tables.vaults.find_vault("offsite") is None
    assert tables.vaults.probes() == {"elsewhere": REPORT}


def test_removing_a_vault_that_is_gone_is_no_error_and_counts_for_nothing(tables: Tables) -> None:
    revision = tables.rules.registry_revision()
    tables.vaults.remove_vault("offsite", 1, revision)
    assert tables.rules.registry_revision() == revision


def test_a_vault_that_was_changed_meanwhile_stays(tables: Tables) -> None:
    add(tables, OFFSITE)
    tables.vaults.replace_vault(replace(OFFSITE, note="nearer", revision=2), 1)
    with pytest.raises(RuleBusy):
        tables.vaults.remove_vault("offsite", 1, tables.rules.registry_revision())
    assert tables.vaults.find_vault("offsite") is not None


def test_a_vault_stays_for_a_rule_that_was_registered_meanwhile(tables: Tables) -> None:
    add(tables, OFFSITE)
    tables.vaults.record_probe("offsite", REPORT)
    revision = tables.rules.registry_revision()
    tables.rules.create_rule(make_rule(vault="offsite"), revision)
    with pytest.raises(RuleBusy):
        tables.vaults.remove_vault("offsite", 1, revision)
    assert tables.vaults.find_vault("offsite") == OFFSITE
    assert tables.vaults.find_probe("offsite") == REPORT


def test_a_rule_that_is_registered_while_its_vault_goes_notices(tables: Tables) -> None:
    add(tables, OFFSITE)
    revision = tables.rules.registry_revision()
    tables.vaults.remove_vault("offsite", 1, revision)
    with pytest.raises(RuleBusy):
        tables.rules.create_rule(make_rule(vault="offsite"), revision)


# Probes


@pytest.mark.parametrize("report", [REPORT, OFFLINE, ProbeReport(NOW)], ids=["available", "offline", "new"])
def test_a_report_is_found_as_it_was(table: VaultTable, report: ProbeReport) -> None:
    assert table.find_probe("default") is None and table.probes() == {}
    table.record_probe("default", report)
    assert table.find_probe("default") == report
    assert table.probes() == {"default": report}


def test_the_last_report_counts(table: VaultTable) -> None:
    table.record_probe("offsite", REPORT)
    table.record_probe("offsite", OFFLINE)
    assert table.find_probe("offsite") == OFFLINE


# DynamoDB


def test_no_row_of_a_vault_ever_expires(dynamodb: DynamoTable) -> None:
    tables = dynamodb.tables()
    add(tables, EVERYTHING)
    tables.vaults.record_probe("elsewhere", REPORT)
    items = dynamodb.client.scan(TableName=dynamodb.name)["Items"]
    assert not [item for item in items if "expires_at" in item]
    assert {("vaults", "elsewhere"), ("probes", "elsewhere")} <= set(dynamodb.stored_keys())


def test_every_single_read_is_consistent() -> None:
    client = unconnected_client()
    table = DynamoVaultTable(client, "table", DEFAULT)
    asked = {
        "TableName": "table",
        "ConsistentRead": True,
        "KeyConditionExpression": ANY,
        "ExpressionAttributeValues": ANY,
    }
    with Stubber(client) as stub:
        for find in (table.find_vault, table.find_probe):
            stub.add_response("get_item", {}, {"TableName": "table", "Key": ANY, "ConsistentRead": True})
            assert find("offsite") is None
        for read in (table.vaults, table.probes):
            stub.add_response("query", {"Items": []}, asked)
            assert len(read()) <= 1
        stub.assert_no_pending_responses()


def test_what_a_probe_of_an_earlier_version_wrote_down_is_still_read() -> None:
    record = REPORT.as_record()
    del record["capabilities"]["default_lock_days"]
    assert ProbeReport.from_record(record) == replace(REPORT, capabilities=replace(SEEN, default_lock_days=0))
