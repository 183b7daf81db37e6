"""The local DynamoDB is atomic, whoever else is at work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.server import LocalCloud

WRITERS, WRITES = 3, 50


@pytest.fixture(scope="module")
def table(cloud: LocalCloud) -> Any:
    """A client of a service with a table `shared`."""
    client = cloud.client("dynamodb")
    client.create_table(
        TableName="shared",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def item(key: str) -> dict[str, Any]:
    return {"TableName": "shared", "Item": {"pk": {"S": key}}}


def test_a_transaction_that_is_refused_takes_nothing_back_that_others_wrote(table: Any) -> None:
    table.put_item(**item("there"))
    for number in range(300):  # the more there is, the longer a transaction takes
        table.put_item(**item(f"ballast-{number}"))

    def write(writer: int) -> None:
        for number in range(WRITES):
            table.put_item(**item(f"{writer}-{number}"))

    def be_refused(_: int) -> None:
        for _ in range(WRITES):
            puts = item("other"), {**item("there"), "ConditionExpression": "attribute_not_exists(pk)"}
            with pytest.raises(ClientError, match="TransactionCanceledException"):
                table.transact_write_items(TransactItems=[{"Put": put} for put in puts])

    with ThreadPoolExecutor(2 * WRITERS) as pool:
        done = [pool.submit(write, writer) for writer in range(WRITERS)]
        done += [pool.submit(be_refused, writer) for writer in range(WRITERS)]
        for one in done:
            one.result()
    pages = table.get_paginator("scan").paginate(TableName="shared")
    kept = {found["pk"]["S"] for page in pages for found in page["Items"]}
    assert {f"{writer}-{number}" for writer in range(WRITERS) for number in range(WRITES)} <= kept
    assert "other" not in kept


def test_of_many_that_write_under_one_condition_one_does(table: Any) -> None:
    def write(_: int) -> bool:
        try:
            table.put_item(**item("only-once"), ConditionExpression="attribute_not_exists(pk)")
        except table.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(8))) == 1
