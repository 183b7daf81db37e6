"""What only DynamoDB has: pages and batches, transactions, and calls that are cut off."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import Any, Literal

import pytest
from botocore.stub import ANY, Stubber

from rdbkeeper.aws.rule_table import DynamoRuleTable
from rdbkeeper.aws.table_items import pack
from rdbkeeper.domain.errors import RuleBusy, TableUnavailable
from rdbkeeper.domain.status import KeptCopies
from tests.contract.table_lab import (
    NOW,
    DynamoTable,
    add_rules,
    dynamodb,
    make_report,
    make_rule,
    unconnected_client,
)
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Faults, FaultyPort

__all__ = ["dynamodb"]

NAME = "orders-nightly"
KEPT = KeptCopies("20261120T021500Z-automatic.orders", NOW)
DELETION = {"rule": NAME}
REMOVED = [("deleted", NAME), ("registry", "revision")]


def test_a_rule_with_more_rows_than_one_read_and_one_batch_take_is_removed_whole(dynamodb: DynamoTable) -> None:
    tables = dynamodb.tables()
    add_rules(tables.rules, NAME)
    for number in range(60):
        tables.runs.record_run(NAME, make_report(f"run-{number}", line="x" * 40_000))
    tables.rules.remove_rule(NAME, 1, DELETION)
    assert dynamodb.stored_keys() == REMOVED


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_removal_cut_off_at_any_call_ends_the_same_when_it_is_repeated(
    dynamodb: DynamoTable, when: Literal["before", "after"]
) -> None:
    whole = dynamodb.tables()
    for call in count(1):
        add_rules(whole.rules, NAME)
        whole.runs.record_run(NAME, make_report(), KEPT)
        faults = Faults(call, when)
        with suppress(ConnectionError):
            dynamodb.tables(FaultyPort(dynamodb.client, faults)).rules.remove_rule(NAME, 1, DELETION)
        if ("rules", NAME) not in dynamodb.stored_keys():
            assert dynamodb.stored_keys() == REMOVED, "the rule itself goes last"
        whole.rules.remove_rule(NAME, 1, DELETION)
        assert dynamodb.stored_keys() == REMOVED
        if not faults.struck:
            break
    assert len(faults.calls) > 4


def stubbed() -> tuple[DynamoRuleTable, Stubber, list[float]]:
    client, pauses = unconnected_client(), list[float]()
    return DynamoRuleTable(client, "table", FakeClock(NOW), pauses.append), Stubber(client), pauses


def delete_request(sort_key: str) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": {"pk": {"S": f"rule#{NAME}"}, "sk": {"S": sort_key}}}}


def expect_until_the_batches(stub: Stubber, keys: list[str]) -> None:
    stub.add_response("get_item", {})
    stub.add_response("put_item", {})
    stub.add_response("query", {"Items": [{"pk": {"S": f"rule#{NAME}"}, "sk": {"S": key}} for key in keys]})


def test_what_a_batch_left_undone_is_sent_again_after_a_pause() -> None:
    table, stub, pauses = stubbed()
    first = [delete_request(f"run#{number:02d}") for number in range(25)]
    with stub:
        expect_until_the_batches(stub, [f"run#{number:02d}" for number in range(26)])
        for sent, left in (
            (first, first[:3]),
            (first[:3], first[:1]),
            (first[:1], []),
            ([delete_request("run#25")], []),
        ):
            stub.add_response(
                "batch_write_item",
                {"UnprocessedItems": {"table": left} if left else {}},
                {"RequestItems": {"table": sent}},
            )
        for _ in range(3):
            stub.add_response("delete_item", {})
        table.remove_rule(NAME, 1, DELETION)
        stub.assert_no_pending_responses()
    assert pauses == sorted(pauses) and len(pauses) == 2


def test_a_table_that_stays_too_busy_is_unavailable_and_the_rule_stays() -> None:
    table, stub, pauses = stubbed()
    with stub:
        expect_until_the_batches(stub, ["lease"])
        for _ in range(7):
            stub.add_response("batch_write_item", {"UnprocessedItems": {"table": [delete_request("lease")]}})
        with pytest.raises(TableUnavailable, match="too busy"):
            table.remove_rule(NAME, 1, DELETION)
        stub.assert_no_pending_responses()
    assert sum(pauses) < 10


def row_of(name: str) -> dict[str, Any]:
    return pack({"pk": "rules", "sk": name, "rule": make_rule(name).as_record()})


def test_a_page_takes_two_consistent_reads() -> None:
    table, stub, _ = stubbed()
    rows = [row_of(name) for name in ("b", "c", "d")]
    asked = {"TableName": "table", "ConsistentRead": True, "KeyConditionExpression": ANY}
    with stub:
        stub.add_response(
            "query",
            {"Items": rows},
            {**asked, "Limit": 3, "ExpressionAttributeValues": {":pk": {"S": "rules"}, ":after": {"S": "a"}}},
        )
        stub.add_response(
            "query",
            {"Items": []},
            {
                **asked,
                "ExpressionAttributeValues": {":pk": {"S": "status"}, ":first": {"S": "b"}, ":last": {"S": "c"}},
            },
        )
        assert table.rules_page("a", 2).next_after == "c"
        stub.assert_no_pending_responses()


def test_a_page_that_dynamodb_cut_off_goes_on_from_its_last_rule() -> None:
    table, stub, _ = stubbed()
    with stub:
        stub.add_response(
            "query", {"Items": [row_of("b")], "LastEvaluatedKey": {"pk": {"S": "rules"}, "sk": {"S": "b"}}}
        )
        stub.add_response("query", {"Items": []})
        assert table.rules_page("", 100).next_after == "b"


def test_a_conflict_with_another_transaction_is_a_busy_rule_and_throttling_is_not() -> None:
    table, stub, _ = stubbed()
    with stub:
        for reason, error in (("TransactionConflict", RuleBusy), ("ThrottlingError", TableUnavailable)):
            stub.add_client_error(
                "transact_write_items",
                "TransactionCanceledException",
                modeled_fields={"CancellationReasons": [{"Code": "None"}, {"Code": reason}]},
            )
            if error is RuleBusy:  # what is there is looked at; throttling says nothing about it
                stub.add_response("get_item", {})
                stub.add_response("get_item", {})
            with pytest.raises(error, match=r"at the same moment|TransactionCanceledException"):
                table.create_rule(make_rule(), 0)
        stub.assert_no_pending_responses()


def test_every_single_read_is_consistent() -> None:
    table, stub, _ = stubbed()
    reads = (
        table.registry_revision,
        lambda: table.find_rule(NAME),
        lambda: table.find_deletion(NAME),
        lambda: table.find_status(NAME),
        lambda: table.find_sent_schedules(NAME),
    )
    queries = (table.rules, table.deletions, table.statuses, table.sent_schedules)
    with stub:
        for read in reads:
            stub.add_response("get_item", {}, {"TableName": "table", "Key": ANY, "ConsistentRead": True})
            read()
        for query in queries:
            asked = {"KeyConditionExpression": ANY, "ExpressionAttributeValues": ANY}
            if query == table.deletions:
                asked |= {"FilterExpression": ANY, "ProjectionExpression": "sk"}
            stub.add_response("query", {"Items": []}, {"TableName": "table", "ConsistentRead": True, **asked})
            query()
        stub.assert_no_pending_responses()


def test_a_row_that_is_no_rule_does_not_hide_the_others(dynamodb: DynamoTable) -> None:
    whole = dynamodb.tables()
    add_rules(whole.rules, "a", "c")
    row = {"pk": "rules", "sk": "b", "rule": {**make_rule("b").as_record(), "cycle": {"kind": "lunar"}}}
    dynamodb.client.put_item(TableName=dynamodb.name, Item=pack(row))
    assert [rule.name for rule in whole.rules.rules()] == ["a", "c"]
    assert [rule.name for rule, _ in whole.rules.rules_page("", 2).rules] == ["a"]
    assert [rule.name for rule, _ in whole.rules.rules_page("b", 2).rules] == ["c"]
