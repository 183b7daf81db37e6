"""What every table keeps of backups on demand and of frozen writes, in memory and in DynamoDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.stub import ANY, Stubber

from rdbkeeper.aws.run_table import DynamoRunTable
from rdbkeeper.domain.backup import Consistency
from rdbkeeper.domain.backup_first import BackupFirst, Freeze, MadeBackup
from rdbkeeper.domain.source import SourceAccess, Way
from rdbkeeper.ports import RunTable
from tests.contract.table_lab import NOW, Tables, add_rules, dynamodb, tables, unconnected_client
from tests.fakes.clock import FakeClock
from tests.flows.world import make_rule

__all__ = ["dynamodb", "tables"]

FREEZE = Freeze("go-on", "orders", "execution-1", NOW, NOW + timedelta(minutes=5))
MADE = MadeBackup("rdbkeeper-a", NOW)


@pytest.fixture
def table(tables: Tables) -> RunTable:
    add_rules(tables.rules, "r", "s")
    return tables.runs


# Freezes


def test_a_freeze_is_on_record_until_its_execution_strikes_it_off(table: RunTable) -> None:
    assert table.find_freeze("r") is None
    table.record_freeze("r", FREEZE)
    assert table.find_freeze("r") == FREEZE
    table.forget_freeze("r", "execution-1")
    assert table.find_freeze("r") is None


def test_a_freeze_that_may_come_late_is_on_record_with_until_when(table: RunTable) -> None:
    late = replace(FREEZE, late_until=NOW + timedelta(minutes=20))
    table.record_freeze("r", late)
    assert table.find_freeze("r") == late


def test_one_execution_does_not_strike_off_the_freeze_of_another(table: RunTable) -> None:
    table.record_freeze("r", FREEZE)
    table.forget_freeze("r", "execution-2")
    assert table.find_freeze("r") == FREEZE


def test_striking_off_what_is_not_there_is_no_error(table: RunTable) -> None:
    table.forget_freeze("r", "execution-1")
    table.forget_made_backup("r", "rdbkeeper-a")


def test_a_freeze_that_is_recorded_again_is_the_last_one(table: RunTable) -> None:
    table.record_freeze("r", FREEZE)
    table.record_freeze("r", replace(FREEZE, execution="execution-2"))
    assert table.freezes() == {"r": replace(FREEZE, execution="execution-2")}


def test_all_freezes_are_known_by_their_rules(table: RunTable) -> None:
    assert table.freezes() == {}
    other = replace(FREEZE, thaw="go-on:live", instance="sessions")
    table.record_freeze("s", other)
    table.record_freeze("r", FREEZE)
    assert list(table.freezes().items()) == [("r", FREEZE), ("s", other)]


def test_a_freeze_outlives_its_rule(tables: Tables, table: RunTable) -> None:
    table.record_freeze("r", FREEZE)
    tables.rules.remove_rule("r", 1, {})
    assert table.freezes() == {"r": FREEZE}


# Backups on demand


def test_what_was_asked_for_is_on_record_by_name_until_it_is_struck_off(table: RunTable) -> None:
    assert table.made_backups("r") == []
    second = MadeBackup("rdbkeeper-b", NOW, "8f3a", Consistency.APPLICATION, "writes were frozen", is_removed=True)
    second = replace(second, provider="memorydb", instance="orders")
    table.record_made_backup("r", second)
    table.record_made_backup("r", MADE)
    assert table.made_backups("r") == [MADE, second]
    table.forget_made_backup("r", "rdbkeeper-a")
    assert table.made_backups("r") == [second]


def test_what_is_known_of_it_later_takes_the_place_of_what_was(table: RunTable) -> None:
    table.record_made_backup("r", MADE)
    table.record_made_backup("r", replace(MADE, backup_id="8f3a"))
    assert table.made_backups("r") == [replace(MADE, backup_id="8f3a")]


def test_what_one_rule_had_made_is_not_anothers(table: RunTable) -> None:
    table.record_made_backup("r", MADE)
    assert table.made_backups("s") == []
    table.forget_made_backup("s", "rdbkeeper-a")
    assert table.made_backups("r") == [MADE]


def test_what_a_rule_had_made_goes_off_the_record_with_it(tables: Tables, table: RunTable) -> None:
    table.record_made_backup("r", MADE)
    tables.rules.remove_rule("r", 1, {})
    assert table.made_backups("r") == []


# Rules with a source that is reached in a way of its own


def test_a_rule_comes_back_as_it_was_with_its_access_and_its_hooks(tables: Tables) -> None:
    server = SourceAccess("", "rdbkeeper/queue", "queue:6379", tls=False, way=Way.LOGICAL, keys_per_second=500)
    hooks = BackupFirst("stop", "go-on", 60, demands_application=True)
    rules = [
        make_rule("live", provider="redis", instance="queue", access=server),
        make_rule("cloud", provider="memorydb", backup_first=hooks),
    ]
    for revision, rule in enumerate(rules):
        tables.rules.create_rule(rule, revision)
        assert tables.rules.find_rule(rule.name) == rule


def test_reads_of_freezes_and_of_what_was_made_are_consistent() -> None:
    client = unconnected_client()
    table = DynamoRunTable(client, "table", FakeClock(NOW))
    asked = {
        "TableName": "table",
        "ConsistentRead": True,
        "KeyConditionExpression": ANY,
        "ExpressionAttributeValues": ANY,
    }
    with Stubber(client) as stub:
        stub.add_response("get_item", {}, {"TableName": "table", "Key": ANY, "ConsistentRead": True})
        assert table.find_freeze("r") is None
        for read in (table.freezes, lambda: table.made_backups("r")):
            stub.add_response("query", {"Items": []}, asked)
            assert not read()
        stub.assert_no_pending_responses()
