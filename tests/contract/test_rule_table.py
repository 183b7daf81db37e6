"""What every rule table keeps, in memory and in DynamoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import boto3
import pytest
from botocore.stub import ANY, Stubber

from rdbkeeper.aws.rule_table import DynamoRuleTable
from rdbkeeper.domain.errors import LeaseLost, NameTaken, RuleBusy
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.ports import RuleTable, Upload
from tests.fakes.table import MemoryRuleTable
from tests.flows.world import make_rule
from tests.local_cloud.server import LocalCloud

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
_tables = count(1)


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Iterator[RuleTable]:
    if request.param == "memory":
        yield MemoryRuleTable()
        return
    cloud: LocalCloud = request.getfixturevalue("cloud")
    name = f"table-{next(_tables)}"
    cloud.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    yield DynamoRuleTable(cloud.client("dynamodb"), name)


def test_a_created_rule_is_found_as_it_was(table: RuleTable) -> None:
    rule = make_rule()
    table.create_rule(rule, table.registry_revision())
    assert table.find_rule(rule.name) == rule
    assert table.rules() == [rule]


def test_rules_come_by_name(table: RuleTable) -> None:
    for name in ("b", "c", "a"):
        table.create_rule(make_rule(name, prefix=f"{name}/"), table.registry_revision())
    assert [rule.name for rule in table.rules()] == ["a", "b", "c"]


def test_a_name_is_given_once(table: RuleTable) -> None:
    table.create_rule(make_rule(), table.registry_revision())
    with pytest.raises(NameTaken):
        table.create_rule(make_rule(instance="sessions"), table.registry_revision())
    assert table.rules()[0].instance == "orders"


def test_creating_the_very_same_rule_again_is_creating_it_once(table: RuleTable) -> None:
    revision = table.registry_revision()
    table.create_rule(make_rule(), revision)
    table.create_rule(make_rule(), revision)
    assert len(table.rules()) == 1


def test_a_rule_added_meanwhile_is_noticed(table: RuleTable) -> None:
    revision = table.registry_revision()
    table.create_rule(make_rule("first"), revision)
    with pytest.raises(RuleBusy):
        table.create_rule(make_rule("second"), revision)
    assert [rule.name for rule in table.rules()] == ["first"]


def test_a_rule_is_replaced_at_its_revision_only(table: RuleTable) -> None:
    table.create_rule(make_rule(), table.registry_revision())
    second = make_rule(state=RuleState.DELETING, revision=2)
    table.replace_rule(second, 1)
    table.replace_rule(second, 1)
    with pytest.raises(RuleBusy):
        table.replace_rule(replace(second, revision=3, prefix="other/"), 1)
    assert table.find_rule("orders-nightly") == second


def test_a_rule_that_is_gone_cannot_be_replaced(table: RuleTable) -> None:
    with pytest.raises(RuleBusy):
        table.replace_rule(make_rule(), 1)


def test_a_removed_rule_is_gone_with_its_lease(table: RuleTable) -> None:
    table.create_rule(make_rule(), table.registry_revision())
    table.take_lease("orders-nightly", "run-1", None, NOW)
    for remove in (table.remove_rule, table.remove_rule):
        remove("orders-nightly")
    assert table.find_rule("orders-nightly") is None
    assert table.find_lease_owner("orders-nightly") is None


def test_one_run_at_a_time_holds_the_lease(table: RuleTable) -> None:
    assert table.take_lease("r", "run-1", None, NOW)
    assert not table.take_lease("r", "run-2", None, NOW)
    assert table.find_lease_owner("r") == "run-1"


def test_a_lease_taken_twice_by_its_owner_is_taken_once(table: RuleTable) -> None:
    assert table.take_lease("r", "run-1", None, NOW)
    assert table.take_lease("r", "run-1", None, NOW)


def test_a_lease_is_taken_over_only_from_whom_was_named(table: RuleTable) -> None:
    table.take_lease("r", "run-1", None, NOW)
    assert not table.take_lease("r", "run-3", "run-2", NOW)
    assert table.take_lease("r", "run-2", "run-1", NOW)
    assert table.find_lease_owner("r") == "run-2"


def test_leases_of_other_rules_are_others(table: RuleTable) -> None:
    assert table.take_lease("r", "run-1", None, NOW)
    assert table.take_lease("s", "run-2", None, NOW)


@pytest.mark.parametrize("lose", [lambda table: table.take_lease("r", "run-2", "run-1", NOW), lambda table: None])
def test_a_lease_that_is_not_held_cannot_be_renewed(table: RuleTable, lose: Callable[[RuleTable], object]) -> None:
    if lose(table):
        table.take_lease("r", "run-2", "run-1", NOW)
    with pytest.raises(LeaseLost):
        table.renew_lease("r", "run-1", NOW)


def test_a_lease_that_is_held_is_renewed_and_freed(table: RuleTable) -> None:
    table.take_lease("r", "run-1", None, NOW)
    table.renew_lease("r", "run-1", NOW)
    table.free_lease("r", "run-1")
    assert table.find_lease_owner("r") is None


def test_anothers_lease_is_not_freed(table: RuleTable) -> None:
    table.take_lease("r", "run-1", None, NOW)
    table.free_lease("r", "run-2")
    assert table.find_lease_owner("r") == "run-1"


def test_open_uploads_are_remembered_until_they_are_forgotten(table: RuleTable) -> None:
    uploads = [Upload(f"orders/{n}.rdb", f"id-{n}") for n in range(3)]
    table.remember_uploads("r", uploads)
    table.remember_uploads("r", uploads[:1])
    table.remember_uploads("s", [Upload("other", "id")])
    assert table.remembered_uploads("r") == uploads
    table.forget_uploads("r", uploads[1:])
    table.forget_uploads("r", uploads[1:])
    assert table.remembered_uploads("r") == uploads[:1]


def test_attempts_at_a_leg_are_counted_and_the_next_leg_begins_anew(table: RuleTable) -> None:
    assert [table.count_attempt("r", "t", 0), table.count_attempt("r", "t", 0)] == [1, 2]
    assert table.count_attempt("r", "other", 0) == 1
    assert [table.count_attempt("r", "t", 7), table.count_attempt("r", "t", 7)] == [1, 2]
    for forget in (table.forget_attempts, table.forget_attempts):
        forget("r", "t")
    assert table.count_attempt("r", "t", 7) == 1


def test_what_decides_is_read_consistently() -> None:
    client = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    table = DynamoRuleTable(client, "table")
    with Stubber(client) as stub:
        stub.add_response("get_item", {}, {"TableName": "table", "Key": ANY, "ConsistentRead": True})
        stub.add_response(
            "query",
            {"Items": []},
            {
                "TableName": "table",
                "ConsistentRead": True,
                "KeyConditionExpression": ANY,
                "ExpressionAttributeValues": ANY,
            },
        )
        assert table.find_lease_owner("r") is None
        assert table.rules() == []
